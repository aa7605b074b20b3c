"""What a JSON document holds besides its records: its arrays, and what says that it is one page of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from sluiceway.sources.formats.json_records import BrokenJsonError, DocumentText, members
from sluiceway.sources.formats.texts import Number

DEEPEST = 32
KEPT_CHARACTERS = 1_000
"""Of a value beside the records."""
LOOKED_INTO = 10
"""Records of an array whose own arrays are looked at."""

TOTALS = frozenset(
    {
        *("total", "totalcount", "totalresults", "totalelements", "totalrecords", "totalitems", "totalhits"),
        *("totalrows", "totalsize", "recordcount", "recordstotal", "numbermatched", "numfound", "matched"),
    }
)
NEXT = frozenset(
    {
        *("next", "nextlink", "nextpage", "nexturl", "nextpageurl", "nextcursor", "nexttoken", "nextpagetoken"),
        *("nextpagelink", "nextoffset", "continuationtoken", "nexthref", "nextrecordsurl"),
    }
)
_MORE = frozenset({"hasmore", "hasnext", "hasnextpage", "exceededtransferlimit", "morepages", "moreresults"})
_PAGES = frozenset({"pages", "totalpages", "pagecount", "lastpage", "numpages", "pagestotal"})


@dataclass
class Array:
    """An array in a document, outside of any other."""

    objects: int = 0
    lists: int = 0
    others: int = 0
    keys: tuple[str, ...] = ()
    """Of its first object."""
    inside: tuple[str, int] | None = None
    """The longest array of objects in one of its first records: where, and how many."""


@dataclass
class Survey:
    """What was found in a document, as far as it could be read."""

    arrays: dict[str, Array] = field(default_factory=dict)
    """By the keys that lead to it, joined by dots; the document itself is ''."""
    other: dict[str, Any] = field(default_factory=dict)
    """Short values and short arrays."""
    broken: str | None = None


def survey(stream: IO[bytes], *, largest: int) -> Survey:
    """Walk through a document of any size.

    :param largest: characters of a value that is no object on the way, and of an element of an array.
    """
    found = Survey()
    text = DocumentText(stream, "utf-8", largest)
    try:
        _walk(text, found, "", 0)
    except BrokenJsonError as error:
        # who reads its records says where it is broken
        found.broken = str(error)
    return found


def _walk(text: DocumentText, found: Survey, where: str, depth: int) -> None:
    first = text.peek()
    if first == "{" and depth < DEEPEST:
        for key in members(text):
            _walk(text, found, f"{where}.{key}" if where else key, depth + 1)
    elif first == "[":
        _count(text, found, where)
    else:
        value, spelling = text.value()
        if len(spelling) <= KEPT_CHARACTERS:
            found.other[where] = value


def _count(text: DocumentText, found: Survey, where: str) -> None:
    array = found.arrays[where] = Array()
    text.take("[")
    if text.peek() == "]":
        text.take("]")
        return
    kept: list[Any] = []
    size = 0
    while True:
        value, spelling = text.value()
        size += len(spelling)
        if size <= KEPT_CHARACTERS:
            kept.append(value)
        if isinstance(value, dict):
            array.objects += 1
            array.keys = array.keys or tuple(value)
            if array.objects <= LOOKED_INTO:
                array.inside = max(
                    filter(None, (array.inside, _longest(value))), key=lambda each: each[1], default=None
                )
        elif isinstance(value, list):
            array.lists += 1
        else:
            array.others += 1
        if text.take(",]") == "]":
            break
    if size <= KEPT_CHARACTERS:
        found.other[where] = kept


def _longest(value: Any, where: str = "", depth: int = 0) -> tuple[str, int] | None:
    """The longest array of objects inside of a value."""
    if depth > DEEPEST:
        return None
    found: list[tuple[str, int]] = []
    if isinstance(value, dict):
        for key, each in value.items():
            inner = _longest(each, f"{where}.{key}" if where else key, depth + 1)
            found += [inner] if inner is not None else []
    elif isinstance(value, list):
        count = sum(isinstance(each, dict) for each in value)
        found += [(where, count)] if count else []
        for each in value[:LOOKED_INTO]:
            inner = _longest(each, where, depth + 1)
            found += [inner] if inner is not None else []
    return max(found, key=lambda each: each[1], default=None)


def one_page(other: Mapping[str, Any], count: int) -> str | None:
    """Why a document seems to be one page of several; None where nothing says so.

    :param other: what stands beside its records.
    :param count: how many records it holds.
    """
    values = dict(flat(other))
    page = next((number_of(value) for key, value in values.items() if plain(key) in {"page", "currentpage"}), None)
    totals = [
        number for key, value in values.items() if plain(key) in TOTALS and (number := number_of(value)) is not None
    ]
    if totals and max(totals) == count:
        return None
    for key, value in values.items():
        name, number = plain(key), number_of(value)
        if name in TOTALS | {"count", "resultcount"} and number is not None and number > count:
            return f"it says {key} = {number:,} and holds {count:,}"
        if (name in NEXT and value not in (None, False, "")) or (name in _MORE and value is True):
            return f"it says {key} = {str(value)[:100]}"
        if name == "rel" and value == "next":
            return f"it has a link to the next page ({key} = next)"
        if name in _PAGES and number is not None and page is not None and number > page:
            return f"it says {key} = {number:,}, and that it is page {page:,}"
    return None


def flat(value: Any, where: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every value in objects and lists, by the keys that lead to it."""
    if isinstance(value, Mapping) and depth < DEEPEST:
        for key, each in value.items():
            yield from flat(each, f"{where}.{key}" if where else str(key), depth + 1)
    elif isinstance(value, list) and depth < DEEPEST:
        for number, each in enumerate(value):
            yield from flat(each, f"{where}.{number}", depth + 1)
    else:
        yield where, value


def plain(path: str) -> str:
    """The last key of a path, or a parameter's name, in small letters and digits alone."""
    name = path.removesuffix(".href").removesuffix(".url").rpartition(".")[2]
    return "".join(char for char in name.lower() if char.isalnum())


def number_of(value: Any) -> int | None:
    """A whole number, however it is written; None for what is none."""
    text = str(value)
    return int(text) if isinstance(value, Number | int | str) and text.isdecimal() and len(text) < 19 else None
