"""The run-colour table, row by row, on a real Airflow and a real PostGIS."""

from __future__ import annotations

import os
import signal
import time

import httpx
import psutil
import psycopg
import pytest

from sluiceway.errors import AirflowApiError
from tests.integration.deployment import DAG_ID, ROWS, Deployment, csv_of, name_of
from tests.integration.master.conftest import HURRIED_DAG_ID, TABLES
from tests.integration.waiting_load import waiting_load

SHA = "0123456789abcdef0123456789abcdef01234567"
ALL = [name_of(number) for number in range(1, TABLES + 1)]


@pytest.fixture
def loaded(deployment: Deployment) -> Deployment:
    """All twenty tables stand in the warehouse, from a green run."""
    if not deployment.query("SELECT 1 FROM pg_class WHERE relname = 't20'"):
        run_id = deployment.run(commit_sha=SHA)
        assert deployment.state(run_id) == "success"
    return deployment


def test_a_run_that_loads_every_table_is_green_and_on_the_ledger(deployment: Deployment) -> None:
    run_id = deployment.run(commit_sha=SHA, force=True)
    run, tables = deployment.ledger(run_id)
    assert (deployment.state(run_id), run.status, run.commit_sha) == ("success", "success", SHA)
    assert run.finished_at is not None
    assert sorted(tables) == ALL
    for table in tables.values():
        assert (table.status, table.extracted) == ("loaded", ROWS)
        assert table.extracted == table.inserted + table.updated + table.unchanged + table.rejected
    assert deployment.published() == [(sum(range(1, ROWS + 1)), f"v{ROWS - 1}")]


def test_mapped_tasks_show_the_names_of_their_tables(loaded: Deployment) -> None:
    run_id = loaded.run(tables=["t01", "t02"])
    assert {"sub.load_table[t01]", "sub.load_table[t02]"} <= set(loaded.tasks(run_id))


def test_unchanged_sources_make_a_green_run_that_writes_nothing(loaded: Deployment) -> None:
    some = ["t01", "t02", "t03"]
    loaded.run(tables=some)
    before = loaded.query("SELECT xmin::text FROM t01")
    run_id = loaded.run(tables=some)
    _, tables = loaded.ledger(run_id)
    assert loaded.state(run_id) == "success"
    assert {name: table.status for name, table in tables.items()} == dict.fromkeys(some, "unchanged")
    assert loaded.query("SELECT xmin::text FROM t01") == before


def test_one_broken_table_of_twenty_leaves_the_others_loaded_and_publishes_nothing(loaded: Deployment) -> None:
    published = loaded.published()
    for name in ALL:
        loaded.source(name, csv_of(ROWS, value="new"))
    loaded.source("t07", "id,value\n")
    run_id = loaded.run()
    run, tables = loaded.ledger(run_id)
    tasks = loaded.tasks(run_id)
    assert (loaded.state(run_id), run.status) == ("failed", "failed")
    assert "1 of 20 tables failed: t07 (EmptyExtractionError: t07: the source gave no rows" in (run.note or "")
    assert [name for name, table in tables.items() if table.status != "loaded"] == ["t07"]
    assert loaded.query("SELECT DISTINCT value FROM t08 WHERE id = 1") == [("new1",)]
    assert loaded.query("SELECT DISTINCT value FROM t07 WHERE id = 1") == [("v1",)]
    assert loaded.published() == published
    loads = [task for name, task in tasks.items() if name.startswith("sub.load_table")]
    assert max(task["end_date"] for task in loads) <= tasks["verdict"]["start_date"], "the verdict waits for all"
    assert tasks["sub.load_table[t07]"]["try_number"] == 1, "an empty extraction is not retried"
    states = {name: tasks[name]["state"] for name in ("final.validate", "final.aggregate", "verdict")}
    assert states == {
        "final.validate": "upstream_failed",
        "final.aggregate": "upstream_failed",
        "verdict": "failed",
    }


