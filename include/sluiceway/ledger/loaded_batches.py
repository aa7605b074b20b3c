"""etl.loaded_batches: what the last load of a table remembers (load/loaded_batches.py), and when it may be believed."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from sluiceway.ledger.warehouse import Session

MOST_VERSIONS = 1_000
"""A table whose rows come from more transactions is not remembered."""


@dataclass(frozen=True)
class Remembered:
    """What the last load left."""

    batches: bytes
    versions: tuple[int, ...]
    """The transactions (xmin) that wrote the table's rows; a row of another one was changed since."""


def read(session: Session, table: str, *, target: sql.Identifier, way: str) -> Remembered | None:
    """What may be believed of the last load of a table.

    :param target: the warehouse table.
    :param way: what decides which values a batch becomes; nothing made in another way counts.
    """
    # xmin has 32 bits and comes round; a transaction of the future is one of another cluster, before a restoration
    found = session.execute(
        sql.SQL(
            "SELECT batches, array_to_string(versions, ' ') AS versions FROM etl.loaded_batches "
            "WHERE table_name = {name} AND way = {way} AND shape = {shape} "
            "AND pg_current_xact_id()::text::bigint - transaction BETWEEN 0 AND 1::bigint << 31"
        ).format(name=sql.Literal(table), way=sql.Literal(way), shape=_shape(target))
    )
    if not found:
        return None
    batches, versions = found[0]
    return Remembered(bytes(batches), tuple(int(each) for each in str(versions).split()))


def write(session: Session, table: str, *, target: sql.Identifier, way: str, batches: bytes) -> None:
    """Keep the batches in place of what an earlier load left, with the transactions that wrote the rows of `target`.

    In the load's own transaction, at its end.
    """
    session.execute(sql.SQL("DELETE FROM etl.loaded_batches WHERE table_name = {}").format(sql.Literal(table)))
    if not batches:
        return
    session.execute(
        sql.SQL(
            "INSERT INTO etl.loaded_batches (table_name, way, shape, transaction, versions, batches) "
            "SELECT {name}, {way}, {shape}, pg_current_xact_id()::text::bigint, array_agg(version), {batches} "
            "FROM (SELECT xmin::text::bigint AS version FROM {target} GROUP BY xmin) found HAVING count(*) <= {most}"
        ).format(
            name=sql.Literal(table),
            way=sql.Literal(way),
            shape=_shape(target),
            batches=sql.Literal(batches),
            target=target,
            most=sql.Literal(MOST_VERSIONS),
        )
    )


def _shape(target: sql.Identifier) -> sql.Composed:
    """The table itself, and its columns by number and type: dropped or changed by hand, it is another one."""
    return sql.SQL(
        "(SELECT md5(string_agg(concat_ws(' ', attrelid, attnum, attname, atttypid, atttypmod), ',' ORDER BY attnum)) "
        "FROM pg_attribute WHERE attrelid = to_regclass({}) AND attnum > 0 AND NOT attisdropped)"
    ).format(sql.Literal(target.as_string(None)))
