"""What a person says of an incident is kept and shown, and what waits to be told is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sluiceway.alerts import incidents
from sluiceway.cli import alerts as command
from sluiceway.cli import console
from tests.alerts.conftest import Alerts, declare
from tests.alerts.ledgered import HOUR, Query, finished, later
from tests.alerts.sinks import SECRET, HttpSink
from tests.stand_ins.web_service import Reply

MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC"


@pytest.fixture
def number(alerts: Alerts, warehouse_url: str, query: Query) -> str:
    """Of an incident that is open."""
    finished(warehouse_url, "r1", "failed", "failed")
    assert alerts("run").exit_code == 0
    return str(query("SELECT id FROM etl.incident")[0][0])


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who types, changed in place."""
    names = ["ana"]
    monkeypatch.setattr(command, "who", lambda: names[0])
    return names


def test_a_message_that_waits_for_its_next_try_is_said_with_its_reason(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query
) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    sink.faults = [Reply(status=503, body=SECRET)]
    waits = rf"1 incident waits to be told to team \(on_call\), next at {MOMENT}: on_call was not told: .*503"
    failed = alerts("run")
    assert failed.exit_code == 1 and re.search(waits, failed.stderr)
    quiet = alerts("run")
    assert (quiet.exit_code, quiet.stdout) == (1, "1 incident is open; 0 messages sent.\n"), "somebody does not know"
    assert re.fullmatch("error: " + waits + r".*\n", quiet.stderr) and SECRET not in quiet.stderr
    as_json = alerts("run", "--json")
    assert (as_json.exit_code, as_json.stderr) == (1, quiet.stderr)
    (waiting,) = json.loads(as_json.stdout)["waiting"]
    assert (waiting["alert"], waiting["channel"], waiting["messages"]) == ("team", "on_call", 1)
    assert "503" in waiting["error"] and waiting["next_at"].endswith("+00:00")
    later(query, HOUR)
    told = alerts("run")
    assert (told.exit_code, told.stderr) == (0, "")


def test_nothing_waits_of_what_nobody_is_told_any_more(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query, deployment: Path
) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    sink.faults = [Reply(status=503)]
    alerts("run")
    number = str(query("SELECT id FROM etl.incident")[0][0])
    declare(deployment, 'tell_of = ["stale"]')
    (deployment / "alerts.toml").write_text((deployment / "alerts.toml").read_text().replace("team", "crew"))
    assert alerts("run").stderr == "", "that alert is gone"
    declare(deployment, 'tell_of = ["red"]')
    alerts("snooze", number, "--for", "2h")
    snoozed = query("SELECT to_char(snoozed_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM etl.incident")[0][0]
    assert f"next at {snoozed}" in alerts("run").stderr
    alerts("acknowledge", number)
    assert alerts("run").stderr == ""


def test_what_another_teller_holds_is_said_to_be_its(alerts: Alerts, number: str, query: Query) -> None:
    query(
        "UPDATE etl.notice SET told_at = NULL, last_told_at = NULL, claim = gen_random_uuid(), "
        "claimed_until = clock_timestamp() + '90 s'"
    )
    said = alerts("run").stderr
    assert re.fullmatch(
        rf"1 incident waits to be told to team \(on_call\), next at {MOMENT}: another process is telling it\n", said
    )


