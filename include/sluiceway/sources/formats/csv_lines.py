"""What delimited text loses on its way to the parser: lines below the header, and blanks behind delimiters."""

from __future__ import annotations

import re

from sluiceway.tables.source_spec import CsvSource

_LINE_END = re.compile(rb"\r\n|\n|\r")
_MOST_BLANKS = 1 << 20
"""Blanks of a line that wait for what follows them, which may be dropped."""
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
            if self._blank and end is None and not last and len(line) < _MOST_BLANKS:
                self._held = line + self._held
                break
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
        escape = re.escape(source.escape.encode()) if source.escape is not None else b""
        escaped = b"|" + escape + b"." if escape else b""
        enclosed = b"(?:[^" + quote + escape + b"]" + escaped + b"|" + quote * 2 + b")*+"
        rest = b"(?:[^" + delimiter + escape + rb"\r\n]" + escaped + b")*+"
        end = b"(" + delimiter + rb"|\r\n|\n|\r)"
        self._value = re.compile(
            b" *+((?:" + quote + enclosed + quote + b"|(?!" + quote + b"))" + rest + end + b")", re.DOTALL
        )
        self._blanks = re.compile(b" *+")
        self._enclosed = re.compile(enclosed, re.DOTALL)
        self._rest = re.compile(rest + end + b"?", re.DOTALL)
        self._quote = source.quote.encode()
        self._inside = False
        """Whether the text so far ends within quotes."""
        self._begun = False
        """Whether it ends within a value, and not within quotes."""
        self._held = b""

    def take(self, data: bytes, *, last: bool) -> bytes:
        """What of the text goes on; a quote or an escape waits for what is behind it.

        :param last: whether it ends here.
        """
        data, self._held = self._held + data, b""
        at = self._go_on(data, 0, last=last)
        kept = [data[:at]]
        if not (self._inside or self._begun):
            while (value := self._value.match(data, at)) is not None:
                kept.append(value[1])
                at = value.end()
            start = self._end(self._blanks, data, at)
            self._inside = data.startswith(self._quote, start)
            self._begun = not self._inside and start < len(data)
            at = self._go_on(data, start + self._inside, last=last)
            kept.append(data[start:at])
        if last:
            kept.append(data[at:])
        else:
            self._held = data[at:]
        return b"".join(kept)

    def _go_on(self, data: bytes, at: int, *, last: bool) -> int:
        """Where the value that has begun ends, as far as it is known."""
        if self._inside:
            at = self._end(self._enclosed, data, at)
            if data.startswith(self._quote, at) and (last or at + 1 < len(data)):
                self._inside, self._begun, at = False, True, at + 1
        if self._begun and (rest := self._rest.match(data, at)) is not None:
            self._begun, at = rest[1] is None, rest.end()
        return at

    @staticmethod
    def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
        found = pattern.match(data, at)
        return found.end() if found is not None else at
