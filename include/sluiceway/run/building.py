"""How views come into the warehouse: all of a run in one transaction, while what stands there is read.

A view with a key is refreshed in place: PostgreSQL writes what differs, and readers wait for nothing. Any other one,
and one that was edited, is built beside the one that stands, and takes its name and place at the end, when the old one
is locked for a moment: nobody waits longer for that than LOCK_MS.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle

import psycopg
from psycopg import sql

from sluiceway.errors import (
    ConfigError,
    ViewInUseError,
    ViewKeyError,
    WarehouseError,
    WarehouseUnavailableError,
    nearest,
)
from sluiceway.ledger.warehouse import PsycopgSession, Session, is_transient
from sluiceway.run import standing
from sluiceway.run.standing import BESIDE, SCHEMA, Standing
from sluiceway.run.views import View
from sluiceway.sources.services.sql_code import unqualified

log = logging.getLogger(__name__)

LOCK_MS = 50
"""How long the locks that keep readers out are waited for, all together, while those who come later wait behind."""
PATIENCE_S = 300.0
"""How long they are asked for again and again: a reader that reads for longer is named, and the task is tried again."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0

_HOLDERS = """
    SELECT l.relation::regclass::text, a.pid, a.usename, coalesce(a.application_name, ''),
        coalesce(to_char(a.xact_start AT TIME ZONE 'UTC', ' "since" YYYY-MM-DD HH24:MI:SS UTC'), '')
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND l.relation IN (SELECT to_regclass(name) FROM unnest({}::text[]) AS name)
    ORDER BY a.xact_start LIMIT 1
"""


def edited(session: Session, views: Iterable[View]) -> dict[str, frozenset[str]]:
    """The views that stand in the warehouse with another SELECT than their file's.

    :returns: by name, with what reads each there, also through others: `schema.name`.
    """
    found = {view: standing.standing(session, view.name) for view in views}
    return {view.name: there.readers for view, there in found.items() if there and _is_edited(view, there)}


def publish(session: PsycopgSession, views: Sequence[View]) -> None:
    """Build the views in this order, and show them."""
    show(session, build(session, views))


def build(session: PsycopgSession, views: Sequence[View]) -> list[str]:
    """Make or refresh each view, in this order; what they read beyond each other must stand in the warehouse.

    :returns: the names of those that are built beside the ones that stand; `show` ends it.
    :raises ViewInUseError: one was edited, and something else reads it, which its end would take away.
    :raises ViewKeyError: one holds twice what its key says is there once.
    :raises ViewWritesError: one does more than read.
    """
    there = {view.name: standing.standing(session, view.name) for view in views}
    for view in views:
        _check_place(view, there[view.name])
    beside = _built_beside(views, there)
    path = sql.SQL("SELECT set_config('search_path', {}, true)")
    former = session.execute(sql.SQL("SELECT current_setting('search_path')"))[0][0]
    # a view that reads another one of these reads the new one
    session.execute(path.format(sql.Literal(f"{BESIDE}, {former}" if beside else former)))
    for view in views:
        with _named(view):
            if (found := there[view.name]) is None:
                _make(session, view, SCHEMA, beside)
            elif view.name in beside:
                _make(session, view, BESIDE, beside)
                _take_over(session, view)
            else:
                _refresh(session, view, found)
    session.execute(path.format(sql.Literal(former)))
    return [view.name for view in views if view.name in beside]


def show(session: PsycopgSession, built: Sequence[str]) -> None:
    """Put what was built beside into the places of what stands there. The transaction should end right after it.

    :raises WarehouseUnavailableError: somebody has read one of them for too long.
    """
    if built:
        # who reads several in one transaction mostly does so in one order: in the same one nobody holds what is locked
        # last while he waits for what is locked first
        orders = cycle((built, built[::-1]))
        _patiently(session, lambda: _change_places(session, built, next(orders)), built)


def _check_place(view: View, there: Standing | None) -> None:
    if there is not None and there.kind != "m":
        what = "a view that no file of sql/ has made" if there.kind == "v" else "a table"
        raise ConfigError(
            f"sql/{view.name}.sql: {SCHEMA}.{view.name} is {what} in the warehouse, and the file's view cannot have "
            f"its name; rename the file."
        )


def _is_edited(view: View, there: Standing) -> bool:
    return not (there.comment or "").endswith(view.mark())


