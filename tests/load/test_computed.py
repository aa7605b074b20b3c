"""Columns of an expression: PostgreSQL computes them, and a row for which it cannot is a reject like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import ConfigError, TooManyRejectsError
from sluiceway.ledger.rejects import Reject, rejects_of
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
Load = Callable[..., TableRun]
RejectsOf = Callable[[TableRun], list[Reject]]

TABLE = """
description = "Inspections"
{top}
source = {{ kind = "csv", uri = "inspection.csv" }}
{geometry}
[columns]
{columns}
[checks]
max_rejects = 10
max_shrink = 1.0
"""
PERSON = """
id = "integer"
first_name = "text"
last_name = "text"
year = { type = "integer", stored = false }
month = { type = "integer", stored = false }
day = { type = "integer", stored = false }
area_m2 = "numeric(12,2)"
full_name = { type = "text", expression = "first_name || ' ' || last_name" }
area_ha = { type = "double precision", expression = "area_m2 / 10000" }
opened_on = { type = "date", expression = "make_date(year, month, day)" }
"""
PEOPLE = "id,first_name,last_name,year,month,day,area_m2\n1,Ana,Ruiz,2024,2,29,12345.00\n2,Bo,,2023,1,1,\n"
RATE = """
id = "integer"
part = "integer"
whole = "integer"
rate = { type = "numeric(6,3)", expression = "100.0 * part / whole" }
"""
RATES = "id,part,whole\n1,1,8\n2,1,0\n3,1,4\n"


def table(columns: str, *, top: str = 'key = "id"', geometry: str = "") -> str:
    return TABLE.format(columns=columns, top=top, geometry=geometry)


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Load:
    count = 0

    def run(spec: TableSpec, *, force: bool = False) -> TableRun:
        nonlocal count
        count += 1
        return load_table(spec, warehouse_url, run=open_run(f"r{count}"), force=force)

    return run


@pytest.fixture
def rejects(warehouse_url: str) -> RejectsOf:
    def read(result: TableRun) -> list[Reject]:
        with connect(warehouse_url) as session:
            return rejects_of(session, result)

    return read


def counts(result: TableRun) -> tuple[int, int, int, int, int]:
    return result.extracted, result.inserted, result.updated, result.unchanged, result.rejected


def test_a_column_is_computed_of_others_and_one_that_is_not_stored_is_no_column_of_the_table(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    result = load(write_spec("inspection", table(PERSON), inspection__csv=PEOPLE))
    assert counts(result) == (2, 2, 0, 0, 0)
    assert query("SELECT full_name, area_ha, opened_on::text FROM inspection ORDER BY id") == [
        ("Ana Ruiz", 1.2345, "2024-02-29"),
        (None, None, "2023-01-01"),
    ]
    assert [
        row[0]
        for row in query(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'inspection'::regclass AND attnum > 0 ORDER BY attnum"
        )
    ] == [
        "id",
        "first_name",
        "last_name",
        "area_m2",
        "full_name",
        "area_ha",
        "opened_on",
        "etl_run_id",
    ]


def test_a_row_that_cannot_be_computed_is_a_reject_that_names_the_column_and_the_others_are_loaded(
    write_spec: WriteSpec, load: Load, query: Query, rejects: RejectsOf
) -> None:
    result = load(write_spec("inspection", table(RATE), inspection__csv=RATES))
    assert counts(result) == (3, 2, 0, 0, 1)
    assert query("SELECT id, rate::text FROM inspection ORDER BY id") == [(1, "12.500"), (3, "25.000")]
    (reject,) = rejects(result)
    assert (reject.row_number, reject.column_name, reject.reason) == (2, "rate", "rate: division by zero")
    assert (reject.key, reject.row) == ({"id": 2}, {"id": 2, "part": 1, "whole": 0, "rate": None})


@pytest.mark.parametrize("name", ["s", "lost", "v", "failing", "raw"])
def test_a_reject_is_told_whatever_its_columns_are_called(
    name: str, write_spec: WriteSpec, load: Load, rejects: RejectsOf
) -> None:
    columns = f"""
