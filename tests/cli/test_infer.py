"""`sluiceway tables infer` and `preview`: what they print and write, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(app, ["tables", *map(str, arguments)])


@pytest.fixture
def city(tmp_path: Path) -> Path:
    path = tmp_path / "city.csv"
    path.write_text("id,name\n1,Ponce\n2,[bold]Caguas\n", encoding="utf-8")
    return path


def test_a_draft_goes_to_the_standard_output(run: Run, city: Path) -> None:
    result = run("infer", city)
    assert result.exit_code == 0
    assert 'key = "id"' in result.stdout
    assert result.stderr == ""


def test_a_draft_is_written_and_valid(run: Run, city: Path, tmp_path: Path) -> None:
    out = tmp_path / "towns.toml"
    result = run("infer", city, "-o", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert 'uri = "city.csv"' in out.read_text(encoding="utf-8")
    assert run("check", out).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["city.csv", "towns.toml"]


def test_a_file_that_exists_is_only_overwritten_when_told(run: Run, city: Path, tmp_path: Path) -> None:
    out = tmp_path / "towns.toml"
    out.write_text("mine", encoding="utf-8")
    result = run("infer", city, "-o", out)
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert out.read_text(encoding="utf-8") == "mine"
    assert run("infer", city, "-o", out, "--force").exit_code == 0
    assert out.read_text(encoding="utf-8") != "mine"


def test_what_cannot_be_read_is_one_sentence_and_no_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"%PDF-1.7")
    out = tmp_path / "a.toml"
    result = run("infer", tmp_path / "a.csv", "-o", out)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.strip() == "error: a.csv is a PDF"
    assert not out.exists()


@pytest.mark.parametrize("out", ["no/such/folder.toml", "Towns.toml", "towns"])
def test_an_output_that_cannot_be_is_a_usage_error(run: Run, city: Path, tmp_path: Path, out: str) -> None:
    result = run("infer", city, "-o", tmp_path / out)
    assert result.exit_code == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_a_preview_shows_rows_and_rejects(run: Run, city: Path, tmp_path: Path) -> None:
    out = tmp_path / "towns.toml"
    run("infer", city, "-o", out)
    city.write_text("id,name\n1,Ponce\n2,[bold]Caguas\nx,No\n", encoding="utf-8")
    result = run("preview", out)
    assert result.exit_code == 0
    assert "[bold]Caguas" in result.stdout
    assert "row 3: id: 'x' is no integer" in result.stdout


def test_a_preview_is_json_when_asked_for(run: Run, city: Path, tmp_path: Path, warehouse_url: str) -> None:
    out = tmp_path / "towns.toml"
    run("infer", city, "-o", out)
    document = json.loads(run("preview", out, "--rows", 1, "--json", "--warehouse", warehouse_url).stdout)
    assert document["rows"] == [{"id": 1, "name": "Ponce"}]
    assert (document["extracted"], document["rejected"], document["complete"]) == (2, 0, True)
    assert "no table towns yet" in document["warehouse"]


def test_a_preview_of_a_table_that_does_not_exist_is_a_usage_error(run: Run) -> None:
    assert run("preview", "no_such_table").exit_code == 2
