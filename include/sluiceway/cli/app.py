"""`sluiceway`: tables and runs from the command line.

Exit codes: 0 good; 1 the work failed, or the run that is shown is red; 2 a file, a name or an option is wrong, and
nothing was started; 130 and 143 a load was stopped by Ctrl-C or SIGTERM, and a sentence says what has become of it.
"""

from __future__ import annotations

import atexit
import gc
import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.logging import RichHandler
from rich.table import Column, Table

from sluiceway.cli.console import EXIT_FAILED, EXIT_USAGE, err, out
from sluiceway.cli.console import plain as _plain
from sluiceway.cli.console import sentences as _sentences
from sluiceway.cli.runs import app as runs_app
from sluiceway.cli.triggers import app as triggers_app
from sluiceway.errors import (
    AirflowApiError,
    ConfigError,
    nearest,
)
from sluiceway.settings import load_settings
from sluiceway.stop import StoppedError, stoppable

if TYPE_CHECKING:
    from sluiceway.tables.spec import TableSpec


@atexit.register
def _leave_at_once() -> None:
    """Spare a search through all that was imported, a tenth of a second. DuckDB would call it a leak, and say so."""
    if "duckdb" not in sys.modules:
        gc.freeze()


app = typer.Typer(
    no_args_is_help=True, pretty_exceptions_enable=False, help="Refreshes a PostGIS warehouse after every deploy."
)
tables_app = typer.Typer(no_args_is_help=True, help="The tables under include/config/tables/.")
ledger_app = typer.Typer(no_args_is_help=True, help="The ledger in the warehouse.")
app.add_typer(tables_app, name="tables")
app.add_typer(runs_app, name="runs")
app.add_typer(ledger_app, name="ledger")
access_app = typer.Typer(no_args_is_help=True, help="Who may start a run.")
app.add_typer(access_app, name="access")
app.add_typer(triggers_app, name="triggers")

