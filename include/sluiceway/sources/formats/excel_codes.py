"""Numbers of a sheet whose format gives them zeros in front: 501 in the format 00000 is the ZIP code 00501.

What such a cell holds is a number, what everybody sees of it is a code: it is both until the declared type decides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from openpyxl.styles.numbers import BUILTIN_FORMATS, BUILTIN_FORMATS_MAX_SIZE

MOST = 10**15
"""Excel keeps 15 digits."""
_COLOUR = re.compile(r"\[(\$[^\]]*|[A-Za-z]+ ?\d*)\]")
_UP_TO = re.compile(r"\[<=(\d{1,15})\](.+?);(.+)")
"""As in Excel's own format for ZIP codes of 5 or 9 digits, [<=99999]00000;00000-0000."""
_ZEROS = re.compile(r'0(?:0|\\?[- ]|\\[./]|"[-./ ]")*0')


class Code(int):
    """A number, and how its cell shows it."""

    shown: str

    def __new__(cls, number: int, shown: str) -> Code:
        """Both."""
        code = super().__new__(cls, number)
        code.shown = shown
        return code


class ZeroFormat:
    """A number format that shows a whole number with zeros in front."""

    def __init__(self, zeros: str, up_to: int | None = None, otherwise: str | None = None) -> None:
        """As for [<=up_to]zeros;otherwise, or for zeros alone."""
        self._zeros, self._up_to, self._otherwise = zeros, up_to, otherwise

    def code(self, value: Any) -> Any:
        """The value as a code, if it is a whole number that is not negative."""
        if type(value) not in {int, float} or not 0 <= value < MOST or value != int(value):
            return value
        value = int(value)
        beyond = self._up_to is not None and self._otherwise is not None and value > self._up_to
        return Code(value, _shown(value, str(self._otherwise) if beyond else self._zeros))


def _shown(value: int, zeros: str) -> str:
    digits = str(value).zfill(zeros.count("0"))
    shown: list[str] = []
    for mark in reversed(zeros):
        if mark == "0":
            shown.append(digits[-1])
            digits = digits[:-1]
        else:
            shown.append(mark)
    return digits + "".join(reversed(shown))


def zero_format(text: str) -> ZeroFormat | None:
    """The format `text`, if it is one that shows zeros in front: 00000, 000-00-0000, [<=99999]00000;00000-0000."""
    text = _COLOUR.sub("", text)
    if (found := _UP_TO.fullmatch(text)) is not None:
        low, high = _zeros(found[2]), _zeros(found[3].partition(";")[0])
        return ZeroFormat(low, int(found[1]), high) if low and high else None
    zeros = _zeros(text.partition(";")[0])
    return ZeroFormat(zeros) if zeros else None


def _zeros(section: str) -> str | None:
    return re.sub(r'[\\"]', "", section) if _ZEROS.fullmatch(section) else None


def show_codes(sheet: Any) -> None:
    """Have the cells of openpyxl's ReadOnlyWorksheet hold a Code where their format makes one of their number."""
    book = sheet.parent
    formats = {number: zero_format(_format(book, style.numFmtId)) for number, style in enumerate(book._cell_styles)}
    coded = {number: each for number, each in formats.items() if each is not None}
    if not coded:
        return
    get_row = sheet._get_row

    def shown(row: Sequence[dict[str, Any]], *args: Any, **kwargs: Any) -> Any:
        for cell in row:
            if cell["style_id"] in coded and cell["data_type"] == "n":
                cell["value"] = coded[cell["style_id"]].code(cell["value"])
        return get_row(row, *args, **kwargs)

    sheet._get_row = shown


def _format(book: Any, number: int) -> str:
    if number < BUILTIN_FORMATS_MAX_SIZE:
        return BUILTIN_FORMATS.get(number, "General")
    own = book._number_formats
    at = number - BUILTIN_FORMATS_MAX_SIZE
    return str(own[at]) if at < len(own) else "General"
