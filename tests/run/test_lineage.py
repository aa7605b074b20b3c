"""Where a table's rows come from, as its file and the ledger say, in OpenLineage's names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluiceway.errors import SettingsError
from sluiceway.ledger.rows import TableRun
from sluiceway.run.lineage import From, lineage_of, warehouse_table
from sluiceway.sources.connections import Connection
from sluiceway.tables.spec import TableSpec

URL = "postgresql://sluiceway_loader:secret@db.example.org:6432/warehouse?sslmode=require"
ERP = Connection(
    conn_id="erp", conn_type="postgres", host="erp.example.org", login="me", password="secret", schema="shop"
)


def table(source: dict[str, Any], columns: dict[str, Any] | None = None, **keys: Any) -> TableSpec:
    return TableSpec.model_validate(
        {"name": "city", "description": "Cities", "key": "content", "source": source}
        | {"columns": columns or {"id": "integer"}}
        | keys
    )


def place(source: dict[str, Any], connection: Connection = ERP) -> tuple[str, str] | None:
    found = lineage_of(table(source), URL, lambda _: connection).source
    assert "secret" not in repr(found)
    return (found.namespace, found.name) if found is not None else None


def loaded(**columns: str) -> TableRun:
    return TableRun(dag_id="d", run_id="r", table_name="city", status="loaded", source_columns=columns)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ({"kind": "csv", "uri": "/srv/cities.csv"}, ("file", "/srv/cities.csv")),
        ({"kind": "csv", "uri": "file:///srv/my%20cities.csv"}, ("file", "/srv/my cities.csv")),
        ({"kind": "csv", "uri": "package://flights/data/planes.csv"}, ("package://flights", "data/planes.csv")),
        (
            {"kind": "csv", "uri": "https://me:secret@x.example:8443/a/b.csv?sig=secret", "connection": "c"},
            ("https://x.example:8443", "a/b.csv"),
        ),
        ({"kind": "parquet", "uri": "s3://bucket/a/b.parquet"}, ("s3://bucket", "a/b.parquet")),
        ({"kind": "parquet", "uri": "gs://bucket/a/b.parquet"}, ("gs://bucket", "a/b.parquet")),
        ({"kind": "csv", "uri": "/srv/x.zip", "member": "2024/a.csv"}, ("file", "/srv/x.zip#2024/a.csv")),
        ({"kind": "excel", "uri": "/srv/x.xlsx", "sheet": "Plants"}, ("file", "/srv/x.xlsx#Plants")),
        ({"kind": "sqlite", "uri": "/srv/x.db", "table": "t"}, ("file", "/srv/x.db#t")),
        (
            {"kind": "sql", "connection": "erp", "table": "orders"},
            ("postgres://erp.example.org:5432", "shop.public.orders"),
        ),
        (
            {"kind": "sql", "connection": "erp", "table": "s.orders"},
            ("postgres://erp.example.org:5432", "shop.s.orders"),
        ),
        ({"kind": "bigquery", "table": "p.d.t"}, ("bigquery", "p.d.t")),
        ({"kind": "http_json", "uri": "https://api.example.org/v1/records"}, ("https://api.example.org", "v1/records")),
        (
            {"kind": "gsheet", "spreadsheet": "1Bx", "sheet": "2024"},
            ("https://docs.google.com", "spreadsheets/d/1Bx#2024"),
        ),
    ],
    ids=lambda value: str(value["kind"]) if isinstance(value, dict) else "",
)
def test_a_source_has_openlineages_name(source: dict[str, Any], named: tuple[str, str]) -> None:
    assert place(source) == named


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        ("mysql", ("mysql://erp.example.org:3306", "shop.orders")),
        ("mssql", ("mssql://erp.example.org:1433", "shop.dbo.orders")),
        ("trino", ("trino://erp.example.org", "shop.orders")),
    ],
)
def test_a_database_is_named_after_its_kind(kind: str, named: tuple[str, str]) -> None:
    source = {"kind": "sql", "connection": "erp", "table": "orders"}
    assert place(source, ERP.model_copy(update={"conn_type": kind})) == named


def test_a_query_is_told_as_it_is_and_names_no_source() -> None:
    found = lineage_of(table({"kind": "sql", "connection": "erp", "query": "SELECT 1 AS id"}), URL, lambda _: ERP)
    assert (found.source, found.query) == (None, "SELECT 1 AS id")


def test_a_source_whose_connection_is_not_there_is_left_out() -> None:
    def none(conn_id: str) -> Connection:
        raise SettingsError(conn_id)

    found = lineage_of(table({"kind": "sql", "connection": "erp", "table": "orders"}), URL, none)
    assert found.source is None
    assert found.table.name == "warehouse.public.city"


def test_the_table_is_named_by_server_database_and_schema_without_whoever_logs_in() -> None:
    found = warehouse_table(URL, "city")
    assert (found.namespace, found.name) == ("postgres://db.example.org:6432", "warehouse.public.city")
    assert warehouse_table("postgresql://me:p@a:1,b:2/w", "t").namespace == "postgres://a:1"
    assert warehouse_table("postgresql://me:p,w@a:1/w", "t").namespace == "postgres://a:1"
    assert warehouse_table("postgresql:///w", "t").namespace == "postgres://localhost:5432"


def test_a_table_of_bigquery_is_named_by_its_dataset() -> None:
    spec = table({"kind": "csv", "uri": "/a.csv"}, target="bigquery")
    found = lineage_of(spec, URL, lambda _: ERP, dataset="shop.warehouse").table
    assert (found.namespace, found.name) == ("bigquery", "shop.warehouse.city")


def test_a_column_says_what_it_is_made_of_and_how() -> None:
    spec = table(
        {"kind": "csv", "uri": "/srv/cities.csv"},
        {
            "id": {"source": "CITY_ID", "type": "integer"},
            "title": "text",
            "third": {"source": 3, "type": "numeric(10,2)"},
            "geoid": {"source": ["GEOID30", "GEOID20"], "type": "text"},
            "day": {"type": "date", "format": "%m/%d/%Y"},
        },
        geometry={"type": "Point", "x": "lon", "y": "lat", "invalid": "repair"},
    )
    seen = loaded(CITY_ID="text", title="text", area="number", GEOID20="text", day="text", lon="number", lat="number")
    found = lineage_of(spec, URL, lambda _: ERP, loaded=seen)
    assert found.columns == {
        "id": From(fields=("CITY_ID",), how="read as integer"),
        "title": From(fields=("title",)),
        "third": From(fields=("area",)),
        "geoid": From(fields=("GEOID20",)),
        "day": From(fields=("day",), how="read as date by %m/%d/%Y"),
        "geom": From(fields=("lon", "lat"), how="as geometry(Point,4326), repaired where it is invalid"),
    }
    assert found.source is not None
    assert dict(found.source.fields) == seen.source_columns
    assert dict(found.table.fields)["geom"] == "geometry(Point,4326)"
    assert found.table.description == "Cities"


def test_a_column_that_says_which_file_a_row_is_of_is_made_of_no_field() -> None:
    spec = table({"kind": "csv", "uri": "/srv/*.csv"}, {"id": "integer", "f": {"source": "$file", "type": "text"}})
    found = lineage_of(spec, URL, lambda _: ERP)
    assert list(found.columns) == ["id"]
    assert found.source is not None
    assert [name for name, _ in found.source.fields] == ["id"]


def test_a_file_without_names_has_its_columns_by_position() -> None:
    spec = table({"kind": "csv", "uri": "/a.csv", "header": False}, {"id": {"source": 2, "type": "text"}})
    for seen in (None, loaded(**{"1": "text", "2": "text"})):
        found = lineage_of(spec, URL, lambda _: ERP, loaded=seen)
        assert found.columns["id"].fields == ("2",)


def test_the_geometry_of_a_vector_file_is_a_field_of_its_own() -> None:
    spec = table({"kind": "vector", "uri": "/a.shp"}, geometry={"type": "MultiPolygon"})
    found = lineage_of(spec, URL, lambda _: ERP, loaded=loaded(id="number"))
    assert found.source is not None
    assert found.source.fields == (("id", "number"), ("geometry", None))
    assert found.columns["geom"].fields == ("geometry",)


def test_before_the_first_load_a_source_has_the_columns_that_the_file_names() -> None:
    found = lineage_of(table({"kind": "csv", "uri": "/a.csv"}), URL, lambda _: ERP)
    assert found.source is not None
    assert found.source.fields == (("id", None),)


def test_what_a_transform_makes_is_claimed_only_where_the_names_are_the_same(
    tmp_path: Path,
) -> None:
    spec = table({"kind": "csv", "uri": "/a.csv"}, {"id": "integer", "made": "text"}, transform=tmp_path / "city.py")
    found = lineage_of(spec, URL, lambda _: ERP, loaded=loaded(id="text", raw="text"))
    assert found.columns == {"id": From(fields=("id",), how="through transforms/city.py")}


def test_a_computed_column_is_made_of_the_fields_of_those_that_it_reads() -> None:
    columns = {
        "part": {"type": "integer", "source": "PART", "stored": False},
        "whole": "integer",
        "share": {"type": "numeric", "expression": "part / whole"},
        "percent": {"type": "numeric", "expression": "share * 100 + whole"},
    }
    found = lineage_of(table({"kind": "csv", "uri": "/a.csv"}, columns), URL, lambda _: ERP)
    assert found.columns == {
        "whole": From(fields=("whole",), how="read as integer"),
        "share": From(fields=("PART", "whole"), how="computed: part / whole"),
        "percent": From(fields=("PART", "whole"), how="computed: share * 100 + whole"),
    }
    assert [name for name, _ in found.table.fields] == ["whole", "share", "percent"]
