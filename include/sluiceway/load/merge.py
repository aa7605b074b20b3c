"""From the staging table into the warehouse table: shape, upsert, missing rows. SQL only."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from sluiceway.errors import TargetMismatchError
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session
from sluiceway.load.checks import check_taken_away
from sluiceway.load.rejected import is_rejected
from sluiceway.load.stage_table import (
    REMEMBERED,
    SCHEMA,
    NotAsRememberedError,
    idents,
    short_name,
    stage_table,
    staged_value,
)
from sluiceway.tables.spec import CONTENT_KEY_COLUMN, DELETED_COLUMN, RUN_COLUMN, TableSpec

CHANGED = "etl_changed"
"""The temporary table of the rows that are new or differ."""

_CATALOG_NAMES = {
    "varchar": "character varying",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}
"""How pg_catalog.format_type spells the types that it does not spell as the spec does."""


@dataclass(frozen=True)
class Merged:
    """What the merge did. Counts of rows."""

    inserted: int
    updated: int
    deleted: int
    table_rows: int


def target_of(spec: TableSpec) -> sql.Identifier:
    """The warehouse table, quoted."""
    return sql.Identifier(SCHEMA, spec.name)


def _column_types(spec: TableSpec) -> dict[str, str]:
    """Every column of the warehouse table and its type, in order; all of them checked names, none user text."""
    types = {CONTENT_KEY_COLUMN: "uuid"} if spec.key == "content" else {}
    types |= {name: column.type for name, column in spec.stored_columns.items()}
    if spec.geometry is not None:
        types[spec.geometry.column] = spec.geometry.sql_type
    if spec.on_missing == "mark":
        types[DELETED_COLUMN] = "timestamptz"
    return types | {RUN_COLUMN: "text"}


def _catalog_spelling(declared: str) -> str:
    base, bracket, rest = declared.partition("(")
    if declared.startswith("numeric(") and "," not in declared:
        rest = rest.replace(")", ",0)")
    return _CATALOG_NAMES.get(base, base) + bracket + rest


def _same_key(spec: TableSpec) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("t.{0} = n.{0}").format(sql.Identifier(name)) for name in spec.key_columns)


def table_exists(session: Session, spec: TableSpec) -> bool:
    """Whether the warehouse table is there."""
    return exists(session, target_of(spec))


def exists(session: Session, name: sql.Identifier) -> bool:
    """Whether there is a table, or an index, of that name."""
    query = sql.SQL("SELECT to_regclass({}) IS NOT NULL AS found").format(sql.Literal(name.as_string(None)))
    return bool(session.execute(query)[0][0])


def ensure_table(session: Session, spec: TableSpec) -> bool:
    """Create the warehouse table, yet without its key, or add columns that the spec has gained.

    :returns: whether the table is new.
    :raises TargetMismatchError: a column or the key has another shape; nothing is changed then.
    """
    types = _column_types(spec)
    if not table_exists(session, spec):
        required = {RUN_COLUMN, *(name for name, column in spec.stored_columns.items() if column.required)}
        if spec.geometry is not None and spec.geometry.required:
            required.add(spec.geometry.column)
        columns = [
            sql.SQL("{} {}{}").format(
                sql.Identifier(name), sql.SQL(type_), sql.SQL(" NOT NULL" if name in required else "")
            )
            for name, type_ in types.items()
        ]
        # the key follows in merge: an index built after the rows costs half of one kept up row by row
        session.execute(sql.SQL("CREATE TABLE {} ({})").format(target_of(spec), sql.SQL(", ").join(columns)))
        session.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(target_of(spec), sql.Literal(spec.description)))
        return True
    _match_shape(session, spec, types)
    return False


def _match_shape(session: Session, spec: TableSpec, types: dict[str, str]) -> None:
    name = sql.Literal(target_of(spec).as_string(None))
    found = dict(
        session.execute(
            sql.SQL(
                "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute "
                "WHERE attrelid = {}::regclass AND attnum > 0 AND NOT attisdropped"
            ).format(name)
        )
    )
    for column, declared in types.items():
        if column in found and found[column] != _catalog_spelling(declared):
            raise TargetMismatchError(
                f"{spec.name}: column {column!r} is {found[column]} in the warehouse and {declared} in the spec; "
                f"ALTER it, or drop the table and load it anew."
            )
    key = session.execute(
        sql.SQL(
            "SELECT a.attname::text AS name FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid "
            "AND a.attnum = ANY (i.indkey) WHERE i.indrelid = {}::regclass AND i.indisprimary"
        ).format(name)
    )
    if {row[0] for row in key} != set(spec.key_columns):
        raise TargetMismatchError(
            f"{spec.name}: the key is ({', '.join(row[0] for row in key)}) in the warehouse and "
            f"({', '.join(spec.key_columns)}) in the spec; drop the table and load it anew."
        )
    for column, declared in types.items():
        if column not in found:
            session.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                    target_of(spec), sql.Identifier(column), sql.SQL(declared)
                )
            )


def check_remembered(session: Session, spec: TableSpec, versions: tuple[int, ...]) -> None:
    """Check that the rows of which only the keys were staged are there as the last load left them.

    :param versions: the transactions that had written the table's rows when that load ended.
    :raises NotAsRememberedError: one is gone, was changed since, or gave way to a later one of its key.
    """
    found = session.execute(
        sql.SQL(
            "SELECT count(*) AS others FROM (SELECT {keys} FROM {stage} s WHERE s.{remembered}) n "
            "LEFT JOIN {target} t ON {same_key} WHERE t.{run_column} IS NULL OR NOT t.xmin = ANY ({versions}::xid[])"
        ).format(
            keys=sql.SQL(", ").join(
                sql.SQL("{} AS {}").format(staged_value(spec, name), sql.Identifier(name)) for name in spec.key_columns
            ),
            stage=stage_table(spec),
            remembered=sql.Identifier(REMEMBERED),
            target=target_of(spec),
            same_key=_same_key(spec),
            run_column=sql.Identifier(RUN_COLUMN),
            versions=sql.Literal("{" + ",".join(map(str, versions)) + "}"),
        )
    )
    if found[0][0]:
        raise NotAsRememberedError


def merge(
    session: Session, spec: TableSpec, run: RunKey, *, new: bool, nothing_new: bool, rejects: int, without_key: int
) -> Merged:
    """Upsert the staged rows; a row that did not change is not written.

    :param new: whether ensure_table has just made the table.
    :param nothing_new: whether the rows stand in the table already, all of them (check_remembered).
    :param rejects: how many rows stand in REJECTED.
    :param without_key: of how many of them the key cannot be read: any row of the table may be one of those, so that
        none is taken away.
    :raises ShrunkExtractionError: on_missing would take away more rows than checks.max_shrink allows.
    """
    if new:
        rows = _fill(session, spec, run)
        merged = Merged(inserted=rows, updated=0, deleted=0, table_rows=rows)
    else:
        inserted, updated = (0, 0) if nothing_new else _upsert(session, spec, run)
        takes_away = spec.on_missing != "keep" and not without_key
        deleted = _take_away_missing(session, spec, run, rejects=rejects > 0) if takes_away else 0
        merged = Merged(inserted, updated, deleted, count_rows(session, spec))
    complete(session, spec, merged)
    return merged


def complete(session: Session, spec: TableSpec, merged: Merged) -> None:
    """What follows once the rows are there: the index of their places, and what the planner goes by."""
    if spec.geometry is not None:
        _ensure_spatial_index(session, spec, spec.geometry.column)
    if merged.inserted or merged.updated or merged.deleted:
        session.execute(sql.SQL("ANALYZE {}").format(target_of(spec)))


def _ensure_spatial_index(session: Session, spec: TableSpec, column: str) -> None:
    name = short_name(f"{spec.name}_{column}_gist")
    # IF NOT EXISTS would do, but it waits for whoever writes to the table, and for autovacuum
    if not exists(session, sql.Identifier(SCHEMA, name)):
        session.execute(
            sql.SQL("CREATE INDEX {} ON {} USING gist ({})").format(
                sql.Identifier(name), target_of(spec), sql.Identifier(column)
            )
        )


def _value_columns(spec: TableSpec) -> list[str]:
    """The columns that hold a row's values, the key among them."""
    return [name for name in _column_types(spec) if name not in {RUN_COLUMN, DELETED_COLUMN}]


