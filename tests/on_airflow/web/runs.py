"""Runs of DAGs that no scheduler runs: what tasks would do is written into both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import create_engine, update
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from sluiceway.ledger import publications, store, tasks
from sluiceway.ledger.publications import Publication
from sluiceway.ledger.rows_seen import rows_seen
from sluiceway.ledger.store import RunKey, RunStatus
from sluiceway.ledger.tasks import TaskRun
from sluiceway.ledger.warehouse import connect
from tests.on_airflow.web.door import Door

GOOD = {
    "opened": "success",
    "plan": "success",
    "sub.load_table_0": "success",
    "sub.load_table_1": "success",
    "final.aggregate": "success",
}
SENTENCE = "2 of 2 tables loaded."


def in_ledger(
    door: Door,
    key: RunKey,
    *,
    status: RunStatus = "success",
    sentence: str | None = SENTENCE,
    states: dict[str, str | None] | None = None,
    published: bool = True,
    errors: dict[str, str] | None = None,
) -> None:
    """A run of the tables a and b that was judged.

    :param errors: of tasks that failed, by name.
    """
    with connect(door.warehouse) as session:
        store.open_run(session, key, commit_sha=None, trigger_kind="manual")
        store.plan_tables(session, key, ["a", "b"])
        for index, name in enumerate(("a", "b")):
            loaded = store.TableRun(
                **key._asdict(), table_name=name, status="loaded", extracted=1, inserted=1, table_rows=1
            )
            store.write_table_run(session, loaded)
            _task(session, key, "sub.load_table", map_index=index, table_name=name)
        for name, error in (errors or {}).items():
            _task(session, key, name, error=ValueError(error))
        if published:
            publications.record(session, key, [Publication(view_name="area", tables=("a", "b"))])
        if status != "running":
            seen = rows_seen(session, [key])[key]
            store.close_run(session, key, status, sentence, GOOD if states is None else states, seen)


def _task(session: Any, key: RunKey, task_id: str, error: Exception | None = None, **of: Any) -> None:
    task = TaskRun(**key._asdict(), task_id=task_id, log_url=f"https://airflow.example/{task_id}", **of)
    tasks.begin(session, task)
    tasks.end(session, task, error)


def in_airflow(door: Door, key: RunKey, *, state: str = "success", states: dict[str, str] | None = None) -> None:
    """The run as Airflow has it when its tasks have ended; it must have been posted.

    Written through Airflow's model, whose names outlive those of its columns.
    """
    now = datetime.now(UTC)
    ended = {"start_date": now, "end_date": now}
    engine = create_engine(door.metadata_url.replace("postgresql:", "postgresql+psycopg2:"), poolclass=NullPool)
    with Session(engine) as session:
        for name, of_task in {**GOOD, "verdict": "success", **(states or {})}.items():
            stem, _, index = name.rpartition("_")
            task_id, map_index = (stem, int(index)) if index.isdigit() else (name, -1)
            chosen = {"dag_id": key.dag_id, "run_id": key.run_id, "task_id": task_id, "map_index": map_index}
            ending = update(TaskInstance).filter_by(**chosen).values(state=of_task, updated_at=now, **ended)
            done = session.execute(ending)
            assert done.rowcount == 1, name
        session.execute(update(DagRun).filter_by(**key._asdict()).values(state=state, **ended))
        session.commit()
