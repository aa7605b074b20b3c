"""What identifies the content of a local source, and how to see that nobody has written to it since."""

from __future__ import annotations

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

PARTS = {
    ".shp": (".shp", ".shx", ".dbf", ".prj", ".cpg", ".dbt", ".fpt"),
    ".dbf": (".dbf", ".cpg", ".dbt", ".fpt"),
    ".gml": (".gml", ".xsd"),
    ".mif": (".mif", ".mid"),
    ".tab": (".tab", ".dat", ".map", ".id", ".ind"),
}
"""Files beside a source that belong to it, by its ending."""
HASHED_BYTES = 8 << 20
"""At once: a thread that hashes waits for Python's lock before each block."""
PIECE_BYTES = 32 << 20
"""Hashed by itself, so that two threads share one large file."""
Fingerprint = tuple[str, int]
"""sha256 over the sha256 of a source's files, in pieces, in hex; and their size together, in bytes."""
State = tuple[tuple[str, int, int, int, int], ...]
"""Per file its path, inode, size and the times of its last change and modification, in ns."""
TICK_NS = 1_000_000_000
"""A file that was changed so short before it was hashed may have been changed again in the same tick of its times."""


class Hashed(NamedTuple):
    """A fingerprint, and how its files stood when it was taken."""

    fingerprint: Fingerprint
    state: State
    at_ns: int

    def holds(self, path: Path) -> bool:
        """Whether the files are still those that were hashed."""
        settled = all(max(changed, modified) < self.at_ns - TICK_NS for *_, changed, modified in self.state)
        return settled and state_of(path) == self.state


def parts_of(path: Path) -> list[Path]:
    """The files that make up a source: those beside it that belong to it, and itself; or those of its folder."""
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.is_symlink())
    endings = PARTS.get(path.suffix.lower())
    if endings is None:
        return [path]
    stem = path.stem.casefold()
    return sorted(
        entry for entry in path.parent.iterdir() if entry.suffix.lower() in endings and entry.stem.casefold() == stem
    )


def size_of(path: Path) -> int:
    """Bytes of a source's main file, or of all files of its folder."""
    return sum(part.stat().st_size for part in (parts_of(path) if path.is_dir() else [path]))


def hashed(path: Path) -> Hashed:
    """Hash a file, and keep how it stood before."""
    at_ns, state = time.time_ns(), state_of(path)
    return Hashed(fingerprint(path), state, at_ns)


def state_of(path: Path) -> State:
    """What the file system says of a source's files; to write to one, or to put another in its place, changes it.

    Nothing of files that are gone meanwhile.
    """
    try:
        found = [(str(part), part.stat()) for part in parts_of(path)]
    except FileNotFoundError:
        return ()
    return tuple((part, each.st_ino, each.st_size, each.st_ctime_ns, each.st_mtime_ns) for part, each in found)


def is_as_at(path: Path, state: State) -> bool:
    """Whether the files are still those that were hashed."""
    return state_of(path) == state


def fingerprint(path: Path) -> Fingerprint:
    """Of the source's files: their endings and what they hold."""
    parts = parts_of(path)
    sizes = [part.stat().st_size for part in parts]
    pieces = [(part, at) for part, size in zip(parts, sizes, strict=True) for at in range(0, max(size, 1), PIECE_BYTES)]
    digest = hashlib.sha256()
    # both cores: half a gigabyte of shapefile in a third of a second; a small file waits for no thread
    with ThreadPoolExecutor(2) if len(pieces) > 1 else nullcontext() as threads:
        hashes = threads.map(_sha256, pieces) if threads else map(_sha256, pieces)
        found = list(hashes)
    for (part, at), hashed_piece in zip(pieces, found, strict=True):
        if at == 0:
            digest.update(part.suffix.lower().encode() + b"\0")
        digest.update(hashed_piece)
    return digest.hexdigest(), sum(sizes)


def _sha256(piece: tuple[Path, int]) -> bytes:
    path, at = piece
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        # no more than there is: a block of that size takes longer than to hash a small file
        block = bytearray(max(1, min(HASHED_BYTES, os.fstat(file.fileno()).st_size - at)))
        file.seek(at)
        for _ in range(PIECE_BYTES // HASHED_BYTES):
            digest.update(memoryview(block)[: file.readinto(block)])
    return digest.digest()
