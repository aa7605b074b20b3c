"""BigQuery's Storage Read API over real gRPC, with the library's own messages; conditions are judged by DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import duckdb
import grpc
import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types

SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
NAME = "projects/p/datasets/d/tables/t"


@dataclass
class BigQueryStorage:
    """One table."""

    table: pa.Table
    batch_rows: int = 2
    refusals: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)
    """Answers to the next requests for a session."""
    breaks: list[tuple[int, grpc.StatusCode, str]] = field(default_factory=list)
    """After how many batches the next streams break off, and how."""
    sessions: list[types.CreateReadSessionRequest] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    lies: bool = False
    """Announce one row more than there is in each batch."""
    _rows: dict[str, pa.Table] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self._server = grpc.server(ThreadPoolExecutor(2))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.endpoint = f"127.0.0.1:{port}"
        handlers = {
            "CreateReadSession": grpc.unary_unary_rpc_method_handler(
                self._create, types.CreateReadSessionRequest.deserialize, types.ReadSession.serialize
            ),
            "ReadRows": grpc.unary_stream_rpc_method_handler(
                self._read, types.ReadRowsRequest.deserialize, types.ReadRowsResponse.serialize
            ),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait()

    def _create(self, request: types.CreateReadSessionRequest, context: Any) -> types.ReadSession:
        self.sessions.append(request)
        if self.refusals:
            context.abort(*self.refusals.pop(0))
        session = request.read_session
        if session.table != NAME:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: Table {session.table}")
        rows = self._filtered(session.read_options.row_restriction, context.abort)
        if session.read_options.selected_fields:
            # in the table's order, whatever the request's
            rows = rows.select([name for name in rows.schema.names if name in session.read_options.selected_fields])
        name = f"{session.table}/streams/{len(self.sessions)}"
        self._rows[name] = rows
        return types.ReadSession(
            name=f"sessions/{len(self.sessions)}",
            table=session.table,
            data_format=session.data_format,
            arrow_schema=types.ArrowSchema(serialized_schema=rows.schema.serialize().to_pybytes()),
            streams=[types.ReadStream(name=name)] if rows.num_rows else [],
            estimated_row_count=self.table.num_rows,
        )

    def _filtered(self, condition: str, abort: Callable[[grpc.StatusCode, str], None]) -> pa.Table:
        if not condition:
            return self.table
        given = self.table
        try:
            with duckdb.connect() as connection:
                numbered = given.append_column("_row", pa.array(range(given.num_rows)))
                connection.register("numbered", numbered)
                found = connection.execute(f"SELECT _row FROM numbered WHERE {condition} ORDER BY _row").fetchall()
        except duckdb.Error as error:
            abort(grpc.StatusCode.INVALID_ARGUMENT, f"request failed: Query error: {error}")
        return given.take([row[0] for row in found])

    def _read(self, request: types.ReadRowsRequest, context: Any) -> Iterator[types.ReadRowsResponse]:
        self.offsets.append(request.offset)
        after, *status = self.breaks.pop(0) if self.breaks else (None,)
        rows = self._rows[request.read_stream].slice(request.offset).combine_chunks()
        for number, batch in enumerate(rows.to_batches(max_chunksize=self.batch_rows)):
            if number == after:
                context.abort(*status)
            # a slice keeps its parent's buffers: what travels is the slice
            alone = pa.RecordBatch.from_arrays(
                [pa.concat_arrays([each]) for each in batch.columns], schema=batch.schema
            )
            yield types.ReadRowsResponse(
                arrow_record_batch=types.ArrowRecordBatch(serialized_record_batch=_message(alone)),
                row_count=batch.num_rows + self.lies,
            )


def _message(batch: pa.RecordBatch) -> bytes:
    """The batch's own message, compressed as the client asks for, without the schema."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(batch)
    messages = pa.ipc.MessageReader.open_stream(sink.getvalue())
    messages.read_next_message()
    return bytes(messages.read_next_message().serialize())
