"""Whose reports a user sees, on an Airflow whose users FAB manages."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from sluiceway.ledger.store import RunKey
from tests.on_airflow.web.conftest import logged_in
from tests.on_airflow.web.door import Door
from tests.on_airflow.web.runs import in_ledger

MASTERS, SHOPS = RunKey("master_etl", "r1"), RunKey("shop", "r1")


@pytest.fixture(autouse=True, scope="module")
def runs(fab: Door) -> None:
    for key in (MASTERS, SHOPS):
        in_ledger(fab, key, sentence=f"Said of {key.dag_id}.")


def browser(fab: Door, user: str) -> Iterator[httpx.Client]:
    yield from logged_in(fab.url, user)


@pytest.fixture
def master(fab: Door) -> Iterator[httpx.Client]:
    """A browser of a user who may read the runs of master_etl."""
    yield from browser(fab, "master")


@pytest.fixture
def both(fab: Door) -> Iterator[httpx.Client]:
    """A browser of a user who may read the runs of both DAGs."""
    yield from browser(fab, "both")


def test_whoever_may_read_the_runs_of_master_etl_does_not_read_the_reports_of_shop(master: httpx.Client) -> None:
    assert "Said of master_etl." in master.get("/sluiceway/runs/master_etl/r1").text
    refused = master.get("/sluiceway/runs/shop/r1")
    assert refused.status_code == 403 and "Said of shop." not in refused.text
    assert "who may read the runs of its DAG" in refused.text


def test_whether_there_is_such_a_run_is_not_told_to_whoever_may_not_read_it(master: httpx.Client) -> None:
    real, made_up, no_dag = (master.get(f"/sluiceway/runs/{each}") for each in ("shop/r1", "shop/r2", "nothing/r1"))
    assert real.status_code == made_up.status_code == no_dag.status_code == 403
    assert real.text == made_up.text == no_dag.text


def test_the_list_holds_the_runs_of_the_dags_that_the_user_may_read(
    master: httpx.Client, both: httpx.Client, fab: Door
) -> None:
    seen = master.get("/sluiceway/runs").text
    assert "Said of master_etl." in seen and "shop" not in seen
    assert "Said of shop." in both.get("/sluiceway/runs").text
    for number in range(101):
        in_ledger(fab, RunKey("shop", f"newer_{number}"))
    assert "Said of master_etl." in master.get("/sluiceway/runs").text


def test_a_query_does_not_change_whose_page_is_asked_for(master: httpx.Client) -> None:
    for address in ("shop/r1?dag_id=master_etl", "~/r1", "../reports/shop/r1", "%73hop/r1"):
        assert master.get(f"/sluiceway/runs/{address}").status_code == 403


def test_an_old_address_is_no_way_around(fab: Door) -> None:
    for shopper in browser(fab, "shopper"):
        assert shopper.get("/sluiceway/reports/r1").status_code == 403
        assert shopper.get("/sluiceway/reports/master_etl/r1").status_code == 403
        as_ci = {"Accept": "application/json"}
        assert shopper.get("/sluiceway/reports/master_etl/r1", headers=as_ci).status_code == 403
        assert shopper.get("/sluiceway/runs/shop/r1").status_code == 200