def _fill(session: Session, spec: TableSpec, run: RunKey) -> int:
    """Everything into a table that is new; how many rows. The key, built afterwards, costs half of one kept up."""
    columns = _value_columns(spec)
    session.execute(
        sql.SQL("INSERT INTO {} ({}, {}) SELECT {}, {} FROM {} s").format(
            target_of(spec),
            idents(columns),
            sql.Identifier(RUN_COLUMN),
            sql.SQL(", ").join(staged_value(spec, name) for name in columns),
            sql.Literal(str(run)),
            stage_table(spec),
        )
    )
    add_key(session, spec)
    return count_rows(session, spec)


def add_key(session: Session, spec: TableSpec) -> None:
    """Give a new table that holds its rows its primary key."""
    session.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(target_of(spec), idents(spec.key_columns)))


def _upsert(session: Session, spec: TableSpec, run: RunKey) -> tuple[int, int]:
    """Rows that are new or differ; how many were inserted and updated.

    One join finds them, on several cores: for a source that did not change it takes a third of the time of ON CONFLICT
    on every row.
    """
    columns = _value_columns(spec)
    values = [name for name in columns if name not in spec.key_columns]
    differs = [sql.SQL("t.{} IS NULL").format(sql.Identifier(RUN_COLUMN))]
    if values:
        differs.append(sql.SQL("({}) IS DISTINCT FROM ({})").format(idents(values, "t"), idents(values, "n")))
    assignments = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in [*values, RUN_COLUMN]]
    if spec.on_missing == "mark":
        differs.append(sql.SQL("t.{} IS NOT NULL").format(sql.Identifier(DELETED_COLUMN)))
        assignments.append(sql.SQL("{} = NULL").format(sql.Identifier(DELETED_COLUMN)))
    session.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE {changed} ON COMMIT DROP AS "
            "SELECT n.* FROM (SELECT {staged} FROM {stage} s WHERE NOT s.{remembered}) n "
            "LEFT JOIN {target} t ON {same_key} WHERE {differs}"
        ).format(
            changed=sql.Identifier(CHANGED),
            staged=sql.SQL(", ").join(
                sql.SQL("{} AS {}").format(staged_value(spec, name), sql.Identifier(name)) for name in columns
            ),
            stage=stage_table(spec),
            remembered=sql.Identifier(REMEMBERED),
            target=target_of(spec),
            same_key=_same_key(spec),
            differs=sql.SQL(" OR ").join(differs),
        )
    )
    inserted, updated = session.execute(
        sql.SQL(
            """
            WITH merged AS (
                INSERT INTO {target} ({names}, {run_column}) SELECT {names}, {run_id} FROM {changed}
                ON CONFLICT ({key}) DO UPDATE SET {assignments} RETURNING xmax = 0 AS inserted
            )
            SELECT count(*) FILTER (WHERE inserted) AS inserted, count(*) FILTER (WHERE NOT inserted) AS updated
            FROM merged
            """
        ).format(
            changed=sql.Identifier(CHANGED),
            target=target_of(spec),
            names=idents(columns),
            run_column=sql.Identifier(RUN_COLUMN),
            run_id=sql.Literal(str(run)),
            key=idents(spec.key_columns),
            assignments=sql.SQL(", ").join(assignments),
        )
    )[0]
    return int(inserted), int(updated)


