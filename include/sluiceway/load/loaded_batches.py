"""Which batches of a source the last load has loaded whole, so that a batch that comes again is neither cast nor sent.

A batch is recognised by a digest of all it holds. That its rows still stand in the warehouse as that load left them is
looked up row by row (merge.check_remembered); where they do not, the load begins anew and remembers nothing.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version

import pyarrow as pa

_ENTRY = struct.Struct("<16sI")
_CASTING = ("duckdb", "geopandas", "numpy", "pandas", "pyarrow", "pyproj", "shapely")
"""What turns a batch's values into those of the warehouse: after an update it may turn them into others."""


def way(spec_hash: str) -> str:
    """sha256 of all that decides which values a batch becomes in the warehouse."""
    return hashlib.sha256(f"{spec_hash} {_versions()}".encode()).hexdigest()


@cache
def _versions() -> str:
    return " ".join(f"{package} {version(package)}" for package in _CASTING)


@dataclass
class LoadedBatches:
    """Batches of one table by their digests, each with how many of its geometries were repaired."""

    known: dict[bytes, int] = field(default_factory=dict)
    """Of the last load: every row of theirs was loaded, none rejected, none repeated."""
    seen: dict[bytes, int] = field(default_factory=dict)
    """Of this one: no row of theirs was rejected."""

    @classmethod
    def of(cls, written: bytes) -> LoadedBatches:
        """What `written` returned; nothing for nothing."""
        return cls(dict(_ENTRY.iter_unpack(written)))

    def written(self) -> bytes:
        """The batches of this load, for the next one: 20 bytes each."""
        return b"".join(_ENTRY.pack(digest, repaired) for digest, repaired in self.seen.items())


class _Hasher:
    """A file that keeps nothing of what is written to it but its digest."""

    closed = False

    def __init__(self, start: str) -> None:
        self._hash = hashlib.sha256(start.encode())

    def write(self, data: bytes) -> None:
        self._hash.update(data)

    def flush(self) -> None:
        pass

    def digest(self) -> bytes:
        return self._hash.digest()[:16]


def digest(batch: pa.RecordBatch, crs: str | None) -> bytes:
    """16 bytes that stand for the batch: its columns, their types, their values and the CRS they are in."""
    hasher = _Hasher(repr(crs))
    with pa.ipc.new_stream(pa.PythonFile(hasher, "w"), batch.schema) as writer:
        writer.write_batch(batch)
    return hasher.digest()
