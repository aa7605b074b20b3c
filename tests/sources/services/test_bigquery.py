"""BigQuery through its Storage Read API: over real gRPC, against a server that speaks the library's own messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import grpc
import pyarrow as pa
import pytest

from sluiceway.errors import (
    EmptyExtractionError,
    SettingsError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
)
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.sources.connections import Connection, Connections
from sluiceway.sources.services import bigquery as module
from sluiceway.sources.services.google_credentials import google_credentials
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened
from tests.stand_ins.bigquery_storage import NAME, BigQueryStorage
from tests.stand_ins.google_account import key_file, new_key

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
TOML = """
description = "Cities"
key = "id"
columns = { id = "integer", name = { source = "city_name", type = "text" } }
[source]
kind = "bigquery"
table = "p.d.t"
"""
ROWS = pa.table(
    {"city_name": ["a", "b", None, "d", "e"], "unused": [0.5] * 5, "id": pa.array([1, 2, 3, 4, 5], pa.int64())}
)


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 1.0)
    monkeypatch.setattr(module, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture
def bigquery() -> Iterator[BigQueryStorage]:
    with BigQueryStorage(ROWS) as server:
        yield server


@pytest.fixture
def connections(bigquery: BigQueryStorage) -> Connections:
    return lambda conn_id: Connection(
        conn_id=conn_id, conn_type="google_cloud_platform", extra={"endpoint": bigquery.endpoint, "project": "payer"}
    )


@pytest.fixture
def read(connections: Connections) -> Callable[[TableSpec], pa.Table]:
    def table(spec: TableSpec) -> pa.Table:
        with opened(spec, connections) as extraction:
            batches = list(extraction.batches)
        return pa.Table.from_batches(batches) if batches else pa.table({})

    return table


@pytest.fixture
def load(
    warehouse_url: str, open_run: Callable[[str], RunKey], connections: Connections
) -> Callable[[TableSpec], TableRun]:
    return lambda spec: load_table(spec, warehouse_url, run=open_run("r1"), connections=connections)


def test_a_table_loads(write_spec: WriteSpec, load: Callable[[TableSpec], TableRun], query: Query) -> None:
    result = load(write_spec("city", TOML))
    assert (result.extracted, result.inserted) == (5, 5)
    assert query("SELECT id, name FROM city WHERE id < 4 ORDER BY id") == [(1, "a"), (2, "b"), (3, None)]


def test_only_the_needed_columns_are_read(
    write_spec: WriteSpec, read: Callable[[TableSpec], pa.Table], bigquery: BigQueryStorage
) -> None:
    table = read(write_spec("city", TOML))
    assert table.schema.names == ["id", "name"]
    first, second = bigquery.sessions
    assert list(first.read_session.read_options.selected_fields) == []
    assert sorted(second.read_session.read_options.selected_fields) == ["city_name", "id"]
    # nothing was read of the session that was only asked for the columns
    assert len(bigquery.offsets) == 1
    assert (second.parent, second.read_session.table) == ("projects/payer", NAME)


def test_columns_are_known_with_their_families(
    write_spec: WriteSpec, connections: Connections, bigquery: BigQueryStorage
) -> None:
    with opened(write_spec("city", TOML), connections) as extraction:
        assert dict(extraction.columns) == {"city_name": "text", "unused": "number", "id": "number"}
        assert extraction.total_rows == 5


def test_a_row_filter_is_judged_by_the_server(
    write_spec: WriteSpec, read: Callable[[TableSpec], pa.Table], bigquery: BigQueryStorage
) -> None:
    table = read(write_spec("city", TOML + "row_filter = \"id > 3 AND city_name != 'e'\"\n"))
    assert table.to_pylist() == [{"id": 4, "name": "d"}]


def test_a_wrong_row_filter_says_so(write_spec: WriteSpec, read: Callable[[TableSpec], pa.Table]) -> None:
    with pytest.raises(SourceUnreadableError, match=r"Query error: .*nosuch.*; check source\.row_filter"):
        read(write_spec("city", TOML + 'row_filter = "nosuch > 3"\n'))


def test_an_empty_table_has_columns_and_no_rows(
    write_spec: WriteSpec,
    bigquery: BigQueryStorage,
    connections: Connections,
    load: Callable[[TableSpec], TableRun],
) -> None:
    bigquery.table = ROWS.slice(0, 0)
    spec = write_spec("city", TOML)
    with opened(spec, connections) as extraction:
        assert set(extraction.columns) == {"city_name", "unused", "id"}
        assert list(extraction.batches) == []
    with pytest.raises(EmptyExtractionError):
        load(spec)


def test_a_missing_table_says_so(write_spec: WriteSpec, read: Callable[[TableSpec], pa.Table]) -> None:
    with pytest.raises(SourceMissingError, match=r"city: p\.d\.x is not there: Not found: .*; check source\.table"):
        read(write_spec("city", TOML.replace("p.d.t", "p.d.x")))


def test_a_missing_right_names_the_roles(
    write_spec: WriteSpec, read: Callable[[TableSpec], pa.Table], bigquery: BigQueryStorage
) -> None:
    bigquery.refusals = [(grpc.StatusCode.PERMISSION_DENIED, "bigquery.readsessions.create denied")]
    with pytest.raises(SourceUnreadableError, match=r"Data Viewer on the table and .* Session User on project payer"):
        read(write_spec("city", TOML))


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_a_passing_fault_is_waited_out(
    write_spec: WriteSpec, read: Callable[[TableSpec], pa.Table], bigquery: BigQueryStorage, status: grpc.StatusCode
) -> None:
    bigquery.refusals = [(status, "later")] * 2
    assert read(write_spec("city", TOML)).num_rows == 5


def test_a_fault_that_stays_is_transient(
    write_spec: WriteSpec, read: Callable[[TableSpec], pa.Table], bigquery: BigQueryStorage
) -> None:
    bigquery.refusals = [(grpc.StatusCode.UNAVAILABLE, "later")] * 1000
    with pytest.raises(SourceUnavailableError, match=r"BigQuery does not answer|later"):
        read(write_spec("city", TOML))


def test_a_stream_that_breaks_off_goes_on_behind_the_last_row(
    write_spec: WriteSpec, read: Callable[[TableSpec], pa.Table], bigquery: BigQueryStorage
) -> None:
    bigquery.breaks = [(1, grpc.StatusCode.UNAVAILABLE, "gone"), (0, grpc.StatusCode.INTERNAL, "RST_STREAM")]
    assert read(write_spec("city", TOML)).column("id").to_pylist() == [1, 2, 3, 4, 5]
    assert bigquery.offsets == [0, 2, 2]


def test_a_stream_that_never_gets_any_further_is_transient_and_loads_nothing(
    write_spec: WriteSpec, load: Callable[[TableSpec], TableRun], bigquery: BigQueryStorage, query: Query
) -> None:
    bigquery.breaks = [(1, grpc.StatusCode.UNAVAILABLE, "gone")] + [(0, grpc.StatusCode.UNAVAILABLE, "gone")] * 1000
    with pytest.raises(SourceUnavailableError, match="gone; try again later"):
        load(write_spec("city", TOML))
    assert query("SELECT to_regclass('city') IS NULL") == [(True,)]


def test_a_batch_of_another_size_than_announced_is_an_error(
    write_spec: WriteSpec, read: Callable[[TableSpec], pa.Table], bigquery: BigQueryStorage
) -> None:
    bigquery.lies = True
    with pytest.raises(SourceUnreadableError, match="announced 3 rows and sent 2"):
        read(write_spec("city", TOML))


def test_every_type_of_bigquery_loads(
    write_spec: WriteSpec, bigquery: BigQueryStorage, load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    big = Decimal("12345678901234567890123456789012345678.12345678901234567890123456789012345678")
    bigquery.table = pa.table(
        {
            "id": pa.array([1], pa.int64()),
            "flag": pa.array([True]),
            "amount": pa.array([Decimal("1.500000000")], pa.decimal128(38, 9)),
            "big": pa.array([big], pa.decimal256(76, 38)),
            "born": pa.array([date(2020, 2, 29)]),
            "seen": pa.array([datetime(2020, 1, 2, 3, 4, 5, 6)], pa.timestamp("us")),  # noqa: DTZ001
            "at": pa.array([datetime(2020, 1, 2, 3, 4, 5, 6, UTC)], pa.timestamp("us", "UTC")),
            "noon": pa.array([12 * 3600 * 10**6], pa.time64("us")),
            "tags": pa.array([["a", "b"]], pa.list_(pa.string())),
            "part": pa.array(
                [{"x": 1, "y": [big]}], pa.struct([("x", pa.int64()), ("y", pa.list_(pa.decimal256(76, 38)))])
            ),
        }
    )
    types = {
        "flag": "boolean",
        "amount": "numeric(12,2)",
        "big": "numeric",
        "born": "date",
        "seen": "timestamp",
        "at": "timestamptz",
        "noon": "text",
        "tags": "jsonb",
        "part": "jsonb",
    }
    columns = ", ".join(f'{name} = "{kind}"' for name, kind in types.items())
    toml = TOML.replace('name = { source = "city_name", type = "text" }', columns)
    assert load(write_spec("city", toml)).inserted == 1
    assert query(f"SELECT {', '.join(f'{name}::text' for name in types)} FROM city") == [
        (
            "true",
            "1.50",
            str(big),
            "2020-02-29",
            "2020-01-02 03:04:05.000006",
            "2020-01-02 03:04:05.000006+00",
            "12:00:00",
            '["a", "b"]',
            f'{{"x": 1, "y": [{big}]}}',
        )
    ]


def test_a_geography_is_wkt_in_wgs_84(
    write_spec: WriteSpec, connections: Connections, bigquery: BigQueryStorage
) -> None:
    field = pa.field("shape", pa.string(), metadata={"ARROW:extension:name": "google:sqlType:geography"})
    columns = [pa.array([1]), pa.array(["a"]), pa.array(["POINT(-121 38)"])]
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("city_name", pa.string()), field])
    bigquery.table = pa.Table.from_arrays(columns, schema=schema)
    toml = TOML + '[geometry]\ntype = "Point"\nsource = "shape"\n'
    with opened(write_spec("city", toml), connections) as extraction:
        assert (extraction.crs, extraction.columns["shape"]) == ("EPSG:4326", "other")
        assert next(extraction.batches).column("geom").to_pylist() == ["POINT(-121 38)"]


def test_large_answers_are_cut_into_slices(
    write_spec: WriteSpec, connections: Connections, bigquery: BigQueryStorage
) -> None:
    # 6 MB in one message: above gRPC's own limit of 4 MB
    bigquery.batch_rows = 6000
    bigquery.table = pa.table(
        {"id": pa.array(range(6000), pa.int64()), "city_name": [f"{i:01000}" for i in range(6000)]}
    )
    with opened(write_spec("city", TOML), connections) as extraction:
        batches = list(extraction.batches)
    assert len(batches) > 1
    assert pa.Table.from_batches(batches).column("id").to_pylist() == list(range(6000))
    # all columns are needed: the first session does
    assert len(bigquery.sessions) == 1


def test_a_server_that_does_not_answer_is_unavailable(
    write_spec: WriteSpec, bigquery: BigQueryStorage, read: Callable[[TableSpec], pa.Table]
) -> None:
    spec = write_spec("city", TOML)
    bigquery.__exit__()
    with pytest.raises(SourceUnavailableError):
        read(spec)


@pytest.fixture(scope="module")
def key() -> dict[str, str]:
    """A service account's key as Google hands it out."""
    return key_file(new_key(), "https://oauth2.googleapis.com/token")


