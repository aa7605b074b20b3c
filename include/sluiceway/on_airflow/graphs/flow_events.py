"""How events come from the ledger into runs: taken by a run, one run for each, looked for without a triggerer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSkipException, DownstreamTasksSkipped

from sluiceway.amounts import counted
from sluiceway.on_airflow.connections import connections, warehouse_url

if TYPE_CHECKING:
    from airflow.sdk import Context

    from sluiceway.flows.files import Flow
    from sluiceway.flows.when import Expression
    from sluiceway.ledger.events import StoredEvent
    from sluiceway.ledger.warehouse import Session

TAKING_RUNS = frozenset({"scheduled", "asset_triggered"})
"""A run that somebody asked for, perhaps of one table, must not use up what another one is to see."""
TOLD = 1000
"""Events in a task's result; all of them stand in etl.trigger_event under the run's id."""
BATCH = 20
REFUSED = "refused__"
"""Begins the run id of an event whose run Airflow refuses: asking again would not change that."""

log = logging.getLogger(__name__)


def take_events(context: Context) -> list[dict[str, Any]]:
    """The events of this run, oldest first: {"id", "trigger_id", "key", "seen_at", "facts"}.

    A run that was woken for nothing, for another one has taken the events, ends here, green.
    """
    from sluiceway.flows.files import read_flow
    from sluiceway.ids import VERDICT_TASK
    from sluiceway.ledger import events, store
    from sluiceway.ledger.warehouse import connect
    from sluiceway.on_airflow.graphs.flows import LEDGERED, enabled, per_event
    from sluiceway.on_airflow.recorded import run_of

    dag_run, conf = context["dag_run"], context["dag_run"].conf or {}
    if conf.get("event"):
        with connect(warehouse_url()) as session:
            events.claim_one(session, dag_run.dag_id, dag_run.run_id, int(conf["event"]["id"]))
        return [conf["event"]]
    if dag_run.run_type.value not in TAKING_RUNS:
        return [{"trigger_id": conf.get("trigger_id"), "facts": facts} for facts in conf.get("events") or []]
    flow = read_flow(dag_run.dag_id)
    alone = {trigger.config.id for trigger in per_event(flow)}
    taken = {each.config.id for each in enabled(flow) if each.trigger_type in LEDGERED} - alone
    with connect(warehouse_url()) as session:
        found = events.events_of_run(session, flow.id, dag_run.run_id)
        idle = None if found else _woken_for_nothing(session, context, flow, taken)
        if idle is None:
            found = events.claim(session, flow.id, dag_run.run_id, taken)
        else:
            store.record_outcome(session, run_of(context), "idle", idle)
    if idle is not None:
        log.info("%s", idle)
        rest = [task for task in context["dag"].task_ids if task not in {context["ti"].task_id, VERDICT_TASK}]
        raise DownstreamTasksSkipped(tasks=rest)  # type: ignore[no-untyped-call]
    log.info("%s", counted(len(found), "event"))
    return [told(event) for event in found[:TOLD]]


def _woken_for_nothing(session: Session, context: Context, flow: Flow, taken: set[str]) -> str | None:
    """Why the run has nothing to do, as a sentence; None: it has."""
    from sluiceway.ledger import events

    if context["dag_run"].run_type.value != "asset_triggered":
        return None
    waiting = {each for each in taken if events.count_unclaimed(session, flow.id, [each])}
    woken = {asset.name for asset in context["triggering_asset_events"]}
    if _is_due(flow, taken, waiting, woken):
        return None
    return f"Woken by {', '.join(sorted(woken))}, and other runs have taken the events: nothing to load."


def _is_due(flow: Flow, taken: set[str], waiting: set[str], woken: set[str]) -> bool:
    """Whether what wakes the run is more than a wake that came twice."""
    from sluiceway.flows.assets import trigger_asset

    if woken - {trigger_asset(flow.id, each) for each in taken}:
        return True  # a flow, or a clock: these come once
    return bool(waiting) if flow.when is None else _holds(flow.when, waiting)


def _holds(expression: Expression, waiting: set[str]) -> bool:
    from sluiceway.flows.when import And, Name

    if isinstance(expression, Name):
        return expression.id in waiting
    parts = [_holds(part, waiting) for part in expression.parts]
    return all(parts) if isinstance(expression, And) else any(parts)


def told(event: StoredEvent) -> dict[str, Any]:
    """What a run is told of an event."""
    return {
        "id": event.id,
        "trigger_id": event.trigger_id,
        "key": event.event_key,
        "seen_at": event.seen_at.isoformat(),
        "facts": event.facts,
    }


def start_runs_of(flow_id: str, trigger_ids: Sequence[str]) -> Callable[[Context], int]:
    """The step that starts a run for each event of these triggers."""

    def start_runs(_context: Context) -> int:
        """Start a run of the flow for every event that has none; the run of an event has the event's number."""
        from sluiceway.errors import RunFailedError
        from sluiceway.ledger import events
        from sluiceway.ledger.warehouse import connect

        url, started = warehouse_url(), 0
        refused: list[str] = []
        while True:
            with connect(url) as session:
                batch = events.unclaimed(session, flow_id, trigger_ids, limit=BATCH)
            runs = {event.id: _start(flow_id, event, refused) for event in batch}
            # only now: an event whose run is not there must be found again
            with connect(url) as session:
                for event_id, run_id in runs.items():
                    events.claim_one(session, flow_id, run_id, event_id)
            started += len(batch)
            if not batch:
                break
        if refused:
            raise RunFailedError(
                f"Of {counted(started, 'run')} of {flow_id} {counted(len(refused), 'was', 'were')} refused: "
                f"{'; '.join(refused)}"
            )
        if not started:
            raise AirflowSkipException("Every event has its run")
        return started

    return start_runs


