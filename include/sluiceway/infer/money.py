"""Amounts and percents as people write them, `$1,234.50`, `12 %`: numbers, once the signs are removed."""

from __future__ import annotations

from sluiceway.infer.text_types import ColumnType, number_pattern
from sluiceway.infer.values import SourceColumn, Values, literal
from sluiceway.tables.source_spec import TextValues

_SIGNS = "$£€¥₹₩₽%"
_BLANKS = " \u00a0\u202f"


def amounts(values: Values, column: SourceColumn, marks: TextValues, given: str) -> ColumnType | None:
    """The type of a column of texts that are all such numbers, and what is to be removed of them; None: they are not.

    :param given: SQL of whether a row has a value.
    """
    some = literal(f"[{_SIGNS}]")
    if not values.ask([f"count(*) FILTER (regexp_matches({column.sql}, {some}))"], sample=True)[0]:
        return None
    separator = marks.thousands or ("," if marks.decimal == "." else ".")
    sign, blank = f"[{_SIGNS}]?", f"[{_BLANKS}]*"
    number = number_pattern(marks.decimal, separator + _BLANKS)
    pattern = f"[+-]?{blank}{sign}{blank}({number}){blank}{sign}"
    text = f"trim({column.sql}, ' ' || chr(9) || chr(160))"
    removable = _SIGNS + _BLANKS + separator
    odd, *found = values.ask(
        [
            f"count(*) FILTER ({given} AND NOT regexp_full_match({text}, {literal(pattern)}))",
            *(f"count(*) FILTER ({given} AND contains({text}, {literal(each)}))" for each in removable),
        ]
    )
    remove = "".join(each for each, count in zip(removable, found, strict=True) if count)
    if odd or not set(remove) & set(_SIGNS):
        return None
    if marks.thousands is not None:
        remove = remove.replace(marks.thousands, "")
    share = "; scale = 0.01 makes shares of them" if "%" in remove else ""
    example = values.counts(column.sql, where=given, limit=1)[0][0]
    return ColumnType("numeric", remark=f"numbers with their signs, such as {example!r}{share}", remove=remove)
