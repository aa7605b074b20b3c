"""Drafts of Google spreadsheets by their address in a browser: on a stand-in of the Sheets API."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric import rsa
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.infer.asked import Asked
from sluiceway.infer.services import service_of
from sluiceway.sources.connections import from_environment
from sluiceway.sources.services import gsheet as module
from tests.stand_ins.google_account import extra_of, new_key, public_key_of
from tests.stand_ins.google_sheets import GoogleSheets

Query = Callable[..., list[tuple[object, ...]]]
ADDRESS = "https://docs.google.com/spreadsheets/d/1AbC/edit#gid=0"
CITIES = [["id", "Name", "people"], ["1", "Mayagüez", "1,000"], ["2", "Ponce", ""], ["3", "NA", "5"]]


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture
def sheets(private_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleSheets]:
    monkeypatch.setattr(module, "REQUESTS_PER_SECOND", 1000)
    with GoogleSheets(public_key=public_key_of(private_key)) as service:
        service.sheets = {"Cities": CITIES, "Other": [["a"], ["x"]]}
        connection = {"conn_type": "google_cloud_platform", "extra": extra_of(service, private_key)}
        monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(connection))
        yield service


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["tables", *map(str, arguments)])


@pytest.mark.usefixtures("sheets")
def test_a_draft_of_a_spreadsheet_passes_the_check_and_loads(tmp_path: Path, warehouse_url: str, query: Query) -> None:
    out = tmp_path / "city.toml"
    assert run("infer", ADDRESS, "-o", out).exit_code == 0
    found = tomllib.loads(out.read_text(encoding="utf-8"))
    assert found["source"] == {"kind": "gsheet", "spreadsheet": "1AbC", "thousands": ","}
    assert found["columns"] == {"id": "integer", "name": {"source": "Name", "type": "text"}, "people": "integer"}
    assert found["key"] == "id"
    assert run("check", out).exit_code == 0
    result = run("run", out, "--warehouse", warehouse_url)
    assert result.exit_code == 0, result.output
    assert query("SELECT people FROM city ORDER BY id") == [(1000,), (None,), (5,)]


@pytest.mark.usefixtures("sheets")
def test_a_sheet_is_chosen_by_its_name() -> None:
    found = tomllib.loads(run("infer", ADDRESS, "--sheet", "Other").stdout)
    assert found["source"] == {"kind": "gsheet", "spreadsheet": "1AbC", "sheet": "Other"}


@pytest.mark.usefixtures("sheets")
def test_an_address_is_used_once_as_a_file_is(warehouse_url: str, query: Query) -> None:
    result = run("run", ADDRESS, "--warehouse", warehouse_url)
    assert result.exit_code == 0, result.output
    assert query("SELECT count(*) FROM spreadsheet") == [(3,)]


@pytest.mark.parametrize(
    ("address", "spreadsheet"),
    [
        ("https://docs.google.com/spreadsheets/d/1A-b_C", "1A-b_C"),
        ("https://docs.google.com/spreadsheets/d/1A/edit?usp=sharing", "1A"),
        ("https://docs.google.com/spreadsheets/u/1/d/1A/view", "1A"),
        ("https://docs.google.com/spreadsheets/d/1A/export?format=csv", None),
        ("https://docs.google.com/spreadsheets/d/e/2PACX/pub?output=csv", None),
        ("https://example.org/spreadsheets/d/1A/edit", None),
    ],
)
def test_a_spreadsheet_is_told_from_a_file_that_google_makes_of_it(address: str, spreadsheet: str | None) -> None:
    found = service_of("a", Asked(address), from_environment)
    assert (None if found is None else found.keys["spreadsheet"]) == spreadsheet
