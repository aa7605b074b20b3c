"""Wakes a flow from within the API server, as POST /api/v2/assets/events does: by an event of its trigger's asset."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus

from airflow._shared.timezones import timezone
from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetEvent, AssetModel
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from sqlalchemy import select
from sqlalchemy.orm import Session

from sluiceway.errors import WebhookRefusedError
from sluiceway.flows.assets import trigger_asset

RETRY_S = 60


def must_listen(flow_id: str, trigger_id: str) -> None:
    """See that somebody would wake, and that what it starts would run.

    :raises WebhookRefusedError: Airflow has not parsed the flow's DAG, or it is paused: 503.
    """
    with create_session(scoped=False) as session:
        asset, dag = _asset(session, flow_id, trigger_id), session.get(DagModel, flow_id)
        if asset is None or asset.active is None or dag is None or dag.is_paused:
            raise _nobody(flow_id)
        # the flow's own DAG, or the one beside it that starts a run of it per event
        if all(listening.dag.is_paused for listening in asset.scheduled_dags):
            raise _nobody(flow_id)


def wake(flow_id: str, trigger_id: str, event_id: int) -> None:
    """Register an event of the trigger's asset, which starts the flow as its schedule says.

    :raises WebhookRefusedError: the asset is gone: 503.
    """
    with create_session(scoped=False) as session:
        asset = _asset(session, flow_id, trigger_id)
        if asset is None:
            raise _nobody(flow_id)
        team = DagModel.get_team_name(flow_id, session=session)
        asset_manager.register_asset_change(
            asset=asset,
            extra={"trigger_id": trigger_id, "event_id": event_id},
            source_is_api=True,
            api_user_teams={team} if team else set(),
            session=session,
        )


def was_woken(flow_id: str, trigger_id: str, event_id: int, age_s: float) -> bool:
    """Whether Airflow was told of this event, which is `age_s` old."""
    since = timezone.utcnow() - timedelta(seconds=age_s + RETRY_S)
    with create_session(scoped=False) as session:
        asset = _asset(session, flow_id, trigger_id)
        if asset is None:
            return False
        told = session.scalars(
            select(AssetEvent.extra).where(AssetEvent.asset_id == asset.id, AssetEvent.timestamp > since)
        )
        return any(extra.get("event_id") == event_id for extra in told)


def _asset(session: Session, flow_id: str, trigger_id: str) -> AssetModel | None:
    return session.scalar(select(AssetModel).where(AssetModel.name == trigger_asset(flow_id, trigger_id)))


def _nobody(flow_id: str) -> WebhookRefusedError:
    return WebhookRefusedError(
        f"The flow {flow_id} is paused, or not deployed yet: nothing would start.",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        retry_after_s=RETRY_S,
    )
