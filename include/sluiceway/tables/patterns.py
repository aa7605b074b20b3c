"""Patterns that choose several files, members, sheets, layers or tables by their names: `*`, `**` and `?`.

`*` stands for any characters within one name and `?` for one of them, none of them a `/`; `**/` stands for any number
of folders. As a shell's, they pass over names that begin with a dot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from urllib.parse import urlsplit

_WILD = frozenset("*?")
_DIGITS = re.compile(r"([0-9]+)")
_PARTS = re.compile(r"\*\*/|\*+|\?|[^*?]+")
_LISTED = frozenset({"gs", "s3"})
_LOCAL = frozenset({"", "file", "package"})
"""Schemes of what can be listed. An address cannot, and a * in it is the server's."""


def is_pattern(text: str | None) -> bool:
    """Whether a text stands for names that fit it, rather than for itself."""
    return text is not None and not _WILD.isdisjoint(text)


def is_uri_pattern(uri: str) -> bool:
    """Whether a uri stands for all files that fit it; in a bucket ? is a letter of a name."""
    scheme = urlsplit(uri).scheme if "://" in uri else ""
    return (scheme in _LOCAL and is_pattern(uri)) or (scheme in _LISTED and "*" in uri)


def fixed_part(pattern: str) -> str:
    """The folders in front of the first wild character, with the / behind them; empty where there are none."""
    wild = min(pattern.find(each) for each in _WILD if each in pattern)
    return pattern[: pattern.rfind("/", 0, wild) + 1]


def fits(pattern: str, name: str) -> bool:
    """Whether a name, with / between its folders, fits."""
    return _compiled(pattern).fullmatch(name) is not None


def fitting(pattern: str, names: Iterable[str]) -> list[str]:
    """Those of the names that fit, in the order in which they are read."""
    return sorted((name for name in names if fits(pattern, name)), key=in_order)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    spelled, at_start = "", True
    for part in _PARTS.findall(pattern):
        hidden = r"(?!\.)" if at_start else ""
        if part == "**/":
            spelled += r"(?:(?!\.)[^/]+/)*"
        elif part == "?":
            spelled += f"{hidden}[^/]"
        elif part[0] == "*":
            spelled += f"{hidden}[^/]*"
        else:
            spelled += re.escape(part)
        at_start = part.endswith("/")
    return re.compile(spelled, re.DOTALL)


def in_order(name: str) -> tuple[tuple[tuple[str, int, str], ...], str]:
    """What names are sorted by: numbers in them by their size, so that part2 comes before part10."""
    pieces = tuple(
        ("", len(number), number) if (number := each.lstrip("0") or "0").isdecimal() else (each.casefold(), 0, each)
        for each in _DIGITS.split(name)
        if each
    )
    return pieces, name
