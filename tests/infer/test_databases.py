"""Drafts of what a database holds: its own types, its key, its geometry. On real ones."""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from click.testing import Result
from sqlalchemy.dialects import mssql, mysql, oracle
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.errors import ConfigError, SourceMissingError, SourceUnreadableError
from sluiceway.infer.asked import Asked
from sluiceway.infer.infer import infer
from sluiceway.infer.sql_types import of_sqlalchemy

Run = Callable[..., Result]
Query = Callable[..., list[tuple[object, ...]]]
Make = Callable[..., None]
ORDERS = """
CREATE TABLE orders (
    order_id bigint PRIMARY KEY,
    code varchar(8) NOT NULL,
    state character(2),
    price numeric(10,2),
    any_number numeric,
    share real,
    is_paid boolean,
    token uuid,
    extra jsonb,
    note json,
    tags text[],
    sizes numeric(4,1)[],
    mood mood,
    placed_on date,
    updated_at timestamptz(3) NOT NULL,
    opens time,
    blob bytea,
    outline geometry(MultiPolygon, 25832),
    spot geometry(Point, 4326)
)
"""
ROW = """
INSERT INTO orders VALUES (
    7, 'a', 'NY', 1.25, 1.123456789, 0.1, true, '0f8fad5b-d9cb-469f-a165-70867728950e', '{"a": 1}', '[1]', '{a,b}',
    '{1.5,2.0}', 'ok', '2020-01-02', '2020-01-01 00:00:00.5+02', '08:30', 'x',
    ST_Multi(ST_SetSRID(ST_Envelope('LINESTRING(500000 5500000, 500010 5500010)'::geometry), 25832)),
    ST_SetSRID(ST_Point(9, 50), 4326)
)
"""


