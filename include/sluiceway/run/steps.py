"""The steps of a run around the loading of tables, without Airflow; on_airflow/graphs/ wraps them as tasks."""

from __future__ import annotations

import logging
import socket
from collections.abc import Collection, Sequence
from pathlib import Path

from psycopg import sql

from sluiceway.deploy import stints
from sluiceway.errors import (
    ConfigError,
    NoTablesError,
    SluicewayError,
    SourceMissingError,
    SourceUnavailableError,
    UnknownParamError,
    UnknownTableError,
    ValidationError,
    nearest,
)
from sluiceway.ledger import commit_statuses, events, forget, last_loads, store, tasks
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.tasks import TaskRun
from sluiceway.ledger.warehouse import connect
from sluiceway.run.counted import differs
from sluiceway.run.facts import facts_of
from sluiceway.run.opening import Opening, open_row, open_unless_open
from sluiceway.run.verdict import States, Verdict, judge
from sluiceway.settings import Settings, check_variables, load_settings
from sluiceway.sources import local, locate
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.tables import files, registry
from sluiceway.tables.source_spec import LocatedSource
from sluiceway.tables.spec import TableSpec

log = logging.getLogger(__name__)

STALE_SESSION_HOURS = 1


def open_ledger(url: str, opening: Opening, pending: Sequence[str] | None = None) -> None:
    """Open the run's ledger row, or open it again: a part of the run is repeated, and its verdict with it.

    :param pending: the tasks that have still to begin.
    :raises LedgerMissingError: the warehouse has no ledger of this version.
    """
    with connect(url) as session:
        check_revision(session)
        open_row(session, opening, pending)


def begin_task(url: str, opening: Opening, task: TaskRun) -> None:
    """Note that a try of a task has begun; opens the run's row if nobody could do that before."""
    with connect(url) as session:
        check_revision(session)
        open_unless_open(session, opening)
        tasks.begin(session, task)


def end_task(url: str, task: TaskRun, error: BaseException | None = None) -> None:
    """Note how the try has ended. What cannot be noted hides no error: the verdict then calls it killed."""
    try:
        with connect(url) as session:
            tasks.end(session, task, error)
    except SluicewayError:
        log.exception("How %s has ended could not be written into the ledger", task.name)


def check_conf(conf: Collection[str], params: Collection[str]) -> None:
    """Raises UnknownParamError for a conf key that is no param: Airflow itself ignores it silently."""
    for key in sorted(set(conf) - set(params)):
        raise UnknownParamError(f"The run's conf has a key {key!r} that this DAG does not know{nearest(key, params)}")


def record_deployed(url: str, run: RunKey, deployed_sha: str) -> None:
    """Note which commit the environment served when the run was let through."""
    with connect(url) as session:
        store.record_deployed_sha(session, run, deployed_sha)


def supersede(url: str, run: RunKey, deployed_sha: str, note: str) -> None:
    """Note that the run is superseded: it loads nothing, for a newer commit's run waits."""
    with connect(url) as session:
        store.record_outcome(session, run, "superseded", note, deployed_sha=deployed_sha)


def plan(
    url: str, run: RunKey, *, only: Sequence[str], groups: Collection[str] = (), elsewhere: Collection[str] = ()
) -> list[str]:
    """Plan the tables of this run; those that no other task hands out, the largest source, the longest load, first.

    A table whose file is wrong is planned too: its load fails with the file's sentence, and a retry repeats it.

    :param only: names of a subset; empty for all tables this deployment runs.
    :param groups: those whose tables another task hands out: `plan_group`.
    :param elsewhere: names of those that another task hands out.
    :raises NoTablesError: no table is left.
    :raises UnknownTableError: one of `only` has no file in this deployment; names the nearest.
    :raises SettingsError: a setting that is none may have been meant to choose the tables.
    """
    check_variables()
    tables = registry.read_deployed()
    names = chosen(tables, only)
    if not names:
        raise NoTablesError(
            f"No table to load: none under {load_settings().config_dir / 'tables'} belongs to the groups this "
            f"deployment runs (SLUICEWAY_GROUPS = {load_settings().groups!r})."
        )
    with connect(url) as session:
        store.plan_tables(session, run, names)
    return largest_first(tables, [n for n in names if n not in elsewhere and _group(tables, n, groups) is None])


