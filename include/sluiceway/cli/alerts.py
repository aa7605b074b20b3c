"""`sluiceway alerts`: who is told when something is wrong, what is wrong now, and the telling without Airflow."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sluiceway.amounts import counted
from sluiceway.cli import checked
from sluiceway.cli.checked import FormatOption
from sluiceway.cli.console import EXIT_FAILED, err, out, plain, print_json, say_error, sentences
from sluiceway.cli.items import span, who
from sluiceway.cli.numbers import whole
from sluiceway.cli.options import JsonOption, WarehouseOption, warehouse_url
from sluiceway.cli.program import Commands
from sluiceway.cli.records import print_records
from sluiceway.errors import ConfigError, nearest, quoted
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from sluiceway.alerts.model import Incident
    from sluiceway.alerts.notices import Untold
    from sluiceway.alerts.spec import AlertsSpec

app = Commands(help="Who is told of what is wrong, and what is.")

IncidentArgument = Annotated[str, typer.Argument(metavar="ID", help="An incident's number, as `alerts list` has it.")]
COLUMNS = ("id", "state", "what", "seen since (UTC)", "cause")


@app.command("check")
def alerts_check(style: FormatOption = None, as_json: JsonOption = False) -> None:
    """Validate include/config/alerts.toml offline; names key, value and the nearest valid one.

    Imports the notifiers that it names, where there is an Airflow.

    Example: sluiceway alerts check
    """
    from sluiceway.alerts.spec import names_unknown, path_of, read_file
    from sluiceway.flows.files import flow_files
    from sluiceway.ids import MASTER
    from sluiceway.tables.files import table_files

    settings = load_settings()
    path = path_of(settings)
    said: list[str] = []
    remark = ""
    if path.exists():
        tables = [each.stem for each in table_files(settings.config_dir)]
        dags = [MASTER, *(each.stem for each in flow_files(settings.config_dir))]
        try:
            spec = read_file(path)
            remark = "" if spec.alerts else f"{path} names no alert, so nobody is told of anything."
            said = [*names_unknown(path, spec, tables, dags), *_notifiers_wrong(path, spec)]
        except ConfigError as error:
            said = str(error).split("\n")
    problems = [checked.Problem(path, sentence) for sentence in said]
    nothing = f"There is no {path}, so nobody is told of anything; docs/how-to/alerts.md has one."
    checked.tell(int(path.exists()), problems, nothing=nothing, remark=remark, style=style, as_json=as_json)


@app.command("list")
def alerts_list(
    limit: Annotated[str, typer.Option("--limit", metavar="N", help="At most so many; the open ones first.")] = "20",
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List incidents: what is wrong, since when it is seen, by which cause, who takes care; and what could not be told.

    Example: sluiceway alerts list
    """
    from sluiceway.alerts import incidents, notices
    from sluiceway.alerts.message import title
    from sluiceway.ledger.revision import check_revision
    from sluiceway.ledger.warehouse import connect

    with sentences():
        most = whole("--limit", limit)
        with connect(warehouse_url(warehouse)) as session:
            check_revision(session)
            found = incidents.newest(session, limit=most)
            untold, looked = notices.untold(session), incidents.looked_at(session)
    if as_json:
        shown = [
            {**each.model_dump(mode="json", exclude={"cause_key"}), "state": _state(each), "title": title(each)}
            for each in found
        ]
        print_json(
            {
                "looked_at": looked.isoformat() if looked else None,
                "incidents": shown,
                "not_told": _untold_shown(untold),
            }
        )
        return
    out.print(f"The last look was at {looked:%Y-%m-%d %H:%M:%S} UTC." if looked else "Nobody has looked yet.")
    if found:
        records = [_record(each, title(each)) for each in found]
        columns = [name for name in records[0] if name in COLUMNS or any(each[name] for each in records)]
        print_records(columns, [[each[name] for name in columns] for each in records], prose={"cause", "note"})
    for each in untold:
        out.print(plain(f"Not told so far: {each.sentence}"))


@app.command("run")
def alerts_run(warehouse: WarehouseOption = None, as_json: JsonOption = False) -> None:
    """Look once, tell whoever is to know, and send the heartbeat: for cron or a timer, where no Airflow need run.

    Example: sluiceway alerts run
    """
    from sluiceway.alerts.watch import surroundings, watch

    with sentences():
        found = watch(surroundings(warehouse_url(warehouse), load_settings()), _declared())
    told, heartbeat = found.told, found.heartbeat
    if as_json:
        print_json(
            {
                "open": found.open,
                "sent": told.sent,
                "failed": list(told.failed),
                "left_to_airflow": list(told.left),
                "waiting": _untold_shown(found.waiting),
                "heartbeat": None if heartbeat is None else heartbeat.is_sent,
            }
        )
    else:
        out.print(f"{_incidents(found.open)}; {counted(told.sent, 'message')} sent.")
    for sentence in found.failed:
        say_error(sentence)
    for sentence in (*told.left, *(each.sentence for each in found.waiting if each.error is None)):
        err.print(plain(sentence))
    if found.failed:
        raise typer.Exit(EXIT_FAILED)


