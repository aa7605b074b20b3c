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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO

from sluiceway.amounts import counted
from sluiceway.errors import SourceUnreadableError

CHUNK_BYTES = 1 << 20
WORDS = 20_000
"""Different words with letters beyond ASCII that are kept: enough for any language, and bounded."""
WORD_BYTES = 256
ENOUGH = 200
"""Bytes that are no UTF-8 after which no more are looked for: each costs a copy of what is left of a chunk."""
LINES_BYTES = 1 << 18

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes({*range(1, 32)} - {9, 10, 11, 12, 13, 26, 27})
# a pattern that asks for a byte beyond ASCII itself takes the square of a long ASCII word's length
_WORD = re.compile(rb"[A-Za-z'\x80-\xff]+")

_WESTERN = (
    "æøåéèêòóôüöä",  # Danish, Norwegian
    "åäöéü",  # Swedish, Finnish
    "äöüßéàè",  # German
    "àâæçéèêëîïôœùûüÿñ",  # French
    "àèéìíîòóùú",  # Italian
    "áéíñóúü",  # Spanish
    "áàâãçéêíóôõúü",  # Portuguese
    "àçéèíïóòúü",  # Catalan
    "áðéíóúýþæö",  # Icelandic
    "ëéèïöüáóí",  # Dutch
)
_CENTRAL = (
    "ąćęłńóśźż",  # Polish
    "áčďéěíňóřšťúůýž",  # Czech
    "áäčďéíĺľňóôŕšťúýž",  # Slovak
    "áéíóöőúüű",  # Hungarian
    "ăâîşţșț",  # Romanian
    "čćđšž",  # Croatian, Slovenian
)
_BALTIC = ("āčēģīķļņšūž", "ąčęėįšųūž", "äõöüšž")
_TURKISH = ("çğıöşüâîİ",)
_CYRILLIC = ("абвгдежзийклмнопрстуфхцчшщъыьэюяё", "абвгґдеєжзиіїйклмнопрстуфхцчшщьюя", "абвгдђежзијклљмнњопрстћуфхцчџш")
_GREEK = ("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋΐΰ",)
_HEBREW = ("אבגדהוזחטיךכלםמןנסעףפץצקרשת",)

_LANGUAGES: dict[str, tuple[str, ...]] = {
    # in the order in which one is believed before another that fits as well
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "cp1251": _CYRILLIC,
    "cp1254": _TURKISH,
    "cp1257": _BALTIC,
    "cp1253": _GREEK,
    "cp1255": _HEBREW,
    "iso-8859-2": _CENTRAL,
    "koi8-r": _CYRILLIC[:1],
    "cp866": _CYRILLIC[:1],
    "cp850": _WESTERN,
    "cp852": _CENTRAL,
    "mac-roman": _WESTERN,
}
_EAST_ASIAN = ("cp932", "euc-jp", "cp949", "gb18030", "big5")
# the hundred commonest characters, simplified and traditional: what was decoded wrongly holds rare ones
_CHINESE = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家"
    "種事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心本前开但因只从想实日军市省县区镇乡村州城山河"
    "這個們來為國說時會對於著過發後裡經麼學現當沒動還進樣開從實軍縣區鎮鄉東西南北路街名称稱号號码碼编編数數"
)
_PUNCTUATION = frozenset("«»“”„‘’–—…°º²³½¼£€§©®•\u00a0×±µ¿¡·")


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
        return Found(None, plain=not seen.valid)
    if seen.valid > 4 * seen.invalid and seen.first_bad is not None:
        line, byte = seen.first_bad
        raise SourceUnreadableError(
            f"{place}: byte 0x{byte:02x} in line {line:,} is no UTF-8, but the rest of the text is "
            f"({counted(seen.invalid, 'such place')}); repair the file, or write its table "
            f"file by hand, with source.encoding"
        )
    best = max(_scores(seen).items(), key=lambda scored: scored[1])[0]
    shown = [word.decode(best, "replace").strip("'") for word, _ in seen.words.most_common(50)]
    return Found(best, sure=False, samples=tuple(sorted(dict.fromkeys(shown), key=len, reverse=True)[:4]))


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
    scores = {name: _single_byte(seen.words, name, languages) for name, languages in _LANGUAGES.items()}
    scores |= {name: _multi_byte(seen.lines_beyond_ascii, name) for name in _EAST_ASIAN}
    # every byte is something in it: what is left when nothing else fits, and less than any text scores in its own
    scores["latin-1"] = 0.05
    return scores


def _decodes(parts: Iterable[bytes], name: str) -> bool:
    # the reader is strict: one byte that means nothing ends the load
    try:
        for part in parts:
            part.decode(name)
    except UnicodeDecodeError:
        return False
    return True


def _single_byte(words: Counter[bytes], name: str, languages: tuple[str, ...]) -> float:
    if not _decodes(words, name):
        return 0.0
    letters: Counter[str] = Counter()
    other = misplaced = 0
    for word, count in words.items():
        text = word.decode(name)
        latin = any(char.isascii() and char.isalpha() for char in text)
        for position, char in enumerate(text):
            if char.isascii():
                continue
            if latin and char >= "\u0370" and char.isalpha():
                # no word has letters of two scripts
                misplaced += count
            elif not char.isalpha():
                other += count * (char in _PUNCTUATION and not _within(text, position))
                misplaced += count * (char not in _PUNCTUATION or _within(text, position))
            elif char.isupper() and position and text[position - 1].islower():
                misplaced += count
            else:
                letters[char.lower()] += count
    total = sum(letters.values()) + other + misplaced
    if not total:
        return 0.0
    one = max(sum(letters[char] for char in language) for language in languages)
    # several languages in one file are less likely than one, and more likely than the wrong encoding
    several = 0.9 * sum(letters[char] for char in set("".join(languages)))
    return (max(one, several) + 0.9 * other) / total


def _within(text: str, position: int) -> bool:
    """Whether letters stand on both sides: there are no signs inside of words, but for apostrophes and hyphens."""
    inside = 0 < position < len(text) - 1 and text[position - 1].isalpha() and text[position + 1].isalpha()
    return inside and text[position] not in "\u2019\u2013\u00b7"


def _multi_byte(lines: Sequence[bytes], name: str) -> float:
    if not _decodes(lines, name):
        return 0.0
    beyond_ascii = [char for line in lines for char in line.decode(name) if not char.isascii()]
    return sum(_is_usual(char, name) for char in beyond_ascii) / len(beyond_ascii) if beyond_ascii else 0.0


def _is_usual(char: str, name: str) -> float:
    if name == "cp949":
        return float("\uac00" <= char <= "\ud7a3")
    if name in {"cp932", "euc-jp"}:
        # text in Japanese has syllables beside the characters; half-width ones are what other encodings look like
        return 1.0 if "\u3041" <= char <= "\u30ff" else 0.6 * ("\u4e00" <= char <= "\u9fff")
    return 1.0 if char in _CHINESE else 0.5 * ("\u4e00" <= char <= "\u9fff")
