"""Where a check's bound lies: what falls on it is still good, and one row more is not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sluiceway.errors import EmptyExtractionError, SchemaDriftError, ShrunkExtractionError
from sluiceway.ledger.store import TableRun
from sluiceway.load.checks import check_drift, check_extracted, check_taken_away, held_by_source
from sluiceway.tables.spec import TableSpec


def spec(*, missing: str = "delete", **checks: float) -> TableSpec:
    return TableSpec.model_validate(
        {
            "name": "city",
            "description": "Cities",
            "key": "id",
            "on_missing": missing,
            "source": {"kind": "csv", "uri": "city.csv"},
            "columns": {"id": "integer", "name": {"type": "text", "source": "Name"}},
            "checks": checks,
        }
    )


def held(rows: int | None) -> TableRun:
    """The last good load, of a source with so many rows."""
    return TableRun(dag_id="d", run_id="r1", table_name="city", status="loaded", source_rows=rows)


@pytest.mark.parametrize(
    ("rows", "shrink", "least"),
    [(100, 0.25, 75), (8, 0.5, 4), (3, 0.0, 3), (10, 1.0, 1), (100, 0.43, 57), (10, 0.25, 8)],
)
def test_a_source_may_shrink_by_exactly_max_shrink_and_by_no_row_more(rows: int, shrink: float, least: int) -> None:
    check_extracted(spec(max_shrink=shrink), least, held(rows))
    if least > 1:
        with pytest.raises(
            ShrunkExtractionError, match=rf"gave {least - 1} rows and {rows} at the last good load \(d/r1"
        ):
            check_extracted(spec(max_shrink=shrink), least - 1, held(rows))


@pytest.mark.parametrize(
    ("before", "shrink", "most"),
    [(100, 0.25, 25), (8, 0.5, 4), (3, 0.0, 0), (10, 1.0, 10), (100, 0.29, 29), (10, 0.25, 2)],
)
@pytest.mark.parametrize("missing", ["delete", "mark"])
def test_exactly_max_shrink_of_a_tables_rows_may_be_taken_away_and_no_row_more(
    before: int, shrink: float, most: int, missing: str
) -> None:
    check_taken_away(spec(missing=missing, max_shrink=shrink), most, before)
    with pytest.raises(ShrunkExtractionError, match=f"'{missing}' would take away {most + 1} of {before} rows"):
        check_taken_away(spec(missing=missing, max_shrink=shrink), most + 1, before)


def test_exactly_min_rows_are_enough_and_one_fewer_is_not() -> None:
    check_extracted(spec(min_rows=2), 2, None)
    with pytest.raises(EmptyExtractionError, match=r"gave only 1 row, checks\.min_rows is 2\. Nothing was changed"):
        check_extracted(spec(min_rows=2), 1, None)
    with pytest.raises(EmptyExtractionError, match="gave no rows"):
        check_extracted(spec(), 0, None)


def test_what_nobody_knows_of_the_load_before_is_no_fall() -> None:
    check_extracted(spec(max_shrink=0.0), 1, None)
    check_extracted(spec(max_shrink=0.0), 1, held(None))


def test_a_source_that_grew_has_not_shrunk() -> None:
    check_extracted(spec(max_shrink=0.0), 4, held(3))


@pytest.mark.parametrize(
    ("last", "extracted", "inserted", "rows"),
    [
        (held(10), 7, 2, 7),
        (held(10), 0, 0, 0),
        (held(10), None, 3, 13),
        (held(10), None, 0, 10),
        (held(None), None, 3, 3),
        (None, None, 3, 3),
    ],
    ids=["a whole", "an empty whole", "an increment", "an empty one", "of an unknown whole", "the first increment"],
)
def test_a_source_holds_what_a_whole_gave_or_what_increments_have_brought_since(
    last: TableRun | None, extracted: int | None, inserted: int, rows: int
) -> None:
    assert held_by_source(last, extracted=extracted, inserted=inserted) == rows


BEFORE = {"id": "int", "Name": "text", "other": "text"}


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(BEFORE, id="the same"),
        pytest.param({**BEFORE, "other": "int"}, id="a column that no table asks for"),
        pytest.param({**BEFORE, "new": "int"}, id="a new column"),
        pytest.param({"id": "int"}, id="fewer columns"),
    ],
)
def test_what_no_declared_column_has_to_do_with_is_no_drift(now: Mapping[str, str]) -> None:
    check_drift(spec(), now, BEFORE)


def test_a_declared_column_of_another_kind_is_drift_and_each_is_named() -> None:
    with pytest.raises(SchemaDriftError) as raised:
        check_drift(spec(), {"id": "text", "Name": "int", "other": "text"}, BEFORE)
    assert str(raised.value) == (
        "city: column 'id' held int and now holds text; column 'Name' held text and now holds int. "
        "Adapt [columns] or the source."
    )


def test_before_the_first_load_nothing_has_drifted() -> None:
    check_drift(spec(), {"id": "text"}, {})


def test_new_columns_of_a_source_are_told(caplog: pytest.LogCaptureFixture) -> None:
    check_drift(spec(), {**BEFORE, "b": "int", "a": "int"}, BEFORE)
    assert caplog.messages == ["city: the source has new columns, which are not loaded: a, b"]
    caplog.clear()
    check_drift(spec(), BEFORE, BEFORE)
    assert caplog.messages == []
