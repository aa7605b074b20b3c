"""What GDAL passes over in a GeoJSON file: a CRS that it does not know, the end of a page, and a second document."""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path
from typing import Any

from sluiceway.errors import SourceUnreadableError

_AROUND_BYTES = 1 << 16
_CRS = re.compile(rb'"crs"\s*:\s*(?=null|\{)')
_CUT_OFF = re.compile(rb'"exceededTransferLimit"\s*:\s*true')
_FEATURE = re.compile(rb'"type"\s*:\s*"Feature"')
_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]')
_DEGREES = re.compile(r"4326|CRS:?84", re.IGNORECASE)


def check_page(table: str, place: str, path: Path) -> None:
    """Raises SourceUnreadableError when the file says that it is one page of a service's answer."""
    if _CUT_OFF.search(_around_features(path)):
        raise SourceUnreadableError(
            f"{table}: {place} says exceededTransferLimit: it is one page of more, and not the whole layer; fetch all "
            f"pages into one file"
        )


def own_crs(table: str, place: str, path: Path, found: str | None) -> str | None:
    """The CRS of the file, for which GDAL `found` longitude and latitude, as it does for all that it does not know.

    :returns: what the file's member crs names; None where that is null, and `found` where there is no such member.
    :raises SourceUnreadableError: the member names no CRS.
    """
    around = _around_features(path)
    member = _CRS.search(around)
    if member is None:
        return found
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
    return found if _DEGREES.search(name) else name


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


def check_alone(table: str, place: str, path: Path, seen: int) -> None:
    """Raises SourceUnreadableError when more than one document stands in the file, of which GDAL reads the first."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        if sum(1 for _ in _FEATURE.finditer(text)) <= seen:
            return
        end = _end_of_first(text)
        if text[end:].strip():
            raise SourceUnreadableError(
                f"{table}: {place} holds more than one document, and only the first, with {seen:,} features, would be "
                f"read; write each feature in a line of its own, or all into one FeatureCollection"
            )


def _end_of_first(text: mmap.mmap) -> int:
    depth = 0
    for token in _STRUCTURE.finditer(text):
        byte = text[token.start()]
        depth += (byte in b"{[") - (byte in b"}]")
        if depth == 0:
            return token.end()
    return len(text)