def groups() -> list[str]:
    """The groups to which this deployment's tables may belong: by their queues alone, and by all that they need."""
    asked = files.needs(files.deployed_names())
    return sorted({name for needs in asked for name in (needs.queue, needs.name) if name is not None})


def plan_group(group: str, *, only: Sequence[str], groups: Collection[str]) -> list[str]:
    """The tables of this run that belong to a group, largest source first; `plan` plans them with the others.

    :param groups: all that the run's graph has.
    """
    tables = registry.read_deployed()
    return largest_first(tables, [name for name in chosen(tables, only) if _group(tables, name, groups) == group])


def chosen(tables: registry.Tables, only: Sequence[str]) -> list[str]:
    """The names of a subset; of all tables, where it is empty."""
    return list(registry.choose(dict.fromkeys(tables.names()), only)) if only else tables.names()


def _group(tables: registry.Tables, name: str, groups: Collection[str]) -> str | None:
    spec = tables.right.get(name)
    return spec.needs.group(groups) if spec is not None and spec.split is None else None


def largest_first(tables: registry.Tables, names: Sequence[str]) -> list[str]:
    """In the order in which they are best begun."""
    return sorted(names, key=lambda name: -_size(tables.right.get(name)))


def _size(spec: TableSpec | None) -> int:
    """Bytes of the table's source; 0 where it is remote, or where the load says what is wrong."""
    if spec is None or not isinstance(spec.source, LocatedSource):
        return 0
    try:
        return local.locate(spec.source.uri).stat().st_size
    except (SourceMissingError, ConfigError):
        return 0


def read_table(url: str, run: RunKey, name: str, try_number: int) -> TableSpec:
    """What a planned table's file says when it is loaded. A file that is wrong, or gone, fails the table.

    :raises ConfigError: the file is wrong; the ledger says why.
    :raises UnknownTableError: it is gone since the run was planned; the ledger says so.
    """
    try:
        return registry.read_one(name)
    except (ConfigError, UnknownTableError) as error:
        failed = TableRun(
            dag_id=run.dag_id,
            run_id=run.run_id,
            table_name=name,
            try_number=try_number,
            status="failed",
            worker=socket.gethostname(),
            error_type=type(error).__name__,
            error=str(error),
        )
        with connect(url) as session:
            number = store.next_try(session, run, name, at_least=try_number)
            store.write_table_run(session, failed.model_copy(update={"try_number": number}))
        raise


def check_sources(url: str, run: RunKey, connections: Connections = from_environment) -> None:
    """Raises SourceMissingError that names every source of the run's tables that is not there."""
    with connect(url) as session:
        names = [each.table_name for each in store.table_runs(session, run)]
    specs = registry.read().right
    problems = []
    # of a table whose file is wrong, or gone since the plan, its load says so
    for name in [name for name in names if name in specs]:
        try:
            locate.check_exists(specs[name].source, connections)
        except (SourceMissingError, SourceUnavailableError) as error:
            problems.append(f"{name}: {error}")
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
    if problems:
        raise SourceMissingError("\n".join(problems))


def check_warehouse(url: str) -> None:
    """Raises ValidationError unless the loading role can do its work: PostGIS, new and temporary tables, views."""
    needs_staging = files.any_split(files.deployed_names()) or files.any_view()
    with connect(url) as session:
        check_revision(session)
        postgis, temporary, create, parts = session.execute(
            sql.SQL(
                "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'postgis'), "
                "has_database_privilege(current_database(), 'TEMP'), has_schema_privilege('public', 'CREATE'), "
                "coalesce(has_schema_privilege(to_regnamespace('etl_staging'), 'USAGE') "
                "AND has_schema_privilege(to_regnamespace('etl_staging'), 'CREATE'), false)"
            )
        )[0]
    missing = [
        what
        for what, found in (
            ("the extension postgis (CREATE EXTENSION postgis)", postgis),
            ("the privilege TEMP on the database", temporary),
            ("the privilege CREATE on schema public", create),
            ("the privileges USAGE and CREATE on schema etl_staging", parts or not needs_staging),
        )
        if not found
    ]
    if missing:
        raise ValidationError(f"The warehouse lacks {'; '.join(missing)} for the role that loads.")


