"""What the characters of a dBase column say, in the type that all of a batch have; else the characters themselves.

A value is never bent to fit its column: 120.5 in a column of whole numbers stays 120.5, and 20201345 in one of dates
stays a text, which becomes a reject where a date is declared.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluiceway.sources.formats.texts import text_array

Cells = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
"""The bytes of one column: a line for each row."""

Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
"""One for each row."""

EXACT_DIGITS = 15
"""A double keeps so many digits of any number."""
_DECIMAL_DIGITS = 38
_EXPONENT = list(b"eE")
_BLANK = ord(" ")
_NUMERIC = np.zeros(256, dtype=np.bool_)
_NUMERIC[list(b"0123456789+-.eE")] = True
_DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
_TRUE, _FALSE, _UNKNOWN = list(b"TtYy"), list(b"FfNn"), list(b"? \0")
_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_PLACES = np.array([[1000, 100, 10, 1, 0, 0, 0, 0], [0, 0, 0, 0, 10, 1, 0, 0], [0, 0, 0, 0, 0, 0, 10, 1]]).T
"""By which eight digits become year, month and day."""
_JULIAN_1970 = 2_440_588
"""The Julian day of 1970-01-01."""
_DAY_MS = 86_400_000


def trimmed(cells: Cells) -> pa.Array:
    """The bytes of each row without the blanks around them; a zero ends a text, and nothing is null."""
    zero = cells == 0
    if zero.any():
        cells = np.where(np.logical_or.accumulate(zero, axis=1), _BLANK, cells).astype(np.uint8)
    count, width = cells.shape
    starts = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    # as texts, whatever they are: what trims ASCII looks at no other byte
    whole = pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(starts), pa.py_buffer(cells)])
    _, offsets, content = pc.ascii_trim(whole, " ").buffers()
    given = np.diff(np.frombuffer(offsets, dtype=np.int32)[: count + 1]) > 0
    return pa.Array.from_buffers(pa.binary(), count, [_bits(given), offsets, content])


def numbers(cells: Cells, decimals: int) -> pa.Array | None:
    """Numbers that are spelled; None where one of them is none, or would lose a digit."""
    raw = trimmed(cells)
    held = np.frombuffer(raw.buffers()[2], dtype=np.uint8)
    texts = raw.cast(pa.string()) if held.size == 0 or held.max() < 0x80 else None
    if texts is None:
        return None
    if (held == ord("*")).any():
        # a number that did not fit: dBase's own word for null
        texts = pc.if_else(pc.match_substring_regex(texts, r"^\*+$"), pa.scalar(None, pa.string()), texts)
        held = np.frombuffer("".join(filter(None, texts.to_pylist())).encode(), dtype=np.uint8)
    if not _NUMERIC[held].all():
        return None
    spelled_out = not np.isin(held, _EXPONENT).any()
    whole = _whole_type(cells.shape[1]) if decimals == 0 and spelled_out else None
    if whole is not None:
        try:
            return texts.cast(whole)
        except pa.ArrowInvalid:
            pass
    return _fractions(texts, decimals, spelled_out=spelled_out)


def _whole_type(width: int) -> pa.DataType | None:
    """As GDAL has it, but for those that a double would round."""
    if width < 10:
        return pa.int32()
    if width < 19:
        return pa.int64()
    return pa.decimal128(width, 0) if width <= _DECIMAL_DIGITS else None


def _fractions(texts: pa.Array, decimals: int, *, spelled_out: bool) -> pa.Array | None:
    if not pc.all(pc.match_substring_regex(texts, _DECIMAL), min_count=0).as_py():
        return None
    found = texts.cast(pa.float64())
    if not pc.all(pc.is_finite(found), min_count=0).as_py():
        return None
    if not _is_bent(texts, found):
        return found
    # Arrow says nothing where a decimal overflows
    if not spelled_out or (pc.max(pc.binary_length(texts)).as_py() or 0) + decimals > _DECIMAL_DIGITS:
        return None
    try:
        return texts.cast(pa.decimal128(_DECIMAL_DIGITS, decimals))
    except pa.ArrowInvalid:
        return None


def _is_bent(texts: pa.Array, found: pa.Array) -> bool:
    """Whether a double has other digits than a text. Those that programs spell from doubles come back as they were."""
    long = pc.greater(pc.binary_length(texts), EXACT_DIGITS).fill_null(False)
    return any(
        _differs(text, value)
        for text, value in zip(texts.filter(long).to_pylist(), found.filter(long).to_pylist(), strict=True)
    )


def _differs(text: str, value: float) -> bool:
    behind = len(text) - text.index(".") - 1 if "." in text else 0
    if f"{value:.{behind}f}" == text:
        return False
    digits = re.sub("[eE].*|[^0-9eE]", "", text).strip("0")
    if len(digits) <= EXACT_DIGITS:
        return False
    try:
        return Decimal(text) != Decimal(f"{value:.{len(digits) - 1}e}")
    except InvalidOperation:
        return True


def dates(cells: Cells) -> pa.Array:
    """Eight digits each; as texts, the good ones as 2020-02-29, where one is no date."""
    digits = cells.astype(np.int64) - ord("0")
    spelled = ((digits >= 0) & (digits <= 9)).all(axis=1) & (cells.shape[1] == 8)
    year, month, day = (digits[:, :8] @ _PLACES[: cells.shape[1]]).T
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    fits = spelled & (year >= 1) & (month >= 1) & (month <= 12)
    longest = _DAYS[np.where(fits, month, 0).astype(np.int64)] + (leap & (month == 2))
    fits &= (day >= 1) & (day <= longest)
    year, month, day = (np.where(fits, part, 1).astype(np.int64) for part in (year, month, day))
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    moments = months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    texts = trimmed(cells)
    given = _not_null(texts) & ~_only_zeros(texts)
    if (fits == given).all():
        plain = np.where(given, moments.astype(np.int64), 0).astype(np.int32)
        return pa.Array.from_buffers(pa.date32(), len(cells), [_bits(given), pa.py_buffer(plain.tobytes())])
    shown = moments.astype(str)
    return text_array(
        [
            (str(moment) if fit else text.decode("ascii", "replace")) if is_given else None
            for moment, fit, is_given, text in zip(shown, fits, given, texts.to_pylist(), strict=True)
        ]
    )


def booleans(cells: Cells) -> pa.Array | None:
    """None where one is neither true nor false."""
    first = cells[:, 0]
    true, unknown = np.isin(first, _TRUE), np.isin(first, _UNKNOWN)
    if not (true | unknown | np.isin(first, _FALSE)).all():
        return None
    return pa.Array.from_buffers(pa.bool_(), len(cells), [_bits(~unknown), _bits(true)])


def integers(cells: Cells, nulls: Flags) -> pa.Array:
    """FoxPro's I: four bytes."""
    return _fixed(pa.int32(), _as(cells, "<i4"), ~nulls)


