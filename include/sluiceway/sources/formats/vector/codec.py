"""Python's names of encodings, as .cpg files, table files and people spell them."""

from __future__ import annotations

import codecs
import re

_SPELLINGS = {
    "windows-31j": "cp932",
    "ms932": "cp932",
    "ms936": "gbk",
    "latin-9": "iso8859-15",
    "x-mac-roman": "mac-roman",
}
"""Names that Python does not know."""


def codec_named(encoding: str) -> str | None:
    """Python's name of an encoding as .cpg files and people spell it: UTF-8, 1252, ANSI 1252, 88591, OEM 850."""
    text = encoding.strip().lower()
    number = re.fullmatch(r"(?:x-)?(?:ansi|oem|cp|windows|win|ms|ibm|dos|ms-?dos|code ?page)?[ _-]*(\d{3,5})", text)
    latin = re.fullmatch(r"(?:iso)?[ _-]*8859[ _-]*(\d{1,2})|2859(\d)", text)
    guesses = [_SPELLINGS.get(text, text), text.replace(" ", "-"), text.removeprefix("x-")]
    if latin:
        guesses.insert(0, f"iso8859-{latin[1] or latin[2]}")
    elif number:
        guesses.insert(0, {"65001": "utf-8", "10000": "mac-roman"}.get(number[1], f"cp{number[1]}"))
    for guess in guesses:
        try:
            info = codecs.lookup(guess)
            "".encode(info.name)
        except (LookupError, ValueError):
            # unknown, or none of texts, such as base64
            continue
        return info.name
    return None
