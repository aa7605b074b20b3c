"""What stands in the warehouse under the names of views, what reads it, and what hangs on it. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from sluiceway.errors import ViewWritesError
from sluiceway.ledger.warehouse import Session
from sluiceway.load.stage_table import PARTS_SCHEMA, short_name

SCHEMA = "public"
BESIDE = PARTS_SCHEMA
"""Where a view is built while the one that stands is read: the loader's own, which readers do not see."""
HARMLESS = (
    *("random", "random_normal", "clock_timestamp", "timeofday", "gen_random_uuid", "uuid_generate_v4", "currval"),
    *("pg_database_size", "pg_relation_size", "pg_table_size", "pg_indexes_size", "pg_total_relation_size"),
    *("current_query", "lastval", "st_generatepoints"),
)
"""Functions of PostgreSQL and of extensions that give another value at each call, and do nothing else."""

_STANDING = """
    SELECT c.relkind::text, c.relispopulated, obj_description(c.oid, 'pg_class'), (
        SELECT array_agg(a.attname::text ORDER BY k.position)
        FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
            CROSS JOIN unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, position)
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
        WHERE i.indrelid = c.oid AND x.relname = {1} AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
    )
    FROM pg_class c WHERE c.oid = to_regclass({0})
"""
# a view is read by the rule that another one is
_READERS = """
    WITH RECURSIVE reader (oid) AS (
        SELECT to_regclass({0})::oid
        UNION
        SELECT rule.ev_class FROM reader
            JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = reader.oid
                AND d.classid = 'pg_rewrite'::regclass
            JOIN pg_rewrite rule ON rule.oid = d.objid
    )
    SELECT n.nspname || '.' || c.relname FROM reader JOIN pg_class c USING (oid)
        JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid <> to_regclass({0})
"""
# what a rule calls stands in its tree alone: pg_depend leaves out what is PostgreSQL's own
_READING = """
    WITH RECURSIVE reading (oid) AS (
        SELECT to_regclass({0})::oid
        UNION
        SELECT d.refobjid FROM reading
            JOIN pg_rewrite rule ON rule.ev_class = reading.oid
            JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = rule.oid
                AND d.refclassid = 'pg_class'::regclass
            JOIN pg_class c ON c.oid = d.refobjid AND c.relkind = 'v'
    )
"""
_WRITING = """
    SELECT p.oid::regprocedure::text FROM reading
        JOIN pg_rewrite rule ON rule.ev_class = reading.oid
        CROSS JOIN LATERAL
            regexp_matches(rule.ev_action::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) (\\d+)', 'g') AS called (oids)
        JOIN pg_proc p ON p.oid = called.oids[1]::oid
    WHERE p.provolatile = 'v' AND NOT (p.proname IN ({0}) AND (
        p.pronamespace = 'pg_catalog'::regnamespace
        OR EXISTS (
            SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'
        )
    ))
    ORDER BY 1 LIMIT 1
"""
_HIDDEN = """
    SELECT DISTINCT 'etl.' || c.relname FROM reading
        JOIN pg_rewrite rule ON rule.ev_class = reading.oid
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = rule.oid
            AND d.refclassid = 'pg_class'::regclass
        JOIN pg_class c ON c.oid = d.refobjid
        JOIN pg_roles role ON role.rolname = 'sluiceway_reader'
    WHERE c.relnamespace = 'etl'::regnamespace AND NOT has_table_privilege(role.oid, c.oid, 'SELECT')
"""
_INDEXES = """
    SELECT x.relname, replace(
        pg_get_indexdef(i.indexrelid),
        format(' ON %I.%I USING ', {1}, {2}::text), format(' ON %I.%I USING ', {3}, {2}::text)
    )
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    WHERE i.indrelid = to_regclass({0}) AND x.relname <> {4}
    ORDER BY 1
"""
_GRANTS = """
    SELECT coalesce(grantee.rolname, ''), acl.privilege_type, acl.is_grantable
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
        LEFT JOIN pg_roles grantee ON grantee.oid = acl.grantee
    WHERE c.oid = to_regclass({0}) AND acl.grantee <> c.relowner
    ORDER BY 1, 2
"""
_COMMENTS = """
    SELECT a.attname, col_description(a.attrelid, a.attnum) FROM pg_attribute a
    WHERE a.attrelid = to_regclass({0}) AND a.attnum > 0 AND NOT a.attisdropped
        AND col_description(a.attrelid, a.attnum) IS NOT NULL
"""
_COLUMNS = """
    SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass({0}) AND attnum > 0 AND NOT attisdropped
"""


