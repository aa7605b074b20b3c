"""The tokens by which machines read the state of the data: made, listed, revoked, known again. Hashes alone are kept.

A token is 256 random bits, which nobody guesses, so a plain hash of it tells nothing and costs nothing to compare.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Literal

from psycopg import sql
from pydantic import BaseModel, ConfigDict

from sluiceway.errors import AccessError, nearest
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.warehouse import Session

Face = Literal["status", "badge", "metrics"]
PREFIX = "slw_"
"""By which a token is told from Airflow's, and found where one was left."""
LONGEST_NAME = 100
_ID_BYTES, _SECRET_BYTES = 4, 32


class FaceToken(BaseModel):
    """What is kept of a token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token_id: str
    """8 hex digits; no part of the secret."""
    name: str
    """For people: who has it."""
    faces: tuple[Face, ...]
    """What it opens."""
    created_at: datetime
    revoked_at: datetime | None = None


class KnownToken(BaseModel):
    """A token that is not revoked, as it is recognised."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: bytes
    faces: frozenset[Face]


def create(session: Session, name: str, faces: Collection[Face]) -> tuple[FaceToken, str]:
    """Make a token.

    :returns: what is kept, and the token itself, which nobody can tell again.
    :raises AccessError: nobody could read that name in a list.
    :raises LedgerMissingError: the warehouse has no ledger of this version.
    """
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
        raise AccessError(
            f"{name[:LONGEST_NAME]!r} is no name for a token: write who has it, in 1 to {LONGEST_NAME} letters, digits "
            f"and signs that can be shown"
        )
    check_revision(session)
    token_id, token = secrets.token_hex(_ID_BYTES), PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    rows = session.execute(
        sql.SQL(
            "INSERT INTO etl.face_token (token_id, name, faces, hash) VALUES ({}, {}, {}, {}) RETURNING created_at"
        ).format(*map(sql.Literal, (token_id, name, sorted(faces), hash_of(token))))
    )
    return FaceToken(token_id=token_id, name=name, faces=tuple(sorted(faces)), created_at=rows[0][0]), token


def tokens(session: Session) -> list[FaceToken]:
    """Every token that was ever made, the newest first.

    :raises LedgerMissingError: the warehouse has no ledger of this version.
    """
    check_revision(session)
    names = list(FaceToken.model_fields)
    rows = session.execute(
        sql.SQL("SELECT {} FROM etl.face_token ORDER BY created_at DESC").format(
            sql.SQL(", ").join(map(sql.Identifier, names))
        )
    )
    return [FaceToken.model_validate(dict(zip(names, row, strict=True))) for row in rows]


def revoke(session: Session, token_id: str) -> FaceToken:
    """Have a token open nothing any more; one that was revoked before stays so.

    :raises AccessError: there is no such token; names the nearest.
    """
    known = {each.token_id: each for each in tokens(session)}
    if token_id not in known:
        raise AccessError(_no_id(token_id, known.values()))
    rows = session.execute(
        sql.SQL(
            "UPDATE etl.face_token SET revoked_at = coalesce(revoked_at, clock_timestamp()) WHERE token_id = {} "
            "RETURNING revoked_at"
        ).format(sql.Literal(token_id))
    )
    return known[token_id].model_copy(update={"revoked_at": rows[0][0]})


def _no_id(text: str, known: Collection[FaceToken]) -> str:
    """What to say of a text that is no token's id; names are for people, and several tokens may have one."""
    if named := [each for each in known if each.name == text]:
        named.sort(key=lambda each: each.revoked_at is not None)
        ids = ", ".join(f"{each.token_id}{' (revoked)' if each.revoked_at else ''}" for each in named)
        return f"{text!r} is a token's name, and names are no ids; write its id: {ids}."
    hint = nearest(text, {each.token_id for each in known}, listing=False)
    hint = hint or nearest(text, {each.name for each in known}, listing=False).replace("?", ", which is a name?")
    return f"There is no token of the id {text!r}{hint or '; `sluiceway access token list` shows ids'}"


def known_tokens(session: Session) -> tuple[KnownToken, ...]:
    """Those that open something."""
    rows = session.execute(sql.SQL("SELECT hash, faces FROM etl.face_token WHERE revoked_at IS NULL"))
    return tuple(KnownToken(hash=bytes(hashed), faces=frozenset(faces)) for hashed, faces in rows)


def opened_by(token: str, known: Iterable[KnownToken]) -> frozenset[Face] | None:
    """The faces that a token opens; None: nobody made it, or it is revoked. Takes as long for each of them."""
    hashed, found = hash_of(token), None
    for each in known:
        if hmac.compare_digest(each.hash, hashed):
            found = each.faces
    return found


def hash_of(token: str) -> bytes:
    """As it is kept."""
    return hashlib.sha256(token.encode()).digest()
