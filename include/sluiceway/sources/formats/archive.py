"""Files inside archives, and compressed files: treated as hostile until they have shown that they are not.

An archive is refused whole: a file that wants to leave its folder or to fill the disk is no accident to work around.
"""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Protocol

import zstandard

from sluiceway.amounts import counted
from sluiceway.errors import SourceMissingError, SourceUnreadableError, listed, nearest, quoted, said_by

MAX_RATIO = 500
"""A large member that unpacks to more than that many times its size is a bomb: deflate itself ends at 1,032."""
SMALL_BYTES = 64 << 20
MAX_MEMBERS = 100_000
SHOWN = 12

_ENCRYPTED = 0x1
_EXTRAS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What macOS and Windows add beside data; ._name holds a file's attributes."""
_NO_FILES = frozenset({stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK})
_MAGIC = (b"\x1f\x8b\x08", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ", b"7z\xbc\xaf", b"Rar!")
"""First bytes of archives and compressed files."""
_BROKEN = (
    zipfile.BadZipFile,
    zstandard.ZstdError,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)
"""What Python's decompressors raise."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Of an OSError: not the archive is at fault."""
_PACKED_BYTES = 1 << 10
"""Unpacked at once by zstd: a block of 4 bytes may hold 128 KB of one letter, so this much makes 32 MB."""


def check_archive(path: Path, max_bytes: int) -> list[str]:
    """The files of a .zip, after a look at its directory; nothing is unpacked.

    :param max_bytes: the most that all members together may unpack to.
    :returns: names of the members that are data: no folders, and nothing that macOS and Windows add.
    :raises SourceUnreadableError: no zip, encrypted, a bomb, or a member that points outside of the archive.
    """
    with unpacking(f"{path.name} is no zip archive, or a broken one"), zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise SourceUnreadableError(f"{path.name} holds {len(members):,} files; at most {MAX_MEMBERS:,} are unpacked")
    total = sum(member.file_size for member in members)
    if total > max_bytes:
        raise SourceUnreadableError(
            f"{path.name} unpacks to {counted(total, 'byte')} and source.max_bytes allows {max_bytes:,}; raise it if "
            f"right"
        )
    seen = set()
    for member in members:
        reason = _hostile(member) or ("is there twice" if member.filename in seen else None)
        if reason is not None:
            raise SourceUnreadableError(f"{path.name}: {quoted(member.filename)} {reason}; the archive is refused")
        seen.add(member.filename)
    return [member.filename for member in members if not member.is_dir() and not _is_extra(member)]


def _is_extra(member: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(member.filename).name
    return member.filename.startswith("__MACOSX/") or name in _EXTRAS or name.startswith("._")


def _hostile(member: zipfile.ZipInfo) -> str | None:
    name = member.filename
    if not name:
        return "has no name"
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or name.startswith(("/", "\\")) or PureWindowsPath(name).drive:
        return "points outside of the archive"
    if stat.S_IFMT(member.external_attr >> 16) in _NO_FILES:
        return "is a link, or no file at all"
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if member.file_size > SMALL_BYTES and member.file_size > MAX_RATIO * max(1, member.compress_size):
        return f"unpacks to {member.file_size:,} bytes from {member.compress_size:,}, like a zip bomb"
    return None


def member_of(path: Path, member: str | None, files: list[str]) -> str:
    """The file to read in an archive: the named one, or the only one.

    :raises SourceMissingError: there is no such file, or several and none is named.
    """
    if member in files:
        return str(member)
    if member is not None:
        raise SourceMissingError(f"{path.name} has no member {quoted(member)}{nearest(member, files)}")
    if len(files) == 1:
        return files[0]
    if not files:
        raise SourceMissingError(f"{path.name} holds no file")
    shown = listed(files, SHOWN)
    raise SourceMissingError(f"{path.name} holds {len(files)} files: {shown}; name one as source.member")


@contextmanager
def unpacking(what: str, remedy: str = "") -> Iterator[None]:
    """Within it, whatever a decompressor raises of a broken archive is one sentence.

    :param what: how the sentence begins: what cannot be unpacked.
    :param remedy: how it ends: what to do.
    :raises SourceUnreadableError: the archive is broken.
    :raises OSError: the disk is full, which is no fault of the archive.
    """
    try:
        yield
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno in _FULL:
            raise
        raise SourceUnreadableError(f"{what}: {said_by(error)}{remedy}") from error


@contextmanager
def open_bytes(path: Path, member: str | None, max_bytes: int, *, once: bool = False) -> Iterator[IO[bytes]]:
    """The content of a file: as it is, of a .gz or .zst, or of one member of a .zip.

    :param once: the content may itself be an archive; else it is refused, for it is no text.
    :raises SourceMissingError: the archive has no such member, or several and none is named.
    :raises SourceUnreadableError: the archive is refused (see check_archive); or, while reading, the content is broken
        or longer than `max_bytes`.
    """
    suffix = path.suffix.lower()
    if member is not None and suffix != ".zip":
        raise SourceMissingError(f"{path.name} is no .zip; remove source.member = {member!r}")
    if suffix == ".zip":
        name = member_of(path, member, check_archive(path, max_bytes))
        with _opened_member(path, name) as (inner, size):
            yield _text(_limited(inner, path, max_bytes, size), f"{path.name}, {name}", once=once)
    elif suffix == ".gz":
        with gzip.open(path, "rb") as inner:
            yield _text(_limited(inner, path, max_bytes), path.name, once=once)
    elif suffix in {".zst", ".zstd"}:
        with path.open("rb") as file:
            yield _text(_limited(_ZstdFrames(file), path, max_bytes), path.name, once=once)
    else:
        with path.open("rb") as file:
            yield file


@contextmanager
def _opened_member(path: Path, name: str) -> Iterator[tuple[IO[bytes], int]]:
    with ExitStack() as stack:
        with unpacking(f"{path.name}: {quoted(name)} cannot be unpacked", "; pack it anew by deflate"):
            archive = stack.enter_context(zipfile.ZipFile(path))
            inner = stack.enter_context(archive.open(name))
        yield inner, archive.getinfo(name).file_size


def _text(content: io.BufferedReader, place: str, *, once: bool) -> IO[bytes]:
    if not once and content.peek(8).startswith(_MAGIC):
        raise SourceUnreadableError(f"{place}: what is packed in it is packed again; one layer is unpacked")
    return content


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _ZstdFrames:
    """The content of all frames: tools that append write several. zstandard's own reader takes a cut for the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._packed = b""
        # a view: 1 KB may hold 32 MB, and a slice of bytes copies what is left each time
        self._ready = memoryview(b"")

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end.

        :raises EOFError: the last frame is not complete.
        """
        while not self._ready:
            self._packed = self._packed or self._file.read(_PACKED_BYTES)
            if not self._packed:
                if self._frame is not None:
                    raise EOFError("it ends within a frame")
                return b""
            frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._ready = memoryview(frame.decompress(self._packed))
            self._frame, self._packed = (None, frame.unused_data) if frame.eof else (frame, b"")
        data, self._ready = self._ready[:size], self._ready[size:]
        return bytes(data)


def _limited(inner: _Readable, path: Path, max_bytes: int, announced: int | None = None) -> io.BufferedReader:
    return io.BufferedReader(_Limited(inner, path, max_bytes, announced), 1 << 18)


class _Limited(io.RawIOBase):
    """Counts what comes out of a decompressor: its header may lie about it."""

    def __init__(self, inner: _Readable, path: Path, max_bytes: int, announced: int | None) -> None:
        self._inner = inner
        self._path = path
        self._size = 0
        self._max = max_bytes
        self._announced = announced

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        with unpacking(f"{self._path.name} is broken or cut off"):
            data = self._inner.read(len(buffer))
        self._size += len(data)
        if self._size > self._max:
            raise SourceUnreadableError(
                f"{self._path.name} unpacks to more than source.max_bytes = {counted(self._max, 'byte')}; raise it if "
                f"right"
            )
        if not data and self._announced is not None and self._size != self._announced:
            raise SourceUnreadableError(
                f"{self._path.name} is broken or cut off: {counted(self._size, 'byte')} came and its directory "
                f"announces {self._announced:,}"
            )
        buffer[: len(data)] = data
        return len(data)
