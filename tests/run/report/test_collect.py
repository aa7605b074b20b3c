from __future__ import annotations

from typing import Any

import pytest
from psycopg import sql

from sluiceway.ledger import publications, store, tasks
from sluiceway.ledger.publications import Publication
from sluiceway.ledger.rejects import Reject, write_rejects
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.tasks import TaskRun
from sluiceway.ledger.warehouse import Session, connect
from sluiceway.run.facts import facts_of
from sluiceway.run.reconcile import Seen
from sluiceway.run.report.collect import MAX_GROUPS, UnknownRunError, collect
from sluiceway.run.report.model import RunReport
from sluiceway.run.verdict import judge
from tests.run.report.builders import a_spec

RUN = RunKey("master_etl", "deploy__1")
LOG = "https://airflow/log"


def open_run(session: Session, *tables: str) -> None:
    store.open_run(session, RUN, commit_sha="abc", trigger_kind="deploy")
    store.plan_tables(session, RUN, tables or ["place"])


def a_try(session: Session, table: str = "place", try_number: int = 1, **values: Any) -> None:
    store.write_table_run(
        session,
        store.TableRun(**RUN._asdict(), table_name=table, try_number=try_number, **{"status": "loaded"} | values),
    )


def a_task(session: Session, task_id: str, *, error: Exception | None = None, ended: bool = True, **of: Any) -> None:
    task = TaskRun(**RUN._asdict(), task_id=task_id, log_url=LOG, **of)
    tasks.begin(session, task)
    if ended:
        tasks.end(session, task, error)


