"""Checks of values fit the columns of their file, or one sentence says which does not, and what to write."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sluiceway.errors import ConfigError
from sluiceway.tables.references import wrong_references
from sluiceway.tables.spec import TableSpec

WriteSpec = Callable[..., TableSpec]
TABLE = """
description = "Anything"
key = "id"
{top}
[source]
kind = "csv"
uri = "city.csv"
{source}
[columns]
id = "integer"
state = "text"
short = "varchar(2)"
size = "numeric(4,1)"
whole = "smallint"
share = "real"
is_open = "boolean"
day = "date"
at = "timestamp"
moment = "timestamptz"
mark = "uuid"
more = "jsonb"
[geometry]
type = "Point"
x = "lon"
y = "lat"
[checks]
"""


def column(name: str, checks: str) -> str:
    return f"{TABLE.format(top='', source='')}[checks.columns.{name}]\n{checks}\n"


@pytest.mark.parametrize(
    ("name", "checks", "said"),
    [
        ("stat", 'accepted = ["CA"]', "checks.columns.stat: there is no such column; did you mean 'state'?"),
        ("state", 'acepted = ["CA"]', "checks.columns.state.acepted: no such key; did you mean 'accepted'?"),
        ("state", "accepted = []", "checks.columns.state.accepted: is too short; write at least 1"),
        ("state", 'accepted = "CA"', "accepted = 'CA': is no list; write its values in brackets, [...]"),
        ("state", "accepted = [1]", "checks.columns.state.accepted: 1 is no text; write it in quotes"),
        ("state", "accepted = [07:30:00]", "accepted.0: is no text, number, boolean, day or moment; write one"),
        ("short", 'accepted = ["CAL"]', "checks.columns.short.accepted: 'CAL' is no varchar(2)"),
        ("whole", 'accepted = ["1"]', "accepted: '1' is no smallint; write a number without quotes"),
        ("whole", "accepted = [1.5]", "accepted: 1.5 is no smallint"),
        ("whole", "accepted = [40000]", "accepted: 40000 is no smallint"),
        ("whole", "accepted = [true]", "accepted: True is no smallint"),
        ("size", "accepted = [0.25]", "accepted: 0.25 is no numeric(4,1)"),
        ("size", "accepted = [1000]", "accepted: 1000 is no numeric(4,1)"),
        ("share", "accepted = [1e300]", "accepted: 1e+300 is no real"),
        ("share", "accepted = [nan]", "accepted: nan is no real"),
        ("is_open", "accepted = [1]", "accepted: 1 is no boolean"),
        ("mark", 'accepted = ["x"]', "accepted: 'x' is no uuid"),
        ("more", 'accepted = ["x"]', "accepted: documents are not compared, and the column is jsonb; remove it"),
        ("size", "range = { least = 3, most = 1 }", "size.range: least = 3 is above most = 1; swap them"),
        ("size", "range = { lest = 3 }", "size.range.lest = 3: no such key; did you mean 'least'?"),
        ("size", "range = {}", "size.range: holds neither least nor most; write one of them"),
        ("size", "range = [1, 2]", "size.range: is no table; write its keys in braces, {...}"),
        ("size", 'range = { most = "3" }', "size.range.most: '3' is no numeric(4,1); write a number without quotes"),
        ("state", 'range = { most = "3" }', "is of numbers, days and moments, and the column is text; use accepted"),
        ("day", "range = { least = 2020-02-01T00:00:00 }", "2020-02-01 00:00:00 is no date; write a day, such as"),
        ("day", 'range = { least = "2020-02-30" }', "'2020-02-30' is no date; write a day, such as 2026-08-03"),
        ("at", "range = { least = 2020-02-01T00:00:00Z }", "is no timestamp; write a moment without a zone, such as"),
        ("moment", "range = { least = 5 }", "range.least: 5 is no timestamptz; write a moment, such as 2026-08-03T"),
        ("size", "pattern = 'x'", "size.pattern: matches texts, and the column is numeric(4,1); use range or accepted"),
        ("state", 'references = "state"', "names no column of a table; write table.column, such as airport.iata"),
        ("state", 'references = "city.state"', "names this very table; name a column of another one"),
        ("id", "unique = true", "checks.columns.id.unique: (id) is the key, which repeats in no table; remove it"),
        ("state", "null_share = 5", "checks.columns.state.null_share = 5: must be at most 1"),
        ("state", "unique = true\nfailing = 'warn'", "failing = 'warn': is not one of reject, fail"),
        ("state", "failing = 'fail'", "checks.columns.state: checks nothing; write accepted, range, pattern"),
        ("state", "null_share = 0.1\nfailing = 'reject'", "null_share is of no row, so that none can be a reject"),
        ("geom", "unique = true", "checks.columns.geom: of a geometry null_share alone is checked; remove the rest"),
    ],
)
def test_what_a_column_cannot_be_checked_for_is_told(name: str, checks: str, said: str, write_spec: WriteSpec) -> None:
    with pytest.raises(ConfigError) as caught:
        write_spec("city", column(name, checks))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("", "checks.rows.0: must say one of unique and holds; a second check is a [[checks.rows]] of its own"),
        ("unique = 'day'\nholds = 'id > 1'", "checks.rows.0: must say one of unique and holds"),
        ("uniqe = ['day']", "checks.rows.0.uniqe: no such key; did you mean 'unique'?"),
        ("unique = ['day', 'sate']", "checks.rows.0.unique: 'sate' is no column of this table; did you mean 'state'?"),
        ("unique = ['day', 'day']", "checks.rows.0.unique: names a column twice"),
        ("unique = []", "checks.rows.0.unique: is too short; write at least 1"),
        ("unique = 'geom'", "checks.rows.0.unique: 'geom' is no column of this table"),
        ("holds = ''", "checks.rows.0.holds = '': is too short; write at least 1 characters"),
    ],
)
def test_what_a_row_cannot_be_checked_for_is_told(row: str, said: str, write_spec: WriteSpec) -> None:
    with pytest.raises(ConfigError) as caught:
        write_spec("city", f"{TABLE.format(top='', source='')}[[checks.rows]]\n{row}\n")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("size", "accepted = [0.1, 100, 999.9, 0, -0.0, 1e2]"),
        ("day", 'accepted = [2020-02-01, "2020-02-02"]'),
        ("at", 'range = { least = 2020-02-01, most = "2020-02-02T05:00" }'),
        ("moment", 'range = { least = 2020-02-01T00:00:00+02:00, most = "2020-02-02" }'),
        ("mark", 'accepted = ["00000000-0000-0000-0000-00000000000A"]'),
        ("geom", "null_share = 0.1"),
        ("more", "null_share = 0.1\nunique = true"),
    ],
)
def test_values_of_the_columns_type_are_right(name: str, checks: str, write_spec: WriteSpec) -> None:
    assert write_spec("city", column(name, checks)).checks.columns


def test_where_rows_go_to_bigquery_an_increment_is_not_compared_with_them(write_spec: WriteSpec) -> None:
    toml = """
    target = "bigquery"
    description = "Cities"
    key = "id"
    source = { kind = "sql", connection = "erp", table = "city", watermark = "changed" }
    columns = { id = "integer", name = "text", changed = "bigint" }
    [checks.columns.name]
    """
    with pytest.raises(ConfigError, match=r"checks: unique and null_share ask of an increment what stands in the tabl"):
        write_spec("city", toml + "unique = true\n")
    assert write_spec("city", toml + "pattern = 'x'\n").checks.columns


def test_rows_that_are_kept_though_they_are_alike_cannot_be_unique(write_spec: WriteSpec) -> None:
    toml = column("state", "unique = true").replace('key = "id"', 'key = "content"\nduplicates = "keep"')
    with pytest.raises(ConfigError, match="duplicates: rows that are alike in full fail unique; remove one of the two"):
        write_spec("city", toml)


OTHER = """
description = "Airports"
key = "iata"
{top}
source = {{ kind = "csv", uri = "x.csv" }}
columns = {{ iata = "varchar(3)", rank = "integer" }}
"""


@pytest.mark.parametrize(
    ("name", "reference", "said"),
    [
        ("state", "airport.iata", None),
        ("id", "airport.rank", None),
        ("state", "airprt.iata", "there is no table 'airprt'; did you mean 'airport'?"),
        ("state", "airport.itaa", "airport has no column 'itaa'; did you mean 'iata'?"),
        ("id", "airport.iata", "iata is varchar(3) and id is integer, which are not compared; give both one type"),
        ("state", "lake.iata", "lake goes to BigQuery (target), and a check looks into PostgreSQL; remove it"),
        ("state", "broken.iata", None),
    ],
)
def test_a_table_that_is_referred_to_has_a_file_and_such_a_column(
    name: str, reference: str, said: str | None, write_spec: WriteSpec
) -> None:
    spec = write_spec("city", column(name, f'references = "{reference}"'))
    tables = {
        "city": spec,
        "airport": write_spec("airport", OTHER.format(top="")),
        "lake": write_spec("lake", OTHER.format(top='target = "bigquery"')),
    }
    found = wrong_references(spec, tables, broken={"broken": "is wrong"})
    assert found == ([] if said is None else [f"checks.columns.{name}.references = '{reference}': {said}"])


def test_those_that_fail_the_table_are_asked_first(write_spec: WriteSpec) -> None:
    toml = column("state", "unique = true") + '[[checks.rows]]\nunique = ["day", "size"]\nfailing = "fail"\n'
    assert [rule.key for rule in write_spec("city", toml).checks.rules("unique")] == [
        "checks.rows.0.unique",
        "checks.columns.state.unique",
    ]
