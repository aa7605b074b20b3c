"""`sluiceway tables fmt`: what it prints and writes, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app

GOOD = 'description = "Cities"\nkey = "id"\n\n[source]\nkind = "csv"\nuri = "a.csv"\n\n[columns]\nid = "integer"\n'
MESSY = GOOD.replace(" = ", "=")


@pytest.fixture
def files(tmp_path: Path, setting: Callable[..., None]) -> Path:
    """The folder of a deployment's table files, one of which is not in order."""
    folder = tmp_path / "config" / "tables"
    folder.mkdir(parents=True)
    (folder / "good.toml").write_text(GOOD, encoding="utf-8")
    (folder / "messy.toml").write_text(MESSY, encoding="utf-8")
    setting(config_dir=folder.parent)
    return folder


def fmt(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["tables", "fmt", *map(str, arguments)])


def test_all_files_of_the_deployment_are_written_anew_where_they_have_to_be(files: Path) -> None:
    result = fmt()
    assert result.exit_code == 0
    assert "messy.toml: was written anew" in " ".join(result.stderr.split())
    assert "good.toml" not in result.output
    assert (files / "messy.toml").read_text(encoding="utf-8") == GOOD
    assert " ".join(fmt().output.split()) == "2 files are in canonical form."


def test_a_check_names_the_files_writes_nothing_and_exits_with_1(files: Path) -> None:
    result = fmt("--check")
    assert result.exit_code == 1
    assert "messy.toml: is not in canonical form" in " ".join(result.stderr.split())
    assert (files / "messy.toml").read_text(encoding="utf-8") == MESSY
    assert fmt("--check", files / "good.toml").exit_code == 0


def test_a_diff_shows_what_changes(files: Path) -> None:
    result = fmt("--check", "--diff")
    assert f"--- {files / 'messy.toml'}\n" in result.stdout
    assert '-description="Cities"\n' in result.stdout
    assert '+description = "Cities"\n' in result.stdout


def test_a_wrong_file_is_a_usage_error_and_the_others_are_written(files: Path) -> None:
    (files / "wrong.toml").write_text('description="x"\n', encoding="utf-8")
    result = fmt()
    assert result.exit_code == 2
    assert "wrong.toml: source: is missing" in " ".join(result.stderr.split())
    assert (files / "wrong.toml").read_text(encoding="utf-8") == 'description="x"\n'
    assert (files / "messy.toml").read_text(encoding="utf-8") == GOOD


@pytest.mark.parametrize(("name", "said"), [("nothing.toml", "there is no such file"), (".", "is a folder")])
def test_what_is_no_file_is_a_usage_error(files: Path, name: str, said: str) -> None:
    result = fmt(files / name)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())


def test_json_names_what_changes(files: Path) -> None:
    document = json.loads(fmt("--check", "--json").stdout)
    assert document == {"files": 2, "changed": [str(files / "messy.toml")], "problems": []}


def test_a_draft_is_in_canonical_form(tmp_path: Path) -> None:
    (tmp_path / "city.csv").write_text(
        "id;name;Shöw;lat;lon\n1;Ponce;7;18.0;-66.6\n2;Caguas;8;18.2;-66.0\n", encoding="utf-8"
    )
    out = tmp_path / "city.toml"
    assert CliRunner().invoke(app, ["tables", "infer", str(tmp_path / "city.csv"), "-o", str(out)]).exit_code == 0
    assert fmt("--check", out).exit_code == 0


def test_a_draft_names_the_schema_that_lies_above_it(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "city.csv").write_text("id,name\n1,Ponce\n", encoding="utf-8")
    folder = tmp_path / "config" / "tables"
    folder.mkdir(parents=True)

    def first_line(*arguments: str | Path) -> str:
        result = CliRunner().invoke(app, ["tables", "infer", str(tmp_path / "city.csv"), *map(str, arguments)])
        return (result.stdout or (folder / "city.toml").read_text(encoding="utf-8")).splitlines()[0]

    assert first_line("-o", folder / "city.toml").startswith("# Drafted from")
    (tmp_path / "table.schema.json").touch()
    assert first_line("-o", folder / "city.toml", "--force") == "#:schema ../../table.schema.json"
    assert first_line().startswith("# Drafted from")
    assert CliRunner().invoke(app, ["tables", "check", str(folder / "city.toml")]).exit_code == 0
    assert fmt("--check", folder / "city.toml").exit_code == 0
