"""The verdict: what is said of an environment and of each table, with what it is said by."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

TableState = Literal["stale", "unknown", "late", "no promise", "fresh"]
"""The worst first."""
State = Literal["stale", "unknown", "behind", "in step"]
"""The worst first: what is known to be stale is said before what is not known."""


class Frozen(BaseModel):
    """Facts and verdicts do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TableVerdict(Frozen):
    """How one table stands."""

    table: str = Field(description="Its name.")
    state: TableState = Field(description="fresh, late, stale, no promise or unknown.")
    sentence: str = Field(description="Why, for people.")
    fresh_within_s: float | None = Field(description="The promise of its file in seconds; null: none.")
    looked_at: datetime | None = Field(
        description="When a green run last loaded it, or found its source unchanged; null: never."
    )
    data_from: datetime | None = Field(description="When what it holds was loaded last, by whatever run; null: never.")
    rows: int | None = Field(description="Live rows after that load.")
    commit: str | None = Field(
        description="The commit for which what it holds was loaded or found unchanged; null: no load names one."
    )
    dag_id: str | None = Field(description="The DAG of the run that looked at it; `cli` for the command line.")
    run_id: str | None = Field(description="That run.")


class EnvironmentVerdict(Frozen):
    """How the environment stands: the deployed commit against the data's."""

    name: str = Field(description="The environment, a file's name.")
    state: State = Field(description="in step, behind, stale or unknown.")
    sentence: str = Field(description="Why, for people.")
    data_within_s: float = Field(description="The promise of its file in seconds.")
    deployed_commit: str | None = Field(description="What it serves; null: it does not say.")
    deployed_at: datetime | None = Field(description="When that was seen first; null: nobody has noted it.")
    data_commit: str | None = Field(description="The commit that all tables hold; null: they hold several, or none.")


class Verdict(Frozen):
    """How all of it stands."""

    computed_at: datetime
    state: State
    sentence: str
    environment: EnvironmentVerdict | None
    """None: none is named, so no commit is deployed that the data could be behind."""
    tables: tuple[TableVerdict, ...]
    """The worst first."""
