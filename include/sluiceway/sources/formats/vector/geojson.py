"""What GDAL passes over in a GeoJSON file: a CRS that it does not know, the end of a page, and a second document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sluiceway.amounts import counted
from sluiceway.errors import SourceUnreadableError

_AROUND_BYTES = 1 << 16
_CRS = re.compile(rb'"crs"\s*:\s*(?=null|\{)')
_CUT_OFF = re.compile(rb'"exceededTransferLimit"\s*:\s*true')
_MATCHED = re.compile(rb'"(?:numberMatched|totalFeatures|matched)"\s*:\s*([0-9]{1,18})\b')
_NEXT = re.compile(rb'"rel"\s*:\s*"next"')
_LINKS_BYTES = 1 << 12
_FEATURE = b'"Feature"'
_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|(?P<open>\\?\Z))|[{}\[\]]')
_BLOCK_BYTES = 1 << 20
_FIRST_POINT = re.compile(rb'"coordinates"\s*:\s*\[[\[\s]*(-?[0-9][0-9.eE+-]{0,99})\s*,\s*(-?[0-9][0-9.eE+-]{0,99})')
_MOST_LONGITUDE, _MOST_LATITUDE = 360.0001, 90.0001
_DEGREES = re.compile(r"\b4326\b|CRS:?84\b", re.IGNORECASE)


def check_page(table: str, place: str, path: Path) -> None:
    """Raises SourceUnreadableError when the file says that it is one page of a service's answer."""
    if _CUT_OFF.search(_around_features(path)):
        raise SourceUnreadableError(
            f"{table}: {place} says exceededTransferLimit: it is one page of more, and not the whole layer; fetch all "
            f"pages into one file"
        )


def _page_note(place: str, path: Path, seen: int) -> dict[str, str]:
    """What to say where the file may be one page of a service's answer: it announces more, or has a link to them."""
    around = _around_features(path)
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _LINKS_BYTES))
        around += file.read()
    matched = [int(number) for number in _MATCHED.findall(around)]
    if matched and max(matched) > seen:
        why = f"it says numberMatched = {max(matched):,} and holds {seen:,}"
    elif not matched and _NEXT.search(around):
        why = "it has a link to the next page"
    else:
        return {}
    return {"page": f"{place} seems to be one page of several: {why}"}


def own_crs(table: str, place: str, path: Path, found: str | None) -> str | None:
    """The CRS of the file, for which GDAL `found` longitude and latitude, as it does for all that it does not know.

    :returns: what the file's member crs names; None where that is null, and `found` where there is no such member, or
        None where the coordinates are no degrees.
    :raises SourceUnreadableError: the member names no CRS.
    """
    around = _around_features(path)
    member = _CRS.search(around)
    if member is None:
        return None if _beyond_degrees(path) else found
    try:
        crs, _ = json.JSONDecoder().raw_decode(around[member.end() :].decode("utf-8", "replace"))
        name: Any = None if crs is None else crs["properties"].get("name", crs["properties"].get("code"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceUnreadableError(f"{table}: {place}: its member crs is broken; mend or remove it") from error
    if crs is None:
        return None
    if not isinstance(name, str | int):
        raise SourceUnreadableError(f"{table}: {place}: its member crs names none; mend or remove it")
    if isinstance(name, int):
        name = f"EPSG:{name}"
    if not _DEGREES.search(name):
        return str(name)
    return None if _beyond_degrees(path) else found


def _beyond_degrees(path: Path) -> bool:
    """Whether most of the first shapes lie where no degrees lead; a longitude may be up to 360."""
    with path.open("rb") as file:
        head = file.read(_BLOCK_BYTES)
    try:
        firsts = [(abs(float(x)), abs(float(y))) for x, y in _FIRST_POINT.findall(head)]
    except ValueError:
        # GDAL says where it is broken
        return False
    beyond = sum(x > _MOST_LONGITUDE or y > _MOST_LATITUDE for x, y in firsts)
    return beyond > len(firsts) / 2


def _around_features(path: Path) -> bytes:
    """The members of the file's outermost object that stand before and behind its features, if they are near."""
    with path.open("rb") as file:
        head = file.read(_AROUND_BYTES)
        file.seek(max(0, path.stat().st_size - _AROUND_BYTES))
        tail = file.read()
    before, features, _ = head.partition(b'"features"')
    if not features:
        return b""
    return before + tail[tail.rfind(b"]") + 1 :]


def check_end(table: str, place: str, path: Path, seen: int) -> dict[str, str]:
    """What to say of a file that was read to its end.

    :raises SourceUnreadableError: more than one document stands in the file, of which GDAL reads the first.
    """
    if _count_features(path) > seen and _more_behind_first(path):
        raise SourceUnreadableError(
            f"{table}: {place} holds more than one document, and only the first, with {counted(seen, 'feature')}, "
            f"would be read; write each feature in a line of its own, or all into one FeatureCollection"
        )
    return _page_note(place, path, seen)


def _blocks(path: Path) -> Iterator[bytes]:
    # not mapped into memory, where it would stay
    with path.open("rb") as file:
        yield from iter(lambda: file.read(_BLOCK_BYTES), b"")


def _count_features(path: Path) -> int:
    """How many features there seem to be; at least as many as there are: a value may be "Feature" as well."""
    count, rest = 0, b""
    for block in _blocks(path):
        text = rest + block
        count += text.count(_FEATURE)
        # shorter than one
        rest = text[1 - len(_FEATURE) :]
    return count


def _more_behind_first(path: Path) -> bool:
    depth, rest, ended = 0, b"", False
    for block in _blocks(path):
        text = rest + block
        begin = 0 if ended else len(text)
        for token in _STRUCTURE.finditer(text) if not ended else ():
            if token["open"] is not None:
                # a text that goes on in the next block
                begin = token.start()
                break
            byte = text[token.start()]
            depth += (byte in b"{[") - (byte in b"}]")
            if depth == 0 and byte in b"}]":
                ended, begin = True, token.end()
                break
        rest = text[begin:]
        if ended and rest.strip():
            return True
    return False
