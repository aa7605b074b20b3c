"""What is asked of a source's values: as much of a column as there are columns, and not of each about all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sluiceway.infer.asked import Asked
from sluiceway.infer.infer import infer
from sluiceway.infer.sheet import odd_rows
from sluiceway.infer.values import AT_ONCE, SAMPLE_ROWS, Values, kept_values


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whatever is asked by `ask`, as SQL."""
    asked: list[str] = []
    select = Values._select

    def note(self: Values, expressions: str, where: str, sample: bool) -> Any:
        asked.append(f"{expressions} WHERE {where}")
        return select(self, expressions, where, sample)

    monkeypatch.setattr(Values, "_select", note)
    return asked


def test_of_a_column_without_values_three_things_are_asked_and_of_one_of_texts_seven(
    tmp_path: Path, questions: list[str]
) -> None:
    """A file of 1,001 such columns took two minutes: for each question all of them were planned for."""
    names = [f"name{number}" for number in range(40)]
    path = tmp_path / "wide.csv"
    path.write_text(f"id,{','.join(names)}\n1{',' * 40}\n2{',' * 40}\n")
    infer(Asked(str(path)))
    assert len(questions) <= 3 * len(names) + 20
    questions.clear()
    rows = (",".join(f"some {name} {row}" for name in names) for row in "ab")
    path.write_text("\n".join([",".join(names), *rows]))
    infer(Asked(str(path)))
    assert len(questions) <= 7 * len(names) + 20


def test_of_few_rows_all_are_asked_and_of_many_a_sample_that_is_the_same_each_time() -> None:
    for rows, looked_at in ((SAMPLE_ROWS, SAMPLE_ROWS), (2 * SAMPLE_ROWS, SAMPLE_ROWS)):
        with kept_values() as values:
            values.add(pa.record_batch({"a": [str(number) for number in range(rows)]}))
            assert values.are_sampled == (rows > SAMPLE_ROWS)
            assert values.ask(["count(*)"]) == [rows]
            first, again = (values.ask(["count(*)", "sum(c1::int)"], sample=True) for _ in range(2))
            assert first == again and first[0] == looked_at


def test_no_more_than_some_aggregates_are_asked_for_at_once(questions: list[str]) -> None:
    """1,570 of them took DuckDB 1.5 GB and 20 seconds."""
    with kept_values() as values:
        values.add(pa.record_batch({f"a{number}": [str(number)] for number in range(250)}))
        expressions = [f"max({column.sql})" for column in values.columns.values()]
        assert values.ask(expressions) == [str(number) for number in range(250)]
    assert max(question.count("max(") for question in questions) == AT_ONCE


def test_rows_with_one_value_are_found_among_more_columns_than_a_sum_may_have() -> None:
    with kept_values() as values:
        rows = ["x"] * 99
        values.add(pa.record_batch({f"a{n}": [*rows, None if n else "note"] for n in range(1_100)}))
        said = odd_rows(values)
    assert said == ["1 row holds one value alone, 'note': loaded, and may be headings or notes."]
