"""One sheet of a Google spreadsheet through the Sheets API, as people see it: every cell is a text.

Read in ranges of rows, so that memory stays bounded. Nobody locks a spreadsheet: one whose grid changes while it is
read is read again later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request

from sluiceway.amounts import counted
from sluiceway.errors import (
    SchemaDriftError,
    SettingsError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
    nearest,
    quoted,
)
from sluiceway.json_path import parse as parse_json
from sluiceway.sources.connections import Connections
from sluiceway.sources.extraction import Extraction, chosen_columns, geometry_columns
from sluiceway.sources.footer import doubts
from sluiceway.sources.formats.texts import text_array
from sluiceway.sources.services.api_client import Answer, ApiClient
from sluiceway.sources.services.google_credentials import account_of, google_credentials, google_extra
from sluiceway.tables.source_spec import GSheetSource
from sluiceway.tables.spec import TableSpec

ENDPOINT = "https://sheets.googleapis.com"
SCOPES = ("https://www.googleapis.com/auth/spreadsheets.readonly",)
REQUEST_CELLS = 50_000
"""Cells of one request: about 1 MB, and 100 requests for the largest sheets there are."""
MIN_ROWS = 100
"""Rows of one request, however wide they are."""
REQUESTS_PER_SECOND = 1.0
"""Google allows 60 a minute to each user."""


@contextmanager
def open_gsheet(spec: TableSpec, source: GSheetSource, connections: Connections) -> Iterator[Extraction]:
    """Open the sheet; cells that are blank at the end of a row are null, rows that are blank throughout are no data."""
    connection = connections(source.connection)
    credentials, _ = google_credentials(spec.name, connection, SCOPES)
    endpoint = str(google_extra(connection, "endpoint") or ENDPOINT)
    client = ApiClient(
        spec.name,
        endpoint,
        REQUESTS_PER_SECOND,
        secret_headers=_token(spec, source, credentials),
        is_known=True,
    )
    with closing(client):
        sheet = _Sheet(spec, source, client, endpoint, account_of(credentials))
        sheet.find()
        rows = sheet.rows()
        with closing(rows):
            names = _header(source, rows, sheet.width)
            place = f"spreadsheet {source.spreadsheet}, sheet {sheet.title}"
            positions = _positions(spec, source, names, place)
            notes: dict[str, str] = {}
            yield Extraction(
                columns=dict.fromkeys((name for name in names if name), "text"),
                batches=_batches(_without_footer(rows, source.skip_footer, notes), positions),
                notes=notes,
            )


def _token(spec: TableSpec, source: GSheetSource, credentials: Credentials) -> Callable[[], Mapping[str, str]]:
    def header() -> Mapping[str, str]:
        try:
            if not credentials.valid:
                credentials.refresh(Request())  # type: ignore[no-untyped-call]
        except TransportError as error:
            raise SourceUnavailableError(f"{spec.name}: Google gives no token: {error}; try again later") from error
        except GoogleAuthError as error:
            if isinstance(error, RefreshError) and error.retryable:
                raise SourceUnavailableError(f"{spec.name}: Google gives no token: {error}; try again later") from error
            raise SettingsError(
                f"{spec.name}: Google refuses the credentials of connection {source.connection!r}: {error.args[0]}"
            ) from error
        return {"Authorization": f"Bearer {credentials.token}"}

    return header


@dataclass
class _Sheet:
    """A sheet and the size of its grid."""

    spec: TableSpec
    source: GSheetSource
    client: ApiClient
    endpoint: str
    account: str
    title: str = ""
    height: int = 0
    width: int = 0
    _address: str = field(init=False)

    def __post_init__(self) -> None:
        self._address = f"{self.endpoint}/v4/spreadsheets/{quote(self.source.spreadsheet, safe='')}"

    def find(self) -> None:
        """Look up the sheet by its name, or the first one."""
        self.title, self.height, self.width = self._grid()

    def _grid(self) -> tuple[str, int, int]:
        found = self._get(self._address, {"fields": "sheets.properties(title,sheetType,gridProperties)"})
        grids = {
            str(each["properties"]["title"]): each["properties"].get("gridProperties", {})
            for each in found.get("sheets", [])
            if each["properties"].get("sheetType", "GRID") == "GRID"
        }
        title = self.source.sheet if self.source.sheet is not None else next(iter(grids), "")
        if title not in grids:
            raise SourceMissingError(
                f"{self.spec.name}: spreadsheet {self.source.spreadsheet} has no sheet {title!r}{nearest(title, grids)}"
            )
        return title, int(grids[title].get("rowCount", 0)), int(grids[title].get("columnCount", 0))

    def rows(self) -> Generator[list[str], None, None]:
        """The rows below skip_lines which are not blank throughout, without the blank cells at their ends."""
        step = max(MIN_ROWS, REQUEST_CELLS // max(1, self.width))
        title = self.title.replace("'", "''")
        for first in range(self.source.skip_lines + 1, self.height + 1, step):
            last = min(first + step - 1, self.height)
            part = quote(f"'{title}'!{first}:{last}", safe="")
            found = self._get(
                f"{self._address}/values/{part}",
                # what a person sees, so that a code such as 00501 and a date keep their spelling
                {"valueRenderOption": "FORMATTED_VALUE", "majorDimension": "ROWS"},
            )
            for row in found.get("values", []):
                cells = [str(cell) for cell in row]
                if any(cells):
                    yield cells
        if self._grid() != (self.title, self.height, self.width):
            raise SourceUnavailableError(
                f"{self.spec.name}: spreadsheet {self.source.spreadsheet} was changed while it was read; "
                f"try again later"
            )

    def _get(self, address: str, params: Mapping[str, str]) -> dict[str, Any]:
        with self.client.get(address, params) as answer:
            if answer.status != 200:
                raise self._refusal(answer)
            try:
                found = parse_json(answer.body.read())
            except ValueError as error:
                raise SourceUnreadableError(
                    f"{self.spec.name}: {self.endpoint} answers with no JSON: {error}"
                ) from error
        if not isinstance(found, dict):
            raise SourceUnreadableError(f"{self.spec.name}: {self.endpoint} answers with no spreadsheet")
        return found

    def _refusal(self, answer: Answer) -> Exception:
        """The error that says what Google said and what to do."""
        said = self.client.redact(_message(answer.start()))
        where = f"{self.spec.name}: spreadsheet {self.source.spreadsheet}"
        match answer.status:
            case 404:
                return SourceMissingError(
                    f"{where} is not there ({said}): source.spreadsheet is the id in its address, between /d/ and /edit"
                )
            case 403 if "has not been used" in said or "is disabled" in said:
                return SourceUnreadableError(f"{where}: {said}")
            case 403:
                return SourceUnreadableError(
                    f"{where} may not be read ({said}): share it with {self.account} as a viewer"
                )
            case 401:
                return SettingsError(f"{where}: {said}; correct connection {self.source.connection!r}")
            case 400 if "not supported for this document" in said:
                return SourceUnreadableError(f"{where} is an Office file ({said}): save it as a Google Sheet")
            case _:
                return SourceUnreadableError(f"{where}: Google answers {answer.status}: {said}")


def _message(body: str) -> str:
    try:
        return " ".join(str(parse_json(body)["error"]["message"]).split())
    except (ValueError, KeyError, TypeError):
        return " ".join(body.split())[:200] or "no reason given"


def _header(source: GSheetSource, rows: Iterator[list[str]], width: int) -> list[str]:
    if not source.header:
        return [str(number) for number in range(1, width + 1)]
    return next(rows, [])


def _positions(spec: TableSpec, source: GSheetSource, names: Sequence[str], place: str) -> dict[str, int]:
    """Column of a batch -> position from 0. A column without a name of its own is declared by position."""
    if not names:
        return {}
    if spec.transform is not None:
        targets = chosen_columns(spec, [name for name in names if name], place)
        sources: dict[str, str | int] = dict(targets)
    else:
        sources = {}
        named = {}
        for target in spec.columns:
            wanted = spec.source_names(target)[0]
            if isinstance(wanted, int):
                if wanted > len(names):
                    raise SchemaDriftError(
                        f"{spec.name}: {place}: column {target!r} is declared at position {wanted}, the sheet has "
                        f"{counted(len(names), 'column')}"
                    )
                sources[target] = wanted
            else:
                named[target] = wanted
        if named:
            part = spec.model_copy(update={"columns": {target: spec.columns[target] for target in named}})
            sources |= chosen_columns(part, names, place)
        sources = {target: sources[target] for target in spec.columns}
    sources |= geometry_columns(spec, names, place)
    for name in sources.values():
        if isinstance(name, str) and names.count(name) > 1:
            raise SchemaDriftError(
                f"{spec.name}: {place}: the header holds column {quoted(name)} twice; declare its position as source"
            )
    return {target: name - 1 if isinstance(name, int) else names.index(name) for target, name in sources.items()}


def _without_footer(rows: Iterator[list[str]], count: int, notes: dict[str, str]) -> Iterator[list[str]]:
    held: deque[list[str]] = deque()
    width = 0
    for row in rows:
        held.append(row)
        width = max(width, len(row))
        if len(held) > count:
            yield held.popleft()
    notes |= doubts(held, width)


def _batches(rows: Iterator[list[str]], positions: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
    taken: list[list[str | None]] = []
    step = max(MIN_ROWS, REQUEST_CELLS // max(1, len(positions)))
    for row in rows:
        taken.append([row[position] if position < len(row) else None for position in positions.values()])
        if len(taken) >= step:
            yield _batch(taken, positions)
            taken = []
    if taken:
        yield _batch(taken, positions)


def _batch(rows: list[list[str | None]], positions: Mapping[str, int]) -> pa.RecordBatch:
    arrays = [text_array(values) for values in zip(*rows, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=list(positions))
