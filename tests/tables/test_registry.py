"""The registry: the files of include/config/tables/, their groups and their names."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from dev.environment import ROOT
from sluiceway.errors import ConfigError, UnknownTableError
from sluiceway.run import views
from sluiceway.settings import Settings, load_settings
from sluiceway.tables import registry
from sluiceway.tables.files import deployed_names, table_files

CONFIG = ROOT / "include" / "config"
ALL_FILES = sorted((CONFIG / "tables").glob("*.toml"))
TOML = """description = "Cities"{group}
key = "id"
source = {{ kind = "csv", uri = "x.csv" }}
columns = {{ id = "integer" }}
"""
Setting = Callable[..., None]


@pytest.fixture
def config(tmp_path: Path, setting: Setting) -> Path:
    """A config of four tables in three groups."""
    (tmp_path / "tables").mkdir()
    for name, group in (("city", None), ("town", "warehouse"), ("demo", "quickstart"), ("yearly", "census")):
        text = TOML.format(group=f'\ngroup = "{group}"' if group else "")
        (tmp_path / "tables" / f"{name}.toml").write_text(text, encoding="utf-8")
    setting(config_dir=tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: path.stem)
def test_every_file_in_the_repository_is_valid_and_names_its_table(path: Path) -> None:
    assert registry.read_spec(path).name == path.stem


def test_every_view_in_the_repository_reads_tables_of_its_own_group() -> None:
    specs = registry.read_all(Settings(config_dir=CONFIG))
    for view in map(views.read_view, (CONFIG / "sql").glob("*.sql")):
        assert {specs[table].group for table in view.tables} == {view.group}


def test_the_quickstart_has_twenty_tables() -> None:
    specs = registry.read_all(Settings(config_dir=CONFIG))
    assert sum(spec.group == "quickstart" for spec in specs.values()) == 20


def test_a_file_that_is_no_toml_file_is_no_table(config: Path) -> None:
    (config / "tables" / "README.md").write_text("notes", encoding="utf-8")
    assert [path.stem for path in table_files(config)] == ["city", "demo", "town", "yearly"]


def test_a_deployment_runs_every_group_but_the_quickstart(config: Path) -> None:
    assert sorted(registry.deployed()) == ["city", "town", "yearly"]


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        ("quickstart", ["demo"]),
        ("quickstart, census", ["demo", "yearly"]),
        ("warehouse,", ["city", "town"]),
        ("nothing", []),
    ],
)
def test_a_deployment_chooses_its_groups(config: Path, setting: Setting, groups: str, names: list[str]) -> None:
    setting(groups=groups)
    assert sorted(registry.deployed()) == names


@pytest.mark.parametrize("groups", ["", "quickstart", "census,warehouse", "nothing"])
def test_the_trigger_form_names_the_deployed_tables(config: Path, setting: Setting, groups: str) -> None:
    setting(groups=groups)
    assert deployed_names() == list(registry.deployed())


@pytest.mark.parametrize("groups", ["", "quickstart"])
def test_the_trigger_form_names_the_deployed_tables_of_the_repository(setting: Setting, groups: str) -> None:
    setting(config_dir=CONFIG, groups=groups)
    assert deployed_names() == list(registry.deployed())


def test_a_group_below_the_columns_is_no_group_of_the_table(config: Path) -> None:
    text = TOML.format(group="").replace("columns", "[x]\ncolumns")
    (config / "tables" / "city.toml").write_text(text + 'group = "quickstart"\n', encoding="utf-8")
    assert "city" in deployed_names()


def test_a_broken_file_keeps_its_name_in_the_trigger_form(config: Path) -> None:
    (config / "tables" / "demo.toml").write_text('group = "quickstart', encoding="utf-8")
    (config / "tables" / "latin.toml").write_bytes(b"description = 'M\xfcller'")
    assert deployed_names() == ["city", "demo", "latin", "town", "yearly"]


def test_every_wrong_file_is_named_and_none_is_left_out(config: Path) -> None:
    for name in ("city", "town"):
        path = config / "tables" / f"{name}.toml"
        path.write_text(path.read_text(encoding="utf-8").replace('"integer"', '"integr"'), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        registry.read_all()
    assert [line.split(".toml")[0].split("/")[-1] for line in str(caught.value).splitlines()] == ["city", "town"]


def test_one_table_is_read_whatever_is_wrong_with_the_others(config: Path) -> None:
    (config / "tables" / "town.toml").write_text("broken", encoding="utf-8")
    assert registry.read_one("city").name == "city"
    with pytest.raises(ConfigError):
        registry.read_all()


def test_a_wrong_file_hinders_no_other_table_and_has_its_sentence(config: Path) -> None:
    (config / "tables" / "town.toml").write_text("broken", encoding="utf-8")
    tables = registry.read()
    assert (sorted(tables.right), list(tables.wrong)) == (["city", "demo", "yearly"], ["town"])
    assert "town.toml: is not valid TOML: " in tables.wrong["town"]
    assert tables.names() == ["city", "demo", "town", "yearly"]


@pytest.mark.parametrize(
    ("text", "groups", "is_ours"),
    [
        ('group = "quickstart"\ncolour = "red"', "", False),
        ('group = "quickstart"\ncolour = "red"', "quickstart", True),
        ('group = "quickstart"  # so far it can be read\nkey =', "", False),
        ("  group = 'quickstart'\nkey =", "quickstart", True),
        ("key =", "", True),
        ("key =", "quickstart", False),
        ('group = "quickstart', "", True),
        ("group = 3", "census", True),
        ('key =\n[columns]\ngroup = "quickstart"', "", True),
    ],
)
def test_a_wrong_file_is_of_the_group_that_can_be_read_in_it(
    config: Path, setting: Setting, text: str, groups: str, is_ours: bool
) -> None:
    setting(groups=groups)
    (config / "tables" / "wrong.toml").write_text(text, encoding="utf-8")
    assert ("wrong" in registry.read_deployed().wrong) is is_ours
    assert ("wrong" in deployed_names()) is is_ours


def values(table: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The way to each value of a file, also to those that stand in none of the project's."""
    for key, value in table.items():
        yield (*path, key)
        if isinstance(value, dict):
            yield from values(value, (*path, key))
    if not path:
        yield from (("group",), ("on_missing",), ("geometry",), ("checks",), ("source", "connection"))


