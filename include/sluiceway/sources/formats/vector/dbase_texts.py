"""Texts of a dBase file, decoded here and strictly: GDAL knows few spellings of encodings, and drops letters."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from sluiceway.errors import SourceUnreadableError, quoted
from sluiceway.sources.formats.texts import text_array
from sluiceway.sources.formats.vector.codec import codec_named
from sluiceway.sources.formats.vector.vector_files import VectorFile

log = logging.getLogger(__name__)

_LANGUAGES = {
    "cp437": (0x01, 0x09, 0x0B, 0x0D, 0x0F, 0x11, 0x15, 0x18, 0x19, 0x1B),
    "cp737": (0x6A, 0x86),
    "cp850": (0x02, 0x0A, 0x0E, 0x10, 0x12, 0x14, 0x16, 0x1A, 0x1D, 0x25, 0x37),
    "cp852": (0x1F, 0x22, 0x23, 0x40, 0x64, 0x87),
    "cp857": (0x6B, 0x88),
    "cp860": (0x24,),
    "cp861": (0x67,),
    "cp863": (0x1C, 0x6C),
    "cp865": (0x08, 0x17, 0x66),
    "cp866": (0x26, 0x65),
    "cp874": (0x50, 0x7C),
    "cp932": (0x13, 0x7B),
    "gbk": (0x4D, 0x7A),
    "cp949": (0x4E, 0x79),
    "cp950": (0x4F, 0x78),
    "cp1250": (0xC8,),
    "cp1251": (0xC9,),
    "cp1252": (0x03, 0x57, 0x58, 0x59),
    "cp1253": (0xCB,),
    "cp1254": (0xCA,),
    "cp1255": (0x7D,),
    "cp1256": (0x7E,),
    "cp1257": (0xCC,),
    "mac-roman": (0x04,),
    "mac-cyrillic": (0x96,),
    "mac-latin2": (0x97,),
    "mac-greek": (0x98,),
}
"""The language drivers of dBase, FoxPro and ArcGIS; 0x57 is what Windows calls ANSI."""
_CODEC_OF_LANGUAGE = {number: codec for codec, numbers in _LANGUAGES.items() for number in numbers}
_UNKNOWN_LANGUAGES = frozenset({0x68, 0x69})
"""Kamenicky and Mazovia, of which Python knows nothing."""
_ASCII = bytes(range(32, 127))
DOUBT = "encoding"
"""What Extraction.doubts calls it."""


class DbaseTexts:
    """Decodes the names and texts of one layer; remembers whether they look like UTF-8 that was taken for something."""

    def __init__(self, table: str, file: VectorFile, *, declared: str | None, language: int) -> None:
        """
        :param declared: source.encoding.
        :param language: the language driver in the .dbf's header.
        :raises SourceUnreadableError: the declared encoding, or that of the .cpg or the header, is none.
        """
        self._table = table
        self._place = file.place
        self._how = "source.encoding" if declared else "its .cpg" if file.cpg else f"no .cpg, header {language:#04x}"
        name = declared or file.cpg or f"LDID/{language}"
        codec = _codec(name)
        if codec is None:
            said = f"source.encoding = {declared!r} is none" if declared else f"it says its encoding is {quoted(name)}"
            raise SourceUnreadableError(
                f"{table}: {self._place}: {said} that a .dbf can have; declare source.encoding, such as 'cp1252'"
            )
        # where nobody said so, latin-1 is what Windows calls ANSI: curly quotes are no control characters
        self.codec = "cp1252" if codec == "iso8859-1" and declared is None else codec
        self._single = _is_single_byte(self.codec)
        self._foreign = 0
        self._like_utf8 = True
        self._cut = 0

    def name(self, raw: bytes) -> str:
        """A column's name.

        :raises SourceUnreadableError: the bytes are no text in this encoding.
        """
        return raw.decode() if raw.isascii() else self._decoded(raw, "a column's name")

    def decode(self, values: pa.Array, column: str, numbers: Sequence[int], width: int | None) -> pa.Array:
        """The texts of a batch whose rows have these numbers, from their bytes.

        :param width: bytes of the column, where a text may have been cut off by it.
        :raises SourceUnreadableError: the bytes are no text in this encoding.
        """
        if not _has_foreign(values):
            return values.cast(pa.string())
        if self.codec == "utf-8" and _is_valid(texts := _as_text(values)):
            return texts
        found: list[str | None] = []
        for index, raw in enumerate(values.to_pylist()):
            if raw is None or raw.isascii():
                found.append(None if raw is None else raw.decode())
                continue
            self._foreign += 1
            self._like_utf8 = self._like_utf8 and _is_utf8(raw)
            if self.codec == "utf-8" and len(raw) == width:
                raw = self._whole_letters(raw)
            found.append(self._decoded(raw, f"row {numbers[index]:,}, column {column!r}"))
        return text_array(found)

    def _whole_letters(self, raw: bytes) -> bytes:
        """The text without the half of a letter at its end, where the column was too narrow for the other half."""
        try:
            raw.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                self._cut += 1
                return raw[: error.start]
        return raw

    def _decoded(self, raw: bytes, where: str) -> str:
        try:
            return raw.decode(self.codec)
        except UnicodeDecodeError as error:
            known_as = "UTF-8" if self.codec == "utf-8" else self.codec
            raise undecodable(self._table, self._place, where, raw, known_as) from error

    def check_end(self) -> None:
        """Raises SourceUnreadableError when every letter beyond ASCII was half of one in UTF-8: MayagÃ¼ez."""
        if (said := self.told_at_end().get(DOUBT)) is not None:
            raise SourceUnreadableError(said)

    def told_at_end(self) -> dict[str, str | None]:
        """The same as a sentence, None where a letter is one of this encoding; nothing where there was none."""
        if self._cut:
            log.warning(
                "%s: %s: %d texts fill their column and end within a letter, of which half was cut off when the file "
                "was written; they are loaded without it",
                *(self._table, self._place, self._cut),
            )
        if not self._foreign:
            return {}
        if not (self._single and self._like_utf8):
            return {DOUBT: None}
        values = "its one value" if self._foreign == 1 else f"each of its {self._foreign:,} values"
        return {
            DOUBT: f"{self._table}: {self._place} was read as {self.codec} ({self._how}), and {values} with letters "
            f'beyond ASCII is UTF-8; declare source.encoding = "utf-8"'
        }


def codec_of_language(number: int) -> str | None:
    """The encoding for which a language driver stands; None where Python does not know it."""
    known = number in _CODEC_OF_LANGUAGE or number in _UNKNOWN_LANGUAGES
    return _CODEC_OF_LANGUAGE.get(number) if known else "cp1252"


def _codec(name: str) -> str | None:
    if name.upper().startswith("LDID/") and name[5:].isdecimal():
        # as GDAL writes it into a .cpg
        return codec_of_language(int(name[5:]))
    codec = codec_named(name)
    # bytes below 128 are not looked at
    return codec if codec is not None and _ASCII.decode(codec, "replace") == _ASCII.decode() else None


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


def _as_text(values: pa.Array) -> pa.Array:
    """The same bytes, and nobody has looked yet whether they are a text."""
    return pa.Array.from_buffers(pa.string(), len(values), values.buffers())


def _is_valid(values: pa.Array) -> bool:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _has_foreign(values: pa.Array) -> bool:
    data = values.buffers()[2]
    return data is not None and bool((np.frombuffer(data, dtype=np.uint8) >= 0x80).any())
