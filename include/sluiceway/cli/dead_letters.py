"""`sluiceway dead-letters`: items that no further try makes good, until a person looks at them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from sluiceway.amounts import counted
from sluiceway.cli import complete
from sluiceway.cli.console import data, err, out, plain, print_json, sentences
from sluiceway.cli.items import span, who
from sluiceway.cli.numbers import whole
from sluiceway.cli.options import JobArgument, JobsWarehouseOption, JsonOption, LimitOption, WhyOption, jobs_url
from sluiceway.cli.program import Commands
from sluiceway.cli.records import print_records
from sluiceway.errors import ConfigError

if TYPE_CHECKING:
    from sluiceway.jobs.letters import Chosen, Letter
    from sluiceway.ledger.warehouse import Session

app = Commands(help="Items of jobs that died: read, replayed, discarded.")

JobOption = Annotated[
    str | None, typer.Option("--job", metavar="JOB", help="Of this job.", autocompletion=complete.jobs)
]
ItemOption = Annotated[list[str] | None, typer.Option("--item", metavar="ITEM", help="This one; again for more.")]
ClassOption = Annotated[
    str | None,
    typer.Option("--class", metavar="CLASS", help="That died of this: item, service, answer, code, hang or lapse."),
]
OlderOption = Annotated[
    str | None, typer.Option("--older-than", metavar="AGE", help="That died so long ago: 30m, 6h, 2d.")
]
AllOption = Annotated[bool, typer.Option("--all", help="All dead letters, where nothing else chooses.")]
CLASSES = ("item", "service", "answer", "code", "hang", "lapse")


@app.command("list")
def letters_list(
    job: JobOption = None,
    code: ClassOption = None,
    older_than: OlderOption = None,
    limit: LimitOption = "100",
    warehouse: JobsWarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters with their error, the newest first.

    Example: sluiceway dead-letters list --job resolve_taxa --class service
    """
    from sluiceway.jobs import letters
    from sluiceway.ledger.warehouse import connect

    with sentences():
        chosen, most = _chosen(job, (), code, older_than), whole("--limit", limit)
        with connect(jobs_url(warehouse)) as session:
            if job is not None:
                letters.check_job(session, job)
            found = letters.find(session, chosen, limit=most)
            count = letters.count(session, chosen)
    if as_json:
        print_json([each.model_dump(mode="json") for each in found])
        return
    rows = [
        (each.job, each.item, each.last_code or "", f"{each.updated_at:%Y-%m-%d %H:%M}", each.last_error or "")
        for each in found
    ]
    print_records(("job", "item", "class", "died (UTC)", "error"), rows, prose={"error"})
    if count > len(found):
        err.print(plain(f"{count - len(found):,} more; --limit shows more of them, `export` all."))


@app.command("show")
def letters_show(
    job: JobArgument,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item's name.")],
    warehouse: JobsWarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter: the same as `sluiceway jobs show`.

    Example: sluiceway dead-letters show resolve_taxa "???"
    """
    from sluiceway.cli.jobs import jobs_show

    jobs_show(job, item, warehouse=warehouse, as_json=as_json)


@app.command("replay")
def letters_replay(
    job: JobOption = None,
    item: ItemOption = None,
    code: ClassOption = None,
    older_than: OlderOption = None,
    everything: AllOption = False,
    why: WhyOption = None,
    warehouse: JobsWarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make dead letters due again, with all their attempts; the next run of the job works on them.

    Example: sluiceway dead-letters replay --job resolve_taxa --class service --why "GBIF is back"
    """
    from sluiceway.jobs import letters

    chosen = (job, item, code, older_than)
    _change(lambda session, each: letters.replay(session, each, who=who(), why=why), chosen, everything, warehouse,
            "due again", as_json=as_json)  # fmt: skip


@app.command("discard")
def letters_discard(
    job: JobOption = None,
    item: ItemOption = None,
    code: ClassOption = None,
    older_than: OlderOption = None,
    everything: AllOption = False,
    why: WhyOption = None,
    warehouse: JobsWarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put dead letters away without a result, until their input changes.

    Example: sluiceway dead-letters discard --job resolve_taxa --item "???" --why "no name"
    """
    from sluiceway.jobs import letters

    chosen = (job, item, code, older_than)
    _change(lambda session, each: letters.discard(session, each, who=who(), why=why), chosen, everything, warehouse,
            "put away", as_json=as_json)  # fmt: skip


@app.command("export")
def letters_export(
    job: JobOption = None,
    code: ClassOption = None,
    older_than: OlderOption = None,
    warehouse: JobsWarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write all dead letters to the standard output, as CSV or with --json.

    Example: sluiceway dead-letters export --job resolve_taxa > dead.csv
    """
    from sluiceway.jobs import letters
    from sluiceway.jobs.letters import Letter
    from sluiceway.ledger.warehouse import connect

    with sentences():
        chosen = _chosen(job, (), code, older_than)
        with connect(jobs_url(warehouse)) as session:
            if job is not None:
                letters.check_job(session, job)
            found = letters.find(session, chosen)
    if as_json:
        print_json([each.model_dump(mode="json") for each in found])
        return
    writer = csv.DictWriter(data, list(Letter.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(each) for each in found)


def _flat(letter: Letter) -> dict[str, object]:
    values = letter.model_dump(mode="json")
    return {**values, "input": json.dumps(values["input"], ensure_ascii=False)}


def _chosen(job: str | None, items: tuple[str, ...], code: str | None, older_than: str | None) -> Chosen:
    from sluiceway.errors import nearest
    from sluiceway.jobs.letters import Chosen

    if code is not None and code not in CLASSES:
        raise ConfigError(f"--class {code!r}: there is no such class{nearest(code, CLASSES)}")
    return Chosen(
        job=job, items=items, code=code, older_than=None if older_than is None else span("--older-than", older_than)
    )


def _change(
    change: Callable[[Session, Chosen], dict[str, int]],
    given: tuple[str | None, list[str] | None, str | None, str | None],
    everything: bool,
    warehouse: str | None,
    done: str,
    *,
    as_json: bool,
) -> None:
    from sluiceway.jobs import letters
    from sluiceway.ledger.warehouse import connect

    with sentences():
        job, item, code, older_than = given
        if not any(given) and not everything:
            raise ConfigError("Which dead letters? Choose with --job, --item, --class or --older-than, or say --all.")
        if any(given) and everything:
            raise ConfigError("--all goes without --job, --item, --class and --older-than.")
        chosen = _chosen(job, tuple(item or ()), code, older_than)
        with connect(jobs_url(warehouse)) as session:
            if job is not None:
                letters.check_job(session, job)
            found = {each.item for each in letters.find(session, chosen)} if item else set()
            if missing := sorted(set(item or ()) - found):
                raise ConfigError(f"No such dead letter: {', '.join(map(repr, missing))}; nothing was changed.")
            changed = change(session, chosen)
    if as_json:
        print_json(changed)
        return
    total = sum(changed.values())
    out.print(f"{counted(total, 'item is', 'items are')} {done}.")
