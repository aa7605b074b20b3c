"""The ledger's rows: what a run did, counted so that no row can be lost without the ledger refusing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.errors import WarehouseError
from sluiceway.ledger import forget, last_loads, store
from sluiceway.ledger.rejects import Reject, rejects_of, write_rejects
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import PsycopgSession, connect

Query = Callable[..., list[tuple[object, ...]]]
Open = Callable[[str], RunKey]


FIRST = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)


@pytest.fixture
def session(postgres: Cluster) -> Iterator[PsycopgSession]:
    """One transaction on the empty ledger, open for the whole test and rolled back after it."""
    with psycopg.connect(postgres.url("sluiceway_loader", "warehouse")) as connection:
        yield PsycopgSession(connection)
        connection.rollback()


R1 = RunKey("master_etl", "r1")


def start(session: PsycopgSession, run_id: str, dag_id: str = "master_etl") -> RunKey:
    key = RunKey(dag_id, run_id)
    store.open_run(session, key, commit_sha="a" * 40, trigger_kind="test")
    return key


def loaded(run: RunKey, table: str, rows: int = 3, **values: object) -> TableRun:
    counts = {"extracted": rows, "inserted": rows}
    return TableRun.model_validate({**run._asdict(), "table_name": table, "status": "loaded", **counts, **values})


def bad(number: int, **row: object) -> Reject:
    return Reject(row_number=number, column_name=None, reason="bad", row=row)


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
    store.close_run(session, R1, "failed", "two tables failed")
    (run,) = store.runs(session)
    assert (run.status, run.note) == ("failed", "two tables failed")
    assert run.finished_at is not None
    assert run.finished_at >= run.started_at


def test_a_repeated_run_is_opened_again_and_keeps_its_tables(session: PsycopgSession) -> None:
    start(session, "r1")
    store.write_table_run(session, loaded(R1, "city"))
    store.close_run(session, R1, "failed", "no")
    start(session, "r1")
    (run,) = store.runs(session)
    assert (run.status, run.note, run.finished_at) == ("running", None, None)
    assert [table.table_name for table in store.table_runs(session, R1)] == ["city"]


def test_the_deployed_commit_is_noted(session: PsycopgSession) -> None:
    start(session, "r1")
    store.record_deployed_sha(session, R1, "b" * 40)
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
        store.write_table_run(session, loaded(R1, "city", **counts))
    assert query("SELECT count(*) FROM etl.table_run") == [(0,)]


def test_a_load_that_adds_up_is_written(session: PsycopgSession) -> None:
    start(session, "r1")
    counts = {"extracted": 10, "inserted": 1, "updated": 2, "unchanged": 3, "rejected": 4}
    store.write_table_run(session, loaded(R1, "city", **counts))
    (found,) = store.table_runs(session, R1)
    assert found.model_dump(include=set(counts)) == counts


def test_a_failed_load_need_not_add_up(session: PsycopgSession) -> None:
    start(session, "r1")
    store.write_table_run(session, loaded(R1, "city", status="failed", extracted=9, rejected=7, inserted=0))
    assert store.table_runs(session, R1)[0].rejected == 7


def test_everything_about_a_table_comes_back_as_it_was_written(session: PsycopgSession) -> None:
    start(session, "r1")
    written = loaded(
        *(R1, "city"),
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
    (found,) = store.table_runs(session, R1)
    assert found.finished_at is not None
    assert found.model_copy(update={"finished_at": None}) == written


def test_a_later_try_replaces_what_an_earlier_one_wrote(session: PsycopgSession) -> None:
    start(session, "r1")
    store.write_table_run(session, loaded(R1, "city", status="failed", inserted=0, error="no", error_type="E"))
    store.write_table_run(session, loaded(R1, "city"))
    (found,) = store.table_runs(session, R1)
    assert (found.status, found.error, found.error_type) == ("loaded", None, None)


def test_a_table_of_no_run_is_refused(warehouse_url: str) -> None:
    with pytest.raises(WarehouseError, match="violates foreign key"), connect(warehouse_url) as session:
        store.write_table_run(session, loaded(RunKey("d", "nobody"), "city"))


def test_a_planned_table_that_never_reports_is_seen(session: PsycopgSession) -> None:
    start(session, "r1")
    store.plan_tables(session, R1, ["town", "city"])
    assert [(run.table_name, run.status) for run in store.table_runs(session, R1)] == [
        ("city", "planned"),
        ("town", "planned"),
    ]


def test_planning_again_keeps_what_tries_did(session: PsycopgSession) -> None:
    start(session, "r1")
    for table, status in (("a", "loaded"), ("b", "unchanged"), ("c", "failed")):
        store.write_table_run(session, loaded(R1, table, status=status))
    for _ in range(2):
        store.plan_tables(session, R1, ["a", "b", "c", "d"])
    assert [(run.table_name, run.status) for run in store.table_runs(session, R1)] == [
        ("a", "loaded"),
        ("b", "unchanged"),
        ("c", "failed"),
        ("d", "planned"),
    ]


def tell(session: PsycopgSession, run: RunKey, try_number: int, status: str, *rejects: Reject) -> None:
    """What one try of a run did to the table city."""
    store.begin_table(session, run, "city", try_number)
    counts = {"inserted": 3, "extracted": 3 + len(rejects)} if status == "loaded" else {"inserted": 0, "extracted": 0}
    store.write_table_run(
        session, loaded(run, "city", try_number=try_number, status=status, rejected=len(rejects), **counts)
    )
    write_rejects(session, run, "city", try_number, rejects)


@pytest.mark.parametrize(
    ("statuses", "stands"),
    [
        (["failed", "loaded"], 2),
        (["loaded", "failed"], 2),
        (["failed", "unchanged"], 2),
        (["loaded", "unchanged"], 1),
        (["loaded", "unchanged", "unchanged"], 1),
        (["loaded", "failed", "unchanged"], 1),
        (["loaded", "loaded", "unchanged"], 2),
        (["unchanged", "loaded"], 2),
        (["loaded", "unchanged", "failed"], 3),
    ],
    ids=lambda value: " then ".join(value) if isinstance(value, list) else str(value),
)
def test_the_newest_try_stands_unless_it_found_unchanged_what_one_before_it_had_loaded(
    session: PsycopgSession, statuses: list[str], stands: int
) -> None:
    run = start(session, "r1")
    store.plan_tables(session, run, ["city"])
    for number, status in enumerate(statuses, 1):
        tell(session, run, number, status)
    (found,) = store.table_runs(session, run)
    assert (found.try_number, found.status) == (stands, statuses[stands - 1])
    assert [each.status for each in store.table_tries(session, run)] == ["planned", *statuses]


def test_a_try_that_finds_unchanged_what_its_run_has_loaded_leaves_counts_rejects_and_the_base_of_checks(
    session: PsycopgSession,
) -> None:
    run = start(session, "r1")
    tell(session, run, 1, "loaded", bad(1, id="x"))
    tell(session, run, 2, "unchanged")
    (found,) = store.table_runs(session, run)
    assert (found.status, found.inserted, found.rejected) == ("loaded", 3, 1)
    assert [reject.row for reject in rejects_of(session, found)] == [{"id": "x"}]
    last = last_loads.last_good_load(session, "city")
    assert last is not None
    assert (last.try_number, last.extracted) == (1, 4)


def test_a_try_that_began_and_died_hides_nothing(session: PsycopgSession) -> None:
    run = start(session, "r1")
    tell(session, run, 1, "loaded")
    store.begin_table(session, run, "city", 2)
    store.plan_tables(session, run, ["city"])
    (found,) = store.table_runs(session, run)
    assert (found.try_number, found.status) == (1, "loaded")


def test_tries_of_runs_with_one_id_in_two_dags_are_apart(session: PsycopgSession) -> None:
    for dag_id, status in (("shop", "loaded"), ("zoo", "failed")):
        tell(session, start(session, "manual__1", dag_id), 1, status, bad(1, id=dag_id))
    for dag_id, status in (("shop", "loaded"), ("zoo", "failed")):
        (found,) = store.table_runs(session, RunKey(dag_id, "manual__1"))
        assert found.status == status
        assert [reject.row for reject in rejects_of(session, found)] == [{"id": dag_id}]


def test_beginning_a_try_again_drops_its_rejects_and_no_others(session: PsycopgSession) -> None:
    run = start(session, "r1")
    tell(session, run, 1, "failed", bad(1, id="x'y"))
    tell(session, run, 2, "failed", bad(2))
    store.begin_table(session, run, "city", 2)
    first, second = store.table_tries(session, run)
    assert [reject.row for reject in rejects_of(session, first)] == [{"id": "x'y"}]
    assert rejects_of(session, second) == []


def test_rejects_come_by_row_number_up_to_a_limit(session: PsycopgSession) -> None:
    run = start(session, "r1")
    tell(session, run, 1, "loaded", *(bad(number) for number in (9, 2, 5)))
    (found,) = store.table_runs(session, run)
    assert [reject.row_number for reject in rejects_of(session, found, limit=2)] == [2, 5]


def test_a_reject_comes_back_with_its_key(session: PsycopgSession) -> None:
    run = start(session, "r1")
    key = {"id": 7, "day": "2020-02-29"}
    tell(session, run, 1, "loaded", bad(1).model_copy(update={"key": key}), bad(2))
    (found,) = store.table_runs(session, run)
    assert [reject.key for reject in rejects_of(session, found)] == [key, None]


def test_the_last_good_load_is_the_newest_that_was_committed(session: PsycopgSession) -> None:
    assert last_loads.last_good_load(session, "city") is None
    for run_id, status in (("r1", "loaded"), ("r2", "loaded"), ("r3", "failed"), ("r4", "unchanged")):
        run = start(session, run_id)
        store.write_table_run(session, loaded(run, "city", status=status))
    found = last_loads.last_good_load(session, "city")
    assert found is not None
    assert found.run_id == "r2"


def test_old_runs_are_forgotten_with_their_tables_and_rejects(session: PsycopgSession) -> None:
    for run_id in ("r1", "r2"):
        run = start(session, run_id)
        store.write_table_run(session, loaded(run, "city"))
        write_rejects(session, run, "city", 1, [bad(1)])
        store.close_run(session, run, "success", None)
    age(session, "r1", 91)
    assert forget.forget_runs(session, older_than_days=90) == 1
    assert [run.run_id for run in store.runs(session)] == ["r2"]
    assert store.table_runs(session, R1) == []
    assert rejects_of(session, loaded(R1, "city")) == []


def test_the_last_good_load_of_a_table_is_never_forgotten(session: PsycopgSession) -> None:
    for run_id, status in (("r1", "loaded"), ("r2", "loaded"), ("r3", "failed")):
        run = start(session, run_id)
        store.write_table_run(session, loaded(run, "city", status=status))
        store.close_run(session, run, "success", None)
    for run_id, days in (("r1", 300), ("r2", 200), ("r3", 100)):
        age(session, run_id, days)
    assert forget.forget_runs(session, older_than_days=90) == 2
    assert [run.run_id for run in store.runs(session)] == ["r2"]


def test_a_running_or_recent_run_is_not_forgotten(session: PsycopgSession) -> None:
    start(session, "running")
    store.close_run(session, start(session, "recent"), "failed", None)
    age(session, "recent", 89)
    assert forget.forget_runs(session, older_than_days=90) == 0


def test_a_run_can_be_neither_running_and_finished_nor_the_other_way(warehouse_url: str, open_run: Open) -> None:
    open_run("r1")
    with pytest.raises(WarehouseError, match="violates check constraint"), connect(warehouse_url) as session:
        store.close_run(session, R1, "running", None)
