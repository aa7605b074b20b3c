"""etl.loaded_file: the files, of a source that has several, whose rows a table holds. In the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from psycopg import sql

from sluiceway.ledger.warehouse import Session


class LoadedFile(NamedTuple):
    """What the last load that read a file found."""

    fingerprint: str
    rows: int
    """That it gave, rejects among them."""


def read(session: Session, table: str) -> dict[str, LoadedFile]:
    """Name -> what was found; nothing where the last load's source was one file."""
    rows = session.execute(
        sql.SQL("SELECT name, fingerprint, rows FROM etl.loaded_file WHERE table_name = {}").format(sql.Literal(table))
    )
    return {str(name): LoadedFile(str(fingerprint), int(count)) for name, fingerprint, count in rows}


def write(session: Session, table: str, files: Mapping[str, LoadedFile]) -> None:
    """Keep these, and no others, for the next load; at the end of a load's own transaction."""
    session.execute(sql.SQL("DELETE FROM etl.loaded_file WHERE table_name = {}").format(sql.Literal(table)))
    if not files:
        return
    listed = json.dumps([{"name": name, **each._asdict()} for name, each in files.items()])
    session.execute(
        sql.SQL(
            "INSERT INTO etl.loaded_file (table_name, name, fingerprint, rows) SELECT {}, name, fingerprint, rows "
            "FROM jsonb_to_recordset({}::jsonb) AS files(name text, fingerprint text, rows bigint)"
        ).format(sql.Literal(table), sql.Literal(listed))
    )
