"""Runs as Airflow shows them, for the API server: read from Airflow's own database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, NamedTuple

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import case, or_, select, tuple_
from sqlalchemy.orm import Session

from sluiceway.ledger.store import Run, RunKey
from sluiceway.run.marks import ANY, EVENTS, Entry, Shown, marks_of
from sluiceway.run.reconcile import Seen
from sluiceway.run.truth import Span, marks_wanted


def readable_dags(
    user: Any, dag_ids: Collection[str], session: Session, entity: DagAccessEntity = DagAccessEntity.RUN
) -> set[str]:
    """Those of the DAGs whose runs the user may read, as Airflow's own GET /dags/{dag_id}/dagRuns decides it."""
    teams = _teams(dag_ids, session)
    return {
        dag_id
        for dag_id in dag_ids
        if get_auth_manager().is_authorized_dag(
            method="GET",
            access_entity=entity,
            details=DagDetails(id=dag_id, team_name=teams.get(dag_id)),
            user=user,
        )
    }


def _teams(dag_ids: Collection[str], session: Session) -> dict[str, str | None]:
    """Whose each DAG is. Without teams, as is Airflow's default, nothing is asked."""
    if not (dag_ids and conf.getboolean("core", "multi_team")):
        return {}
    return DagModel.get_dag_id_to_team_name_mapping(list(dag_ids), session=session)


def conf_of(session: Session, key: RunKey) -> dict[str, Any] | None:
    """With which values the run was triggered; None: Airflow does not have it any more."""
    sent = session.scalar(select(DagRun.conf).filter_by(**key._asdict()))
    return sent if isinstance(sent, dict) else None


def seen_runs(session: Session, runs: Iterable[Run], user: Any) -> dict[RunKey, Seen]:
    """Each run as Airflow shows it; who changed it is looked up only where that is to be told.

    :param user: sees names of people only of DAGs whose audit log he or she may read.
    """
    found = {run.key: run for run in runs}
    if not found:
        return {}
    shown = _shown(session, list(found))
    wanted = {key: span for key, seen in shown.items() if (span := marks_wanted(found[key], seen[0]))}
    entries = _entries(session, wanted, user) if wanted else []
    for key, span in wanted.items():
        seen, times = shown[key]
        marks = marks_of(entries, key, Shown(seen.state, seen.tasks, *times), **span._asdict())
        shown[key] = seen.model_copy(update={"marks": marks}), times
    return {key: shown[key][0] if key in shown else Seen(state=None) for key in found}


class _Times(NamedTuple):
    """Of a run's tasks, by name."""

    changed_at: dict[str, datetime]
    began_at: dict[str, datetime]


def _shown(session: Session, keys: list[RunKey]) -> dict[RunKey, tuple[Seen, _Times]]:
    """Each run that Airflow has, and the times of its tasks."""
    states: dict[RunKey, dict[str, str | None]] = defaultdict(dict)
    times: dict[RunKey, _Times] = defaultdict(lambda: _Times({}, {}))
    task = TaskInstance
    # one that was marked before it began has the moment of the mark for its start, and no process
    began_at = case((task.pid.is_not(None), task.start_date))
    columns = task.dag_id, task.run_id, task.task_id, task.map_index, task.state, task.updated_at, began_at
    for dag_id, run_id, task_id, index, state, *at in session.execute(
        select(*columns).where(tuple_(task.dag_id, task.run_id).in_(keys))
    ):
        key, name = RunKey(dag_id, run_id), task_id if index < 0 else f"{task_id}_{index}"
        states[key][name] = str(state) if state else None
        for moments, moment in zip(times[key], at, strict=True):
            if moment is not None:
                moments[name] = moment
    rows = session.execute(
        select(DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.run_after, DagRun.start_date, DagRun.end_date).where(
            tuple_(DagRun.dag_id, DagRun.run_id).in_(keys)
        )
    )
    return {
        (key := RunKey(dag_id, run_id)): (
            Seen(state=str(state), tasks=states[key], enqueued_at=at, started_at=began, ended_at=ended),
            times[key],
        )
        for dag_id, run_id, state, at, began, ended in rows
    }


def _entries(session: Session, wanted: dict[RunKey, Span], user: Any) -> list[Entry]:
    """What the audit log has on these runs, and on runs that only what was sent names."""
    since = min(min(filter(None, span)) for span in wanted.values())
    dag_ids, run_ids = {key.dag_id for key in wanted}, {key.run_id for key in wanted}
    named = readable_dags(user, dag_ids, session, DagAccessEntity.AUDIT_LOG)
    rows = session.execute(
        select(Log.event, Log.dttm, Log.owner, Log.dag_id, Log.run_id, Log.task_id, Log.extra).where(
            Log.event.in_(EVENTS),
            Log.dttm > since,
            or_(Log.dag_id.in_(dag_ids), Log.dag_id == ANY, Log.dag_id.is_(None)),
            or_(Log.run_id.in_(run_ids), Log.run_id == ANY, Log.run_id.is_(None)),
        )
    )
    return [
        Entry(
            event=event,
            at=at,
            owner=owner if named >= (dag_ids if dag_id in {None, ANY} else {dag_id}) else None,
            dag_id=dag_id,
            run_id=run_id,
            task_id=task_id,
            extra=extra,
        )
        for event, at, owner, dag_id, run_id, task_id, extra in rows
    ]