id = "integer"
whole = "integer"
{name} = {{ type = "text", expression = "'x' || 8 / whole" }}
"""
    result = load(write_spec("inspection", table(columns), inspection__csv="id,whole\n1,1\n2,0\n3,2\n1,4\n"))
    assert counts(result) == (4, 2, 0, 0, 2)
    assert [(each.reason, each.row) for each in rejects(result)] == [
        ("key (id) is repeated by row 4, which is loaded", {"id": 1, "whole": 1, name: "x8"}),
        (f"{name}: division by zero", {"id": 2, "whole": 0, name: None}),
    ]


def test_all_that_is_wrong_with_a_row_is_said_beside_what_the_cast_rejects(
    write_spec: WriteSpec, load: Load, rejects: RejectsOf
) -> None:
    columns = PERSON.replace("area_m2 / 10000", "10000 / area_m2")
    lines = [
        "id,first_name,last_name,year,month,day,area_m2",
        "1,A,B,2023,2,29,0",
        "x,A,B,2023,2,28,1",
        "3,A,B,2023,2,28,1",
    ]
    result = load(write_spec("inspection", table(columns), inspection__csv="\n".join(lines) + "\n"))
    assert counts(result) == (3, 1, 0, 0, 2)
    assert {reject.row_number: reject.reason for reject in rejects(result)} == {
        1: "area_ha: division by zero; opened_on: date field value out of range: 2023-02-29",
        2: "id: 'x' is no integer",
    }


@pytest.mark.parametrize(
    ("sql_type", "expression", "value", "becomes", "reason"),
    [
        ("integer", "a::numeric / 2", "3", None, "'1.5000000000000000' is no integer"),
        ("integer", "a::numeric / 2", "4", "2", None),
        ("date", "a::timestamp", "2024-01-02 05:00", None, "'2024-01-02 05:00:00' is no date"),
        ("date", "a::timestamp", "2024-01-02", "2024-01-02", None),
        ("date", "a", "today", None, "'today' is no date"),
        ("date", "a", "01/02/2024", None, 'date/time field value out of range: "01/02/2024"'),
        ("date", "to_date(a, 'MM/DD/YYYY')", "01/02/2024", "2024-01-02", None),
        ("varchar(3)", "a || 'b'", "abc", None, "'abcb' is no varchar(3)"),
        ("varchar(3)", "a || 'b'", "ab", "abb", None),
        ("numeric(4,1)", "a::numeric", "12.34", "12.3", None),
        ("numeric(4,1)", "a::numeric", "1234.5", None, "numeric field overflow"),
        ("smallint", "a", "40000", None, 'value "40000" is out of range for type smallint'),
        ("jsonb", "a", "{", None, "invalid input syntax for type json"),
        ("boolean", "a = 'Y'", "Y", "true", None),
        ("text", "'CA'", "x", "CA", None),
        ("text", "to_char(a::date, 'YYYY-\"Q\"Q')", "2024-05-01", "2024-Q2", None),
        ("text", "(regexp_match(a, '^(\\d+) '))[1]", "12 Main St", "12", None),
        ("text", "a || 'it''s \\ {0} %s'", "", "it's \\ {0} %s", None),
        ("timestamptz", "a::timestamptz", "2024-01-01 05:00", "2024-01-01 05:00:00+00", None),
        ("text", "chr(a::integer)", "0", None, "null character not permitted"),
    ],
)  # fmt: skip
def test_a_value_is_what_postgresql_makes_of_it_in_the_declared_type_without_a_loss(
    sql_type: str, expression: str, value: str, becomes: str | None, reason: str | None,
    write_spec: WriteSpec, load: Load, query: Query, rejects: RejectsOf,
) -> None:  # fmt: skip
    columns = f"id = \"integer\"\na = \"text\"\nb = {{ type = \"{sql_type}\", expression = '''{expression}''' }}"
    toml = table(columns).replace('.csv"', '.csv", null = ["-"]')
    spec = write_spec("inspection", toml, inspection__csv=f'id,a\n1,"{value}"\n')
    result = load(spec)
    assert [reject.reason.removeprefix("b: ") for reject in rejects(result)] == ([] if reason is None else [reason])
    if reason is None:
        assert query("SELECT b::text FROM inspection") == [(becomes,)]


def test_an_expression_may_read_another_one_wherever_it_stands_and_a_constant_alone(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    columns = """
id = "integer"
last = { type = "integer", expression = "twice + twice" }
twice = { type = "integer", stored = false, expression = "id * 2" }
"""
    columns += "\n".join(
        f'c{number} = {{ type = "numeric", expression = "c{number - 1} + c{number - 1}" }}' for number in range(1, 40)
    )
    columns += '\nc0 = { type = "numeric", expression = "1" }\n'
    load(write_spec("inspection", table(columns), inspection__csv="id\n3\n"))
    assert query("SELECT last, c39 FROM inspection") == [(12, 2**39)]


def test_a_key_may_be_computed_and_a_row_of_none_is_a_reject_that_takes_nothing_away(
    write_spec: WriteSpec, load: Load, query: Query, rejects: RejectsOf, tmp_path: Path
) -> None:
    columns = """
