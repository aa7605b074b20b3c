"""A BigQuery table through the Storage Read API: Arrow batches as the server makes them."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc  # type: ignore[import-untyped]
import pyarrow as pa
from google.api_core import exceptions as api
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.bigquery_storage_v1 import types
from google.cloud.bigquery_storage_v1.services.big_query_read import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from sluiceway.amounts import counted
from sluiceway.errors import (
    SettingsError,
    SluicewayError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
)
from sluiceway.sources.connections import Connections
from sluiceway.sources.extraction import Extraction, chosen_columns, family, geometry_columns
from sluiceway.sources.formats.texts import json_text, not_utf8, text_array
from sluiceway.sources.services.api_client import LOCAL_HOSTS
from sluiceway.sources.services.google_credentials import account_of, google_credentials, google_extra
from sluiceway.tables.source_spec import BigQuerySource
from sluiceway.tables.spec import TableSpec

SCOPES = ("https://www.googleapis.com/auth/bigquery", "https://www.googleapis.com/auth/cloud-platform")
SLICE_BYTES = 4 << 20
"""Handed over at once; the server sends up to 10 MB and more."""
RETRY_SECONDS = 120.0
"""How long a request that gets no answer is tried again."""
RESUMES = 5
"""How often a stream that breaks off is resumed without getting any further."""
FIRST_WAIT_SECONDS = 0.5

_GEOGRAPHY = b"google:sqlType:geography"
_TRANSIENT = (
    api.ServiceUnavailable,
    api.InternalServerError,
    api.BadGateway,
    api.GatewayTimeout,  # DeadlineExceeded too
    api.TooManyRequests,  # ResourceExhausted too
    api.Unknown,
    api.Aborted,
)


@contextmanager
def open_bigquery(spec: TableSpec, source: BigQuerySource, connections: Connections) -> Iterator[Extraction]:
    """Open the table; only the columns that are needed are read and charged."""
    with _connected(spec, source, connections) as server:
        described = server.create_session(())
        schema = _schema(described)
        columns = {field.name: _family(field) for field in schema}
        chosen = chosen_columns(spec, columns, source.table) | geometry_columns(spec, columns, source.table)
        needed = list(dict.fromkeys(chosen.values()))
        # a session that was only asked for the columns costs nothing
        session = described if set(needed) == set(columns) else server.create_session(needed)
        shape = schema.field(spec.geometry.source) if spec.geometry is not None and spec.geometry.source else None
        yield Extraction(
            columns=columns,
            batches=server.batches(session, chosen),
            total_rows=session.estimated_row_count or None if source.row_filter is None else None,
            crs="EPSG:4326" if shape is not None and _is_geography(shape) else None,
        )


@contextmanager
def _connected(spec: TableSpec, source: BigQuerySource, connections: Connections) -> Iterator[_Server]:
    connection = connections(source.connection)
    endpoint = google_extra(connection, "endpoint")
    project, _, _ = source.table.partition(".")
    if endpoint is not None and _host(str(endpoint)) in LOCAL_HOSTS:
        # something on this machine that stands in for Google; without TLS no credentials travel
        channel = grpc.insecure_channel(str(endpoint), options=[("grpc.max_receive_message_length", -1)])
        client = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
        server = _Server(spec, source, client, google_extra(connection, "project") or project, "this account")
    else:
        credentials, charged = google_credentials(spec.name, connection, SCOPES)
        options = {"api_endpoint": str(endpoint)} if endpoint is not None else {}
        client = BigQueryReadClient(credentials=credentials, client_options=options)
        server = _Server(spec, source, client, charged or project, account_of(credentials))
    try:
        yield server
    finally:
        client.transport.close()  # type: ignore[no-untyped-call]


def _host(endpoint: str) -> str:
    return endpoint.rpartition(":")[0].strip("[]")


@dataclass
class _Server:
    spec: TableSpec
    source: BigQuerySource
    client: BigQueryReadClient
    charged: str
    """The project that pays for reading."""
    account: str

    def create_session(self, fields: tuple[str, ...] | list[str]) -> types.ReadSession:
        """A session that reads these columns; all if there are none."""
        project, dataset, table = self.source.table.split(".")
        wanted = types.ReadSession(
            table=f"projects/{project}/datasets/{dataset}/tables/{table}",
            data_format=types.DataFormat.ARROW,
            read_options=types.ReadSession.TableReadOptions(
                selected_fields=list(fields),
                row_restriction=self.source.row_filter or "",
                arrow_serialization_options=types.ArrowSerializationOptions(
                    buffer_compression=types.ArrowSerializationOptions.CompressionCodec.LZ4_FRAME
                ),
            ),
        )
        with self._named_errors():
            return self.client.create_read_session(
                parent=f"projects/{self.charged}",
                read_session=wanted,
                # one stream: the rows' order is the same in every load, and PostgreSQL is the slower side
                max_stream_count=1,
                retry=Retry(
                    predicate=lambda error: isinstance(error, _TRANSIENT),
                    initial=FIRST_WAIT_SECONDS,
                    timeout=RETRY_SECONDS,
                ),
                timeout=60.0,
            )

    def batches(self, session: types.ReadSession, chosen: Mapping[str, str]) -> Generator[pa.RecordBatch, None, None]:
        """The rows of all streams of `session`, with the columns of `chosen`."""
        schema = _schema(session)
        for stream in session.streams:
            for response in self._responses(stream.name):
                batch = pa.ipc.read_record_batch(
                    pa.py_buffer(response.arrow_record_batch.serialized_record_batch), schema
                )
                if batch.num_rows != response.row_count:
                    raise SourceUnreadableError(
                        f"{self.spec.name}: {self.source.table}: BigQuery announced "
                        f"{counted(response.row_count, 'row')} and sent {batch.num_rows:,}"
                    )
                arrays = [self._sound(name, _exact(batch.column(name))) for name in chosen.values()]
                renamed = pa.RecordBatch.from_arrays(arrays, names=list(chosen))
                rows = max(1, renamed.num_rows * SLICE_BYTES // max(SLICE_BYTES, renamed.nbytes))
                for start in range(0, renamed.num_rows, rows):
                    yield renamed.slice(start, rows)

    def _sound(self, name: str, values: pa.Array) -> pa.Array:
        if (wrong := not_utf8(values)) is not None:
            shown = wrong[1][:40].decode("ascii", "backslashreplace")
            raise SourceUnreadableError(
                f"{self.spec.name}: {self.source.table}, column {name!r}: BigQuery sends the text {shown!r}, which is "
                f"no UTF-8; mend it there, or leave its row out by source.row_filter"
            )
        return values

    def _responses(self, stream: str) -> Iterator[types.ReadRowsResponse]:
        """What one stream sends; after a break it goes on behind the last row."""
        offset = failures = 0
        while True:
            try:
                with self._named_errors():
                    for response in self.client.read_rows(read_stream=stream, offset=offset, retry=None):
                        offset += response.row_count
                        failures = 0
                        yield response
                    return
            except SourceUnavailableError:
                failures += 1
                if failures > RESUMES:
                    raise
                time.sleep(FIRST_WAIT_SECONDS * 2**failures)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        where = f"{self.spec.name}: {self.source.table}"
        try:
            yield
        except api.GoogleAPICallError as error:
            raise self._named(where, error) from error
        except (api.RetryError, TransportError) as error:
            raise SourceUnavailableError(f"{where}: BigQuery does not answer: {_first_line(error)}") from error
        except GoogleAuthError as error:
            raise SettingsError(
                f"{where}: Google refuses the credentials of connection {self.source.connection!r}: "
                f"{_first_line(error)}"
            ) from error

    def _named(self, where: str, error: api.GoogleAPICallError) -> SluicewayError:
        said = " ".join(str(error.message).split())
        match error:
            case api.NotFound():
                return SourceMissingError(f"{where} is not there: {said}; check source.table")
            case api.Forbidden():
                return SourceUnreadableError(
                    f"{where}: {said}; give {self.account} the roles BigQuery Data Viewer on the table and "
                    f"BigQuery Read Session User on project {self.charged}"
                )
            case api.Unauthorized():
                return SettingsError(f"{where}: {said}; correct connection {self.source.connection!r}")
            case api.BadRequest() if self.source.row_filter is not None:
                return SourceUnreadableError(f"{where}: {said}; check source.row_filter")
            case _ if isinstance(error, _TRANSIENT):
                return SourceUnavailableError(f"{where}: {said}; try again later")
            case _:
                return SourceUnreadableError(f"{where}: {said}")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _schema(session: types.ReadSession) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))


def _is_geography(field: pa.Field) -> bool:
    return bool((field.metadata or {}).get(b"ARROW:extension:name") == _GEOGRAPHY)


def _family(field: pa.Field) -> str:
    return "other" if _is_geography(field) else family(field.type)


def _exact(values: pa.Array) -> pa.Array:
    """The values in a type that all that follows can read: BIGNUMERIC has too many digits for it."""
    if "decimal256" not in str(values.type):
        return values
    if pa.types.is_decimal256(values.type):
        return values.cast(pa.string())
    nested: list[Any] = values.to_pylist()
    return text_array([None if value is None else json_text(value) for value in nested])
