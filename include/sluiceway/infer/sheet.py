"""Where the rows of a sheet of Excel begin and end, and what stands among them that is none.

Agencies put titles, blank lines and groups of columns above the names, units and second names below them, and totals
and notes at the end. A line that is skipped, and one that is loaded and may be none, is said in the draft.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sluiceway.amounts import counted
from sluiceway.infer.dialect import MOST_ABOVE, sheet_shape
from sluiceway.infer.footer import MOST_BELOW, count_filled, is_value
from sluiceway.infer.labels import said_of_above
from sluiceway.infer.text_types import NOTHING
from sluiceway.infer.values import Values, literal
from sluiceway.sources.footer import SHOWN, TOTAL, quoted

Line = Sequence[str]

LAST_ROWS = MOST_BELOW + 1
"""So many show how a sheet ends."""
TYPED = 0.8
"""The share of a column's values that must be numbers or dates for a text in it to be odd."""
FILLED = 0.9
_YEAR = re.compile(r"(1[89]|20|21)\d\d")


@dataclass(frozen=True)
class Shape:
    """How the lines of a sheet are to be read."""

    header: bool = True
    above: int = 0
    """Lines above the header, or above the first row; blank ones too."""
    first_row: int = 0
    """The line of the first row, from 0."""
    names: tuple[str, ...] | None = None
    """What the columns are called, by their position; none where the sheet does not say it."""
    remarks: dict[str, str] = field(default_factory=dict)
    """Key of [source] -> what a person has to decide about it."""


def find_shape(lines: Sequence[Line]) -> Shape:
    """The shape of a sheet by its first lines.

    :param lines: without the empty cells at their end; blank ones too.
    """
    filled = [number for number, line in enumerate(lines) if count_filled(line)]
    if not filled:
        return Shape()
    width = max(len(line) for line in lines)
    records = [[*lines[number], *[""] * (width - len(lines[number]))] for number in filled]
    first = _first_full(records)
    header, remark = _header(records[first:])
    if (not header or remark) and first and filled[first - 1] == filled[first] - 1 and _names(records[first - 1]):
        # fewer names than columns
        first, header, remark = first - 1, True, None
    remarks = {"header": remark} if remark else {}
    if not header:
        above = filled[first] if first else 0
        return Shape(False, above, above, None, remarks | said_of_above(records[:first]))
    return _below_names(records, filled, first, remarks)


def _header(records: Sequence[Line]) -> tuple[bool, str | None]:
    """Whether the first line holds names, by the columns in which it holds anything; and a remark."""
    there = [position for position, value in enumerate(records[0]) if value.strip()]
    shape = sheet_shape([[record[position] for position in there] for record in records])
    return shape.header, shape.remark


def _below_names(records: list[list[str]], filled: list[int], first: int, remarks: dict[str, str]) -> Shape:
    """The shape of a sheet with a header, of which the next line may be a part."""
    names, rows = records[first], records[first + 1 :]
    above = filled[first] if first else 0
    remarks = remarks | said_of_above(records[:first])
    if len(rows) < SHOWN or filled[first + 1] != filled[first] + 1 or not _is_odd(rows[0], rows[1:]):
        return Shape(True, above, filled[first] + 1, tuple(names), remarks)
    shown = quoted([value for value in rows[0] if value.strip()])
    if any(value.strip() and not name.strip() for value, name in zip(rows[0], names, strict=True)):
        said = f"the names stand in two lines, the second one says {shown}: columns go by their positions, from 1"
        joined, below = tuple(_joined(names, rows[0])), filled[first] + 2
        return Shape(False, below, below, joined, remarks | {"header": said})
    said = f"below the names stands a line of units or other names, which is no row and a reject: {shown}"
    return Shape(True, above, filled[first] + 2, tuple(names), remarks | {"header": said})


def _first_full(records: Sequence[Line]) -> int:
    """The first line that is no title: titles have one value, or two."""
    counts = sorted(map(count_filled, records))
    usual = counts[len(counts) * 3 // 4]
    found = next((n for n, record in enumerate(records) if count_filled(record) > max(1, usual // 2)), 0)
    return found if found <= MOST_ABOVE else 0


def _names(record: Line) -> bool:
    values = [value for value in record if value.strip()]
    return len(values) > 1 and not any(map(is_value, values)) and len(set(values)) == len(values)


def _is_odd(line: Line, rows: Sequence[Line]) -> bool:
    """Whether a line below the names is no row: it has texts, or years, where rows have numbers, or nothing at all."""
    texts = values = 0
    for position, value in enumerate(line):
        below = [row[position] for row in rows if row[position].strip()]
        typed = bool(below) and sum(map(is_value, below)) >= TYPED * len(below)
        if not value.strip():
            continue
        if is_value(value) and not _YEAR.fullmatch(value.strip()):
            values += 1
        texts += typed and not is_value(value) and value.strip() not in NOTHING
    if values:
        return False
    first = sum(bool(row[0].strip()) for row in rows) >= FILLED * len(rows) and not line[0].strip()
    return (texts > 0 and first) or texts > 1 or (first and all(map(_label, line)))


def _label(value: str) -> bool:
    return not value.strip() or not is_value(value) or bool(_YEAR.fullmatch(value.strip()))


def _joined(names: Line, second: Line) -> list[str]:
    """The names of columns that stand in two lines: what stands in the first one holds to its right."""
    joined, group = [], ""
    for name, below in zip(names, second, strict=True):
        group = name.strip() or group
        joined.append(" ".join(filter(None, (group if below.strip() or name.strip() else "", below.strip()))))
    return joined


def odd_rows(values: Values) -> list[str]:
    """What to say of rows that may be headings or totals among the others."""
    columns = [column.sql for column in values.columns.values()]
    if len(columns) < SHOWN or not values.rows:
        return []
    # a sum of a thousand is nested a thousand deep, a list is not
    each = ", ".join(f"CAST(trim({sql}) <> '' IS TRUE AS INTEGER)" for sql in columns)
    given = f"list_sum([{each}])"
    first = f"coalesce({', '.join(columns)})"
    total = f"regexp_matches({first}, {literal(TOTAL)}, 'i')"
    said = []
    alone, like = "one value alone, {}: loaded, and may be headings or notes.", "like a total, {}: loaded, and in sums."
    for where, what, why in (
        (f"{given} = 1", ("row holds", "rows hold"), alone),
        (f"{given} > 1 AND {total}", ("row begins", "rows begin"), like),
    ):
        count = int(str(values.ask([f"count(*) FILTER ({where})"])[0]))
        if 0 < count <= (1 - TYPED) * values.rows:
            shown = quoted([value for value, _ in values.counts(first, where=where, limit=SHOWN + 1)])
            said.append(f"{counted(count, *what)} {why.format(shown)}")
    return said


def merged_rows(merged: Sequence[str], first_row: int) -> list[str]:
    """What to say of merged cells among the rows.

    :param merged: their places, such as A2:A6.
    :param first_row: the line of the first row, from 0.
    """
    among = [place for place in merged if int(re.sub("[A-Z]", "", place.partition(":")[0])) > first_row]
    if not among:
        return []
    shown = ", ".join(among[:SHOWN]) + (", ..." if len(among) > SHOWN else "")
    what = counted(len(among), "group of cells is merged", "groups of cells are merged")
    return [f"Among the rows {what} ({shown}): the first cell of each has the value, the others are null."]
