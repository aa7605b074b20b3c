"""Amounts and percents as people write them, `$1,234.50`, `12 %`, `(7.00)`: numbers, once the signs are removed."""

from __future__ import annotations

from sluiceway.infer.text_types import NOTHING, ColumnType, number_pattern
from sluiceway.infer.values import SourceColumn, Values, literal
from sluiceway.tables.source_spec import TextValues

_SIGNS = "$£€¥₹₩₽%"
_BLANKS = " \u00a0\u202f"
_MOST_NULLS = 3
"""So many different texts may stand for nothing among amounts."""


def amounts(values: Values, column: SourceColumn, marks: TextValues, given: str) -> ColumnType | None:
    """The type of a column of texts that are all such numbers, and what is to be done to them; None: they are not.

    :param given: SQL of whether a row has a value.
    """
    written = _Written(marks)
    text = f"trim({column.sql}, ' ' || chr(9) || chr(160))"
    negative = f"regexp_full_match({text}, {literal(written.negative)})"
    signed = f"regexp_matches({text}, {literal(f'[{_SIGNS}]')})"
    if not values.ask([f"count(*) FILTER ({signed} OR {negative})"], sample=True)[0]:
        return None
    removable = _SIGNS + _BLANKS + written.separator
    plain = f"regexp_full_match({text}, {literal(written.plain)})"
    amount = f"{given} AND ({plain} OR {negative})"
    usual, negatives, *found = values.ask(
        [
            f"count(*) FILTER ({given} AND {plain})",
            f"count(*) FILTER ({given} AND {negative})",
            *(f"count(*) FILTER (({amount} OR {signed}) AND contains({text}, {literal(each)}))" for each in removable),
        ]
    )
    remove = "".join(each for each, count in zip(removable, found, strict=True) if count)
    # where all of them are in parentheses and nothing else is, they are rather labels: (1), (2)
    if not (usual and negatives) and not set(remove) & set(_SIGNS):
        return None
    if marks.thousands is not None:
        remove = remove.replace(marks.thousands, "")
    others = values.counts(column.sql, where=f"{given} AND NOT ({plain} OR {negative})", limit=_MOST_NULLS + 1)
    nothing = tuple(dict.fromkeys(text.strip().translate(dict.fromkeys(map(ord, remove))) for text, _ in others))
    if len(others) > _MOST_NULLS or not set(nothing) <= NOTHING - {""}:
        return None
    example = values.counts(column.sql, where=f"{given} AND {plain}" if usual else amount, limit=1)[0][0]
    remark = f"numbers with their signs, such as {example!r}"
    if negatives:
        below_zero = values.counts(column.sql, where=f"{given} AND {negative}", limit=1)[0][0]
        remark += f", and {below_zero!r} is negative"
    if "-" in nothing:
        remark += '; "-" is null: if it is a zero, say map = { "-" = 0 } and not null'
    if "%" in remove:
        remark += "; scale = 0.01 makes shares of them"
    nulls = sum(count for _, count in others)
    return ColumnType("numeric", None, remark, nulls, nothing, remove or None, bool(negatives))


def amount_test(column: SourceColumn, marks: TextValues) -> tuple[str, str]:
    """SQL of whether a text has the sign of a currency or a percent, and of whether it is an amount or a number."""
    written, text = _Written(marks), f"trim({column.sql}, ' ' || chr(9) || chr(160))"
    tests = (f"regexp_full_match({text}, {literal(each)})" for each in (written.plain, written.negative))
    return f"regexp_matches({text}, {literal(f'[{_SIGNS}]')})", f"({' OR '.join(tests)})"


def amounts_by_own_marks(values: Values, column: SourceColumn, marks: TextValues, given: str) -> ColumnType | None:
    """The same of a column that writes 1.234,50 beside others that write 1234.5, or the other way round.

    A number alone is believed to be one where it has both marks, for 1,5 may be two things.

    :param marks: those of the others.
    """
    for decimal, thousands in ((",", "."), (".", ",")):
        if decimal == marks.decimal:
            continue
        own = marks.model_copy(update={"decimal": decimal, "thousands": thousands})
        both = f"[0-9][{thousands}][0-9]{{3}}[{decimal}][0-9]"
        with_decimal, with_thousands, with_both = values.ask(
            [f"count(*) FILTER ({given} AND contains({column.sql}, {literal(mark)}))" for mark in (decimal, thousands)]
            + [f"count(*) FILTER ({given} AND regexp_matches({column.sql}, {literal(both)}))"]
        )
        if not with_decimal:
            continue
        found = amounts(values, column, own, given)
        if found is None and with_both and _are_numbers(values, column, own, given):
            found = ColumnType("numeric", remark="numbers with other marks than those of the other columns")
        if found is not None:
            found.decimal, found.thousands = decimal, thousands if with_thousands else None
            return found
    return None


def _are_numbers(values: Values, column: SourceColumn, marks: TextValues, given: str) -> bool:
    matches = f"regexp_full_match(trim({column.sql}), {literal(number_pattern(marks.decimal, marks.thousands))})"
    return not values.ask([f"count(*) FILTER ({given} AND NOT {matches})"])[0]


class _Written:
    """How amounts are written with these marks."""

    def __init__(self, marks: TextValues) -> None:
        self.separator = marks.thousands or ("," if marks.decimal == "." else ".")
        sign, blank = f"[{_SIGNS}]?", f"[{_BLANKS}]*"
        number = number_pattern(marks.decimal, self.separator + _BLANKS)
        unsigned = number.removeprefix("[+-]?")
        self.plain = f"[+-]?{blank}{sign}{blank}({number}){blank}{sign}"
        amount = f"{sign}{blank}({unsigned}){blank}{sign}"
        self.negative = f"{sign}{blank}\\({blank}{amount}{blank}\\){blank}{sign}|{amount}{blank}-"
