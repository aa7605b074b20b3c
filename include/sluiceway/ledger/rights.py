"""What each role may do in schemas `etl` and `etl_jobs`: granted anew by every migration, and nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping

LOADER, JOBS, READER = "sluiceway_loader", "sluiceway_jobs", "sluiceway_reader"

LOADER_WRITES: Mapping[str, str] = {
    "run": "INSERT, UPDATE, DELETE",
    "table_run": "INSERT, UPDATE, DELETE",
    "table_part": "INSERT, UPDATE, DELETE",
    "reject": "INSERT, DELETE",
    "task_run": "INSERT, UPDATE",
    "publication": "INSERT, UPDATE, DELETE",
    "deployment": "INSERT, UPDATE, DELETE",
    "commit_status": "INSERT, UPDATE, DELETE",
    "loaded_batches": "INSERT, UPDATE, DELETE",
    "loaded_file": "INSERT, DELETE",
    "watched_dag": "INSERT, UPDATE",
    "incident": "INSERT, UPDATE, DELETE",
    "notice": "INSERT, UPDATE",
    "alert_look": "INSERT, UPDATE",
    "trigger_state": "INSERT, UPDATE, DELETE",
    "trigger_event": "INSERT, UPDATE, DELETE",
    "lock": "INSERT, UPDATE",
}
"""Table of `etl` -> what the loader does to its rows, beside reading them. What belongs to a run goes with the run;
what is counted is counted by the ledger itself; tokens are made by the owner, for the loader runs others' Python."""
READER_READS: Mapping[str, tuple[str, ...] | None] = {
    "alembic_version": None,
    "compatible": None,
    "run": None,
    "table_run": None,
    "table_tally": None,
    "publication": None,
    "deployment": None,
    "freshness": None,
    "reject": ("dag_id", "run_id", "table_name", "try_number", "row_number", "column_name"),
}
"""Table or view of `etl` -> the columns that the reader may read; None: all. It serves the web: of a reject it sees
which row and column of a source it was, and not what stood there; of triggers, messages and tokens nothing."""
JOBS_WRITES = ("item", "rate", "request", "decision", "lane")
"""Tables of `etl_jobs`. Those that hold the results of jobs are their role's: that one grants them, and the owner may
not."""


def grants() -> str:
    """The statement that gives the roles that exist these rights, in place of those that they had."""
    items = ", ".join(f"etl_jobs.{table}" for table in JOBS_WRITES)
    loader = [
        "SELECT ON ALL TABLES IN SCHEMA etl",
        *(f"{verbs} ON etl.{table}" for table, verbs in LOADER_WRITES.items()),
        "USAGE, CREATE ON SCHEMA etl_staging",
        f"SELECT ON {items}, etl_jobs.lock",
    ]
    jobs = [
        "SELECT ON etl.alembic_version, etl.compatible",
        "CREATE ON SCHEMA etl_jobs",
        f"SELECT, INSERT, UPDATE, DELETE ON {items}",
        "SELECT, INSERT, UPDATE ON etl_jobs.lock",
    ]
    reader = [
        *(f"{_select(columns)} ON etl.{table}" for table, columns in READER_READS.items()),
        f"SELECT ON {items}, etl_jobs.lock",
    ]
    roles = {LOADER: loader, JOBS: jobs, READER: reader}
    return "DO $$ BEGIN\n" + "\n".join(_given(role, rights) for role, rights in roles.items()) + "\nEND $$"


def _select(columns: tuple[str, ...] | None) -> str:
    return f"SELECT ({', '.join(columns)})" if columns else "SELECT"


def _given(role: str, rights: list[str]) -> str:
    return "\n".join(
        (
            f"IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN",
            f"REVOKE ALL ON ALL TABLES IN SCHEMA etl FROM {role};",
            *(f"GRANT {right} TO {role};" for right in ("USAGE ON SCHEMA etl, etl_jobs", *rights)),
            "END IF;",
        )
    )