def cleanup_staging(url: str) -> int:
    """End sessions that a lost worker left inside a transaction: they hold staging tables and locks.

    :returns: how many were ended.
    """
    with connect(url) as session:
        rows = session.execute(
            sql.SQL(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sluiceway load %' "
                "AND usename = current_user AND datname = current_database() AND state LIKE 'idle in transaction%' "
                "AND state_change < now() - {} * interval '1 hour'"
            ).format(sql.Literal(STALE_SESSION_HOURS))
        )
    if rows:
        log.warning("%d sessions of lost workers were ended", len(rows))
    return len(rows)


def cleanup_history(url: str, settings: Settings | None = None) -> int:
    """Forget runs, their reports and the events of triggers older than SLUICEWAY_HISTORY_DAYS.

    :returns: how many runs were forgotten.
    """
    from sluiceway.run.report.write import delete_reports

    settings = settings or load_settings()
    with connect(url) as session:
        forgotten = forget.forget_runs(session, older_than_days=settings.history_days)
        _, untaken = events.forget_events(session, older_than_days=settings.history_days)
        stints.forget(session, older_than_days=settings.history_days)
        commit_statuses.forget(session, older_than_days=settings.history_days)
    if untaken:
        log.warning("%d events were forgotten that no run had taken in %d days", untaken, settings.history_days)
    delete_reports(settings.reports_dir, older_than_days=settings.history_days)
    return forgotten


def validate(url: str, run: RunKey, connections: Connections = from_environment) -> None:
    """Compare the warehouse with the ledger, table by table: with the newest load, which may be another run's.

    :raises ValidationError: a table is missing, or holds other than the rows the ledger counted.
    """
    tables = registry.read()
    problems = []
    with connect(url) as session:
        # a load by another DAG writes its rows and their count at once: both are seen as of one moment
        session.execute(sql.SQL("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        loads = store.table_runs(session, run)
        left = last_loads.rows_left(session, [each.table_name for each in loads])
        for each in loads:
            name, spec = each.table_name, tables.right.get(each.table_name)
            if each.status not in {"loaded", "unchanged"}:
                problems.append(f"{name} is {each.status}")
            elif spec is None:
                problems.append(f"{name} has no right file any more: {tables.wrong.get(name, 'it is gone')}")
            elif (problem := differs(session, url, spec, each, left, connections)) is not None:
                problems.append(f"{name} {problem}")
    if problems:
        raise ValidationError(f"The warehouse is not what was loaded: {'; '.join(problems)}.")


def close_ledger(url: str, opening: Opening, states: States) -> Verdict:
    """Judge the run by the ledger and the states of its tasks, and close its row."""
    with connect(url) as session:
        check_revision(session)
        open_unless_open(session, opening)
        (run,) = store.runs(session, dag_id=opening.run.dag_id, run_id=opening.run.run_id)
        facts = facts_of(session, run)
        verdict = judge(facts, states)
        store.close_run(session, run.key, verdict.status, verdict.sentence, states, facts.rows_seen)
    return verdict


def fail_run(url: str, run: RunKey, sentence: str) -> None:
    """Close the run as failed after all, for a reason that the verdict could not know."""
    with connect(url) as session:
        found = store.run(session, run)
        seen = (found.judged, found.judged_rows) if found else (None, None)
        store.close_run(session, run, "failed", sentence, *seen)


def write_report(url: str, run: RunKey, settings: Settings | None = None) -> Path:
    """Write the run's page into SLUICEWAY_REPORTS_DIR and return its path."""
    from sluiceway.run.report.collect import collect
    from sluiceway.run.report.write import write_report as write

    settings = settings or load_settings()
    specs = registry.read(settings).right
    with connect(url) as session:
        report = collect(session, run, specs)
    return write(report, settings.reports_dir)
