"""The ledger's rows: what a run did, counted so that no row can be lost without the ledger refusing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.errors import WarehouseError
from sluiceway.ledger import store
from sluiceway.ledger.store import Reject, TableRun
from sluiceway.ledger.warehouse import PsycopgSession, connect

Query = Callable[..., list[tuple[object, ...]]]
Open = Callable[[str], str]


@pytest.fixture
def session(postgres: Cluster) -> Iterator[PsycopgSession]:
    """One transaction on the empty ledger, open for the whole test and rolled back after it."""
    with psycopg.connect(postgres.url("sluiceway_loader", "warehouse")) as connection:
        yield PsycopgSession(connection)
        connection.rollback()


def start(session: PsycopgSession, run_id: str, dag_id: str = "master_etl") -> None:
    store.open_run(session, run_id=run_id, dag_id=dag_id, commit_sha="a" * 40, trigger_kind="test")


def loaded(run_id: str, table: str, rows: int = 3, **values: object) -> TableRun:
    return TableRun.model_validate(
        {"run_id": run_id, "table_name": table, "status": "loaded", "extracted": rows, "inserted": rows, **values}
    )


def age(session: PsycopgSession, run_id: str, days: int) -> None:
    for table in ("run", "table_run"):
        session.execute(
            sql.SQL("UPDATE etl.{} SET finished_at = finished_at - {} * interval '1 day' WHERE run_id = {}").format(
                sql.Identifier(table), sql.Literal(days), sql.Literal(run_id)
            )
        )


def test_an_opened_run_is_running_and_a_closed_one_has_its_verdict(session: PsycopgSession) -> None:
    start(session, "r1")
    (run,) = store.runs(session)
    assert (run.run_id, run.dag_id, run.commit_sha, run.status, run.finished_at) == (
        *("r1", "master_etl", "a" * 40, "running"),
        None,
    )
    store.close_run(session, "r1", "failed", "two tables failed")
    (run,) = store.runs(session)
    assert (run.status, run.note) == ("failed", "two tables failed")
    assert run.finished_at is not None
    assert run.finished_at >= run.started_at


def test_a_repeated_run_is_opened_again_and_keeps_its_tables(session: PsycopgSession) -> None:
    start(session, "r1")
    store.write_table_run(session, loaded("r1", "city"))
    store.close_run(session, "r1", "failed", "no")
    start(session, "r1")
    (run,) = store.runs(session)
    assert (run.status, run.note, run.finished_at) == ("running", None, None)
    assert [table.table_name for table in store.table_runs(session, "r1")] == ["city"]


def test_the_deployed_commit_is_noted(session: PsycopgSession) -> None:
    start(session, "r1")
    store.record_deployed_sha(session, "r1", "b" * 40)
    assert store.runs(session)[0].deployed_sha == "b" * 40


def test_the_newest_runs_come_first(session: PsycopgSession) -> None:
    for number in range(5):
        start(session, f"r{number}")
    assert [run.run_id for run in store.runs(session, limit=3)] == ["r4", "r3", "r2"]
    assert [run.run_id for run in store.runs(session, run_id="r1")] == ["r1"]
    assert store.runs(session, run_id="none") == []


@pytest.mark.parametrize(
    "counts",
    [
        {"extracted": 3, "inserted": 2},
        {"extracted": 3, "inserted": 2, "rejected": 2},
        {"extracted": 3, "inserted": 3, "updated": 1},
        {"extracted": 2, "inserted": 0, "unchanged": 1},
    ],
)
def test_the_ledger_refuses_a_load_that_lost_or_made_up_a_row(
    warehouse_url: str, open_run: Open, counts: dict[str, int], query: Query
) -> None:
    open_run("r1")
    with pytest.raises(WarehouseError, match="no_row_is_lost"), connect(warehouse_url) as session:
        store.write_table_run(session, loaded("r1", "city", **counts))
    assert query("SELECT count(*) FROM etl.table_run") == [(0,)]


def test_a_load_that_adds_up_is_written(session: PsycopgSession) -> None:
    start(session, "r1")
    counts = {"extracted": 10, "inserted": 1, "updated": 2, "unchanged": 3, "rejected": 4}
    store.write_table_run(session, loaded("r1", "city", **counts))
    (found,) = store.table_runs(session, "r1")
    assert found.model_dump(include=set(counts)) == counts


def test_a_failed_load_need_not_add_up(session: PsycopgSession) -> None:
    start(session, "r1")
    store.write_table_run(session, loaded("r1", "city", status="failed", extracted=9, rejected=7, inserted=0))
    assert store.table_runs(session, "r1")[0].rejected == 7


def test_everything_about_a_table_comes_back_as_it_was_written(session: PsycopgSession) -> None:
    start(session, "r1")
    written = loaded(
        *("r1", "city"),
        table_rows=3,
        bytes=10**12,
        seconds=0.25,
        peak_rss_bytes=10**9,
        fingerprint="f" * 64,
        spec_hash="s" * 64,
        source_columns={'it\'s a "name" %s': "text"},
        error_type="E",
        error="100 % of {rows} 'failed'",
    )
    store.write_table_run(session, written)
    (found,) = store.table_runs(session, "r1")
    assert found.finished_at is not None
    assert found.model_copy(update={"finished_at": None}) == written


def test_a_later_try_replaces_what_an_earlier_one_wrote(session: PsycopgSession) -> None:
    start(session, "r1")
    store.write_table_run(session, loaded("r1", "city", status="failed", inserted=0, error="no", error_type="E"))
    store.write_table_run(session, loaded("r1", "city"))
    (found,) = store.table_runs(session, "r1")
    assert (found.status, found.error, found.error_type) == ("loaded", None, None)


def test_a_table_of_no_run_is_refused(warehouse_url: str) -> None:
    with pytest.raises(WarehouseError, match="violates foreign key"), connect(warehouse_url) as session:
        store.write_table_run(session, loaded("nobody", "city"))


def test_a_planned_table_that_never_reports_is_seen(session: PsycopgSession) -> None:
    start(session, "r1")
    store.plan_tables(session, "r1", ["town", "city"])
    assert [(run.table_name, run.status) for run in store.table_runs(session, "r1")] == [
        ("city", "planned"),
        ("town", "planned"),
    ]


def test_planning_again_keeps_good_loads_and_takes_failed_ones_up_again(session: PsycopgSession) -> None:
    start(session, "r1")
    for table, status in (("a", "loaded"), ("b", "unchanged"), ("c", "failed")):
        store.write_table_run(session, loaded("r1", table, status=status))
    store.plan_tables(session, "r1", ["a", "b", "c", "d"])
    assert [(run.table_name, run.status) for run in store.table_runs(session, "r1")] == [
        ("a", "loaded"),
        ("b", "unchanged"),
        ("c", "planned"),
        ("d", "planned"),
    ]


def test_beginning_a_table_drops_the_rejects_of_the_try_before(session: PsycopgSession) -> None:
    start(session, "r1")
    for table in ("city", "town"):
        store.begin_table(session, "r1", table)
        store.write_rejects(
            session, "r1", table, [Reject(row_number=1, column_name="id", reason="bad", row={"id": "x'y"})]
        )
    store.begin_table(session, "r1", "city")
    assert store.rejects(session, "r1", "city") == []
    assert [reject.row for reject in store.rejects(session, "r1", "town")] == [{"id": "x'y"}]


def test_rejects_come_by_row_number_up_to_a_limit(session: PsycopgSession) -> None:
    start(session, "r1")
    store.begin_table(session, "r1", "city")
    store.write_rejects(
        *(session, "r1", "city"),
        [Reject(row_number=n, column_name=None, reason="bad", row={}) for n in (9, 2, 5)],
    )
    assert [reject.row_number for reject in store.rejects(session, "r1", "city", limit=2)] == [2, 5]


def test_the_last_good_load_is_the_newest_that_was_committed(session: PsycopgSession) -> None:
    assert store.last_good_load(session, "city") is None
    for run_id, status in (("r1", "loaded"), ("r2", "loaded"), ("r3", "failed"), ("r4", "unchanged")):
        start(session, run_id)
        store.write_table_run(session, loaded(run_id, "city", status=status))
    found = store.last_good_load(session, "city")
    assert found is not None
    assert found.run_id == "r2"


def test_other_open_runs_of_the_same_dag_are_closed_as_abandoned(session: PsycopgSession) -> None:
    for run_id, dag_id in (("old", "master_etl"), ("now", "master_etl"), ("other", "another_dag")):
        start(session, run_id, dag_id)
    start(session, "done")
    store.close_run(session, "done", "success", None)
    assert store.close_abandoned(session, "master_etl", except_run_id="now") == ["old"]
    assert {run.run_id: run.status for run in store.runs(session)} == {
        "old": "abandoned",
        "now": "running",
        "other": "running",
        "done": "success",
    }


def test_old_runs_are_forgotten_with_their_tables_and_rejects(session: PsycopgSession) -> None:
    for run_id in ("r1", "r2"):
        start(session, run_id)
        store.write_table_run(session, loaded(run_id, "city"))
        store.write_rejects(session, run_id, "city", [Reject(row_number=1, column_name=None, reason="x", row={})])
        store.close_run(session, run_id, "success", None)
    age(session, "r1", 91)
    assert store.forget_runs(session, older_than_days=90) == 1
    assert [run.run_id for run in store.runs(session)] == ["r2"]
    assert store.table_runs(session, "r1") == []
    assert store.rejects(session, "r1", "city") == []


def test_the_last_good_load_of_a_table_is_never_forgotten(session: PsycopgSession) -> None:
    for run_id, status in (("r1", "loaded"), ("r2", "loaded"), ("r3", "failed")):
        start(session, run_id)
        store.write_table_run(session, loaded(run_id, "city", status=status))
        store.close_run(session, run_id, "success", None)
    for run_id, days in (("r1", 300), ("r2", 200), ("r3", 100)):
        age(session, run_id, days)
    assert store.forget_runs(session, older_than_days=90) == 2
    assert [run.run_id for run in store.runs(session)] == ["r2"]


def test_a_running_or_recent_run_is_not_forgotten(session: PsycopgSession) -> None:
    start(session, "running")
    start(session, "recent")
    store.close_run(session, "recent", "failed", None)
    age(session, "recent", 89)
    assert store.forget_runs(session, older_than_days=90) == 0


def test_a_run_can_be_neither_running_and_finished_nor_the_other_way(warehouse_url: str, open_run: Open) -> None:
    open_run("r1")
    with pytest.raises(WarehouseError, match="violates check constraint"), connect(warehouse_url) as session:
        store.close_run(session, "r1", "running", None)