@pytest.mark.parametrize("width", [200, 100, 40])
def test_the_list_shows_who_takes_care_what_they_said_and_until_when_it_is_snoozed(
    width: int, alerts: Alerts, number: str, person: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts("snooze", number, "--for", "2h")
    (incident,) = json.loads(alerts("list", "--json").stdout)["incidents"]
    until = incident["snoozed_until"][:16].replace("T", " ")
    monkeypatch.setattr(console.out, "_width", width)
    monkeypatch.setattr(console.out, "_force_terminal", True)
    assert until in alerts("list").stdout and "acknowledged" not in alerts("list").stdout
    alerts("acknowledge", number, "--note", "the vendor knows")
    shown = " ".join(alerts("list").stdout.split())
    for part in ("acknowledged by", "ana", "note", "the vendor knows", "snoozed until", until):
        assert part in shown, part


def test_a_second_acknowledgement_keeps_the_first(alerts: Alerts, number: str, person: list[str], query: Query) -> None:
    first = alerts("acknowledge", number, "--note", "the vendor knows")
    assert first.stdout == f"Incident {number} is acknowledged by ana.\n"
    person[:] = ["bob"]
    second = alerts("acknowledge", number, "--note", "back at\n noon")
    assert re.fullmatch(
        rf"Incident {number} is acknowledged by ana since {MOMENT}; what bob says is noted, too.\n", second.stdout
    )
    (who, note) = query("SELECT acknowledged_by, acknowledged_note FROM etl.incident")[0]
    assert who == "ana"
    assert re.fullmatch(rf"the vendor knows\nbob, {MOMENT}: back at noon", note)
    person[:] = ["eve"]
    third = alerts("acknowledge", number)
    assert re.fullmatch(
        rf"Incident {number} is acknowledged by ana since {MOMENT}; that eve takes care of it is noted, too.\n",
        third.stdout,
    )
    assert re.search(rf"noon\neve, {MOMENT}$", query("SELECT acknowledged_note FROM etl.incident")[0][0])


def test_an_acknowledgement_that_says_nothing_new_leaves_no_line(
    alerts: Alerts, number: str, person: list[str], query: Query
) -> None:
    alerts("acknowledge", number)
    again = alerts("acknowledge", number)
    nothing = rf"Incident {number} is acknowledged by ana since {MOMENT}, and there is nothing new to note.\n"
    assert re.fullmatch(nothing, again.stdout)
    assert query("SELECT acknowledged_note FROM etl.incident") == [(None,)]
    person[:] = ["bob"]
    alerts("acknowledge", number)
    assert re.fullmatch(nothing, alerts("acknowledge", number).stdout)
    assert query("SELECT acknowledged_note ~ E'^bob, [^\n]+ UTC$' FROM etl.incident") == [(True,)]
    assert json.loads(alerts("acknowledge", number, "--json").stdout)["acknowledged_by"] == "ana"


def test_since_when_is_said_to_be_since_when_it_is_seen(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query
) -> None:
    finished(warehouse_url, "r1", "failed", "failed", ago=3 * HOUR)
    alerts("run")
    (opened,) = query("SELECT to_char(opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM etl.incident")[0]
    head, row = alerts("list").stdout.splitlines()[1:3]
    assert row[head.index("seen since (UTC)") :].startswith(opened)
    assert f"Seen since: {opened} UTC (0 s)" in sink.arrived()[0].body
    finished(warehouse_url, "r2", "success", "loaded", ago=HOUR)
    alerts("run")
    assert "It was seen for " in sink.arrived()[1].body


def test_a_note_that_is_too_long_or_cannot_be_shown_is_refused_and_nothing_is_noted(
    alerts: Alerts, number: str, person: list[str], query: Query
) -> None:
    for note, why in (
        ("x" * (incidents.LONGEST_NOTE + 1), "A note has at most 500 characters, and this one has 501"),
        ("red \x1b[31m", "A note has letters, digits and signs that can be shown"),
    ):
        refused = alerts("acknowledge", number, "--note", note)
        assert refused.exit_code == 2 and why in " ".join(refused.stderr.split())
    assert query("SELECT acknowledged_at FROM etl.incident") == [(None,)]
    for _ in range(20):
        last = alerts("acknowledge", number, "--note", "x" * incidents.LONGEST_NOTE)
    assert last.exit_code == 2
    assert f"The notes of incident {number} are full" in " ".join(last.stderr.split())
    (kept,) = query("SELECT acknowledged_note FROM etl.incident")[0]
    assert incidents.LONGEST_NOTES - 600 < len(kept) <= incidents.LONGEST_NOTES


def test_a_snooze_of_what_is_acknowledged_says_that_the_acknowledgement_stays(
    alerts: Alerts, number: str, person: list[str]
) -> None:
    assert re.fullmatch(
        rf"Nobody is told of incident {number} until {MOMENT}, unless it recovers before.\n",
        alerts("snooze", number, "--for", "1h").stdout,
    )
    alerts("acknowledge", number)
    said = alerts("snooze", number, "--for", "2h").stdout
    assert said == (
        f"Incident {number} stays acknowledged by ana: nobody is told of it until it has recovered, however long it is "
        f"snoozed.\n"
    )
