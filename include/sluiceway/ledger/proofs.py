"""etl.ring_proof: what the last load of a table proved of its polygons, for the next one. load/proofs.py reads it."""

from __future__ import annotations

from psycopg import sql

from sluiceway.ledger.warehouse import Session


def read(session: Session, table: str) -> bytes:
    """What the last load left; nothing when there was none."""
    found = session.execute(
        sql.SQL("SELECT proofs FROM etl.ring_proof WHERE table_name = {}").format(sql.Literal(table))
    )
    return bytes(found[0][0]) if found else b""


def write(session: Session, table: str, proofs: bytes) -> None:
    """Keep it in place of what an earlier load left."""
    session.execute(
        sql.SQL(
            "INSERT INTO etl.ring_proof (table_name, proofs) VALUES ({}, {}) "
            "ON CONFLICT (table_name) DO UPDATE SET proofs = excluded.proofs"
        ).format(sql.Literal(table), sql.Literal(proofs))
    )
