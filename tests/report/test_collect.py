from __future__ import annotations

import pytest
from psycopg import sql

from sluiceway.ledger import store
from sluiceway.ledger.warehouse import Session, connect
from sluiceway.report.collect import MAX_GROUPS, UnknownRunError, collect
from tests.report.builders import a_spec

RUN = "deploy__1"


def open_run(session: Session) -> None:
    store.open_run(session, run_id=RUN, dag_id="master_etl", commit_sha="abc", trigger_kind="deploy")
    store.plan_tables(session, RUN, ["place"])


def test_the_report_tells_what_the_ledger_holds(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        store.record_deployed_sha(session, RUN, "def")
        store.write_table_run(
            session,
            store.TableRun(
                run_id=RUN, table_name="place", status="loaded", extracted=9, inserted=4, updated=3, unchanged=2,
                deleted=1, repaired=1, table_rows=9, bytes=77, seconds=0.5, peak_rss_bytes=1000,
            ),
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
        many = [
            store.Reject(row_number=n, column_name="x", reason="no integer", row={"x": str(n)}) for n in range(9, 0, -1)
        ]
        one = store.Reject(row_number=3, column_name=None, reason="no key", row={"x": None, "long": "y" * 500})
        store.write_rejects(session, RUN, "place", [one, *many])
        first, second = collect(session, RUN, {}).tables[0].rejects
    assert (first.reason, first.count, [s.row_number for s in first.samples]) == ("no integer", 9, [1, 2, 3])
    assert (second.reason, second.count) == ("no key", 1)
    values = dict(second.samples[0].values)
    assert values["x"] == "null" and len(values["long"]) == 80


def test_reasons_that_differ_only_in_values_and_numbers_are_one_group(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        rejects = [
            store.Reject(row_number=n, column_name="x", reason=f"x: 'v{n}' is repeated by row {n + 1}", row={})
            for n in range(50)
        ]
        store.write_rejects(session, RUN, "place", rejects)
        (group,) = collect(session, RUN, {}).tables[0].rejects
    assert (group.reason, group.count) == ("x: … is repeated by row …", 50)


def test_many_kinds_of_reasons_do_not_fill_the_page(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        rejects = [store.Reject(row_number=n, column_name="x", reason="bad" * n, row={}) for n in range(1, 50)]
        store.write_rejects(session, RUN, "place", rejects)
        assert len(collect(session, RUN, {}).tables[0].rejects) == MAX_GROUPS


def test_a_run_that_failed_before_its_first_load_has_a_report_without_maps(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        open_run(session)
        store.close_run(session, RUN, "failed", None)
        report = collect(session, RUN, {"place": a_spec("place")})
        assert session.execute(sql.SQL("SELECT 1")) == [(1,)]  # the transaction goes on
    assert report.tables[0].map is None
    assert report.verdict.sentence == "place never reported."


def test_a_run_of_no_tables_has_a_report(warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        store.open_run(session, run_id=RUN, dag_id=None, commit_sha=None, trigger_kind="manual")
        assert collect(session, RUN, {}).tables == ()


def test_a_run_nobody_knows_is_an_error_that_names_it(warehouse_url: str) -> None:
    with connect(warehouse_url) as session, pytest.raises(UnknownRunError, match="nobody"):
        collect(session, "nobody", {})
