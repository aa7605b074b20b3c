"""Databases: values as they are, read-only, a cursor on the server, incremental reading. On real ones."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa
import pytest
import shapely

from sluiceway.errors import (
    CheckFailedError,
    ConfigError,
    SchemaDriftError,
    SettingsError,
    ShrunkExtractionError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
)
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.sources import open_source
from sluiceway.sources.connections import Connection, Connections
from sluiceway.sources.extraction import Extraction
from sluiceway.sources.place import Place
from sluiceway.sources.services import sql as module
from sluiceway.sources.services import sql_engine
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
TOML = """
description = "Cities"
key = "id"
columns = { id = "integer", name = "text" }
"""
TABLE = TOML + '[source]\nkind = "sql"\nconnection = "db"\ntable = "city"\n'


def query_of(statement: str, columns: str = 'id = "integer", name = "text"') -> str:
    source = f"[source]\nkind = \"sql\"\nconnection = \"db\"\nquery = '''{statement}'''\n"
    return f'description = "Cities"\nkey = "id"\ncolumns = {{ {columns} }}\n{source}'


@pytest.fixture
def postgres_connections(warehouse_url: str) -> Connections:
    """The warehouse's own database, in a schema of its own, stands for any PostgreSQL."""
    parts = urlsplit(warehouse_url)

    def connections(conn_id: str) -> Connection:
        return Connection(
            conn_id=conn_id,
            conn_type="postgres",
            host=parts.hostname,
            port=parts.port,
            login=parts.username,
            password=parts.password,
            schema=parts.path.strip("/"),
            extra={"options": "-c search_path=src,public", "cursor": "dictcursor"},
        )

    return connections


