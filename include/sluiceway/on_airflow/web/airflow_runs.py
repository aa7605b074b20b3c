"""Runs of Airflow that wait or go on, and which of their DAGs are paused: what the ledger cannot know."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from pydantic import BaseModel, ConfigDict
from sqlalchemy import and_, select
from sqlalchemy.orm import Session

MOST = 50


class OpenRun(BaseModel):
    """One that waits in Airflow's queue, or runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dag_id: str
    run_id: str
    waits: bool
    since: datetime | None
    """When it was queued, or began."""
    is_paused: bool
    """Its DAG: while that is so, none of its runs begins."""


class Queue(BaseModel):
    """All of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: tuple[OpenRun, ...]
    paused: frozenset[str]
    """DAGs, also without a run that waits."""


def queue(session: Session, dag_ids: Collection[str]) -> Queue:
    """What waits and what runs of these DAGs, the newest first, and which of them are paused: one statement."""
    is_open = and_(DagRun.dag_id == DagModel.dag_id, DagRun.state.in_(("queued", "running")))
    rows = session.execute(
        select(DagModel.dag_id, DagModel.is_paused, DagRun.run_id, DagRun.state, DagRun.queued_at, DagRun.start_date)
        .join(DagRun, is_open, isouter=True)
        .where(DagModel.dag_id.in_(dag_ids))
        .order_by(DagRun.run_after.desc().nulls_last())
        .limit(MOST + len(dag_ids))
    ).all()
    runs = tuple(
        OpenRun(
            dag_id=dag_id,
            run_id=run_id,
            waits=state == "queued",
            since=queued_at if state == "queued" else began_at,
            is_paused=is_paused,
        )
        for dag_id, is_paused, run_id, state, queued_at, began_at in rows
        if run_id is not None
    )
    return Queue(runs=runs[:MOST], paused=frozenset(dag_id for dag_id, is_paused, *_ in rows if is_paused))
