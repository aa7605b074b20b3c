"""A table's first load goes straight into it: with the rows, rejects and shape that staging gives, and no other."""

from __future__ import annotations

import json
import logging
import random
import struct
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import shapely

from sluiceway.errors import EmptyExtractionError, TooManyRejectsError
from sluiceway.ledger import rejects
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load import first_load, staging
from sluiceway.load.table import load_table
from sluiceway.tables.spec import Geometry, TableSpec

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[Any, ...]]]
Load = Callable[[TableSpec], TableRun]
EVERY_TYPE = """
description = "One column of every type"
key = ["id", "code"]
[source]
kind = "csv"
uri = "all.csv"
[checks]
max_rejects = 0.9
[columns]
id = "bigint"
code = "numeric(9,3)"
small = "smallint"
whole = "integer"
name = "text"
short = "varchar(8)"
money = "numeric(12,2)"
long = "numeric(38,0)"
fine = "numeric(38,20)"
share = "real"
exact = "double precision"
is_open = "boolean"
day = "date"
at = "timestamp"
moment = "timestamptz"
mark = "uuid"
more = "jsonb"
"""
POINTS = """
description = "Shapes"
key = "id"
[source]
kind = "csv"
uri = "{name}.csv"
[columns]
id = "integer"
[geometry]
source = "wkb"
type = "{type}"
srid = 4326
source_crs = "EPSG:4326"
[checks]
max_rejects = 9
"""


