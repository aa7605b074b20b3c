"""A table is loaded again when its file or LOAD_VERSION says so, and nobody forgets to decide about the latter."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dev import load_code
from dev.load_code import PACKAGE, Decided, decided, hash_of, hashes, undecided
from sluiceway.ledger import loaded_batches
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load import last_load
from sluiceway.load.table import load_table
from sluiceway.load.version import LOAD_VERSION
from sluiceway.tables.registry import read_spec

CITY = """
description = "Cities"
key = "id"
source = { kind = "csv", uri = "../city.csv" }
columns = { id = "integer", name = "text" }
"""


def test_whoever_changed_what_decides_a_loads_values_has_decided_whether_they_are_others() -> None:
    assert undecided(hashes(), decided()) is None, undecided(hashes(), decided())


def test_every_file_of_the_engine_is_looked_at() -> None:
    assert {"load/cast.py", "load/table.py", "sources/formats/csv.py", "tables/spec.py"} <= set(hashes())


BEFORE = '''"""A module."""
LIMIT = 3
"""Of rows."""

def cut(rows: list[int]) -> list[int]:
    """The first rows."""
    return rows[:LIMIT]  # no more
'''


@pytest.mark.parametrize(
    "after",
    [
        BEFORE.replace("# no more", "# never more"),
        BEFORE.replace("The first rows.", "Some."),
        BEFORE.replace("Of rows.", "Of all rows."),
        BEFORE.replace('    """The first rows."""\n', ""),
        BEFORE.replace("rows[:LIMIT]", "(\n        rows[:LIMIT]\n    )"),
    ],
    ids=["a comment", "a docstring", "an attribute's docstring", "no docstring", "another line"],
)
def test_words_about_code_decide_nothing(after: str) -> None:
    assert after != BEFORE
    assert hash_of(after) == hash_of(BEFORE)


@pytest.mark.parametrize(
    "after",
    [BEFORE.replace("LIMIT = 3", "LIMIT = 4"), BEFORE.replace("[:", "[1:"), BEFORE.replace("return", "x ="), ""],
    ids=["a number", "an index", "a statement", "nothing left"],
)
def test_another_statement_is_other_code(after: str) -> None:
    assert hash_of(after) != hash_of(BEFORE)


def test_what_was_changed_and_not_decided_is_named_with_what_to_do(tmp_path: Path) -> None:
    for folder in load_code.FOLDERS:
        shutil.copytree(PACKAGE / folder, tmp_path / folder)
    record = Decided(LOAD_VERSION, hashes(tmp_path))
    assert undecided(hashes(tmp_path), record) is None, "wherever it lies"
    cast = tmp_path / "load" / "cast.py"
    cast.write_text(cast.read_text().replace('"number": _NUMBERS | _TEXTS', '"number": _NUMBERS'))
    (tmp_path / "sources" / "new.py").write_text("x = 1\n")
    sentence = undecided(hashes(tmp_path), record)
    assert sentence is not None
    assert "changed: load/cast.py, sources/new.py." in sentence
    assert "python -m dev.load_code same" in sentence
    assert "raise LOAD_VERSION in include/sluiceway/load/version.py" in sentence
    assert undecided(hashes(tmp_path), record, LOAD_VERSION + 1) == (
        f"LOAD_VERSION is {LOAD_VERSION + 1} and {LOAD_VERSION} is recorded. Record it: python -m dev.load_code"
    )


def test_the_command_records_a_decision_and_no_other_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "record.json"
    record.write_text('{"version": 0, "files": {}}')
    monkeypatch.setattr(load_code, "RECORD", record)
    monkeypatch.setattr(load_code, "decided", lambda: decided(record))
    assert load_code.main([]) == 0, "the version was raised"
    assert decided(record) == Decided(LOAD_VERSION, hashes())
    monkeypatch.setattr(load_code, "hashes", lambda: {**hashes(), "load/cast.py": "other"})
    assert load_code.main([]) == 1
    assert "load/cast.py" in capsys.readouterr().err
    assert decided(record).files["load/cast.py"] != "other"
    assert load_code.main(["same"]) == 0
    assert decided(record).files["load/cast.py"] == "other"


@pytest.fixture
def load(tmp_path: Path, warehouse_url: str, open_run: Callable[[str], RunKey]) -> Callable[..., TableRun]:
    """Loads the table file of a bundle that lies in that folder."""
    count = 0

    def run(bundle: str, toml: str = CITY, csv: str = "id,name\n1,Ponce\n", transform: str | None = None) -> TableRun:
        nonlocal count
        count += 1
        folder = tmp_path / bundle
        for part in ("tables", "transforms"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "city.csv").write_text(csv)
        (folder / "tables" / "city.toml").write_text(toml)
        if transform is not None:
            (folder / "transforms" / "city.py").write_text(transform)
        return load_table(read_spec(folder / "tables" / "city.toml"), warehouse_url, run=open_run(f"r{count}"))

    return run


SAME = "def transform(batch):\n    return batch\n"


@pytest.mark.parametrize("transform", [None, SAME], ids=["no transform", "a transform"])
def test_a_bundle_in_another_folder_leaves_an_unchanged_table_alone(
    load: Callable[..., TableRun], transform: str | None
) -> None:
    assert load("v1", transform=transform).status == "loaded"
    assert load("v2", transform=transform).status == "unchanged"


def test_another_transform_loads_it_again(load: Callable[..., TableRun]) -> None:
    load("v1", transform=SAME)
    assert load("v2", transform=SAME.replace("return batch", "return batch.assign(name='x')")).updated == 1


def test_a_raised_version_loads_it_again_and_remembers_nothing(
    load: Callable[..., TableRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    real = loaded_batches.read
    monkeypatch.setattr(loaded_batches, "read", lambda *a, **b: asked.append(real(*a, **b)) or asked[-1])
    load("v1")
    assert load("v1").status == "unchanged"
    monkeypatch.setattr(last_load, "LOAD_VERSION", LOAD_VERSION + 1)
    assert load("v1").status == "loaded"
    assert asked == [None, None]
    assert load("v1").status == "unchanged"


def test_a_key_spelled_out_with_its_default_changes_nothing(load: Callable[..., TableRun]) -> None:
    load("v1")
    spelled = CITY.replace('"../city.csv"', '"../city.csv", delimiter = ","').replace(
        "key =", 'on_missing = "keep"\nkey ='
    )
    assert load("v1", spelled).status == "unchanged"


def test_the_columns_of_the_source_are_compared_across_folders(
    load: Callable[..., TableRun], caplog: pytest.LogCaptureFixture
) -> None:
    load("v1")
    load("v2", csv="id,name,more\n1,Ponce,x\n")
    assert "the source has new columns, which are not loaded: more" in caplog.text
