"""Records of an HTTP API that answers with JSON, such as USDA NASS Quick Stats: page by page, all values as text."""

from __future__ import annotations

import logging
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from urllib.parse import urljoin

import pyarrow as pa

from sluiceway.amounts import counted
from sluiceway.errors import (
    SettingsError,
    SourceMissingError,
    SourceTooLargeError,
    SourceUnavailableError,
    SourceUnreadableError,
    nearest,
)
from sluiceway.json_path import parse as parse_json
from sluiceway.sources.bounds import check_columns
from sluiceway.sources.connections import Connections
from sluiceway.sources.extraction import Extraction, Unreadable, chosen_columns, geometry_columns
from sluiceway.sources.formats.json_records import (
    BrokenJsonError,
    CutJsonError,
    Document,
    LongJsonError,
    read_records,
)
from sluiceway.sources.formats.nested import Nested
from sluiceway.sources.formats.texts import json_text, text_array
from sluiceway.sources.place import without_secrets
from sluiceway.sources.services.api_client import Answer, ApiClient
from sluiceway.tables.source_spec import HttpJsonSource
from sluiceway.tables.spec import TableSpec

BATCH_BYTES = 2 << 20
"""Of the records' JSON."""
SHOWN = 300
"""Characters of a server's own words in a message."""

Params = Mapping[str, str | int | float | bool]

log = logging.getLogger(__name__)


class _TooLargeError(SourceUnreadableError):
    """413: the request has to be split."""

    def __init__(self, message: str, limit: int | None) -> None:
        super().__init__(message)
        self.limit = limit


class _NothingFoundError(SourceUnreadableError):
    """Quick Stats says "invalid query" both to a wrong query and to one without records."""


@contextmanager
def open_http_json(spec: TableSpec, source: HttpJsonSource, connections: Connections) -> Iterator[Extraction]:
    """Open the API: the first page with records is read here and says which columns there are."""
    with (
        closing(_client(spec, source, connections)) as client,
        closing(_Reader(spec, source, client).pages({}, list(source.split.items()))) as pages,
    ):
        first = next((page for page in pages if page.count), None)
        if first is None:
            yield Extraction(columns={}, batches=iter(()))
            return
        columns, place = dict.fromkeys(first.keys, "text"), without_secrets(source.uri)
        chosen = chosen_columns(spec, columns, place, first.paths) | geometry_columns(spec, columns, place)
        extraction = Extraction(columns=columns, batches=iter(()))
        extraction.batches = _batches(extraction, chain((first,), pages), chosen, Nested(spec))
        yield extraction


def _client(spec: TableSpec, source: HttpJsonSource, connections: Connections) -> ApiClient:
    params: dict[str, str] = {}
    headers: dict[str, str] = {}
    if source.connection is not None:
        key = connections(source.connection).password
        if not key:
            raise SettingsError(
                f"{spec.name}: connection {source.connection!r} has no password: the API key belongs there"
            )
        if not key.isascii() or not key.isprintable():
            raise SettingsError(f"{spec.name}: connection {source.connection!r}: its password is no API key")
        params = {source.key_param: key} if source.key_param else {}
        headers = {source.key_header: key} if source.key_header else {}
    if not headers:
        return ApiClient(spec.name, source.uri, source.requests_per_second, params)
    return ApiClient(spec.name, source.uri, source.requests_per_second, params, lambda: headers)


@dataclass
class _Page:
    """One answer that was read to its end once and is good."""

    spec: TableSpec
    source: HttpJsonSource
    answer: Answer
    count: int = 0
    keys: dict[str, None] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)
    document: Document = field(default_factory=Document)

    def records(self) -> Iterator[tuple[Any, str]]:
        """The records and their spelling."""
        self.answer.body.seek(0)
        cursor = self.source.paging.next if self.source.paging is not None else None
        self.document = Document()
        place = f"{self.spec.name}: the answer of {without_secrets(self.source.uri)}"
        try:
            yield from read_records(
                self.answer.body,
                self.document,
                records=self.source.records,
                largest=self.source.max_value_bytes,
                cursor=cursor,
                encoding=self.answer.encoding,
            )
        except CutJsonError as error:
            raise SourceUnavailableError(f"{place} breaks off; try again later") from error
        except LongJsonError as error:
            raise SourceTooLargeError(
                f"{place}: {error}, and source.max_value_bytes allows {self.source.max_value_bytes:,}; raise it if "
                "right"
            ) from error
        except (BrokenJsonError, LookupError) as error:
            raise SourceUnreadableError(f"{place} is no JSON: {error}") from error


