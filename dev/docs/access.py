"""Who may do what, as docs/how-to/access.md shows it: declared once, tried by the tests row by row, written from here.

Statements are tried by tests/ledger/test_access.py, routes by tests/on_airflow/web/test_routes.py, and what CI may not
by tests/integration/master/test_access.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dev.docs.page import DOCS, Parts, cell, code, table

READER, JOBS, LOADER, OWNER = ROLES = ("reader", "jobs", "loader", "owner")
"""Roles of the warehouse, without the `sluiceway_` before each."""
EVERY, NOBODY = ROLES, ()
WRITERS = (LOADER, OWNER)


@dataclass(frozen=True)
class Statement:
    """A statement as each role sends it. Whom it is not allowed, PostgreSQL answers `permission denied`.

    :param may: the roles that may.
    :param database: where it is sent.
    """

    text: str
    may: Sequence[str]
    database: str = "warehouse"


STATEMENTS: Sequence[Statement] = (
    Statement("SELECT * FROM etl.freshness", EVERY),
    Statement("SELECT status, note FROM etl.run", EVERY),
    Statement("SELECT status, inserted, rejected FROM etl.table_run", EVERY),
    Statement("SELECT loads FROM etl.table_tally", EVERY),
    Statement("SELECT table_name, row_number, column_name FROM etl.reject", EVERY),
    # each alone: of several columns one that is refused hides that another is not
    Statement("SELECT reason FROM etl.reject", WRITERS),
    Statement("SELECT key FROM etl.reject", WRITERS),
    Statement('SELECT "row" FROM etl.reject', WRITERS),
    Statement("SELECT * FROM etl.reject", WRITERS),
    Statement("SELECT facts FROM etl.trigger_event", WRITERS),
    Statement("SELECT cursor, error FROM etl.trigger_state", WRITERS),
    Statement("SELECT log_url FROM etl.task_run", WRITERS),
    Statement("SELECT sentence FROM etl.incident", WRITERS),
    Statement("SELECT channel, error FROM etl.notice", WRITERS),
    Statement("SELECT description FROM etl.commit_status", WRITERS),
    Statement("SELECT hash FROM etl.face_token", WRITERS),
    Statement("SELECT job, item, state FROM etl_jobs.item", EVERY),
    Statement("INSERT INTO etl.run (dag_id, run_id, trigger_kind) VALUES ('d', 'r', 'test')", WRITERS),
    Statement("UPDATE etl.run SET note = 'x'", WRITERS),
    Statement("DELETE FROM etl.run", WRITERS),
    Statement("DELETE FROM etl.reject", WRITERS),
    Statement("UPDATE etl.reject SET reason = 'x'", (OWNER,)),
    Statement("DELETE FROM etl.task_run", (OWNER,)),
    Statement("DELETE FROM etl.watched_dag", (OWNER,)),
    Statement("DELETE FROM etl.notice", (OWNER,)),
    Statement("UPDATE etl.table_tally SET loads = 0", (OWNER,)),
    Statement("DELETE FROM etl.table_tally", (OWNER,)),
    Statement("DELETE FROM etl.face_token", (OWNER,)),
    Statement("UPDATE etl.face_token SET revoked_at = NULL", (OWNER,)),
    Statement("UPDATE etl.alembic_version SET version_num = '9999'", (OWNER,)),
    Statement("INSERT INTO etl.compatible VALUES ('9999')", (OWNER,)),
    Statement("TRUNCATE etl.run CASCADE", (OWNER,)),
    Statement("ALTER TABLE etl.table_run DROP CONSTRAINT no_row_is_lost", (OWNER,)),
    Statement("CREATE TABLE etl.mine (id integer)", (OWNER,)),
    Statement("UPDATE etl_jobs.item SET state = 'done'", (JOBS, OWNER)),
    Statement("DELETE FROM etl_jobs.request", (JOBS, OWNER)),
    Statement("CREATE TABLE etl_jobs.mine (id integer)", (JOBS, OWNER)),
    Statement("CREATE TABLE etl_staging.mine (id integer)", WRITERS),
    Statement("CREATE TABLE public.mine (id integer)", WRITERS),
    Statement("CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'", WRITERS),
    Statement("CREATE TEMPORARY TABLE mine (id integer)", (JOBS, LOADER, OWNER)),
    Statement("CREATE SCHEMA mine", (OWNER,)),
    Statement("SELECT ST_Point(1, 2)", EVERY),
    Statement("SELECT pg_advisory_xact_lock(hashtext('sluiceway.load.city'))", (JOBS, LOADER, OWNER)),
    Statement("SELECT pg_try_advisory_lock(1, 2)", (JOBS, LOADER, OWNER)),
    Statement("SELECT lo_create(0)", NOBODY),
    Statement("SELECT lo_creat(-1)", NOBODY),
    Statement("SELECT lo_from_bytea(0, 'x')", NOBODY),
    Statement("SELECT lo_import('/etc/passwd')", NOBODY),
    Statement("SELECT pg_read_file('/etc/passwd')", NOBODY),
    Statement("SELECT pg_ls_dir('/')", NOBODY),
    Statement("COPY (SELECT 1) TO '/tmp/x'", NOBODY),
    Statement("COPY (SELECT 1) TO PROGRAM 'true'", NOBODY),
    Statement("SELECT rolpassword FROM pg_authid", NOBODY),
    Statement("CREATE EXTENSION dblink", NOBODY),
    Statement("CREATE EXTENSION file_fdw", NOBODY),
    Statement("CREATE ROLE mine SUPERUSER", NOBODY),
    Statement("CREATE DATABASE mine", NOBODY),
    Statement("ALTER SYSTEM SET log_statement = 'all'", NOBODY),
    Statement("SET session_replication_role = replica", NOBODY),
    Statement("SET ROLE sluiceway_owner", (OWNER,)),
    Statement("SET ROLE sluiceway_loader", (LOADER,)),
    Statement("SELECT 1", NOBODY, "postgres"),
    Statement("SELECT 1", NOBODY, "template1"),
    Statement("SELECT 1", NOBODY, "airflow"),
)
LIMITS: Mapping[str, Mapping[str, str]] = {
    READER: {"statement_timeout": "1min", "idle_in_transaction_session_timeout": "1min"},
    JOBS: {"statement_timeout": "0", "idle_in_transaction_session_timeout": "10min"},
    LOADER: {"statement_timeout": "0", "idle_in_transaction_session_timeout": "2h"},
    OWNER: {"statement_timeout": "0", "idle_in_transaction_session_timeout": "10min"},
}
"""How long a role's statement may take, and a transaction may do nothing; 0: as long as it likes."""


