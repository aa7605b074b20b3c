"""Place: a source that was found, before it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit


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


def without_secrets(uri: str) -> str:
    """The address without a password and without its query, which may hold a key."""
    parts = urlsplit(uri)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