@app.command("test")
def alerts_test(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An alert of alerts.toml.")], as_json: JsonOption = False
) -> None:
    """Send one message that says that nothing is wrong.

    Example: sluiceway alerts test on_call
    """
    from sluiceway.alerts.message import test_message
    from sluiceway.alerts.tell import SEND_S
    from sluiceway.alerts.watch import outside
    from sluiceway.sources.connections import from_environment

    with sentences():
        spec, settings = _declared(), load_settings()
        if name not in spec.alerts:
            raise ConfigError(f"There is no alert {name!r}{nearest(name, spec.alerts)}")
        channels = outside(spec.alerts[name], from_environment)
        for channel in channels:
            channel.send(test_message(name, settings.environment), SEND_S)
    if as_json:
        print_json({"alert": name, "channels": [channel.name for channel in channels]})
        return
    out.print(plain(f"{name} was told, by {', '.join(channel.name for channel in channels)}."))


@app.command("acknowledge")
def alerts_acknowledge(
    incident: IncidentArgument,
    note: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="Kept beside who did it; at most 500 characters.")
    ] = None,
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that you take care of an incident: nobody is told of it again, until it has recovered.

    Example: sluiceway alerts acknowledge 12 --note "the vendor knows"
    """
    from sluiceway.alerts import incidents
    from sluiceway.ledger.warehouse import connect

    with sentences():
        number, person = _number(incident), who()
        with connect(warehouse_url(warehouse)) as session:
            changed, noted = incidents.acknowledge(session, number, who=person, note=note)
    since = f"since {changed.acknowledged_at:%Y-%m-%d %H:%M} UTC"
    more = {
        "all": "",
        "note": f" {since}; what {person} says is noted, too",
        "name": f" {since}; that {person} takes care of it is noted, too",
        "nothing": f" {since}, and there is nothing new to note",
    }
    said = f"Incident {number} is acknowledged by {changed.acknowledged_by}{more[noted]}."
    _say_changed(changed, said, as_json=as_json)


@app.command("snooze")
def alerts_snooze(
    incident: IncidentArgument,
    lasting: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 30m, 2h, 1d.")],
    warehouse: WarehouseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have nobody told of an incident for a while; if it lasts, it is told again then.

    Example: sluiceway alerts snooze 12 --for 2h
    """
    from sluiceway.alerts import incidents
    from sluiceway.ledger.warehouse import connect

    with sentences():
        number, length = _number(incident), span("--for", lasting)
        with connect(warehouse_url(warehouse)) as session:
            changed = incidents.snooze(session, number, lasting=length)
    if changed.acknowledged_at is not None:
        said = (
            f"Incident {number} stays acknowledged by {changed.acknowledged_by}: nobody is told of it until it has "
            f"recovered, however long it is snoozed."
        )
    else:
        until = f"{changed.snoozed_until:%Y-%m-%d %H:%M} UTC"
        said = f"Nobody is told of incident {number} until {until}, unless it recovers before."
    _say_changed(changed, said, as_json=as_json)


def _notifiers_wrong(path: Path, spec: AlertsSpec) -> list[str]:
    """A sentence for each alert whose notifier is none."""
    from sluiceway.alerts import notifier

    named = {alert.name: alert.notifier for alert in spec.alerts.values() if alert.notifier is not None}
    if named and not notifier.can_be_found():
        err.print(plain(f"The notifier of {', '.join(named)} was not looked at: there is no Airflow here."))
        return []
    found = []
    for name, class_name in named.items():
        try:
            notifier.notifier_class(class_name)
        except ConfigError as error:
            found.append(f"{path}: alerts.{name}.notifier = {class_name!r}: {error}")
    return found


def _declared() -> AlertsSpec:
    """What alerts.toml declares.

    :raises ConfigError: it is not there, or wrong.
    """
    from sluiceway.alerts.spec import path_of, read_file

    if not path_of().exists():
        raise ConfigError(f"There is no {path_of()}, so nobody is told of anything; docs/how-to/alerts.md has one.")
    return read_file(path_of())


def _number(given: str) -> int:
    """An incident's number.

    :raises ConfigError: it is none, or longer than those of the ledger.
    """
    if re.fullmatch("[0-9]{1,18}", given) is None:
        raise ConfigError(f"ID {quoted(given)} is no incident's number; `sluiceway alerts list` has those there are.")
    return int(given)


def _say_changed(changed: Incident, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json({**changed.model_dump(mode="json", exclude={"cause_key"}), "state": _state(changed)})
        return
    out.print(plain(sentence))


def _record(incident: Incident, title: str) -> dict[str, str]:
    """What the list says of an incident, by column; of those after COLUMNS most say nothing."""
    return {
        "id": str(incident.id),
        "state": _state(incident),
        "what": title,
        "seen since (UTC)": f"{incident.opened_at:%Y-%m-%d %H:%M}",
        "cause": incident.cause,
        "acknowledged by": incident.acknowledged_by or "",
        "snoozed until (UTC)": f"{incident.snoozed_until:%Y-%m-%d %H:%M}" if _is_snoozed(incident) else "",
        "note": "; ".join((incident.acknowledged_note or "").splitlines()),
    }


def _untold_shown(untold: Iterable[Untold]) -> list[dict[str, object]]:
    return [
        {
            "alert": each.alert,
            "channel": each.channel,
            "messages": each.incidents,
            "next_at": each.next_at.isoformat(),
            "error": each.error,
        }
        for each in untold
    ]


def _state(incident: Incident) -> str:
    if incident.recovered_at is not None:
        return "recovered"
    if incident.acknowledged_at is not None:
        return "acknowledged"
    return "snoozed" if _is_snoozed(incident) else "open"


def _is_snoozed(incident: Incident) -> bool:
    until = incident.snoozed_until
    return until is not None and incident.recovered_at is None and until > datetime.now(until.tzinfo)


def _incidents(count: int) -> str:
    return f"{counted(count, 'incident is', 'incidents are')} open" if count else "No incident is open"