def count_rows(session: Session, spec: TableSpec) -> int:
    """Live rows of the warehouse table."""
    live = (
        sql.SQL("WHERE {} IS NULL").format(sql.Identifier(DELETED_COLUMN)) if spec.on_missing == "mark" else sql.SQL("")
    )
    return int(session.execute(sql.SQL("SELECT count(*) AS n FROM {} {}").format(target_of(spec), live))[0][0])


def _take_away_missing(session: Session, spec: TableSpec, run: RunKey, *, rejects: bool) -> int:
    before = count_rows(session, spec)
    same_key = sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(staged_value(spec, column), sql.Identifier("t", column))
        for column in spec.key_columns
    )
    missing: sql.Composable = sql.SQL("NOT EXISTS (SELECT FROM {} s WHERE {})").format(stage_table(spec), same_key)
    if rejects:
        # a row that is a reject today is still in the source: it must not count as missing
        missing = sql.SQL("{} AND NOT {}").format(missing, is_rejected(spec, "t"))
    if spec.on_missing == "delete":
        statement = sql.SQL("DELETE FROM {} AS t WHERE {} RETURNING 1").format(target_of(spec), missing)
    else:
        statement = sql.SQL("UPDATE {} AS t SET {} = now(), {} = {} WHERE t.{} IS NULL AND {} RETURNING 1").format(
            target_of(spec),
            sql.Identifier(DELETED_COLUMN),
            sql.Identifier(RUN_COLUMN),
            sql.Literal(str(run)),
            sql.Identifier(DELETED_COLUMN),
            missing,
        )
    gone = int(session.execute(sql.SQL("WITH gone AS ({}) SELECT count(*) AS n FROM gone").format(statement))[0][0])
    check_taken_away(spec, gone, before)
    return gone