@dataclass(frozen=True)
class Standing:
    """What stands under a view's name."""

    kind: str
    """As pg_class.relkind: m is a materialized view."""
    is_filled: bool
    comment: str | None
    key: tuple[str, ...]
    """The columns of the index that holds its key; none: it has no such index."""
    readers: frozenset[str]
    """What reads it, also through others: `schema.name`."""


def standing(session: Session, name: str) -> Standing | None:
    """What stands under the name; None: nothing."""
    found = session.execute(sql.SQL(_STANDING).format(regclass(name), sql.Literal(key_index(name))))
    if not found:
        return None
    kind, is_filled, comment, key = found[0]
    readers = frozenset(row[0] for row in session.execute(sql.SQL(_READERS).format(regclass(name))))
    return Standing(kind, is_filled, comment, tuple(key or ()), readers)


def exists(session: Session, table: str) -> bool:
    """Whether a table or a view of that name stands in the warehouse."""
    return bool(session.execute(sql.SQL("SELECT to_regclass({}) IS NOT NULL AS found").format(regclass(table)))[0][0])


def regclass(name: str, schema: str = SCHEMA) -> sql.Literal:
    """A name as to_regclass reads it."""
    return sql.Literal(sql.Identifier(schema, name).as_string(None))


def key_index(name: str) -> str:
    """The name of the unique index that holds the key which a view's file declares."""
    return short_name(f"{name}_view_key")


def columns(session: Session, name: str, schema: str) -> list[str]:
    """Of a view, in their order."""
    return [row[0] for row in session.execute(sql.SQL(_COLUMNS).format(regclass(name, schema)))]


def comments(session: Session, name: str) -> dict[str, str]:
    """What somebody wrote about columns of a view that stands."""
    return dict(session.execute(sql.SQL(_COMMENTS).format(regclass(name))))


def indexes(session: Session, name: str) -> list[tuple[str, str]]:
    """The indexes that somebody made on a view that stands, beside its key: name, and the statement that makes it on
    the one that is built beside."""
    asked = map(sql.Literal, (SCHEMA, name, BESIDE, key_index(name)))
    return [(row[0], row[1]) for row in session.execute(sql.SQL(_INDEXES).format(regclass(name), *asked))]


def grants(session: Session, name: str, schema: str) -> list[tuple[str, str, bool]]:
    """Who but its owner may do what with a view: role, none for PUBLIC; privilege; whether it may be passed on."""
    return [(row[0], row[1], row[2]) for row in session.execute(sql.SQL(_GRANTS).format(regclass(name, schema)))]


def check_only_reads(session: Session, name: str, schema: str) -> None:
    """Look at what a view calls and reads, also through views of others, before it is asked for its rows.

    :raises ViewWritesError: a function of it may write, wait or reach out; or it shows what its readers may not see.
    """
    reading = sql.SQL(_READING).format(regclass(name, schema))
    harmless = sql.SQL(", ").join(map(sql.Literal, HARMLESS))
    for (function,) in session.execute(reading + sql.SQL(_WRITING).format(harmless)):
        raise ViewWritesError(
            f"The view {name} calls {function}, which PostgreSQL holds for volatile: it may do more than read. Leave "
            f"it out; if it is a function of your own that only reads, say so: ALTER FUNCTION {function} STABLE."
        )
    for (table,) in session.execute(reading + sql.SQL(_HIDDEN)):
        raise ViewWritesError(f"The view {name} reads {table}, which sluiceway_reader may not read; leave it out.")
