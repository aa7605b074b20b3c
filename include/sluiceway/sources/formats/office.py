"""Which file of Excel or Word it is that is no .xlsx workbook, so that whoever has it knows what to do."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

OLE = bytes.fromhex("d0cf11e0a1b11ae1")
"""How files begin that Office wrote before 2007, and those that it encrypts since."""
_SECTOR_SHIFT = struct.Struct("<30xH")
_FIRST_SECTOR = struct.Struct("<48xI")
_LARGEST_SHIFT = 12
_STREAMS = (
    ("EncryptedPackage", "is encrypted; save it without a password"),
    ("WordDocument", "is an old .doc of Word; save its table as .xlsx"),
    ("Workbook", "is an old .xls; save it as .xlsx"),
    ("Book", "is an old .xls; save it as .xlsx"),
    ("PowerPoint Document", "is an old .ppt of PowerPoint; save its table as .xlsx"),
)
STRICT = b"http://purl.oclc.org/ooxml/"
_NO_STRICT = 'is a "Strict Open XML" workbook; save it as "Excel Workbook (.xlsx)"'
_NO_BINARY = "is a binary workbook (.xlsb); save it as .xlsx"
_MOST_BYTES = 1 << 16


def what_is(path: Path, *, otherwise: str) -> str | None:
    """What an OLE file is, as the end of a sentence; None for any other file.

    :param otherwise: what to say of one that does not say what it is.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if not head.startswith(OLE):
        return None
    directory = _directory(path, head)
    return next((what for name, what in _STREAMS if name.encode("utf-16-le") in directory), otherwise)


def _directory(path: Path, head: bytes) -> bytes:
    """The names of the streams: they may stand anywhere, and the header says where."""
    if len(head) < _FIRST_SECTOR.size:
        return b""
    shift, sector = _SECTOR_SHIFT.unpack_from(head)[0], _FIRST_SECTOR.unpack_from(head)[0]
    at = (sector + 1) << min(shift, _LARGEST_SHIFT)
    with path.open("rb") as file:
        # the first sectors too: most files are short
        found = file.read(_MOST_BYTES)
        if at < path.stat().st_size:
            file.seek(at)
            found += file.read(_MOST_BYTES)
    return found


def what_in(archive: zipfile.ZipFile) -> str | None:
    """The same for a .zip."""
    names = set(archive.namelist())
    if "xl/workbook.bin" in names:
        return _NO_BINARY
    if "xl/workbook.xml" in names:
        with archive.open("xl/workbook.xml") as part:
            return _NO_STRICT if STRICT in part.read(_MOST_BYTES) else None
    return None