@dataclass(frozen=True)
class Route:
    """A route of the API server, and the status with which it answers each; 404: they may ask, and there is none.

    :param path: as the app declares it, or Airflow's own address.
    :param asked: what is asked instead where the path holds names.
    """

    method: str
    path: str
    nobody: int
    stranger: int
    reader: int
    asked: str = ""

    def answers(self) -> Mapping[str, int]:
        """Who asks, and what is answered."""
        return {"nobody": self.nobody, "stranger": self.stranger, "reader": self.reader}


ASKERS: Mapping[str, str] = {
    "nobody": "without a login",
    "stranger": "a user without a right",
    "reader": "a user who may read runs",
}
OURS: Sequence[Route] = (
    Route("GET", "/", 401, 403, 200),
    Route("HEAD", "/", 401, 403, 200),
    Route("GET", "/runs", 401, 403, 200),
    Route("HEAD", "/runs", 401, 403, 200),
    Route("GET", "/runs/compare", 401, 403, 400),
    Route("HEAD", "/runs/compare", 401, 403, 400),
    Route("GET", "/runs/{dag_id}", 401, 404, 404, "/runs/master_etl"),
    Route("HEAD", "/runs/{dag_id}", 401, 404, 404, "/runs/master_etl"),
    Route("GET", "/runs/{dag_id}/{run_id:path}", 401, 403, 404, "/runs/master_etl/none"),
    Route("HEAD", "/runs/{dag_id}/{run_id:path}", 401, 403, 404, "/runs/master_etl/none"),
    Route("GET", "/reports", 401, 307, 307),
    Route("HEAD", "/reports", 401, 307, 307),
    Route("GET", "/reports/{run_id}", 401, 403, 307, "/reports/none"),
    Route("HEAD", "/reports/{run_id}", 401, 403, 307, "/reports/none"),
    Route("GET", "/reports/{dag_id}/{run_id:path}", 401, 403, 307, "/reports/master_etl/none"),
    Route("HEAD", "/reports/{dag_id}/{run_id:path}", 401, 403, 307, "/reports/master_etl/none"),
    Route("GET", "/tables/{table}", 401, 403, 404, "/tables/none"),
    Route("HEAD", "/tables/{table}", 401, 403, 404, "/tables/none"),
    Route("GET", "/api/triggers", 401, 200, 200),
    Route("HEAD", "/api/triggers", 401, 200, 200),
    Route("GET", "/api/status.json", 401, 403, 200),
    Route("HEAD", "/api/status.json", 401, 403, 200),
    Route("GET", "/badge.json", 401, 403, 200),
    Route("HEAD", "/badge.json", 401, 403, 200),
    Route("GET", "/badge.svg", 401, 403, 200),
    Route("HEAD", "/badge.svg", 401, 403, 200),
    Route("GET", "/metrics", 401, 403, 200),
    Route("HEAD", "/metrics", 401, 403, 200),
    Route("POST", "/hooks/{address}", 401, 401, 401, "/hooks/generic"),
)
"""Below /sluiceway. A test fails when the app has a route that is not here."""
OPEN_DOORS: Sequence[Route] = (
    Route("GET", "/api/v2/version", 200, 200, 200),
    Route("GET", "/api/v2/monitor/health", 200, 200, 200),
    Route("GET", "/openapi.json", 200, 200, 200),
    Route("GET", "/docs", 200, 200, 200),
    Route("GET", "/redoc", 200, 200, 200),
    Route("GET", "/api/v2/dags", 401, 403, 200),
    Route("GET", "/api/v2/connections", 401, 403, 403),
    Route("GET", "/api/v2/variables", 401, 403, 403),
)
"""Of Airflow's own: those that are open to everybody, and a few that are not."""

