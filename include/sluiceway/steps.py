"""The steps of a run around the loading of tables, as plain functions. Knows no Airflow; operators/ wraps them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from psycopg import sql

from sluiceway import views
from sluiceway.errors import (
    ConfigError,
    NoTablesError,
    SluicewayError,
    SourceMissingError,
    SourceUnavailableError,
    UnknownParamError,
    ValidationError,
    nearest,
)
from sluiceway.ledger import events, store
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from sluiceway.load.merge import count_rows, table_exists
from sluiceway.settings import Settings, load_settings
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.sources.locate import check_exists, locate
from sluiceway.tables import registry
from sluiceway.tables.files import deployed_names
from sluiceway.tables.source_spec import LocatedSource, Source
from sluiceway.verdict import Verdict, judge

log = logging.getLogger(__name__)

STALE_SESSION_HOURS = 1


def open_ledger(url: str, run: RunKey, *, commit_sha: str | None, trigger_kind: str) -> None:
    """Open the run's ledger row, and close those of runs that were ended before their verdict.

    :raises LedgerMissingError: the warehouse has no ledger of this version.
    """
    with connect(url) as session:
        check_revision(session)
        store.open_run(session, run, commit_sha=commit_sha, trigger_kind=trigger_kind)


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


def commit_is_loaded(url: str, commit: str) -> bool:
    """Whether a green run loaded that commit into all tables of this deployment."""
    with connect(url) as session:
        check_revision(session)
        return store.commit_is_loaded(session, commit, tables=len(deployed_names()))


def plan(url: str, run: RunKey, *, only: Sequence[str]) -> list[str]:
    """The tables of this run, largest source first so that the longest load does not start last.

    :param only: names of a subset; empty for all tables this deployment runs.
    :raises NoTablesError: no table is left.
    :raises ConfigError: a file under include/config/tables/ is wrong.
    """
    specs = registry.deployed()
    if only:
        specs = registry.choose(specs, only)
    if not specs:
        raise NoTablesError(
            f"No table to load: none under {load_settings().config_dir / 'tables'} belongs to the groups this "
            f"deployment runs (SLUICEWAY_GROUPS = {load_settings().groups!r})."
        )
    with connect(url) as session:
        store.plan_tables(session, run, specs)
    return sorted(specs, key=lambda name: -_size(specs[name].source))


def _size(source: Source) -> int:
    try:
        return locate(source.uri).stat().st_size if isinstance(source, LocatedSource) else 0
    except (SourceMissingError, ConfigError):
        return 0  # remote, or its load says what is wrong


def check_sources(url: str, run: RunKey, connections: Connections = from_environment) -> None:
    """Raises SourceMissingError that names every source of the run's tables that is not there."""
    with connect(url) as session:
        names = [each.table_name for each in store.table_runs(session, run)]
    problems = []
    for name, spec in registry.choose(registry.deployed(), names).items():
        try:
            check_exists(spec.source, connections)
        except (SourceMissingError, SourceUnavailableError) as error:
            problems.append(f"{name}: {error}")
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
    if problems:
        raise SourceMissingError("\n".join(problems))


def check_warehouse(url: str) -> None:
    """Raises ValidationError unless the loading role can do its work: PostGIS, temporary and new tables."""
    with connect(url) as session:
        check_revision(session)
        postgis, temporary, create = session.execute(
            sql.SQL(
                "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'postgis'), "
                "has_database_privilege(current_database(), 'TEMP'), has_schema_privilege('public', 'CREATE')"
            )
        )[0]
    missing = [
        what
        for what, found in (
            ("the extension postgis (CREATE EXTENSION postgis)", postgis),
            ("the privilege TEMP on the database", temporary),
            ("the privilege CREATE on schema public", create),
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
    from sluiceway.report.write import delete_reports

    settings = settings or load_settings()
    with connect(url) as session:
        forgotten = store.forget_runs(session, older_than_days=settings.history_days)
        _, untaken = events.forget_events(session, older_than_days=settings.history_days)
    if untaken:
        log.warning("%d events were forgotten that no run had taken in %d days", untaken, settings.history_days)
    delete_reports(settings.reports_dir, older_than_days=settings.history_days)
    return forgotten


def validate(url: str, run: RunKey) -> None:
    """Compare the warehouse with the ledger, table by table.

    :raises ValidationError: a table is missing, or holds other than the rows the ledger counted.
    """
    specs = registry.read_all()
    problems = []
    with connect(url) as session:
        for run in store.table_runs(session, run_id):
            spec = specs.get(run.table_name)
            if spec is None or run.status not in {"loaded", "unchanged"}:
                problems.append(f"{run.table_name} is {run.status}")
            elif not table_exists(session, spec):
                problems.append(f"{run.table_name} is not in the warehouse")
            elif (count := count_rows(session, spec)) != run.table_rows:
                problems.append(f"{run.table_name} holds {count:,} rows, the ledger says {run.table_rows:,}")
    if problems:
        raise ValidationError(f"The warehouse is not what was loaded: {'; '.join(problems)}.")


def aggregate(url: str) -> list[str]:
    """Publish: refresh every view of this deployment in one transaction and return their names."""
    with connect(url) as session:
        return views.refresh(session, views.deployed_views())


def close_ledger(url: str, run_id: str, task_states: Mapping[str, str | None]) -> Verdict:
    """Judge the run and close its ledger row; may be called again when more is known."""
    with connect(url) as session:
        superseded = [run.note or "" for run in store.runs(session, run_id=run_id) if run.status == "superseded"]
        verdict = judge(store.table_runs(session, run_id), task_states, superseded=next(iter(superseded), None))
        store.close_run(session, run_id, verdict.status, verdict.sentence)
    return verdict


def close_unfinished(url: str, run_id: str, note: str) -> None:
    """Close the run's row as failed if its verdict never came (a timeout, a run marked by hand)."""
    with connect(url) as session:
        found = store.runs(session, run_id=run_id)
        if found and found[0].status == "running":
            store.close_run(session, run_id, "failed", note)


def write_report(url: str, run_id: str, settings: Settings | None = None) -> Path:
    """Write the run's page into SLUICEWAY_REPORTS_DIR and return its path."""
    from sluiceway.report.collect import collect
    from sluiceway.report.write import write_report as write

    settings = settings or load_settings()
    try:
        specs = registry.read_all(settings)
    except SluicewayError:
        log.exception("The report lacks descriptions and maps: a table's file is wrong")
        specs = {}
    with connect(url) as session:
        report = collect(session, run_id, specs)
    return write(report, settings.reports_dir)
