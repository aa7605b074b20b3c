"""A table whose file is wrong or goes away, on a real Airflow: it alone fails, at once and by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from sluiceway.errors import AirflowApiError
from tests.integration.deployment import DAG_ID, ROWS, Deployment

BROKEN_DAG = "table-t17__broken"
SENTENCE = "columns.id.type = 'integr': 'integr' is no column type Sluiceway loads; did you mean 'integer'?"


@contextmanager
def broken(deployment: Deployment, table: str) -> Iterator[None]:
    """The table's file is wrong for as long as the block lasts."""
    path = deployment.config / "tables" / f"{table}.toml"
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace("integer", "integr"), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(right, encoding="utf-8")


@contextmanager
def gone(deployment: Deployment, table: str) -> Iterator[None]:
    """The table has no file for as long as the block lasts, and Airflow has parsed the form without it."""
    path = deployment.config / "tables" / f"{table}.toml"
    path.rename(path.with_suffix(".gone"))
    try:
        deployment.parse(f"{DAG_ID}.py")
        deployment.until(lambda: True if table not in offered(deployment) else None)
        yield
    finally:
        path.with_suffix(".gone").rename(path)
        deployment.parse(f"{DAG_ID}.py")
        deployment.until(lambda: True if table in offered(deployment) else None)


def offered(deployment: Deployment) -> list[str]:
    """The tables that the form offers."""
    details = deployment.api.get(f"dags/{DAG_ID}/details")
    found: list[str] = details["params"]["tables"]["schema"]["items"]["enum"]
    return found


@contextmanager
def waiting_runs(deployment: Deployment) -> Iterator[None]:
    """Runs wait for as long as the block lasts."""
    deployment.api.patch(f"dags/{DAG_ID}", {"is_paused": True})
    try:
        yield
    finally:
        deployment.api.patch(f"dags/{DAG_ID}", {"is_paused": False})


@contextmanager
def waiting_loads(deployment: Deployment) -> Iterator[None]:
    """No table is loaded for as long as the block lasts."""
    pool = {key: deployment.api.get("pools/warehouse")[key] for key in ("slots", "include_deferred")}
    deployment.api.patch("pools/warehouse?update_mask=slots", {"pool": "warehouse", **pool, "slots": 0})
    try:
        yield
    finally:
        deployment.api.patch("pools/warehouse?update_mask=slots", {"pool": "warehouse", **pool})


def tries(deployment: Deployment, run_id: str) -> dict[str, int]:
    return {name: task["try_number"] for name, task in deployment.tasks(run_id).items()}


def test_a_table_whose_file_goes_away_while_its_run_waits_is_named_by_plan_at_its_first_try(
    deployment: Deployment,
) -> None:
    with waiting_runs(deployment):
        run_id = deployment.trigger(tables=["t01", "t17"])
        with gone(deployment, "t17"):
            deployment.api.patch(f"dags/{DAG_ID}", {"is_paused": False})
            assert deployment.wait(run_id) == "failed"
            with pytest.raises(AirflowApiError, match="Invalid input for param tables"):
                deployment.trigger(tables=["t17"])
    run, tables = deployment.ledger(run_id)
    assert (run.status, tables) == ("failed", {})
    assert "plan failed: UnknownTableError: There is no table 't17'; did you mean 't1" in (run.note or "")
    assert max(tries(deployment, run_id).values()) == 1


def test_a_table_whose_file_goes_away_between_plan_and_load_is_a_failed_one_at_its_first_try(
    deployment: Deployment,
) -> None:
    with ExitStack() as to_the_end:
        with waiting_loads(deployment):
            run_id = deployment.trigger(tables=["t16", "t17"], force=True)
            deployment.until(
                lambda: True if deployment.query(f"SELECT 1 FROM etl.table_run WHERE run_id = '{run_id}'") else None
            )
            to_the_end.enter_context(gone(deployment, "t17"))
        assert deployment.wait(run_id) == "failed"
    run, tables = deployment.ledger(run_id)
    assert {name: each.status for name, each in tables.items()} == {"t16": "loaded", "t17": "failed"}
    assert "1 of 2 tables failed: t17 (UnknownTableError: There is no table 't17'; did you mean" in (run.note or "")
    assert max(tries(deployment, run_id).values()) == 1


def test_of_two_tables_the_one_whose_file_is_wrong_fails_alone_and_loads_alone_once_it_is_repaired(
    deployment: Deployment,
) -> None:
    with broken(deployment, "t17"):
        run_id = deployment.run(tables=["t16", "t17"], force=True)
        run, tables = deployment.ledger(run_id)
        assert (deployment.state(run_id), run.status) == ("failed", "failed")
        assert {name: each.status for name, each in tables.items()} == {"t16": "loaded", "t17": "failed"}
        assert "1 of 2 tables failed: t17 (ConfigError: " in (run.note or "") and SENTENCE in (run.note or "")
        assert max(tries(deployment, run_id).values()) == 1
    deployment.api.retry(DAG_ID, run_id)
    deployment.until(lambda: True if deployment.ledger(run_id)[0].status == "success" else None)
    assert deployment.wait(run_id) == "success"
    assert {name: tries(deployment, run_id)[f"sub.load_table[{name}]"] for name in ("t16", "t17")} == {
        "t16": 1,
        "t17": 2,
    }
    assert deployment.query("SELECT count(*) FROM t17") == [(ROWS,)]


def test_a_run_of_a_broken_table_alone_is_red_and_says_why(deployment: Deployment) -> None:
    with broken(deployment, "t17"):
        run_id = deployment.run(tables=["t17"])
    run, tables = deployment.ledger(run_id)
    assert (deployment.state(run_id), run.status, list(tables)) == ("failed", "failed", ["t17"])
    assert SENTENCE in (run.note or "")


def test_a_broken_file_is_shown_by_a_dag_before_any_run_and_no_longer_once_it_is_repaired(
    deployment: Deployment,
) -> None:
    def parsed(dag_id: str) -> bool:
        deployment.touch("tables.py")
        found = deployment.metadata("SELECT is_stale FROM dag WHERE dag_id = %s", dag_id)
        return bool(found) and not found[0]["is_stale"]

    with broken(deployment, "t17"):
        deployment.until(lambda: True if parsed(BROKEN_DAG) else None)
        assert SENTENCE in deployment.api.get(f"dags/{BROKEN_DAG}/details")["doc_md"]
    deployment.until(lambda: None if parsed(BROKEN_DAG) else True)
