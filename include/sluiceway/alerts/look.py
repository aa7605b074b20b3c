"""Looks for what is wrong now: asks the ledger and the environment, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from psycopg import sql

from sluiceway.alerts import cause, incidents
from sluiceway.alerts.cause import Cause, error_key, key_of
from sluiceway.alerts.model import DAG, TABLE, Observed, Problem
from sluiceway.amounts import counted
from sluiceway.deploy.commit import Deployed
from sluiceway.deploy.spec import Environment
from sluiceway.errors import ConfigError
from sluiceway.flows.files import flow_files, read_file
from sluiceway.freshness.ask import seen_now, verdict_of
from sluiceway.freshness.facts import LastTry, LedgerFacts, read
from sluiceway.freshness.judge import RED, newest_run_of
from sluiceway.freshness.model import EnvironmentVerdict, TableVerdict
from sluiceway.ledger import events
from sluiceway.ledger.events import TriggerState
from sluiceway.ledger.rows import CLI, Run, RunKey
from sluiceway.ledger.store import runs_where
from sluiceway.ledger.warehouse import Session, connect
from sluiceway.run.facts import facts_of
from sluiceway.settings import Settings
from sluiceway.sources.connections import Connections
from sluiceway.tables import registry

BLIND_FOR = timedelta(minutes=5)
"""What cannot see for less is no news: a service that is deployed does not answer for a while."""

_NEWEST = sql.SQL("""
    r JOIN (
        SELECT DISTINCT ON (dag_id) dag_id, run_id FROM etl.run
        WHERE status IN ('success', 'failed', 'abandoned') AND dag_id <> {} AND NOT (status = 'success' AND
            outcome IS NOT DISTINCT FROM 'idle')
        ORDER BY dag_id, started_at DESC
    ) newest USING (dag_id, run_id) WHERE status <> 'success' ORDER BY dag_id
""").format(sql.Literal(CLI))
"""The red ones among each DAG's newest runs that have ended and had something to do."""


class _Red(NamedTuple):
    """A red run that is its DAG's newest, and why."""

    run: Run
    causes: list[Cause]


