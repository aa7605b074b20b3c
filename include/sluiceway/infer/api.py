"""An API that answers with JSON: what is asked of it, how it pages, and where its key is to be kept."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from sluiceway.errors import SluicewayError
from sluiceway.infer.address import Address
from sluiceway.infer.asked import Asked, Source
from sluiceway.infer.paging import FirstPage, Way, ways
from sluiceway.infer.service import MOST_OF_AN_API, Service
from sluiceway.sources.formats.json_records import BrokenJsonError, Document, read_records
from sluiceway.sources.formats.json_survey import survey
from sluiceway.sources.services.api_client import Answer, ApiClient
from sluiceway.tables.source_spec import HttpJsonSource

LARGEST = HttpJsonSource.model_fields["max_value_bytes"].default
REQUESTS_PER_SECOND = HttpJsonSource.model_fields["requests_per_second"].default
PATIENCE_S = 5.0
"""Of a request: some servers answer a parameter that they do not know as if they had broken down."""
ALL_PAGES = "Fetch all of them: [source.paging] says how an API is asked for the next page."
PROVED = "the next page was asked for by it, and holds other records"


def api_of(name: str, asked: Asked, address: Address, file: Source, path: Path) -> Service | None:
    """The API that has answered with this file; None where it rather is a file that lies there.

    :param name: of the drafted table, for messages.
    """
    if not _is_answer(file, path) or (asked.connection is not None and address.key is None):
        return None
    records = file.keys.get("records")
    secret = {address.key_param: address.key} if address.key_param and address.key else {}
    with closing(ApiClient(name, address.uri, REQUESTS_PER_SECOND, secret, patience_s=PATIENCE_S)) as client:
        api = _Api(client, address, records)
        first = api.look()
        way = next((each for each in map(api.proved, ways(first)) if each is not None), None) if first else None
    if first is None or not (way or address.key or (address.params and not _is_of_a_file(address.uri))):
        return None
    return _service(asked, address, file, first, way)


def _is_answer(file: Source, path: Path) -> bool:
    """Whether a file may be read as an answer: one document of JSON, in no archive."""
    if file.keys["kind"] != "json" or {"layout", "member"} & file.keys.keys():
        return False
    with path.open("rb") as opened:
        return opened.read(512).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}


def _is_of_a_file(uri: str) -> bool:
    return uri.partition("?")[0].lower().endswith((".json", ".geojson"))


def _service(asked: Asked, address: Address, file: Source, first: FirstPage, way: Way | None) -> Service:
    paged = {each for each in (way.param, way.size_param) if each is not None} if way is not None else set()
    params = {name: value for name, value in address.params.items() if name not in paged}
    connection = address.connection(asked.connection)
    keys: dict[str, Any] = {"kind": "http_json", "uri": address.uri}
    keys |= {"params": params} if params else {}
    keys |= {"records": file.keys["records"]} if "records" in file.keys else {}
    keys |= {"connection": connection.conn_id, "key_param": address.key_param} if connection is not None else {}
    keys |= {"paging": way.keys()} if way is not None else {}
    service = Service(keys, address.shown, most_rows=MOST_OF_AN_API, connection=connection)
    service.remarks |= {each: file.remarks[each] for each in ("records",) if each in file.remarks}
    if connection is not None:
        service.remarks["connection"] = (
            f"the key of {address.key_param} is not written here: make this connection, of type http with the key as "
            f"its password (AIRFLOW_CONN_{connection.conn_id.upper()})"
        )
    if way is not None:
        before = "; the pages before that of the address are not read" if way.type == "page" and way.first > 1 else ""
        service.remarks["paging"] = PROVED + before
    elif first.said is not None:
        said = first.said if address.key is None else first.said.replace(address.key, "***")
        service.notes.append(f"{address.shown} seems to be one page of several: {said}. {ALL_PAGES}")
    return service


@dataclass
class _Api:
    client: ApiClient
    address: Address
    records: str | None
    digest: str = ""
    """Of the records of the first answer."""
    first: FirstPage | None = None
    cursor: str | None = None

    def look(self) -> FirstPage | None:
        """The first answer, asked for as a load does."""
        with self.client.get(self.address.uri, self.address.params) as answer:
            if not _is_good(answer):
                return None
            found = survey(answer.body, largest=LARGEST)
            read = self._records(answer)
            if read is None:
                return None
            self.digest, count, _ = read
            self.first = FirstPage(self.address.params, count, found.other, answer.next_link, self.address.uri)
        return self.first

    def proved(self, way: Way) -> Way | None:
        """The way, if it leads from the first page to other records; with its number of the first page corrected."""
        first = self.first
        if first is None:
            return None
        sized = {way.size_param: str(way.size)} if way.size_param is not None else {}
        match way.type:
            case "link":
                link = urljoin(self.address.uri, first.link or "")
                return way if self._is_other(link, {}) else None
            case "cursor":
                token = str(first.values.get(str(way.next), ""))
                return way if self._is_other(self.address.uri, sized | {str(way.param): token}) else None
            case "page":
                for number in dict.fromkeys((way.first, 1, 0)):
                    if self._is_first(sized | {str(way.param): str(number)}):
                        further = self._is_other(self.address.uri, sized | {str(way.param): str(number + 1)})
                        return Way("page", way.param, number, way.size_param, way.size) if further else None
                return None
            case _:
                is_way = self._is_first(sized | {str(way.param): "0"}) and self._is_other(
                    self.address.uri, sized | {str(way.param): str(first.count)}
                )
                return way if is_way else None

    def _is_first(self, params: Mapping[str, str]) -> bool:
        found = self._ask(self.address.uri, params)
        return found is not None and found[0] == self.digest

    def _is_other(self, uri: str, params: Mapping[str, str]) -> bool:
        found = self._ask(uri, params)
        return found is not None and found[1] > 0 and found[0] != self.digest

    def _ask(self, uri: str, params: Mapping[str, str]) -> tuple[str, int, Any] | None:
        whole = {**self.address.params, **params} if uri == self.address.uri else {}
        try:
            with self.client.get(uri, whole) as answer:
                return self._records(answer) if _is_good(answer) else None
        except SluicewayError:
            # another server, or none that answers this: no way
            return None

    def _records(self, answer: Answer) -> tuple[str, int, Any] | None:
        """Digest and count of the records; None where there are none to read."""
        answer.body.seek(0)
        document, count = Document(), 0
        try:
            for _ in read_records(
                answer.body, document, records=self.records, largest=LARGEST, encoding=answer.encoding
            ):
                count += 1
        except (BrokenJsonError, LookupError):
            return None
        return (document.digest, count, document.cursor) if document.found else None


def _is_good(answer: Answer) -> bool:
    return 200 <= answer.status < 300
