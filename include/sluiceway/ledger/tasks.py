"""What each task of a run says of itself: when a try began, how it ended, and where its log is.

A try that has no end when Airflow calls it over was killed: nothing else leaves a row so. Every function runs in the
caller's transaction.
"""

from __future__ import annotations

from datetime import datetime

from psycopg import sql
from pydantic import BaseModel, ConfigDict

from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session

UNMAPPED = -1
LONGEST_ERROR = 8_000
"""Characters of an error; the log has the rest."""


class TaskRun(BaseModel):
    """One row of etl.task_run: a try of a task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = UNMAPPED
    try_number: int = 1
    table_name: str | None = None
    """Of a task that loads one."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error_type: str | None = None
    error: str | None = None
    log_url: str | None = None

    @property
    def name(self) -> str:
        """The task as Airflow names its state, and as people know it: `sub.load_table_3`."""
        return self.task_id if self.map_index == UNMAPPED else f"{self.task_id}_{self.map_index}"

    @property
    def was_killed(self) -> bool:
        """Whether it began and has no end; of a task that still runs this says nothing."""
        return self.finished_at is None


_IDENTITY = ("dag_id", "run_id", "task_id", "map_index", "try_number")
_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, TaskRun.model_fields))


def begin(session: Session, task: TaskRun) -> None:
    """Note that the try has begun; of a run that has no row yet nothing is noted."""
    session.execute(
        sql.SQL(
            "INSERT INTO etl.task_run (dag_id, run_id, task_id, map_index, try_number, table_name, log_url) "
            "SELECT {}, {}, {}, {}, {}, {}, {} WHERE EXISTS (SELECT FROM etl.run WHERE (dag_id, run_id) = ({}, {})) "
            "ON CONFLICT (dag_id, run_id, task_id, map_index, try_number) DO UPDATE SET finished_at = NULL, "
            "error_type = NULL, error = NULL"
        ).format(
            *map(sql.Literal, (*_identity(task), task.table_name, task.log_url)),
            *map(sql.Literal, (task.dag_id, task.run_id)),
        )
    )


def end(session: Session, task: TaskRun, error: BaseException | None = None) -> None:
    """Note that the try has ended, well or with an error."""
    begun = sql.SQL("({}) = ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, _IDENTITY)), sql.SQL(", ").join(map(sql.Literal, _identity(task)))
    )
    said = (type(error).__name__, (str(error) or type(error).__name__)[:LONGEST_ERROR]) if error else (None, None)
    session.execute(
        sql.SQL("UPDATE etl.task_run SET finished_at = clock_timestamp(), error_type = {}, error = {} WHERE {}").format(
            *map(sql.Literal, said), begun
        )
    )


def newest(session: Session, key: RunKey) -> list[TaskRun]:
    """The newest try of each of the run's tasks, by name."""
    rows = session.execute(
        sql.SQL(
            "SELECT DISTINCT ON (task_id, map_index) {} FROM etl.task_run WHERE (dag_id, run_id) = ({}, {}) "
            "ORDER BY task_id, map_index, try_number DESC"
        ).format(_COLUMNS, *map(sql.Literal, key))
    )
    return [TaskRun.model_validate(dict(zip(TaskRun.model_fields, row, strict=True))) for row in rows]


def _identity(task: TaskRun) -> tuple[str, str, str, int, int]:
    return task.dag_id, task.run_id, task.task_id, task.map_index, task.try_number