def doubles(cells: Cells, nulls: Flags) -> pa.Array:
    """FoxPro's B: eight bytes."""
    return _fixed(pa.float64(), _as(cells, "<f8"), ~nulls)


def amounts(cells: Cells, nulls: Flags) -> pa.Array:
    """FoxPro's Y: ten thousandths in eight bytes."""
    low = _as(cells, "<i8").astype(np.int64)
    wide = np.stack([low, low >> 63], axis=1)
    return _fixed(pa.decimal128(19, 4), wide, ~nulls)


def moments(cells: Cells, nulls: Flags) -> pa.Array | None:
    """FoxPro's T: the Julian day, and milliseconds of it; None where one is no moment."""
    parts = _as(cells, "<i4").reshape(-1, 2).astype(np.int64)
    blank = (cells == _BLANK).all(axis=1) | (parts[:, 0] == 0) | nulls
    fits = (parts[:, 0] > 1_721_425) & (parts[:, 0] < 5_373_485) & (parts[:, 1] >= 0) & (parts[:, 1] < _DAY_MS)
    if not (fits | blank).all():
        return None
    found = (parts[:, 0] - _JULIAN_1970) * _DAY_MS + parts[:, 1]
    return _fixed(pa.timestamp("ms"), np.where(blank, 0, found), ~blank)


def _as(cells: Cells, kind: str) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
    return np.ascontiguousarray(cells).reshape(-1).view(kind)


def _fixed(kind: pa.DataType, plain: np.ndarray[tuple[int, ...], np.dtype[np.generic]], given: object) -> pa.Array:
    length = len(plain)
    return pa.Array.from_buffers(kind, length, [_bits(given), pa.py_buffer(np.ascontiguousarray(plain).tobytes())])


def _bits(values: object) -> pa.Buffer:
    return pa.py_buffer(np.packbits(np.asarray(values, dtype=bool), bitorder="little").tobytes())


def _not_null(values: pa.Array) -> Flags:
    mask: Flags = pc.is_valid(values).to_numpy(zero_copy_only=False)
    return mask


def _only_zeros(texts: pa.Array) -> Flags:
    return np.array([text is not None and not text.strip(b"0") for text in texts.to_pylist()], dtype=bool)