def test_the_report_tells_what_the_ledger_holds(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        store.record_deployed_sha(session, RUN, "def")
        a_try(
            session, extracted=9, inserted=4, updated=3, unchanged=2, deleted=1, repaired=1, table_rows=9, bytes=77,
            seconds=0.5, peak_rss_bytes=1000,
        )  # fmt: skip
        store.close_run(session, RUN, "success", "fine")
        report = collect(session, RUN, {"place": a_spec("place")})
    (table,) = report.tables
    assert (table.extracted, table.inserted, table.updated, table.unchanged, table.deleted) == (9, 4, 3, 2, 1)
    assert (table.source_bytes, table.seconds, table.peak_rss_bytes, table.table_rows) == (77, 0.5, 1000, 9)
    assert table.description == "What place is."
    assert (report.commit_sha, report.deployed_sha, report.note) == ("abc", "def", "fine")
    assert report.verdict.status == "success" and report.seconds is not None


def test_rejects_are_grouped_by_reason_with_their_first_rows(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        many = [Reject(row_number=n, column_name="x", reason="no integer", row={"x": str(n)}) for n in range(9, 0, -1)]
        one = Reject(row_number=3, column_name=None, reason="no key", row={"x": None, "long": "y" * 500})
        store.begin_table(session, RUN, "place", 1)
        write_rejects(session, RUN, "place", 1, [one, *many])
        first, second = collect(session, RUN, {}).tables[0].rejects
    assert (first.reason, first.count, [s.row_number for s in first.samples]) == ("no integer", 9, [1, 2, 3])
    assert (second.reason, second.count) == ("no key", 1)
    values = dict(second.samples[0].values)
    assert values["x"] == "null" and len(values["long"]) == 80


def test_reasons_that_differ_only_in_values_and_numbers_are_one_group(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        rejects = [
            Reject(row_number=n, column_name="x", reason=f"x: 'v{n}' is repeated by row {n + 1}", row={})
            for n in range(50)
        ]
        store.begin_table(session, RUN, "place", 1)
        write_rejects(session, RUN, "place", 1, rejects)
        (group,) = collect(session, RUN, {}).tables[0].rejects
    assert (group.reason, group.count) == ("x: … is repeated by row …", 50)


CHECKED = [
    (
        "x: 'v{n} fails accepted (1, 2); day: 19{n}-01-01 fails range (least 2015-01-01) (2024.csv, row {n})",
        "x: … fails accepted (1, 2); day: … fails range (least 2015-01-01) (2024.csv, row …)",
    ),
    (
        "'Ponce {n}', {n}.5 fails unique (place, cost): row {n}, which is loaded, has the same",
        "…, … fails unique (place, cost): row …, which is loaded, has the same",
    ),
    (
        "severity = 'F{n}', killed = {n} fails holds severity <> 'F1' OR killed > 0",
        "severity = …, killed = … fails holds severity <> 'F1' OR killed > 0",
    ),
]


@pytest.mark.parametrize(("reason", "kind"), CHECKED)
def test_rows_that_fail_a_check_are_one_group_that_says_what_the_check_asks(
    warehouse_url: str, reason: str, kind: str
) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        rejects = [
            # a long value is cut, and has no quote at its end
            Reject(
                row_number=n,
                column_name="x",
                reason=reason.format(n=n).replace("v10", "v...").replace("v11", "v'"),
                row={},
            )
            for n in (10, 11)
        ]
        store.begin_table(session, RUN, "place", 1)
        write_rejects(session, RUN, "place", 1, rejects)
        (group,) = collect(session, RUN, {}).tables[0].rejects
    assert (group.reason, group.count) == (kind, 2)


def test_many_kinds_of_reasons_do_not_fill_the_page(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        rejects = [Reject(row_number=n, column_name="x", reason="bad" * n, row={}) for n in range(1, 50)]
        store.begin_table(session, RUN, "place", 1)
        write_rejects(session, RUN, "place", 1, rejects)
        assert len(collect(session, RUN, {}).tables[0].rejects) == MAX_GROUPS


def test_a_run_that_failed_before_its_first_load_has_a_report_without_maps(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        store.close_run(session, RUN, "failed", None)
        report = collect(session, RUN, {"place": a_spec("place")})
        assert session.execute(sql.SQL("SELECT 1")) == [(1,)]  # the transaction goes on
    assert report.tables[0].map is None


def test_a_run_of_no_tables_has_a_report(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        store.open_run(session, RUN, commit_sha=None, trigger_kind="manual")
        assert collect(session, RUN, {}).tables == ()


def test_a_run_nobody_knows_is_an_error_that_names_it(warehouse_url: str) -> None:
    with connect(warehouse_url) as session, pytest.raises(UnknownRunError, match="nobody"):
        collect(session, RunKey("master_etl", "nobody"), {})


def judged(session: Session, **states: str) -> RunReport:
    """The report of the run after its verdict on these states."""
    named = {task.replace("__", "."): state for task, state in states.items()}
    run = store.run(session, RUN)
    assert run is not None
    verdict = judge(facts_of(session, run), named)
    store.close_run(session, RUN, verdict.status, verdict.sentence, named)
    return collect(session, RUN, {}, maps={})


def test_the_error_of_a_task_stands_once_with_its_log(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        store.open_run(session, RUN, commit_sha=None, trigger_kind="manual")
        a_task(session, "deploy_gate", error=ValueError("The conf has a key 'tabels'\n; did you mean 'tables'?"))
        report = judged(session, deploy_gate="failed", plan="upstream_failed")
    (task,) = report.tasks
    assert (task.name, task.error_type, task.log_url) == ("deploy_gate", "ValueError", LOG)
    assert task.error == "The conf has a key 'tabels'\n; did you mean 'tables'?"
    assert report.verdict.sentence == "deploy_gate failed. Nothing was published."
    assert "did you mean 'tables'" in (report.note or "")


def test_a_killed_task_is_named_as_killed(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        a_try(session)
        a_task(session, "final.aggregate", ended=False)
        report = judged(session, sub__load_table_0="success", final__aggregate="failed")
    (task,) = report.tasks
    assert task.name == "final.aggregate" and task.error.startswith("killed: its process") and LOG not in task.error
    assert report.verdict.sentence == "final.aggregate failed. Nothing was published."


def test_a_failed_table_is_told_with_its_log_and_not_again_as_a_task(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session, "place", "town", "park")
        a_try(session, "place", status="failed", error_type="EmptyExtractionError", error="place: no rows (0)")
        a_task(session, "sub.load_table", map_index=0, table_name="place", error=ValueError("place: no rows (0)"))
        a_task(session, "sub.load_table", map_index=1, table_name="town", ended=False)
        report = judged(
            session, sub__load_table_0="failed", sub__load_table_1="failed", sub__load_table_2="upstream_failed"
        )
    assert report.tasks == ()
    place, park, town = report.tables
    assert (place.log_url, town.log_url, park.log_url) == (LOG, LOG, None)
    assert (town.error or "").startswith("killed: its process") and park.error == "its task never began"
    assert report.verdict.sentence == (
        "1 of 3 tables failed: place. 2 of 3 tables never reported: park; town. Nothing was published."
    )


def test_a_task_that_still_runs_was_not_killed(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        a_task(session, "plan", ended=False)
        for seen in (None, Seen(state="running", tasks={"plan": "running"})):
            assert collect(session, RUN, {}, seen=seen, maps={}).tasks == ()


def test_the_tries_of_a_table_are_counted(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        a_try(session, status="failed", error_type="E", error="e")
        a_try(session, try_number=2)
        (table,) = collect(session, RUN, {}, maps={}).tables
    assert (table.status, table.tries) == ("loaded", 2)


def test_published_and_withheld_views_are_told_apart(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        became = [
            Publication(view_name="area", tables=("city",)),
            Publication(view_name="town_area", tables=("city",), withheld="town failed in shop/r1"),
        ]
        publications.record(session, RUN, became)
        report = collect(session, RUN, {}, maps={})
    assert report.published == ("area",) and report.published_at is not None
    assert [(view.name, view.reason) for view in report.withheld] == [("town_area", "town failed in shop/r1")]


def test_a_run_that_was_changed_since_is_told_as_it_is_now(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        a_try(session)
        publications.record(session, RUN, [])
        good = {"plan": "success", "sub.load_table_0": "success", "final.aggregate": "success"}
        store.close_run(session, RUN, "success", "fine", good)
        seen = Seen(
            state="failed", tasks=good | {"plan": "failed"}, marks=("plan marked failed by eve at 12:00:00 UTC",)
        )
        report = collect(session, RUN, {}, seen=seen, maps={})
    assert report.verdict.status == "failed" and [task.name for task in report.tasks] == ["plan"]
    assert "plan marked failed by eve at 12:00:00 UTC" in (report.remark or "")
