"""What a person sees at /sluiceway/ while deploys come, runs fail and parts of Airflow stand still.

The tests go on from one another's ledger; each begins in step.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.integration.deployment import name_of
from tests.integration.pages.faces import agree, page
from tests.integration.pages.staging import ALL_BUT_API, PROMISED, Staging


@pytest.fixture
def commit(staging: Staging) -> str:
    """The deployed commit, whose data all tables hold."""
    return staging.in_step()


def test_in_step_the_page_names_the_commit_that_is_deployed_and_the_data_belongs_to(
    staging: Staging, tab: Page, commit: str
) -> None:
    agree(staging, tab, "in step", t01="no promise", t02="no promise", t03="fresh")
    expect(tab.get_by_label("Verdict")).to_contain_text(f"data {commit[:7]}, all 3 tables")
    assert [each.inner_text() for each in tab.locator("dd code").all()] == [commit[:7], commit[:7]]


def test_after_a_deploy_it_is_behind_with_the_run_that_goes_on_and_then_in_step(
    staging: Staging, tab: Page, commit: str
) -> None:
    second = staging.deploy("shown as behind")
    agree(staging, tab, "behind")
    expect(tab.get_by_label("Verdict")).to_contain_text("No run of it has begun")
    with staging.loads_held():
        run_id = staging.enqueue(second)
        staging.until(lambda: True if staging.query(f"SELECT 1 FROM etl.run WHERE run_id = '{run_id}'") else None)
        agree(staging, tab, "behind")
        going_on = tab.get_by_role("region", name="Runs that wait, go on, or were superseded")
        expect(going_on.get_by_role("listitem").filter(has_text=run_id)).to_contain_text("runs")
    assert staging.wait(run_id) == "success"
    agree(staging, tab, "in step", t03="fresh")
    expect(tab.get_by_label("Verdict")).to_contain_text(second[:7])


def test_a_red_run_makes_it_stale_and_names_the_table_its_error_its_run_and_its_log(
    staging: Staging, tab: Page, commit: str
) -> None:
    staging.source(name_of(2), "id,value\n")
    third = staging.deploy("shown as stale")
    assert staging.wait(staging.enqueue(third)) == "failed"
    agree(staging, tab, "stale")
    expect(tab.get_by_label("Verdict")).to_contain_text("1 of 3 tables failed: t02")
    told = tab.locator("tr.why").filter(has_text="EmptyExtractionError")
    expect(told).to_have_count(1)
    row = tab.get_by_role("row").filter(has=tab.get_by_role("link", name="t02", exact=True))
    log = row.get_by_role("link", name="log")
    assert f"deploy__{third}/tasks/sub.load_table" in (log.get_attribute("href") or "")
    row.get_by_role("link", name="deploy__").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("Red: t02")


def test_a_promise_breaks_while_the_scheduler_stands_still(staging: Staging, tab: Page, commit: str) -> None:
    with staging.stopped("scheduler"):
        run_id = staging.trigger()
        try:
            agree(staging, tab, "in step", t03="fresh")
            with staging.hours_later(3):
                agree(staging, tab, "stale", t01="no promise", t03="stale")
                first = tab.locator("table.tables tbody tr").first
                expect(first).to_contain_text(PROMISED)
                expect(first).to_contain_text("3 h of 2 h")
                expect(tab.get_by_text(f"waits master_etl/{run_id}")).to_be_visible()
        finally:
            staging.forget(run_id)
    agree(staging, tab, "in step", t03="fresh")


def test_the_api_server_alone_is_enough(staging: Staging, tab: Page, commit: str) -> None:
    with staging.stopped(*ALL_BUT_API):
        agree(staging, tab, "in step", t03="fresh")
        staging.deploy("seen by nobody else")
        agree(staging, tab, "behind", t03="fresh")
    staging.endpoint.commit = commit


def test_without_the_ledger_it_is_unknown_in_one_sentence(staging: Staging, tab: Page, commit: str) -> None:
    with staging.ledger_down():
        agree(staging, tab, "unknown", t01="unknown", t02="unknown", t03="unknown")
        verdict = tab.get_by_label("Verdict")
        expect(verdict).to_contain_text(f"{commit[:7]} is deployed, and what the tables hold cannot be read")
        assert tab.content().count("does not answer") == 1
        assert "Traceback" not in tab.content()
    # the API server asks a ledger that did not answer again after five seconds
    staging.until(lambda: True if page(staging, tab).state != "unknown" else None)
    agree(staging, tab, "in step", t03="fresh")


def test_a_paused_dag_is_named_and_breaks_the_promise_of_a_deploy(staging: Staging, tab: Page, commit: str) -> None:
    fourth = staging.deploy("waits for a paused DAG")
    with staging.paused():
        run_id = staging.enqueue(fourth)
        staging.queued(run_id)
        agree(staging, tab, "behind")
        expect(tab.get_by_label("Verdict")).to_contain_text("master_etl is paused in Airflow")
        expect(tab.get_by_text(f"waits: its DAG is paused master_etl/{run_id}")).to_be_visible()
        with staging.hours_later(2):
            agree(staging, tab, "stale")
        staging.forget(run_id)
    staging.endpoint.commit = commit
    agree(staging, tab, "in step")
