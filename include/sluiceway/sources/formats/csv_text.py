"""The bytes of delimited text on their way to the parser: decoded, without what is no data, and with sound quotes.

Arrow's parser reads a quote that is never closed as one long value, and the records behind it are gone. Every quote
is therefore looked at on the way: it must stand at a value's edge, else the value it belongs to is followed to its end.
"""

from __future__ import annotations

import codecs
import encodings.aliases
import io
import re
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

import numpy as np

from sluiceway.errors import ConfigError, nearest
from sluiceway.sources.formats.csv_lines import Below, Spaces
from sluiceway.tables.source_spec import CsvSource

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK_BYTES = 1 << 20
MOST_UNDECIDED = 1 << 20
"""Bytes of quotes and blanks whose meaning is waited for; what follows more of them is no longer looked at together."""
_LINE_END = re.compile(rb"\r\n|\n|\r")
_COMMENT_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""What is behind a carriage return at the end is not known."""
_UTF_8_NAMES = frozenset({"utf-8", "ascii"})


class CsvText(io.RawIOBase):
    """Delimited text in UTF-8: no byte order mark, no skipped lines and no comments, whatever the file's encoding.

    Where the text is broken it ends, within the broken record, and `broken` says why: the parser then knows the
    record's number.
    """

    def __init__(self, stream: IO[bytes], source: CsvSource) -> None:
        """:raises ConfigError: the encoding is unknown, or a character of the dialect cannot be one."""
        check_dialect(source)
        self.broken: str | None = None
        self._stream = stream
        self._decode = _decoder(source.encoding)
        self._quotes = Quotes(source)
        self._lines_to_skip = source.skip_lines
        self._below = Below(source.skip_below) if source.skip_below else None
        self._spaces = Spaces(source) if source.skip_spaces else None
        self._comment = (
            re.compile(rb"(?<=[\r\n])" + re.escape(source.comment.encode())) if source.comment is not None else None
        )
        self._in_comment = False
        self._before = b"\n"
        self._started = self._ended = False
        self._part_of_line = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill `buffer` as far as there is text: Arrow takes what comes for a block, which a record must fit in."""
        target = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(target) and (self._ready or not self._ended):
            if not self._ready:
                self._ready = memoryview(self._next())
            size = min(len(target) - filled, len(self._ready))
            target[filled : filled + size] = self._ready[:size]
            self._ready = self._ready[size:]
            filled += size
        return filled

    def _next(self) -> bytes:
        raw = self._stream.read(CHUNK_BYTES)
        self._ended = not raw
        data, problem = self._decode(raw, self._ended)
        if not self._started and data:
            self._started = True
            data = data.removeprefix(codecs.BOM_UTF8)
        if problem is not None:
            self._ended, self.broken = True, problem
        if self._lines_to_skip:
            data = self._without_first_lines(data)
        if self._comment is not None:
            return self._without_comments(data, self._comment)
        return self._checked(data, last=self._ended)

    def _checked(self, data: bytes, *, last: bool) -> bytes:
        if self._below is not None:
            data = self._below.take(data, last=last)
        if self._spaces is not None:
            data = self._spaces.take(data, last=last)
        data, problem = self._quotes.look_at(data, last=last)
        if problem is not None and self.broken is None:
            self._ended, self.broken = True, problem
        return data

    def _without_first_lines(self, data: bytes) -> bytes:
        data, self._part_of_line = self._part_of_line + data, b""
        while self._lines_to_skip:
            end = _LINE_END.search(data)
            if end is None:
                return b""
            if end.end() == len(data) and end[0] == b"\r" and not self._ended:
                # a line feed may follow
                self._part_of_line = b"\r"
                return b""
            data = data[end.end() :]
            self._lines_to_skip -= 1
        return data

    def _without_comments(self, data: bytes, comment: re.Pattern[bytes]) -> bytes:
        # the byte before says whether a line begins here, and whether a comment's carriage return has a line feed
        text, broken = self._before + data, self.broken
        self._before = text[-1:]
        start = at = 0 if self._in_comment else 1
        kept = []
        while self.broken is broken:
            if self._in_comment:
                end = _COMMENT_END.search(text, start)
                self._in_comment = end is None
                start = at = len(text) if end is None else end.end()
            found = comment.search(text, at)
            stop = len(text) if found is None else found.start()
            if found is None or start < stop:
                kept.append(self._checked(text[start:stop], last=self._ended and found is None))
            if found is None:
                break
            start, at = stop, found.end()
            self._in_comment = not self._quotes.inside
        return b"".join(kept)


