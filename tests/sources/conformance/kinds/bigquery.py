"""A BigQuery table."""

from __future__ import annotations

from typing import ClassVar

import grpc
import pyarrow as pa

from sluiceway.errors import EmptyExtractionError
from sluiceway.sources.connections import Connection
from sluiceway.sources.services import bigquery as module
from tests.sources.conformance.kind import ANSWERED, Bench, Served, Table
from tests.sources.conformance.kinds.parquet import in_cp1252
from tests.stand_ins.bigquery_storage import BigQueryStorage

GONE = (grpc.StatusCode.UNAVAILABLE, "Connection reset")


class BigQuery:
    """Columns have types, and rows come two by two."""

    excused: ClassVar = {
        "empty": "A table has its columns from the start: without a row it is the case header_only.",
        "broken_record": "BigQuery sends columns, all of one length.",
        "declared_encoding": "A STRING of BigQuery is UTF-8 by its definition.",
        "cut_off": ANSWERED,
    }
    empty_is = EmptyExtractionError

    def rows(self, bench: Bench, table: Table) -> Served:
        return _served(bench, table.arrow())

    def misencoded(self, bench: Bench, table: Table) -> Served:
        return _served(bench, in_cp1252(table))

    def breaking_off(self, bench: Bench, table: Table) -> Served:
        half = len(table.rows) // 4
        # and after that however often it is resumed: the load, its second reading and their retries
        return _served(bench, table.arrow(), breaks=[(half, *GONE), *[(0, *GONE)] * 5] * 2)


def _served(bench: Bench, table: pa.Table, breaks: list[tuple[int, grpc.StatusCode, str]] | None = None) -> Served:
    bench.patch.setattr(module, "RETRY_SECONDS", 0.1)
    bench.patch.setattr(module, "FIRST_WAIT_SECONDS", 0.001)
    server = bench.until_the_end.enter_context(BigQueryStorage(table, breaks=breaks or []))
    extra = {"endpoint": server.endpoint, "project": "payer"}
    return Served(
        {"table": "p.d.t"},
        "p.d.t",
        lambda conn_id: Connection(conn_id=conn_id, conn_type="google_cloud_platform", extra=extra),
    )


KIND = BigQuery()
