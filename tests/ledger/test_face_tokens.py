"""The tokens of machines in the ledger: who may read them, and that none stands there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from dev.cluster import Cluster
from sluiceway.errors import AccessError
from sluiceway.ledger import face_tokens
from sluiceway.ledger.face_tokens import FaceToken
from sluiceway.ledger.warehouse import connect

Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def made(owner_url: str) -> tuple[FaceToken, str]:
    with connect(owner_url) as session:
        return face_tokens.create(session, "prometheus", ["metrics"])


def test_a_token_opens_its_faces_and_another_text_nothing(made: tuple[FaceToken, str], warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        known = face_tokens.known_tokens(session)
    assert face_tokens.opened_by(made[1], known) == {"metrics"}
    assert face_tokens.opened_by(made[1] + "x", known) is None
    assert face_tokens.opened_by(made[0].token_id, known) is None


def test_the_ledger_holds_no_token(made: tuple[FaceToken, str], query: Query) -> None:
    row = query("SELECT t::text FROM etl.face_token t")[0][0]
    assert made[0].name in row and made[1] not in row and made[1].removeprefix("slw_") not in row


def test_a_revoked_token_is_known_no_more_and_is_listed(made: tuple[FaceToken, str], owner_url: str) -> None:
    with connect(owner_url) as session:
        first = face_tokens.revoke(session, made[0].token_id)
        again = face_tokens.revoke(session, made[0].token_id)
        assert first.revoked_at == again.revoked_at is not None
        assert face_tokens.known_tokens(session) == ()
        assert face_tokens.tokens(session) == [first]
        with pytest.raises(AccessError, match=f"did you mean '{made[0].token_id}'"):
            face_tokens.revoke(session, made[0].token_id[:-1] + "x")


@pytest.mark.parametrize("role", ["sluiceway_reader", "sluiceway_jobs"])
def test_the_roles_that_only_read_the_ledger_do_not_read_tokens(role: str, postgres: Cluster, database: str) -> None:
    with (
        psycopg.connect(postgres.url(role, database)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT hash FROM etl.face_token")


def test_the_loader_recognises_tokens_and_makes_none(query: Query) -> None:
    assert query("SELECT hash FROM etl.face_token") == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query("INSERT INTO etl.face_token (token_id, name, faces, hash) VALUES ('x', 'x', '{badge}', 'x')")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x1b[31mb", "x" * 101])
def test_a_name_that_nobody_could_read_in_a_list_is_refused(name: str, owner_url: str) -> None:
    with connect(owner_url) as session, pytest.raises(AccessError, match="is no name for a token: write who has it"):
        face_tokens.create(session, name, ["badge"])
    with connect(owner_url) as session:
        assert face_tokens.tokens(session) == []
