"""Two DAGs may have runs of one id: each has its own row, tables and page, on a real Airflow."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.integration.deployment import DAG_ID, ROWS, Deployment, csv_of
from tests.integration.master.histories import tables_of

FIRST, SECOND = "life1", "life2"
BOTH = "SELECT a, b FROM both_tables"


@pytest.fixture
def batch(request: pytest.FixtureRequest) -> str:
    """A name for runs of this test alone."""
    return f"batch-{abs(hash(request.node.nodeid)) % 10**8}"


def started(deployment: Deployment, flow: str, batch: str) -> str:
    """The id of the flow's run of that batch, as a person starts it."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "sluiceway"), "trigger", "--flow-id", flow, "--batch-id", batch],
        env=dict(deployment.stack.env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def page(deployment: Deployment, dag_id: str, run_id: str) -> str:
    token = {"Authorization": f"Bearer {deployment.stack.token()}"}
    answer = httpx.get(f"{deployment.stack.url}/sluiceway/runs/{dag_id}/{run_id}", headers=token)
    assert answer.status_code == httpx.codes.OK
    # when it was made stands in it
    return re.sub(r"\d\d:\d\d:\d\d UTC", "", answer.text)


def test_two_flows_whose_runs_have_one_id_have_a_row_and_a_page_each(deployment: Deployment, batch: str) -> None:
    deployment.source(tables_of(SECOND)[0], "id,value\n")
    run_id = started(deployment, FIRST, batch)
    assert started(deployment, SECOND, batch) == run_id
    assert (deployment.wait(run_id, FIRST), deployment.wait(run_id, SECOND)) == ("success", "failed")
    one, its_tables = deployment.ledger(run_id, FIRST)
    two, other_tables = deployment.ledger(run_id, SECOND)
    assert (one.status, two.status) == ("success", "failed")
    assert (sorted(its_tables), sorted(other_tables)) == (tables_of(FIRST), tables_of(SECOND))
    assert tables_of(SECOND)[0] not in page(deployment, FIRST, run_id)
    assert tables_of(FIRST)[0] not in page(deployment, SECOND, run_id)


def test_a_run_of_master_etl_with_the_id_of_a_flows_run_leaves_that_runs_row_alone(
    deployment: Deployment, batch: str
) -> None:
    run_id = started(deployment, FIRST, batch)
    assert deployment.wait(run_id, FIRST) == "success"
    before, shown = deployment.ledger(run_id, FIRST), page(deployment, FIRST, run_id)
    deployment.source("t01", "id,value\n")
    deployment.api.trigger(DAG_ID, run_id, {"tables": ["t01"], "commit_sha": "f" * 40})
    assert deployment.wait(run_id) == "failed"
    assert deployment.ledger(run_id, FIRST) == before
    assert page(deployment, FIRST, run_id) == shown
    assert deployment.ledger(run_id)[0].commit_sha == "f" * 40


def test_a_flow_does_not_publish_what_another_dag_has_half_loaded(deployment: Deployment, batch: str) -> None:
    shared, other = tables_of(FIRST)[0], "t01"
    view = deployment.config / "sql" / "both_tables.sql"
    view.write_text(
        f"-- description: Both\n-- tables: {shared}, {other}\n"
        f"SELECT max(a.value) AS a, max(b.value) AS b FROM {shared} a, {other} b\n"
    )
    try:
        assert deployment.state(deployment.run(tables=[shared, other], force=True)) == "success"
        before = deployment.query(BOTH)
        deployment.source(other, "id,value\n")
        deployment.source(shared, csv_of(ROWS, value="half"))
        assert deployment.state(deployment.run(tables=[shared, other])) == "failed"
        run_id = started(deployment, FIRST, batch)
        assert deployment.wait(run_id, FIRST) == "success"
        assert deployment.query(BOTH) == before
        assert f"both_tables was not published: {other} failed in {DAG_ID}/" in (
            deployment.ledger(run_id, FIRST)[0].note or ""
        )
    finally:
        view.unlink()