@pytest.fixture
def run(owner_url: str) -> Callable[..., None]:
    """Runs statements in the schema `src`, as its owner, and lets the loader read it."""

    def execute(*statements: str) -> None:
        with psycopg.connect(owner_url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS src")
            connection.execute("SET search_path TO src, public")
            for statement in statements:
                connection.execute(statement)
            connection.execute("GRANT USAGE ON SCHEMA src TO sluiceway_loader")
            connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA src TO sluiceway_loader")

    return execute


@pytest.fixture
def read(postgres_connections: Connections) -> Callable[..., pa.Table]:
    return lambda spec, **options: table_of(spec, postgres_connections, **options)


@pytest.fixture
def load(
    warehouse_url: str, open_run: Callable[[str], RunKey], postgres_connections: Connections
) -> Callable[[TableSpec], TableRun]:
    return lambda spec: load_table(spec, warehouse_url, run=open_run("r1"), connections=postgres_connections)


@contextmanager
def source_of(spec: TableSpec, connections: Connections, watermark: str | None = None) -> Iterator[Extraction]:
    with open_source(spec, Place(name="db"), connections, watermark=watermark) as extraction:
        yield extraction


def table_of(spec: TableSpec, connections: Connections, watermark: str | None = None) -> pa.Table:
    with source_of(spec, connections, watermark) as extraction:
        return joined(extraction)


def joined(extraction: Extraction) -> pa.Table:
    batches = list(extraction.batches)
    return pa.concat_tables([pa.Table.from_batches([batch]) for batch in batches]) if batches else pa.table({})


@pytest.fixture
def sqlite_connections(tmp_path: Path) -> Connections:
    return lambda conn_id: Connection(conn_id=conn_id, conn_type="sqlite", host=str(tmp_path / "my city.db"))


@pytest.fixture
def run_sqlite(tmp_path: Path) -> Callable[..., None]:
    def execute(*statements: str) -> None:
        with closing(sqlite3.connect(tmp_path / "my city.db")) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return execute


CITY = "CREATE TABLE city (id integer, name text)"
ROWS = "INSERT INTO city VALUES (1, 'Mayagüez'), (2, NULL)"


def test_a_table_loads(
    write_spec: WriteSpec, run: Callable[..., None], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    run(CITY, ROWS)
    spec = write_spec("city", TABLE.replace('"city"', '"src.city"'))
    result = load(spec)
    assert (result.extracted, result.inserted) == (2, 2)
    assert query("SELECT id, name FROM public.city ORDER BY 1") == [(1, "Mayagüez"), (2, None)]


def test_values_arrive_in_the_type_that_holds_them(
    write_spec: WriteSpec, run: Callable[..., None], read: Callable[..., pa.Table]
) -> None:
    run(
        """CREATE TABLE city (id integer, big bigint, yes boolean, money numeric(12,2), any_number numeric,
        half real, share double precision, born date, seen timestamp, at timestamptz, raw bytea, name text)""",
        """INSERT INTO city VALUES (1, 9223372036854775807, true, 1.50, 123456789012345678901234567890.10, 0.1, 0.1,
        '2020-02-29', '2020-01-02 03:04:05.678901', '2020-01-02 03:04:05+05', '\\x00ff', 'a')""",
    )
    names = ["id", "big", "yes", "money", "any_number", "half", "share", "born", "seen", "at", "raw", "name"]
    columns = ", ".join(f'{name} = "text"' for name in names)
    spec = write_spec("city", TABLE.replace('id = "integer", name = "text"', columns))
    table = read(spec)
    assert {name: str(kind) for name, kind in zip(table.schema.names, table.schema.types, strict=True)} == {
        "id": "int64",
        "big": "int64",
        "yes": "bool",
        "money": "decimal128(12, 2)",
        "any_number": "string",
        "half": "double",
        "share": "double",
        "born": "date32[day]",
        "seen": "timestamp[us]",
        "at": "timestamp[us, tz=UTC]",
        "raw": "binary",
        "name": "string",
    }
    row = table.to_pylist()[0]
    assert row["any_number"] == "123456789012345678901234567890.10"
    assert (row["money"], row["big"], row["half"]) == (Decimal("1.50"), 2**63 - 1, 0.1)
    assert (row["born"], row["raw"]) == (date(2020, 2, 29), b"\x00\xff")
    assert row["seen"] == datetime(2020, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001
    assert row["at"] == datetime(2020, 1, 1, 22, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("'infinity'::date", "infinity"),
        ("'-infinity'::timestamptz", "-infinity"),
        ("'0044-03-15 BC'::date", "0044-03-15 BC"),
        ("'20000-01-01'::timestamp", "20000-01-01 00:00:00"),
        ("'NaN'::numeric(5,2)", "NaN"),
        ("'1 mon 2 days'::interval", "P1M2D"),
        ("'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("""'{"b": 1.10, "a": 12345678901234567890}'::json""", '{"b": 1.10, "a": 12345678901234567890}'),
        ("'[1.10]'::jsonb", "[1.10]"),
        ("'10.0.0.1/8'::inet", "10.0.0.1/8"),
        ("'[1,5)'::int4range", "[1,5)"),
        ("ARRAY[1.10, NULL]", "[1.10, null]"),
        ("ARRAY['a\"b', 'é']", '["a\\"b", "é"]'),
        ("time '12:30:00.5'", "12:30:00.5"),
        ("ROW(1, 'x y')::text", '(1,"x y")'),
        ("'100%'::text", "100%"),
        ("'::x :y'", "::x :y"),
        ("E'a\\\\:b'", "a\\:b"),
    ],
)
def test_values_without_an_exact_type_arrive_as_text(
    write_spec: WriteSpec, read: Callable[..., pa.Table], value: str, text: str
) -> None:
    assert read(write_spec("city", query_of(f"SELECT 1 AS id, {value} AS name"))).to_pylist() == [
        {"id": 1, "name": text}
    ]


def test_an_infinite_date_is_one_reject(
    write_spec: WriteSpec, run: Callable[..., None], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    run("CREATE TABLE city (id integer, name date)", "INSERT INTO city VALUES (1, '2020-01-01'), (2, 'infinity')")
    toml = TABLE.replace('name = "text"', 'name = "date"').replace('"city"', '"src.city"')
    result = load(write_spec("city", toml + "[checks]\nmax_rejects = 1\n"))
    assert (result.extracted, result.inserted, result.rejected) == (2, 1, 1)
    assert query("SELECT reason FROM etl.reject") == [("name: 'infinity' is no date",)]


def test_a_column_that_is_null_throughout_loads_as_any_type(
    write_spec: WriteSpec, run: Callable[..., None], load: Callable[[TableSpec], TableRun]
) -> None:
    run("CREATE TABLE city (id integer, name timestamptz)", "INSERT INTO city VALUES (1, NULL)")
    toml = TABLE.replace('name = "text"', 'name = "timestamptz"').replace('"city"', '"src.city"')
    assert load(write_spec("city", toml)).inserted == 1


def test_a_postgis_geometry_arrives_as_wkb_with_its_crs(
    write_spec: WriteSpec, run: Callable[..., None], postgres_connections: Connections
) -> None:
    run("CREATE TABLE city (id integer, name text, shape geometry(PointZ, 3310))")
    run("INSERT INTO city VALUES (1, 'a', 'SRID=3310;POINT Z (1 2 3)'), (2, 'b', NULL)")
    toml = TABLE + '[geometry]\ntype = "Point"\nsource = "shape"\n'
    with source_of(write_spec("city", toml), postgres_connections) as extraction:
        table = joined(extraction)
        assert extraction.crs == "EPSG:3310"
        assert dict(extraction.columns) == {"id": "number", "name": "text", "shape": "other"}
    shape, none = table.column("geom").to_pylist()
    assert none is None
    assert shapely.from_wkb(shape).wkt == "POINT Z (1 2 3)"
    assert shapely.get_srid(shapely.from_wkb(shape)) == 0


def test_a_postgis_geometry_loads_reprojected(
    write_spec: WriteSpec, run: Callable[..., None], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    run("CREATE TABLE city (id integer, name text, shape geometry(Point, 3310))")
    run("INSERT INTO city VALUES (1, 'a', ST_Transform('SRID=4326;POINT(-121 38)'::geometry, 3310))")
    toml = TABLE.replace('"city"', '"src.city"') + '[geometry]\ntype = "Point"\nsource = "shape"\n'
    load(write_spec("city", toml))
    found = query("SELECT round(ST_X(geom)::numeric, 6)::float, round(ST_Y(geom)::numeric, 6)::float FROM city")
    assert found == [(-121.0, 38.0)]


def test_geometries_of_several_crs_are_an_error(
    write_spec: WriteSpec, run: Callable[..., None], read: Callable[..., pa.Table]
) -> None:
    run("CREATE TABLE city (id integer, name text, shape geometry)")
    run("INSERT INTO city VALUES (1, 'a', 'SRID=3310;POINT(1 2)'), (2, 'b', 'SRID=4326;POINT(1 2)')")
    with pytest.raises(SourceUnreadableError, match="several CRS \\(SRID 3310 and 4326\\); transform them to one"):
        read(write_spec("city", TABLE + '[geometry]\ntype = "Point"\nsource = "shape"\n'))


def test_wkt_stays_text(write_spec: WriteSpec, read: Callable[..., pa.Table]) -> None:
    toml = query_of("SELECT 1 AS id, 'a' AS name, 'POINT(1 2)' AS shape")
    table = read(write_spec("city", toml + '[geometry]\ntype = "Point"\nsource = "shape"\n'))
    assert table.column("geom").to_pylist() == ["POINT(1 2)"]


def test_a_view_in_another_schema_can_be_read(
    write_spec: WriteSpec, run: Callable[..., None], read: Callable[..., pa.Table]
) -> None:
    run(CITY, ROWS, 'CREATE VIEW src."Big %City" AS SELECT * FROM city WHERE id > 1')
    assert read(write_spec("city", TABLE.replace('"city"', '"src.Big %City"'))).num_rows == 1


def test_names_with_quotes_and_signs_are_names(
    write_spec: WriteSpec, run: Callable[..., None], read: Callable[..., pa.Table]
) -> None:
    run("""CREATE TABLE city (id integer, "na""me;-- %s :x" text, "Order" text)""")
    run("INSERT INTO city VALUES (1, 'a', 'b')")
    name = """name = { source = 'na"me;-- %s :x', type = "text" }"""
    columns = f'id = "integer", {name}, o = {{ source = "Order", type = "text" }}'
    spec = write_spec("city", TABLE.replace('id = "integer", name = "text"', columns))
    assert read(spec).to_pylist() == [{"id": 1, "name": "a", "o": "b"}]


def test_a_query_gives_its_columns(
    write_spec: WriteSpec, run: Callable[..., None], postgres_connections: Connections
) -> None:
    run(CITY, ROWS)
    statement = (
        "-- cities; all\nWITH c AS (SELECT * FROM city) SELECT name, id, now() AS at, ';' AS s FROM c ORDER BY id;"
    )
    with source_of(write_spec("city", query_of(statement)), postgres_connections) as extraction:
        assert dict(extraction.columns) == {"name": "text", "id": "number", "at": "time", "s": "text"}
        assert joined(extraction).to_pylist() == [{"id": 1, "name": "Mayagüez"}, {"id": 2, "name": None}]


@pytest.mark.parametrize(
    ("statement", "error", "match"),
    [
        ("SELECT 1 AS id; DELETE FROM city", ConfigError, "holds more than one statement; it must be one SELECT"),
        ("DELETE FROM city RETURNING *", ConfigError, "begins with 'DELETE'; it must be one SELECT"),
        ("SELECT id, name FROM citys", SourceMissingError, 'relation "citys" does not exist; check source.query'),
        ("SELECT id, nam AS name FROM city", SchemaDriftError, 'column "nam" does not exist'),
        ("SELECT id, id, 'x' AS name FROM city", SchemaDriftError, "gives column 'id' twice"),
        ("SELECT id FROM city", SchemaDriftError, "column 'name' is missing"),
        ("SELECT id, 1 / (id - 1) AS name FROM city", SourceUnreadableError, "division by zero"),
        ("SELECT SELECT", SourceUnreadableError, "syntax error"),
        (
            "SELECT nextval('s') AS id, 'x' AS name",
            SourceUnreadableError,
            "read-only transaction; a source is only read",
        ),
        ("WITH d AS (DELETE FROM city RETURNING *) SELECT * FROM d", ConfigError, "source.query holds DELETE; it must"),
        ("SELECT id, name INTO made FROM city", ConfigError, "source.query holds INTO, which writes what it selects"),
        ("SELECT id, name FROM city FOR UPDATE", ConfigError, "source.query holds FOR UPDATE or FOR SHARE"),
        (
            "SELECT lo_import('/etc/hostname') AS id, 'x' AS name",
            ConfigError,
            "source.query calls lo_import, which does",
        ),
    ],
)
def test_a_wrong_query_is_one_sentence(
    write_spec: WriteSpec,
    run: Callable[..., None],
    read: Callable[..., pa.Table],
    query: Query,
    statement: str,
    error: type[Exception],
    match: str,
) -> None:
    run(CITY, ROWS, "CREATE SEQUENCE s", "GRANT ALL ON city, s TO sluiceway_loader")
    with pytest.raises(error, match=match) as caught:
        read(write_spec("city", query_of(statement)))
    assert "\n" not in str(caught.value)
    assert "sqlalche.me" not in str(caught.value)
    assert query("SELECT count(*) FROM src.city") == [(2,)]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        # COMMIT would end the read-only transaction
        ("SELECT 1 AS id, 'a' AS name; COMMIT; DELETE FROM src.city", "multiple commands"),
        ("WITH d AS (DELETE FROM src.city RETURNING *) SELECT * FROM d", "must not|read-only"),
    ],
)
def test_what_hides_from_the_check_is_refused_by_the_server_too(
    write_spec: WriteSpec,
    run: Callable[..., None],
    read: Callable[..., pa.Table],
    query: Query,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    said: str,
) -> None:
    run(CITY, ROWS, "GRANT ALL ON city TO sluiceway_loader")
    monkeypatch.setattr(module, "check_query", lambda *_: None)
    with pytest.raises(SourceUnreadableError, match=said):
        read(write_spec("city", query_of(statement)))
    assert query("SELECT count(*) FROM src.city") == [(2,)]


def test_a_missing_table_names_the_nearest(
    write_spec: WriteSpec, run: Callable[..., None], read: Callable[..., pa.Table]
) -> None:
    run(CITY)
    with pytest.raises(SourceMissingError, match=r"db has no table 'src\.citys'; did you mean 'src\.city'\?"):
        read(write_spec("city", TABLE.replace('"city"', '"src.citys"')))


def test_a_missing_schema_names_the_nearest(
    write_spec: WriteSpec, run: Callable[..., None], read: Callable[..., pa.Table]
) -> None:
    run(CITY)
    with pytest.raises(SourceMissingError, match=r"db has no schema 'srcs', .*; did you mean 'src'\?"):
        read(write_spec("city", TABLE.replace('"city"', '"srcs.city"')))


def test_a_table_that_may_not_be_read_says_so(
    write_spec: WriteSpec, run: Callable[..., None], read: Callable[..., pa.Table], owner_url: str
) -> None:
    run(CITY)
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("REVOKE ALL ON src.city FROM sluiceway_loader")
    with pytest.raises(SourceUnreadableError, match="permission denied for table city; grant SELECT to the user of"):
        read(write_spec("city", TABLE))


def test_rows_come_in_batches_of_bounded_size(
    write_spec: WriteSpec, postgres_connections: Connections, query: Query
) -> None:
    statement = "SELECT id, repeat('x', 10000) AS name FROM generate_series(1, 2000) AS id"
    with source_of(write_spec("city", query_of(statement)), postgres_connections) as extraction:
        first = next(extraction.batches)
        # the cursor is the server's: nothing was read that nobody asked for
        assert query("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'FETCH FORWARD%'") == [(1,)]
        batches = [first, *islice(extraction.batches, 4)]
        last = str(query("SELECT query FROM pg_stat_activity WHERE query LIKE 'FETCH FORWARD%'")[0][0])
        batches += extraction.batches
    # as many rows of 10,000 bytes as fit
    assert int(last.split()[2]) in range(100, 220)
    assert max(batch.nbytes for batch in batches) < 2 * module.BATCH_BYTES
    assert sum(batch.num_rows for batch in batches) == 2000
    assert len(batches) < 20


WATERMARK = 'watermark = "changed"\nwatermark_lag = 0\n'
INCREMENTAL = TABLE + WATERMARK


@pytest.mark.parametrize(
    ("kind", "values", "watermark", "expected", "last"),
    [
        ("timestamptz", ["2020-01-01 00:00:00.000001+00", "2020-01-02 05:00+05"], None, 2, "2020-01-02 00:00:00+00:00"),
        ("timestamptz", ["2020-01-01", "2020-01-02"], "2020-01-02 00:00:00+00:00", 1, "2020-01-02 00:00:00+00:00"),
        ("timestamp", ["2020-01-01", "2020-01-03"], "2020-01-02 00:00:00", 1, "2020-01-03 00:00:00"),
        ("date", ["2020-01-01", "2020-01-03"], "2020-01-03", 1, "2020-01-03"),
        ("bigint", ["9", "10"], "10", 1, "10"),
        ("numeric", ["9.5", "10.25"], "10.25", 1, "10.25"),
        ("text", ["it's", "x"], "it's", 2, "x"),
        ("text", ["09", "10"], "10", 1, "10"),
        ("bigint", ["1", "2"], "3", 0, "3"),
    ],
)
@pytest.mark.parametrize("how", ["table", "query"])
def test_only_rows_from_the_watermark_on_are_read(
    write_spec: WriteSpec,
    run: Callable[..., None],
    postgres_connections: Connections,
    how: str,
    kind: str,
    values: list[str],
    watermark: str | None,
    expected: int,
    last: str,
) -> None:
    run(f"CREATE TABLE city (id integer, name text, changed {kind})", "SET TIME ZONE 'UTC'")
    for number, value in enumerate(values):
        escaped = value.replace("'", "''")
        run(f"INSERT INTO city VALUES ({number}, 'x', '{escaped}')")
    toml = INCREMENTAL if how == "table" else query_of("SELECT * FROM city ORDER BY id DESC") + WATERMARK
    with source_of(write_spec("city", toml), postgres_connections, watermark) as extraction:
        assert joined(extraction).num_rows == expected
        assert extraction.watermark == last


@pytest.mark.parametrize(
    ("kind", "values", "watermark", "expected"),
    [
        ("timestamptz", ["08:59:59+00", "09:00+00", "10:00+00"], "2020-01-02 10:00:00+00:00", [1, 2]),
        ("timestamp", ["08:59:59", "09:00", "10:00"], "2020-01-02 10:00:00.5", [1, 2]),
        ("date", ["", "", ""], "2020-01-03", [0, 1, 2]),
        ("text", ["T08:59:59Z", "T09:00:00Z", "T10:00:00Z"], "2020-01-02T10:00:00Z", [1, 2]),
    ],
)
@pytest.mark.parametrize("how", ["table", "query"])
def test_rows_from_an_hour_before_the_watermark_on_are_read_unless_another_lag_is_declared(
    write_spec: WriteSpec,
    run: Callable[..., None],
    read: Callable[..., pa.Table],
    how: str,
    kind: str,
    values: list[str],
    watermark: str,
    expected: list[int],
) -> None:
    run(f"CREATE TABLE city (id integer, name text, changed {kind})")
    for number, value in enumerate(values):
        text = value if value.startswith("T") else f" {value}"
        run(f"INSERT INTO city VALUES ({number}, 'x', '2020-01-02{text}')")
    toml = TABLE if how == "table" else query_of("SELECT * FROM city")
    table = read(write_spec("city", toml + 'watermark = "changed"\n'), watermark=watermark)
    assert sorted(table.column("id").to_pylist()) == expected


def test_a_row_that_is_committed_late_is_loaded_by_the_next_load(
    write_spec: WriteSpec,
    run: Callable[..., None],
    owner_url: str,
    warehouse_url: str,
    open_run: Callable[[str], RunKey],
    postgres_connections: Connections,
) -> None:
    columns = 'id = "integer", name = "text", changed = "timestamptz"'
    query = query_of("SELECT * FROM src.city", columns)
    spec = write_spec("city", query + 'watermark = "changed"\n')
    run("CREATE TABLE city (id integer, name text, changed timestamptz)")
    run("INSERT INTO city VALUES (1, 'a', '2020-01-01 09:59+00')")
    with psycopg.connect(owner_url) as slow:
        slow.execute("INSERT INTO src.city VALUES (2, 'late', '2020-01-01 10:00+00')")
        run("INSERT INTO city VALUES (3, 'b', '2020-01-01 10:02+00')")
        first = load_table(spec, warehouse_url, run=open_run("r1"), connections=postgres_connections)
    run("INSERT INTO city VALUES (4, 'c', '2020-01-01 10:06+00')")
    second = load_table(spec, warehouse_url, run=open_run("r2"), connections=postgres_connections)
    assert (first.extracted, first.watermark) == (2, "2020-01-01 10:02:00+00:00")
    assert (second.extracted, second.inserted, second.updated, second.unchanged) == (4, 2, 0, 2)
    assert second.table_rows == 4


def incremental(write_spec: WriteSpec, *, more: str = "") -> TableSpec:
    columns = 'id = "integer", name = "text", changed = "bigint"'
    return write_spec("city", query_of("SELECT * FROM src.city", columns) + WATERMARK + more)


def test_after_an_increment_of_one_row_a_load_of_half_of_the_source_is_refused(
    write_spec: WriteSpec,
    run: Callable[..., None],
    warehouse_url: str,
    open_run: Callable[[str], RunKey],
    postgres_connections: Connections,
) -> None:
    def load(run_id: str, *, force: bool = False) -> TableRun:
        options = {"connections": postgres_connections, "force": force}
        return load_table(spec, warehouse_url, run=open_run(run_id), **options)  # type: ignore[arg-type]

    spec = incremental(write_spec)
    run("CREATE TABLE city (id integer, name text, changed bigint)")
    run("INSERT INTO city SELECT n, 'x', n FROM generate_series(1, 50) n")
    assert (load("r1").extracted, load("r2").extracted) == (50, 1)
    run("INSERT INTO city SELECT n, 'x', n FROM generate_series(51, 100) n")
    grown = load("r3")
    assert (grown.extracted, grown.inserted, grown.source_rows) == (51, 50, 100)
    run("DELETE FROM city WHERE id <= 50")
    assert load("r4").source_rows == 100
    with pytest.raises(ShrunkExtractionError, match="gave 50 rows and 100 at the last good load"):
        load("r5", force=True)


def test_an_increment_is_checked_beside_the_rows_that_stand_in_the_table(
    write_spec: WriteSpec, run: Callable[..., None], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    spec = incremental(write_spec, more='[checks]\nmax_rejects = 9\n[[checks.rows]]\nunique = "name"\n')
    run("CREATE TABLE city (id integer, name text, changed bigint)")
    run("INSERT INTO city VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)")
    assert load(spec).inserted == 3
    run("INSERT INTO city VALUES (4, 'a', 4)")
    held = load(spec)
    assert (held.extracted, held.inserted, held.unchanged, held.rejected) == (2, 0, 1, 1)
    reason = "name: 'a' fails unique (name): another row of the table has the same"
    assert query("SELECT reason, key FROM etl.reject") == [(reason, {"id": 4})]
    run("UPDATE city SET name = 'd', changed = 5 WHERE id = 1", "INSERT INTO city VALUES (5, 'a', 6)")
    run("DELETE FROM city WHERE id = 4")
    assert load(spec).rejected == 0, "the row that had it has another name by the same increment"
    assert query("SELECT id, name FROM city ORDER BY id") == [(1, "d"), (2, "b"), (3, "c"), (5, "a")]


def test_nulls_of_an_increment_are_a_share_of_the_whole_table(
    write_spec: WriteSpec, run: Callable[..., None], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    spec = incremental(write_spec, more="[checks.columns.name]\nnull_share = 0.5\n")
    run("CREATE TABLE city (id integer, name text, changed bigint)")
    run("INSERT INTO city VALUES (1, 'a', 1), (2, 'b', 2)")
    load(spec)
    run("INSERT INTO city VALUES (3, NULL, 3), (4, NULL, 4)")
    assert load(spec).inserted == 2, "all rows that are new, and half of the table"
    run("INSERT INTO city VALUES (5, NULL, 5)")
    with pytest.raises(CheckFailedError, match=r"name is null in 3 of 5 rows, and .* = 0\.5 allows 2"):
        load(spec)
    assert query("SELECT count(*) FROM city") == [(4,)]


def test_an_increment_of_nothing_leaves_the_table_as_it_is(
    write_spec: WriteSpec, run: Callable[..., None], load: Callable[[TableSpec], TableRun]
) -> None:
    spec = incremental(write_spec)
    run("CREATE TABLE city (id integer, name text, changed bigint)", "INSERT INTO city VALUES (1, 'a', 5), (2, 'b', 7)")
    assert load(spec).watermark == "7"
    run("DELETE FROM city WHERE id = 2")
    nothing = load(spec)
    assert (nothing.status, nothing.extracted, nothing.table_rows, nothing.source_rows) == ("unchanged", 0, 2, 2)
    run("INSERT INTO city VALUES (3, 'c', 8)")
    later = load(spec)
    assert (later.status, later.extracted, later.inserted, later.table_rows) == ("loaded", 1, 1, 3)


def test_a_table_that_keeps_what_its_source_forgets_is_no_measure_of_the_source(
    write_spec: WriteSpec, run: Callable[..., None], load: Callable[[TableSpec], TableRun]
) -> None:
    spec = write_spec("city", query_of("SELECT * FROM src.city"))
    run("CREATE TABLE city (id integer, name text)")
    for first in (1, 101, 201):
        run("DELETE FROM city", f"INSERT INTO city SELECT n, 'x' FROM generate_series({first}, {first} + 99) n")
        result = load(spec)
    assert (result.table_rows, result.extracted) == (300, 100), "three times as many rows, and no false alarm"


def test_rows_without_a_watermark_are_always_read(
    write_spec: WriteSpec, run: Callable[..., None], read: Callable[..., pa.Table]
) -> None:
    run("CREATE TABLE city (id integer, name text, changed date)")
    run("INSERT INTO city VALUES (1, 'a', NULL), (2, 'b', '2020-01-01'), (3, 'c', '2020-01-02')")
    table = read(write_spec("city", INCREMENTAL), watermark="2020-01-02")
    assert sorted(table.column("id").to_pylist()) == [1, 3]


def test_a_missing_watermark_column_names_the_nearest(
    write_spec: WriteSpec, run: Callable[..., None], read: Callable[..., pa.Table]
) -> None:
    run("CREATE TABLE city (id integer, name text, change date)")
    with pytest.raises(
        SchemaDriftError, match=r"adapt source\.watermark .*'changed' is missing; did you mean 'change'"
    ):
        read(write_spec("city", INCREMENTAL))


def test_an_infinite_watermark_is_an_error(
    write_spec: WriteSpec, run: Callable[..., None], read: Callable[..., pa.Table]
) -> None:
    # nothing would ever be above it again
    run("CREATE TABLE city (id integer, name text, changed date)")
    run("INSERT INTO city VALUES (1, 'a', '2020-01-01'), (2, 'b', 'infinity')")
    with pytest.raises(SourceUnreadableError, match="the watermark 'changed' holds values of several kinds"):
        read(write_spec("city", INCREMENTAL))


def test_a_server_that_does_not_answer_is_unavailable(write_spec: WriteSpec) -> None:
    def connections(conn_id: str) -> Connection:
        return Connection(conn_id=conn_id, conn_type="postgres", host="127.0.0.1", port=1, login="u", password="s3cret")

    with pytest.raises(SourceUnavailableError, match=r"city: db: city: .*refused.*; try again later") as caught:
        table_of(write_spec("city", TABLE), connections)
    assert "s3cret" not in str(caught.value)


def test_a_wrong_password_is_a_setting(write_spec: WriteSpec, postgres_connections: Connections) -> None:
    def connections(conn_id: str) -> Connection:
        return postgres_connections(conn_id).model_copy(update={"password": "s3cret"})

    with pytest.raises(SettingsError, match=r"password authentication failed .*; correct connection 'db'") as caught:
        table_of(write_spec("city", TABLE), connections)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("conn_type", "extra", "match"),
    [
        ("postgre", {}, "has the type 'postgre', which is no database Sluiceway reads; did you mean 'postgres'"),
        ("http", {}, "known: mssql, mysql, oracle, postgres, postgresql, sqlite"),
        ("mysql", {}, r"mysql\+pymysql needs the Python package pymysql"),
        ("generic", {"sqlalchemy_scheme": "nosuch"}, "'nosuch' is no dialect of SQLAlchemy that is installed here"),
    ],
)
def test_an_unknown_kind_of_database_is_one_sentence(
    write_spec: WriteSpec, conn_type: str, extra: dict[str, str], match: str
) -> None:
    def connections(conn_id: str) -> Connection:
        return Connection(conn_id=conn_id, conn_type=conn_type, host="h", extra=extra)

    with pytest.raises(SettingsError, match=match):
        table_of(write_spec("city", TABLE), connections)


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_postgresql_is_read_whatever_driver_its_connection_names_for_airflow(
    write_spec: WriteSpec, run: Callable[..., None], postgres_connections: Connections, scheme: str
) -> None:
    run("CREATE TABLE city AS SELECT 1 AS id, 'infinity'::date AS name")

    def connections(conn_id: str) -> Connection:
        known = postgres_connections(conn_id)
        return known.model_copy(update={"extra": {**known.extra, "sqlalchemy_scheme": scheme}})

    assert table_of(write_spec("city", TABLE), connections).to_pylist() == [{"id": 1, "name": "infinity"}]


def test_sqlite_can_be_read_in_another_thread(
    write_spec: WriteSpec, run_sqlite: Callable[..., None], sqlite_connections: Connections
) -> None:
    # a load reads ahead in a thread of its own
    run_sqlite(CITY, ROWS)
    found: list[pa.RecordBatch] = []
    with source_of(write_spec("city", TABLE), sqlite_connections) as extraction:
        assert dict(extraction.columns) == {"id": "number", "name": "text"}
        thread = threading.Thread(target=lambda: found.extend(extraction.batches))
        thread.start()
        thread.join()
    assert pa.Table.from_batches(found).to_pylist() == [{"id": 1, "name": "Mayagüez"}, {"id": 2, "name": None}]


def test_mixed_values_of_sqlite_are_text_and_nothing_is_rounded(
    write_spec: WriteSpec, run_sqlite: Callable[..., None], sqlite_connections: Connections
) -> None:
    run_sqlite("CREATE TABLE city (id, name)", "INSERT INTO city VALUES (1, 9007199254740993), (2, 0.5), (3, 'x')")
    table = table_of(write_spec("city", TABLE), sqlite_connections)
    assert table.column("name").to_pylist() == ["9007199254740993", "0.5", "x"]


@pytest.mark.parametrize("how", ["table", "query"])
def test_a_number_is_the_watermark_of_sqlite(
    write_spec: WriteSpec, run_sqlite: Callable[..., None], sqlite_connections: Connections, how: str
) -> None:
    # to SQLite any text is above any number: 10 >= '9' is false
    run_sqlite("CREATE TABLE city (id INTEGER, name TEXT, changed INTEGER)")
    run_sqlite("INSERT INTO city VALUES (1, 'a', 8), (2, 'b', 9), (3, 'c', 10)")
    query = query_of("SELECT id, name, changed + 0 AS changed FROM city") + WATERMARK
    toml = INCREMENTAL if how == "table" else query
    with source_of(write_spec("city", toml), sqlite_connections, "9") as extraction:
        assert joined(extraction).column("id").to_pylist() == [2, 3]
        assert extraction.watermark == "10"


def test_a_missing_sqlite_file_is_not_made(
    write_spec: WriteSpec, sqlite_connections: Connections, tmp_path: Path
) -> None:
    with pytest.raises(SourceMissingError, match=r"there is no SQLite file .*my city\.db"):
        table_of(write_spec("city", TABLE), sqlite_connections)
    assert not (tmp_path / "my city.db").exists()


def test_sqlite_is_opened_read_only(
    write_spec: WriteSpec,
    run_sqlite: Callable[..., None],
    sqlite_connections: Connections,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_sqlite(CITY, ROWS)
    monkeypatch.setattr(module, "check_query", lambda *_: None)
    with pytest.raises(SourceUnreadableError, match="attempt to write a readonly database"):
        table_of(write_spec("city", query_of("DELETE FROM city RETURNING id, name")), sqlite_connections)


def test_a_connection_uri_of_sqlite_names_the_file(
    write_spec: WriteSpec, run_sqlite: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sqlite(CITY, ROWS)
    monkeypatch.setenv("AIRFLOW_CONN_DB", f"sqlite:///{tmp_path}/my%20city.db")
    with opened(write_spec("city", TABLE)) as extraction:
        assert joined(extraction).num_rows == 2


def test_a_locked_sqlite_is_unavailable(
    write_spec: WriteSpec, run_sqlite: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sqlite(CITY, ROWS)
    extra = json.dumps({"sqlalchemy_scheme": "sqlite"})
    connection = {"conn_type": "generic", "host": str(tmp_path / "my city.db"), "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps(connection))
    monkeypatch.setattr(sql_engine, "CONNECT_SECONDS", 1)
    with closing(sqlite3.connect(tmp_path / "my city.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with (
            pytest.raises(SourceUnavailableError, match="database is locked; try again later"),
            opened(write_spec("city", TABLE)),
        ):
            pass
