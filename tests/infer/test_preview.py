"""What a table file would load, without a warehouse: rows, rejects and repeated keys."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal

import pytest

from sluiceway.errors import ConfigError, SourceMissingError, TargetMismatchError
from sluiceway.infer.preview import LOOKED_AT, preview, standing
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import one_connection
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]

SPEC = """description = "Cities"
key = "id"
[source]
kind = "csv"
uri = "city.csv"
[columns]
id = "integer"
founded = "date"
name = "text"
[checks]
max_rejects = 5
"""
CITIES = "id,founded,name\n1,1692-08-12,Ponce\n2,,Caguas\nx,1511-01-01,San Juan\n1,1692-09-12,Ponce\n"


@pytest.fixture
def city(write_spec: WriteSpec) -> TableSpec:
    return write_spec("city", SPEC, city__csv=CITIES)


def test_rows_are_shown_with_typed_values(city: TableSpec) -> None:
    assert preview(city).rows[0] == {"id": 1, "founded": dt.date(1692, 8, 12), "name": "Ponce"}
    assert preview(city).rows[1]["founded"] is None


def test_rejects_and_repeated_keys_are_those_of_a_load(
    city: TableSpec, warehouse_url: str, open_run: Callable[[str], RunKey]
) -> None:
    found = preview(city)
    loaded = load_table(city, warehouse_url, run=open_run("r1"))
    assert (found.extracted, found.rejected + found.repeated) == (loaded.extracted, loaded.rejected) == (4, 2)
    assert [(reject.row_number, reject.reason) for reject in found.rejects] == [(3, "id: 'x' is no integer")]
    assert found.repeated_example == (1, 4)


CHECKED = """
[checks.columns.name]
pattern = "[A-Z].*"
null_share = 0.2
[checks.columns.founded]
range = { least = 1600-01-01 }
failing = "fail"
[[checks.rows]]
unique = ["founded", "name"]
[[checks.rows]]
holds = "founded < now()"
"""
CHECKED_CITIES = CITIES + "4,1692-09-12,Ponce\n5,1400-01-01,yauco\n6,1800-01-01,\n7,1900-01-01,\n"


def test_checks_of_values_are_applied_as_far_as_no_warehouse_is_needed(
    write_spec: WriteSpec, warehouse_url: str, open_run: Callable[[str], RunKey]
) -> None:
    found = preview(write_spec("city", SPEC + CHECKED, city__csv=CHECKED_CITIES))
    assert found.rejects[-1].reason == (
        "founded: 1400-01-01 fails range (least 1600-01-01); name: 'yauco' fails pattern [A-Z].*"
    )
    assert (found.rejected, found.repeated, found.all_rejected) == (2, 1, 4)
    assert found.remarks() == [
        "1 row fails checks.rows.0.unique (founded, name): row 4 has the values of row 5",
        "would fail the table: 2 rows fail checks.columns.founded.range (least 1600-01-01): row 3: 1511-01-01, "
        "row 6: 1400-01-01",
        "would fail the table: name is null in 2 of 4 rows, and checks.columns.name.null_share = 0.2 allows 0",
        "judged by a load alone, in the warehouse: checks.rows.1.holds founded < now()",
    ]
    rejects = SPEC + CHECKED.replace('failing = "fail"\n', "").replace("null_share = 0.2\n", "")
    loaded = load_table(write_spec("city", rejects), warehouse_url, run=open_run("r1"))
    assert loaded.rejected == found.all_rejected


def test_what_the_numbers_of_rows_and_rejects_fail_is_told(write_spec: WriteSpec) -> None:
    rejected = preview(write_spec("city", SPEC.partition("[checks]")[0], city__csv=CITIES))
    assert rejected.remarks() == ["would fail the table: 2 rejects, checks.max_rejects allows 0"]
    allowed = SPEC.partition("[checks]")[0] + "[checks]\nmax_rejects = 2\n"
    assert preview(write_spec("city", allowed, city__csv=CITIES)).remarks() == []
    empty = preview(write_spec("city", SPEC, city__csv="id,founded,name\n"))
    assert empty.remarks() == ["would fail the table: the source gives no rows, checks.min_rows is 1"]


def test_a_check_that_is_wrong_is_told_before_a_row_is_read(write_spec: WriteSpec) -> None:
    spec = write_spec("city", SPEC + "[checks.columns.name]\npattern = '(?=x)'\n")
    with pytest.raises(ConfigError, match=r"city: checks\.columns\.name\.pattern = '\(\?=x\)': is no regular"):
        preview(spec)


def test_as_many_rows_are_shown_as_were_asked_for(city: TableSpec) -> None:
    assert [len(preview(city, rows=rows).rows) for rows in (0, 1, 10)] == [0, 1, 3]


def test_a_large_source_is_not_read_to_its_end(write_spec: WriteSpec) -> None:
    rows = "".join(f"{number},2020-01-01,{'x' * 100}\n" for number in range(100_000))
    found = preview(write_spec("city", SPEC, city__csv=f"id,founded,name\n{rows}"))
    assert LOOKED_AT <= found.extracted < 100_000
    assert not found.complete
    assert found.sentence("city").startswith(f"city: of the first {found.extracted:,} rows")


def test_a_small_source_is_read_to_its_end(city: TableSpec) -> None:
    found = preview(city)
    assert found.complete
    assert found.sentence("city") == (
        "city: of 4 rows 2 can be loaded and 2 would be rejects (1 of them repeats a key)."
    )


def test_a_source_that_is_missing_is_one_sentence(write_spec: WriteSpec) -> None:
    with pytest.raises(SourceMissingError, match="there is no such file"):
        preview(write_spec("city", SPEC))


def test_a_table_that_is_not_there_is_said_to_be_new(city: TableSpec, warehouse_url: str, query: Query) -> None:
    assert "a load makes it" in standing(city, warehouse_url)
    assert query("SELECT to_regclass('city')") == [(None,)]


def test_a_table_of_the_declared_shape_fits(
    city: TableSpec, warehouse_url: str, open_run: Callable[[str], RunKey]
) -> None:
    load_table(city, warehouse_url, run=open_run("r1"))
    assert standing(city, warehouse_url) == "The warehouse's table city has 2 rows and the declared shape."


def test_a_column_that_a_load_would_add_is_not_added(city: TableSpec, warehouse_url: str, query: Query) -> None:
    query("CREATE TABLE city (id integer PRIMARY KEY, etl_run_id text)")
    assert "a load adds columns" in standing(city, warehouse_url)
    assert query("SELECT count(*) FROM information_schema.columns WHERE table_name = 'city'") == [(2,)]


def test_a_table_of_another_shape_is_an_error(city: TableSpec, warehouse_url: str, query: Query) -> None:
    query("CREATE TABLE city (id text PRIMARY KEY, etl_run_id text)")
    with pytest.raises(TargetMismatchError, match="'id' is text in the warehouse and integer in the spec"):
        standing(city, warehouse_url)


COMPUTED = """description = "Inspections"
key = "id"
source = { kind = "csv", uri = "inspection.csv" }
[columns]
id = "integer"
part = { type = "integer", stored = false }
whole = { type = "numeric", stored = false }
seen = { type = "timestamptz", stored = false }
more = { type = "jsonb", stored = false }
share = { type = "numeric(6,3)", expression = "part / whole" }
label = { type = "text", expression = "id || to_char(seen, ' YYYY ') || (more->>'a')" }
"""
INSPECTIONS = """id,part,whole,seen,more
1,1,8,2024-01-01 01:00+02,"{""a"": ""\u00fc""}"
2,1,0,2024-01-01,{}
x,1,0,2024-01-01,{}
"""


def test_a_warehouse_computes_what_is_shown_and_keeps_nothing_of_it(
    write_spec: WriteSpec, warehouse_url: str, query: Query
) -> None:
    spec = write_spec("inspection", COMPUTED, inspection__csv=INSPECTIONS)
    for _ in range(2):
        with one_connection(warehouse_url):
            found, again = preview(spec, url=warehouse_url), preview(spec, url=warehouse_url)
        assert found == again
        assert found.rows == [{"id": 1, "share": Decimal("0.125"), "label": "1 2023 ü"}]
        assert {reject.row_number: reject.reason for reject in found.rejects} == {
            2: "share: division by zero",
            3: "id: 'x' is no integer",
        }
        assert (found.extracted, found.rejected, found.not_computed) == (3, 2, ())
    assert query("SELECT relname FROM pg_class WHERE relname LIKE 'etl_pre%' OR relname = 'inspection'") == []


def test_a_warehouse_computes_as_a_load_does_whatever_its_own_zone(
    write_spec: WriteSpec, warehouse_url: str, open_run: Callable[[str], RunKey], query: Query
) -> None:
    spec = write_spec("inspection", COMPUTED, inspection__csv=INSPECTIONS.split("2,1,0")[0])
    url = f"{warehouse_url}?options=-c%20TimeZone%3DAsia/Tokyo"
    assert [row["label"] for row in preview(spec, url=url).rows] == ["1 2023 ü"]
    load_table(spec, url, run=open_run("r1"))
    assert query("SELECT label FROM inspection") == [("1 2023 ü",)]


def test_without_a_warehouse_a_preview_says_which_columns_it_does_not_show(write_spec: WriteSpec) -> None:
    found = preview(write_spec("inspection", COMPUTED, inspection__csv=INSPECTIONS))
    assert found.rows == [{"id": 1}, {"id": 2}]
    assert found.sentence("inspection").endswith(
        "PostgreSQL computes share, label: name a warehouse (--warehouse) to see what."
    )


def test_a_preview_by_a_warehouse_says_what_postgresql_does_not_take(write_spec: WriteSpec, warehouse_url: str) -> None:
    spec = write_spec(
        "inspection", COMPUTED.replace("part / whole", "part / more + whole"), inspection__csv=INSPECTIONS
    )
    with pytest.raises(ConfigError, match=r"columns\.share\.expression: .*operator does not exist: integer / jsonb"):
        preview(spec, url=warehouse_url)


def test_keys_that_are_computed_are_not_compared_in_a_preview(write_spec: WriteSpec, warehouse_url: str) -> None:
    toml = COMPUTED.replace('key = "id"', 'key = "label"').replace("part / whole", "part + whole")
    spec = write_spec("inspection", toml, inspection__csv=INSPECTIONS)
    assert preview(spec).repeated == 0
    assert [reject.reason for reject in preview(spec, url=warehouse_url).rejects] == [
        "id: 'x' is no integer",
        "label: is null",
    ]
