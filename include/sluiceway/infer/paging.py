"""How an API hands out its records in parts: what its answer and its address say of it, proved by asking for more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

from sluiceway.infer.address import is_secret
from sluiceway.sources.formats.json_survey import NEXT, TOTALS, flat, number_of, one_page, plain

MOST_TRIED = 8
"""Ways of paging that are asked for; each takes up to three requests."""
_PAGES = ("page", "currentpage", "pagenumber", "pageno", "pagenum", "pageindex", "p")
_OFFSETS = ("offset", "skip", "start", "startat", "startindex", "from", "resultoffset", "firstresult")
_SIZES = {
    "limit": ("offset", "page", "skip", "start"),
    "perpage": ("page",),
    "pagesize": ("page", "pageNumber"),
    "pagelimit": ("page",),
    "size": ("page", "from"),
    "rows": ("start", "page"),
    "count": ("offset", "page", "startIndex"),
    "top": ("skip",),
    "maxresults": ("startAt", "startIndex"),
    "itemsperpage": ("page", "startIndex"),
    "resultrecordcount": ("resultOffset",),
}
"""A parameter of a page's size -> those that may say which page it is."""
_CURSORS = (
    "cursor",
    "page_token",
    "next_token",
    "continuation_token",
    "after",
    "starting_after",
    "next",
    "token",
    "page",
)


@dataclass(frozen=True)
class Way:
    """A way of paging."""

    type: str
    param: str | None = None
    first: int = 1
    size_param: str | None = None
    size: int | None = None
    next: str | None = None
    """Where the next cursor stands."""

    def keys(self) -> dict[str, Any]:
        """As source.paging says it."""
        said: dict[str, Any] = {"type": self.type, "param": self.param}
        said |= {"first": self.first} if self.type == "page" and self.first != 1 else {}
        said |= {"size_param": self.size_param, "size": self.size, "next": self.next}
        return {key: value for key, value in said.items() if value is not None}


@dataclass
class FirstPage:
    """The first answer, and what was asked for it."""

    params: Mapping[str, str]
    count: int
    """Of its records."""
    other: Mapping[str, Any]
    """What stands beside them."""
    link: str | None = None
    """The Link header's rel=next."""
    uri: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    """All values beside the records, by the keys that lead to them."""

    def __post_init__(self) -> None:
        self.values = dict(flat(self.other))

    @property
    def said(self) -> str | None:
        """Why it seems to be one page of several."""
        if self.link is not None:
            return "it has a link to the next page"
        return one_page(self.other, self.count) or self._by_address()

    def _by_address(self) -> str | None:
        for name, value in self.params.items():
            if plain(name) in {*_PAGES, *_OFFSETS} and number_of(value) is not None:
                return f"its address says {name} = {value}"
        size = self.size
        if size is not None and size[1] == self.count and not self._is_all():
            return f"it holds as many records as {size[0]} asks for"
        return None

    def _is_all(self) -> bool:
        return any(plain(key) in TOTALS and number_of(value) == self.count for key, value in self.values.items())

    @property
    def size(self) -> tuple[str, int] | None:
        """The parameter that says how many records a page has."""
        found = ((name, number_of(value)) for name, value in self.params.items() if plain(name) in _SIZES)
        return next(((name, number) for name, number in found if number), None)


def ways(page: FirstPage) -> list[Way]:
    """How the next page may be asked for, the likeliest first; none where nothing says that there is one."""
    if page.said is None:
        return []
    found = [Way("link")] if page.link is not None else []
    for each in (_by_next(page), _by_address(page), _by_numbers(page), _by_size(page)):
        found += each
    return list(dict.fromkeys(found))[:MOST_TRIED]


