"""What deploy_watch is made of: when it runs, and the operator that starts a run for a new commit."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Asset, AssetWatcher
from airflow.sdk.exceptions import AirflowSkipException

from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

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
    from sluiceway.triggers.deploy_watch import DeployWatchTrigger

    name = f"deploy/{spec.name}"
    return [Asset(name, watchers=[AssetWatcher(name, DeployWatchTrigger(environment=spec.name, dag_id=dag_id))])]


class TriggerNewCommitOperator(TriggerDagRunOperator):
    """Start the run deploy__<sha> of the commit that the watch has seen, or that is found now. Skipped when there is
    nothing to do; red when nobody can say what is deployed.

    :param trigger_dag_id: the DAG to start.
    """

    template_fields = ("trigger_dag_id",)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"skip_when_already_exists": True, "logical_date": None, **kwargs})

    def execute(self, context: Context) -> None:
        """Start the run.

        :raises WatchBlindError: the watch says that it cannot see.
        :raises NoCommitError: the environment says something that is no commit, or a short one.
        """
        from sluiceway.sensors.deploy_runs import run_id_of

        events = [event for found in context["triggering_asset_events"].values() for event in found]
        newest = max(events, key=lambda event: event.timestamp, default=None)
        commit = self._found_now() if newest is None else self._told(newest.extra["payload"])
        self.trigger_run_id = run_id_of(commit)
        self.conf = {"commit_sha": commit}
        super().execute(context)

    def _told(self, payload: dict[str, Any]) -> str:
        from sluiceway.errors import WatchBlindError

        if "problem" in payload:
            raise WatchBlindError(
                f"Nobody can say which commit {payload['environment']} serves: {payload['problem']}. The watch goes on "
                f"asking, ever slower; until it is answered no deploy is noticed, and only CI starts runs."
            )
        if payload["commit"] is None:
            raise AirflowSkipException(f"{payload['environment']} answers again, and its commit needs no run")
        return str(payload["commit"])

    def _found_now(self) -> str:
        from sluiceway.deploy.commit import require_full
        from sluiceway.deploy.probe import probe_now
        from sluiceway.deploy.spec import read_environment
        from sluiceway.errors import SettingsError
        from sluiceway.operators.connections import connections
        from sluiceway.triggers.deploy_watch import needs_nothing

        environment = load_settings().environment
        if environment is None:
            raise SettingsError("There is nothing to watch: set SLUICEWAY_ENVIRONMENT to the name of an environment.")
        found = require_full(probe_now(read_environment(environment), connections))
        if needs_nothing(self.trigger_dag_id, found.commit):
            raise AirflowSkipException(f"{found.place} serves {found.commit}, which has its run or is loaded")
        return found.commit
