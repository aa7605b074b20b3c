"""What delimited text loses on its way to the parser: lines below the header, and blanks behind delimiters."""

from __future__ import annotations

import re

from sluiceway.tables.source_spec import CsvSource

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BLANK_LINES = re.compile(rb"(?:[ \t]*+(?:\r\n|\n|\r(?!\Z)))++")
"""What is behind a carriage return at the end is not known."""


class Below:
    """Drops the lines right below the header, which is one line itself; blank ones do not count."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._header = True
        """Whether the header has not ended yet."""
        self._blank = True
        """Whether the line so far is blank."""
        self._held = b""

    def take(self, data: bytes, *, last: bool) -> bytes:
        """What of the text goes on.

        :param last: whether it ends here.
        """
        data, self._held = self._held + data, b""
        at, kept = 0, []
        while at < len(data) and self._left:
            if self._blank and (blank := _BLANK_LINES.match(data, at)) is not None:
                # there may be millions
                kept.append(blank[0])
                at = blank.end()
                continue
            end = _LINE_END.search(data, at)
            if end is not None and end.end() == len(data) and end[0] == b"\r" and not last:
                # a line feed may follow
                self._held = b"\r"
                data, end = data[:-1], None
            line = data[at : end.end()] if end is not None else data[at:]
            at += len(line)
            self._blank = self._blank and not line.strip()
            if self._header or self._blank:
                kept.append(line)
            if end is not None and not self._blank:
                self._left -= not self._header
                self._header = False
                self._blank = True
        return b"".join(kept) + data[at:]


class Spaces:
    """Drops the blanks before a value: a quote behind one would be part of the value."""

    def __init__(self, source: CsvSource) -> None:
        quote, delimiter = re.escape(source.quote.encode()), re.escape(source.delimiter.encode())
        escaped = b"|" + re.escape(source.escape.encode()) + b"." if source.escape is not None else b""
        without = b"[^" + quote + (re.escape(source.escape.encode()) if source.escape is not None else b"") + b"]"
        enclosed = quote + b"(?:" + without + escaped + b"|" + quote * 2 + b")*+" + quote
        rest = b"[^" + delimiter + rb"\r\n]*+"
        # a quote that is never closed matches nothing, and waits
        self._value = re.compile(
            b" *+((?:" + enclosed + b"|(?!" + quote + b"))" + rest + b"(?:" + delimiter + rb"|\r\n|\n|\r))", re.DOTALL
        )
        self._most = source.max_value_bytes
        self._waiting = b""

    def take(self, data: bytes, *, last: bool) -> bytes:
        """What of the text goes on; a value whose end is not here yet waits.

        :param last: whether it ends here.
        """
        data = self._waiting + data
        at, kept = 0, []
        while (value := self._value.match(data, at)) is not None:
            if value.end() == len(data) and data.endswith(b"\r") and not last:
                break
            kept.append(value[1])
            at = value.end()
        rest = data[at:]
        if last or len(rest) > self._most:
            # whoever parses it says what is wrong with it
            kept.append(rest.lstrip(b" "))
            rest = b""
        self._waiting = rest
        return b"".join(kept)
