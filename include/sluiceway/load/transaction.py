"""How a load's transaction begins."""

from __future__ import annotations

from psycopg import sql

from sluiceway.ledger import locks
from sluiceway.ledger.warehouse import Session
from sluiceway.tables.spec import TableSpec


def prepare(session: Session, spec: TableSpec) -> None:
    """Settings on which the content key's text depends, and a lock that lasts as long as the transaction itself."""
    # by this name people find a load that waits, and cleanup_staging the sessions of lost workers
    session.execute(sql.SQL("SET LOCAL application_name = {}").format(sql.Literal(session_name(spec))))
    for statement in ("TimeZone = 'UTC'", "DateStyle = 'ISO'", "extra_float_digits = 1"):
        session.execute(sql.SQL("SET LOCAL " + statement))
    # the size of a temporary table is a guess: compiling a statement took 2 s, and running it as long without
    for statement in ("work_mem = '64MB'", "jit = off"):
        session.execute(sql.SQL("SET LOCAL " + statement))
    session.execute(sql.SQL("SELECT pg_advisory_xact_lock({})::text AS locked").format(locks.of_writing(spec.name)))


def session_name(spec: TableSpec) -> str:
    """What the server shows of the sessions of a load."""
    return f"sluiceway load {spec.name}"[: locks.LONGEST_NAME]