@dataclass
class _Steps:
    """From page to page of one request."""

    spec: TableSpec
    source: HttpJsonSource
    part: Params
    number: int = 1
    _at: int = 0
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.uri = self.source.uri
        self.params: dict[str, str | int | float | bool] = {**self.source.params, **self.part}
        paging = self.source.paging
        if paging is not None and paging.size_param is not None and paging.size is not None:
            self.params[paging.size_param] = paging.size
        if self.counted and paging is not None:
            self._at = paging.first if paging.type == "page" else 0
            self.params[str(paging.param)] = self._at

    @property
    def counted(self) -> bool:
        """Whether pages are asked for by a number."""
        return self.source.paging is not None and self.source.paging.type in {"page", "offset"}

    def forward(self, count: int, cursor: Any, link: str | None) -> bool:
        """Go to the next page; False when there is none. Numbers go on until a page is empty: a server may give fewer
        records than were asked for.

        :param count: the records of the page before.
        :param cursor: what stood where the next cursor stands.
        :param link: its link to the next page.
        """
        paging = self.source.paging
        self.number += 1
        if paging is None:
            return False
        if self.counted:
            self._at += 1 if paging.type == "page" else count
            self.params[str(paging.param)] = self._at
            return count > 0
        if paging.type == "cursor":
            found = cursor not in (None, "", False)
            if found:
                self.params[str(paging.param)] = self._new(str(cursor))
            return found
        if link is not None:
            # a link holds all parameters itself
            self.uri, self.params = self._new(urljoin(self.uri, link)), {}
        return link is not None

    def _new(self, step: str) -> str:
        if step in self._taken:
            raise SourceUnreadableError(
                f"{self.spec.name}: {without_secrets(self.source.uri)} leads in a circle: page {self.number} "
                f"has been read before"
            )
        self._taken.add(step)
        return step


@dataclass
class _Reader:
    spec: TableSpec
    source: HttpJsonSource
    client: ApiClient

    def pages(self, part: Params, splits: Sequence[tuple[str, tuple[str, ...]]]) -> Generator[_Page, None, None]:
        """The pages of the request with the parameters of `part`, split further where it is too large."""
        pages = self._paged(part)
        try:
            first = next(pages, None)
        except _TooLargeError as error:
            yield from self._split(part, splits, error)
            return
        with closing(pages):
            if first is not None:
                yield first
                yield from pages

    def _split(
        self, part: Params, splits: Sequence[tuple[str, tuple[str, ...]]], too_large: _TooLargeError
    ) -> Iterator[_Page]:
        if not splits:
            raise SourceUnreadableError(
                f"{too_large}; add a parameter and its values to source.split by which it can be divided"
            ) from too_large
        name, values = splits[0]
        count = 0
        for value in dict.fromkeys(values):
            try:
                for page in self.pages({**part, name: value}, splits[1:]):
                    count += page.count
                    yield page
            except _NothingFoundError:
                # an empty part is no error: what it belongs to holds more records than fit one answer
                log.info("%s: there are no records with %s = %r", self.spec.name, name, value)
        if count <= (too_large.limit or 0):
            raise SourceUnreadableError(
                f"{too_large}, and all values of source.split.{name} together give {count:,} records: add those missing"
            ) from too_large

    def _paged(self, part: Params) -> Generator[_Page, None, None]:
        """The pages of one request."""
        steps = _Steps(self.spec, self.source, part)
        seen: set[str] = set()
        while True:
            with self.client.get(steps.uri, steps.params) as answer:
                if answer.status == 404 and steps.number > 1 and steps.counted:
                    # how some say that there is no such page any more
                    return
                page = self._checked(answer, part, steps.number)
                # kept here, as whoever reads the page reads its document anew
                document = page.document
                if page.count:
                    if document.digest in seen:
                        raise SourceUnreadableError(
                            f"{self.spec.name}: page {steps.number} of {self.client.shown} is the same as one before "
                            f"it; see whether source.paging is what this API wants"
                        )
                    seen.add(document.digest)
                    yield page
            if not steps.forward(page.count, document.cursor, answer.next_link):
                return

    def _checked(self, answer: Answer, part: Params, number: int) -> _Page:
        """The page in `answer`, read once to its end."""
        if not 200 <= answer.status < 300:
            raise self._refusal(answer, part, number)
        page = _Page(self.spec, self.source, answer)
        objects, nested = 0, Nested(self.spec)
        for record, _ in page.records():
            page.count += 1
            if isinstance(record, dict):
                objects += 1
                page.keys.update(dict.fromkeys([*record, *nested.found_in(record)]))
                page.paths = nested.known
                check_columns(self.spec, page.keys, f"the answer of {self.client.shown}")
        place = f"{self.spec.name}: the answer of {self.client.shown}"
        if not page.document.found:
            where = f" at source.records = {self.source.records!r}" if self.source.records else ""
            last = (self.source.records or "").rpartition(".")[2]
            hint = nearest(self.source.records or last, page.document.keys)
            raise SourceUnreadableError(f"{place} holds no records{where}{hint}{self._said(page.document.other)}")
        if page.count and not objects:
            raise SourceUnreadableError(f"{place} holds {counted(page.count, 'record')} and none is a JSON object")
        return page

    def _said(self, members: Mapping[str, Any]) -> str:
        """What an answer says in an error of its own."""
        found = next((members[key] for key in ("error", "errors", "message", "detail") if members.get(key)), None)
        return f"; it says: {self._shown(_words(found))}" if found else ""

    def _shown(self, text: str) -> str:
        text = " ".join(self.client.redact(text).split())
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."

    def _refusal(self, answer: Answer, part: Params, number: int) -> Exception:
        """The error that says what the server said."""
        status, body = answer.status, answer.start()
        said = self._shown(_error_words(body))
        shown = f" for {', '.join(f'{name} = {value}' for name, value in part.items())}" if part else ""
        answers = f"{self.spec.name}: {self.client.shown} answers {status}{shown}" + (f": {said}" if said else "")
        if status == 413 and number == 1:
            limit = re.search(r"limit\D{0,3}(\d[\d,]*)", body)
            return _TooLargeError(
                f"{self.spec.name}: {self.client.shown} refuses the request{shown} as too large ({said or 413})",
                int(limit[1].replace(",", "")) if limit else None,
            )
        if status in {401, 403}:
            how = (
                f"see whether the password of connection {self.source.connection!r} is the right API key"
                if self.source.connection
                else "if it wants an API key, declare source.connection with key_param or key_header"
            )
            return SourceUnreadableError(f"{answers}; {how}")
        if status in {404, 410}:
            return SourceMissingError(f"{answers}; check source.uri")
        if 300 <= status < 400:
            target = self._shown(without_secrets(str(answer.headers.get("location", "another address"))))
            return SourceUnreadableError(f"{answers} and points to {target}; declare that as source.uri")
        if status == 400 and said == "bad request - invalid query" and part:
            return _NothingFoundError(answers)
        return SourceUnreadableError(f"{answers}; check source.params")


