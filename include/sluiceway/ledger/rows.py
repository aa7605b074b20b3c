"""What the ledger's rows of runs and tables hold. ledger/store.py reads and writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

RunStatus = Literal["running", "success", "failed", "superseded", "abandoned"]
TableStatus = Literal["planned", "loaded", "unchanged", "failed"]
Outcome = Literal["superseded", "idle"]
"""Why a run that loads nothing is good: a newer commit's run waits, or another run has taken the events."""
CLI = "cli"
"""Stands for the DAG of runs of `sluiceway tables run`."""


class RunKey(NamedTuple):
    """Which run: Airflow's run ids are unique per DAG only."""

    dag_id: str
    run_id: str

    def __str__(self) -> str:
        return f"{self.dag_id}/{self.run_id}"


class Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Run(Row):
    """One row of etl.run."""

    dag_id: str
    run_id: str
    commit_sha: str | None
    deployed_sha: str | None
    trigger_kind: str
    started_at: datetime
    finished_at: datetime | None
    status: RunStatus
    note: str | None
    """The verdict's sentence."""
    enqueued_at: datetime | None = None
    """When Airflow first queued it; None of `sluiceway tables run`, and of a run that code of before 0006 opened."""
    opened_at: datetime | None = None
    """When its first task began last: with the run, or with a repetition of a part of it."""
    pending: list[str] | None = None
    """The tasks that had still to begin then."""
    outcome: Outcome | None = None
    outcome_note: str | None = None
    published_at: datetime | None = None
    """When its views were published last."""
    judged: dict[str, str | None] | None = None
    """The tasks' states that the verdict saw."""
    judged_rows: str | None = None
    """What the rows of its tasks and tables came to that the verdict saw, as ledger/rows_seen.py reckons it."""
    remark: str | None = None
    """What was done to the run in Airflow after its verdict."""

    @property
    def is_of_before(self) -> bool:
        """Whether code of before 0006 opened it, which wrote down neither how each task ended nor what it published."""
        return self.enqueued_at is None and self.dag_id != CLI

    def may_be_enqueued_at(self, moment: datetime | None) -> bool:
        """Whether it may be the run that Airflow enqueued at that moment, and no other one that had its id.

        Of a run of before 0006 only its start is known, which cannot come before it was enqueued.

        :param moment: None where nobody knows.
        """
        if moment is None:
            return True
        return self.started_at >= moment if self.enqueued_at is None else self.enqueued_at == moment

    @property
    def key(self) -> RunKey:
        """Which run it is."""
        return RunKey(self.dag_id, self.run_id)


class TableRun(Row):
    """One row of etl.table_run: what one try of a run did to one table. Sizes in bytes."""

    dag_id: str
    run_id: str
    table_name: str
    try_number: int = 1
    status: TableStatus
    extracted: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    repaired: int = 0
    table_rows: int | None = None
    """Live rows in the warehouse table afterwards."""
    bytes: int | None = None
    """Size of the source."""
    seconds: float | None = None
    peak_rss_bytes: int | None = None
    worker: str | None = None
    """The name of the machine that made the try."""
    fingerprint: str | None = None
    spec_hash: str | None = None
    source_columns: dict[str, str] | None = None
    """The source's columns with the family of their type."""
    watermark: str | None = None
    """Where an incremental source ended: the next load begins a little before it."""
    source_rows: int | None = None
    """How many rows the source held: all that a load of the whole gave, and what increments have brought since."""
    note: str | None = None
    """What a person should know of a good load."""
    error_type: str | None = None
    error: str | None = None
    finished_at: datetime | None = None
    published_at: datetime | None = None
    """When its run has published what this try, with those before it, left in the table."""

    @property
    def key(self) -> RunKey:
        """Which run it is a try of."""
        return RunKey(self.dag_id, self.run_id)
