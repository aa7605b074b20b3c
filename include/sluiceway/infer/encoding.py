"""The encoding of a text, found in all of its bytes.

UTF-8 proves itself: text of another encoding is hardly ever valid UTF-8 by chance. The single-byte encodings prove
nothing, every byte means some letter in each; what tells them apart is whether the letters are those of one language
and stand where letters stand. Where that is all there is, a person has to look: `Found.sure` is False then.
"""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import IO

from sluiceway.amounts import counted
from sluiceway.errors import SourceUnreadableError
from sluiceway.infer import east_asian
from sluiceway.infer.alphabets import LANGUAGES
from sluiceway.infer.letters import letters_score

CHUNK_BYTES = 1 << 20
WORDS = 20_000
"""Different words with letters beyond ASCII that are kept: enough for any language, and bounded."""
WORD_BYTES = 256
ENOUGH = 200
"""Bytes that are no UTF-8 after which no more are looked for: each costs a copy of what is left of a chunk."""
LINES_BYTES = 1 << 18
STATISTICS_BYTES = 1 << 16
STATISTICS = 0.1
"""How much statistics of pairs of letters count beside the letters themselves."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes({*range(1, 32)} - {9, 10, 11, 12, 13, 26, 27})
_ESCAPES = re.compile(rb"\x1b\$[@B]")
# a pattern that asks for a byte beyond ASCII itself takes the square of a long ASCII word's length
_WORD = re.compile(rb"[0-9A-Za-z'\x80-\xff]+")


@dataclass(frozen=True)
class Found:
    """The encoding of a text."""

    name: str | None
    """A Python codec; None for UTF-8, which needs no declaration."""
    sure: bool = True
    plain: bool = False
    """Whether all of it is ASCII."""
    samples: tuple[str, ...] = ()
    """Words as they read with it, for a person to judge."""
    remark: str | None = None
    """What a person has to know about it besides."""
    words: tuple[bytes, ...] = ()
    """These words as they stand, and more."""

    def samples_in(self, codec: str) -> tuple[str, ...]:
        """Words as they read with another one."""
        shown = [word.decode(codec, "replace").strip("'") for word in self.words]
        return tuple(sorted(dict.fromkeys(shown), key=len, reverse=True)[:4])

    def reads_alike(self, codec: str) -> bool:
        """Whether the words are the same with another one."""
        name = self.name or "utf-8"
        return all(word.decode(name, "replace") == word.decode(codec, "replace") for word in self.words)


@dataclass
class _Bytes:
    """What was seen of a text's bytes."""

    started: bool = False
    total: int = 0
    nulls: Counter[int] = field(default_factory=Counter)
    """NUL bytes at even and at odd places."""
    controls: int = 0
    """Other bytes that no text has, where there are NUL bytes."""
    words: Counter[bytes] = field(default_factory=Counter)
    lines_beyond_ascii: list[bytes] = field(default_factory=list)
    """Whole lines: in the East Asian encodings ASCII bytes can be the second half of a character."""
    kept_bytes: int = 0
    valid: int = 0
    """Characters beyond ASCII that are sound UTF-8."""
    invalid: int = 0
    """Bytes that are no UTF-8."""
    escapes: bool = False
    """Whether it changes to another set of characters, as texts of seven bits do."""
    first_bad: tuple[int, int] | None = None
    """The line of the first one, from 1, and the byte."""
    lines: int = 0
    waiting: bytes = b""


def find_encoding(stream: IO[bytes] | io.RawIOBase, place: str) -> Found:
    """Read `stream` to its end and say how it is written.

    :raises SourceUnreadableError: it is no text, or UTF-8 with bytes that are none.
    """
    seen = _Bytes()
    part_of_line = b""
    while chunk := stream.read(CHUNK_BYTES):
        part_of_line = _keep_lines(seen, part_of_line + chunk)
        if not seen.started:
            seen.started = True
            for mark, name in _BYTE_ORDER_MARKS:
                if chunk.startswith(mark) and name != "utf-8":
                    return Found(name)
        _look_at(seen, chunk, last=False)
    _look_at(seen, b"", last=True)
    _keep_lines(seen, part_of_line + b"\n")
    return _judged(seen, place)


def _look_at(seen: _Bytes, chunk: bytes, *, last: bool) -> None:
    if b"\0" in chunk:
        for parity in (0, 1):
            seen.nulls[(parity + seen.total) % 2] += chunk[parity::2].count(0)
        seen.controls += len(chunk) - len(chunk.translate(None, _CONTROLS))
    seen.escapes = seen.escapes or _ESCAPES.search(chunk) is not None
    seen.total += len(chunk)
    data = seen.waiting + chunk
    seen.waiting = b""
    if seen.invalid >= ENOUGH:
        _keep_words(seen, data)
        return
    if data.isascii():
        seen.lines += data.count(b"\n")
        return
    _keep_words(seen, data)
    start = 0
    while start < len(data):
        try:
            text, used = codecs.utf_8_decode(data[start:], "strict", last)
        except UnicodeDecodeError as error:
            bad = start + error.start
            seen.valid += _beyond_ascii(data[start:bad].decode())
            seen.lines += data.count(b"\n", start, bad)
            seen.invalid += 1
            if seen.first_bad is None:
                seen.first_bad = (seen.lines + 1, data[bad])
            start = bad + 1
            if seen.invalid >= ENOUGH:
                return
        else:
            seen.valid += _beyond_ascii(text)
            seen.lines += data.count(b"\n", start, start + used)
            seen.waiting = data[start + used :]
            return


