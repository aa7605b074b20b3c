"""Texts of a dBase file, decoded here and strictly.

GDAL knows few spellings of encodings, drops letters that it cannot decode, and hands over undecoded bytes where it
does not know the encoding. So it is told latin-1, in which each byte is a letter, and this module does the rest.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sluiceway.errors import SourceUnreadableError
from sluiceway.sources.texts import text_array
from sluiceway.sources.vector_files import VectorFile, codec_named

_BYTES = "iso8859-1"


class DbaseTexts:
    """Decodes the names and texts of one layer; remembers whether they look like UTF-8 that was taken for something."""

    def __init__(self, table: str, file: VectorFile, *, declared: str | None, guessed: str) -> None:
        """
        :param declared: source.encoding.
        :param guessed: what GDAL finds in the .dbf's header.
        :raises SourceUnreadableError: the declared encoding, or that of the .cpg, is none.
        """
        self._table = table
        self._place = file.place
        self._how = "source.encoding" if declared else "its .cpg" if file.cpg else "no .cpg"
        name = declared or file.cpg or guessed or _BYTES
        codec = codec_named(name)
        if codec is None:
            where = f"source.encoding = {declared!r} is no encoding" if declared else f"says its encoding is {name!r}"
            raise SourceUnreadableError(
                f"{table}: {self._place}: {where}, which nobody knows; declare source.encoding, such as 'cp1252'"
            )
        # where nobody said so, latin-1 is what Windows calls ANSI: curly quotes are no control characters
        self.codec = "cp1252" if codec == _BYTES and declared is None else codec
        self._single = _is_single_byte(self.codec)
        self._foreign = 0
        self._like_utf8 = True

    @property
    def gdal_encoding(self) -> str:
        """What GDAL is told: UTF-8, which it hands over as it is, or latin-1."""
        return "UTF-8" if self.codec == "utf-8" else "ISO-8859-1"

    def name(self, given: str) -> str:
        """A column's name as GDAL gives it, decoded."""
        if self.codec == "utf-8" or given.isascii():
            return given
        return self._decoded(given.encode(_BYTES), "a column's name")

    def decode(self, values: pa.Array, column: str, row_number: int) -> pa.Array:
        """The texts of a batch whose first row has this number.

        :raises SourceUnreadableError: the bytes are no text in this encoding.
        """
        if self.codec == "utf-8":
            return values
        if not _has_foreign(values):
            return values
        found: list[str | None] = []
        for index, value in enumerate(values.to_pylist()):
            if value is None or value.isascii():
                found.append(value)
                continue
            raw = value.encode(_BYTES)
            self._foreign += 1
            self._like_utf8 = self._like_utf8 and _is_utf8(raw)
            found.append(self._decoded(raw, f"row {row_number + index:,}, column {column!r}"))
        return text_array(found)

    def _decoded(self, raw: bytes, where: str) -> str:
        try:
            return raw.decode(self.codec)
        except UnicodeDecodeError as error:
            raise undecodable(self._table, self._place, where, raw, self.codec) from error

    def check_end(self) -> None:
        """Raises SourceUnreadableError when every letter beyond ASCII was half of one in UTF-8: MayagÃ¼ez."""
        if self._foreign and self._single and self._like_utf8:
            raise SourceUnreadableError(
                f"{self._table}: {self._place} was read as {self.codec} ({self._how}), and each of its "
                f'{self._foreign:,} values with letters beyond ASCII is UTF-8; declare source.encoding = "utf-8"'
            )


def undecodable(table: str, place: str, where: str, raw: bytes, codec: str) -> SourceUnreadableError:
    """The error for bytes that are no text."""
    shown = raw[:40].decode("ascii", "backslashreplace")
    return SourceUnreadableError(f"{table}: {place}, {where}: {shown!r} is no {codec}; declare source.encoding")


def _is_single_byte(codec: str) -> bool:
    return len(bytes(range(128, 256)).decode(codec, "replace")) == 128


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _has_foreign(values: pa.Array) -> bool:
    data = values.buffers()[2]
    return data is not None and bool((np.frombuffer(data, dtype=np.uint8) >= 0x80).any())
