"""Whether the first task of a run opens its ledger row; what a whole run does is tested on a real Airflow."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from sluiceway.on_airflow.graphs.refresh_tasks import opened

KEY = RunKey("master_etl", "r1")


def context(verdict: str | None, try_number: int = 1, clear_number: int = 0) -> Any:
    """What Airflow gives a task of a run whose verdict has that state."""
    run = SimpleNamespace(
        **KEY._asdict(),
        conf={},
        run_type=SimpleNamespace(value="manual"),
        run_after=datetime(2026, 8, 3, tzinfo=UTC),
        clear_number=clear_number,
    )
    states = {"r1": {"verdict": verdict, "plan": "success", "final.aggregate": None, "final.validate": "scheduled"}}
    return {"dag_run": run, "ti": SimpleNamespace(try_number=try_number, get_task_states=lambda **_of: states)}


@pytest.mark.parametrize(
    ("verdict", "expected"), [(None, "running"), ("scheduled", "running"), ("success", "failed"), ("failed", "failed")]
)
def test_a_row_is_opened_again_only_where_a_verdict_will_close_it(
    verdict: str | None, expected: str, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Airflow adds the task to a run of the release before when anything of that run is cleared
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse_url.replace("postgresql:", "postgres:"))
    with connect(warehouse_url) as session:
        store.open_run(session, KEY, None, "manual")
        store.close_run(session, KEY, "failed", "no")
    opened(context(verdict))
    with connect(warehouse_url) as session:
        (run,) = store.runs(session, run_id="r1", dag_id="master_etl")
    assert run.status == expected


def test_a_new_run_is_opened(warehouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse_url.replace("postgresql:", "postgres:"))
    assert opened(context(None)) == "opened"
    with connect(warehouse_url) as session:
        assert store.run(session, KEY) is not None


def test_the_first_try_begins_a_run_anew_that_has_the_id_of_a_deleted_one_and_a_later_try_goes_on(
    warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse_url.replace("postgresql:", "postgres:"))
    # a first task that was marked before it began has its first try when a part of the run is cleared
    for try_number, clear_number, runs in ((1, 0, 1), (2, 0, 1), (1, 1, 1), (1, 0, 2), (2, 1, 2)):
        opened(context(None, try_number, clear_number))
        with connect(warehouse_url) as session:
            assert len(store.runs(session)) == runs


def test_a_run_that_is_opened_again_knows_what_has_still_to_begin(
    warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse_url.replace("postgresql:", "postgres:"))
    for clear_number, pending in ((0, None), (1, ["verdict", "final.aggregate", "final.validate"])):
        opened(context(None, clear_number=clear_number))
        with connect(warehouse_url) as session:
            run = store.run(session, KEY)
        assert run is not None and run.opened_at is not None
        assert run.pending == pending
