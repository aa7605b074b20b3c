"""One sheet of a Google spreadsheet."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import ClassVar
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric import rsa

from sluiceway.errors import EmptyExtractionError
from sluiceway.sources.connections import Connection
from sluiceway.sources.services import api_client
from sluiceway.sources.services import gsheet as module
from tests.sources.conformance.kind import ANSWERED, Bench, Cell, Served, Table
from tests.stand_ins.google_account import extra_of, new_key, public_key_of
from tests.stand_ins.google_sheets import GoogleSheets
from tests.stand_ins.web_service import Reply, Request


class GSheet:
    """A header; every cell is a text, and one without any is null."""

    excused: ClassVar = {
        "broken_record": "A cell has a place of its own: no row can shift the values of another column.",
        "declared_encoding": "Google answers in UTF-8, and a spreadsheet has no encoding of its own.",
        "cut_off": ANSWERED,
    }
    empty_is = EmptyExtractionError

    def rows(self, bench: Bench, table: Table) -> Served:
        return _served(bench, _cells(table))[1]

    def empty(self, bench: Bench) -> Served:
        return _served(bench, [])[1]

    def misencoded(self, bench: Bench, table: Table) -> Served:
        service, served = _served(bench, _cells(table))
        right = service.answer

        def answer(request: Request) -> Reply:
            reply = right(request)
            if "/values/" in request.path:
                reply.body = json.dumps(reply.body, ensure_ascii=False).encode("cp1252")
            return reply

        service.answer = answer
        return _on_the_way(service, served)

    def breaking_off(self, bench: Bench, table: Table) -> Served:
        half = len(table.rows) // 2
        bench.patch.setattr(module, "MIN_ROWS", half // 2)
        bench.patch.setattr(module, "REQUEST_CELLS", 1)
        service, served = _served(bench, _cells(table))
        right = service.answer

        def answer(request: Request) -> Reply:
            reply = right(request)
            lines = re.search(r"!(\d+):\d+$", unquote(request.path))
            reply.breaks_off = lines is not None and int(lines[1]) > half
            return reply

        service.answer = answer
        return _on_the_way(service, served)


def _on_the_way(service: GoogleSheets, served: Served) -> Served:
    """What Google sends is broken, whatever was asked: a message names the service."""
    return Served(served.source, service.uri, served.connections)


@cache
def _key() -> rsa.RSAPrivateKey:
    return new_key()


def _cells(table: Table) -> list[list[str]]:
    return [list(table.columns), *([_shown(value) for value in row] for row in table.rows)]


def _shown(value: Cell) -> str:
    return "" if value is None else str(value)


def _served(bench: Bench, cells: list[list[str]]) -> tuple[GoogleSheets, Served]:
    bench.patch.setattr(api_client, "RETRY_SECONDS", 0.05)
    bench.patch.setattr(api_client, "FIRST_WAIT_SECONDS", 0.01)
    bench.patch.setattr(module, "REQUESTS_PER_SECOND", 1000)
    service = bench.until_the_end.enter_context(GoogleSheets(public_key=public_key_of(_key())))
    service.sheets = {"Cities": cells}
    extra = extra_of(service, _key())
    served = Served(
        {"spreadsheet": service.id},
        f"spreadsheet {service.id}",
        lambda conn_id: Connection(conn_id=conn_id, conn_type="google_cloud_platform", extra=extra),
    )
    return service, served


KIND = GSheet()