def check_dialect(source: CsvSource) -> None:
    """Raises ConfigError when a character of the dialect cannot be one, or stands for two things."""
    taken: dict[str, str] = {}
    for name in ("delimiter", "quote", "escape", "comment"):
        character = getattr(source, name)
        if character is None:
            continue
        if name != "comment" and (not character.isascii() or character in "\r\n"):
            raise ConfigError(f"source.{name}: {character!r} cannot be one; use an ASCII character, no line end")
        if character in taken:
            raise ConfigError(f"source.{name}: {character!r} is source.{taken[character]} as well; one must differ")
        taken[character] = name


Decode = Callable[[bytes, bool], tuple[bytes, str | None]]


def _decoder(encoding: str | None) -> Decode:
    """From bytes and whether they are the last ones to UTF-8, and what is wrong with the first byte that is left."""
    name = encoding or "utf-8"
    try:
        # refuses also the codecs that decode no text, such as base64
        io.TextIOWrapper(io.BytesIO(), encoding=name)
        codec = codecs.lookup(name)
    except (LookupError, ValueError) as error:
        known = {*encodings.aliases.aliases, *encodings.aliases.aliases.values()}
        hint = nearest(name, (each.replace("_", "-") for each in known), listing=False)
        raise ConfigError(f"source.encoding: unknown encoding: {name}{hint}") from error
    if codec.name.removesuffix("-sig") in _UTF_8_NAMES:
        return _from_utf_8("ASCII" if codec.name == "ascii" else "UTF-8", declared=encoding is not None)
    return _from_other(codec)


def _from_utf_8(name: str, *, declared: bool) -> Decode:
    waiting = b""

    def decode(data: bytes, last: bool) -> tuple[bytes, str | None]:
        nonlocal waiting
        if not waiting and data.isascii():
            return data, None
        data = waiting + data
        try:
            if name == "ASCII":
                data.decode("ascii")
            _, used = codecs.utf_8_decode(data, "strict", last)
        except UnicodeDecodeError as error:
            known = "declare another source.encoding" if declared else "declare source.encoding"
            example = '"utf-16"' if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else '"cp1252"'
            return data[: error.start], f"byte 0x{data[error.start]:02x} is no {name}; {known}, such as {example}"
        waiting = data[used:]
        return data[:used], None

    return decode


def _from_other(codec: codecs.CodecInfo) -> Decode:
    decoder = codecs.getincrementaldecoder(codec.name)()

    def decode(data: bytes, last: bool) -> tuple[bytes, str | None]:
        before = decoder.getstate()
        try:
            return decoder.decode(data, last).encode(), None
        except UnicodeDecodeError as error:
            bad, waiting = error.object[error.start], len(error.object) - len(data)
            # what stands before the bad byte says in which record it is
            decoder.setstate(before)
            start = decoder.decode(data[: max(error.start - waiting, 0)]).encode(errors="replace")
            return start, f"byte 0x{bad:02x} is no {codec.name}; declare another source.encoding"
        except UnicodeEncodeError:
            return b"", f"it holds half a character in {codec.name}; declare another source.encoding"

    return decode


