"""`sluiceway access token` on a real ledger, as the warehouse's owner."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app

Command = Callable[..., Result]
Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def token(owner_url: str, setting: Callable[..., None]) -> Command:
    setting(owner_url=owner_url)
    return lambda *arguments: CliRunner().invoke(app, ["access", "token", *arguments])


def test_a_token_alone_goes_to_the_standard_output_and_its_id_beside_it(token: Command, query: Query) -> None:
    made = token("create", "prometheus", "--face", "metrics", "--face", "badge")
    assert made.exit_code == 0
    assert made.stdout.startswith("slw_") and made.stdout.count("\n") == 1
    token_id, faces = query("SELECT token_id, faces FROM etl.face_token")[0]
    assert f"The token {token_id} opens badge, metrics." in made.stderr
    assert faces == ["badge", "metrics"]


def test_the_list_shows_whose_it_is_and_never_the_token(token: Command) -> None:
    assert "There is no token yet" in token("list").stdout
    made = token("create", "a README", "--face", "all", "--json")
    document = json.loads(made.stdout)
    listed = token("list").stdout
    assert document["token_id"] in listed and "a README" in listed and "badge, metrics, status" in listed
    assert document["token"] not in listed + token("list", "--json").stdout


def test_a_revoked_token_is_shown_so_and_an_unknown_one_names_the_nearest(token: Command) -> None:
    token_id = json.loads(token("create", "x", "--face", "badge", "--json").stdout)["token_id"]
    for _ in range(2):
        assert "opens nothing any more" in token("revoke", token_id).stdout
    assert json.loads(token("list", "--json").stdout)["tokens"][0]["revoked_at"] is not None
    wrong = token("revoke", token_id[:-1] + "x")
    assert wrong.exit_code == 1 and f"did you mean '{token_id}'?" in wrong.stderr


def test_a_name_where_an_id_is_wanted_is_answered_with_the_ids_of_that_name(token: Command, query: Query) -> None:
    ids = [json.loads(token("create", "prom", "--face", "badge", "--json").stdout)["token_id"] for _ in range(2)]
    token("revoke", ids[0])
    wrong = token("revoke", "prom")
    assert wrong.exit_code == 1
    assert " ".join(wrong.stderr.split()) == (
        f"error: 'prom' is a token's name, and names are no ids; write its id: {ids[1]}, {ids[0]} (revoked)."
    )
    assert query("SELECT count(*) FROM etl.face_token WHERE revoked_at IS NULL") == [(1,)]
    other = token("revoke", "pron")
    assert other.stderr == "error: There is no token of the id 'pron'; did you mean 'prom', which is a name?\n"
    other = token("revoke", "xyz")
    assert "There is no token of the id 'xyz'; `sluiceway access token list` shows ids" in other.stderr


@pytest.mark.parametrize("faces", [("--face", "bagde"), ()])
def test_a_token_of_no_face_is_not_made(faces: tuple[str, ...], token: Command, query: Query) -> None:
    wrong = token("create", "x", *faces)
    assert wrong.exit_code == 2
    assert query("SELECT * FROM etl.face_token") == []
    if faces:
        assert "--face 'bagde' is no face; did you mean 'badge'?" in wrong.stderr


def test_the_role_that_loads_makes_no_token(setting: Callable[..., None], warehouse_url: str, token: Command) -> None:
    wrong = token("create", "x", "--face", "badge", "--warehouse", warehouse_url)
    assert wrong.exit_code == 1 and "permission denied for table face_token" in wrong.stderr
