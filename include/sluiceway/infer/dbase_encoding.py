"""The encoding of a shapefile's texts, where no .cpg says it: GDAL would take them for latin-1."""

from __future__ import annotations

import codecs
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from sluiceway.errors import SourceUnreadableError
from sluiceway.infer.encoding import Found, find_encoding
from sluiceway.sources.formats.archive import unpacking

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def find_dbase_encoding(path: Path, member: str | None) -> Found | None:
    """How the texts of the shapefile at `path` are written; None where its .cpg says it, or nothing has to be said."""
    with _parts(path, member) as (dbf, cpg):
        if dbf is None or (cpg is not None and _is_known(cpg.decode("ascii", "replace").strip())):
            return None
        try:
            found = find_encoding(_Records(dbf), path.name)
        except SourceUnreadableError:
            # a person sees what latin-1 makes of it
            return None
    return None if found.plain else found


def _is_known(name: str) -> bool:
    if name.isdigit():
        # GDAL takes 1252 for CP1252, and 88591 for ISO-8859-1
        return True
    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    return True


@contextmanager
def _parts(path: Path, member: str | None) -> Iterator[tuple[IO[bytes] | None, bytes | None]]:
    """The .dbf, and what the .cpg says."""
    if path.suffix.lower() == ".shp":
        beside = {entry.suffix.lower(): entry for entry in path.parent.iterdir() if entry.stem == path.stem}
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
        shapes = [each for each in found if each.suffix.lower() == ".shp" and (member is None or str(each) == member)]
        if len(shapes) != 1:
            yield None, None
            return
        beside_in_zip = {
            each.suffix.lower(): str(each) for each in found if each.with_suffix("") == shapes[0].with_suffix("")
        }
        cpg = archive.read(beside_in_zip[".cpg"]) if ".cpg" in beside_in_zip else None
        if ".dbf" not in beside_in_zip:
            yield None, cpg
            return
        with archive.open(beside_in_zip[".dbf"]) as dbf:
            yield dbf, cpg


class _Records(io.RawIOBase):
    """The records of a dBase file as text: without its header, of which bytes are numbers, and without padding."""

    def __init__(self, dbf: IO[bytes]) -> None:
        header = dbf.read(32)
        dbf.read(max(int.from_bytes(header[8:10], "little") - 32, 0))
        self._dbf = dbf

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer`; 0 at the end."""
        target = memoryview(buffer).cast("B")
        data = self._dbf.read(len(target)).replace(b"\0", b" ")
        target[: len(data)] = data
        return len(data)
