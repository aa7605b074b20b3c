"""What of Airflow is told by: its connections, its notifiers, the end of a run, and the deadline of one that waits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from airflow.sdk import BaseNotifier

from sluiceway.alerts.channels import Channel
from sluiceway.alerts.model import Message
from sluiceway.alerts.spec import read_alerts
from sluiceway.errors import NotToldError, WarehouseUnavailableError
from sluiceway.ledger import store
from sluiceway.ledger.rows import RunKey
from sluiceway.ledger.warehouse import connect
from sluiceway.on_airflow.alerts import channels_of, tell_after_run
from sluiceway.on_airflow.triggers import never_began
from tests.alerts.conftest import Alerts, declare
from tests.alerts.conftest import alerts as alerts
from tests.alerts.conftest import deployment as deployment
from tests.alerts.conftest import sink as sink
from tests.alerts.sinks import HttpSink
from tests.alerts.test_told import finished
from tests.stand_ins.web_service import Reply

Query = Callable[..., list[tuple[Any, ...]]]
MESSAGE = Message(subject="city is {{ 1 + 1 }} {body}", body="because of {subject}", is_good=False)
HERE = f"{__name__}.Remembers"


class Remembers(BaseNotifier):
    """A notifier of Airflow's kind."""

    template_fields: Sequence[str] = ("text",)
    notified: ClassVar[list[str]] = []

    def __init__(self, *, text: str, fails: bool = False) -> None:
        super().__init__()
        self.text = text
        self.fails = fails

    def notify(self, _context: Any) -> None:
        """Remember it."""
        if self.fails:
            raise RuntimeError("https://hook.example.org/SECRET refused")
        self.notified.append(self.text)


@pytest.fixture
def chat(deployment: Path) -> Iterator[Callable[..., Channel]]:
    """The channel of an alert with that notifier."""
    Remembers.notified.clear()

    def make(name: str = HERE, more: str = "") -> Channel:
        (deployment / "alerts.toml").write_text(
            f'[alerts.chat]\ntell_of = ["red"]\nnotifier = "{name}"\n'
            f'arguments = {{ text = "{{subject}}: {{body}}"{more} }}\n'
        )
        (channel,) = channels_of(read_alerts().alerts["chat"])
        return channel

    yield make
    Remembers.notified.clear()


def test_a_notifier_of_airflow_is_given_the_message_as_it_is(chat: Callable[..., Channel]) -> None:
    chat().send(MESSAGE, 10)
    assert Remembers.notified == ["city is {{ 1 + 1 }} {body}: because of {subject}"]


def test_a_notifier_that_raises_is_told_without_what_it_says(chat: Callable[..., Channel]) -> None:
    with pytest.raises(NotToldError) as raised:
        chat(more=", fails = true").send(MESSAGE, 10)
    assert str(raised.value) == f"{HERE} was not told: RuntimeError"


@pytest.mark.parametrize("name", ["no.such.Notifier", f"{__name__}.NoSuch"])
def test_a_notifier_that_is_not_there_is_named(chat: Callable[..., Channel], name: str) -> None:
    with pytest.raises(NotToldError, match="there is no " + name.replace(".", r"\.")):
        chat(name).send(MESSAGE, 10)


