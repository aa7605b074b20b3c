"""`--warehouse` and SLUICEWAY_WAREHOUSE_URL: what is wrong with an address is one sentence; nothing is connected."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.errors import SettingsError
from sluiceway.ledger.warehouse_url import checked

Setting = Callable[..., None]
FORM = "; write postgresql://USER@HOST:5432/DATABASE."
WRONG = [
    ("", "the address of the warehouse is empty"),
    ("me:secret@host/db", "the address has no scheme"),
    ("host=h dbname=d password=secret", "the address holds a space or a line break, which stands in it as %20"),
    ("postgresql:/host/db", "the address has no scheme"),
    ("./warehouse", "that is a file, and the warehouse a database of PostgreSQL"),
    ("/srv/warehouse.gpkg", "that is a file, and the warehouse a database of PostgreSQL"),
    ("warehouse.sqlite", "that is a file, and the warehouse a database of PostgreSQL"),
    ("sqlite:///warehouse.db", "sqlite:// is no database of PostgreSQL"),
    ("mysql://me:secret@host/db", "mysql:// is no database of PostgreSQL"),
    ("postgresql+psycopg://me:secret@host/db", "postgresql+psycopg:// is how SQLAlchemy writes it"),
    ("me:secret://host/db", "the address has no scheme"),
    ("postgresql://me:secret@host", "the address names no database"),
    ("postgresql://me:secret@host/", "the address names no database"),
    ("postgresql://me:secret@host:54e2/db", "the port is no number from 1 to 65535"),
    ("postgresql://me:secret@host:99999/db", "the port is no number from 1 to 65535"),
    ("postgresql://me:secret", "the port is no number from 1 to 65535"),
    ("postgresql://me:sec/ret@host/db", "the password holds a / or a ?, which stand in an address as %2F and %3F"),
    ("postgresql://me:sec?ret@host/db", "the password holds a / or a ?"),
    ("postgresql://me:sec@ret@host/db", "the password holds an @, which stands in an address as %40"),
    ("postgresql://me:sec%ret@host/db", "the address holds a % that begins no code, and stands in it as %25"),
    ("postgresql://me:secret@host/db\n", "the address holds a space or a line break"),
]
COMMANDS = [
    ("tables", "run", "us_state"),
    ("tables", "preview", "us_state"),
    ("runs", "list"),
    ("runs", "show", "x"),
    ("ledger", "migrate"),
    ("triggers", "list"),
    ("triggers", "show", "master_etl"),
    ("triggers", "test", "master_etl"),
]


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object, **__: object) -> None:
        raise AssertionError("a warehouse was asked")

    monkeypatch.setattr(psycopg, "connect", connect)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(("url", "sentence"), WRONG)
def test_a_wrong_address_is_one_sentence_without_the_password(url: str, sentence: str) -> None:
    result = run("runs", "list", "--warehouse", url)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: --warehouse: {sentence}") and line.endswith(FORM)
    assert not {part for part in ("secret", "sec", "ret@") if part in line}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_checks_its_warehouse(command: tuple[str, ...]) -> None:
    result = run(*command, "--warehouse", "sqlite:///x")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: --warehouse: sqlite:// is no database of PostgreSQL")


@pytest.mark.parametrize("command", [each for each in COMMANDS if each[1] != "preview"], ids=" ".join)
def test_the_variable_is_checked_too_and_named(command: tuple[str, ...], setting: Setting) -> None:
    setting(warehouse_url="postgresql://me:secret@host")
    result = run(*command)
    assert (result.exit_code, "secret" in result.output) == (2, False)
    assert result.stderr.startswith("error: SLUICEWAY_WAREHOUSE_URL: the address names no database")


def test_the_owners_variable_is_checked_and_the_option_goes_before_it(setting: Setting) -> None:
    setting(owner_url="postgres")
    assert run("ledger", "migrate").stderr.startswith("error: SLUICEWAY_OWNER_URL: the address has no scheme")
    assert run("ledger", "migrate", "--warehouse", "x").stderr.startswith("error: --warehouse: ")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:p%40ss@host:5432/db",
        "postgres://me@host/db",
        "postgresql:///db",
        "postgresql:///db?host=/run/postgresql",
        "postgresql://me@%2Frun%2Fpostgresql/db",
        "postgresql://host?dbname=db",
        "postgresql://[::1]:5432/db",
        "postgresql://one:5432,two:5433/db?target_session_attrs=read-write",
        "postgresql://me@host/db?user=a@b",
    ],
)
def test_what_libpq_takes_is_right(url: str) -> None:
    assert checked(url, "--warehouse") == url


def test_an_ipv6_address_without_brackets_is_told_of_its_port() -> None:
    with pytest.raises(SettingsError, match="the port is no number"):
        checked("postgresql://fe80::1/db", "--warehouse")
