"""Which items of a job are due: its SELECT, read and never more, becomes rows of etl_jobs.item."""

from __future__ import annotations

from psycopg import sql

from sluiceway.errors import ConfigError
from sluiceway.jobs import items
from sluiceway.ledger.locks import LockedSession
from sluiceway.sources.services.sql_code import READING, code_of, first_word

STATEMENT_TIMEOUT_S = 120


def enqueue(session: LockedSession, job: str, due: str, *, where: str | None = None, again: bool = False) -> int:
    """Make rows of what is due.

    :param due: the job's SELECT: `item`, and what else it gives as the item's input.
    :param where: a condition on the columns of the SELECT, which a person gave.
    :param again: also what is done and need not be asked again yet.
    :returns: how many are due now that were not.
    :raises ConfigError: one of both is no single statement that reads.
    """
    find(session, due, where)
    return items.enqueue(session, job, sql.SQL("SELECT item, input, input_hash FROM pg_temp.due"), again=again)


def find(session: LockedSession, due: str, where: str | None = None) -> list[str]:
    """The items, by name; they stand in the session's table pg_temp.due afterwards."""
    statement = _select(due, where)
    session.execute(sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS due (item text, input jsonb, input_hash text)"))
    with session.transaction():
        session.execute(sql.SQL("TRUNCATE pg_temp.due"))
    with session.transaction():
        # whatever a function in the SELECT wants to write is refused; a temporary table may be written
        session.execute(sql.SQL("SET TRANSACTION READ ONLY"))
        session.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(f"{STATEMENT_TIMEOUT_S}s")))
        session.execute(sql.SQL("INSERT INTO pg_temp.due {}").format(statement))
    return [item for (item,) in session.execute(sql.SQL("SELECT item FROM pg_temp.due ORDER BY item"))]


def check(due: str) -> None:
    """Raises ConfigError unless it is one statement that reads."""
    _select(due, None)


def _select(due: str, where: str | None) -> sql.Composed:
    statement = due.strip().rstrip(";")
    code = code_of(statement)
    if ";" in code or first_word(code) not in READING:
        raise ConfigError(f"{statement[:80]!r}: `due` must be one SELECT of `item` and of what the work needs of it")
    condition = sql.SQL("WHERE ({})").format(sql.SQL(_condition(where))) if where else sql.SQL("")
    return sql.SQL(
        "SELECT DISTINCT ON (d.item) d.item::text, to_jsonb(d) - 'item', md5((to_jsonb(d) - 'item')::text) "
        "FROM ({}\n) AS d {} ORDER BY d.item"
    ).format(sql.SQL(statement), condition)


def _condition(where: str) -> str:
    """A condition that stays within its brackets, and has no comment that could hide their end."""
    code = code_of(where)
    depth = 0
    for letter in code:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            break
    if depth or ";" in code or "--" in where or "/*" in where:
        raise ConfigError(f"{where!r}: write one condition, with brackets that match, no `;` and no comment")
    return where