@pytest.fixture
def straight(warehouse_url: str, open_run: Callable[[str], RunKey], monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a table that is not there yet, and fails if its rows are staged."""
    run = open_run("straight")

    def load(spec: TableSpec) -> TableRun:
        with monkeypatch.context() as patched:
            patched.setattr(staging, "create_stage", _never)
            return load_table(spec, warehouse_url, run=run)

    return load


def _never(*_: object) -> None:
    raise AssertionError("The rows are staged.")


@pytest.fixture
def staged(warehouse_url: str, open_run: Callable[[str], RunKey], monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads the table of a spec by the staging table."""
    run = open_run("staged")

    def load(spec: TableSpec) -> TableRun:
        with monkeypatch.context() as patched:
            patched.setattr(first_load, "is_direct", lambda spec: False)
            return load_table(spec, warehouse_url, run=run)

    return load


def as_staging_does(spec: TableSpec, straight: Load, staged: Load, query: Query, url: str) -> TableRun:
    """Load it in both ways, and find the same."""
    ways = []
    for load in (straight, staged):
        query(f"DROP TABLE IF EXISTS {spec.name}")
        result = load(spec)
        with connect(url) as session:
            rejected = [
                each.model_dump(include={"row_number", "column_name", "reason", "row"})
                for each in rejects.rejects_of(session, result, limit=10_000)
            ]
        counts = result.model_dump(include={"extracted", "inserted", "rejected", "repaired", "table_rows", "unchanged"})
        ways.append((counts, rejected, stands(query, spec.name), shape(query, spec.name)))
    assert ways[0] == ways[1]
    return result


def stands(query: Query, table: str) -> list[tuple[Any, ...]]:
    return query(f"SELECT (to_jsonb(t) - 'etl_run_id')::text, t::text LIKE '%NaN%' FROM {table} t ORDER BY 1")


def shape(query: Query, table: str) -> list[tuple[Any, ...]]:
    """The columns, their types and defaults, the key and the indexes."""
    columns = query(
        "SELECT attname, attnum, format_type(atttypid, atttypmod), attnotnull, atthasdef FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        table,
    )
    indexes = query("SELECT pg_get_indexdef(indexrelid), indisprimary FROM pg_index WHERE indrelid = %s::regclass ORDER BY 1", table)  # fmt: skip  # noqa: E501
    return [*columns, *indexes, *query("SELECT obj_description(%s::regclass)", table)]


def number(dice: random.Random, digits: int, scale: int) -> str:
    """A number as files spell them: some with an exponent, some too long, some to be rounded up to one digit more."""
    whole = "".join(dice.choices("0123456789", k=dice.randint(0, digits - scale + 1)))
    part = "".join(dice.choices("05999", k=dice.randint(0, scale + 2)))
    spelled = f"{dice.choice(['', '-', '+'])}{whole or '0'}{'.' + part if part else ''}"
    return f"{spelled}e{dice.randint(-digits, 3)}" if dice.random() < 0.2 else spelled


def rows_of_every_type(count: int, seed: int) -> str:
    dice = random.Random(seed)
    lines = []
    for index in range(count):
        text = dice.choice(["", "a", "Mayagüez", '"a, b"', "x" * 9, "ends\\", "\N{CRYING FACE}"])
        document = json.dumps({"text": text, "numbers": [index, 1e300, -0.0], "none": None})
        values = [
            str(index // 2 - 5),
            dice.choice([str(index), f"{index}.0005", f"{index}e0"]),
            dice.choice(["0", "-32768", "32767", "32768", ""]),
            dice.choice(["0", "-2147483648", "2147483647", "7.0", ""]),
            text,
            text,
            number(dice, 12, 2),
            number(dice, 38, 0),
            number(dice, 38, 20),
            dice.choice(["1.5", "-0", "3.4e38", "NaN", "1e-45", ""]),
            dice.choice(["0.1", "1e308", "-1e-320", "123456789.123456789", "nan", ""]),
            dice.choice(["true", "f", "0", "yes", ""]),
            dice.choice(["0001-01-01", "9999-12-31", "1970-01-01", "2024-02-30", ""]),
            dice.choice(["2024-02-29 23:59:59.999999", "1582-10-15", ""]),
            dice.choice(["2024-03-31 02:30:00+05:45", "1900-01-01T00:00:00Z", ""]),
            dice.choice(["6F9619FF-8B86-D011-B42D-00C04FC964FF", "{6f9619ff-8b86-d011-b42d-00c04fc964ff}", "x", ""]),
            dice.choice(['"' + document.replace('"', '""') + '"', "[]", "null", "{", "", '" {""a"": 1, ""a"": 2} "']),
        ]
        lines.append(",".join(values))
    header = "id,code,small,whole,name,short,money,long,fine,share,exact,is_open,day,at,moment,mark,more"
    return "\n".join([header, *lines]) + "\n"


@pytest.mark.parametrize("seed", [1, 2])
def test_every_type_stands_as_staging_leaves_it(
    seed: int, write_spec: WriteSpec, straight: Load, staged: Load, query: Query, warehouse_url: str
) -> None:
    spec = write_spec("kinds", EVERY_TYPE, all__csv=rows_of_every_type(3_000, seed))
    result = as_staging_does(spec, straight, staged, query, warehouse_url)
    assert result.inserted > 300 and result.rejected > 300


def ewkb_of(shape: Any, order: int) -> str:
    return str(shapely.to_wkb(shape, hex=True, byte_order=order))


@pytest.mark.parametrize("declared", ["MultiPoint", "MultiLineString", "MultiPolygon", "Geometry"])
def test_a_shape_that_stands_alone_becomes_one_of_many_where_many_are_declared(
    declared: str, write_spec: WriteSpec, straight: Load, staged: Load, query: Query, warehouse_url: str
) -> None:
    ring = [(0, 0), (1, 0), (1, 1), (0, 0)]
    alone: dict[str, Any] = {
        "MultiPoint": shapely.Point(3, 4),
        "MultiLineString": shapely.LineString([(0, 0), (5, 6)]),
        "MultiPolygon": shapely.Polygon(ring),
        "Geometry": shapely.GeometryCollection([shapely.Point(3, 4)]),
    }
    many: dict[str, Any] = {
        "MultiPoint": shapely.MultiPoint([(1, 2), (3, 4)]),
        "MultiLineString": shapely.MultiLineString([[(0, 0), (5, 6)], [(1, 1), (2, 2)]]),
        "MultiPolygon": shapely.MultiPolygon([(ring, []), ([(x + 9, y) for x, y in ring], [])]),
        "Geometry": shapely.LineString([(0, 0), (5, 6)]),
    }
    shapes = [alone[declared], many[declared], shapely.force_3d(alone[declared], 7)]
    lines = [ewkb_of(shape, order) for shape in shapes for order in (0, 1)]
    lines += ["", "POINT EMPTY", struct.pack("<BI", 1, 99).hex()]
    file = "id,wkb\n" + "".join(f"{index},{text}\n" for index, text in enumerate(lines))
    name = f"{declared.lower()}s"
    spec = write_spec(name, POINTS.format(name=name, type=declared), **{f"{name}__csv": file})
    result = as_staging_does(spec, straight, staged, query, warehouse_url)
    assert result.inserted >= 6
    kinds = query(f"SELECT DISTINCT GeometryType(geom), ST_SRID(geom) FROM {name} WHERE geom IS NOT NULL")
    if declared != "Geometry":
        assert kinds == [(declared.upper(), 4326)]


@pytest.mark.parametrize("order", [0, 1], ids=["big-endian", "little-endian"])
def test_the_order_of_the_bytes_of_a_shape_may_be_either(order: int) -> None:
    shapes = [shapely.Point(1, 2), None, shapely.MultiPoint([(1, 2)]), shapely.Point(3, 4)]
    wkb = pa.array([None if each is None else shapely.to_wkb(each, byte_order=order) for each in shapes])
    made = first_load.as_declared(wkb[1:], Geometry(type="MultiPoint", srid=4326))
    assert shapely.from_wkb(made.to_pylist()).tolist() == [None, shapes[2], shapely.MultiPoint([(3, 4)])]


CITY = """
description = "Cities"
key = "id"
[source]
kind = "csv"
uri = "city.csv"
[columns]
id = "integer"
name = { type = "text", required = true }
"""


def test_rows_that_share_a_key_are_told_as_ever(
    write_spec: WriteSpec,
    warehouse_url: str,
    open_run: Callable[[str], RunKey],
    query: Query,
    caplog: pytest.LogCaptureFixture,
) -> None:
    toml = f"{CITY}[checks]\nmax_rejects = 2\n"
    spec = write_spec("city", toml, city__csv="id,name\n1,first\n2,b\n1,last\n,none\n")
    with caplog.at_level(logging.INFO):
        result = load_table(spec, warehouse_url, run=open_run("again"))
    assert "rows share a key; they are staged, to tell which" in caplog.text
    assert (result.extracted, result.inserted, result.rejected) == (4, 2, 2)
    assert query("SELECT id, name FROM city ORDER BY id") == [(1, "last"), (2, "b")]
    assert query("SELECT row_number, reason, \"row\"->>'name' FROM etl.reject ORDER BY row_number") == [
        (1, "key (id) is repeated by row 3, which is loaded", "first"),
        (4, "id: is null", "none"),
    ]


def test_too_many_rejects_are_all_counted_those_with_a_repeated_key_among_them(
    write_spec: WriteSpec, warehouse_url: str, open_run: Callable[[str], RunKey], query: Query
) -> None:
    spec = write_spec("city", CITY + "[checks]\nmax_rejects = 0\n", city__csv="id,name\n1,a\n1,b\nx,c\n")
    with pytest.raises(TooManyRejectsError, match=r"2 of 3 rows .* row 1: key \(id\) is repeated by row 2"):
        load_table(spec, warehouse_url, run=open_run("r"))
    assert query("SELECT to_regclass('city')") == [(None,)]


def test_a_first_load_that_fails_leaves_no_table(write_spec: WriteSpec, straight: Load, query: Query) -> None:
    with pytest.raises(EmptyExtractionError):
        straight(write_spec("city", CITY, city__csv="id,name\n"))
    assert query("SELECT to_regclass('city')") == [(None,)]


@pytest.mark.parametrize(
    "columns",
    ['price = "numeric"', '[geometry]\nsource = "wkb"\ntype = "Point"\ndimensions = "XYZ"\nsource_crs = "EPSG:4326"'],
    ids=["a number without bounds", "heights"],
)
def test_what_postgresql_alone_makes_is_staged(columns: str, write_spec: WriteSpec) -> None:
    assert not first_load.is_direct(write_spec("city", f"{CITY}{columns}\n"))
    assert first_load.is_direct(write_spec("city", CITY))
