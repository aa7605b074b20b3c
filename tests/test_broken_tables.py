"""A table whose file is wrong, or goes away: it fails with its sentence, and hinders no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import ConfigError, SourceMissingError, UnknownTableError, ValidationError
from sluiceway.ledger import last_loads, store
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load.table import load_table
from sluiceway.run import steps

TOML = 'description = "T"\nkey = "id"\nsource = {{ kind = "csv", uri = "{}.csv" }}\ncolumns = {{ id = "integer" }}\n'
WRONG = TOML.replace("integer", "integr")
SENTENCE = "columns.id.type = 'integr': 'integr' is no column type"


@pytest.fixture
def config(tmp_path: Path, setting: Callable[..., None]) -> Path:
    """Three tables of 1, 100 and 10 rows, of which the second has a wrong file."""
    (tmp_path / "tables").mkdir()
    for name, rows in (("a", 1), ("b", 100), ("c", 10)):
        (tmp_path / "tables" / f"{name}.csv").write_text("id\n" + "".join(f"{row}\n" for row in range(rows)))
        (tmp_path / "tables" / f"{name}.toml").write_text((WRONG if name == "b" else TOML).format(name))
    setting(config_dir=tmp_path)
    return tmp_path


@pytest.fixture
def run(config: Path, open_run: Callable[[str], RunKey]) -> RunKey:
    """An open run."""
    return open_run("deploy__1")


def load(url: str, run: RunKey, name: str, try_number: int = 1) -> None:
    """What the task of a table does."""
    load_table(steps.read_table(url, run, name, try_number), url, run=run, try_number=try_number)


def tables_of(url: str, run: RunKey) -> dict[str, TableRun]:
    with connect(url) as session:
        return {each.table_name: each for each in store.table_runs(session, run)}


def test_a_run_plans_the_broken_table_too_behind_the_others(warehouse_url: str, run: RunKey) -> None:
    assert steps.plan(warehouse_url, run, only=[]) == ["c", "a", "b"]
    assert set(tables_of(warehouse_url, run)) == {"a", "b", "c"}


def test_a_run_of_other_tables_does_not_look_at_it(warehouse_url: str, run: RunKey) -> None:
    assert steps.plan(warehouse_url, run, only=["a"]) == ["a"]
    assert set(tables_of(warehouse_url, run)) == {"a"}


def test_the_broken_table_is_a_failed_one_with_its_sentence_and_the_others_are_loaded(
    warehouse_url: str, run: RunKey
) -> None:
    for name in steps.plan(warehouse_url, run, only=[]):
        if name != "b":
            load(warehouse_url, run, name)
    with pytest.raises(ConfigError, match=r"b\.toml: "):
        load(warehouse_url, run, "b")
    tables = tables_of(warehouse_url, run)
    assert {name: each.status for name, each in tables.items()} == {"a": "loaded", "b": "failed", "c": "loaded"}
    assert tables["b"].error_type == "ConfigError"
    assert SENTENCE in (tables["b"].error or "")


def test_a_run_of_broken_tables_alone_is_not_an_empty_one(warehouse_url: str, run: RunKey) -> None:
    assert steps.plan(warehouse_url, run, only=["b"]) == ["b"]


def test_a_repaired_file_is_loaded_by_the_next_try(warehouse_url: str, run: RunKey, config: Path) -> None:
    steps.plan(warehouse_url, run, only=["b"])
    with pytest.raises(ConfigError):
        load(warehouse_url, run, "b")
    (config / "tables" / "b.toml").write_text(TOML.format("b"))
    load(warehouse_url, run, "b", 2)
    assert (tables_of(warehouse_url, run)["b"].status, tables_of(warehouse_url, run)["b"].extracted) == ("loaded", 100)


def test_a_file_that_breaks_when_its_table_is_loaded_takes_nothing_from_that_load(
    warehouse_url: str, run: RunKey, config: Path
) -> None:
    steps.plan(warehouse_url, run, only=["c"])
    load(warehouse_url, run, "c")
    (config / "tables" / "c.toml").write_text(WRONG.format("c"))
    assert steps.plan(warehouse_url, run, only=["c"]) == ["c"]
    with pytest.raises(ConfigError):
        load(warehouse_url, run, "c", 2)
    with connect(warehouse_url) as session:
        last = last_loads.last_good_load(session, "c")
    assert last is not None and (last.try_number, last.extracted) == (1, 10)
    assert tables_of(warehouse_url, run)["c"].status == "failed"


def test_a_file_that_goes_away_between_plan_and_load_fails_its_table_by_name(
    warehouse_url: str, run: RunKey, config: Path
) -> None:
    steps.plan(warehouse_url, run, only=["a", "c"])
    (config / "tables" / "c.toml").unlink()
    with pytest.raises(UnknownTableError, match="There is no table 'c'"):
        load(warehouse_url, run, "c")
    found = tables_of(warehouse_url, run)["c"]
    assert (found.status, found.error_type) == ("failed", "UnknownTableError")
    assert "There is no table 'c'" in (found.error or "")


def test_a_file_that_goes_away_before_the_plan_is_an_unknown_table_with_the_nearest(
    warehouse_url: str, run: RunKey, config: Path
) -> None:
    (config / "tables" / "b.toml").rename(config / "tables" / "bay.toml")
    with pytest.raises(UnknownTableError, match="There is no table 'ba'; did you mean 'bay'"):
        steps.plan(warehouse_url, run, only=["a", "ba"])


def test_the_sources_of_the_others_are_checked_beside_a_broken_file_and_one_that_is_gone(
    warehouse_url: str, run: RunKey, config: Path
) -> None:
    steps.plan(warehouse_url, run, only=[])
    (config / "tables" / "c.toml").unlink()
    steps.check_sources(warehouse_url, run)
    (config / "tables" / "a.csv").unlink()
    with pytest.raises(SourceMissingError, match=r"^a: "):
        steps.check_sources(warehouse_url, run)


def test_a_loaded_table_whose_file_is_gone_or_wrong_by_now_is_named_by_the_validation(
    warehouse_url: str, run: RunKey, config: Path
) -> None:
    for name in steps.plan(warehouse_url, run, only=["a", "c"]):
        load(warehouse_url, run, name)
    steps.validate(warehouse_url, run)
    (config / "tables" / "a.toml").unlink()
    (config / "tables" / "c.toml").write_text(WRONG.format("c"))
    with pytest.raises(ValidationError) as caught:
        steps.validate(warehouse_url, run)
    assert "a has no right file any more: it is gone; c has no right file any more: " in str(caught.value)
    assert SENTENCE in str(caught.value)