def look(url: str, environment: Environment | None, settings: Settings, connections: Connections) -> Observed:
    """What is wrong at this moment.

    :raises LedgerMissingError: the warehouse has no ledger of this version.
    :raises WarehouseUnavailableError: the server does not answer: nothing can be said.
    """
    tables = registry.read_deployed(settings)
    seen = seen_now(environment, connections) if environment is not None else None
    facts = read(url, tables.names(), environment.name if environment is not None else None)
    verdict = verdict_of(tables, environment, seen, facts)
    with connect(url) as session:
        session.execute(sql.SQL("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        red = {run.key: _Red(run, cause.of_run(facts_of(session, run))) for run in _newest_red(session)}
        running = {RunKey(*row) for row in session.execute(_RUNNING)}
        states = events.states(session)
        dead = session.execute(_DEAD)
        waiting = list(_waiting(session))
    problems = [*_red(red), *_red_before(facts, red), *waiting]
    for table in verdict.tables:
        problems += _stale(table, facts, red)
    if verdict.environment is not None:
        problems += _environment(verdict.environment, seen, facts, red)
    problems += [*_blind(states, settings), *(_dead_letters(*row) for row in dead)]
    unclear = {TABLE + each.table for each in verdict.tables if each.state in {"late", "unknown"}}
    unclear |= {TABLE + name for name, each in facts.tables.items() if each.last_try and _is_open(each.last_try)}
    if verdict.environment is not None and verdict.environment.state in {"behind", "unknown"}:
        unclear.add(f"environment:{verdict.environment.name}")
    return Observed(
        at=verdict.computed_at,
        problems=tuple(problems),
        unclear=frozenset(unclear),
        running=frozenset(running),
        environment=environment.name if environment is not None else None,
    )


_RUNNING = sql.SQL("SELECT dag_id, run_id FROM etl.run WHERE status = 'running'")
_DEAD = sql.SQL(
    "SELECT job, coalesce(last_code, 'item'), count(*), (array_agg(last_error ORDER BY updated_at DESC))[1] "
    "FROM etl_jobs.item WHERE state = 'dead' GROUP BY 1, 2 ORDER BY 1, 2"
)


def _newest_red(session: Session) -> list[Run]:
    return runs_where(session, _NEWEST)


def _is_open(last: LastTry) -> bool:
    """Whether what the newest try means is not known yet; what a person did by hand at a terminal says nothing."""
    return last.run_status == "running" or (last.dag_id == CLI and last.status == "failed")


def _red(red: Mapping[RunKey, _Red]) -> Iterator[Problem]:
    for run, causes in red.values():
        said = f"{run.key} is {run.status}: {run.note or 'no reason was told'}"
        for each in causes:
            about = {DAG + run.dag_id} | ({TABLE + each.table} if each.table else set())
            yield Problem(
                kind="red", key=each.key, cause=each.text, sentence=said, subjects=frozenset(about), run=run.key
            )


def _red_before(facts: LedgerFacts, red: Mapping[RunKey, _Red]) -> Iterator[Problem]:
    """Tables whose newest try failed in a run that is not its DAG's newest: one of other tables came after it."""
    for name, found in facts.tables.items():
        last = found.last_try
        if last is None or last.status != "failed" or last.run_status not in RED or last.dag_id == CLI:
            continue
        run = RunKey(last.dag_id, last.run_id)
        if run in red:
            continue
        yield Problem(
            kind="red",
            key=_key_of_last(name, last),
            cause=last.error or "no error was told",
            sentence=f"{name} failed in {run}, and no run has loaded it since: {last.error}",
            subjects=frozenset({DAG + last.dag_id, TABLE + name}),
            run=run,
        )


def _key_of_last(table: str, last: LastTry) -> str:
    return error_key(" ".join((last.error or "").split()), table, last.dag_id, last.run_id)


def _stale(table: TableVerdict, facts: LedgerFacts, red: Mapping[RunKey, _Red]) -> Iterator[Problem]:
    """A broken promise, by the cause for which the table was not loaded; or because no run has come."""
    if table.state != "stale":
        return
    last = facts.tables[table.table].last_try
    run = RunKey(last.dag_id, last.run_id) if last is not None else None
    if last is not None and last.status == "failed" and last.dag_id != CLI:
        key, why = _key_of_last(table.table, last), last.error or "no error was told"
    elif run is not None and run in red:
        key, why = red[run].causes[0].key, red[run].causes[0].text
    else:
        key = key_of("no run", table.dag_id or "")
        why, run = f"no run of {table.dag_id} has come in time", None
    yield Problem(
        kind="stale",
        key=key,
        cause=why,
        sentence=f"{table.table} is stale: {table.sentence}",
        subjects=frozenset({TABLE + table.table, *([DAG + table.dag_id] if table.dag_id else [])}),
        run=run,
    )


def _environment(
    verdict: EnvironmentVerdict, seen: Deployed | str | None, facts: LedgerFacts, red: Mapping[RunKey, _Red]
) -> Iterator[Problem]:
    """A deploy whose data has not come, by the cause for which its run is red; and a service that does not answer."""
    subject = f"environment:{verdict.name}"
    if isinstance(seen, str):
        yield Problem(
            kind="blind",
            key=key_of("blind", f"the environment {verdict.name}"),
            cause=seen,
            sentence=f"Nobody can see which commit {verdict.name} serves, so no deploy is noticed: {seen}",
            subjects=frozenset({f"watch:{verdict.name}"}),
            patience=BLIND_FOR,
        )
    if verdict.state != "stale" or verdict.deployed_commit is None:
        return
    run = newest_run_of(verdict.deployed_commit, facts.runs)
    found = red.get(RunKey(run.dag_id, run.run_id)) if run is not None else None
    first = found.causes[0] if found is not None else None
    yield Problem(
        kind="stale",
        key=first.key if first is not None else key_of("environment", verdict.name),
        cause=first.text if first is not None else f"the data of {verdict.deployed_commit} has not come in time",
        sentence=f"{verdict.name} is stale: {verdict.sentence}",
        subjects=frozenset({subject}),
        run=found.run.key if found is not None else None,
    )


def _blind(states: list[TriggerState], settings: Settings) -> Iterator[Problem]:
    """Triggers that could not see their place the last time; not one that is switched off, or whose file is gone."""
    for state in states:
        if state.is_failing and _is_declared(state, settings):
            said = " ".join((state.error or "").split())
            yield Problem(
                kind="blind",
                key=key_of("blind", said, (state.flow_id, state.trigger_id)),
                cause=said,
                sentence=f"{state.flow_id}.{state.trigger_id} cannot see its place: {said}",
                subjects=frozenset({f"watch:{state.flow_id}.{state.trigger_id}", DAG + state.flow_id}),
                patience=BLIND_FOR,
            )


def _is_declared(state: TriggerState, settings: Settings) -> bool:
    path = next((each for each in flow_files(settings.config_dir) if each.stem == state.flow_id), None)
    if path is None:
        return False
    try:
        trigger = read_file(path).triggers.get(state.trigger_id)
    except ConfigError:
        # a file that is wrong for the moment hides nothing
        return True
    return trigger is not None and trigger.config.enabled


def _dead_letters(job: str, code: str, count: int, error: str) -> Problem:
    return Problem(
        kind="dead_letters",
        key=key_of("dead letters", f"{job} {code}"),
        cause=f"{code}: {error}",
        sentence=f"{job} has {counted(count, 'dead letter')} of class {code}: {error}",
        subjects=frozenset({f"job:{job}", DAG + job}),
    )


def not_begun(run: RunKey, queued_at: datetime | None, *, is_held: bool = False) -> Problem:
    """A run that waits in Airflow's queue for too long."""
    since = f" since {queued_at:%Y-%m-%d %H:%M} UTC" if queued_at is not None else ""
    return Problem(
        kind="waiting",
        key=key_of("waiting", run.dag_id),
        cause="the run waits in Airflow's queue",
        sentence=f"{run} waits in Airflow's queue{since} and has not begun: is the DAG paused, does the scheduler run, "
        f"has a worker a free slot?",
        subjects=frozenset({DAG + run.dag_id}),
        run=run,
        is_held=is_held,
    )


def _waiting(session: Session) -> Iterator[Problem]:
    """Those of the runs that did not begin in time that still have not; another that begins has the same cause end."""
    for incident in incidents.of_kind(session, "waiting"):
        run = RunKey(incident.dag_id or "", incident.run_id or "")
        rows = session.execute(
            sql.SQL(
                "SELECT count(*) FILTER (WHERE run_id = {run} OR started_at > {opened}), "
                "count(*) FILTER (WHERE status = 'running') FROM etl.run WHERE dag_id = {dag}"
            ).format(run=sql.Literal(run.run_id), opened=sql.Literal(incident.opened_at), dag=sql.Literal(run.dag_id))
        )
        begun, going_on = rows[0]
        if not begun:
            problem = not_begun(run, None, is_held=going_on > 0)
            yield problem.model_copy(update={"sentence": incident.sentence})