def _built_beside(views: Sequence[View], there: Mapping[str, Standing | None]) -> set[str]:
    """The views that are built beside the ones that stand: those that were edited, those that cannot be refreshed in
    place without keeping readers out, and what reads one of these."""
    published = {f"{SCHEMA}.{view.name}" for view in views}
    beside: set[str] = set()
    for view in views:
        found = there[view.name]
        if found is None:
            continue
        others = sorted(found.readers - published)
        if _is_edited(view, found) and others:
            raise ViewInUseError(
                f"The view {view.name} was edited, and {' and '.join(others)} reads it, which this run does not "
                f"publish: to make {view.name} anew would take that away. Drop {' and '.join(others)}, or write it "
                f"as a file of sql/ whose line `-- tables:` names {view.name}."
            )
        if _is_edited(view, found) or not (others or (view.key and found.key == view.key and found.is_filled)):
            beside |= {view.name, *(name.removeprefix(f"{SCHEMA}.") for name in found.readers)}
    return beside


def _make(session: PsycopgSession, view: View, schema: str, beside: Iterable[str]) -> None:
    """Create a view that nobody reads yet, and fill it once it is known that it only reads."""
    name = sql.Identifier(schema, view.name)
    select = unqualified(view.select, SCHEMA, [*beside])
    session.execute_alone(
        sql.SQL("CREATE MATERIALIZED VIEW {} AS {}\nWITH NO DATA").format(
            name, sql.SQL(select)
        )  # the line ends a comment
    )
    standing.check_only_reads(session, view.name, schema)
    # a view that is made with its rows holds them for later snapshots alone; what is refreshed is there for all
    session.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(name))
    if view.key:
        _make_key(session, view, schema)
    _comment(session, view, schema)
    session.execute(sql.SQL("ANALYZE {}").format(name))


def _refresh(session: PsycopgSession, view: View, there: Standing) -> None:
    name = sql.Identifier(SCHEMA, view.name)
    standing.check_only_reads(session, view.name, SCHEMA)
    if view.key and there.is_filled:
        if there.key != view.key:
            session.execute(
                sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(SCHEMA, standing.key_index(view.name)))
            )
            _make_key(session, view, SCHEMA)
        session.execute(sql.SQL("REFRESH MATERIALIZED VIEW CONCURRENTLY {}").format(name))
    else:
        log.warning(
            "%s reads the view %s, so it is refreshed in place, and who reads it waits: give its file a line `-- key:`",
            " and ".join(sorted(there.readers)),
            view.name,
        )
        refresh = sql.SQL("REFRESH MATERIALIZED VIEW {}").format(name)
        _patiently(session, lambda: session.execute(refresh), [view.name])
    if there.comment != view.fingerprint():
        _comment(session, view, SCHEMA)


def _make_key(session: Session, view: View, schema: str) -> None:
    known = standing.columns(session, view.name, schema)
    for column in view.key:
        if column not in known:
            raise ConfigError(
                f"sql/{view.name}.sql: key: the SELECT gives no column {column!r}{nearest(column, known)}"
            )
    session.execute(
        sql.SQL("CREATE UNIQUE INDEX {} ON {} ({})").format(
            sql.Identifier(standing.key_index(view.name)),
            sql.Identifier(schema, view.name),
            sql.SQL(", ").join(map(sql.Identifier, view.key)),
        )
    )


def _comment(session: Session, view: View, schema: str) -> None:
    session.execute(
        sql.SQL("COMMENT ON MATERIALIZED VIEW {} IS {}").format(
            sql.Identifier(schema, view.name), sql.Literal(view.fingerprint())
        )
    )


def _take_over(session: Session, view: View) -> None:
    """Give the new view what hangs on the one that stands: indexes, grants, comments on columns."""
    name = sql.Identifier(BESIDE, view.name)
    for index, statement in standing.indexes(session, view.name):
        try:
            session.execute(sql.SQL(statement))
        except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedFunction) as error:
            raise ViewInUseError(
                f"The view {view.name} was edited, and its index {index} cannot be made anew: "
                f"{error.diag.message_primary}. Drop the index, or keep what it is on."
            ) from error
    for grantee, _, _ in standing.grants(session, view.name, BESIDE):
        session.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(name, _role(grantee)))
    for grantee, privilege, passes_on in standing.grants(session, view.name, SCHEMA):
        end = sql.SQL(" WITH GRANT OPTION" if passes_on else "")
        session.execute(sql.SQL("GRANT {} ON {} TO {}{}").format(sql.SQL(privilege), name, _role(grantee), end))
    known = standing.columns(session, view.name, BESIDE)
    for column, comment in standing.comments(session, view.name).items():
        if column in known:
            session.execute(
                sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(name, sql.Identifier(column), sql.Literal(comment))
            )


