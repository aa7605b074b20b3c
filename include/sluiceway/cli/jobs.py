"""`sluiceway jobs`: item work, asked for, watched, paused and decided."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from sluiceway.amounts import counted
from sluiceway.cli import checked, complete
from sluiceway.cli.checked import FormatOption
from sluiceway.cli.console import EXIT_FAILED, err, out, plain, print_json, sentences
from sluiceway.cli.items import who
from sluiceway.cli.numbers import decimal
from sluiceway.cli.options import JobArgument, JobsWarehouseOption, JsonOption, WhyOption, jobs_url
from sluiceway.cli.program import Commands
from sluiceway.cli.records import print_fields, print_records
from sluiceway.errors import AirflowApiError, ConfigError, nearest
from sluiceway.settings import load_settings
from sluiceway.spans import age

if TYPE_CHECKING:
    from sluiceway.jobs.status import JobStatus
    from sluiceway.jobs.work import Asked

app = Commands(help="Work on items, one by one, against other services; the files of include/config/jobs/.")

SHORTEST_HOURS, LONGEST_HOURS = 0.01, 87_600
"""Of a service's pause: half a minute, and ten years."""
SHOWN = 100
"""Items that a dry run names."""


@app.command("list")
def jobs_list(as_json: JsonOption = False) -> None:
    """List the jobs' files, with what starts each.

    Example: sluiceway jobs list
    """
    from sluiceway.flows.files import read_flows
    from sluiceway.jobs import files

    with sentences():
        flows, names = read_flows(), files.names()
    rows = [
        {
            "job": name,
            "starts": ", ".join(flows[name].triggers) if name in flows else "",
            "description": flows[name].spec.description if name in flows else "nothing starts it: it has no flow",
        }
        for name in names
    ]
    if as_json:
        print_json(rows)
        return
    print_records(("job", "starts", "description"), [tuple(row.values()) for row in rows], prose={"description"})


@app.command("check")
def jobs_check(style: FormatOption = None, as_json: JsonOption = False) -> None:
    """Import every job's file and see that it is right; needs neither Airflow nor a warehouse.

    Example: sluiceway jobs check
    """
    from sluiceway.jobs import due, files

    with sentences():
        names, folder = files.names(), load_settings().config_dir / "jobs"
    problems = []
    tables: dict[str, str] = {}
    for name in names:
        path = folder / f"{name}.py"
        try:
            job = files.read(name)
            due.check(job.due)
            if (other := tables.setdefault(job.results.table, name)) != name:
                said = f"results: {job.results.table!r} is the table of {other}, too"
                raise ConfigError(f"{said}; two jobs would overwrite each other")
        except ConfigError as error:
            problems.append(checked.Problem(path, _of_file(path, error)))
    nothing = f"There is no job under {folder}: nothing was checked."
    checked.tell(len(names), problems, nothing=nothing, style=style, as_json=as_json)


def _of_file(path: Path, error: ConfigError) -> str:
    return str(error) if str(error).startswith(str(path)) else f"{path}: {error}"