def _by_next(page: FirstPage) -> Iterator[Way]:
    """By what the answer says of the next page: its address, its number or a token."""
    for path, value in page.values.items():
        is_link = path.removesuffix(".href").removesuffix(".url").rpartition(".")[2]
        if plain(path) not in NEXT or value in (None, "", False):
            continue
        text, number = str(value), number_of(value)
        if re.match(r"https?://|[/?]", text):
            yield from _of_address(page, text)
        elif number is not None and plain(path) in {"nextpage", "next"}:
            yield from (_numbered(page, "page", name, number - 1) for name in _known(page, _PAGES, "page"))
        elif number is not None and plain(path) == "nextoffset":
            yield from (_numbered(page, "offset", name, 0) for name in _known(page, _OFFSETS, "offset"))
        elif _is_path(path):
            own = re.sub("^next_?", "", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", is_link).lower()) or "next"
            for name in dict.fromkeys((own, *_CURSORS)):
                yield _cursor(page, _cased(name, is_link), path)


def _of_address(page: FirstPage, address: str) -> Iterator[Way]:
    """By what differs between the address of this page and that of the next one."""
    asked = dict(parse_qsl(urlsplit(urljoin(page.uri, address)).query, keep_blank_values=True))
    for name, value in asked.items():
        if page.params.get(name) == value or is_secret(name):
            continue
        number, before = number_of(value), number_of(page.params.get(name))
        size = next(((each, number_of(asked[each])) for each in asked if plain(each) in _SIZES), None)
        if number is None:
            where = next((path for path, each in page.values.items() if str(each) == value and _is_path(path)), None)
            if where is not None:
                yield _cursor(page, name, where)
        elif plain(name) in _SIZES:
            continue
        elif number - (before or 0) == page.count and page.count > 1 and plain(name) not in _PAGES:
            yield _sized(Way("offset", name, size=page.count), size or page.size)
        else:
            yield _sized(Way("page", name, first=before if before is not None else number - 1), size or page.size)


def _by_address(page: FirstPage) -> Iterator[Way]:
    """By a parameter that says already which page it is."""
    for name, value in page.params.items():
        number = number_of(value)
        if number is not None and plain(name) in _PAGES:
            yield _numbered(page, "page", name, number)
        elif number == 0 and plain(name) in _OFFSETS:
            yield _numbered(page, "offset", name, 0)


def _by_numbers(page: FirstPage) -> Iterator[Way]:
    """By a number of this page, or of its first record, that the answer says."""
    for path, value in page.values.items():
        number, name = number_of(value), path.rpartition(".")[2]
        if number in {0, 1} and plain(path) in _PAGES:
            for each in dict.fromkeys(("page", name) if plain(path) == "currentpage" else (name, "page")):
                yield _numbered(page, "page", each, number)
        elif number == 0 and plain(path) in _OFFSETS:
            yield _numbered(page, "offset", name, 0)


def _by_size(page: FirstPage) -> Iterator[Way]:
    """By what usually stands beside a parameter of a page's size; or alone, where a total says that there is more."""
    size = page.size
    mark = "$" if size is not None and size[0].startswith("$") else ""
    for name in _SIZES[plain(size[0])] if size is not None else ("page", "offset", "skip", "start"):
        kind = "page" if plain(name) in _PAGES else "offset"
        yield _numbered(page, kind, mark + name, 1)


def _known(page: FirstPage, names: tuple[str, ...], usual: str) -> list[str]:
    return [name for name in page.params if plain(name) in names] or [usual]


def _numbered(page: FirstPage, kind: str, name: str, first: int) -> Way:
    if kind == "page":
        return _sized(Way("page", name, first=max(0, first)), page.size)
    return _sized(Way("offset", name, size=page.count), page.size)


def _cursor(page: FirstPage, name: str, where: str) -> Way:
    return _sized(Way("cursor", name, next=where), page.size)


def _sized(way: Way, size: tuple[str, int | None] | None) -> Way:
    if size is None or size[1] is None or size[0] == way.param:
        return way
    return Way(way.type, way.param, way.first, size[0], size[1], way.next)


def _is_path(path: str) -> bool:
    """Whether keys joined by dots lead there: no key of them has a dot, and none is a place in a list."""
    return all(part and not part.isdecimal() for part in path.split(".")) and "@" not in path


def _cased(name: str, like: str) -> str:
    """A parameter in the spelling of the answer's keys."""
    if re.search("[a-z][A-Z]", like):
        first, *others = name.split("_")
        return first + "".join(each.capitalize() for each in others)
    return name
