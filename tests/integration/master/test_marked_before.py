"""What people do to a run that waits for its turn, on a real Airflow and PostGIS: it has no row yet, or an old one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import psycopg
import pytest

from sluiceway.ledger.store import Run
from tests.integration.deployment import DAG_ID, Deployment

HELD = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'sluiceway load {}' AND wait_event_type = 'Lock'"


@contextmanager
def waiting(deployment: Deployment, table: str = "t02") -> Iterator[None]:
    """Whatever is enqueued or cleared waits for as long as the block lasts: the run before it is held in its load.

    :param table: what it loads.
    """
    if deployment.query(f"SELECT to_regclass('{table}') IS NULL") == [(True,)]:
        deployment.run(tables=[table])
    with psycopg.connect(deployment.stack.warehouse_url) as blocker:
        blocker.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        before = deployment.trigger(tables=[table], force=True)
        deployment.until(lambda: deployment.query(HELD.format(table)) or None, said=lambda: deployment.shown(before))
        yield
        blocker.rollback()
    assert deployment.wait(before) == "success"


class Runs(NamedTuple):
    """Runs of t01, by what was done to each while it waited."""

    failed: str
    """It was marked failed."""
    opened_failed: str
    """Its first task was."""
    validated: str
    """What comes before publishing was marked success."""
    opened: str
    """Its first task was."""
    all_good: str
    """Its first task was, with all that comes after it."""


@pytest.fixture(scope="module")
def marked(_running: Deployment) -> Runs:
    two = _running
    assert two.state(two.run(tables=["t01", "t02"])) == "success"
    with waiting(two):
        runs = Runs(*(two.trigger(f"marked__{name}", tables=["t01"], force=True) for name in Runs._fields))
        two.api.patch(f"dags/{DAG_ID}/dagRuns/{runs.failed}", {"state": "failed"})
        two.mark(runs.opened_failed, "opened", "failed")
        two.mark(runs.validated, "final.validate", "success")
        two.mark(runs.opened, "opened", "success")
        path = f"dags/{DAG_ID}/dagRuns/{runs.all_good}/taskInstances/opened"
        two.api.patch(path, {"new_state": "success", "include_downstream": True})
    for run_id in runs:
        two.wait(run_id)
    return runs


def judged(deployment: Deployment, run_id: str) -> Run:
    """The run's row, once it has ended."""

    def found() -> Run | None:
        rows = deployment.query(f"SELECT finished_at FROM etl.run WHERE run_id = '{run_id}' AND dag_id = '{DAG_ID}'")
        return deployment.ledger(run_id)[0] if rows and rows[0][0] else None

    return deployment.until(found)


def page(deployment: Deployment, run_id: str, *, as_json: bool = False) -> str:
    accepted = {"Accept": "application/json"} if as_json else {}
    answer = httpx.get(
        f"{deployment.stack.url}/sluiceway/runs/{DAG_ID}/{run_id}",
        headers={"Authorization": f"Bearer {deployment.stack.token()}", **accepted},
        timeout=30,
    )
    return answer.raise_for_status().text


def test_a_run_that_was_marked_failed_is_red_although_airflow_ends_it_green(
    deployment: Deployment, marked: Runs
) -> None:
    run = judged(deployment, marked.failed)
    assert run.status == "failed" and "was never spoken" in (run.note or "")
    assert deployment.state(marked.failed) == "success", "every task of it was skipped"
    assert "Airflow shows the run as success" in (run.remark or "")
    text = page(deployment, marked.failed)
    assert "<h1>Red" in text and "the run marked failed by admin at " in text
    found = json.loads(page(deployment, marked.failed, as_json=True))
    assert (found["run_id"], found["status"]) == (marked.failed, "failed")


@pytest.mark.parametrize("how", ["opened_failed", "all_good"])
def test_a_run_of_which_no_task_began_has_a_row_and_a_page(deployment: Deployment, marked: Runs, how: str) -> None:
    run_id = getattr(marked, how)
    run = judged(deployment, run_id)
    assert (run.status, run.trigger_kind) == ("failed", "manual")
    text = page(deployment, run_id)
    state = "success" if how == "all_good" else "failed"
    assert "<h1>Red" in text and f"opened marked {state}" in text and "by admin at " in text