class Quotes:
    """Follows the quotes of delimited text, chunk by chunk, as Arrow's parser does."""

    def __init__(self, source: CsvSource) -> None:
        self.inside = False
        """Whether the text so far ends within a quoted value."""
        self._spans_lines = False
        self._before = b"\n"
        self._waiting = b""
        quote, delimiter = source.quote.encode(), source.delimiter.encode()
        self._quote = quote
        self._edges = np.zeros(256, dtype=np.bool_)
        self._edges[list(delimiter + quote + b"\r\n")] = True
        edge = b"[" + re.escape(delimiter) + rb"\r\n]"
        inside = b"[^" + re.escape(quote) + b"]*+(?:" + re.escape(quote * 2) + b"[^" + re.escape(quote) + b"]*+)*+"
        self._opening = re.compile(b"(?<=" + edge + b")" + re.escape(quote))
        self._rest_of_value = re.compile(inside + b"(" + re.escape(quote) + b")?")
        # a blank behind the closing quote is common and harmless
        self._end_of_value = re.compile(rb"[ \t]*(?:" + edge + rb"|\Z)")
        self._escaped = (
            re.compile(re.escape(source.escape.encode()) + b"[\x00-\xff]") if source.escape is not None else None
        )
        self._escape = source.escape.encode() if source.escape is not None else b""

    def look_at(self, data: bytes, *, last: bool) -> tuple[bytes, str | None]:
        """What of the text can go on, and why it ends within a broken value, if it does.

        What stands at the end and gets its meaning from what follows waits for the next call.

        :param last: whether the text ends here.
        """
        whole = self._waiting + data
        keep = 0 if last else self._undecided(whole)
        whole, self._waiting = whole[: len(whole) - keep], whole[len(whole) - keep :]
        plain = self._escaped.sub(b"__", whole) if self._escaped is not None else whole
        broken_at = self._follow(plain)
        if plain:
            self._before = plain[-1:]
        if broken_at is not None:
            return whole[:broken_at], "a quote is opened, and the next one, lines below, does not end a value"
        return whole, "a quote is opened and never closed" if last and self.inside else None

    def _undecided(self, text: bytes) -> int:
        """How many bytes at the end must wait: quotes may go on, and an escape has no character yet."""
        end = len(text.rstrip(self._quote + self._escape + b" \t"))
        undecided = self._quote in text[end:] or (self._escape and self._escape in text[end:])
        return len(text) - end if undecided and len(text) - end <= MOST_UNDECIDED else 0

    def _follow(self, text: bytes) -> int | None:
        """Where the text is broken."""
        if self._quote not in text:
            self._spans_lines = self.inside and (self._spans_lines or _LINE_END.search(text) is not None)
            return None
        return None if self._sound(text) else self._value_by_value(text)

    def _sound(self, text: bytes) -> bool:
        """Whether every quote stands at a value's edge or is doubled; then their number says what is inside."""
        characters = np.frombuffer(text, dtype=np.uint8)
        found = np.flatnonzero(characters == self._quote[0])
        first = int(self.inside)
        opening, closing = found[first::2], found[1 - first :: 2]
        before = characters[opening - 1]
        if opening.size and opening[0] == 0:
            before[0] = self._before[0]
        at_end = bool(closing.size) and closing[-1] == len(characters) - 1
        behind = characters[closing[:-1] + 1 if at_end else closing + 1]
        if not (self._edges[before].all() and self._edges[behind].all()):
            return False
        self.inside = (len(found) % 2 == 1) != self.inside
        if self.inside:
            # behind a doubled quote the value goes on
            opened = opening[before != self._quote[0]]
            spans = _LINE_END.search(text, int(opened[-1]) if opened.size else 0) is not None
            self._spans_lines = spans or (self._spans_lines and not opened.size)
        return True

    def _value_by_value(self, text: bytes) -> int | None:
        """The slow way, for text with quotes inside of values that are not quoted, or that are not doubled."""
        # the character before says whether a quote at the very start opens a value
        text = self._before + text
        at = 1
        while True:
            if not self.inside:
                opening = self._opening.search(text, at)
                if opening is None:
                    return None
                self.inside, self._spans_lines, at = True, False, opening.end()
            value = self._rest_of_value.match(text, at)
            end = value.end() if value is not None else len(text)
            self._spans_lines = self._spans_lines or _LINE_END.search(text, at, end) is not None
            if value is None or value[1] is None:
                return None
            self.inside, at = False, end
            if self._spans_lines and self._end_of_value.match(text, end) is None:
                return end - 1
