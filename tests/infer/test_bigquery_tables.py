"""Drafts of tables of BigQuery: what tables.get says, and the rows of the Storage Read API. On stand-ins of both."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import Result
from typer.testing import CliRunner

from sluiceway.cli.app import app
from sluiceway.load.bigquery import dataset as module
from tests.stand_ins.bigquery import BigQuery, refusal
from tests.stand_ins.bigquery_sql import Table
from tests.stand_ins.bigquery_storage import BigQueryStorage

Run = Callable[..., Result]
Query = Callable[..., list[tuple[object, ...]]]
GEOGRAPHY = {"ARROW:extension:name": "google:sqlType:geography"}
FIELDS = [
    {"name": "id", "type": "INTEGER", "mode": "REQUIRED", "description": "Number of the\nstation"},
    {"name": "code", "type": "STRING", "maxLength": "3"},
    {"name": "name", "type": "STRING"},
    {"name": "price", "type": "NUMERIC", "precision": "10", "scale": "2"},
    {"name": "usual", "type": "NUMERIC"},
    {"name": "huge", "type": "BIGNUMERIC"},
    {"name": "share", "type": "FLOAT"},
    {"name": "open", "type": "BOOLEAN"},
    {"name": "founded", "type": "DATE"},
    {"name": "at", "type": "TIMESTAMP"},
    {"name": "local", "type": "DATETIME"},
    {"name": "tags", "type": "STRING", "mode": "REPEATED"},
    {"name": "address", "type": "RECORD", "fields": [{"name": "street", "type": "STRING"}]},
    {"name": "doc", "type": "JSON"},
    {"name": "raw", "type": "BYTES"},
    {"name": "place", "type": "GEOGRAPHY"},
]
ROWS = pa.table(
    {
        "id": pa.array([1, 2], pa.int64()),
        "code": ["a", "b"],
        "name": ["Ponce", None],
        "price": pa.array([Decimal("1.25"), None], pa.decimal128(10, 2)),
        "usual": pa.array([Decimal("1.5"), Decimal(2)], pa.decimal128(38, 9)),
        "huge": pa.array([Decimal("1.123456789012345"), None], pa.decimal256(76, 38)),
        "share": [0.5, None],
        "open": [True, None],
        "founded": pa.array([date(1848, 1, 31), None]),
        "at": pa.array([datetime(2020, 1, 1, tzinfo=UTC), None], pa.timestamp("us", tz="UTC")),
        "local": pa.array([datetime(2020, 1, 1), None], pa.timestamp("us")),  # noqa: DTZ001
        "tags": [["x", "y"], []],
        "address": [{"street": "Calle"}, None],
        "doc": ['{"a": 1}', None],
        "raw": pa.array([b"x", None], pa.binary()),
        "place": ["POINT(9 50)", "POINT(8 49)"],
    }
)


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 1.0)


@pytest.fixture
def storage() -> Iterator[BigQueryStorage]:
    fields = [each.with_metadata(GEOGRAPHY) if each.name == "place" else each for each in ROWS.schema]
    with BigQueryStorage(ROWS.cast(pa.schema(fields))) as server:
        yield server


@pytest.fixture
def rest(storage: BigQueryStorage, monkeypatch: pytest.MonkeyPatch) -> Iterator[BigQuery]:
    with BigQuery(project="p", dataset="d") as server:
        extra = {"endpoint": storage.endpoint, "rest_endpoint": server.uri, "project": "payer"}
        connection = {"conn_type": "google_cloud_platform", "extra": extra}
        for name in ("GOOGLE_CLOUD_DEFAULT", "OTHER"):
            monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(connection))
        server.tables["p.d.t"] = Table(described())
        yield server


def described(**more: Any) -> dict[str, Any]:
    """The resource of the table."""
    reference = {"projectId": "p", "datasetId": "d", "tableId": "t"}
    return {"type": "TABLE", "tableReference": reference, "schema": {"fields": FIELDS}, **more}


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(app, ["tables", *map(str, arguments)])


def drafted(run: Run, *arguments: str) -> dict[str, Any]:
    result = run("infer", *arguments)
    assert result.exit_code == 0, result.output
    return tomllib.loads(result.stdout)


@pytest.mark.usefixtures("rest")
def test_every_column_has_the_type_that_the_schema_says(run: Run) -> None:
    found = drafted(run, "bigquery://p.d.t")
    assert found["columns"] == {
        "id": {"type": "bigint", "description": "Number of the station"},
        "code": "varchar(3)",
        "name": "text",
        "price": "numeric(10,2)",
        "usual": "numeric(38,9)",
        "huge": "numeric",
        "share": "double precision",
        "open": "boolean",
        "founded": "date",
        "at": "timestamptz",
        "local": "timestamp",
        "tags": "jsonb",
        "address": "jsonb",
        "doc": "jsonb",
    }
    assert found["geometry"] == {"type": "Point", "source": "place"}
    assert found["source"] == {"kind": "bigquery", "table": "p.d.t"}


@pytest.mark.usefixtures("rest")
def test_a_record_an_array_and_bytes_are_remarked(run: Run) -> None:
    text = run("infer", "bigquery://p.d.t").stdout
    assert 'tags = "jsonb"  # an array of STRING, as JSON' in text
    assert 'address = "jsonb"  # a record of street, as JSON' in text
    assert "# 'raw' is left out: its values are bytes" in text


@pytest.mark.usefixtures("rest")
def test_a_draft_of_bigquery_passes_the_check_and_loads(
    run: Run, tmp_path: Path, warehouse_url: str, query: Query
) -> None:
    out = tmp_path / "station.toml"
    assert run("infer", "--connection", "other", "--table", "p.d.t", "-o", out).exit_code == 0
    assert tomllib.loads(out.read_text(encoding="utf-8"))["source"]["connection"] == "other"
    assert run("check", out).exit_code == 0
    result = run("run", out, "--warehouse", warehouse_url)
    assert "2 extracted = 2 inserted" in " ".join(result.output.split()), result.output
    found = query("SELECT id, huge::text, tags, address, ST_AsText(geom) FROM station ORDER BY id")
    assert found[0] == (1, "1.12345678901234500000000000000000000000", ["x", "y"], {"street": "Calle"}, "POINT(9 50)")


@pytest.mark.usefixtures("rest")
def test_an_address_of_bigquery_is_used_once_as_a_file_is(run: Run, warehouse_url: str, query: Query) -> None:
    result = run("run", "bigquery://p.d.t", "--warehouse", warehouse_url)
    assert result.exit_code == 0, result.output
    assert query("SELECT count(*) FROM t") == [(2,)]


def test_the_primary_key_of_the_schema_is_the_key(run: Run, rest: BigQuery) -> None:
    rest.tables["p.d.t"] = Table(described(tableConstraints={"primaryKey": {"columns": ["code", "id"]}}))
    assert drafted(run, "bigquery://p.d.t")["key"] == ["code", "id"]


def test_a_primary_key_that_the_rows_speak_against_is_not_taken(
    run: Run, rest: BigQuery, storage: BigQueryStorage
) -> None:
    rest.tables["p.d.t"] = Table(described(tableConstraints={"primaryKey": {"columns": ["code"]}}))
    at = storage.table.schema.get_field_index("code")
    storage.table = storage.table.set_column(at, "code", pa.array(["a", "a"]))
    assert drafted(run, "bigquery://p.d.t")["key"] == "id"


def test_what_a_table_is_clustered_by_is_the_key_where_it_is_unique(run: Run, rest: BigQuery) -> None:
    rest.tables["p.d.t"] = Table(described(clustering={"fields": ["code"]}))
    result = run("infer", "bigquery://p.d.t")
    assert 'key = "code"  # the table is clustered by it; is it unique by its meaning?' in result.stdout


def test_an_empty_table_is_drafted_from_its_schema(run: Run, rest: BigQuery, storage: BigQueryStorage) -> None:
    storage.table = storage.table.slice(0, 0)
    rest.tables["p.d.t"] = Table(described(description="Stations", clustering={"fields": ["code"]}))
    found = drafted(run, "bigquery://p.d.t")
    assert (found["description"], found["key"]) == ("Stations", "content")
    assert found["columns"]["price"] == "numeric(10,2)"


@pytest.mark.parametrize("kind", ["VIEW", "MATERIALIZED_VIEW", "EXTERNAL"])
def test_what_the_storage_api_does_not_read_is_refused(run: Run, rest: BigQuery, kind: str) -> None:
    rest.tables["p.d.t"] = Table(described() | {"type": kind})
    result = run("infer", "bigquery://p.d.t")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"p.d.t is of type {kind.lower().replace('_', ' ')}" in " ".join(result.stderr.split())


@pytest.mark.usefixtures("rest")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("bigquery://p.d.nothing",), 1, "p.d.nothing is not there"),
        (("bigquery://p.d",), 2, "--table = 'p.d': a table of BigQuery is named project.dataset.table"),
        (("--connection", "other"), 2, "--table: is missing"),
        (("--connection", "other", "--query", "SELECT 1"), 2, "a table of BigQuery is read as it is"),
    ],
)
def test_what_cannot_be_asked_for_is_one_sentence(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = run("infer", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in " ".join(result.stderr.split())


def test_a_table_that_may_not_be_seen_says_which_role_is_missing(run: Run, rest: BigQuery) -> None:
    rest.refuses["GET /tables/"] = refusal(403, "accessDenied", "Access Denied: Table p:d.t")
    result = run("infer", "bigquery://p.d.t")
    assert result.exit_code == 1
    assert "the role BigQuery Data Viewer" in " ".join(result.stderr.split())
