"""`sluiceway tables`: the tables' files, and loading one without Airflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sluiceway.amounts import counted, size
from sluiceway.cli import checked
from sluiceway.cli.checked import FormatOption
from sluiceway.cli.console import (
    EXIT_FAILED,
    EXIT_USAGE,
    err,
    out,
    plain,
    print_json,
    say_error,
    sentences,
    write_json,
)
from sluiceway.cli.formatting import tables_fmt
from sluiceway.cli.numbers import whole
from sluiceway.cli.options import (
    JsonOption,
    TableArgument,
    UriOption,
    WarehouseOption,
    named_warehouse,
    warehouse_url,
)
from sluiceway.cli.program import Commands
from sluiceway.cli.progress_log import logged_progress
from sluiceway.cli.records import print_records
from sluiceway.cli.standard_input import KindOption, NameOption, check_kind, given
from sluiceway.cli.table_named import named_table
from sluiceway.errors import ConfigError
from sluiceway.settings import load_settings
from sluiceway.stop import StoppedError, stoppable

if TYPE_CHECKING:
    from sluiceway.tables.spec import TableSpec

CELL = 40
"""Of a value as long as a polygon a preview shows as many characters."""
MOST_ROWS = 5_000
"""That a preview shows: about as many as it reads."""

app = Commands(help="The tables under include/config/tables/.")
app.command("fmt")(tables_fmt)


@app.command("list")
def tables_list(
    everything: Annotated[
        bool, typer.Option("--all", help="Also tables of groups this deployment does not run.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the tables this deployment runs. Exit 2 when the file of one is wrong; the others are listed all the same.

    Example: sluiceway tables list --all
    """
    from sluiceway.tables import registry

    with sentences():
        specs, wrong = registry.read() if everything else registry.read_deployed()
    if as_json:
        print_json([spec.model_dump(mode="json") for spec in specs.values()])
    elif specs or not wrong:
        _print_tables(specs.values())
    if not specs and not wrong and not as_json:
        err.print("No table: this deployment's groups are chosen by SLUICEWAY_GROUPS; --all shows every one.")
    for problem in wrong.values():
        say_error(problem)
    if wrong:
        raise typer.Exit(EXIT_USAGE)


def _print_tables(specs: Iterable[TableSpec]) -> None:
    rows = [
        (
            spec.name,
            spec.group,
            spec.source.kind,
            spec.key if isinstance(spec.key, str) else ", ".join(spec.key),
            spec.description,
        )
        for spec in specs
    ]
    print_records(("table", "group", "kind", "key", "description"), rows, prose={"description"})