@pytest.mark.parametrize("how", ["keyfile_dict", "text", "old", "key_path"])
def test_a_service_account_is_found_in_the_connection(key: dict[str, str], how: str, tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text(json.dumps(key))
    extra = {
        "keyfile_dict": {"keyfile_dict": key},
        "text": {"keyfile_dict": json.dumps(key), "project": "payer"},
        "old": {"extra__google_cloud_platform__keyfile_dict": json.dumps(key)},
        "key_path": {"key_path": str(tmp_path / "key.json")},
    }[how]
    connection = Connection(conn_id="g", conn_type="google_cloud_platform", extra=extra)
    credentials, project = google_credentials("t", connection, module.SCOPES)
    assert project == ("payer" if how == "text" else "own")
    assert module.account_of(credentials) == "loader@own.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("extra", "match"),
    [
        ({"keyfile_dict": "{s3cret"}, "its extra keyfile_dict is no JSON"),
        (
            {"keyfile_dict": {"type": "authorized_user"}},
            r"no key of a service account \(its type is 'authorized_user'\)",
        ),
        ({"keyfile_dict": {"type": "service_account", "private_key": "s3cret"}}, "holds no usable key"),
        ({"key_path": "/nosuch.json"}, "/nosuch.json, its extra key_path, cannot be read: No such file"),
        ({}, "has neither the extra keyfile_dict nor key_path"),
    ],
)
def test_wrong_credentials_are_one_sentence(
    extra: dict[str, object], match: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    connection = Connection(conn_id="g", conn_type="google_cloud_platform", extra=extra)
    with pytest.raises(SettingsError, match=match) as caught:
        google_credentials("t", connection, module.SCOPES)
    assert str(caught.value).startswith("t: connection 'g'")
    assert "s3cret" not in str(caught.value)
