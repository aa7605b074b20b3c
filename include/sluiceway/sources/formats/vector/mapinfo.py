"""What is looked at in a MapInfo file before GDAL sees it: that it is one, is complete, and names no other files."""

from __future__ import annotations

import re
from pathlib import Path

from sluiceway.errors import SourceUnreadableError

_HEAD_BYTES = 1 << 16
_MIF = re.compile(rb"\s*version\s+\d+", re.IGNORECASE)
_TAB = re.compile(rb"\s*!table\b", re.IGNORECASE)
_NATIVE = re.compile(rb"^\s*type\s+native\b", re.IGNORECASE | re.MULTILINE)
_POINTS = re.compile(rb"^\s*(open\s+table|file\s|type\s+(?!native))", re.IGNORECASE | re.MULTILINE)
_COUNT = re.compile(rb"^\s*(?:region|multiple|pline|multipoint)?\s*(?:multiple\s+)?(\d{1,18})\s*$", re.IGNORECASE)
_LEAST_BYTES = 2
"""That a point, or a line of any kind, takes."""


def begins_as_mif(head: bytes) -> bool:
    """Whether a .mif begins so: with its version."""
    return _MIF.match(head) is not None


def begins_as_tab(head: bytes) -> bool:
    """Whether a .tab is MapInfo's, and no text with tabs."""
    return _TAB.match(head) is not None


def check(table: str, place: str, path: Path) -> None:
    """Raises SourceUnreadableError when a file is missing beside it, it names others, or counts more than it holds."""
    if path.suffix == ".mif":
        _check_beside(table, place, path, (".mid",))
        _check_counts(table, place, path)
        return
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if _NATIVE.search(head) is None or _POINTS.search(head) is not None:
        raise SourceUnreadableError(
            f"{table}: {place} cannot be read: it only points to other data; name that data itself, or save it as a "
            f"GeoPackage"
        )
    _check_beside(table, place, path, (".dat", ".map", ".id"))


def _check_beside(table: str, place: str, path: Path, endings: tuple[str, ...]) -> None:
    missing = [ending for ending in endings if not path.with_suffix(ending).exists()]
    if missing:
        raise SourceUnreadableError(f"{table}: {place} cannot be read: there is no {missing[0]} beside it")


def _check_counts(table: str, place: str, path: Path) -> None:
    """GDAL makes room for as many points as a line announces."""
    most = path.stat().st_size // _LEAST_BYTES
    with path.open("rb") as file:
        while line := file.readline(_HEAD_BYTES):
            found = _COUNT.match(line)
            if found is not None and int(found[1]) > most:
                raise SourceUnreadableError(
                    f"{table}: {place} cannot be read: it announces {int(found[1]):,} points or parts, more than it "
                    f"can hold; it is broken or cut off"
                )
