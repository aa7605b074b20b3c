"""GET /sluiceway/api/triggers: every trigger and how it is, as JSON, for whoever may read its flow's DAG."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from sluiceway.errors import SluicewayError
from sluiceway.flows.files import Flow
from sluiceway.flows.overview import overview
from sluiceway.ledger import events
from sluiceway.ledger.warehouse import connect
from sluiceway.on_airflow.web.connections import warehouse_url
from sluiceway.on_airflow.web.declared import declared
from sluiceway.on_airflow.web.pages.site import METHODS
from sluiceway.on_airflow.web.threads import page_threads
from sluiceway.on_airflow.web.users import UserDep

RUNS = 200
"""The newest runs of a flow among which each trigger's last is looked for."""
log = logging.getLogger(__name__)
router = APIRouter()


@router.api_route("/api/triggers", methods=METHODS)
@page_threads.bounded
def list_triggers(user: UserDep) -> JSONResponse:
    """The triggers of the flows that the user may read, none of the others."""
    with create_session(scoped=False) as session:
        flows = [flow for flow in declared.flows().values() if _may_read(user, flow.id, session)]
        last_runs = dict(_last_runs(flows, session))
    try:
        with connect(warehouse_url()) as ledger:
            states = events.states(ledger)
    except SluicewayError as error:
        log.error("The triggers cannot be shown: %s", error)
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "The ledger does not answer.") from error
    shown = [view.model_dump(mode="json") for view in overview(flows, states, last_runs)]
    return JSONResponse({"triggers": shown}, headers={"Cache-Control": "private, no-store"})


def _may_read(user: Any, flow_id: str, session: Session) -> bool:
    # as Airflow's own GET /dags/{dag_id} decides it
    details = DagDetails(id=flow_id, team_name=DagModel.get_team_name(flow_id, session=session))
    return get_auth_manager().is_authorized_dag(method="GET", details=details, user=user)


def _last_runs(flows: Iterable[Flow], session: Session) -> Iterable[tuple[tuple[str, str], str]]:
    """The last run that a trigger's name or type began, by flow and trigger: runs that take no events."""
    for flow in flows:
        newest = session.scalars(
            select(DagRun.run_id).where(DagRun.dag_id == flow.id).order_by(DagRun.id.desc()).limit(RUNS)
        ).all()
        for trigger_id, trigger in flow.triggers.items():
            found = next((run_id for run_id in newest if run_id.startswith(trigger.config.run_prefix)), None)
            if found is not None:
                yield (flow.id, trigger_id), found