def test_after_a_repair_retry_runs_only_the_failed_table_and_what_follows(loaded: Deployment) -> None:
    loaded.source("t03", "id,value\n")
    run_id = loaded.run(tables=["t02", "t03", "t04"], force=True)
    assert loaded.state(run_id) == "failed"
    loaded.source("t03", csv_of(ROWS, value="repaired"))
    loaded.api.retry(DAG_ID, run_id)
    loaded.until(lambda: True if loaded.state(run_id) == "success" else None)
    tasks = loaded.tasks(run_id)
    tries = {name: tasks[f"sub.load_table[{name}]"]["try_number"] for name in ("t02", "t03", "t04")}
    assert tries == {"t02": 1, "t03": 2, "t04": 1}
    assert tasks["plan"]["try_number"] == 1
    run, tables = loaded.ledger(run_id)
    assert (run.status, {table.status for table in tables.values()}) == ("success", {"loaded"})
    assert loaded.query("SELECT value FROM t03 WHERE id = 1") == [("repaired1",)]


def test_final_can_be_repeated_alone(loaded: Deployment) -> None:
    run_id = loaded.run(tables=["t01"])
    loaded.query("UPDATE t01 SET value = 'by hand' WHERE id = 1")
    final = ["final.validate", "final.aggregate"]
    loaded.api.post(
        f"dags/{DAG_ID}/clearTaskInstances",
        {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": final,
            "only_failed": False,
            "include_downstream": True,
            "reset_dag_runs": True,
        },
    )
    loaded.until(lambda: True if loaded.query("SELECT 1 FROM published WHERE value = 'by hand'") else None)
    assert loaded.wait(run_id) == "success"
    tasks = loaded.tasks(run_id)
    assert tasks["sub.load_table[t01]"]["try_number"] == 1
    assert {tasks[name]["try_number"] for name in [*final, "verdict"]} == {2}
    loaded.source("t01", csv_of(ROWS))


