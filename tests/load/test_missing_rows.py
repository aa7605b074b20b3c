"""on_missing: what the source still holds, if only as a reject, is never taken away from the warehouse."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluiceway.errors import TooManyRejectsError
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
Load = Callable[[TableSpec], TableRun]


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Load:
    """Loads a spec as run r1, r2, ..."""
    count = 0

    def run(spec: TableSpec) -> TableRun:
        nonlocal count
        count += 1
        return load_table(spec, warehouse_url, run=open_run(f"r{count}"))

    return run


def table_of(key: str, source: str = "", missing: str = "delete") -> str:
    """A table with key k of that type, as TOML after the equals sign."""
    return f"""
description = "Anything"
key = "k"
on_missing = "{missing}"
source = {{ kind = "csv", uri = "thing.csv"{source} }}
columns = {{ k = {key}, size = "integer" }}
checks = {{ max_rejects = 10, max_shrink = 1.0 }}
"""


@pytest.mark.parametrize(
    ("key", "source", "first", "again", "kept"),
    [
        ('"integer"', "", "7", "007", 7),
        ('"integer"', "", "7", " +7.0 ", 7),
        ('"integer"', ', thousands = ","', '"1,000"', '"1,000"', 1000),
        ('"bigint"', ', thousands = ".", decimal = ","', "9.000", "9.000", 9000),
        ('"numeric(6,2)"', "", "1.50", "1.5", "1.50"),
        ('"numeric(6,2)"', "", "1.5", "1.499", "1.50"),
        ('"double precision"', "", "0.1", "1e-1", 0.1),
        ('"real"', "", "0.1", "1e-1", 0.1),
        ('{ type = "date", format = "%m/%d/%Y" }', "", "02/29/2020", "02/29/2020", "2020-02-29"),
        ('"date"', "", "2020-02-29", "2020-2-29", "2020-02-29"),
        ('"timestamptz"', "", "2020-02-29T05:00:00Z", "2020-02-29 07:00+02", "2020-02-29 05:00:00+00"),
        (
            '"uuid"',
            "",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ),
        ('"boolean"', "", "true", "YES", True),
        ('"text"', "", "it's", "it's", "it's"),
        ('"varchar(5)"', "", "Zürii", "Zürii", "Zürii"),
    ],
)
def test_a_reject_keeps_its_row_however_its_key_is_spelled(
    key: str, source: str, first: str, again: str, kept: object, write_spec: WriteSpec, load: Load, query: Query
) -> None:
    # a row beside it, so that no column is without a single good value
    other = {"integer": "5", "bigint": "5", "boolean": "false", "numeric(6,2)": "5", "real": "5"}.get(key.strip('"'))
    other = other or {'"double precision"': "5", '"uuid"': "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}.get(key)
    other = other or ("o" if "text" in key or "char" in key else "01/01/2021" if "format" in key else "2021-01-01")
    load(write_spec("thing", table_of(key, source), thing__csv=f"k,size\n{first},1\n{other},2\n"))
    result = load(write_spec("thing", table_of(key, source), thing__csv=f"k,size\n{again},many\n{other},2\n"))
    assert (result.rejected, result.deleted, result.table_rows, result.note) == (1, 0, 2, None)
    assert query("SELECT size FROM thing ORDER BY size") == [(1,), (2,)]
    ((found,),) = query("SELECT key -> 'k' FROM etl.reject WHERE run_id = 'r2'")
    assert found == kept or (isinstance(kept, float) and float(str(found)) == kept)


def test_a_reject_of_a_key_of_several_columns_keeps_its_row_and_no_other(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    toml = (
        table_of('"integer"')
        .replace('key = "k"', 'key = ["k", "day"]')
        .replace("columns = {", 'columns = { day = { type = "date", format = "%d.%m.%Y" },')
    )
    load(
        write_spec(
            "thing", toml, thing__csv="k,day,size\n1,01.02.2020,1\n1,02.02.2020,2\n2,01.02.2020,3\n2,02.02.2020,4\n"
        )
    )
    result = load(write_spec("thing", toml, thing__csv="k,day,size\n01,01.02.2020,x\n2,01.02.2020,3\n"))
    assert (result.rejected, result.deleted) == (1, 2)
    assert query("SELECT k, day::text FROM thing ORDER BY 1") == [(1, "2020-02-01"), (2, "2020-02-01")]
    assert query("SELECT key FROM etl.reject") == [({"k": 1, "day": "2020-02-01"},)]


@pytest.mark.parametrize("missing", ["delete", "mark"])
@pytest.mark.parametrize(
    ("lines", "rejects"),
    [("1,1\n2;2\n", 1), ("1,1\nzwei,2\n,2\n", 2), ("1,1\n2,2,2\n", 1)],
    ids=["a line that cannot be split", "keys that cannot be cast, or are null", "too many values"],
)
def test_while_a_rejects_key_cannot_be_read_no_row_is_taken_away_and_the_result_says_so(
    lines: str, rejects: int, missing: str, write_spec: WriteSpec, load: Load, query: Query
) -> None:
    toml = table_of('"integer"', missing=missing)
    load(write_spec("thing", toml, thing__csv="k,size\n1,1\n2,2\n3,3\n"))
    result = load(write_spec("thing", toml, thing__csv=f"k,size\n{lines}"))
    assert (result.rejected, result.deleted, result.table_rows) == (rejects, 0, 3)
    assert result.note is not None
    assert "cannot be read" in result.note
    assert "no row was taken away (on_missing" in result.note
    assert query("SELECT DISTINCT key FROM etl.reject") == [(None,)]
    mended = load(write_spec("thing", toml, thing__csv="k,size\n1,1\n2,2\n"))
    assert (mended.deleted, mended.table_rows, mended.note) == (1, 2, None)


def test_a_table_that_keeps_what_is_missing_has_nothing_to_say_about_it(write_spec: WriteSpec, load: Load) -> None:
    spec = write_spec("thing", table_of('"integer"', missing="keep"), thing__csv="k,size\n1,1\nx,2\n")
    assert load(spec).note is None


def test_where_the_content_is_the_key_a_reject_may_be_any_row(write_spec: WriteSpec, load: Load) -> None:
    toml = table_of('"integer"').replace('key = "k"', 'key = "content"')
    load(write_spec("thing", toml, thing__csv="k,size\n1,1\n2,2\n3,3\n"))
    result = load(write_spec("thing", toml, thing__csv="k,size\n1,1\n2,many\n"))
    assert (result.deleted, result.table_rows) == (0, 3)
    assert "no row was taken away" in (result.note or "")
    repeated = load(write_spec("thing", toml, thing__csv="k,size\n1,1\n1,1\n2,2\n"))
    assert (repeated.rejected, repeated.deleted, repeated.note) == (1, 1, None)


def test_a_day_that_python_does_not_know_is_a_key_that_cannot_be_read(write_spec: WriteSpec, load: Load) -> None:
    toml = table_of('"date"').replace('"csv", uri = "thing.csv"', '"parquet", uri = "thing.parquet"')
    import pyarrow as pa
    from pyarrow import parquet

    def source(sizes: list[str]) -> bytes:
        days = pa.array([18000, 3_000_000], pa.date32())
        sink = pa.BufferOutputStream()
        parquet.write_table(pa.table({"k": days, "size": sizes}), sink)
        return bytes(sink.getvalue())

    load(write_spec("thing", toml, thing__parquet=source(["1", "2"])))
    result = load(write_spec("thing", toml, thing__parquet=source(["1", "many"])))
    assert (result.rejected, result.deleted, result.table_rows) == (1, 0, 2)
    assert result.note is not None


def test_the_rejects_of_a_table_that_failed_have_their_keys(write_spec: WriteSpec, load: Load, query: Query) -> None:
    toml = table_of('"integer"').replace("max_rejects = 10", "max_rejects = 0")
    with pytest.raises(TooManyRejectsError):
        load(write_spec("thing", toml, thing__csv="k,size\n1,1\n007,many\n"))
    assert query("SELECT key FROM etl.reject") == [({"k": 7},)]
