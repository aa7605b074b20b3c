"""A table of several files: a load reads those that are new or changed, and leaves what a load of all would leave."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sluiceway.errors import (
    EmptyExtractionError,
    SchemaDriftError,
    ShrunkExtractionError,
    TooManyRejectsError,
)
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.tables.registry import read_spec

Query = Callable[..., list[tuple[Any, ...]]]

TOML = """
description = "Readings, a file a month"
key = {key}
on_missing = "{missing}"
{more}
[source]
kind = "csv"
uri = "months/*.csv"
[columns]
{file}
id = "integer"
value = "integer"
[checks]
max_rejects = {most_rejects}
max_shrink = {shrink}
{checks}
"""
UNIQUE = "[checks.columns.value]\nunique = true"


@dataclass
class Months:
    """Loads of one table over a folder of files."""

    folder: Path
    url: str
    open_run: Callable[[str], RunKey]
    query: Query
    key: str = '"id"'
    missing: str = "keep"
    file: str = 'file = { type = "text", source = "$file" }'
    more: str = ""
    checks: str = ""
    shrink: float = 0.1
    most_rejects: int = 10
    runs: list[RunKey] = field(default_factory=list)

    def put(self, name: str, *rows: str, header: str = "id,value") -> None:
        path = self.folder / "months" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")

    def load(self, *, force: bool = False, table: str = "reading") -> TableRun:
        said = {
            each: getattr(self, each) for each in ("key", "missing", "file", "more", "shrink", "most_rejects", "checks")
        }
        path = self.folder / f"{table}.toml"
        path.write_text(TOML.format(**said), encoding="utf-8")
        self.runs.append(self.open_run(f"r{len(self.runs) + 1}"))
        return load_table(read_spec(path), self.url, run=self.runs[-1], force=force)

    def rows(self, table: str = "reading") -> list[tuple[Any, ...]]:
        shown = "id, value, file" if self.file else "id, value"
        return self.query(f"SELECT {shown} FROM {table} ORDER BY {shown}")

    def rejects(self) -> list[tuple[Any, ...]]:
        run = self.runs[-1].run_id
        return self.query("SELECT row_number, reason FROM etl.reject WHERE run_id = %s ORDER BY 1", run)


@pytest.fixture
def months(tmp_path: Path, warehouse_url: str, open_run: Callable[[str], RunKey], query: Query) -> Months:
    found = Months(tmp_path, warehouse_url, open_run, query)
    found.put("2024-01.csv", "1,10", "2,20")
    found.put("2024-02.csv", "3,30")
    return found


def test_all_files_are_one_table_and_each_row_says_its_file(months: Months) -> None:
    result = months.load()
    assert (result.extracted, result.inserted, result.source_rows) == (3, 3, 3)
    assert months.rows() == [(1, 10, "2024-01.csv"), (2, 20, "2024-01.csv"), (3, 30, "2024-02.csv")]


def test_files_that_are_as_they_were_are_not_read(months: Months) -> None:
    months.load()
    assert months.load().status == "unchanged"


def test_only_the_new_file_is_read_and_the_counts_add_up(months: Months, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sluiceway")
    months.load()
    months.put("2024-03.csv", "4,40", "5,50")
    assert "the rows of the others stand" not in caplog.text
    result = months.load()
    assert "1 of 3 files read, the rows of the others stand" in caplog.text
    assert (result.extracted, result.inserted, result.source_rows, result.table_rows) == (2, 2, 5, 5)
    assert months.load().status == "unchanged"
    months.put("2024-04.csv", "6,60")
    assert (months.load().extracted, len(months.rows())) == (1, 6)


def test_a_forced_load_reads_all(months: Months) -> None:
    months.load()
    months.put("2024-03.csv", "4,40")
    assert months.load(force=True).extracted == 4


def test_a_changed_table_file_has_all_read(months: Months) -> None:
    months.load()
    months.put("2024-03.csv", "4,40")
    months.file = ""
    assert months.load().extracted == 4


def test_a_file_that_comes_before_others_has_those_read_too_for_they_win(months: Months) -> None:
    months.load()
    months.put("2023-12.csv", "1,99", "9,90")
    result = months.load()
    assert (result.extracted, result.rejected) == (5, 1)
    assert (1, 10, "2024-01.csv") in months.rows()
    assert months.rejects() == [
        (
            1,
            "key (id) is repeated by row 3 (2024-01.csv, row 1), which is loaded (2023-12.csv, row 1)",
        )
    ]


def test_a_changed_file_has_all_read_where_another_ones_row_may_come_back(months: Months) -> None:
    months.put("2024-02.csv", "1,11", "3,30")
    months.shrink = 0.5
    months.load()
    assert (1, 11, "2024-02.csv") in months.rows()
    months.put("2024-02.csv", "3,30")
    assert months.load().extracted == 3
    assert (1, 10, "2024-01.csv") in months.rows()


def test_a_changed_file_alone_is_read_where_the_file_is_of_the_key(months: Months) -> None:
    months.key = '["file", "id"]'
    months.load()
    months.put("2024-01.csv", "1,11", "2,20")
    result = months.load()
    assert (result.extracted, result.updated, result.unchanged, result.source_rows) == (2, 1, 1, 3)
    assert months.rows() == [(1, 11, "2024-01.csv"), (2, 20, "2024-01.csv"), (3, 30, "2024-02.csv")]


@pytest.mark.parametrize("name", ["map = { '2024-01.csv' = 'x', '2024-02.csv' = 'x' }", "lower = true"])
@pytest.mark.parametrize("key", ['["file", "id"]', '"content"\nduplicates = "keep"'])
def test_a_changed_file_has_all_read_where_two_files_may_be_called_alike(months: Months, key: str, name: str) -> None:
    months.key = key
    months.file = f'file = {{ type = "text", source = "$file", {name} }}'
    months.load()
    months.put("2024-01.csv", "1,11", "3,31")
    assert months.load().extracted == 3


def test_a_file_that_is_gone_is_told_and_its_rows_stay(months: Months) -> None:
    months.key, months.shrink = '["file", "id"]', 1.0
    months.load()
    (months.folder / "months" / "2024-02.csv").unlink()
    result = months.load()
    assert (result.status, len(months.rows())) == ("unchanged", 3)
    assert result.note == (
        '1 file of the last load is no longer there, and their rows stay (on_missing = "keep"): 2024-02.csv'
    )


def test_files_that_are_gone_are_a_source_that_has_shrunk(months: Months) -> None:
    months.key = '["file", "id"]'
    months.load()
    (months.folder / "months" / "2024-01.csv").unlink()
    with pytest.raises(ShrunkExtractionError, match="gave 1 row and 3 at the last good load"):
        months.load()
    months.put("2024-03.csv", "4,40")
    with pytest.raises(ShrunkExtractionError, match="gave 2 rows and 3 at the last good load"):
        months.load()
    assert len(months.rows()) == 3


@pytest.mark.parametrize("missing", ["delete", "mark"])
def test_where_missing_rows_are_taken_away_all_files_are_read(months: Months, missing: str) -> None:
    months.missing, months.shrink = missing, 1.0
    months.load()
    months.put("2024-03.csv", "4,40")
    assert months.load().extracted == 4
    (months.folder / "months" / "2024-02.csv").unlink()
    assert (months.load().deleted, months.load().status) == (1, "unchanged")


def test_an_empty_file_is_told_of_and_is_read_once(months: Months) -> None:
    months.load()
    months.put("2024-03.csv")
    (months.folder / "months" / "2024-04.csv").write_bytes(b"")
    months.put("2024-05.csv", "4,40")
    result = months.load()
    assert result.note == "2 of what were read hold no rows: 2024-03.csv, 2024-04.csv"
    assert (result.extracted, months.load().status) == (1, "unchanged")


def test_a_new_file_without_rows_is_no_reason_to_load_again(months: Months) -> None:
    months.load()
    months.put("2024-03.csv")
    assert (months.load().extracted, months.load().status) == (0, "unchanged")


def test_rejects_say_their_file_and_the_row_in_it(months: Months) -> None:
    months.put("2024-02.csv", "3,30", "4;40", "5,x")
    result = months.load()
    assert (result.extracted, result.rejected) == (5, 2)
    assert months.rejects() == [
        (4, "has 1 column instead of 2 (2024-02.csv, row 2)"),
        (5, "value: 'x' is no integer (2024-02.csv, row 3)"),
    ]


def test_too_many_rejects_name_the_file_of_the_first_and_leave_nothing(months: Months) -> None:
    months.put("2024-02.csv", *(f"{number},x" for number in range(20)))
    with pytest.raises(TooManyRejectsError, match=r"'x' is no integer \(2024-02.csv, row 1\)"):
        months.load()
    assert months.query("SELECT to_regclass('reading')") == [(None,)]
    assert months.query("SELECT count(*) FROM etl.loaded_file") == [(0,)]


def test_a_file_without_a_declared_column_is_named_and_nothing_is_loaded(months: Months) -> None:
    months.load()
    months.put("2024-03.csv", "4,40", header="id,amount")
    with pytest.raises(SchemaDriftError, match=r"in 2024-03.csv, column 'value' is missing"):
        months.load()
    assert len(months.rows()) == 3
    months.put("2024-03.csv", "4,40")
    assert months.load().extracted == 1


def test_no_file_at_all_is_an_error_with_the_nearest_name(months: Months) -> None:
    for path in (months.folder / "months").iterdir():
        path.rename(path.with_suffix(".CSV"))
    with pytest.raises(EmptyExtractionError, match=r"no file fits, .*2024-0[12]\.CSV"):
        months.load()


def test_a_file_that_is_written_to_while_it_is_read_is_read_again(
    months: Months, monkeypatch: pytest.MonkeyPatch
) -> None:
    months.load()
    months.put("2024-03.csv", "4,40")
    monkeypatch.setattr("sluiceway.sources.hashing.is_as_at", lambda path, state: "2024-03" not in path.name)
    assert months.load().extracted == 1
    assert months.query("SELECT name FROM etl.loaded_file ORDER BY 1") == [("2024-01.csv",), ("2024-02.csv",)]
    monkeypatch.undo()
    assert months.load().extracted == 1


@pytest.mark.parametrize(
    ("more", "file", "read"),
    [
        ("", "", 1),
        ("", Months.file, 1),
        ('duplicates = "keep"', "", 4),
        ('duplicates = "keep"', Months.file, 1),
    ],
)
def test_rows_without_a_key_are_read_again_only_where_alike_ones_are_counted(
    months: Months, more: str, file: str, read: int
) -> None:
    months.key, months.more, months.file = '"content"', more, file
    months.load()
    months.put("2023-12.csv", "1,10")
    assert months.load().extracted == read


def test_a_new_file_and_a_changed_one_have_all_read(months: Months) -> None:
    months.put("2024-02.csv", "1,11", "3,30")
    months.load()
    months.put("2024-02.csv", "3,30")
    months.put("2024-03.csv", "4,40")
    assert months.load().extracted == 4
    assert (1, 10, "2024-01.csv") in months.rows()


def test_an_alike_row_of_a_later_file_is_one_more(months: Months) -> None:
    months.key, months.more, months.file = '"content"', 'duplicates = "keep"', ""
    months.load()
    months.put("2024-03.csv", "1,10")
    assert months.load().inserted == 1
    assert months.rows() == [(1, 10), (1, 10), (2, 20), (3, 30)]
    forced = months.load(force=True)
    assert (forced.inserted, forced.updated, forced.unchanged) == (0, 0, 4)


def test_a_row_comes_back_when_the_one_that_had_its_value_is_another(months: Months) -> None:
    months.key, months.checks = '["file", "id"]', UNIQUE
    months.put("2024-02.csv", "3,10")
    assert months.load().rejected == 1
    assert months.rows() == [(2, 20, "2024-01.csv"), (3, 10, "2024-02.csv")]
    months.put("2024-02.csv", "3,11")
    assert months.load().rejected == 0
    assert months.rows() == [(1, 10, "2024-01.csv"), (2, 20, "2024-01.csv"), (3, 11, "2024-02.csv")]


def test_a_file_that_is_read_alone_and_holds_no_rows_is_told(months: Months) -> None:
    months.key, months.shrink = '["file", "id"]', 1.0
    months.load()
    (months.folder / "months" / "2024-02.csv").write_text("")
    assert months.load().note == "1 of what was read holds no rows: 2024-02.csv"


@pytest.mark.parametrize(
    ("key", "more", "checks", "file"),
    [
        *(('"id"', "", checks, file) for checks in ("", UNIQUE) for file in ("", Months.file)),
        *(('["file", "id"]', "", checks, Months.file) for checks in ("", UNIQUE)),
        *(('"content"', more, "", file) for more in ("", 'duplicates = "keep"') for file in ("", Months.file)),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_what_is_left_is_what_a_load_of_all_leaves(
    months: Months, key: str, more: str, checks: str, file: str, seed: int
) -> None:
    """Files come, change and go; beside it a table that is always loaded whole."""
    months.key, months.more, months.checks, months.file = key, more, checks, file
    months.shrink, months.most_rejects = 1.0, 100
    chance = random.Random(seed)
    for step in range(12):
        name = f"2024-{chance.randint(1, 8):02}.csv"
        path = months.folder / "months" / name
        if path.exists() and chance.random() < 0.4 and len(list(path.parent.iterdir())) > 1:
            path.unlink()
        else:
            rows = chance.choices(range(6), k=chance.randint(1, 4))
            months.put(name, *(f"{number},{chance.randint(1, 3)}" for number in rows))
        if step % 2:
            # two of them at once
            months.load()
            months.load(force=True, table="whole")
            assert months.rows() == months.rows("whole")
