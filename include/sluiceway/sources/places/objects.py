"""Files in object stores, gs:// and s3://: fetched whole, not fetched when unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Protocol, cast
from urllib.parse import urlsplit

from sluiceway.amounts import counted
from sluiceway.errors import ConfigError, SourceUnavailableError
from sluiceway.sources.connections import Connections
from sluiceway.sources.place import Place, without_secrets
from sluiceway.sources.places.downloads import check_sha256, check_size, safe_name, sha256_of, unpacked_as_sent
from sluiceway.tables.source_spec import LocatedSource

_STORES = {"s3": "s3_store", "gs": "google_store"}
"""Scheme -> the module that reads it; each imports half a second of libraries."""


@dataclass(frozen=True)
class Found:
    """An object as its store describes it."""

    size: int
    mark: str
    """What identifies the content: the generation of Google's, the ETag of Amazon's."""
    encoding: str | None = None
    """The Content-Encoding that it was stored with."""


class Store(Protocol):
    """One object and what opens it. Raises the errors of `fetched`, with the object's uri in the message."""

    def look(self) -> Found: ...

    def parts(self, found: Found) -> Iterator[bytes]:
        """The content that `found` describes, and no other."""
        ...


@contextmanager
def fetched(source: LocatedSource, connections: Connections, known: str | None) -> Iterator[Place]:
    """The object at source.uri, in a temporary folder for as long as the block lasts.

    :param known: the fingerprint of the last load; an object that still has it is not fetched.
    :raises SourceMissingError: there is no such object, or it may not be read.
    :raises SourceUnavailableError: the store does not answer, or the object changes while it is read.
    :raises SourceUnreadableError: the object is larger than source.max_bytes, or has another checksum than declared.
    """
    shown = without_secrets(source.uri)
    store = _store(source, connections)
    found = store.look()
    if known is not None and found.mark == known:
        yield Place(name=shown, fingerprint=known, size=found.size)
        return
    check_size(source, shown, found.size)
    with TemporaryDirectory(prefix="sluiceway-") as folder:
        path = Path(folder) / "download"
        _copy(store, source, found, path)
        name = PurePosixPath(source.uri).name
        if found.encoding == "gzip":
            path = unpacked_as_sent(source, shown, name, path)
        path = path.rename(path.with_name(safe_name(name)))
        if source.sha256 is not None:
            check_sha256(source, shown, sha256_of(path))
        yield Place(name=shown, fingerprint=found.mark, size=path.stat().st_size, path=path)


def check_reachable(source: LocatedSource, connections: Connections) -> None:
    """Raises SourceMissingError or SourceUnavailableError when `fetched` would; fetches nothing."""
    _store(source, connections).look()


def _store(source: LocatedSource, connections: Connections) -> Store:
    parts = urlsplit(source.uri)
    if not parts.netloc or not source.uri.partition("://")[2].partition("/")[2]:
        raise ConfigError(f"{without_secrets(source.uri)}: names no object; {parts.scheme}://<bucket>/<object> does")
    module = import_module(f"sluiceway.sources.places.{_STORES[parts.scheme]}")
    return cast("Store", module.open_store(source, connections))


def _copy(store: Store, source: LocatedSource, found: Found, path: Path) -> None:
    size = 0
    with path.open("wb") as file:
        for part in store.parts(found):
            size += len(part)
            file.write(part)
    if size != found.size:
        raise SourceUnavailableError(
            f"{without_secrets(source.uri)}: {counted(size, 'byte')} came and {found.size:,} were announced; try again "
            f"later"
        )
