"""What a bucket holds, by one prefix: names, sizes and marks, and nothing of the content."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol, cast

from sluiceway.errors import SourceUnreadableError
from sluiceway.sources.connections import Connection, Connections

Scheme = Literal["s3", "gs"]
_MODULES = {"s3": "s3_listing", "gs": "google_listing"}
"""Scheme -> the module that lists; each imports half a second of libraries."""


@dataclass(frozen=True)
class Listed:
    """One object, as its store lists it."""

    name: str
    size: int
    mark: str
    """What identifies the content: the generation of Google's, the ETag of Amazon's."""
    modified_at: str
    """ISO 8601, as the store says it."""


class Bucket(Protocol):
    """One store, as one connection asks it."""

    def objects(self, bucket: str, prefix: str) -> Iterator[Listed]:
        """All whose names begin with prefix.

        :raises SourceMissingError: there is no such bucket, or it may not be listed.
        :raises SourceUnavailableError: the store does not answer.
        """
        ...


MOST_PAGES = 10_000
"""Of one listing, which may give less than it could on each: a store that always has another is not asked for ever."""


def endless(uri: str) -> SourceUnreadableError:
    """A listing has more than MOST_PAGES."""
    return SourceUnreadableError(f"{uri}: the store's listing does not end after {MOST_PAGES:,} pages; narrow prefix")


_open: dict[tuple[int, str, str | None], tuple[Connection | None, Bucket]] = {}
_lock = threading.Lock()


def store_of(scheme: Scheme, conn_id: str | None, connections: Connections) -> Bucket:
    """The store, opened once in a process: opening reads megabytes of descriptions. Without a connection, as nobody."""
    connection = connections(conn_id) if conn_id is not None else None
    # what another process opened is not for its children
    key = (os.getpid(), scheme, conn_id)
    with _lock:
        known = _open.get(key)
        if known is None or known[0] != connection:
            module = import_module(f"sluiceway.sources.places.{_MODULES[scheme]}")
            known = (connection, cast("Bucket", module.open_bucket(connection)))
            _open[key] = known
        return known[1]
