"""Which items of a job are due: its SELECT, read and never more, becomes rows of etl_jobs.item."""

from __future__ import annotations

from collections.abc import Callable

from psycopg import sql
from psycopg.types.json import Jsonb

from sluiceway.errors import ConfigError
from sluiceway.jobs import results
from sluiceway.jobs.definition import Job
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.warehouse import Session
from sluiceway.sources.services.sql_code import POSTGRES, NotOneSelectError, check_condition, check_reads, code_of

STATEMENT_TIMEOUT_S = 120
LONGEST_ITEM = 2_000
"""Bytes of an item's name: an index of PostgreSQL holds no more."""
FETCHED_AT_ONCE = 10_000
"""Items whose keys are made together: about 2 MB."""


def prepare(session: LockedSession, job: Job) -> None:
    """Make the tables of other jobs' results that its SELECT reads, where they are not there yet."""
    for each in job.needs_results:
        with session.transaction():
            results.ensure(session, each)


def find(
    session: LockedSession, due: str, where: str | None = None, *, key: Callable[[str], str] | None = None
) -> list[str]:
    """The items, by name; they stand in the session's table pg_temp.due afterwards.

    :param key: makes an item of what the SELECT calls so, which the input then keeps as `raw`: the list of all that
        have become one item. The rest of the input is that of the first. A text that the function refuses with
        ValueError stays its own item, for the job's function to refuse.
    """
    statement = _select(due, where)
    session.execute(sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS due (item text, input jsonb, input_hash text)"))
    with session.transaction():
        session.execute(sql.SQL("TRUNCATE pg_temp.due"))
    with session.transaction():
        # whatever a function in the SELECT wants to write is refused; a temporary table may be written
        session.execute(sql.SQL("SET TRANSACTION READ ONLY"))
        session.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(f"{STATEMENT_TIMEOUT_S}s")))
        session.execute(sql.SQL("INSERT INTO pg_temp.due {}").format(statement))
    if session.execute(sql.SQL("SELECT 1 FROM pg_temp.due WHERE item IS NULL LIMIT 1")):
        raise ConfigError("`due` gives an item that is NULL; leave such rows out: WHERE ... IS NOT NULL")
    long = session.execute(
        sql.SQL(
            "SELECT left(item, 60), octet_length(item) FROM pg_temp.due WHERE octet_length(item) > {} LIMIT 1"
        ).format(sql.Literal(LONGEST_ITEM))
    )
    if long:
        raise ConfigError(
            f"`due` gives an item of {long[0][1]:,} bytes, {long[0][0]!r}...; a name has at most {LONGEST_ITEM:,}"
        )
    if key is not None:
        with session.transaction():
            _rename(session, key)
    return [item for (item,) in session.execute(sql.SQL("SELECT item FROM pg_temp.due ORDER BY item"))]


def check(due: str) -> None:
    """Raises ConfigError unless it is one statement that reads."""
    _select(due, None)


def _rename(session: Session, key: Callable[[str], str]) -> None:
    """Give the rows of pg_temp.due their keys, and make one of those that have the same."""
    session.execute(sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS due_key (raw text, key text) ON COMMIT DROP"))
    session.execute(sql.SQL("DECLARE raw NO SCROLL CURSOR FOR SELECT item FROM pg_temp.due"))
    while texts := session.execute(sql.SQL("FETCH {} FROM raw").format(sql.Literal(FETCHED_AT_ONCE))):
        told = [{"raw": text, "key": key_of(text, key)} for (text,) in texts]
        session.execute(
            sql.SQL(
                "INSERT INTO pg_temp.due_key SELECT raw, key FROM jsonb_to_recordset({}) AS t (raw text, key text)"
            ).format(sql.Literal(Jsonb(told)))
        )
    session.execute(sql.SQL("CLOSE raw"))
    session.execute(
        sql.SQL(
            """
            WITH old AS (DELETE FROM pg_temp.due RETURNING item, input), named AS (
                SELECT k.key, (array_agg(o.input ORDER BY o.item COLLATE "C"))[1]
                    || jsonb_build_object('raw', jsonb_agg(o.item ORDER BY o.item COLLATE "C")) AS input
                FROM old AS o JOIN pg_temp.due_key AS k ON k.raw = o.item GROUP BY k.key
            )
            INSERT INTO pg_temp.due SELECT key, input, md5(input::text) FROM named
            """
        )
    )


def key_of(text: str, key: Callable[[str], str]) -> str:
    """What a job's key makes of a text; the text where it refuses it."""
    try:
        return key(text)
    except ValueError:
        return text


def _select(due: str, where: str | None) -> sql.Composed:
    statement = due.strip().rstrip(";")
    try:
        check_reads(statement, [POSTGRES])
    except NotOneSelectError as error:
        raise ConfigError(
            f"{statement[:80]!r}: `due` must be one SELECT of `item` and of what the work needs of it; this {error}"
        ) from error
    condition = sql.SQL("WHERE ({})").format(sql.SQL(_condition(where))) if where else sql.SQL("")
    return sql.SQL(
        "SELECT DISTINCT ON (d.item) d.item::text, to_jsonb(d) - 'item', md5((to_jsonb(d) - 'item')::text) "
        "FROM ({}\n) AS d {} ORDER BY d.item, (to_jsonb(d) - 'item')::text"
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
    try:
        check_condition(where, [POSTGRES])
    except NotOneSelectError as error:
        raise ConfigError(f"{where!r}: {error}") from error
    return where