county = { type = "text", stored = false }
number = { type = "integer", stored = false }
fips = { type = "text", expression = "lpad(county, 3, '0') || '-' || number" }
value = "integer"
"""
    toml = table(columns, top='key = "fips"\non_missing = "delete"')
    spec = write_spec("inspection", toml, inspection__csv="county,number,value\n1,7,1\n1,8,2\n1,7,3\n")
    result = load(spec)
    assert counts(result) == (3, 2, 0, 0, 1)
    assert query("SELECT fips, value FROM inspection ORDER BY 1") == [("001-7", 3), ("001-8", 2)]
    assert [reject.reason for reject in rejects(result)] == ["key (fips) is repeated by row 3, which is loaded"]
    assert counts(load(spec, force=True)) == (3, 0, 0, 2, 1)

    (tmp_path / "inspection.csv").write_text("county,number,value\n1,7,3\n,8,2\n")
    result = load(spec)
    assert counts(result) == (2, 0, 0, 1, 1)
    assert [(each.column_name, each.reason, each.key) for each in rejects(result)] == [("fips", "fips: is null", None)]
    assert (result.deleted, result.table_rows) == (0, 2)
    assert result.note is not None and "the key of 1 reject cannot be read" in result.note

    (tmp_path / "inspection.csv").write_text("county,number,value\n1,7,3\nx,,\n1,y,5\n")
    result = load(spec)
    assert (result.rejected, result.deleted) == (2, 0)


def test_rows_of_a_computed_key_are_compared_by_the_next_load(write_spec: WriteSpec, load: Load) -> None:
    columns = 'number = "integer"\ncode = { type = "text", expression = "\'a\' || number" }'
    spec = write_spec("inspection", table(columns, top='key = "code"'), inspection__csv="number\n1\n2\n")
    assert counts(load(spec)) == (2, 2, 0, 0, 0)
    assert counts(load(spec, force=True)) == (2, 0, 0, 2, 0)


def test_moments_are_written_in_utc_whatever_the_zone_of_the_server_is(
    write_spec: WriteSpec, warehouse_url: str, open_run: Callable[[str], RunKey], query: Query
) -> None:
    columns = """