def _words(value: Any) -> str:
    """What an error's value says: a text, a list of texts, or an object with a message."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "; ".join(_words(each) for each in value)
    if isinstance(value, dict):
        key = next((key for key in ("message", "detail", "error", "description") if value.get(key)), None)
        return _words(value[key]) if key else json_text(value)
    return str(value)


def _error_words(body: str) -> str:
    """What the body of an error says; a page of HTML says nothing."""
    try:
        document = parse_json(body)
    except ValueError:
        return "" if body.lstrip().startswith("<") else body
    if not isinstance(document, dict):
        return _words(document) if document else ""
    key = next((key for key in ("error", "errors", "message", "detail") if document.get(key)), None)
    return _words(document[key]) if key else body


def _batches(
    extraction: Extraction, pages: Iterable[_Page], chosen: Mapping[str, str], nested: Nested
) -> Generator[pa.RecordBatch, None, None]:
    rows: list[list[str | None]] = []
    size = number = 0
    for page in pages:
        for record, spelling in page.records():
            number += 1
            if not isinstance(record, dict):
                extraction.unreadable.append(Unreadable(number, "is no JSON object", spelling[:1000]))
                continue
            row = [_text(nested.value(record, name)) for name in chosen.values()]
            if any(value is not None and not _is_text(value) for value in row):
                extraction.unreadable.append(Unreadable(number, "holds half a character (\\ud800)", ascii(spelling)))
                continue
            rows.append(row)
            size += len(spelling)
            if size >= BATCH_BYTES:
                yield _batch(rows, chosen)
                rows, size = [], 0
    if rows:
        yield _batch(rows, chosen)


def _batch(rows: list[list[str | None]], chosen: Mapping[str, str]) -> pa.RecordBatch:
    arrays = [text_array(values) for values in zip(*rows, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=list(chosen))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json_text(value)


def _is_text(value: str) -> bool:
    """JSON can spell half a surrogate pair, which no text of a database can hold."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
