"""Google Sheets API v4 over real HTTP: what it leaves out (blank ends of rows and of sheets) and how it refuses.

Also the token endpoint of Google's OAuth: a service account's signed assertion is exchanged for a token.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.stand_ins.google_account import TOKEN, VIEWER, token_for
from tests.stand_ins.web_service import Reply, Request, WebService


def refusal(code: int, status: str, message: str) -> Reply:
    """An error as Google words it."""
    return Reply(code, {"error": {"code": code, "message": message, "status": status}})


@dataclass
class GoogleSheets(WebService):
    """One spreadsheet, `sheets`, shared with `viewer`."""

    answer: object = None  # type: ignore[assignment]  # set below
    id: str = "1AbC"
    sheets: dict[str, list[list[str]]] = field(default_factory=dict)
    viewer: str = VIEWER
    public_key: str = ""
    blank_rows: int = 0
    """Rows of the grid below the data: a new sheet has 1,000."""
    grows: bool = False
    """Somebody adds a row after each reading of values."""
    charts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.answer = self._answer

    def _answer(self, request: Request) -> Reply:
        if request.path == "/token":
            return token_for(request, self.public_key)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        found = re.fullmatch(r"/v4/spreadsheets/([^/]+)(?:/values/([^/]+))?", request.path)
        if found is None or found[1] != self.id:
            return refusal(404, "NOT_FOUND", "Requested entity was not found.")
        if not self.viewer:
            return refusal(403, "PERMISSION_DENIED", "The caller does not have permission")
        return self._values(unquote(found[2])) if found[2] else Reply(body={"sheets": self._properties()})

    def _properties(self) -> list[dict[str, object]]:
        grids = [
            {"properties": {"title": title, "sheetType": "GRID", "gridProperties": self._grid(rows)}}
            for title, rows in self.sheets.items()
        ]
        return [{"properties": {"title": each, "sheetType": "OBJECT"}} for each in self.charts] + grids

    def _grid(self, rows: list[list[str]]) -> dict[str, int]:
        return {"rowCount": len(rows) + self.blank_rows, "columnCount": max((len(row) for row in rows), default=26)}

    def _values(self, part: str) -> Reply:
        found = re.fullmatch(r"'((?:[^']|'')*)'!(\d+):(\d+)", part)
        rows = self.sheets.get(found[1].replace("''", "'")) if found is not None else None
        if found is None or rows is None:
            return refusal(400, "INVALID_ARGUMENT", f"Unable to parse range: {part}")
        first, last = int(found[2]), int(found[3])
        if last > len(rows) + self.blank_rows:
            return refusal(400, "INVALID_ARGUMENT", f"Range ({part}) exceeds grid limits.")
        values = [_cut(row) for row in rows[first - 1 : last]]
        while values and not values[-1]:
            values.pop()
        if self.grows:
            rows.append([])
        return Reply(body={"range": part, "majorDimension": "ROWS"} | ({"values": values} if values else {}))


def _cut(row: list[str]) -> list[str]:
    row = list(row)
    while row and row[-1] == "":
        row.pop()
    return row