CI_MAY: Sequence[tuple[str, str]] = (
    ("GET", "/api/v2/dags/{master}"),
    ("GET", "/api/v2/dags"),
    ("GET", "/api/v2/dags/{master}/dagRuns"),
    ("POST", "/api/v2/dags/{master}/dagRuns"),
    ("GET", "/sluiceway/runs"),
)
"""Method and path, with the DAG that it may trigger as {master}, any other as {other}, its role as {role}."""
CI_REFUSED: Sequence[tuple[str, str]] = (
    ("POST", "/api/v2/dags/{other}/dagRuns"),
    ("GET", "/api/v2/dags/{other}"),
    ("GET", "/api/v2/dags/{other}/dagRuns"),
    ("PATCH", "/api/v2/dags/{other}"),
    ("DELETE", "/api/v2/dags/{other}"),
    ("DELETE", "/api/v2/dags/{master}"),
    ("DELETE", "/api/v2/dags/{master}/dagRuns/any"),
    ("POST", "/api/v2/dags/{master}/clearTaskInstances"),
    ("GET", "/api/v2/dags/{master}/dagRuns/any/taskInstances"),
    ("GET", "/api/v2/connections"),
    ("GET", "/api/v2/connections/warehouse"),
    ("POST", "/api/v2/connections"),
    ("POST", "/api/v2/connections/test"),
    ("GET", "/api/v2/variables"),
    ("POST", "/api/v2/variables"),
    ("GET", "/api/v2/pools"),
    ("GET", "/api/v2/config"),
    ("GET", "/api/v2/importErrors"),
    ("GET", "/api/v2/plugins"),
    ("GET", "/api/v2/providers"),
    ("GET", "/api/v2/jobs"),
    ("GET", "/api/v2/eventLogs"),
    ("POST", "/api/v2/backfills"),
    ("GET", "/api/v2/dags/~/dagRuns"),
    ("GET", "/sluiceway/runs/{other}/any"),
    ("GET", "/auth/fab/v1/users"),
    ("POST", "/auth/fab/v1/users"),
    ("PATCH", "/auth/fab/v1/users/admin"),
    ("GET", "/auth/fab/v1/roles"),
    ("PATCH", "/auth/fab/v1/roles/{role}"),
    ("DELETE", "/auth/fab/v1/roles/Admin"),
    ("GET", "/auth/fab/v1/permissions"),
)
"""Each is answered 403."""


def _ci() -> str:
    names = {"master": "master_etl", "other": "other", "role": "CI trigger"}
    rows = [
        (f"{method} {code(path.format(**names))}", answer)
        for requests, answer in ((CI_MAY, "200"), (CI_REFUSED, "403"))
        for method, path in requests
    ]
    return table(("request", "answer"), *rows)


def _routes() -> str:
    return _table_of(OURS, "/sluiceway")


def _doors() -> str:
    return _table_of(OPEN_DOORS, "")


def _table_of(routes: Sequence[Route], prefix: str) -> str:
    rows = [
        (f"{each.method} {code(f'{prefix}{each.path}')}", *(str(answer) for answer in each.answers().values()))
        for each in routes
    ]
    return table(("route", *ASKERS.values()), *rows)


def _statements() -> str:
    rows = [(_shown(each), *("yes" if role in each.may else "no" for role in ROLES)) for each in STATEMENTS]
    return table(("statement", *ROLES), *rows)


def _shown(statement: Statement) -> str:
    elsewhere = f" in database {code(statement.database)}" if statement.database != "warehouse" else ""
    return f"{code(statement.text)}{elsewhere}"


def _limits() -> str:
    names = ("statement_timeout", "idle_in_transaction_session_timeout")
    rows = [(code(f"sluiceway_{role}"), *(cell(limits[name]) for name in names)) for role, limits in LIMITS.items()]
    return table(("role", *map(code, names)), *rows)


ACCESS = Parts(
    path=DOCS / "how-to" / "access.md",
    parts={"statements": _statements, "limits": _limits, "routes": _routes, "doors": _doors, "ci": _ci},
)
