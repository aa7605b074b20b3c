"""An API that answers with JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import ClassVar

from sluiceway.errors import EmptyExtractionError
from sluiceway.sources.services import api_client
from sluiceway.sources.services import http_json as module
from tests.sources.conformance.kind import ANSWERED, Bench, Served, Table
from tests.stand_ins.web_service import Reply, Request, WebService


class HttpJson:
    """One answer, which is an array."""

    excused: ClassVar = {"cut_off": ANSWERED}
    empty_is = EmptyExtractionError

    def rows(self, bench: Bench, table: Table) -> Served:
        return _served(bench, lambda _: Reply(body=table.records))

    def empty(self, bench: Bench) -> Served:
        return _served(bench, lambda _: Reply(body=[]))

    def with_broken_record(self, bench: Bench, table: Table, number: int) -> Served:
        records: list[object] = list(table.records)
        records[number - 1] = "no object"
        return _served(bench, lambda _: Reply(body=records))

    def misencoded(self, bench: Bench, table: Table) -> Served:
        return _served(bench, lambda _: Reply(body=_in_cp1252(table)))

    def encoded(self, bench: Bench, table: Table) -> Served:
        said = {"Content-Type": "application/json; charset=windows-1252"}
        return _served(bench, lambda _: Reply(body=_in_cp1252(table), headers=said))

    def breaking_off(self, bench: Bench, table: Table) -> Served:
        bench.patch.setattr(module, "BATCH_BYTES", 1)
        half = len(table.rows) // 2

        def answer(request: Request) -> Reply:
            if request.params["page"] == "1":
                return Reply(body=table.records[:half])
            return Reply(body=table.records[half:], breaks_off=True)

        served = _served(bench, answer)
        return Served({**served.source, "paging": {"type": "page", "param": "page"}}, served.place)


def _in_cp1252(table: Table) -> bytes:
    return json.dumps(table.records, ensure_ascii=False).encode("cp1252")


def _served(bench: Bench, answer: Callable[[Request], Reply]) -> Served:
    bench.patch.setattr(api_client, "RETRY_SECONDS", 0.05)
    bench.patch.setattr(api_client, "FIRST_WAIT_SECONDS", 0.01)
    service = bench.until_the_end.enter_context(WebService(answer))
    uri = f"{service.uri}/cities"
    return Served({"uri": uri, "requests_per_second": 1000}, uri)


KIND = HttpJson()
