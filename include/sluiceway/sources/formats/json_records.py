"""Records out of a JSON document of any size, one by one: an answer of 50,000 records takes 60 MB, parsed 400 MB."""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from sluiceway.json_path import MOST_LEVELS, is_too_deep
from sluiceway.sources.formats.texts import Number

CHUNK_BYTES = 1 << 16
VALUE_CHARACTERS = 16
"""For each value in a record it may be so much shorter: a list of numbers takes forty times of what it is as text."""
_SEPARATORS = (",", "[", "{")

_DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=str, strict=False)
_BLANK = " \t\r\n"


class BrokenJsonError(ValueError):
    """The document is no JSON."""


class CutJsonError(BrokenJsonError):
    """The document ends before its time."""


class LongJsonError(BrokenJsonError):
    """One of its values is longer than it may be."""


class DeepJsonError(BrokenJsonError):
    """One of its values lies deeper than whatever walks through it can follow."""

    def __init__(self) -> None:
        super().__init__("it is nested too deeply")


@dataclass
class Document:
    """What was found in a document, besides its records. Complete once all records were read."""

    found: bool = False
    """Whether there are records at all where they should stand."""
    cursor: Any = None
    """The value where the next cursor should stand."""
    keys: list[str] = field(default_factory=list)
    """The keys of the objects on the way to the records, joined by dots; for messages."""
    other: dict[str, Any] = field(default_factory=dict)
    """Short texts and lists beside the records, such as an error."""
    digest: str = ""
    """Of the records as they are spelled."""


def read_records(
    stream: IO[bytes],
    document: Document,
    *,
    records: str | None,
    largest: int,
    cursor: str | None = None,
    encoding: str = "utf-8",
) -> Iterator[tuple[Any, str]]:
    """The records and their spelling, one by one.

    :param stream: the document; is read from where it stands.
    :param document: filled on the way.
    :param records: where the records stand, keys joined by dots; None: the document is the records.
    :param largest: characters of one record, or one other value.
    :param cursor: where the next cursor stands, keys joined by dots.
    :raises BrokenJsonError: the document is no JSON; CutJsonError where it breaks off, LongJsonError where a value is
        longer than `largest`, or holds too many others for that.
    """
    text = DocumentText(stream, encoding, largest)
    digest = hashlib.sha256()
    for value, spelling in _walk(text, document, _keys(records), _keys(cursor) if cursor else None, ""):
        digest.update(spelling.encode("utf-8", "surrogatepass") + b"\n")
        yield value, spelling
    if text.peek():
        raise BrokenJsonError(f"{text.rest(20)!r} follows its end")
    document.digest = digest.hexdigest()


def _keys(path: str | None) -> tuple[str, ...]:
    return tuple(path.split(".")) if path else ()


def _behind(path: tuple[str, ...] | None, key: str) -> tuple[str, ...] | None:
    """What is left of a path behind a key, which may have dots itself; None: it does not lead there."""
    steps = tuple(key.split("."))
    return path[len(steps) :] if path and path[: len(steps)] == steps else None


def _walk(
    text: DocumentText, document: Document, records: tuple[str, ...] | None, cursor: tuple[str, ...] | None, where: str
) -> Iterator[tuple[Any, str]]:
    """Go through one value, which holds the records, the cursor, both or neither."""
    if records == ():
        yield from _elements(text, document)
    elif text.peek() == "{":
        for key in members(text):
            path = f"{where}.{key}" if where else key
            to_records, to_cursor = _behind(records, key), _behind(cursor, key)
            if records:
                document.keys.append(path)
            if to_records is not None or to_cursor:
                yield from _walk(text, document, to_records, to_cursor, path)
            else:
                value, spelling = text.value()
                if to_cursor == ():
                    document.cursor = value
                if len(spelling) <= 1000:
                    document.other[path] = value
    else:
        text.value()


def _elements(text: DocumentText, document: Document) -> Iterator[tuple[Any, str]]:
    first = text.peek()
    if first == "[":
        document.found = True
        text.take("[")
        if text.peek() == "]":
            text.take("]")
            return
        while True:
            yield text.value()
            if text.take(",]") == "]":
                return
    elif first == "{":
        document.found = True
        yield text.value()
    else:
        # null, as some say that nothing was found; any other single value is no record
        value, spelling = text.value()
        document.found = value is None
        if value is not None:
            document.other["its records"] = spelling[:100]