def _start(flow_id: str, event: StoredEvent, refused: list[str]) -> str:
    """The id of the event's run, which is there now."""
    # the message that TriggerDagRunOperator ends with, of which a task can send only one
    from airflow.sdk.execution_time.comms import TriggerDagRun
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    run_id = f"event__{event.trigger_id}__{event.id}"
    params = event.facts.get("params")
    conf = {**(params if isinstance(params, dict) else {}), "trigger_id": event.trigger_id, "event": told(event)}
    try:
        # a run that is there already is an answer and no error
        SUPERVISOR_COMMS.send(
            TriggerDagRun(
                dag_id=flow_id, run_id=run_id, conf=conf, note=f"{event.trigger_id}: {event.event_key}"[:1000]
            )
        )
    except AirflowRuntimeError as error:
        detail = error.error.detail or {}
        if detail.get("status_code") not in {400, 422} or _is_passing(detail):
            raise
        refused.append(f"{event.trigger_id} {event.event_key}: {detail.get('detail') or detail}")
        return f"{REFUSED}{run_id}"
    return run_id


def _is_passing(detail: dict[str, Any]) -> bool:
    """A DAG whose file has an error takes runs again when that is gone."""
    return "import_errors" in str(detail)


def look_of(flow_id: str, trigger_id: str) -> Callable[[Context], int]:
    """The step that looks once at a trigger's place; its outlet wakes the flow."""

    def look(_context: Context) -> int:
        """Look once, and wake the flow while there are events that no run has taken."""
        from sluiceway.flows.files import read_flow
        from sluiceway.flows.look import look_now
        from sluiceway.flows.trigger import SensorTrigger

        trigger = read_flow(flow_id).trigger(trigger_id)
        assert isinstance(trigger, SensorTrigger)
        new, waiting = look_now(warehouse_url(), trigger, connections)
        log.info("%d new events, %d that no run has taken", new, waiting)
        if not waiting:
            raise AirflowSkipException("Nothing has happened")
        return waiting

    return look


def tell_time(_context: Context) -> None:
    """The clock has reached a time; the outlet wakes the flow."""


def say_of(problem: str) -> Callable[[Context], None]:
    """The step of a DAG whose flow's file is wrong."""

    def say(_context: Context) -> None:
        """Say what is wrong with the file."""
        from sluiceway.errors import ConfigError

        raise ConfigError(problem)

    return say