def test_a_connection_of_airflow_is_told_by_and_its_address_masked(
    deployment: Path, sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    masked: list[str] = []
    monkeypatch.setattr("sluiceway.on_airflow.alerts.mask_secret", masked.append)
    (channel,) = channels_of(read_alerts().alerts["team"])
    channel.send(MESSAGE, 10)
    assert [each.subject for each in sink.arrived()] == [MESSAGE.subject]
    assert masked == [sink.address]
    assert deployment.is_dir()


def test_the_end_of_a_run_tells(deployment: Path, sink: HttpSink, warehouse_url: str) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    tell_after_run(warehouse_url)
    assert [each.subject for each in sink.arrived()] == ["master_etl is red (city_01, city_02, city_03 and 17 more)"]
    assert deployment.is_dir()


def test_whatever_becomes_of_the_telling_the_end_of_a_run_does_not_fail(
    deployment: Path, sink: HttpSink, warehouse_url: str, caplog: pytest.LogCaptureFixture, query: Query
) -> None:
    finished(warehouse_url, "r1", "failed", "failed")
    sink.faults = [Reply(status=500)]
    tell_after_run(warehouse_url)
    assert query("SELECT attempts, told_at FROM etl.notice") == [(1, None)]
    tell_after_run("postgresql://nobody@127.0.0.1:1/none")
    declare(deployment, 'tell_off = ["red"]')
    tell_after_run(warehouse_url)
    said = [each.message for each in caplog.records if each.levelname == "ERROR"]
    assert len(said) == 2
    assert all(each.startswith("Not all was told at the end of the run: ") for each in said)


def test_a_run_that_hangs_in_the_telling_ends_in_time(
    deployment: Path, sink: HttpSink, warehouse_url: str, monkeypatch: pytest.MonkeyPatch, query: Query
) -> None:
    monkeypatch.setattr("sluiceway.on_airflow.alerts.RUN_END_S", 2.5)
    sink.answer = lambda _request: Reply(waits_s=60, drips_s=60, body=b"never")
    finished(warehouse_url, "r1", "failed", "failed")
    tell_after_run(warehouse_url)
    assert query("SELECT told_at FROM etl.notice") == [(None,)]
    assert deployment.is_dir()


def missed(state: str = "queued") -> dict[str, Any]:
    """What Airflow gives a callback."""
    run = {
        "dag_id": "master_etl",
        "dag_run_id": "deploy__1",
        "state": state,
        "queued_at": "2026-11-29T10:04:05.000001Z",
    }
    return {"dag_run": run, "deadline": {"id": "1", "deadline_time": "2026-11-29T10:34:05Z"}}


@pytest.fixture
def late(deployment: Path, warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Calls the callback of the deadline."""
    host, _, name = warehouse_url.partition("@")[2].partition("/")
    address, _, port = host.partition(":")
    user, _, password = warehouse_url.partition("://")[2].partition("@")[0].partition(":")
    value = {
        "conn_type": "postgres",
        "host": address,
        "port": int(port or 5432),
        "login": user,
        "password": password,
        "schema": name.partition("?")[0],
    }
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(value))
    assert deployment.is_dir()
    return lambda **state: asyncio.run(never_began.tell_if_never_began(missed(**state)))  # type: ignore[arg-type]


def test_a_run_that_has_not_begun_is_told(late: Callable[..., str], sink: HttpSink) -> None:
    assert late() == "master_etl/deploy__1 has not begun; 1 told"
    (message,) = sink.arrived()
    assert message.subject == "master_etl does not begin"
    assert "master_etl/deploy__1 waits in Airflow's queue since 2026-11-29 10:04 UTC" in message.body


def test_a_run_that_has_begun_or_ended_is_not(late: Callable[..., str], sink: HttpSink, warehouse_url: str) -> None:
    assert late(state="failed") == "master_etl/deploy__1 has ended"
    with connect(warehouse_url) as session:
        store.open_run(session, RunKey("master_etl", "deploy__1"), None, "deploy")
    assert late(state="running") == "master_etl/deploy__1 has begun"
    assert sink.arrived() == []


def test_a_ledger_that_does_not_answer_is_asked_again(
    late: Callable[..., str], sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(never_began, "WAIT_S", 0.0)
    tell, left = never_began._tell, [1, 1]

    def broken(*arguments: Any) -> str:
        if left:
            left.pop()
            raise WarehouseUnavailableError("it does not answer")
        return tell(*arguments)

    monkeypatch.setattr(never_began, "_tell", broken)
    assert late().endswith("1 told")
    assert len(sink.arrived()) == 1
    left.extend([1] * never_began.TRIES)
    with pytest.raises(WarehouseUnavailableError):
        late()


def test_what_waits_for_a_notifier_of_airflow_is_told_by_airflow(
    alerts: Alerts, chat: Callable[..., Channel], warehouse_url: str
) -> None:
    chat()
    finished(warehouse_url, "r1", "failed", "failed", ago=timedelta(hours=1))
    assert "only Airflow tells by it" in " ".join(alerts("run").stderr.split())
    tell_after_run(warehouse_url)
    tell_after_run(warehouse_url)
    assert [each.partition(":")[0] for each in Remembers.notified] == [
        "master_etl is red (city_01, city_02, city_03 and 17 more)"
    ]
