"""One big table on several workers: what it comes to, also when one is killed with a part, and when a part fails."""

from __future__ import annotations

import os
import signal
import time

import psycopg

from dev import workers
from sluiceway.ledger import parts as ledger_parts
from sluiceway.ledger.parts import TablePart
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from tests.integration.deployment import DAG_ID, DEADLINE_S, Deployment
from tests.integration.workers.conftest import FIELDS, PART, PARTED, WHOLE
from tests.integration.workers.test_workers import pid_of
from tests.load.fields import Fields, accounting, content, rejects

PARTS = FIELDS // PART
BEGUN = (
    "SELECT part FROM etl.table_part "
    "WHERE run_id = %s AND table_name = %s AND worker IS NOT NULL AND status = 'planned' FOR UPDATE"
)
LEFT = "SELECT count(*) FROM pg_tables WHERE schemaname = 'etl_staging'"


def parts_of(deployment: Deployment, run_id: str) -> list[TablePart]:
    with connect(deployment.stack.warehouse_url) as session:
        return ledger_parts.of_table(session, RunKey(DAG_ID, run_id), PARTED)


def under_way(deployment: Deployment, run_id: str, blocker: psycopg.Connection, workers: int = 1) -> list[TablePart]:
    """A part on each of so many workers that has begun and cannot end, for its row of the ledger is locked."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        locked = {part for (part,) in blocker.execute(BEGUN, (run_id, PARTED)).fetchall()}
        if len(locked) >= workers:
            return [part for part in parts_of(deployment, run_id) if part.part in locked]
        time.sleep(0.05)
    raise AssertionError(f"no part was seen under way on {workers} workers: {deployment.shown(run_id)}")


def compare(deployment: Deployment, run_id: str) -> None:
    """Rows, rejects, geometry and accounting of both tables."""
    run, tables = deployment.ledger(run_id)
    assert (deployment.state(run_id), run.status) == ("success", "success"), run.note
    assert accounting(tables[PARTED]) == accounting(tables[WHOLE])
    assert tables[WHOLE].rejected > 10

    def query(statement: str, *parameters: object) -> list[tuple[object, ...]]:
        with psycopg.connect(deployment.stack.warehouse_url) as connection:
            return connection.execute(statement.encode(), parameters or None).fetchall()

    assert content(query, PARTED) == content(query, WHOLE)
    assert rejects(query, PARTED, run_id) == rejects(query, WHOLE, run_id)
    assert deployment.query(LEFT) == [(0,)]


def test_a_table_in_parts_is_what_one_load_gives_although_a_worker_is_killed_with_one(deployment: Deployment) -> None:
    run_id = deployment.trigger(tables=[WHOLE, PARTED], force=True)
    with psycopg.connect(deployment.stack.warehouse_url) as blocker:
        lost, other, *_ = under_way(deployment, run_id, blocker, workers=2)
        assert lost.worker is not None
        assert lost.worker != other.worker
        os.kill(pid_of(deployment, lost.worker), signal.SIGKILL)
        time.sleep(1)
        blocker.rollback()
    assert deployment.wait(run_id) == "success", deployment.shown(run_id)
    compare(deployment, run_id)
    parts = parts_of(deployment, run_id)
    assert [(part.part, part.parts, part.status) for part in parts] == [
        (number, PARTS, "merged") for number in range(1, PARTS + 1)
    ]
    assert {part.part for part in parts if (part.try_number or 0) > 1} == {lost.part}, "nothing else was repeated"


def test_a_worker_that_is_drained_with_a_part_ends_it_and_nothing_is_repeated(deployment: Deployment) -> None:
    run_id = deployment.trigger(tables=[PARTED], force=True)
    with psycopg.connect(deployment.stack.warehouse_url) as blocker:
        drained = under_way(deployment, run_id, blocker)[0].worker
        assert drained is not None
        workers.change(lambda fleet: workers.without(fleet, drained), deployment.stack)
        time.sleep(1)
        blocker.rollback()
    assert deployment.wait(run_id) == "success", deployment.shown(run_id)
    parts = parts_of(deployment, run_id)
    assert {(part.status, part.try_number) for part in parts} == {("merged", 1)}
    assert drained in {part.worker for part in parts}
    run, tables = deployment.ledger(run_id)
    assert (run.status, tables[PARTED].extracted) == ("success", sum(part.extracted or 0 for part in parts)), run.note
    assert deployment.query(LEFT) == [(0,)]


def test_a_part_that_fails_fails_its_table_alone_and_what_is_mended_goes_on(deployment: Deployment) -> None:
    path = deployment.stack.layout.dags.parent / "fields" / "i15_crop_mapping.shp"
    path.with_suffix(".cpg").write_text("utf-8")
    with Fields(path) as fields:
        before = fields.get(PART + 100, "MAIN_CROP")
        fields.put(PART + 100, "MAIN_CROP", b"\xff\x81")
    run_id = deployment.run(tables=[PARTED, "t01"], force=True)
    run, tables = deployment.ledger(run_id)
    assert (deployment.state(run_id), run.status) == ("failed", "failed")
    assert (tables["t01"].status, tables[PARTED].status) == ("loaded", "failed")
    which = f"part 2 of {PARTS} (rows {PART + 1:,} to {2 * PART:,})"
    told = f"1 of 2 tables failed: {PARTED} (PartsError: {PARTED}: {which} failed (SourceUnreadableError: "
    assert told in (run.note or "")
    assert deployment.tasks(run_id)["final.validate"]["state"] == "upstream_failed"

    with Fields(path) as fields:
        fields.put(PART + 100, "MAIN_CROP", before)
    path.with_suffix(".cpg").unlink()
    deployment.clear(run_id, "sub.plan_parts", downstream=True)
    deployment.until(lambda: True if deployment.ledger(run_id)[0].status == "running" else None)
    assert deployment.wait(run_id) == "success", deployment.shown(run_id)
    run, tables = deployment.ledger(run_id)
    assert (run.status, tables[PARTED].status) == ("success", "loaded"), run.note

    # a part alone that is cleared is judged, too, and does the warehouse nothing
    table = deployment.query(f"SELECT count(*), sum(acres) FROM {PARTED}")
    assert deployment.clear(run_id, ("sub.load_part", 1)) == ["opened", "sub.load_part", "verdict"]
    deployment.until(lambda: True if deployment.ledger(run_id)[0].status == "running" else None)
    assert deployment.wait(run_id) == "success"
    assert deployment.ledger(run_id)[0].status == "success"
    assert deployment.query(f"SELECT count(*), sum(acres) FROM {PARTED}") == table


def test_a_run_without_a_table_in_parts_and_one_whose_source_is_unchanged_are_green(deployment: Deployment) -> None:
    for chosen, status, skipped in (("t01", "loaded", "sub.merge_parts"), (PARTED, "unchanged", "sub.load_part")):
        run_id = deployment.run(tables=[chosen], force=chosen == "t01")
        run, tables = deployment.ledger(run_id)
        assert (deployment.state(run_id), run.status) == ("success", "success"), run.note
        assert tables[chosen].status == status
        assert deployment.tasks(run_id)[skipped]["state"] == "skipped"
