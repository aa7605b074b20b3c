"""Inputs like real ones with faults in them, as a strategy of hypothesis."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from hypothesis import strategies as st

NUMBERS = (0, 1, -1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, -0x80000000, 10**9)
WORDS = (
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b'"',
    b"'",
    b"\\",
    b"\r",
    b"\n\n",
    b"[",
    b"]",
    b"{",
    b"}",
    b"<",
    b"]]>",
    b"&lt;!",
    b",",
    b";",
    b"NaN",
    b"1e999",
    b"-",
    b"99999999999999999999999999",
    b"0001-01-01",
    b"9999-12-31T23:59:60Z",
    b"\xe2\x80\xae",
    b"\xf0\x9f\x8f\x99",
    b"__proto__",
    b"../",
    b"%00",
)
MOST_EDITS = 6
LONGEST = 1 << 18
"""Bytes; a longer input is another question, which the tests of each limit answer."""


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes], words: Sequence[bytes] = ()) -> bytes:
    """One of the seeds after a few edits.

    :param words: what means something in this format; put in as it is.
    """
    content = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, MOST_EDITS))):
        content = _edited(draw, content, seeds, (*words, *WORDS))[:LONGEST]
    return content


def _edited(draw: st.DrawFn, content: bytes, seeds: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    at = draw(st.integers(0, len(content)))
    end = min(len(content), at + draw(st.integers(0, 64)))
    match draw(st.integers(0, 8)):
        case 0:
            return content[:at] + draw(st.binary(min_size=1, max_size=8)) + content[end:]
        case 1:
            return content[:at] + draw(st.sampled_from(words)) + content[at:]
        case 2:
            return content[:at] + draw(st.sampled_from(words)) + content[end:]
        case 3:
            return content[:at] + content[end:]
        case 4:
            return content[:at] + content[at:end] * draw(st.sampled_from((2, 3, 100, 2_000))) + content[end:]
        case 5:
            return content[:at]
        case 6:
            number = draw(st.sampled_from(NUMBERS))
            packed = struct.pack(draw(st.sampled_from(("<q", ">q"))), number)
            width = draw(st.sampled_from((1, 2, 4, 8)))
            part = packed[:width] if draw(st.booleans()) else packed[-width:]
            return content[:at] + part + content[at + width :]
        case 7:
            other = draw(st.sampled_from(seeds))
            return content[:at] + other[draw(st.integers(0, len(other))) :]
        case _:
            return (
                content[:at] + draw(st.sampled_from(words)) * draw(st.sampled_from((10, 1_000, 20_000))) + content[at:]
            )