def _beyond_ascii(text: str) -> int:
    return 0 if text.isascii() else len(text) - len(text.encode("ascii", "ignore"))


def _keep_words(seen: _Bytes, data: bytes) -> None:
    if len(seen.words) >= WORDS:
        return
    seen.words.update(word[:WORD_BYTES] for word in _WORD.findall(data) if not word.isascii())


def _keep_lines(seen: _Bytes, data: bytes) -> bytes:
    """Keep the whole lines that are not ASCII; returns the part of a line at the end."""
    if seen.kept_bytes > LINES_BYTES or len(data) > 4 * CHUNK_BYTES:
        return b""
    whole, _, rest = data.rpartition(b"\n")
    if not whole.isascii():
        for line in whole.split(b"\n"):
            if not line.isascii() and seen.kept_bytes <= LINES_BYTES:
                seen.lines_beyond_ascii.append(line)
                seen.kept_bytes += len(line)
    return rest


def _judged(seen: _Bytes, place: str) -> Found:
    # a NUL among a thousand other characters is dirt: its row is a reject
    if seen.nulls and (seen.controls or seen.nulls.total() * 1000 > seen.total):
        return _with_nulls(seen, place)
    if not seen.invalid:
        # Japanese of seven bits: escapes lead over to it and back
        return Found("iso2022-jp") if seen.escapes and not seen.valid else Found(None, plain=not seen.valid)
    if seen.valid > 4 * seen.invalid and seen.first_bad is not None:
        line, byte = seen.first_bad
        raise SourceUnreadableError(
            f"{place}: byte 0x{byte:02x} in line {line:,} is no UTF-8, but the rest of the text is "
            f"({counted(seen.invalid, 'such place')}); repair the file, or name its encoding with --encoding"
        )
    best = max(_scores(seen).items(), key=lambda scored: scored[1])[0]
    found = Found(best, sure=False, words=tuple(word for word, _ in seen.words.most_common(50)))
    return replace(found, samples=_samples(seen, best))


def _samples(seen: _Bytes, codec: str) -> tuple[str, ...]:
    """Whole words: in the East Asian encodings a byte of ASCII can be the second half of a character."""
    lines = [line.decode(codec, "replace") for line in seen.lines_beyond_ascii[:50]]
    shown = [word[:40] for line in lines for word in re.split(r"[\s,;|\"]+", line) if not word.isascii()]
    return tuple(sorted(dict.fromkeys(shown), key=len, reverse=True)[:4])


def _with_nulls(seen: _Bytes, place: str) -> Found:
    even, odd = seen.nulls[0], seen.nulls[1]
    half = seen.total / 2
    # a Latin text in UTF-16 has a NUL in nearly every pair
    if odd > 0.3 * half and even < 0.05 * half:
        return Found("utf-16-le")
    if even > 0.3 * half and odd < 0.05 * half:
        return Found("utf-16-be")
    raise SourceUnreadableError(f"{place} holds {counted(even + odd, 'NUL byte')}: it is no text")


def _scores(seen: _Bytes) -> dict[str, float]:
    """How well each encoding explains the text, at most 1."""
    pairs = {name: east_asian.score(seen.lines_beyond_ascii, name) for name in east_asian.ENCODINGS}
    if max(pairs.values()) >= east_asian.ENOUGH:
        return pairs
    found = {name: letters_score(seen.words, name) for name in LANGUAGES}
    if any(found.values()):
        for name, share in _statistics(seen).items():
            # which pairs of letters are frequent; of a few words it knows less than which letters are usual
            found[name] = found.get(name, 0.0) and found[name] + STATISTICS * share
    # every byte is something in it: what is left when nothing else fits, and less than any text scores in its own
    return pairs | found | {"latin-1": 0.05}


def _statistics(seen: _Bytes) -> dict[str, float]:
    """What chardet's models of languages say of each encoding of one byte a letter, the best of them 1."""
    import chardet

    beyond = b"\n".join(seen.lines_beyond_ascii)[:STATISTICS_BYTES]
    results = chardet.detect_all(beyond, ignore_threshold=True, include_encodings=list(LANGUAGES), compat_names=False)
    shares = {str(codecs.lookup(each["encoding"]).name): each["confidence"] for each in results if each["encoding"]}
    best = max(shares.values(), default=0.0)
    return {name: shares.get(codecs.lookup(name).name, 0.0) / best for name in LANGUAGES} if best else {}
