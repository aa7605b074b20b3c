"""The kind `flow`: a run, or one task, of another flow has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

from pydantic import Field

from sluiceway.events import Event
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import ID, Trigger, TriggerConfig, TriggerContext

STATES = {
    "success": ("success",),
    "failure": ("failed", "upstream_failed"),
    "always": ("success", "failed", "upstream_failed"),
}
_OF_RUNS = ("success", "failed")


class FlowConfig(TriggerConfig):
    """A start behind another flow."""

    type: Literal["flow"] = Field(description="Another flow has ended.", examples=["flow"])
    source_flow_id: str = Field(
        pattern=ID, description="The flow whose end counts; its DAG's id.", examples=["master_etl"]
    )
    source_task_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_.-]{1,250}$",
        description="A task of that flow whose end counts instead, with the names of its groups.",
        examples=["final.validate"],
    )
    condition: Literal["success", "failure", "always"] = Field(
        default="success",
        description="How it must have ended. The source of a `failure` stays red.",
        examples=["failure"],
    )


@TriggerRegistry.register_trigger("flow")
class FlowTrigger(Trigger[FlowConfig]):
    """In Airflow the source emits an asset that the follower is scheduled by; asked for, it asks the REST API."""

    config_model = FlowConfig

    def should_trigger(self, context: TriggerContext) -> bool:
        """Whether the source has ended so since the cursor; see Trigger."""
        from sluiceway.rest.airflow_api import AirflowApi
        from sluiceway.settings import load_settings

        config, now = self.config, datetime.now(UTC).isoformat()
        since, context.cursor, context.events = context.cursor, now, ()
        if since is None:
            return False
        states = STATES[config.condition]
        path = f"dags/{quote(config.source_flow_id)}/dagRuns"
        asked = {"end_date_gt": since, "end_date_lte": now, "order_by": "end_date", "limit": 100}
        with AirflowApi.from_settings(load_settings()) as api:
            if config.source_task_id is None:
                runs = api.get(path, state=[state for state in states if state in _OF_RUNS], **asked)["dag_runs"]
            else:
                runs = api.get(f"{path}/~/taskInstances", task_id=config.source_task_id, state=list(states), **asked)[
                    "task_instances"
                ]
        context.events = tuple(
            Event(
                f"{run['dag_run_id']} {run.get('map_index', -1)} {run['end_date']}",
                {
                    "source_flow_id": config.source_flow_id,
                    "source_task_id": config.source_task_id,
                    "source_run_id": run["dag_run_id"],
                    "state": run["state"],
                    "ended_at": run["end_date"],
                },
            )
            for run in runs
        )
        return bool(context.events)
