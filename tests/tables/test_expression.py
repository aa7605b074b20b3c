"""An expression of a column: what it may hold, and one sentence for whatever else is tried."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluiceway.errors import ConfigError
from sluiceway.sources.services.sql_code import check_expression
from sluiceway.tables.spec import TableSpec

WriteSpec = Callable[..., TableSpec]

TABLE = """
description = "Inspections"
key = "id"
source = {{ kind = "csv", uri = "inspection.csv" }}
[columns]
id = "integer"
name = "text"
street = "text"
year = "integer"
area_m2 = "numeric(12,2)"
seen = "timestamptz"
more = "jsonb"
end = "text"
{columns}
"""


def reading(write_spec: WriteSpec, expression: str, more: str = "") -> TableSpec:
    return write_spec(
        "inspection", TABLE.format(columns=f"x = {{ type = 'text', expression = '''{expression}''' }}\n{more}")
    )


@pytest.mark.parametrize(
    "expression",
    [
        "name || ', ' || street",
        "area_m2 / 10000",
        "make_date(year, 1, 1)",
        "extract(year FROM seen AT TIME ZONE 'UTC')",
        "CASE WHEN year > 1999 AND NOT name IS NULL THEN 'new' ELSE 'old' END",
        "coalesce(nullif(trim(both ' ' from name), ''), \"end\")",
        "regexp_replace(name, '[^0-9]', '', 'g')",
        "(regexp_match(street, '^([0-9]+) '))[1]",
        "substring(name from 2 for 3) || substring(name, '[a-z]+')",
        "name ~* '^st' OR name NOT LIKE '%!%' ESCAPE '!'",
        "cast(area_m2 as double precision)::numeric(10,2)",
        "more->'a'->>'b'",
        "seen + interval '1 day' * year",
        "lpad(year::text, 6, '0')",
        "name IS DISTINCT FROM street AND year IN (1, 2) AND year BETWEEN 1 AND 3",
        "'it''s'",
        "to_char(seen, 'YYYY-MM')",
    ],
)
def test_what_postgresql_computes_of_one_row_is_taken(expression: str, write_spec: WriteSpec) -> None:
    assert reading(write_spec, expression).computed == ("x",)
    check_expression(expression)


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("", "is empty; write one value over the other columns, such as area_m2 / 10000"),
        ("a" * 10_001, "is longer than 10,000 characters; make a transform of it"),
        ("nme", "reads 'nme', which is no other column of [columns]; did you mean 'name'?"),
        ("x", "reads 'x', which is no other column of [columns]; known: area_m2, end, id, more, name, seen,"),
        ('"Name"', "reads 'Name', which is no other column of [columns]; did you mean 'name'?"),
        ("name; DROP TABLE inspection", "has ';' at character 5: it is one value, and no statement"),
        ("name -- the name", "has a comment at character 6; write it behind # in the table's file"),
        ("name /* x */", "has a comment at character 6; write it behind # in the table's file"),
        ("name, street", "holds several values, with a comma between them; it must be one"),
        ("(name", "has no end to its '('"),
        ("name)", "has a ')' that nothing begins"),
        ("(name]", "has a ']' that nothing begins"),
        ("'name", 'has "\'" at character 1: a text that begins there has no end'),
        ("$$name$$", "has '$' at character 1: a text stands in single quotes"),
        ("year ^ 2", "has '^' at character 6: write x * x"),
        ("E'a'", "reads 'e', which is no other column of [columns]"),
        ("(SELECT 1)", "holds SELECT: it sees one row, and asks no table; make a view of it"),
        ("EXISTS (SELECT 1)", "holds EXISTS: it sees one row, and asks no table; make a view of it"),
        ("name = ANY (more)", "holds ANY: it sees one row, and asks no table; make a view of it"),
        ("sum(year)", "sees one row at a time, and sum needs many; make a view of it"),
        ("year OVER (1)", "holds OVER: it sees one row at a time; make a view of it"),
        ("row_number()", "sees one row at a time, and row_number needs many; make a view of it"),
        ("generate_series(1, year)", "gives one value for a row, and generate_series gives rows; make a view of it"),
        ("regexp_matches(name, 'a', 'g')", "gives one value for a row, and regexp_matches gives rows"),
        ("now()", "calls now, which is another one tomorrow: a load would change rows that did not change"),
        ("current_date", "reads current_date, which is another one tomorrow"),
        ("'today'::date", "has 'today' for a moment, which is another one tomorrow"),
        ("date ' NOW '", "has ' NOW ' for a moment, which is another one tomorrow"),
        ("cast('tomorrow' as date)", "has 'tomorrow' for a moment, which is another one tomorrow"),
        ("st_area(name)", "calls st_area, and sees no geometry; make a view of it"),
        ("lowr(name)", "which is none of the functions that docs/reference/tables.md lists; did you mean 'lower'?"),
        ("pg_sleep(10)", "calls 'pg_sleep', which is none of the functions that docs/reference/tables.md lists"),
        ('"pg_sleep"(10)', "reads 'pg_sleep', which is no other column"),
        ("pg_catalog.pg_sleep(10)", "has '.' at character 11"),
        ("pg_read_file('/etc/passwd')", "calls 'pg_read_file', which is none of the functions"),
        ("name::regclass", "has 'regclass' where a type should stand; known: bigint"),
        ("repeat(name, 1000000000)", "calls 'repeat', which is none of the functions"),
        ("lpad(name, year)", "fills a text up by lpad to 'year'; write a number up to 10,000"),
        ("rpad(name, 1000000000)", "fills a text up by rpad to '1000000000'; write a number up to 10,000"),
        ("name ~ street", "gives ~ no pattern in single quotes"),
        ("name LIKE street", "gives LIKE no pattern in single quotes"),
        ("regexp_replace(name, street, '')", "gives REGEXP_REPLACE no pattern in single quotes"),
        ("regexp_replace(name, '(' || street, '')", "gives REGEXP_REPLACE no pattern in single quotes"),
        ("regexp_replace(name)", "gives REGEXP_REPLACE no pattern in single quotes"),
        ("name ~ '(a*)\\1'", "that refers back (\\1): a value could keep the server busy"),
        ("name ~ '" + "a" * 1_001 + "'", "has a pattern of more than 1,000 characters"),
        ("substring(name, street)", "takes the pattern of substring from column 'street'; write it in single quotes"),
        ("year + \u0661", "has '\u0661' at character 8"),
        ("lpad(name, \u0661)", "has '\u0661' at character 12"),
        ("extract(yeer from seen)", "takes 'yeer' of a moment; did you mean 'year'?"),
    ],
)  # fmt: skip
def test_all_else_is_refused_by_a_sentence(expression: str, sentence: str, write_spec: WriteSpec) -> None:
    with pytest.raises(ConfigError) as told:
        reading(write_spec, expression)
    assert "inspection.toml: columns.x.expression: " in str(told.value)
    assert sentence in str(told.value)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (
            'a = { type = "text", expression = "b" }\nb = { type = "text", expression = "a" }',
            "columns: their expressions lead in a circle: ",
        ),
        (
            'a = { type = "integer", stored = false }',
            "columns.a.stored: no expression reads 'a'; remove the column, or stored",
        ),
        (
            'a = { type = "text", source = "b", expression = "name" }',
            "columns.a: source: is for values of the source; the expression says what becomes of its own",
        ),
        (
            'a = { type = "text", expression = "name", default = "x" }',
            "columns.a: default: is for values of the source; the expression says what becomes of its own",
        ),
        (
            'a = { type = "integer", expression = "year", accounting = true }',
            "columns.a: accounting: is for values of the source; the expression says what becomes of its own",
        ),
        ('a = { type = "text", expresion = "name" }', "no such key; did you mean 'expression'?"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(columns: str, sentence: str, write_spec: WriteSpec) -> None:
    with pytest.raises(ConfigError) as told:
        write_spec("inspection", TABLE.format(columns=columns))
    assert sentence in str(told.value)


def test_a_column_of_the_key_is_stored_and_one_column_comes_from_the_source(write_spec: WriteSpec) -> None:
    toml = TABLE.format(columns='x = { type = "integer", expression = "id" }')
    with pytest.raises(ConfigError, match=r"columns\.id\.stored: a column of the key stands in the warehouse"):
        write_spec("inspection", toml.replace('id = "integer"', 'id = { type = "integer", stored = false }'))
    alone = toml[: toml.index("[columns]")] + '[columns]\nid = { type = "integer", expression = "1" }\n'
    with pytest.raises(ConfigError, match="columns: all are computed; one at least must come from the source"):
        write_spec("inspection", alone)


def test_no_expression_reads_the_geometry(write_spec: WriteSpec) -> None:
    toml = TABLE.format(columns='x = { type = "double precision", expression = "geom" }')
    toml = toml.replace("[columns]", 'geometry = { type = "Point", source = "wkt" }\n[columns]', 1)
    with pytest.raises(ConfigError, match="reads 'geom', the geometry, which no expression sees; make a view of it"):
        write_spec("inspection", toml)


def test_columns_are_computed_after_those_that_they_read(write_spec: WriteSpec) -> None:
    spec = reading(
        write_spec, "y || z", "y = { type = 'text', expression = 'z' }\nz = { type = 'text', expression = 'name' }"
    )
    assert spec.computed == ("z", "y", "x")
    assert "x" not in spec.given().columns


def test_a_table_without_an_expression_keeps_the_fingerprint_that_it_had(write_spec: WriteSpec) -> None:
    plain = write_spec("inspection", TABLE.format(columns=""))
    assert plain.given() is plain
    assert "expression" not in str(plain.model_dump(exclude_defaults=True))


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("case when year then", "cannot be read as SQL: "),
        ("name street", "is not one value; put an operator between two"),
        ("name || * street", "is not one value; put an operator between two"),
        ("count(year)", "sees one row, and asks no others; make a view of it"),
        ("(SELECT 1)", "sees one row, and asks no others; make a view of it"),
        ("rank() OVER (ORDER BY year)", "sees one row, and asks no others; make a view of it"),
        ("(" * 200 + "year" + ")" * 200, "cannot be read as SQL: it is nested too deeply; write it flatter"),
    ],
)
def test_a_parser_reads_it_when_files_are_checked(expression: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence.replace("(", r"\(")):
        check_expression(expression)
