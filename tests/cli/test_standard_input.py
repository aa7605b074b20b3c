"""`-` is the standard input; and drafts of several files, or of each part of one."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app

Query = Callable[..., list[tuple[object, ...]]]
Run = Callable[..., Result]
CITY = "id,name\n1,Ponce\n2,Caguas\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def invoke(*arguments: object, given: str | bytes = b"") -> Result:
        result = CliRunner().invoke(app, ["tables", *map(str, arguments)], input=given)
        assert list(folder.iterdir()) == []  # nothing of it stays
        return result

    return invoke


def test_the_standard_input_is_loaded_and_known_again(run: Run, warehouse_url: str, query: Query) -> None:
    load = ("run", "-", "--name", "city", "--warehouse", warehouse_url, "--json")
    result = run(*load, given=CITY)
    assert (result.exit_code, json.loads(result.stdout)["inserted"]) == (0, 2)
    assert query("SELECT id, name FROM city ORDER BY 1") == [(1, "Ponce"), (2, "Caguas")]
    assert json.loads(run(*load, given=CITY).stdout)["status"] == "unchanged"
    assert json.loads(run(*load, given=CITY + "3,Aguada\n").stdout)["inserted"] == 1


def test_a_described_table_may_be_read_from_the_standard_input(
    run: Run, tmp_path: Path, warehouse_url: str, query: Query
) -> None:
    toml = (
        'description = "x"\nkey = "id"\nsource = { kind = "csv", uri = "none.csv", max_bytes = 100 }\n'
        'columns = { id = "integer", name = "text", f = { type = "text", source = "$file" } }\n'
    )
    path = tmp_path / "city.toml"
    path.write_text(toml)
    load = ("run", path, "--uri", "-", "--warehouse", warehouse_url)
    assert run(*load, given=gzip.compress(CITY.encode())).exit_code == 0
    assert query("SELECT f FROM city LIMIT 1") == [("standard_input.gz",)]
    result = run(*load, given="x" * 101)
    assert (result.exit_code, result.stderr.strip()) == (
        1,
        "error: The standard input has more than the 100 bytes that source.max_bytes allows; raise it if right",
    )


def test_a_preview_of_the_standard_input(run: Run) -> None:
    result = run("preview", "-", given='{"id": 1}\n{"id": 2}\n')
    assert (result.exit_code, "of 2 rows 2 can be loaded" in result.stdout) == (0, True)


def test_a_draft_of_the_standard_input_says_that_it_was_no_file(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "city.toml"
    assert run("infer", "-", "-o", out, given=CITY).exit_code == 0
    assert 'uri = "-"  # came by the standard input: name its file, or load it by --uri -' in out.read_text()
    assert run("preview", out, "--uri", "-", given=CITY).exit_code == 0


def test_the_kind_may_be_said(run: Run) -> None:
    result = run("preview", "-", "--kind", "csv", "--json", given="[id]\n[1]\n")
    assert (result.exit_code, json.loads(result.stdout)["rows"]) == (0, [{"id": "[1]"}])
    result = run("preview", "-", "--kind", "cvs", given=CITY)
    assert (result.exit_code, result.stderr.strip()) == (
        2,
        "error: --kind: 'cvs' is no kind of file; did you mean 'csv'?",
    )


@pytest.mark.parametrize("command", ["run", "preview", "infer"])
def test_an_empty_standard_input_is_an_error(run: Run, command: str) -> None:
    result = run(command, "-")
    assert (result.exit_code, result.stderr.strip()) == (1, "error: The standard input is empty: it has no bytes.")


def test_the_standard_input_may_be_read_where_files_are_only_read_from_some_folders(
    run: Run, setting: Callable[..., None], tmp_path: Path
) -> None:
    setting(file_roots=str(tmp_path / "data"))
    assert run("preview", "-", given=CITY).exit_code == 0
    (tmp_path / "city.csv").write_text(CITY)
    assert run("preview", tmp_path / "city.csv").exit_code == 2


def test_what_a_tables_file_says_is_not_said_again(run: Run, tmp_path: Path) -> None:
    result = run("run", "city", "--name", "town")
    assert (result.exit_code, "--name: the table's file says that" in result.stderr) == (2, True)


def test_a_name_that_no_table_can_have_names_one(run: Run) -> None:
    result = run("preview", "-", "--name", "My City", given=CITY)
    assert (result.exit_code, "for instance my_city" in result.stderr) == (2, True)


def test_files_that_fit_are_loaded_by_a_draft(run: Run, tmp_path: Path, warehouse_url: str, query: Query) -> None:
    (tmp_path / "flood").mkdir()
    for month in ("01", "02"):
        (tmp_path / "flood" / f"2024-{month}.csv").write_text(f"id,level\n{month},5\n")
    assert run("run", tmp_path / "flood" / "*.csv", "--warehouse", warehouse_url).exit_code == 0
    assert query("SELECT file FROM flood ORDER BY 1") == [("2024-01.csv",), ("2024-02.csv",)]


def test_each_part_gets_a_file_and_what_cannot_be_drafted_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CITY)
    (tmp_path / "b.csv").write_bytes(b"%PDF-1.7")
    out = tmp_path / "tables"
    missing = run("infer", tmp_path / "*.csv", "--all", "-o", out)
    assert (missing.exit_code, "there is no folder" in missing.stderr) == (2, True)
    out.mkdir()
    result = run("infer", tmp_path / "*.csv", "--all", "-o", out)
    assert result.exit_code == 1
    assert "error: b.csv: no draft: b.csv is a PDF" in result.stderr
    assert [path.name for path in out.iterdir()] == ["a.toml"]
    again = run("infer", tmp_path / "a.csv", "--all", "-o", out)
    assert (again.exit_code, "--force" in again.stderr) == (2, True)
    assert run("infer", tmp_path / "a.csv", "--all", "-o", out, "--force", "--json").exit_code == 0
