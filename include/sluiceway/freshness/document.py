"""The verdict as a document for programs: `sluiceway status --json` and /sluiceway/api/status.json.

`page` and `status` are the two keys that monitors of status pages read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from sluiceway.freshness.judge import counted
from sluiceway.freshness.model import EnvironmentVerdict, Frozen, State, TableVerdict, Verdict

VERSION = 1
Indicator = Literal["none", "minor", "major", "critical"]
INDICATORS: dict[State, Indicator] = {"in step": "none", "behind": "minor", "stale": "major", "unknown": "critical"}


class Page(Frozen):
    """Whose status it is."""

    id: str = Field(description="`sluiceway`, with the environment's name after a dot where there is one.")
    name: str = Field(description="The same for people.")
    url: str = Field(description="Where Airflow is; empty where SLUICEWAY_AIRFLOW_URL names none.")
    updated_at: datetime = Field(description="As `computed_at`.")


class Status(Frozen):
    """The whole in a word and a sentence."""

    indicator: Indicator = Field(description="none: in step; minor: behind or late; major: stale; critical: unknown.")
    description: str = Field(description="The verdict's sentence.")


class StatusDocument(Frozen):
    """What `sluiceway status --json` prints. A key may be added; one that goes or changes raises `version`."""

    version: Literal[1] = Field(description="Of this document's form.")
    page: Page
    status: Status
    computed_at: datetime = Field(description="When the facts were read, by the warehouse's clock.")
    state: State = Field(description="The worst of the environment's and the tables': in step, behind, stale, unknown.")
    environment: EnvironmentVerdict | None = Field(description="null: no environment is named, or it is for anybody.")
    tables: tuple[TableVerdict, ...] = Field(description="The worst first. Empty where it is for anybody.")


def document(verdict: Verdict, *, airflow_url: str | None = None) -> StatusDocument:
    """The verdict as a document."""
    name = verdict.environment.name if verdict.environment is not None else None
    return StatusDocument(
        version=VERSION,
        page=Page(
            id=f"sluiceway.{name}" if name else "sluiceway",
            name=f"Data of {name}" if name else "Data",
            url=airflow_url or "",
            updated_at=verdict.computed_at,
        ),
        status=Status(indicator=INDICATORS[verdict.state], description=verdict.sentence),
        computed_at=verdict.computed_at,
        state=verdict.state,
        environment=verdict.environment,
        tables=verdict.tables,
    )


def public_document(verdict: Verdict, *, airflow_url: str | None = None) -> StatusDocument:
    """The verdict for anybody: how many tables are in which state, and no name, no commit and no error."""
    bare = verdict.model_copy(update={"environment": None, "tables": ()})
    return document(
        bare.model_copy(update={"sentence": f"The data is {verdict.state}. {counted(verdict.tables, names=False)}"}),
        airflow_url=airflow_url,
    )