@pytest.fixture
def erp(owner_url: str, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Runs statements in the schema `src` of a PostgreSQL that the connection `erp` opens."""
    monkeypatch.setenv("AIRFLOW_CONN_ERP", owner_url.replace("postgresql://", "postgres://"))

    def execute(*statements: str) -> None:
        with psycopg.connect(owner_url, autocommit=True) as connection:
            connection.execute("CREATE SCHEMA IF NOT EXISTS src")
            connection.execute("SET search_path TO src, public")
            for statement in statements:
                connection.execute(statement)

    return execute


@pytest.fixture
def lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Runs statements in an SQLite file that the connection `lite` opens."""
    path = tmp_path / "lite.db"
    monkeypatch.setenv("AIRFLOW_CONN_LITE", f"sqlite:///{path}")

    def execute(*statements: str) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return execute


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(app, ["tables", *map(str, arguments)])


def draft(**asked: str) -> dict[str, Any]:
    return tomllib.loads(infer(Asked("", **asked)))


def test_every_column_has_the_type_that_the_database_says(erp: Make) -> None:
    erp("CREATE TYPE mood AS ENUM ('sad', 'ok')", ORDERS, ROW)
    found = draft(connection="erp", table="src.orders")
    assert found["columns"] == {
        "order_id": "bigint",
        "code": "varchar(8)",
        "state": "varchar(2)",
        "price": "numeric(10,2)",
        "any_number": "numeric",
        "share": "real",
        "is_paid": "boolean",
        "token": "uuid",
        "extra": "jsonb",
        "note": "jsonb",
        "tags": "jsonb",
        "sizes": "jsonb",
        "mood": "text",
        "placed_on": "date",
        "updated_at": "timestamptz",
        "opens": "text",
    }
    assert found["geometry"] == {"type": "MultiPolygon", "source": "outline", "srid": 25832}
    assert found["key"] == "order_id"
    assert found["source"] == {"kind": "sql", "connection": "erp", "table": "src.orders"}


def test_what_cannot_be_loaded_is_left_out_and_said(erp: Make) -> None:
    erp("CREATE TYPE mood AS ENUM ('sad', 'ok')", ORDERS, ROW)
    text = infer(Asked("", connection="erp", table="src.orders"))
    assert "# 'blob' is left out: its values are bytes" in text
    assert "# 'spot' is left out: a table has one geometry, and 'outline' is it" in text


def test_a_draft_of_a_database_passes_the_check_and_loads(
    erp: Make, run: Run, tmp_path: Path, warehouse_url: str, query: Query
) -> None:
    erp("CREATE TYPE mood AS ENUM ('sad', 'ok')", ORDERS, ROW)
    out = tmp_path / "order_of_today.toml"
    assert run("infer", "--connection", "erp", "--table", "src.orders", "-o", out).exit_code == 0
    assert run("check", out).exit_code == 0
    result = run("run", out, "--warehouse", warehouse_url)
    assert result.exit_code == 0, result.output
    assert "1 extracted = 1 inserted" in " ".join(result.output.split())
    found = query(
        "SELECT price, share, tags, sizes, updated_at::text, ST_SRID(geom), ST_Area(geom) FROM order_of_today"
    )
    assert [str(each) for each in found[0]] == [
        "1.25",
        "0.1",
        "['a', 'b']",
        "[1.5, 2.0]",
        "2019-12-31 22:00:00.5+00",
        "25832",
        "100.0",
    ]
    assert "1 unchanged" in " ".join(run("run", out, "--warehouse", warehouse_url, "--force").output.split())


def test_a_watermark_is_proposed_as_a_comment(erp: Make, run: Run, tmp_path: Path, warehouse_url: str) -> None:
    erp(
        "CREATE TABLE a (id int PRIMARY KEY, created_at timestamptz, last_updated timestamptz, name text)",
        "INSERT INTO a VALUES (1, now(), now(), 'x')",
    )
    text = infer(Asked("", connection="erp", table="src.a"))
    assert '# watermark = "last_updated"\n' in text
    out = tmp_path / "a.toml"
    out.write_text(text.replace("# watermark", "watermark"), encoding="utf-8")
    result = run("run", out, "--warehouse", warehouse_url)
    assert result.exit_code == 0, result.output


def test_no_watermark_is_proposed_where_no_key_says_which_row_has_changed(erp: Make) -> None:
    erp("CREATE TABLE a (updated_at timestamptz)", "INSERT INTO a VALUES (now()), (now())")
    assert "watermark" not in infer(Asked("", connection="erp", table="src.a"))


def test_a_query_has_the_types_of_its_columns(erp: Make) -> None:
    erp("CREATE TYPE mood AS ENUM ('sad', 'ok')", ORDERS, ROW)
    query = "SELECT order_id AS no, price::numeric(12,4) AS euros, outline FROM src.orders WHERE code NOT LIKE 'b:%';"
    found = draft(connection="erp", query=query)
    assert found["columns"] == {"no": "bigint", "euros": "numeric(12,4)"}
    assert found["geometry"] == {"type": "MultiPolygon", "source": "outline", "srid": 25832}
    assert found["source"]["query"] == query


@pytest.mark.parametrize(
    "query",
    ["DELETE FROM src.a", "SELECT 1; DROP TABLE src.a", "WITH x AS (DELETE FROM src.a RETURNING *) SELECT * FROM x"],
)
def test_a_query_that_writes_is_refused_and_nothing_is_written(erp: Make, query: str, owner_url: str) -> None:
    erp("CREATE TABLE a (id int)", "INSERT INTO a VALUES (1)")
    with pytest.raises((ConfigError, SourceUnreadableError)):
        draft(connection="erp", query=query)
    with psycopg.connect(owner_url) as connection:
        assert connection.execute("SELECT count(*) FROM src.a").fetchone() == (1,)


def test_a_unique_column_without_nulls_is_the_key_where_there_is_no_primary_one(erp: Make) -> None:
    erp(
        "CREATE TABLE a (n int, maybe int UNIQUE, code text NOT NULL UNIQUE, area_id text NOT NULL)",
        "CREATE UNIQUE INDEX ON a (area_id) WHERE n > 5",
        "INSERT INTO a VALUES (1, 1, 'x', 'p'), (1, 2, 'y', 'q')",
    )
    assert draft(connection="erp", table="src.a")["key"] == "code"


def test_a_primary_key_of_several_columns_is_the_key(erp: Make) -> None:
    erp("CREATE TABLE a (y int, m int, v int, PRIMARY KEY (m, y))", "INSERT INTO a VALUES (1, 2, 3)")
    assert draft(connection="erp", table="src.a")["key"] == ["m", "y"]


def test_the_rows_tell_the_key_of_a_view(erp: Make) -> None:
    erp(
        "CREATE TABLE a (station_id int, name text)",
        "INSERT INTO a SELECT n, 'x' FROM generate_series(1, 50) AS n",
        "CREATE VIEW v AS SELECT * FROM a",
    )
    text = infer(Asked("", connection="erp", table="src.v"))
    assert 'key = "station_id"  # unique in the rows that were read; is it by its meaning?' in text


def test_an_empty_table_is_drafted_from_its_catalogue(erp: Make) -> None:
    erp("CREATE TABLE a (id int PRIMARY KEY, at timestamp, shape geometry(PointZ, 2056))")
    found = draft(connection="erp", table="src.a")
    assert (found["key"], found["columns"]) == ("id", {"id": "integer", "at": "timestamp"})
    geometry = {"type": "Point", "source": "shape", "srid": 2056, "dimensions": "XYZ", "required": False}
    assert {**geometry, "source_crs": "EPSG:2056"} == found["geometry"]


def test_comments_of_the_catalogue_describe_the_table_and_its_columns(erp: Make) -> None:
    erp(
        "CREATE TABLE a (id int PRIMARY KEY, price numeric)",
        "INSERT INTO a VALUES (1, 2)",
        "COMMENT ON TABLE a IS 'Orders of\n customers'",
        "COMMENT ON COLUMN a.price IS 'In \"euros\"'",
    )
    found = draft(connection="erp", table="src.a")
    assert found["description"] == "Orders of customers"
    assert found["columns"]["price"] == {"type": "numeric", "description": 'In "euros"'}


def test_values_that_no_type_here_holds_are_counted_as_rejects(
    erp: Make, run: Run, tmp_path: Path, warehouse_url: str
) -> None:
    erp("CREATE TABLE a (id int PRIMARY KEY, due date)", "INSERT INTO a VALUES (1, '2020-01-01'), (2, 'infinity')")
    out = tmp_path / "a.toml"
    assert run("infer", "--connection", "erp", "--table", "src.a", "-o", out).exit_code == 0
    assert tomllib.loads(out.read_text(encoding="utf-8"))["checks"] == {"max_rejects": 1}
    assert "1 rejected" in " ".join(run("run", out, "--warehouse", warehouse_url).output.split())


def test_a_long_table_is_looked_at_in_part_and_the_draft_says_so(erp: Make) -> None:
    erp("CREATE TABLE a AS SELECT n AS id FROM generate_series(1, 60000) AS n")
    text = infer(Asked("", connection="erp", table="src.a"))
    assert "There are more rows than the" in text
    assert 'key = "id"' in text


def test_without_a_table_those_that_there_are_are_listed(erp: Make, run: Run) -> None:
    erp("CREATE TABLE b (id int)", "CREATE VIEW c AS SELECT 1 AS x", "CREATE MATERIALIZED VIEW m AS SELECT 1 AS x")
    result = run("infer", "--connection", "erp")
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert "src.b, src.c, src.m; name one with --table" in said
    assert "spatial_ref_sys" not in said
    assert "geography_columns" not in said


def test_the_only_table_of_a_database_need_not_be_named(lite: Make) -> None:
    lite("CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT)", "INSERT INTO city VALUES (1, 'Ponce')")
    assert draft(connection="lite")["source"] == {"kind": "sql", "connection": "lite", "table": "city"}


def test_a_table_that_is_not_there_is_said_with_the_nearest(erp: Make) -> None:
    erp("CREATE TABLE city (id int)")
    with pytest.raises(SourceMissingError, match=r"has no table 'src.citi'; did you mean 'src.city'\?"):
        draft(connection="erp", table="src.citi")


def test_sqlite_is_believed_as_far_as_its_values_are_what_it_says(
    lite: Make, run: Run, tmp_path: Path, warehouse_url: str
) -> None:
    lite(
        "CREATE TABLE city (code VARCHAR(3) PRIMARY KEY NOT NULL, people INTEGER, area NUMERIC(8,2), "
        "wrong NUMERIC(8,2), big SMALLINT, open BOOLEAN, odd BOOLEAN, founded DATE, epoch DATE, changed_at DATETIME, "
        "raw BLOB)",
        "INSERT INTO city VALUES ('a', 5, 1.25, 1.125, 1, 1, 2, '1848-01-31', 5, '2020-01-01 10:00:00', x'00')",
        "INSERT INTO city VALUES ('b', 'many', 2, 2, 70000, 0, 1, NULL, 6, NULL, NULL)",
    )
    out = tmp_path / "city.toml"
    result = run("infer", "--connection", "lite", "--table", "city", "-o", out)
    assert result.exit_code == 0, result.output
    assert tomllib.loads(out.read_text(encoding="utf-8"))["columns"] == {
        "code": "varchar(3)",
        "people": "text",
        "area": "numeric(8,2)",
        "wrong": "double precision",
        "big": "integer",
        "open": "boolean",
        "odd": "integer",
        "founded": "date",
        "epoch": "integer",
        "changed_at": "timestamp",
    }
    result = run("run", out, "--warehouse", warehouse_url)
    assert "2 extracted = 2 inserted" in " ".join(result.output.split()), result.output


def test_a_catalogues_key_that_the_rows_speak_against_is_not_taken(lite: Make) -> None:
    # of SQLite, a primary key that is no integer may be null
    lite("CREATE TABLE a (code TEXT PRIMARY KEY, x TEXT)", "INSERT INTO a VALUES (NULL, 'a'), (NULL, 'b')")
    assert draft(connection="lite")["key"] != "code"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Name a file or an address"),
        (("postgresql://me:geheim@db/erp",), "postgresql://db/erp: the address of a database holds a password"),
        (("mysql+pymysql://me:geheim@db/erp",), "the address of a database holds a password"),
        (("--connection", "postgresql://me:geheim@db/erp", "--table", "a"), "takes a connection's id and no address"),
        (("--connection", "erp", "--table", "a", "--query", "SELECT 1"), "--table says already what is read"),
        (("a.csv", "--query", "SELECT 1"), "--query: asks a database"),
        (("--connection", "erp", "--table", "a", "--encoding", "cp1252"), "--encoding: a database has none"),
        (("bigquery://p.d.t", "--table", "p.d.u"), "--table: a table of BigQuery has none"),
        (("--connection", "nobody", "--table", "a"), "There is no connection 'nobody'"),
        (("--connection", "web", "--table", "a"), "'web' is of type http, which is no database"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(
    erp: Make, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WEB", "http://example.org")
    result = run("infer", *arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert "geheim" not in result.output


@pytest.mark.parametrize(
    ("kind", "declared"),
    [
        (mysql.TINYINT(display_width=1), "smallint"),
        (mysql.INTEGER(unsigned=True), "bigint"),
        (mysql.BIGINT(unsigned=True), "numeric(20)"),
        (mysql.DECIMAL(65, 30), "numeric"),
        (mysql.DECIMAL(10, 0), "numeric(10)"),
        (mysql.TIMESTAMP(), "timestamptz"),
        (mysql.DATETIME(), "timestamp"),
        (mysql.ENUM("a", "b"), "text"),
        (mysql.JSON(), "jsonb"),
        (mysql.LONGTEXT(), "text"),
        (mysql.YEAR(), None),
        (mssql.BIT(), "boolean"),
        (mssql.DATETIMEOFFSET(), "timestamptz"),
        (mssql.UNIQUEIDENTIFIER(), "uuid"),
        (mssql.NVARCHAR(20), "varchar(20)"),
        (oracle.NUMBER(12, 2), "numeric(12,2)"),
        (oracle.DATE(), "timestamp"),
        (sa.Double(), "double precision"),
        (sa.types.NULLTYPE, None),
    ],
)
def test_other_databases_types_are_those_that_hold_all_their_values(kind: Any, declared: str | None) -> None:
    found = of_sqlalchemy(kind)
    assert (found if found is None or isinstance(found, str) else found.type) == declared


def test_bytes_of_other_databases_are_left_out() -> None:
    assert of_sqlalchemy(mysql.LONGBLOB()) == "its values are bytes"