WarehouseOption = Annotated[
    str | None, typer.Option("--warehouse", metavar="URL", help="postgresql:// URL; else SLUICEWAY_WAREHOUSE_URL.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _main(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.ERROR,
        format="%(message)s",
        handlers=[RichHandler(console=err, show_path=False)],
    )


def _warehouse(url: str | None) -> str:
    return url or load_settings().require_warehouse_url()


@tables_app.command("list")
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

    with _sentences():
        specs, wrong = registry.read() if everything else registry.read_deployed()
    if as_json:
        sys.stdout.write(json.dumps([spec.model_dump(mode="json") for spec in specs.values()], indent=2) + "\n")
    elif specs or not wrong:
        _print_tables(specs.values())
    if not specs and not wrong and not as_json:
        err.print("No table: this deployment's groups are chosen by SLUICEWAY_GROUPS; --all shows every one.")
    for problem in wrong.values():
        err.print(f"[red]error:[/] {_plain(problem)}")
    if wrong:
        raise typer.Exit(EXIT_USAGE)


def _print_tables(specs: Iterable[TableSpec]) -> None:
    table = Table("table", "group", "kind", "key", "description", box=None, pad_edge=False)
    for spec in specs:
        key = spec.key if isinstance(spec.key, str) else ", ".join(spec.key)
        table.add_row(spec.name, spec.group, spec.source.kind, key, spec.description)
    out.print(table)


@tables_app.command("check")
def tables_check(
    files: Annotated[list[Path] | None, typer.Argument(help="Files; else all of include/config/.")] = None,
) -> None:
    """Validate table and view files offline; names file, key, value and the nearest valid one.

    Example: sluiceway tables check include/config/tables/us_county.toml
    """
    from sluiceway.run import views
    from sluiceway.tables import registry
    from sluiceway.tables.files import table_files

    config = load_settings().config_dir
    paths = files or [*table_files(config), *sorted((config / "sql").glob("*.sql"))]
    problems = []
    for path in paths:
        try:
            if not path.is_file():
                raise ConfigError(f"{path}: there is no such file.")
            if path.suffix == ".sql":
                views.read_view(path)
            else:
                registry.read_spec(path)
        except ConfigError as error:
            problems.append(str(error))
    for problem in problems:
        err.print(f"[red]error:[/] {_plain(problem)}")
    if problems:
        raise typer.Exit(EXIT_USAGE)
    out.print(f"{len(paths)} files are valid.")


@tables_app.command("run")
def tables_run(
    table: Annotated[
        str, typer.Argument(metavar="NAME|FILE.toml", help="A table's name, or a file like those under tables/.")
    ],
    warehouse: WarehouseOption = None,
    force: Annotated[bool, typer.Option("--force", help="Load also when the source is unchanged.")] = False,
    uri: Annotated[str | None, typer.Option("--uri", help="Read this file or URL instead of the declared one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Load one table without Airflow. Exit 1 when it was not loaded, 2 when the file is wrong, 130 or 143 when stopped.

    Example: sluiceway tables run my_table.toml --warehouse postgresql://me@localhost/gis --json
    """
    from sluiceway.sources.locate import hash_ahead
    from sluiceway.tables import registry

    with _sentences(), _stopped(), stoppable() as stop:
        spec = registry.read_spec(Path(table)) if table.endswith(".toml") else registry.read_one(table)
        if uri is not None:
            spec = registry.read_from(spec, uri)
        url = _warehouse(warehouse)
        hashed = hash_ahead(spec.source)

        # a fifth of a second, for which the hashing need not wait
        from sluiceway.run.local_run import load_here

        with _progress(spec.name) as progress:
            ended = load_here(
                spec, url, stop, force=force, migrating=warehouse is not None, progress=progress, hashed=hashed
            )
    result = ended.table
    if as_json:
        sys.stdout.write(result.model_dump_json(exclude={"source_columns"}, indent=2) + "\n")
    elif ended.failure is None:
        out.print(
            f"{spec.name}: {result.status}, {result.extracted:,} extracted = {result.inserted:,} inserted + "
            f"{result.updated:,} updated + {result.unchanged:,} unchanged + {result.rejected:,} rejected; "
            f"{result.table_rows or 0:,} rows in the table; {result.seconds or 0:.1f} s, "
            f"{(result.peak_rss_bytes or 0) / 2**20:.0f} MB"
        )
    if result.note is not None:
        err.print(_plain(f"{spec.name}: {result.note}"))
    if ended.failure is not None:
        err.print(f"[red]error:[/] {_plain(ended.failure)}")
        raise typer.Exit(EXIT_FAILED)


@contextmanager
def _stopped() -> Iterator[None]:
    """Turns a signal into one sentence and the exit code that shells know it by."""
    try:
        yield
    except StoppedError as error:
        err.print(_plain(error.sentence))
        raise typer.Exit(error.exit_code) from error


@contextmanager
def _progress(table: str) -> Iterator[Callable[[int, int | None], None] | None]:
    """A bar on a terminal; elsewhere None, and the log tells it."""
    if not err.is_terminal:
        yield None
        return
    from sluiceway.cli.progress import load_progress

    with load_progress(err, table) as tell:
        yield tell


@tables_app.command("infer")
def tables_infer(
    uri: Annotated[str, typer.Argument(metavar="FILE|URI", help="A path, or package://, https://, gs://, s3://.")],
    layer: Annotated[str | None, typer.Option(help="The layer of a vector file that holds several.")] = None,
    sheet: Annotated[str | None, typer.Option(help="The sheet of a workbook that holds several.")] = None,
    table: Annotated[str | None, typer.Option(help="The table of an SQLite file that holds several.")] = None,
    member: Annotated[str | None, typer.Option(help="The file inside a .zip that holds several.")] = None,
    connection: Annotated[str | None, typer.Option(help="The Airflow connection that opens the address.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write <table>.toml; else to the standard output.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
) -> None:
    """Draft a table's file from a file that nobody has described yet. Its comments are what you have to decide.

    Example: sluiceway tables infer ./Biodiesel_Plants.csv -o include/config/tables/biodiesel_plant.toml
    """
    from sluiceway.infer import infer
    from sluiceway.infer.asked import Asked

    with _sentences():
        if output is not None:
            infer.check_output(output, force=force)
        draft = infer.infer(Asked(uri, layer, sheet, table, member, connection), output)
        if output is None:
            sys.stdout.write(draft)
            return
        infer.write(draft, output)
    err.print(f"Wrote {_plain(output)}. Decide its comments, then: sluiceway tables check {_plain(output)}")


@tables_app.command("preview")
def tables_preview(
    table: Annotated[
        str, typer.Argument(metavar="NAME|FILE.toml", help="A table's name, or a file like those under tables/.")
    ],
    rows: Annotated[int, typer.Option(min=0, help="How many rows to show.")] = 10,
    warehouse: Annotated[
        str | None, typer.Option("--warehouse", metavar="URL", help="Also see whether this warehouse's table fits.")
    ] = None,
    uri: Annotated[str | None, typer.Option("--uri", help="Read this file or URL instead of the declared one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the first rows as they would load, and the rejects among the first thousands. Writes nothing.

    Example: sluiceway tables preview my_table.toml --rows 5
    """
    from sluiceway.infer.preview import preview, standing
    from sluiceway.tables import registry

    with _sentences():
        spec = registry.read_spec(Path(table)) if table.endswith(".toml") else registry.read_one(table)
        if uri is not None:
            spec = registry.read_from(spec, uri)
        found = preview(spec, rows=rows)
        stands = standing(spec, warehouse) if warehouse is not None else None
    if as_json:
        sys.stdout.write(json.dumps({**found.document(), "warehouse": stands}, indent=2, default=str) + "\n")
        return
    names = [*spec.columns, *([spec.geometry.column] if spec.geometry is not None else [])]
    shown = Table(*(Column(name, no_wrap=True) for name in names), box=None, pad_edge=False)
    for row in found.rows:
        shown.add_row(*("" if value is None else _plain(str(value)[:40]) for value in row.values()))
    out.print(shown)
    out.print(_plain(found.sentence(spec.name)))
    for reject in found.rejects[:10]:
        out.print(f"  row {reject.row_number}: {_plain(reject.reason)}")
    if stands is not None:
        out.print(_plain(stands))


@app.command(
    "trigger",
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def trigger_run(
    context: typer.Context,
    flow_id: Annotated[str | None, typer.Option("--flow-id")] = None,
    trigger_id: Annotated[str | None, typer.Option("--trigger-id")] = None,
    batch_id: Annotated[str | None, typer.Option("--batch-id")] = None,
    param: Annotated[list[str] | None, typer.Option("--param")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run")] = False,
) -> None:
    """Start a run in Airflow: of a deployed commit, once, or of a flow with --flow-id; --help has the options.

    Example: sluiceway trigger --commit $(git rev-parse HEAD)
    Example: sluiceway trigger --flow-id orders --batch-id 2026-08-03 --param tables='["us_state"]'
    """
    from sluiceway.deploy import trigger

    if {"--help", "-h"} & {*context.args}:
        out.print(FLOW_HELP, markup=False)
    elif flow_id is not None:
        with _sentences():
            _trigger_flow(flow_id, trigger_id, batch_id, param or [], dry_run=dry_run, unknown=context.args)
        return
    elif trigger_id is not None or batch_id is not None or param or dry_run:
        err.print("[red]error:[/] --trigger-id, --batch-id, --param and --dry-run are a flow's: add --flow-id.")
        raise typer.Exit(EXIT_USAGE)
    with _sentences():
        settings = load_settings()
    known = {
        "AIRFLOW_URL": settings.airflow_url or "",
        "AIRFLOW_USERNAME": settings.airflow_username or "",
        "AIRFLOW_PASSWORD": settings.airflow_password or "",
    }
    raise typer.Exit(trigger.main(context.args, defaults=known, prog="sluiceway trigger"))


FLOW_HELP = """\
A flow of include/config/flows/ instead of a deployed commit:
  --flow-id F      start this flow, in the Airflow of SLUICEWAY_AIRFLOW_URL
  --trigger-id T   in the name of this trigger; default: its cli trigger
  --batch-id N     name the run: the same N twice is one run
  --param K=V      a param of the run, JSON or else text; again for more
  --dry-run        print what would be posted, and start nothing
exit codes: 0 the run is there; 1 Airflow refuses it; 2 an option is wrong, or the trigger is disabled
"""


def _trigger_flow(
    flow_id: str, trigger_id: str | None, batch_id: str | None, param: list[str], *, dry_run: bool, unknown: list[str]
) -> None:
    from sluiceway.flows import TriggerContext, TriggerService, service

    if unknown:
        known = ["--trigger-id", "--batch-id", "--param", "--dry-run"]
        raise ConfigError(f"--flow-id goes without {unknown[0]!r}{nearest(unknown[0], known)}")
    trigger = TriggerService().find(flow_id, trigger_id=trigger_id)
    asked = TriggerContext(params=service.params_of(param), batch_id=batch_id)
    if not trigger.config.enabled:
        raise ConfigError(trigger.refusal())
    if dry_run:
        order = service.order(trigger.config, asked)
        url = load_settings().airflow_url or ""
        document = {"method": "POST", "url": f"{url}/api/v2/{order.path}", "body": order.body}
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        return
    result = service.activate(trigger, asked)
    if not result.success:
        raise AirflowApiError(result.message)
    err.print(_plain(f"{flow_id}: {result.message}"))
    sys.stdout.write(f"{result.run_id}\n")


@ledger_app.command("migrate")
def ledger_migrate(warehouse: WarehouseOption = None) -> None:
    """Bring the ledger to the version this code needs, as the role that owns the warehouse.

    Example: sluiceway ledger migrate --warehouse postgresql://owner@localhost/warehouse
    """
    from sluiceway.ledger.migrate import migrate

    with _sentences():
        revision = migrate(warehouse or load_settings().owner_url or _warehouse(None))
    out.print(f"The ledger is at revision {revision}.")


@access_app.command("setup")
def access_setup(
    user: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Also make this user; SLUICEWAY_CI_PASSWORD, else a generated one, printed."),
    ] = None,
) -> None:
    """Create the role that CI triggers with, as an administrator of Airflow. A second time it changes nothing.

    A generated password is all that goes to the standard output, so that it can be piped into a store of secrets.

    Example: sluiceway access setup --user ci
    """
    from sluiceway.rest import access
    from sluiceway.rest.airflow_api import AirflowApi

    with _sentences(), AirflowApi.from_settings(settings := load_settings()) as api:
        done = access.setup(api, user=user, password=settings.ci_password)
    for sentence in done.sentences:
        err.print(_plain(sentence))
    if done.password:
        err.print("Its password is shown this once:")
        sys.stdout.write(f"{done.password}\n")