def members(text: DocumentText) -> Iterator[str]:
    """The keys of an object; the value of each has to be read before the next one."""
    text.take("{")
    if text.peek() == "}":
        text.take("}")
        return
    while True:
        if text.peek() != '"':
            raise text.broken("a key in double quotes")
        key, _ = text.value()
        text.take(":")
        yield key
        if text.take(",}") == "}":
            return


class DocumentText:
    """A window on the document that moves forward."""

    def __init__(self, stream: IO[bytes], encoding: str, largest: int) -> None:
        self._stream = stream
        self._largest = largest
        utf_8 = codecs.lookup(encoding).name in {"utf-8", "ascii"}
        self._encoding = "UTF-8" if utf_8 else encoding
        self._decoder = codecs.getincrementaldecoder("utf-8-sig" if utf_8 else encoding)()
        self._window = ""
        self._at = 0
        self._ended = False

    def _more(self, size: int | None = None) -> bool:
        if self._ended:
            return False
        chunk = self._stream.read(size or CHUNK_BYTES)
        self._ended = not chunk
        try:
            self._window = self._window[self._at :] + self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            wrong = error.object[error.start]
            raise BrokenJsonError(f"byte 0x{wrong:02x} is no {self._encoding}; it must be encoded anew") from error
        self._at = 0
        return True

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            while self._at < len(self._window):
                if self._window[self._at] not in _BLANK:
                    return self._window[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, one_of: str) -> str:
        """Step over one of these characters, which must be next."""
        found = self.peek()
        if not found or found not in one_of:
            raise self.broken(" or ".join(map(repr, one_of)))
        self._at += 1
        return found

    def value(self) -> tuple[Any, str]:
        """The next value and its spelling."""
        if not self.peek():
            raise self.broken("a value")
        size = CHUNK_BYTES
        while True:
            try:
                value, end = _DECODER.raw_decode(self._window, self._at)
            except RecursionError as error:
                raise DeepJsonError from error
            except json.JSONDecodeError as error:
                # it may be complete with what follows
                if self._ended and (error.pos >= len(self._window) or error.msg.startswith("Unterminated")):
                    raise CutJsonError("it breaks off") from error
                if not self._grow(size):
                    raise BrokenJsonError(f"{error.msg}: {self.rest(20)!r}") from error
            else:
                # 12 may go on as 12.5 or 12e+5, of which the window may hold 12e+
                number_may_go_on = isinstance(value, Number) and len(self._window) - end <= 2
                if not number_may_go_on or not self._more(size):
                    spelling = self._window[self._at : end]
                    check_deep(value, spelling)
                    self._at = end
                    return value, spelling
            size *= 2
            check_many(self._window, self._largest, start=self._at)

    def _grow(self, size: int) -> bool:
        """Read on for a value that is not complete; False where there is no more."""
        left = self._largest - (len(self._window) - self._at)
        if left < 0:
            raise LongJsonError(f"a value is longer than {self._largest:,} characters")
        return self._more(min(size, left + 1))

    def broken(self, expected: str) -> BrokenJsonError:
        """What to raise where something else was expected."""
        if not self.peek():
            return CutJsonError("it breaks off")
        return BrokenJsonError(f"{expected} expected, not {self.rest(20)!r}")

    def rest(self, characters: int) -> str:
        """The next characters; for messages."""
        return self._window[self._at : self._at + characters]


def check_deep(value: Any, spelling: str) -> None:
    """Raises DeepJsonError when a value lies more than MOST_LEVELS deep: it was parsed, and could not be spelled."""
    if spelling.count("[") + spelling.count("{") > MOST_LEVELS and is_too_deep(value):
        raise DeepJsonError


def check_many(text: str, largest: int, *, start: int = 0) -> None:
    """Raises LongJsonError when the record in `text` may hold too many values for one of `largest` characters."""
    most = largest // VALUE_CHARACTERS
    if sum(text.count(each, start) for each in _SEPARATORS) > most:
        raise LongJsonError(f"a record holds more than {most:,} values, one for each {VALUE_CHARACTERS} characters")
