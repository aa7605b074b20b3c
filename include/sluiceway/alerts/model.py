"""What is wrong, as it is seen, as the ledger keeps it, and as it is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sluiceway.alerts.spec import Kind
from sluiceway.ledger.rows import RunKey

What = Literal["opened", "recovered"]
TABLE, DAG = "table:", "dag:"
"""Begin the names of what a problem is about; `environment:`, `watch:` and `job:` are the others."""


class Frozen(BaseModel):
    """What is seen and what is kept does not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(Frozen):
    """Something that is wrong now, by one cause. Problems of one key are one incident."""

    kind: Kind
    key: str
    """Of its cause."""
    cause: str
    sentence: str
    """What is wrong, for people."""
    subjects: frozenset[str]
    """What it is about."""
    run: RunKey | None = None
    patience: timedelta = timedelta(0)
    """It is told only once it has lasted so long."""
    is_held: bool = False
    """It is not to be told for the time being."""


class Observed(Frozen):
    """What one look has seen."""

    at: datetime
    """By the warehouse's clock."""
    problems: tuple[Problem, ...]
    unclear: frozenset[str]
    """Subjects of which nobody can say whether they are well: an incident about one stays as it is."""
    running: frozenset[RunKey]
    """Runs that go on, or go on again: an incident of one stays as it is."""
    environment: str | None = None


class Incident(Frozen):
    """One row of etl.incident."""

    id: int
    cause_key: str
    kinds: tuple[str, ...]
    cause: str
    sentence: str
    subjects: tuple[str, ...]
    """All that it was about since it was opened."""
    environment: str | None
    dag_id: str | None
    run_id: str | None
    opened_at: datetime
    seen_at: datetime
    """When it was seen last."""
    tell_from: datetime
    """Before that nobody is told."""
    recovered_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledged_note: str | None
    snoozed_until: datetime | None

    def named(self, prefix: str) -> list[str]:
        """The names of its subjects of one sort."""
        return [each.removeprefix(prefix) for each in self.subjects if each.startswith(prefix)]


class Notice(Frozen):
    """An incident that somebody is to be told of now."""

    incident: Incident
    what: What
    told_at: datetime | None
    """When its beginning was told for the first time; None: never."""


class Message(Frozen):
    """What is sent."""

    subject: str
    body: str
    is_good: bool
    """Whether it says that something is well again."""
