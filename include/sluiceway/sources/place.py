"""Place: a source that was found, before it is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

_LOGIN = re.compile(r"^(?:[^/?#]*@|[^/?#@]*:(?!\d*(?:[/?#]|$)).*@)", re.DOTALL)
"""In front of a host: up to the @, also where slashes stand in a password, which then looks like no port."""
_END_OF_HOST = re.compile(r"[/?#]")
_QUERY = re.compile(r"[?#].*$", re.DOTALL)


@dataclass(frozen=True)
class PlaceFile:
    """One of the files that a pattern stands for."""

    name: str
    """Within the folder in front of the pattern, with / between folders; no secret."""
    fingerprint: str
    """As Place's."""
    size: int
    """Bytes."""
    here: Callable[[], AbstractContextManager[Path]]
    """Brings it here for as long as the block lasts. Raises as `located`."""
    stands: Callable[[], bool] = lambda: True
    """As Place's."""


@dataclass(frozen=True)
class Place:
    """Where a source lies and what identifies its content."""

    name: str
    """What to call it in messages; no secret."""
    fingerprint: str | None = None
    """Equal for equal content: a sha256, or `etag:...`. None where only reading it can tell: then it is always read."""
    size: int | None = None
    """Bytes, where known."""
    path: Path | None = None
    """The local file. None for a source that is no file, and for a remote file that is still what `known` says."""
    stands: Callable[[], bool] = lambda: True
    """Whether what lies there is still what `fingerprint` was taken of."""
    files: tuple[PlaceFile, ...] = ()
    """Where source.uri is a pattern: those that fit, in the order in which they are read; `path` is None then."""


def without_secrets(uri: str) -> str:
    """The address without who logs in and without its query, which may be a password and a key; a path as it is.

    It need be no right address: a password that is not quoted may hold any sign.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    host, path = _LOGIN.sub("", rest), ""
    if (end := _END_OF_HOST.search(host)) is not None:
        host, path = host[: end.start()], host[end.start() :]
    return f"{scheme}://{host}{_QUERY.sub('', path)}"