@app.command("check")
def tables_check(
    files: Annotated[list[Path] | None, typer.Argument(help="Files; else all of include/config/.")] = None,
    style: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Validate table and view files offline; names file, key, value and the nearest valid one.

    A promise (`fresh_within`) that no schedule of the flows can keep is refused, too.

    Example: sluiceway tables check include/config/tables/us_county.toml
    """
    from sluiceway.run import views
    from sluiceway.tables import registry
    from sluiceway.tables.files import table_files

    config = load_settings().config_dir
    paths = files or [*table_files(config), *sorted((config / "sql").glob("*.sql"))]
    problems: list[checked.Problem] = []
    specs: dict[Path, TableSpec] = {}
    for path in paths:
        try:
            if (wrong := checked.is_no_file(path)) is not None:
                raise ConfigError(wrong)
            if path.suffix == ".sql":
                view = views.read_view(path)
                if (wrong := views.reads_elsewhere(view)) is not None:
                    raise ConfigError(f"{path}: tables: {wrong}; remove it, or the table's key target")
                if (wrong := views.wrong_name(view)) is not None:
                    raise ConfigError(f"{path}: {wrong}")
            else:
                specs[path] = registry.read_spec(path)
                _check_query(path, specs[path])
                _check_expressions(path, specs[path])
        except ConfigError as error:
            problems += [checked.Problem(path, sentence) for sentence in str(error).split("\n")]
    problems += _wrong_checks(specs)
    problems += _broken_promises(specs, config)
    nothing = f"There is no table and no view under {config}: nothing was checked."
    checked.tell(len(paths), problems, nothing=nothing, style=style, as_json=as_json)


def _check_query(path: Path, spec: TableSpec) -> None:
    """Of which kind the source's database is, nobody knows here."""
    query = getattr(spec.source, "query", None)
    if query is None:
        return
    from sluiceway.sources.services.sql_code import NotOneSelectError, check_reads_somewhere

    try:
        check_reads_somewhere(query)
    except NotOneSelectError as error:
        raise ConfigError(f"{path}: source.query {error}") from error


def _check_expressions(path: Path, spec: TableSpec) -> None:
    """Their words are judged whenever the file is read; whether they are put together rightly a parser says here."""
    if not spec.computed:
        return
    from sluiceway.sources.services.sql_code import NotOneSelectError, check_expression

    for name in spec.computed:
        try:
            check_expression(str(spec.columns[name].expression))
        except NotOneSelectError as error:
            raise ConfigError(f"{path}: columns.{name}.expression: {error}") from error


def _wrong_checks(specs: Mapping[Path, TableSpec]) -> list[checked.Problem]:
    """What no file alone tells of its checks: a pattern or a condition that is none, a table that is not there."""
    from sluiceway.load.judged import wrong_checks
    from sluiceway.tables import registry
    from sluiceway.tables.references import wrong_references

    said = {path: wrong_checks(spec) for path, spec in specs.items()}
    if any(any(spec.checks.rules("references")) for spec in specs.values()):
        right, wrong = registry.read()
        tables = {**right, **{spec.name: spec for spec in specs.values()}}
        for path, spec in specs.items():
            said[path] += wrong_references(spec, tables, broken=wrong)
    return [checked.Problem(path, f"{path}: {each}") for path, found in said.items() for each in found]


def _broken_promises(specs: Mapping[Path, TableSpec], config: Path) -> list[checked.Problem]:
    """The promises of tables of this deployment's folder; one that lies elsewhere is in no flow, and makes none."""
    folder = (config / "tables").resolve()
    paths = {spec.name: path for path, spec in specs.items() if path.resolve().parent == folder and spec.fresh_within}
    if not paths:
        return []
    from sluiceway.flows.files import read_flows
    from sluiceway.flows.promises import broken_promises

    try:
        flows = read_flows()
    except ConfigError:
        return []  # `sluiceway triggers check` says what is wrong with them
    promising = {spec.name: spec for spec in specs.values() if spec.name in paths}
    return [
        checked.Problem(paths[name], f"{paths[name]}: {said}")
        for name, said in broken_promises(promising, flows).items()
    ]


@app.command("run")
def tables_run(
    table: TableArgument,
    warehouse: WarehouseOption = None,
    force: Annotated[bool, typer.Option("--force", help="Load also when the source is unchanged.")] = False,
    uri: UriOption = None,
    kind: KindOption = None,
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Load one table without Airflow. Exit 1 when it was not loaded, 2 when the file is wrong, 130 or 143 when stopped.

    `-` in place of a file, also behind --uri, is the standard input.

    Example: sluiceway tables run spend.csv --warehouse postgresql://me@localhost/gis --json
    """
    from sluiceway.sources.locate import hash_ahead

    with (
        sentences(),
        _stopped(),
        stoppable() as stop,
        named_table(table, uri=uri, kind=kind, name=name) as spec,
    ):
        url = warehouse_url(warehouse)
        if spec.split is not None:
            err.print(plain(f"{spec.name}: split is for Airflow's workers; this process loads the table in one."))
        hashed = hash_ahead(spec.source)

        # a fifth of a second, for which the hashing need not wait
        from sluiceway.run.local_run import load_here

        with _progress(spec.name) as progress:
            ended = load_here(
                spec, url, stop, force=force, migrating=warehouse is not None, progress=progress, hashed=hashed
            )
    result = ended.table
    if as_json:
        write_json(result.model_dump_json(exclude={"source_columns"}, indent=2))
    elif ended.failure is None:
        out.print(
            f"{plain(spec.name)}: {result.status}, {result.extracted:,} extracted = {result.inserted:,} inserted + "
            f"{result.updated:,} updated + {result.unchanged:,} unchanged + {result.rejected:,} rejected; "
            f"{counted(result.table_rows or 0, 'row')} in the table; {result.seconds or 0:.1f} s, "
            f"{size(result.peak_rss_bytes or 0)}"
        )
    if result.note is not None:
        err.print(plain(f"{spec.name}: {result.note}"))
    if result.rejected and not as_json:
        err.print(f"Why rows were rejected: sluiceway runs show {result.run_id}")
    if ended.failure is not None:
        say_error(ended.failure)
        raise typer.Exit(EXIT_FAILED)


@contextmanager
def _stopped() -> Iterator[None]:
    """Turns a signal into one sentence and the exit code that shells know it by."""
    try:
        yield
    except StoppedError as error:
        err.print(plain(error.sentence))
        raise typer.Exit(error.exit_code) from error


@contextmanager
def _progress(table: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal; elsewhere the log tells it."""
    if not err.is_terminal:
        yield logged_progress(table)
        return
    from sluiceway.cli.progress import load_progress

    with load_progress(err, table) as tell:
        yield tell


@app.command("infer")
def tables_infer(
    uri: Annotated[
        str | None,
        typer.Argument(
            metavar="FILE|URI",
            help="A path, or package://, https:// (an API too), gs://, s3://, bigquery://project.dataset.table; - for "
            "the standard input, none for a database, which --connection names.",
        ),
    ] = None,
    layer: Annotated[str | None, typer.Option(help="The layer of a vector file that holds several.")] = None,
    sheet: Annotated[str | None, typer.Option(help="The sheet of a workbook that holds several.")] = None,
    table: Annotated[
        str | None,
        typer.Option(help="The table of an SQLite file that holds several, or of a database, such as public.orders."),
    ] = None,
    query: Annotated[str | None, typer.Option(help="Of a database, one SELECT in place of a table.")] = None,
    member: Annotated[str | None, typer.Option(help="The file inside a .zip that holds several.")] = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="Of a text's or a shapefile's letters, where it is found wrongly; such as cp1252."),
    ] = None,
    connection: Annotated[
        str | None, typer.Option(help="The Airflow connection that opens the address, or that of a database.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write <table>.toml; else to the standard output.")
    ] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="A table for each sheet, layer, table, member or file, in the folder --output."),
    ] = False,
    kind: KindOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Draft a table's file from a file, a database's table or an API. Its comments are what you have to decide.

    With * all files, sheets, layers, tables or members that fit are one table. `-` is the standard input.

    Example: sluiceway tables infer ./Biodiesel_Plants.csv -o include/config/tables/biodiesel_plant.toml
    """
    from sluiceway.cli import drafts
    from sluiceway.infer.asked import Asked

    with sentences():
        check_kind(kind)
        with given(uri or "") as (path, called):
            asked = Asked(path, layer, sheet, table, member, connection, encoding, query, kind, called)
            if every:
                drafts.draft_each(asked, output, force=force, as_json=as_json)
            else:
                drafts.draft_one(asked, output, force=force, as_json=as_json)


@app.command("preview")
def tables_preview(
    table: TableArgument,
    rows: Annotated[str, typer.Option(metavar="N", help=f"How many rows to show, at most {MOST_ROWS}.")] = "10",
    warehouse: Annotated[
        str | None,
        typer.Option("--warehouse", metavar="URL", help="Also see whether its table fits, and what it computes."),
    ] = None,
    uri: UriOption = None,
    kind: KindOption = None,
    name: NameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the first rows as they would load, and the rejects among the first thousands. Writes nothing.

    Example: sluiceway tables preview my_table.toml --rows 5
    """
    from sluiceway.infer.preview import preview, standing

    with sentences(), named_table(table, uri=uri, kind=kind, name=name) as spec:
        most = whole("--rows", rows, least=0, most=MOST_ROWS)
        url = named_warehouse(warehouse) if warehouse is not None else None
        found = preview(spec, rows=most, url=url)
        stands = standing(spec, url) if url is not None else None
    if as_json:
        print_json({**found.document(), "warehouse": stands})
        return
    names = [name for name in spec.stored_columns if name not in found.not_computed]
    names += [spec.geometry.column] if spec.geometry is not None else []
    shown = [["" if value is None else str(value)[:CELL] for value in row.values()] for row in found.rows]
    print_records(names, shown)
    out.print(plain(found.sentence(spec.name)))
    for reject in found.rejects[:10]:
        out.print(f"  row {reject.row_number}: {plain(reject.reason)}")
    for remark in found.remarks():
        out.print(f"  {plain(remark)}")
    if stands is not None:
        out.print(plain(stands))