def test_a_shrunk_source_is_red(loaded: Deployment) -> None:
    loaded.run(tables=["t05"], force=True)
    loaded.source("t05", csv_of(ROWS // 2))
    run_id = loaded.run(tables=["t05"])
    run, tables = loaded.ledger(run_id)
    assert (run.status, tables["t05"].error_type) == ("failed", "ShrunkExtractionError")
    assert loaded.query("SELECT count(*) FROM t05") == [(ROWS,)]


def test_a_missing_column_is_red_and_names_the_nearest(loaded: Deployment) -> None:
    loaded.source("t06", csv_of(ROWS).replace("value", "values"))
    run_id = loaded.run(tables=["t06"])
    run, tables = loaded.ledger(run_id)
    assert (run.status, tables["t06"].error_type) == ("failed", "SchemaDriftError")
    assert "column 'value' is missing; did you mean 'values'?" in (tables["t06"].error or "")


def test_rejects_beyond_the_limit_are_red_and_each_has_its_reason(loaded: Deployment) -> None:
    loaded.source("t09", csv_of(ROWS) + "x,bad\n")
    run_id = loaded.run(tables=["t09"])
    run, tables = loaded.ledger(run_id)
    assert (run.status, tables["t09"].error_type, tables["t09"].rejected) == ("failed", "TooManyRejectsError", 1)
    assert loaded.query(f"SELECT row_number, reason FROM etl.reject WHERE run_id = '{run_id}'") == [
        (ROWS + 1, "id: 'x' is no integer")
    ]


def test_a_missing_source_is_red(loaded: Deployment) -> None:
    source = loaded.config / "tables" / "t10.csv"
    source.rename(source.with_suffix(".away"))
    run_id = loaded.run(tables=["t10"])
    source.with_suffix(".away").rename(source)
    run, tables = loaded.ledger(run_id)
    assert (run.status, tables["t10"].error_type) == ("failed", "SourceMissingError")
    assert "pre.check_sources failed: SourceMissingError: t10" in (run.note or "")


def test_a_killed_task_leaves_nothing_half_written_and_its_retry_loads_all(loaded: Deployment) -> None:
    loaded.source("t11", csv_of(ROWS, value="after"))
    with psycopg.connect(loaded.stack.warehouse_url) as blocker:
        # the load waits for this lock inside its transaction, where it is killed
        blocker.execute("LOCK TABLE t11 IN ACCESS EXCLUSIVE MODE")
        run_id = loaded.trigger(tables=["t11"])
        pid = loaded.until(lambda: waiting_load(loaded))
        os.kill(pid, signal.SIGKILL)
        loaded.until(lambda: True if waiting_load(loaded) != pid else None)
        blocker.rollback()
    assert loaded.wait(run_id) == "success"
    run, tables = loaded.ledger(run_id)
    assert (run.status, tables["t11"].status, tables["t11"].updated) == ("success", "loaded", ROWS)
    assert loaded.tasks(run_id)["sub.load_table[t11]"]["try_number"] >= 2
    assert loaded.query("SELECT count(*) FROM t11 WHERE value LIKE 'after%'") == [(ROWS,)]


def test_a_load_ends_with_its_supervisor(loaded: Deployment) -> None:
    """As an orphan it could commit what nobody hears of, beside the next try."""
    with psycopg.connect(loaded.stack.warehouse_url) as blocker:
        blocker.execute("LOCK TABLE t16 IN ACCESS EXCLUSIVE MODE")
        run_id = loaded.trigger(tables=["t16"], force=True)
        load = psutil.Process(loaded.until(lambda: waiting_load(loaded)))
        os.kill(load.ppid(), signal.SIGKILL)
        loaded.until(lambda: True if not load.is_running() else None)
        blocker.rollback()
    # Airflow itself would begin the next try when it misses the heartbeat
    loaded.api.patch(f"dags/{DAG_ID}/dagRuns/{run_id}", {"state": "failed"})
    assert loaded.wait(run_id) == "failed"


def test_a_warehouse_that_breaks_off_is_tried_again(loaded: Deployment) -> None:
    loaded.source("t12", csv_of(ROWS, value="again"))
    with psycopg.connect(loaded.stack.warehouse_url) as blocker:
        blocker.execute("LOCK TABLE t12 IN ACCESS EXCLUSIVE MODE")
        run_id = loaded.trigger(tables=["t12"])
        loaded.until(lambda: waiting_load(loaded))
        blocker.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sluiceway load%'"
        )
        blocker.rollback()
    assert loaded.wait(run_id) == "success"
    assert loaded.tasks(run_id)["sub.load_table[t12]"]["try_number"] == 2
    assert loaded.query("SELECT value FROM t12 WHERE id = 1") == [("again1",)]


def test_of_two_posts_in_a_row_the_second_waits_for_the_first(loaded: Deployment) -> None:
    first, second = loaded.trigger(tables=ALL[:5], force=True), loaded.trigger(tables=["t01"])
    together = 0
    while loaded.state(first) not in {"success", "failed"}:
        together += loaded.state(second) == "running" and loaded.state(first) == "running"
        time.sleep(0.1)
    assert loaded.wait(second) == "success"
    one, two = (loaded.api.run(DAG_ID, run_id) for run_id in (first, second))
    assert together == 0
    assert one["end_date"] <= two["start_date"]


def test_the_same_run_id_twice_is_refused(loaded: Deployment) -> None:
    run_id = loaded.run(tables=["t01"])
    with pytest.raises(AirflowApiError) as refused:
        loaded.trigger(run_id, tables=["t01"])
    assert refused.value.status == httpx.codes.CONFLICT


@pytest.mark.parametrize(
    "conf",
    [
        {"commit_sha": "main"},
        {"commit_sha": SHA[:7]},
        {"commit_sha": SHA.upper()},
        {"tables": ["nope"]},
        {"force": "no"},
    ],
    ids=str,
)
def test_a_param_that_is_not_valid_is_refused(loaded: Deployment, conf: dict[str, object]) -> None:
    with pytest.raises(AirflowApiError) as refused:
        loaded.trigger(**conf)
    assert refused.value.status == httpx.codes.BAD_REQUEST


def test_a_conf_key_that_is_no_param_is_red_and_names_the_nearest(loaded: Deployment) -> None:
    run_id = loaded.run(commit_hsa=SHA)
    run, tables = loaded.ledger(run_id)
    assert (run.status, tables) == ("failed", {})
    assert "deploy_gate failed: UnknownParamError: The run's conf has a key 'commit_hsa'" in (run.note or "")
    log = loaded.api.get(f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/deploy_gate/logs/1", full_content=True)
    assert "did you mean 'commit_sha'?" in str(log)


def test_a_run_on_a_paused_dag_waits(loaded: Deployment) -> None:
    loaded.api.patch(f"dags/{DAG_ID}", {"is_paused": True})
    try:
        run_id = loaded.trigger(tables=["t01"])
        assert loaded.api.get(f"dags/{DAG_ID}")["is_paused"] is True
        assert loaded.state(run_id) == "queued"
    finally:
        loaded.api.patch(f"dags/{DAG_ID}", {"is_paused": False})
    assert loaded.wait(run_id) == "success"


def test_a_run_that_takes_too_long_is_red_and_closed_on_the_ledger(loaded: Deployment) -> None:
    with psycopg.connect(loaded.stack.warehouse_url) as blocker:
        blocker.execute("LOCK TABLE t16 IN ACCESS EXCLUSIVE MODE")
        loaded.api.trigger(HURRIED_DAG_ID, run_id := "too-long", {"tables": ["t16"], "force": True})
        loaded.until(lambda: True if loaded.api.run(HURRIED_DAG_ID, run_id)["state"] == "failed" else None)
        blocker.rollback()
    closed = loaded.until(lambda: run if (run := loaded.ledger(run_id, HURRIED_DAG_ID)[0]).finished_at else None)
    assert closed.status == "failed"
    assert (closed.note or "").startswith("Ended before its verdict: timed out after ")
    assert "not finished: final.aggregate (cut off)" in (closed.note or "")
    assert (closed.note or "").endswith("Nothing was published.")


def test_a_run_marked_failed_by_hand_is_closed_and_the_next_goes_on(loaded: Deployment) -> None:
    with psycopg.connect(loaded.stack.warehouse_url) as blocker:
        blocker.execute("LOCK TABLE t13 IN ACCESS EXCLUSIVE MODE")
        run_id = loaded.trigger(tables=["t13"], force=True)
        loaded.until(lambda: waiting_load(loaded))
        loaded.api.patch(f"dags/{DAG_ID}/dagRuns/{run_id}", {"state": "failed"})
        blocker.rollback()
    next_run = loaded.run(tables=["t01"])
    closed = loaded.until(lambda: run if (run := loaded.ledger(run_id)[0]).finished_at else None)
    assert closed.status == "failed"
    assert "sub.load_table_0 failed: " in (closed.note or "") or "t13" in (closed.note or "")
    assert loaded.ledger(next_run)[0].status == "success"


def test_the_report_of_a_red_run_is_shown_to_a_user_and_to_nobody_else(loaded: Deployment) -> None:
    loaded.source("t14", "id,value\n")
    run_id = loaded.run(tables=["t14", "t15"])
    page = f"{loaded.stack.url}/sluiceway/runs/{DAG_ID}/{run_id}"
    assert httpx.get(page).status_code == httpx.codes.UNAUTHORIZED
    token = {"Authorization": f"Bearer {loaded.stack.token()}"}
    answer = httpx.get(page, headers=token)
    assert answer.status_code == httpx.codes.OK
    assert "t14" in answer.text and "EmptyExtractionError" in answer.text
    links = loaded.api.get(f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/verdict/links")
    assert links["extra_links"]["Report"].endswith(f"/sluiceway/runs/{DAG_ID}/{run_id}")