def test_publishing_waits_for_the_loads_whatever_was_marked_between_them(deployment: Deployment, marked: Runs) -> None:
    run = judged(deployment, marked.validated)
    assert run.status == "success" and "Marked success by hand: final.validate." in (run.note or "")
    tasks = deployment.tasks(marked.validated)
    assert tasks["final.aggregate"]["start_date"] >= tasks["sub.load_table[t01]"]["end_date"]
    assert "final.validate marked success by admin at " in page(deployment, marked.validated)


def test_a_run_whose_first_task_was_marked_stays_one_when_a_part_of_it_is_cleared(
    deployment: Deployment, marked: Runs
) -> None:
    assert judged(deployment, marked.opened).status == "success"
    deployment.clear(marked.opened, "final.aggregate")
    deployment.until(lambda: True if deployment.tasks(marked.opened)["verdict"]["try_number"] == 2 else None)
    assert deployment.wait(marked.opened) == "success"
    rows = deployment.query(f"SELECT run_id, status FROM etl.run WHERE run_id ~ '^{marked.opened}(~|$)'")
    assert rows == [(marked.opened, "success")]
    assert list(deployment.ledger(marked.opened)[1]) == ["t01"]


def test_what_was_cleared_and_marked_before_it_began_again_is_told_with_who_did_it(
    deployment: Deployment, marked: Runs
) -> None:
    run_id = deployment.run(tables=["t01"], force=True)
    with waiting(deployment):
        deployment.clear(run_id, "plan", downstream=True)
        for task, index in (("sub.load_table", 0), ("final.validate", -1), ("final.aggregate", -1)):
            deployment.mark(run_id, task, "success", index)
    deployment.wait(run_id)
    assert deployment.tasks(run_id)["sub.load_table[t01]"]["try_number"] == 1
    text = page(deployment, run_id)
    assert "<h1>Green" in text, "the table holds what the first pass loaded, and it is published"
    assert "sub.load_table[0] marked success by admin at " in text and "final.aggregate marked success" in text


def test_a_run_that_is_cleared_and_deleted_keeps_its_verdict_and_the_next_of_its_id_begins_anew(
    deployment: Deployment, marked: Runs
) -> None:
    run_id = deployment.run(tables=["t01"], force=True)
    first = judged(deployment, run_id)
    with waiting(deployment):
        deployment.clear(run_id)
        deployment.api.delete(f"dags/{DAG_ID}/dagRuns/{run_id}")
        deployment.trigger(run_id, tables=["t01"], force=True)
        _compare(deployment)
        assert judged(deployment, run_id).status == "success", "the one that waits has done nothing yet"
    assert deployment.wait(run_id) == "success"
    rows = deployment.query(
        f"SELECT run_id, status, started_at FROM etl.run WHERE starts_with(run_id, '{run_id}') ORDER BY started_at"
    )
    assert [row[1] for row in rows] == ["success", "success"]
    assert (rows[0][0].startswith(f"{run_id}~"), rows[0][2]) == (True, first.started_at)


def test_a_run_that_has_the_id_of_a_deleted_one_and_ends_before_it_begins_is_not_taken_for_that_one(
    deployment: Deployment, marked: Runs
) -> None:
    run_id = deployment.run(tables=["t01"], force=True)
    assert judged(deployment, run_id).status == "success"
    with waiting(deployment):
        deployment.api.delete(f"dags/{DAG_ID}/dagRuns/{run_id}")
        deployment.trigger(run_id, tables=["t01"], force=True)
        deployment.api.patch(f"dags/{DAG_ID}/dagRuns/{run_id}", {"state": "success"})
    assert deployment.wait(run_id) == "success", "every task of it was skipped"
    assert json.loads(page(deployment, run_id, as_json=True))["status"] == "failed"
    _compare(deployment)
    run = judged(deployment, run_id)
    assert run.status == "failed" and "was never spoken" in (run.note or "")
    assert deployment.ledger(run_id)[1] == {}
    former = deployment.query(f"SELECT status FROM etl.run WHERE run_id ~ '^{run_id}~'")
    assert former == [("success",)]


def _compare(deployment: Deployment) -> None:
    """Have run_watch look once more."""
    run: dict[str, Any] = deployment.api.trigger("run_watch", None, {})  # type: ignore[arg-type]
    deployment.wait(run["dag_run_id"], "run_watch")
