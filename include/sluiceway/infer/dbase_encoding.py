"""The encoding of a .dbf's texts, alone or beside shapes: what its .cpg or header says, where its texts bear it out."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

import numpy as np

from sluiceway.errors import SourceUnreadableError
from sluiceway.infer.encoding import Found, find_encoding
from sluiceway.sources.formats.archive import unpacking
from sluiceway.sources.formats.vector.codec import codec_named
from sluiceway.sources.formats.vector.dbase_texts import codec_of_language

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_END_OF_COLUMNS = 0x0D
_BLOCK_BYTES = 1 << 20
_ANSI = "cp1252"
"""What programs write into the header whatever the texts are in."""


def find_dbase_encoding(path: Path, member: str | None) -> Found | None:
    """How the texts of the .dbf, or of the shapefile, at `path` are written; None where nothing has to be said.

    A .cpg, and a header that names an encoding of one language, are believed where every text can be read so.
    """
    with _parts(path, member) as (dbf, cpg):
        if dbf is None:
            return None
        cells = _Cells(dbf)
        named = cpg.decode("ascii", "replace").strip("\ufeff\0 \t\r\n\"'") if cpg is not None else ""
        language = codec_of_language(cells.language)
        said = codec_named(named) if named else language if language != _ANSI else None
        cells.codec = said
        try:
            found = find_encoding(cells, path.name)
        except SourceUnreadableError:
            # a person sees what latin-1 makes of it
            return None
    where = f"its .cpg says {named}" if named else f"its header says {said}"
    if named and said is None:
        return replace(found, remark=f"{where}, which is no encoding that is known")
    if found.plain:
        return None
    if said is None:
        return found
    if found.name is None:
        return None if said == "utf-8" else replace(found, remark=f"{where}, and its texts are UTF-8")
    if cells.fits:
        same = found.reads_alike(said)
        return (
            None if same else Found(said, samples=found.samples_in(said), remark=f"{where}; see that these are right")
        )
    return replace(found, remark=f"{where}, in which its texts cannot be read; found by its letters")


@contextmanager
def _parts(path: Path, member: str | None) -> Iterator[tuple[IO[bytes] | None, bytes | None]]:
    """The .dbf, and what the .cpg says."""
    if path.suffix.lower() in {".shp", ".dbf"}:
        like = [entry for entry in path.parent.iterdir() if entry.stem.casefold() == path.stem.casefold()]
        beside = {entry.suffix.lower(): entry for entry in sorted(like, key=lambda entry: entry.stem == path.stem)}
        cpg = beside[".cpg"].read_bytes() if ".cpg" in beside else None
        if ".dbf" not in beside:
            yield None, cpg
            return
        with beside[".dbf"].open("rb") as dbf:
            yield dbf, cpg
        return
    if not zipfile.is_zipfile(path):
        yield None, None
        return
    with unpacking(f"{path.name} cannot be unpacked"), zipfile.ZipFile(path) as archive:
        found = [PurePosixPath(name) for name in archive.namelist() if not name.startswith("__MACOSX/")]
        endings = {".shp", ".dbf"} if member is not None else {".shp"}
        mains = [each for each in found if each.suffix.lower() in endings and (member is None or str(each) == member)]
        if not mains and member is None:
            mains = [each for each in found if each.suffix.lower() == ".dbf"]
        if len(mains) != 1:
            yield None, None
            return
        stem = str(mains[0].with_suffix("")).casefold()
        beside_in_zip = {
            each.suffix.lower(): str(each) for each in found if str(each.with_suffix("")).casefold() == stem
        }
        cpg = archive.read(beside_in_zip[".cpg"]) if ".cpg" in beside_in_zip else None
        if ".dbf" not in beside_in_zip:
            yield None, cpg
            return
        with archive.open(beside_in_zip[".dbf"]) as dbf:
            yield dbf, cpg


class _Cells(io.RawIOBase):
    """The texts of a dBase file, a line each: without its header and its numbers, whose bytes are no letters."""

    def __init__(self, dbf: IO[bytes]) -> None:
        head = dbf.read(32)
        rest = dbf.read(max(int.from_bytes(head[8:10], "little") - 32, 0))
        self.language = head[29] if len(head) == 32 else 0
        self.codec: str | None = None
        """In which all texts are tried."""
        self.fits = True
        """Whether each could be read so."""
        self._dbf = dbf
        self._row_bytes = int.from_bytes(head[10:12], "little")
        self._columns = _text_columns(rest)
        names = [rest[at : at + 11].partition(b"\0")[0] for at in range(0, len(rest) - 31, 32) if rest[at] != 0x0D]
        self._ready = b"".join(name + b"\n" for name in names if not name.isascii())

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer`; 0 at the end."""
        target = memoryview(buffer).cast("B")
        while not self._ready:
            if not (block := self._next()):
                return 0
            self._ready = block.strip(b"\n") + b"\n" if block.strip(b"\n") else b""
        size = min(len(target), len(self._ready))
        target[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _next(self) -> bytes:
        """The next rows' texts; nothing at the end."""
        if not self._row_bytes:
            return b""
        rows = max(1, _BLOCK_BYTES // self._row_bytes)
        data = self._dbf.read(rows * self._row_bytes)
        records = np.frombuffer(data[: len(data) // self._row_bytes * self._row_bytes], dtype=np.uint8)
        if not records.size:
            return b""
        found = [b"\n"]
        for start, width in self._columns:
            cells = np.ascontiguousarray(records.reshape(-1, self._row_bytes)[:, start : start + width])
            beyond = (cells >= 0x80).any(axis=1)
            # of what is ASCII only that there is some counts
            found += [self._text(bytes(cell)) for cell in cells[beyond]]
        return b"\n".join(found) + b"\n"

    def _text(self, cell: bytes) -> bytes:
        text = cell.partition(b"\0")[0].strip(b" ")
        if len(text) == len(cell):
            # the last letter may have been cut in half
            text = text.rstrip(bytes(range(0x80, 0x100)))
        text = text.replace(b"\n", b" ").replace(b"\r", b" ")
        if self.fits and self.codec is not None:
            try:
                text.decode(self.codec)
            except UnicodeDecodeError:
                self.fits = False
        return text


def _text_columns(described: bytes) -> list[tuple[int, int]]:
    """Where the columns of texts stand in a row, and how wide they are."""
    found, start = [], 1
    for at in range(0, len(described) - 31, 32):
        if described[at] == _END_OF_COLUMNS:
            break
        width = described[at + 16]
        if chr(described[at + 11]).upper() == "C":
            found.append((start, width))
        start += width
    return found
