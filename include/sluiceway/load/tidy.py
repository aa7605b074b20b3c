"""Values as agencies write them, made plain before they are cast: `$1,234`, `12 %`, ` yes`, Y for true.

What a table's file says of a column is done in this order: strip, remove, accounting, upper or lower, map, scale,
default.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Context, Decimal

import pyarrow as pa
import pyarrow.compute as pc

from sluiceway.sources.extraction import family
from sluiceway.tables.column import NUMBERS, Column, Scalar
from sluiceway.tables.source_spec import TextValues

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_ACCOUNTING = ((r"^\s*\(\s*([\d.,].*?)\s*\)\s*$", r"-\1"), (r"^\s*([\d.,].*?)\s*-\s*$", r"-\1"))
"""How a negative number is written, and what it is."""
_EXACT = Context(prec=1_000)
"""Digits enough for any number of a file: nothing is rounded."""


def tidied(values: pa.Array, column: Column, marks: TextValues, as_texts: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The values of a column that `Column.is_tidied`, as texts.

    :param as_texts: makes texts of values that are none.
    """

    def spell(value: Scalar) -> str:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return (
            text.replace(".", marks.decimal) if isinstance(value, float) and column.sql_type.base in NUMBERS else text
        )

    texts = values.cast(pa.string()) if family(values.type) == "text" else as_texts(values)
    texts = _rewritten(texts, column)
    if nothing := (*marks.null, *column.null):
        meant = pc.is_in(texts, value_set=pa.array(nothing, pa.string()))
        texts = pc.if_else(meant, pa.scalar(None, pa.string()), texts)
    if column.map:
        texts = _mapped(texts, {text: spell(value) for text, value in column.map.items()})
    if column.scale is not None:
        texts = _scaled(texts, Decimal(repr(column.scale)), marks)
    if column.default is not None:
        texts = pc.fill_null(texts, spell(column.default))
    return texts


def _rewritten(texts: pa.Array, column: Column) -> pa.Array:
    if column.strip:
        texts = pc.utf8_trim_whitespace(texts)
    for character in column.remove or "":
        texts = pc.replace_substring(texts, character, "")
    if column.accounting:
        for written, negative in _ACCOUNTING:
            texts = pc.replace_substring_regex(texts, written, negative)
    if column.upper or column.lower:
        texts = pc.utf8_upper(texts) if column.upper else pc.utf8_lower(texts)
    return texts


def _mapped(texts: pa.Array, meanings: dict[str, str]) -> pa.Array:
    places = pc.index_in(texts, value_set=pa.array(meanings, pa.string()))
    found = pa.array(meanings.values(), pa.string()).take(places)
    return pc.if_else(pc.is_valid(places), found, texts)


def _scaled(texts: pa.Array, scale: Decimal, marks: TextValues) -> pa.Array:
    """Numbers multiplied; what is none stays, for the cast to say so."""

    def one(text: str | None) -> str | None:
        if text is None:
            return None
        plain = text.strip().replace(marks.thousands, "") if marks.thousands else text.strip()
        if marks.decimal != ".":
            plain = plain.translate(str.maketrans("." + marks.decimal, "x."))
        if not _NUMBER.fullmatch(plain):
            return text
        made = format(_EXACT.multiply(Decimal(plain), scale), "f")
        return made if marks.decimal == "." else made.replace(".", marks.decimal)

    return pa.array([one(text) for text in texts.to_pylist()], pa.string())
