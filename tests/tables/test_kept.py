"""The tables that a process keeps: as their files are now, each read again only after it changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sluiceway.settings import Settings
from sluiceway.tables import kept
from sluiceway.tables.files import deployed_names
from sluiceway.tables.kept import KeptTables
from sluiceway.tables.registry import read_deployed

TABLE = """
description = "x"
key = "id"
{more}
[source]
kind = "csv"
uri = "https://example.org/x.csv"
[columns]
id = "integer"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "tables").mkdir()
    for name, more in {"city": "", "town": "", "other": 'group = "quickstart"'}.items():
        (tmp_path / "tables" / f"{name}.toml").write_text(TABLE.format(more=more), encoding="utf-8")
    return tmp_path


@pytest.fixture
def tables(config: Path) -> KeptTables:
    return KeptTables(Settings(config_dir=config))


def test_the_tables_are_those_of_this_deployment(tables: KeptTables) -> None:
    assert tables.read_deployed().names() == ["city", "town"]


def test_only_a_file_that_changed_is_read_again(
    tables: KeptTables, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.read_deployed()
    read = []
    monkeypatch.setattr(kept, "read_spec", lambda path: read.append(path.stem) or original(path))
    (config / "tables" / "city.toml").write_text(TABLE.format(more='fresh_within = "2h"'), encoding="utf-8")
    assert tables.read_deployed().right["city"].fresh_within == "2h"
    assert read == ["city"]


original = kept.read_spec


def test_a_file_that_goes_wrong_is_told_and_one_that_is_gone_is_no_table(tables: KeptTables, config: Path) -> None:
    tables.read_deployed()
    (config / "tables" / "city.toml").write_text("no toml", encoding="utf-8")
    (config / "tables" / "town.toml").unlink()
    found = tables.read_deployed()
    assert (list(found.right), list(found.wrong)) == ([], ["city"])
    assert "is not valid TOML" in found.wrong["city"]


def test_a_link_to_nothing_is_told(tables: KeptTables, config: Path) -> None:
    (config / "tables" / "town.toml").unlink()
    (config / "tables" / "town.toml").symlink_to(config / "nowhere.toml")
    assert "there is no such file" in tables.read_deployed().wrong["town"]


def test_a_file_whose_name_is_no_text_is_told_and_hinders_no_other_table(tables: KeptTables, config: Path) -> None:
    odd = os.fsencode(config / "tables") + b"/b\xff.toml"
    Path(os.fsdecode(odd)).write_text(TABLE.format(more=""), encoding="utf-8")
    for found in (tables.read_deployed(), read_deployed(Settings(config_dir=config))):
        assert (list(found.right), list(found.wrong)) == (["city", "town"], [r"b\xff"])
        assert "is no plain name" in found.wrong[r"b\xff"]
        assert found.wrong[r"b\xff"].isascii()
    assert tables.names() == deployed_names(Settings(config_dir=config)) == [r"b\xff", "city", "town"]


def test_a_transform_that_comes_is_seen(tables: KeptTables, config: Path) -> None:
    assert tables.read_deployed().right["city"].transform is None
    (config / "transforms").mkdir()
    (config / "transforms" / "city.py").write_text("")
    assert tables.read_deployed().right["city"].transform is not None


def test_a_deployment_without_tables_has_none(tmp_path: Path) -> None:
    assert KeptTables(Settings(config_dir=tmp_path)).read_deployed().names() == []
