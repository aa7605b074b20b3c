"""Whether this code may work on the ledger that a warehouse has."""

from __future__ import annotations

from psycopg import errors, sql

from sluiceway.errors import LedgerMissingError
from sluiceway.ledger.warehouse import LEDGER_REVISION, Session


def check_revision(session: Session) -> None:
    """Raises LedgerMissingError unless the ledger is of this code's revision, or of a newer one that names it.

    Each migration says in etl.compatible which older code may go on with the ledger it makes, so that in a rolling
    deploy both sides work.
    """
    found = _revision(session)
    if found == LEDGER_REVISION or (found is not None and found > LEDGER_REVISION and _names_this_code(session)):
        return
    if found is not None and found > LEDGER_REVISION:
        raise LedgerMissingError(
            f"The warehouse's ledger is at revision {found}, which no longer serves code of {LEDGER_REVISION}; deploy "
            f"the code that migrated it."
        )
    state = f"is at revision {found}" if found else "is missing"
    raise LedgerMissingError(
        f"The warehouse's ledger {state} and this code needs {LEDGER_REVISION}; run `sluiceway ledger migrate`."
    )


def _revision(session: Session) -> str | None:
    """The ledger's; None: there is no ledger, and the transaction is of no use any more."""
    try:
        rows = session.execute(sql.SQL("SELECT version_num FROM etl.alembic_version"))
    except (errors.UndefinedTable, errors.InvalidSchemaName, LedgerMissingError):
        return None
    return str(rows[0][0]) if rows else None


def _names_this_code(session: Session) -> bool:
    return bool(
        session.execute(
            sql.SQL("SELECT 1 FROM etl.compatible WHERE revision = {}").format(sql.Literal(LEDGER_REVISION))
        )
    )