@pytest.mark.parametrize("odd", [3, True, "", [], [1], {}, {"a": 1}, [{"a": {}}], date(2026, 1, 1)], ids=repr)
def test_a_value_of_any_type_is_right_or_has_a_sentence(monkeypatch: pytest.MonkeyPatch, odd: object) -> None:
    files = {tomllib.loads(path.read_text())["source"]["kind"]: path for path in ALL_FILES}
    for path in files.values():
        for *way, last in values(tomllib.loads(path.read_text())):
            table = whole = tomllib.loads(path.read_text())
            for key in way:
                table = table[key]
            table[last] = odd
            monkeypatch.setattr(registry, "read_toml", lambda _, whole=whole: whole)
            with suppress(ConfigError):
                registry.read_spec(path)


def test_a_file_that_is_a_link_to_nowhere_or_a_folder_is_a_wrong_one(config: Path) -> None:
    (config / "tables" / "lost.toml").symlink_to(config / "none.toml")
    (config / "tables" / "folder.toml").mkdir()
    wrong = registry.read_deployed().wrong
    assert wrong["folder"].endswith("folder.toml: cannot be read: Is a directory.")
    assert wrong["lost"].endswith("lost.toml: there is no such file.")
    assert {"lost", "folder"} <= set(deployed_names())


def test_one_table_is_read_of_any_group(config: Path) -> None:
    assert registry.read_one("demo").group == "quickstart"


def test_an_unknown_table_names_the_nearest(config: Path) -> None:
    with pytest.raises(UnknownTableError, match="There is no table 'citty'; did you mean 'city'"):
        registry.read_one("citty")
    with pytest.raises(UnknownTableError, match="There is no table 'demos'; known: city, town, yearly"):
        registry.choose(registry.deployed(), ["city", "demos"])


def test_tables_are_chosen_in_the_order_asked_for(config: Path) -> None:
    assert list(registry.choose(registry.deployed(), ["town", "city"])) == ["town", "city"]


def test_a_config_that_moved_gives_the_same_tables(tmp_path: Path) -> None:
    shutil.copytree(CONFIG, tmp_path / "config")
    moved = registry.read_all(Settings(config_dir=tmp_path / "config"))
    assert {name: spec.fingerprint() for name, spec in moved.items()} == {
        name: spec.fingerprint() for name, spec in registry.read_all(Settings(config_dir=CONFIG)).items()
    }


def test_the_default_config_is_the_repositorys(setting: Setting) -> None:
    setting()
    assert load_settings().config_dir == CONFIG
