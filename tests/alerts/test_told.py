"""Who is told of what and how often, through a real Apprise to a real HTTP server and a real SMTP server."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg import sql

from sluiceway.alerts import incidents, notices
from sluiceway.alerts.spec import read_alerts
from sluiceway.alerts.watch import surroundings, watch
from sluiceway.ledger.warehouse import connect
from sluiceway.settings import load_settings
from tests.alerts.conftest import TABLES, Alerts, connection, declare
from tests.alerts.ledgered import HOUR, Query, finished, later
from tests.alerts.sinks import SECRET, HttpSink, MailSink
from tests.freshness.ledgered import ran
from tests.stand_ins.web_service import Reply


def ok(alerts: Alerts) -> str:
    result = alerts("run")
    assert result.exit_code == 0, result.output
    return result.stdout


def test_twenty_failures_of_one_cause_are_one_message_and_one_recovery(
    alerts: Alerts, sink: HttpSink, warehouse_url: str
) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    assert ok(alerts) == "1 incident is open; 1 message sent.\n"
    (message,) = sink.arrived()
    assert message.subject == "master_etl is red (city_01, city_02, city_03 and 17 more)"
    assert "master_etl/r1 is failed: 20 of 20 tables failed." in message.body
    assert "Cause: EmptyExtractionError: the source gave no rows" in message.body
    assert "Run: https://airflow.example.org/sluiceway/runs/master_etl/r1" in message.body
    assert message.kind == "failure"

    for number in range(2, 20):
        finished(warehouse_url, f"r{number}", "failed", "failed", ago=timedelta(minutes=60 - number))
        assert ok(alerts) == "1 incident is open; 0 messages sent.\n"

    finished(warehouse_url, "r20", "success", "loaded", ago=timedelta(minutes=1))
    assert ok(alerts) == "No incident is open; 1 message sent.\n"
    assert ok(alerts) == "No incident is open; 0 messages sent.\n"
    _, recovery = sink.arrived()
    assert recovery.subject == "recovered: master_etl is red (city_01, city_02, city_03 and 17 more)"
    assert recovery.kind == "success"
    assert "It has recovered." in recovery.body


def test_twenty_runs_red_by_one_cause_are_one_message(alerts: Alerts, sink: HttpSink, warehouse_url: str) -> None:
    for number, name in enumerate(TABLES):
        ran(warehouse_url, "r1", ago=HOUR, dag_id=f"flow_{number:02}", status="failed", note="red", **{name: "failed"})
    ok(alerts)
    (message,) = sink.arrived()
    assert message.subject.startswith("flow_00, flow_01, flow_02 and 17 more are red (city_01, ")
    for number, name in enumerate(TABLES[:-1]):
        ran(warehouse_url, "r2", ago=timedelta(0), dag_id=f"flow_{number:02}", **{name: "loaded"})
    ok(alerts)
    assert len(sink.arrived()) == 1  # the last one is still red
    ran(warehouse_url, "r2", ago=timedelta(0), dag_id="flow_19", **{TABLES[-1]: "loaded"})
    ok(alerts)
    assert [each.kind for each in sink.arrived()] == ["failure", "success"]


def test_twenty_promises_that_break_because_no_run_comes_are_one_message(
    alerts: Alerts, sink: HttpSink, warehouse_url: str
) -> None:
    finished(warehouse_url, "r1", "success", "loaded", ago=30 * HOUR)
    ok(alerts)
    ok(alerts)
    (message,) = sink.arrived()
    assert message.subject == "city_01, city_02, city_03 and 17 more are stale"
    assert "Cause: no run of master_etl has come in time" in message.body
    assert f"Tables: {', '.join(TABLES[:-1])} and {TABLES[-1]}\n" in message.body
    finished(warehouse_url, "r2", "success", "unchanged", ago=timedelta(0))
    ok(alerts)
    assert [each.kind for each in sink.arrived()] == ["failure", "success"]


def test_a_red_run_by_which_tables_become_stale_is_told_once(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query
) -> None:
    finished(warehouse_url, "r1", "success", "loaded", ago=23 * HOUR)
    finished(warehouse_url, "r2", "failed", "failed")
    ok(alerts)
    query("UPDATE etl.table_run SET finished_at = finished_at - interval '9 h'")
    ok(alerts)
    assert query("SELECT kinds FROM etl.incident") == [(["red", "stale"],)]
    assert len(sink.arrived()) == 1


def test_a_notifier_that_is_down_loses_none(alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    sink.faults = [Reply(status=503)]
    result = alerts("run")
    assert result.exit_code == 1
    assert "error: team: on_call was not told: " in " ".join(result.stderr.split())
    assert "503" in result.stderr
    waits = alerts("run")
    assert (waits.exit_code, waits.stdout) == (1, "1 incident is open; 0 messages sent.\n")  # its wait is not over
    later(query, timedelta(seconds=31))
    assert ok(alerts) == "1 incident is open; 1 message sent.\n"
    assert query("SELECT error FROM etl.notice") == [(None,)]
    assert len(sink.requests) == 2


def test_what_was_over_before_it_could_be_told_is_told_as_over(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query
) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    sink.faults = [Reply(status=503), Reply(status=503)]
    assert alerts("run").exit_code == 1
    finished(warehouse_url, "r2", "success", "loaded", ago=timedelta(0))
    assert alerts("run").exit_code == 1
    later(query, HOUR)
    ok(alerts)
    later(query, HOUR)
    ok(alerts)
    taken = sink.arrived()[2:]
    assert [each.kind for each in taken] == ["success"]
    assert "That it had begun could not be told." in taken[0].body


def test_two_who_tell_at_once_tell_once(deployment: Path, sink: HttpSink, warehouse_url: str) -> None:
    assert deployment.is_dir()
    finished(warehouse_url, "r1", "failed", "failed")
    sink.answer = lambda _request: Reply(waits_s=1)
    around = surroundings(warehouse_url, load_settings())
    tellers = [threading.Thread(target=watch, args=(around, read_alerts())) for _ in range(4)]
    for teller in tellers:
        teller.start()
    for teller in tellers:
        teller.join()
    assert len(sink.arrived()) == 1


def test_what_a_killed_teller_had_claimed_is_told_when_its_lease_is_over(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query
) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    sink.faults = [Reply(status=503)]
    alerts("run")
    later(query, HOUR)
    with connect(warehouse_url) as session:
        (alert,) = read_alerts().alerts.values()
        _, due = notices.claim(session, alert, "on_call", "opened", incidents.of_interest(session))
    assert len(due) == 1  # and now it is killed
    assert alerts("run").stdout == "1 incident is open; 0 messages sent.\n"
    later(query, notices.LEASE)
    assert ok(alerts) == "1 incident is open; 1 message sent.\n"


def test_what_is_acknowledged_is_told_again_only_as_recovered(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query, deployment: Path
) -> None:
    declare(deployment, 'tell_of = ["red"]\nremind_every = "4h"')
    finished(warehouse_url, "r1", "failed", "failed")
    ok(alerts)
    later(query, 5 * HOUR)
    ok(alerts)
    assert [each.subject[:7] for each in sink.arrived()] == ["master_", "still: "]
    (number,) = query("SELECT id FROM etl.incident")[0]
    assert "is acknowledged by" in alerts("acknowledge", str(number), "--note", "the vendor knows").stdout
    later(query, 5 * HOUR)
    ok(alerts)
    assert len(sink.arrived()) == 2
    finished(warehouse_url, "r2", "success", "loaded", ago=timedelta(0))
    ok(alerts)
    assert [each.kind for each in sink.arrived()] == ["failure", "failure", "success"]
    assert query("SELECT acknowledged_note FROM etl.incident") == [("the vendor knows",)]


def test_what_is_snoozed_is_told_again_when_it_lasts(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query
) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    ok(alerts)
    (number,) = query("SELECT id FROM etl.incident")[0]
    for never, said in (("0s", "more than nothing and at most 3650 days"), ("99999999d", "the longest is 3650d")):
        refused = alerts("snooze", str(number), "--for", never)
        assert (refused.exit_code, said in refused.stderr) == (2, True)
    assert "until" in alerts("snooze", str(number), "--for", "2h").stdout
    later(query, HOUR)
    ok(alerts)
    assert len(sink.arrived()) == 1
    later(query, HOUR)
    ok(alerts)
    ok(alerts)
    assert [each.subject[:7] for each in sink.arrived()] == ["master_", "still: "]


def test_with_the_ledger_down_nothing_is_told_and_no_heartbeat_is_sent(
    alerts: Alerts, sink: HttpSink, deployment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(deployment, 'tell_of = ["red"]', 'heartbeat = "switch"')
    monkeypatch.setenv("AIRFLOW_CONN_SWITCH", json.dumps({"conn_type": "http", "password": sink.url}))
    result = alerts("run", "--warehouse", "postgresql://nobody@127.0.0.1:1/none")
    assert result.exit_code == 1
    assert "The warehouse at 127.0.0.1:1/none does not answer" in " ".join(result.stderr.split())
    assert sink.requests == []
    assert ok(alerts) == "No incident is open; 0 messages sent.\n"
    assert [(each.method, each.path) for each in sink.requests] == [("GET", f"/ping/{SECRET}")]


def test_a_heartbeat_that_is_refused_is_said_without_its_address(
    alerts: Alerts, sink: HttpSink, deployment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(deployment, 'tell_of = ["red"]', 'heartbeat = "switch"')
    monkeypatch.setenv("AIRFLOW_CONN_SWITCH", json.dumps({"conn_type": "http", "password": sink.url}))
    sink.faults = [Reply(status=404)]
    result = alerts("run")
    assert (result.exit_code, result.stderr) == (1, "error: The heartbeat was not sent: switch answered 404\n")


def test_mail_arrives(
    alerts: Alerts, mails: MailSink, sink: HttpSink, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection(monkeypatch, "on_call", mails.address, sink.address)
    finished(warehouse_url, "r1", "failed", "failed")
    assert ok(alerts) == "1 incident is open; 2 messages sent.\n"
    (mail,) = mails.arrived()
    assert mail.subject == "master_etl is red (city_01, city_02, city_03 and 17 more)"
    assert "https://airflow.example.org/sluiceway/runs/master_etl/r1" in mail.body
    assert len(sink.arrived()) == 1


@pytest.mark.parametrize("fault", ["refused", "hangs", "unknown", "gone"])
def test_no_secret_is_said_logged_or_kept(
    fault: str,
    alerts: Alerts,
    sink: HttpSink,
    warehouse_url: str,
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(0)
    address = {
        "unknown": f"slick://{SECRET}/B/{SECRET}",
        "gone": f"json://user:{SECRET}@127.0.0.1:1/hook/{SECRET}",
    }.get(fault, sink.address)
    connection(monkeypatch, "on_call", address)
    finished(warehouse_url, "r1", "failed", "failed")
    sink.answer = lambda _request: Reply(status=403, body=SECRET) if fault == "refused" else Reply(waits_s=10)
    result = alerts("run")
    assert result.exit_code == 1, result.output
    told = " ".join(result.stderr.split())
    assert "error: team: " in told
    if fault == "gone":
        assert "A Connection error occurred sending JSON notification to ***." in told
    if fault == "unknown":
        assert "there is no service slick://; did you mean 'slack'?" in told
    kept = query("SELECT error FROM etl.notice")
    everything = (result.output, str(kept), caplog.text, *capfd.readouterr())
    assert [text for text in everything if SECRET in text] == []


def test_an_address_in_what_went_wrong_shows_no_password(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query
) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    query("UPDATE etl.run SET note = 'ftp://user:hunter2@example.org does not answer'")
    ok(alerts)
    (message,) = sink.arrived()
    assert "ftp://***@example.org does not answer" in message.body


def test_only_what_is_asked_for_is_told(alerts: Alerts, sink: HttpSink, warehouse_url: str, deployment: Path) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    for keys in (
        'tell_of = ["stale"]',
        'tell_of = ["red"]\ntables = ["town_*"]',
        'tell_of = ["red"]\ndags = ["other"]',
        'tell_of = ["red"]\nafter = "10min"',
    ):
        declare(deployment, keys)
        ok(alerts)
        assert sink.arrived() == []
    declare(deployment, 'tell_of = ["red"]\ntables = ["city_0*"]')
    ok(alerts)
    assert len(sink.arrived()) == 1


def test_what_is_over_before_its_time_is_never_told(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, deployment: Path, query: Query
) -> None:
    declare(deployment, 'tell_of = ["red"]\nafter = "10min"')
    finished(warehouse_url, "r1", "failed", "failed")
    ok(alerts)
    finished(warehouse_url, "r2", "success", "loaded", ago=timedelta(0))
    ok(alerts)
    later(query, HOUR)
    ok(alerts)
    assert sink.arrived() == []


def test_a_look_that_is_older_than_the_last_settles_nothing(
    alerts: Alerts, warehouse_url: str, query: Query, sink: HttpSink
) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    ok(alerts)
    query("UPDATE etl.alert_look SET looked_at = looked_at + interval '1 h'")
    finished(warehouse_url, "r2", "success", "loaded", ago=timedelta(0))
    assert ok(alerts) == "1 incident is open; 0 messages sent.\n"
    assert len(sink.arrived()) == 1


def test_list_says_what_is_wrong_and_what_could_not_be_told(alerts: Alerts, sink: HttpSink, warehouse_url: str) -> None:
    assert alerts("list").stdout == "Nobody has looked yet.\n"
    finished(warehouse_url, "r1", "failed", "failed")
    sink.faults = [Reply(status=503)]
    alerts("run")
    shown = alerts("list").stdout
    assert "master_etl is red (city_01, city_02, city_03 and 17 more)" in shown
    assert "Not told so far: 1 incident waits to be told to team (on_call), next at " in shown
    assert " UTC: on_call was not told: " in shown
    document = json.loads(alerts("list", "--json").stdout)
    (incident,) = document["incidents"]
    assert (incident["state"], incident["kinds"], incident["run_id"]) == ("open", ["red"], "r1")
    assert document["not_told"][0]["alert"] == "team"


def test_an_incident_that_is_not_there_is_refused_with_those_that_are(
    alerts: Alerts, warehouse_url: str, query: Query
) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    alerts("run")
    (number,) = query("SELECT id FROM etl.incident")[0]
    result = alerts("acknowledge", str(number + 1))
    assert (result.exit_code, result.stderr) == (
        2,
        f"error: There is no incident {number + 1}; open are: {number}.\n",
    )
    query("UPDATE etl.incident SET recovered_at = clock_timestamp()")
    assert "has recovered at" in alerts("snooze", str(number), "--for", "2h").stderr


def test_test_sends_one_message(alerts: Alerts, sink: HttpSink, query: Query) -> None:
    assert alerts("test", "team").stdout == "team was told, by on_call.\n"
    assert [each.subject for each in sink.arrived()] == ["test of the alert team"]
    assert json.loads(alerts("test", "team", "--json").stdout) == {"alert": "team", "channels": ["on_call"]}
    assert query("SELECT count(*) FROM etl.notice") == [(0,)]
    result = alerts("test", "taem")
    assert (result.exit_code, result.stderr) == (2, "error: There is no alert 'taem'; did you mean 'team'?\n")


def test_a_notifier_of_airflow_is_left_to_airflow_and_said_so(
    alerts: Alerts, warehouse_url: str, deployment: Path, query: Query
) -> None:
    (deployment / "alerts.toml").write_text(
        '[alerts.team]\ntell_of = ["red"]\nnotifier = "a.module.Notifier"\narguments = { text = "{body}" }\n'
    )
    finished(warehouse_url, "r1", "failed", "failed")
    result = alerts("run")
    assert result.exit_code == 0
    assert "only Airflow tells by it" in " ".join(result.stderr.split())
    assert query("SELECT count(*) FROM etl.notice") == [(0,)]


def test_a_connection_that_is_not_there_is_kept_as_the_reason_and_told_once_it_is(
    alerts: Alerts, sink: HttpSink, warehouse_url: str, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_ON_CALL")
    finished(warehouse_url, "r1", "failed", "failed")
    result = alerts("run")
    assert result.exit_code == 1
    assert "There is no connection 'on_call'" in " ".join(result.stderr.split())
    connection(monkeypatch, "on_call", sink.address)
    later(query, HOUR)
    assert ok(alerts) == "1 incident is open; 1 message sent.\n"


def test_forgetting_takes_what_recovered_long_ago(warehouse_url: str, alerts: Alerts, query: Query) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    ok(alerts)
    with connect(warehouse_url) as session:
        assert incidents.forget(session, older_than_days=1) == 0
        session.execute(sql.SQL("UPDATE etl.incident SET recovered_at = clock_timestamp() - interval '2 days'"))
        assert incidents.forget(session, older_than_days=1) == 1
    assert query("SELECT count(*) FROM etl.notice") == [(0,)]
