"""The verdict follows the truth after any clear, retry or mark, on a real Airflow and a real PostGIS."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import psutil
import psycopg
import pytest

from tests.integration.deployment import DAG_ID, ROWS, Deployment, csv_of
from tests.integration.waiting_load import waiting_load

SLOW_S = 3
WAITING_ENDED = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name LIKE 'sluiceway load%' AND wait_event_type = 'Lock'"
)


@pytest.fixture
def two(deployment: Deployment) -> Deployment:
    """The deployment, in which t01 and t02 stand."""
    if len(deployment.query("SELECT 1 FROM pg_class WHERE relname IN ('t01', 't02')")) < 2:
        assert deployment.state(deployment.run(tables=["t01", "t02"])) == "success"
    return deployment


@contextmanager
def failing_view(deployment: Deployment, *, after_s: int = 0) -> Iterator[None]:
    """A view over t01 that cannot be made, for as long as the block lasts."""
    path = deployment.config / "sql" / "zero.sql"
    # a view may call no function that waits, but one that says of itself that it only reads
    deployment.query(
        "CREATE OR REPLACE FUNCTION nothing_after(integer) RETURNS integer STABLE LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep($1); RETURN 0; END $$"
    )
    path.write_text(
        f"-- description: Cannot be\n-- tables: t01\nSELECT id / nothing_after({after_s}) AS never FROM t01 LIMIT 1\n"
    )
    try:
        yield
    finally:
        path.unlink()


def judged(deployment: Deployment, run_id: str, status: str, *, state: str | None = None) -> str:
    """Wait until the ledger calls the run that, and Airflow too; the sentence and the remark."""

    def found() -> str | None:
        run, _ = deployment.ledger(run_id)
        is_shown = state is None or deployment.state(run_id) == state
        return f"{run.note} {run.remark or ''}" if run.status == status and run.finished_at and is_shown else None

    return deployment.until(found)


def test_only_failed_tasks_cleared_after_a_slow_view_failed_are_judged_when_the_view_has_failed_again(
    two: Deployment,
) -> None:
    published = two.published()
    two.source("t01", csv_of(ROWS, value="newer"))
    with failing_view(two, after_s=SLOW_S):
        run_id = two.run(tables=["t01"], force=True)
        assert "final.aggregate failed: WarehouseError" in judged(two, run_id, "failed", state="failed")
        two.clear(run_id, only_failed=True)
        assert two.wait(run_id) == "failed"
    tasks = two.tasks(run_id)
    assert tasks["verdict"]["try_number"] == 2
    assert tasks["verdict"]["start_date"] >= tasks["final.aggregate"]["end_date"]
    run, _ = two.ledger(run_id)
    assert (run.status, run.published_at) == ("failed", None)
    assert "division by zero" in (run.note or "") and (run.note or "").endswith("Nothing was published.")
    assert f"/runs/{run_id}/tasks/final.aggregate?try_number=2" in (run.note or "")
    assert two.published() == published


def test_one_mapped_load_cleared_alone_turns_the_run_red_when_its_source_is_empty_now_and_green_when_repaired(
    two: Deployment,
) -> None:
    run_id = two.run(tables=["t01", "t02"], force=True)
    assert two.state(run_id) == "success"
    two.source("t01", "id,value\n")
    cleared = two.clear(run_id, ("sub.load_table", two.map_index(run_id, "t01")))
    assert cleared == ["opened", "sub.load_table", "verdict"]
    assert two.wait(run_id) == "failed"
    sentence = judged(two, run_id, "failed")
    assert "1 of 2 tables failed: t01 (EmptyExtractionError" in sentence
    assert sentence.strip().endswith("What was loaded is published.")
    two.source("t01", csv_of(ROWS, value="repaired"))
    two.clear(run_id, only_failed=True)
    assert two.wait(run_id) == "failed", "what was loaded now is not published"
    assert "loaded again after the run had published: t01" in judged(two, run_id, "failed")
    two.clear(run_id, "final.aggregate")
    assert two.wait(run_id) == "success"
    assert "2 of 2 tables loaded" in judged(two, run_id, "success")


def _verdict_began(two: Deployment, run_id: str, tries: int) -> bool | None:
    return True if two.tasks(run_id)["verdict"]["try_number"] == tries else None


def test_what_was_loaded_after_publishing_stays_named_when_a_later_load_changes_nothing(two: Deployment) -> None:
    run_id = two.run(tables=["t01"], force=True)
    assert two.state(run_id) == "success"
    late = "loaded again after the run had published: t01; clear final.aggregate"
    for tries, content in ((2, csv_of(ROWS, value="late")), (3, csv_of(ROWS, value="late") + "\n")):
        two.source("t01", content)
        two.clear(run_id, ("sub.load_table", 0))
        two.until(partial(_verdict_began, two, run_id, tries))
        assert late in judged(two, run_id, "failed", state="failed")
    assert (
        two.query("SELECT value FROM t01 WHERE id = 1")
        == [("late1",)]
        != two.query("SELECT value FROM published WHERE id = 1")
    )
    two.clear(run_id, "final.aggregate")
    judged(two, run_id, "success", state="success")
    assert two.query("SELECT value FROM published WHERE id = 1") == [("late1",)]


def test_a_run_with_the_id_of_one_that_was_deleted_has_nothing_of_it(two: Deployment) -> None:
    run_id, asked_at = "deleted__1", "2026-11-28T20:00:00Z"
    _post_at(two, run_id, asked_at, tables=["t01"], force=True)
    assert two.wait(run_id) == "success"
    two.api.delete(f"dags/{DAG_ID}/dagRuns/{run_id}")
    two.source("t02", csv_of(ROWS, value="anew"))
    _post_at(two, run_id, asked_at, tables=["t02"])
    assert two.wait(run_id) == "success"
    run, tables = two.ledger(run_id)
    assert (run.status, list(tables), tables["t02"].try_number) == ("success", ["t02"], 1)
    two.clear(run_id, "verdict")
    two.until(partial(_verdict_began, two, run_id, 2))
    judged(two, run_id, "success", state="success")
    assert list(two.ledger(run_id)[1]) == ["t02"], "a part of it that runs again makes no other run of it"
    former = two.query(f"SELECT run_id, status, remark FROM etl.run WHERE run_id LIKE '{run_id}~%'")
    assert [(each[1], str(each[2])) for each in former] == [
        (
            "success",
            f"It was deleted in Airflow, where a later run has its id, {run_id}; "
            "rows that it wrote bear that id still.",
        )
    ]


def _post_at(two: Deployment, run_id: str, moment: str, **conf: object) -> None:
    two.api.post(
        f"dags/{DAG_ID}/dagRuns", {"dag_run_id": run_id, "logical_date": None, "run_after": moment, "conf": conf}
    )


def test_a_plan_that_is_cleared_and_orders_the_tables_otherwise_mixes_up_no_tries(two: Deployment) -> None:
    two.source("t01", "id,value\n")
    two.source("t02", csv_of(ROWS, value="first"))
    run_id = two.run(tables=["t01", "t02"], force=True)
    assert "1 of 2 tables failed: t01" in judged(two, run_id, "failed", state="failed")
    assert two.map_index(run_id, "t02") == 0
    two.clear(run_id, ("sub.load_table", 1))
    two.until(partial(_verdict_began, two, run_id, 2))
    assert "1 of 2 tables failed: t01" in judged(two, run_id, "failed", state="failed")
    two.source("t01", csv_of(ROWS, value="of a larger file "))
    two.clear(run_id, "plan", downstream=True)
    assert "2 of 2 tables loaded" in judged(two, run_id, "success", state="success")
    assert two.map_index(run_id, "t01") == 0
    tries = f"SELECT table_name, try_number, status FROM etl.table_run WHERE run_id = '{run_id}' AND try_number > 0"
    assert two.query(f"{tries} ORDER BY 1, 2") == [
        *(("t01", 1, "failed"), ("t01", 2, "failed"), ("t01", 3, "loaded")),
        *(("t02", 1, "loaded"), ("t02", 3, "loaded")),
    ]


def test_publishing_that_was_set_to_success_by_hand_has_not_published(two: Deployment) -> None:
    published = two.published()
    two.source("t01", csv_of(ROWS, value="unseen"))
    with failing_view(two):
        run_id = two.run(tables=["t01"], force=True)
        assert two.state(run_id) == "failed"
        two.mark(run_id, "final.aggregate", "success")
        sentence = two.until(lambda: note if "by hand" in (note := two.ledger(run_id)[0].note or "") else None)
    assert two.wait(run_id) == "failed"
    assert two.ledger(run_id)[0].status == "failed"
    assert "final.aggregate is success in Airflow, set by hand, and has not published" in sentence
    assert two.published() == published


def test_a_task_of_a_green_run_that_is_marked_failed_is_noted_within_a_minute(two: Deployment) -> None:
    run_id = two.run(tables=["t01"], force=True)
    two.mark(run_id, "sub.cleanup_history", "failed")
    sentence = judged(two, run_id, "failed")
    assert "sub.cleanup_history failed: marked so by hand" in sentence
    assert "Changed after its verdict: sub.cleanup_history success -> failed" in sentence
    two.mark(run_id, "sub.cleanup_history", "success")
    assert "1 of 1 table loaded" in judged(two, run_id, "success")


def test_a_green_run_that_is_marked_failed_is_called_what_the_warehouse_holds_and_the_mark_is_noted(
    two: Deployment,
) -> None:
    run_id = two.run(tables=["t01"], force=True)
    two.api.patch(f"dags/{DAG_ID}/dagRuns/{run_id}", {"state": "failed"})
    remark = two.until(lambda: two.ledger(run_id)[0].remark)
    assert remark.startswith("Airflow shows the run as failed")
    assert two.ledger(run_id)[0].status == "success"


def test_a_check_that_a_person_sets_to_success_lets_the_run_go_on_and_is_named(two: Deployment) -> None:
    away = two.config / "tables" / "t02.csv"
    away.rename(away.with_suffix(".away"))
    run_id = two.run(tables=["t01", "t02"])
    away.with_suffix(".away").rename(away)
    assert "pre.check_sources failed: SourceMissingError" in judged(two, run_id, "failed")
    two.mark(run_id, "pre.check_sources", "success")
    two.clear(run_id, ("sub.load_table", two.map_index(run_id, "t02")))
    two.wait(run_id)
    two.clear(run_id, only_failed=True)
    assert two.wait(run_id) == "success"
    assert "Marked success by hand: pre.check_sources." in judged(two, run_id, "success")


def test_a_load_whose_task_is_killed_at_every_try_is_named_as_killed(two: Deployment) -> None:
    two.source("t02", csv_of(ROWS, value="killed"))
    with psycopg.connect(two.stack.warehouse_url) as blocker:
        blocker.execute("LOCK TABLE t02 IN ACCESS EXCLUSIVE MODE")
        run_id = two.trigger(tables=["t02"])
        killed: set[int] = set()
        while two.state(run_id) not in {"success", "failed"}:
            if (pid := waiting_load(two)) is not None:
                killed.add(pid)
                # the task's process, with which its load's ends: that one alone the task would tell of
                load = psutil.Process(pid)
                task = load.parent()
                assert task is not None
                task.kill()
                # a load that outlives its task by a moment would tell that its session was ended
                load.wait(30)
                # a server does not see that the client is gone while it waits for the lock, and the next try would wait
                two.query(WAITING_ENDED)
            time.sleep(0.2)
        blocker.rollback()
    assert len(killed) == 3
    sentence = judged(two, run_id, "failed", state="failed")
    assert "1 of 1 table never reported: t02 (killed: its process that began" in sentence
    assert "?try_number=3" in sentence


def test_a_connection_that_is_missing_in_airflow_is_named_with_its_table(two: Deployment) -> None:
    spec = two.config / "tables" / "t02.toml"
    before = spec.read_text()
    spec.write_text(
        'description = "Of a database"\nkey = "id"\ncolumns = { id = "integer", value = "text" }\n'
        'source = { kind = "sql", connection = "nowhere", table = "t02" }\n'
    )
    try:
        run_id = two.run(tables=["t02"])
    finally:
        spec.write_text(before)
    sentence = judged(two, run_id, "failed", state="failed")
    assert "t02 (" in sentence and "nowhere" in sentence


def test_a_table_that_was_loaded_stays_loaded_when_a_second_try_finds_it_unchanged(two: Deployment) -> None:
    two.source("t02", csv_of(ROWS, value="once") + "x,reject\n")
    spec = two.config / "tables" / "t02.toml"
    before = spec.read_text()
    spec.write_text(before + "[checks]\nmax_rejects = 1\n")
    try:
        run_id = two.run(tables=["t02"])
        assert two.state(run_id) == "success"
        two.clear(run_id, ("sub.load_table", 0))
        two.until(lambda: True if two.tasks(run_id)["verdict"]["try_number"] == 2 else None)
        assert two.wait(run_id) == "success"
    finally:
        spec.write_text(before)
    _, tables = two.ledger(run_id)
    assert (tables["t02"].status, tables["t02"].updated, tables["t02"].rejected) == ("loaded", ROWS, 1)
    assert two.query(f"SELECT try_number, status FROM etl.table_run WHERE run_id = '{run_id}' ORDER BY 1") == [
        (0, "planned"),
        (1, "loaded"),
        (2, "unchanged"),
    ]
    assert two.query(f"SELECT count(*) FROM etl.reject WHERE run_id = '{run_id}'") == [(1,)]


@pytest.mark.parametrize("for_good", [False, True], ids=["a while", "good"])
def test_a_ledger_that_is_down_when_the_run_begins(two: Deployment, *, for_good: bool) -> None:
    with refused(two):
        run_id = two.trigger(tables=["t01"], force=True)
        gate = "deploy_gate"
        wanted = "failed" if for_good else "up_for_retry"
        two.until(lambda: True if (task := two.tasks(run_id).get(gate)) and task["state"] == wanted else None)
        assert two.tasks(run_id)["opened"]["state"] == "success", "a setup that fails takes the verdict with it"
    state = two.wait(run_id)
    run, _ = two.ledger(run_id)
    assert (state, run.status) == (("failed", "failed") if for_good else ("success", "success"))
    if for_good:
        assert "deploy_gate failed: it never began" in (run.note or "")


@contextmanager
def refused(deployment: Deployment) -> Iterator[None]:
    """The warehouse takes no new connection for as long as the block lasts."""
    with psycopg.connect(deployment.stack.owner_url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE warehouse CONNECTION LIMIT 0")
        try:
            yield
        finally:
            connection.execute("ALTER DATABASE warehouse CONNECTION LIMIT -1")
