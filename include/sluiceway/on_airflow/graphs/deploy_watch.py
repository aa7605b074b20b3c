"""What deploy_watch is made of: when it runs, and the operator that starts a run for a new commit."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Asset, AssetWatcher
from airflow.sdk.exceptions import AirflowSkipException

from sluiceway.on_airflow.connections import warehouse_url
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluiceway.deploy.stints import Stint

SHORTEST_SCHEDULE_S = 60.0
"""Every look without a triggerer is a run of its own."""


def schedule(dag_id: str) -> list[Asset] | timedelta | None:
    """When deploy_watch runs: at an event of its watcher, now and then, or by hand alone.

    :param dag_id: the DAG that it starts.
    :raises SettingsError: SLUICEWAY_ENVIRONMENT names no file.
    """
    settings = load_settings()
    if settings.environment is None or settings.deploy_watch == "off":
        return None
    from sluiceway.deploy.spec import read_environment

    spec = read_environment(settings.environment)
    if settings.deploy_watch == "schedule":
        return timedelta(seconds=max(spec.poll_s, SHORTEST_SCHEDULE_S))
    from sluiceway.on_airflow.triggers.deploy_watch import DeployWatchTrigger

    name = f"deploy/{spec.name}"
    return [Asset(name, watchers=[AssetWatcher(name, DeployWatchTrigger(environment=spec.name, dag_id=dag_id))])]


class TriggerNewCommitOperator(TriggerDagRunOperator):
    """Start a run of the commit that the watch has seen, or that is found now: deploy__<sha>, or the next free of
    deploy__<sha>__2 and so on. Skipped when there is nothing to do; red when nobody can say what is deployed.

    :param trigger_dag_id: the DAG to start.
    """

    template_fields = ("trigger_dag_id",)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"skip_when_already_exists": True, "logical_date": None, **kwargs})

    def execute(self, context: Context) -> None:
        """Start the run.

        :raises WatchBlindError: the watch says that it cannot see.
        :raises NoCommitError: the environment says something that is no commit, or a short one.
        :raises DeployRunError: the commit has no id left.
        """
        from sluiceway.deploy.history import ask_for_run

        events = [event for found in context["triggering_asset_events"].values() for event in found]
        newest = max(events, key=lambda event: event.timestamp, default=None)
        stint = self._found_now() if newest is None else self._told(newest.extra["payload"])
        self.trigger_run_id = self._run_id(stint)
        self.conf = {"commit_sha": stint.commit_sha}
        ask_for_run(warehouse_url(), stint, self.trigger_run_id)
        super().execute(context)

    def _run_id(self, stint: Stint) -> str:
        """The id of the run that the commit needs; skips when it needs none."""
        from sluiceway.deploy.history import loads_of, settle
        from sluiceway.deploy.order import needs_nothing, next_run_id
        from sluiceway.on_airflow.deploy_runs import existing, read

        dag_id, commit = self.trigger_dag_id, stint.commit_sha
        taken = existing(dag_id, commit)
        # runs first: one that ends in between is then still one that goes on
        runs = read(dag_id, taken)
        reason = needs_nothing(commit, runs, loads_of(warehouse_url(), dag_id, commit))
        if reason is not None:
            settle(warehouse_url(), stint)
            raise AirflowSkipException(f"{stint.environment} serves {commit}, and {reason}")
        return next_run_id(commit, taken)

    def _told(self, payload: dict[str, Any]) -> Stint:
        from sluiceway.deploy.history import current_stint
        from sluiceway.errors import WatchBlindError

        environment = payload["environment"]
        if "problem" in payload:
            raise WatchBlindError(
                f"Nobody can say which commit {environment} serves: {payload['problem']}. The watch goes on "
                f"asking, ever slower; until it is answered no deploy is noticed, and only CI starts runs."
            )
        if payload["commit"] is None:
            raise AirflowSkipException(f"{environment} answers again, and its commit needs no run")
        stint = current_stint(warehouse_url(), environment)
        if stint is None or stint.commit_sha != payload["commit"]:
            raise AirflowSkipException(
                f"{environment} no longer serves {payload['commit']}; what it serves is told too"
            )
        return stint

    def _found_now(self) -> Stint:
        from sluiceway.deploy.commit import require_full
        from sluiceway.deploy.history import write_sighting
        from sluiceway.deploy.probe import sight
        from sluiceway.deploy.spec import read_environment
        from sluiceway.errors import SettingsError
        from sluiceway.on_airflow.connections import connections

        environment = load_settings().environment
        if environment is None:
            raise SettingsError("There is nothing to watch: set SLUICEWAY_ENVIRONMENT to the name of an environment.")
        found, seen = asyncio.run(sight(read_environment(environment), connections))
        require_full(found)
        stint = write_sighting(warehouse_url(), environment, seen)
        if stint.commit_sha != found.commit:
            raise AirflowSkipException(f"{environment} serves {stint.commit_sha}, as a later look has seen")
        if stint.settled_at is not None:
            raise AirflowSkipException(f"{found.place} serves {found.commit}, which needs no run or has it")
        return stint