def _role(name: str) -> sql.Composable:
    return sql.Identifier(name) if name else sql.SQL("PUBLIC")


def _change_places(session: Session, built: Sequence[str], order: Sequence[str]) -> None:
    until = time.monotonic() + LOCK_MS / 1000
    for name in order:
        left = max(1, int(1000 * (until - time.monotonic())))
        session.execute(sql.SQL("SELECT set_config('lock_timeout', {}, true)").format(sql.Literal(f"{left}ms")))
        # no LOCK for a materialized view: this one changes nothing, and takes the lock that DROP does
        session.execute(
            sql.SQL("ALTER MATERIALIZED VIEW {} OWNER TO CURRENT_USER").format(sql.Identifier(SCHEMA, name))
        )
    # without CASCADE, which would take what nobody here knows along
    old = sql.SQL(", ").join(sql.Identifier(SCHEMA, name) for name in built)
    session.execute(sql.SQL("DROP MATERIALIZED VIEW {}").format(old))
    for name in built:
        session.execute(
            sql.SQL("ALTER MATERIALIZED VIEW {} SET SCHEMA {}").format(
                sql.Identifier(BESIDE, name), sql.Identifier(SCHEMA)
            )
        )


def _patiently(session: Session, act: Callable[[], object], names: Sequence[str]) -> None:
    """Do what needs a lock that keeps readers out, again and again, and never let them wait for it for long."""
    until = time.monotonic() + PATIENCE_S
    pause = FIRST_PAUSE_S
    while True:
        session.execute(sql.SQL("SAVEPOINT patiently"))
        session.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{LOCK_MS}ms")))
        try:
            act()
        except psycopg.errors.LockNotAvailable as error:
            session.execute(sql.SQL("ROLLBACK TO SAVEPOINT patiently"))
            if time.monotonic() > until:
                raise WarehouseUnavailableError(_held(session, names)) from error
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
        except psycopg.errors.DependentObjectsStillExist as error:
            raise ViewInUseError(
                f"The views {', '.join(names)} were built anew, and meanwhile something came to read one that stands: "
                f"{' '.join((error.diag.message_detail or '').split())}. Clear final.aggregate to publish again."
            ) from error
        else:
            session.execute(sql.SQL("SET LOCAL lock_timeout TO DEFAULT"))
            session.execute(sql.SQL("RELEASE SAVEPOINT patiently"))
            return


def _held(session: Session, names: Sequence[str]) -> str:
    places = [sql.Identifier(SCHEMA, name).as_string(None) for name in names]
    found = session.execute(sql.SQL(_HOLDERS).format(sql.Literal(places)))
    if not found:
        return f"The views {', '.join(names)} are read without a pause, so that the new ones find no moment; try again."
    relation, pid, user, application, since = found[0]
    # of other roles' sessions it takes pg_read_all_stats to see since when
    who = f"session {pid} of {user}" + (f" ({application})" if application else "") + since
    return (
        f"The view {relation} is held by {who}, so that the new one cannot take its place. "
        f"Let it end (SELECT pg_terminate_backend({pid})), or give the view's file a line "
        f"`-- key:`."
    )


@contextmanager
def _named(view: View) -> Iterator[None]:
    """What PostgreSQL says of a view, with its name."""
    try:
        yield
    except (psycopg.errors.UniqueViolation, psycopg.errors.CardinalityViolation) as error:
        said = " ".join((error.diag.message_detail or "").split())
        if not view.key:
            raise ViewKeyError(
                f"The view {view.name} does not fit a unique index that somebody made on it: {said} "
                f"({error.diag.constraint_name}). Drop that index, or correct the SELECT."
            ) from error
        raise ViewKeyError(
            f"The view {view.name} holds a key twice: {said} Its line `-- key: {', '.join(view.key)}` says that each "
            f"is there once; name more columns there, or correct the SELECT."
        ) from error
    except psycopg.errors.LockNotAvailable:
        raise
    except psycopg.Error as error:
        if is_transient(error.sqlstate):
            raise
        raise WarehouseError(
            f"The warehouse refused the view {view.name}: {error.diag.message_primary or error}; correct "
            f"sql/{view.name}.sql."
        ) from error
