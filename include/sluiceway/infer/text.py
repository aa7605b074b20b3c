"""Delimited text: its encoding from all of its bytes, and its dialect from its beginning and its end."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sluiceway.errors import ConfigError, SourceUnreadableError, said_by
from sluiceway.infer.dialect import Dialect, find_dialect
from sluiceway.infer.encoding import Found, find_encoding
from sluiceway.infer.recognise import MOST_BYTES
from sluiceway.sources.formats.archive import open_bytes

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

BEGINNING_BYTES = 1 << 18
END_BYTES = 1 << 16
_ALIGNED = 4
"""No character of UTF-16 and UTF-32 is cut at a multiple of so many bytes."""


def find_text(path: Path, member: str | None, encoding: str | None = None) -> tuple[Found, Dialect]:
    """How the text at `path` is written.

    :param encoding: it is in this one; else it is found.
    :raises ConfigError: there is no such encoding.
    :raises SourceUnreadableError: it is no text, or cannot be unpacked to its end.
    """
    try:
        with open_bytes(path, member, MOST_BYTES) as stream:
            ends = _Ends(stream)
            found = find_encoding(ends, path.name) if encoding is None else Found(_known(encoding))
            while ends.read(END_BYTES):
                # the encoding may be known before the end
                pass
    except OSError as error:
        raise SourceUnreadableError(f"{path.name} cannot be read to its end: {said_by(error)}") from error
    whole = ends.total <= BEGINNING_BYTES
    codec = found.name or "utf-8-sig"
    end = "" if whole else ends.end.decode(_without_mark(codec), "ignore").partition("\n")[2]
    return found, find_dialect(ends.beginning.decode(codec, "ignore"), end, whole=whole)


def _known(encoding: str) -> str:
    try:
        "".encode(encoding)
    except LookupError as error:
        raise ConfigError(f"--encoding: {encoding!r} is no encoding of texts; cp1252 is one") from error
    return encoding


def _without_mark(codec: str) -> str:
    # in the middle of a text there is no byte order mark to tell
    return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(codec, codec)


class _Ends(io.RawIOBase):
    """A stream, and what went by at its beginning and its end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.beginning = b""
        self.total = 0
        self._stream = stream
        self._last = b""

    @property
    def end(self) -> bytes:
        """The last bytes, from a place where no character is cut."""
        start = self.total - len(self._last)
        return self._last[-start % _ALIGNED :]

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer`; 0 at the end."""
        target = memoryview(buffer).cast("B")
        data = self._stream.read(len(target))
        target[: len(data)] = data
        if len(self.beginning) < BEGINNING_BYTES:
            self.beginning += data[: BEGINNING_BYTES - len(self.beginning)]
        self._last = (self._last + data)[-END_BYTES:]
        self.total += len(data)
        return len(data)