@app.command("run")
def jobs_run(
    job: JobArgument,
    item: Annotated[
        list[str] | None,
        typer.Option("--item", metavar="ITEM", help="This one, done or not; again for more."),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", metavar="SQL", help="Also what is done, where this holds of the job's SELECT."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of the job's SELECT, also what is done.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be due, and change nothing.")] = False,
    local: Annotated[bool, typer.Option("--local", help="Work in this process, without Airflow.")] = False,
    warehouse: JobsWarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a run of a job: what is due, or what the options choose. Exit 1 where a local run leaves something undone.

    Example: sluiceway jobs run resolve_taxa --item "Puma concolor"

    Example: sluiceway jobs run resolve_taxa --where "family = 'Felidae'" --dry-run
    """
    from sluiceway.jobs.work import Asked

    with sentences():
        _known(job)
        given = {"items": item or [], "where": where, "all": everything}
        asked = Asked.of(given)
        if dry_run:
            _print_due(job, asked, jobs_url(warehouse), as_json=as_json)
        elif local:
            _work_here(job, asked, jobs_url(warehouse), as_json=as_json)
        else:
            _start(job, {key: value for key, value in given.items() if value}, as_json=as_json)


def _known(job: str) -> None:
    from sluiceway.jobs import files

    if job not in (names := files.names()):
        raise ConfigError(f"There is no job {job!r}{nearest(job, names)}")


def _print_due(job: str, asked: Asked, url: str, *, as_json: bool) -> None:
    from sluiceway.jobs import work

    found = work.would_be_due(url, job, asked)
    if as_json:
        print_json({"job": job, "due": len(found), "items": found})
        return
    for each in found[:SHOWN]:
        out.print(plain(each))
    more = f", {len(found) - SHOWN:,} of them not shown" if len(found) > SHOWN else ""
    err.print(plain(f"{job}: {counted(len(found), 'item')} would be due{more}."))


def _work_here(job: str, asked: Asked, url: str, *, as_json: bool) -> None:
    from sluiceway.jobs import work
    from sluiceway.jobs.lanes import LaneKey
    from sluiceway.ledger.store import CLI, RunKey

    run = RunKey(CLI, f"cli__{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}__{uuid4().hex[:6]}")
    count = work.enqueue(url, job, asked, run=run, who=who())
    tally = work.work(url, job, LaneKey(run), asked)
    result = {
        "job": job,
        "run_id": run.run_id,
        "became_due": count,
        "asked": tally.asked,
        **{state: tally.ended[state] for state in ("done", "waiting", "dead")},
        "failed_and_due": tally.ended["due"],
        "back": tally.back,
        "paused": tally.paused,
    }
    if as_json:
        print_json(result)
    else:
        print_fields({key: str(value) for key, value in result.items() if value is not None})
    if tally.ended["dead"] or tally.ended["due"] or tally.back or tally.paused:
        raise typer.Exit(EXIT_FAILED)


def _start(job: str, params: dict[str, Any], *, as_json: bool) -> None:
    from urllib.parse import quote

    from sluiceway.flows import TriggerContext, TriggerService, service
    from sluiceway.rest.airflow_api import AirflowApi

    with AirflowApi.from_settings(load_settings()) as api:
        if api.get(f"dags/{quote(job, safe='')}")["is_paused"]:
            raise ConfigError(
                f"{job} is paused in Airflow, where no run of it begins: switch it on there, or `airflow dags unpause "
                f"{job}`; --local works without Airflow."
            )
    trigger = TriggerService().find(job, trigger_id=None)
    result = service.activate(trigger, TriggerContext(params=params, batch_id=None))
    if not result.success or result.run_id is None:
        raise AirflowApiError(result.message)
    url = (load_settings().airflow_url or "").rstrip("/")
    address = f"{url}/dags/{quote(job, safe='')}/runs/{quote(result.run_id, safe='')}"
    if as_json:
        print_json({"dag_id": job, "run_id": result.run_id, "run_url": address})
        return
    out.print(plain(result.run_id))
    err.print(plain(f"{job}: {result.message} {address}"))


@app.command("status")
def jobs_status(
    job: Annotated[
        str | None, typer.Argument(metavar="[JOB]", help="Only this job.", autocompletion=complete.jobs)
    ] = None,
    warehouse: JobsWarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how jobs stand: items by state, ages, speed, pauses, and what they cost the warehouse.

    Example: sluiceway jobs status --json
    """
    from sluiceway.jobs import letters, status
    from sluiceway.ledger.revision import check_revision
    from sluiceway.ledger.warehouse import connect

    with sentences(), connect(jobs_url(warehouse)) as session:
        check_revision(session)
        if job is not None:
            letters.check_job(session, job)
        found = status.jobs(session, only=job)
        services, database = status.services(session), status.database(session)
    if as_json:
        print_json(
            {
                "jobs": [each.model_dump(mode="json") for each in found],
                "services": [each.model_dump(mode="json") for each in services],
                "database": database.model_dump(mode="json"),
            }
        )
        return
    columns = ("job", "done", "due", "worked on", "waiting", "dead", "oldest due", "items/s", "why dead", "paused by")
    print_records(columns, [_row(each) for each in found], right=set(columns[1:8]))
    for service in services:
        said = f"{service.service}: {counted(service.requests, 'request')}, {service.waited_s:,.0f} s waited for turns"
        if service.paused_until:
            said += f", paused until {service.paused_until:%Y-%m-%d %H:%M} UTC: {service.pause_reason}"
        out.print(plain(said))
    out.print(
        plain(
            f"warehouse: {counted(database.connections, 'connection')} of lanes, {database.all_connections} of "
            f"{database.max_connections} in all; {counted(database.dead_rows, 'dead row')}"
        )
    )


def _row(at: JobStatus) -> tuple[str, ...]:
    return (
        at.job,
        *(f"{count:,}" for count in (at.done, at.due, at.claimed, at.waiting, at.dead)),
        age(at.oldest_due_s),
        "" if at.items_per_s is None else f"{at.items_per_s:,.1f}",
        ", ".join(f"{name} {count:,}" for name, count in at.dead_by_class.items()),
        at.paused_by or "",
    )


@app.command("show")
def jobs_show(
    job: JobArgument,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item's name.")],
    warehouse: JobsWarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one item: its state, its last error, its input, its result, and what people did to it.

    Example: sluiceway jobs show resolve_taxa "Oenanthe"
    """
    from sluiceway.jobs import files, letters, results
    from sluiceway.ledger.warehouse import connect

    with sentences(), connect(jobs_url(warehouse)) as session:
        letter = letters.show(session, job, item)
        history = letters.history(session, job, item)
        result = results.read(session, files.read(job).results, item) if job in files.names() else {}
    if as_json:
        print_json(
            {
                **letter.model_dump(mode="json"),
                "result": result,
                "history": [each.model_dump(mode="json") for each in history],
            }
        )
        return
    print_fields({key: str(value) for key, value in letter.model_dump().items() if value not in (None, {}, 0)})
    if result:
        out.print("\n[bold]result[/]")
        print_fields({key: str(value) for key, value in result.items() if value is not None})
    for each in history:
        why = f" ({each.why})" if each.why else ""
        was = f"was {each.state}: {each.last_error}" if each.last_error else f"was {each.state}"
        out.print("\n" + plain(f"{each.at:%Y-%m-%d %H:%M} UTC {each.action} by {each.who}{why}; it {was}"))


@app.command("pause")
def jobs_pause(
    name: Annotated[str, typer.Argument(metavar="JOB|SERVICE", help="A job, or a service that jobs ask.")],
    hours: Annotated[
        str | None,
        typer.Option("--hours", metavar="N", help="Of a service: how long; default: until resumed."),
    ] = None,
    why: WhyOption = None,
    warehouse: JobsWarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a job make nothing due and work on nothing, or let nobody ask a service, until it is resumed.

    Example: sluiceway jobs pause resolve_taxa --why "GBIF moves"
    """
    _switch(name, "pause", hours, why, warehouse, as_json=as_json)


@app.command("resume")
def jobs_resume(
    name: Annotated[str, typer.Argument(metavar="JOB|SERVICE", help="A job, or a service that jobs ask.")],
    why: WhyOption = None,
    warehouse: JobsWarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """End the pause of a job or of a service.

    Example: sluiceway jobs resume resolve_taxa
    """
    _switch(name, "resume", None, why, warehouse, as_json=as_json)


def _switch(
    name: str, action: Any, hours: str | None, why: str | None, warehouse: str | None, *, as_json: bool
) -> None:
    from sluiceway.jobs import files, rate, requests, status
    from sluiceway.jobs.requests import Request
    from sluiceway.ledger.warehouse import connect

    with sentences():
        lasting = rate.FOR_EVER_S
        if hours is not None:
            lasting = decimal("--hours", hours, least=SHORTEST_HOURS, most=LONGEST_HOURS) * 3600
        with connect(jobs_url(warehouse)) as session:
            jobs, services = files.names(), [each.service for each in status.services(session)]
            if name in jobs:
                if hours is not None:
                    raise ConfigError("--hours is a service's: a job stays paused until it is resumed.")
                requests.write(session, Request(job=name, action=action, who=who(), why=why))
            elif name in services:
                reason = f"paused by {who()}" + (f": {why}" if why else "")
                if action == "pause":
                    rate.pause(session, name, seconds=lasting, reason=reason)
                else:
                    rate.resume(session, name)
                requests.write(session, Request(service=name, action=action, who=who(), why=why))
            else:
                raise ConfigError(f"There is no job and no service {name!r}{nearest(name, [*jobs, *services])}")
    done = "is paused" if action == "pause" else "goes on"
    if as_json:
        print_json({"name": name, "action": action})
        return
    out.print(plain(f"{name} {done}."))


@app.command("decide")
def jobs_decide(
    job: JobArgument,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="An item that waits for a person.")],
    key: Annotated[str, typer.Option("--key", metavar="KEY", help="Which of its alternatives it is.")],
    why: WhyOption = None,
    warehouse: JobsWarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer for an item that waits; `jobs show` has its alternatives.

    Example: sluiceway jobs decide resolve_taxa Oenanthe --key 4VXGT
    """
    from sluiceway.jobs import files, letters
    from sluiceway.ledger.warehouse import connect

    with sentences():
        definition = files.read(job)
        with connect(jobs_url(warehouse)) as session:
            letters.decide(session, job, definition, item, key, who=who(), why=why)
    if as_json:
        print_json({"job": job, "item": item, "key": key})
        return
    out.print(plain(f"{item} is done, with {key}."))
