"""DeployedCommitSensor: the gate of a run. Nothing loads before the environment serves the run's commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSensorTimeout, DownstreamTasksSkipped

from sluiceway.on_airflow.connections import CONN_ID, connections, warehouse_url
from sluiceway.on_airflow.recorded import recorded, run_of
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluiceway.deploy.commit import Sighting
    from sluiceway.deploy.gate import Sight
    from sluiceway.deploy.spec import Environment

GRACE_S = 60.0
"""How long after the gate's own time a deferred task is given up: its trigger answers first, if there is one."""


class DeployedCommitSensor(BaseSensorOperator):
    """Wait until the environment serves the run's commit.

    The environment is the one SLUICEWAY_ENVIRONMENT names; with none, every commit passes at once. A run without a
    commit takes what the environment serves. When the environment serves a newer commit whose run waits already, this
    one is superseded: everything behind the gate is skipped. deploy/order.py says which commit is the newer.

    Waits in the triggerer, or without one by looking again now and then.

    :param closing: the ids of tasks that run in a superseded run too, for they close it.
    :param conn_id: the Airflow connection of the warehouse.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, closing: Sequence[str] = (), conn_id: str = CONN_ID, **kwargs: Any) -> None:
        # the scheduler heeds the time of the next look in this mode only; a task may still defer in it
        super().__init__(**{"mode": "reschedule", **kwargs})
        self.closing = tuple(closing)
        self.conn_id = conn_id

    def execute(self, context: Context) -> str:
        """Return what the gate let through, as a sentence.

        :raises UnknownParamError: the run's conf has a key that is no param.
        :raises DeployRunError: the run is named as a commit's, and its conf says otherwise.
        :raises DeployTimeoutError: the environment did not serve the commit in its time.
        """
        with recorded(context, conn_id=self.conn_id):
            return self._pass(context)

    def _pass(self, context: Context) -> str:
        from sluiceway.deploy.order import contradiction
        from sluiceway.deploy.spec import read_environment
        from sluiceway.errors import DeployRunError
        from sluiceway.run import steps

        conf, sha = context["dag_run"].conf or {}, context["params"]["commit_sha"]
        steps.check_conf(conf, context["dag"].params)
        problem = contradiction(context["dag_run"].run_id, conf)
        if problem is not None:
            raise DeployRunError(problem)
        name = load_settings().environment
        if name is None:
            return "No environment is named (SLUICEWAY_ENVIRONMENT): every commit passes."
        spec = read_environment(name)
        return self._take_deployed(context, spec) if sha is None else self._look(context, spec)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> str:
        """Take up what the trigger saw."""
        from sluiceway.deploy.gate import Sight
        from sluiceway.deploy.spec import read_environment

        # a trigger of the release before says no `until`: its look was the last one
        asked, until = event.pop("asked"), datetime.fromtimestamp(event.pop("until", 0), UTC)
        with recorded(context, conn_id=self.conn_id):
            spec = read_environment(str(load_settings().environment))
            sight = self._judged(context, spec, Sight.model_validate(event))
            if sight.outcome != "waiting" or datetime.now(UTC) >= until:
                return self._conclude(context, sight, asked)
            return self._wait_on(context, spec, sight, until=until, asked=asked)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As any sensor; when no trigger answered in time, look a last time."""
        from sluiceway.deploy.spec import read_environment

        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout:
            self.log.warning("No triggerer answered in the time of the gate: looking a last time")
            with recorded(context, conn_id=self.conn_id):
                spec = read_environment(str(load_settings().environment))
                return self._conclude(context, self._sight(context, spec), 2)

    def _take_deployed(self, context: Context, spec: Environment) -> str:
        """The commit of a run that names none is the one that is deployed."""
        from sluiceway.deploy.probe import sight
        from sluiceway.run import steps

        found, seen = asyncio.run(sight(spec, connections))
        self._write(spec, seen)
        steps.record_deployed(warehouse_url(self.conn_id), run_of(context), found.commit)
        return self._said(f"The run names no commit; {found.place} serves {found.commit}.")

    def _look(self, context: Context, spec: Environment) -> str:
        from sluiceway.on_airflow.sensors.triggerer import triggerer_is_there

        sight = self._sight(context, spec)
        now = datetime.now(UTC)
        until = (context["ti"].get_first_reschedule_date(context) or now) + timedelta(seconds=spec.timeout_s)
        looks = int(context.get("task_reschedule_count", 0)) + 1
        if sight.outcome != "waiting" or now >= until:
            return self._conclude(context, sight, looks)
        if looks == 1 and triggerer_is_there():
            return self._wait_on(context, spec, sight, until=until, asked=1)
        self.log.info("%s; looking again in %g s, until %s", sight.said, spec.poll_s, f"{until:%H:%M:%S} UTC")
        next_look = min(now + timedelta(seconds=spec.poll_s), until)
        raise AirflowRescheduleException(next_look)  # type: ignore[no-untyped-call]

    def _wait_on(self, context: Context, spec: Environment, sight: Sight, *, until: datetime, asked: int) -> NoReturn:
        from sluiceway.on_airflow.triggers.deployed_commit import DeployedCommitTrigger

        commit = context["params"]["commit_sha"]
        self.log.info("%s; waiting for %s until %s", sight.said, commit, f"{until:%H:%M:%S} UTC")
        self.defer(
            trigger=DeployedCommitTrigger(
                environment=spec.name,
                commit_sha=commit,
                dag_id=context["dag_run"].dag_id,
                until=until.timestamp(),
                asked=asked,
                passed_over=sight.runs,
                served=sight.commit,
                conn_id=self.conn_id,
            ),
            method_name="execute_complete",
            timeout=until - datetime.now(UTC) + timedelta(seconds=GRACE_S),
        )
        raise AssertionError("unreachable: defer raises")

    def _sight(self, context: Context, spec: Environment) -> Sight:
        from sluiceway.deploy.gate import look
        from sluiceway.on_airflow.deploy_runs import waiting

        dag_id, commit = context["dag_run"].dag_id, context["params"]["commit_sha"]
        seen = asyncio.run(look(spec, connections, commit, partial(waiting, dag_id), partial(self._write, spec)))
        return self._judged(context, spec, seen)

    def _judged(self, context: Context, spec: Environment, sight: Sight) -> Sight:
        """The same, but for a contested one, whose runs say what it comes to."""
        from sluiceway.deploy.gate import judge
        from sluiceway.deploy.history import current_stint
        from sluiceway.on_airflow.deploy_runs import existing, read

        if sight.outcome != "contested":
            return sight
        dag_run = context["dag_run"]
        runs = read(dag_run.dag_id, existing(dag_run.dag_id, str(sight.commit)))
        stint = current_stint(warehouse_url(self.conn_id), spec.name)
        return judge(sight, spec.name, runs, stint, dag_run.run_after)

    def _write(self, spec: Environment, seen: Sighting) -> None:
        from sluiceway.deploy.history import write_sighting
        from sluiceway.errors import SluicewayError

        try:
            write_sighting(warehouse_url(self.conn_id), spec.name, seen)
        except SluicewayError as error:
            # the order of two commits is then less well known, and the look goes on
            self.log.warning("What %s serves could not be written down: %s", spec.name, error)

    def _conclude(self, context: Context, sight: Sight, asked: int) -> str:
        """End the wait as `sight` says."""
        from sluiceway.errors import DeployTimeoutError
        from sluiceway.run import steps

        url, run = warehouse_url(self.conn_id), run_of(context)
        if sight.outcome == "reached":
            steps.record_deployed(url, run, str(sight.commit))
            return self._said(f"{sight.said}.")
        if sight.outcome == "superseded":
            steps.supersede(url, run, str(sight.commit), self._said(f"Superseded: {sight.said}."))
            staying = {self.task_id, *self.closing}
            rest = [each for each in context["dag"].task_ids if each not in staying]
            raise DownstreamTasksSkipped(tasks=rest)  # type: ignore[no-untyped-call]
        times = "once" if asked == 1 else f"{asked} times"
        raise DeployTimeoutError(
            f"{load_settings().environment} did not serve {context['params']['commit_sha']} in its time (timeout_s). "
            f"Asked {times}, seen last: {sight.said}. See whether the deploy went through, then clear this task."
        )

    def _said(self, sentence: str) -> str:
        self.log.info("%s", sentence)
        return sentence