id = "integer"
seen = "timestamptz"
hour = { type = "integer", expression = "extract(hour from seen)" }
day = { type = "text", expression = "to_char(seen, 'YYYY-MM-DD')" }
"""
    spec = write_spec("inspection", table(columns), inspection__csv="id,seen\n1,2024-01-01T23:00:00Z\n")
    options = "options=-c%20TimeZone%3DAsia/Tokyo%20-c%20DateStyle%3DGerman"
    url = f"{warehouse_url}{'&' if '?' in warehouse_url else '?'}{options}"
    load_table(spec, url, run=open_run("r1"))
    assert query("SELECT hour, day FROM inspection") == [(23, "2024-01-01")]


def test_a_row_that_cannot_be_computed_today_is_still_in_the_source(
    write_spec: WriteSpec, load: Load, query: Query, tmp_path: Path
) -> None:
    toml = table(RATE, top='key = "id"\non_missing = "delete"')
    spec = write_spec("inspection", toml, inspection__csv="id,part,whole\n1,1,8\n2,1,2\n3,1,4\n4,1,1\n")
    load(spec)
    for content, deleted in (("1,1,8\n2,1,0\nthree,1,4\n4,1,1\n", 0), ("1,1,8\n2,1,0\n3,x,4\n", 1)):
        (tmp_path / "inspection.csv").write_text(f"id,part,whole\n{content}")
        assert load(spec).deleted == deleted
    assert query("SELECT id, whole FROM inspection ORDER BY 1") == [(1, 8), (2, 2), (3, 4)]


def test_the_same_source_again_changes_nothing_and_another_expression_changes_its_column(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    spec = write_spec("inspection", table(RATE), inspection__csv=RATES.replace("2,1,0", "2,1,5"))
    load(spec)
    assert load(spec).status == "unchanged"
    assert counts(load(spec, force=True)) == (3, 0, 0, 3, 0)
    query("UPDATE inspection SET rate = 1 WHERE id = 1")
    assert counts(load(spec, force=True)) == (3, 0, 1, 2, 0)
    assert counts(load(write_spec("inspection", table(RATE.replace("100.0", "1.0"))))) == (3, 0, 3, 0, 0)
    assert query("SELECT rate::text FROM inspection WHERE id = 1") == [("0.125",)]


def test_rows_whose_keys_alone_are_looked_up_keep_what_was_computed(
    write_spec: WriteSpec, load: Load, query: Query, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sluiceway.sources.formats.csv.BLOCK_BYTES", 4096)
    rows = [f"{number},1,{number % 7 + 1}" for number in range(5_000)]
    toml = table(RATE, top='key = "id"\non_missing = "delete"')
    spec = write_spec("inspection", toml, inspection__csv="\n".join(["id,part,whole", *rows]) + "\n")
    load(spec)
    before = query("SELECT * FROM inspection ORDER BY id")
    (tmp_path / "inspection.csv").write_text("\n".join(["id,part,whole", *rows[:-1], "4999,1,0"]) + "\n")
    result = load(spec)
    assert (counts(result), result.deleted) == ((5_000, 0, 0, 4_999, 1), 0)
    assert counts(load(spec, force=True)) == (5_000, 0, 0, 4_999, 1), "a batch with a reject is computed again"
    assert query("SELECT * FROM inspection ORDER BY id") == before


def test_the_content_key_is_made_of_what_the_source_gives(write_spec: WriteSpec, load: Load, query: Query) -> None:
    toml = table(RATE, top='key = "content"')
    load(write_spec("inspection", toml, inspection__csv=RATES))
    keys = query("SELECT content_key FROM inspection ORDER BY id")
    result = load(write_spec("inspection", toml.replace("100.0", "10.0")))
    assert (result.updated, result.rejected) == (2, 1)
    assert query("SELECT content_key FROM inspection ORDER BY id") == keys


def test_alike_rows_are_kept_where_the_file_keeps_them(write_spec: WriteSpec, load: Load, query: Query) -> None:
    toml = table(RATE, top='key = "content"\nduplicates = "keep"')
    spec = write_spec("inspection", toml, inspection__csv="id,part,whole\n1,1,8\n1,1,8\n2,1,0\n")
    assert counts(load(spec)) == (3, 2, 0, 0, 1)
    assert counts(load(spec, force=True)) == (3, 0, 0, 2, 1)


def test_a_geometry_stands_beside_computed_columns(write_spec: WriteSpec, load: Load, query: Query) -> None:
    geometry = 'geometry = { type = "Point", x = "lon", y = "lat", source_crs = "EPSG:4326" }'
    spec = write_spec(
        "inspection",
        table(RATE, geometry=geometry),
        inspection__csv="id,part,whole,lon,lat\n1,1,8,-66,18\n2,1,0,-66,18\n",
    )
    assert counts(load(spec)) == (2, 1, 0, 0, 1)
    assert query("SELECT id, ST_AsText(geom), rate::text FROM inspection") == [(1, "POINT(-66 18)", "12.500")]


def test_more_rows_that_cannot_be_computed_than_allowed_fail_the_table(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    toml = table(RATE).replace("max_rejects = 10", "max_rejects = 0")
    with pytest.raises(TooManyRejectsError, match=r"1 of 3 rows cannot be loaded .* row 2: rate: division by zero"):
        load(write_spec("inspection", toml, inspection__csv=RATES))
    assert query("SELECT to_regclass('inspection')") == [(None,)]


@pytest.mark.parametrize(
    ("sql_type", "expression", "said"),
    [
        ("text", "part || * whole", 'syntax error at or near "\\*"'),
        ("text", "upper(part)", "function pg_catalog.upper\\(integer\\) does not exist"),
        ("date", "part + 1", "cannot cast type integer to date"),
        ("text", "case when part = 1 then 2", "syntax error"),
        ("integer", "part whole", "syntax error"),
    ],
)
def test_what_postgresql_does_not_take_is_an_error_that_names_the_key_and_the_expression(
    sql_type: str, expression: str, said: str, write_spec: WriteSpec, load: Load, query: Query
) -> None:
    columns = RATE + f'x = {{ type = "{sql_type}", expression = "{expression}" }}\n'
    with pytest.raises(ConfigError, match=rf"inspection: columns\.x\.expression: .*PostgreSQL refuses it: {said}"):
        load(write_spec("inspection", table(columns), inspection__csv=RATES))
    assert query("SELECT to_regclass('inspection')") == [(None,)]


def test_a_function_of_that_name_in_another_schema_is_not_called(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    query("CREATE FUNCTION public.lower(integer) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'mine' $$")
    columns = 'id = "integer"\nx = { type = "text", expression = "lower(id)" }'
    with pytest.raises(ConfigError, match=r"pg_catalog\.lower"):
        load(write_spec("inspection", table(columns), inspection__csv="id\n1\n"))
