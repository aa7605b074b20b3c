"""Where the rows of a sheet of Excel begin and end, and what stands among them that is none.

Agencies put titles, blank lines and groups of columns above the names, units and second names below them, and totals
and notes at the end. A line that is skipped, and one that is loaded and may be none, is said in the draft.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sluiceway.amounts import counted
from sluiceway.infer.dialect import MOST_ABOVE, MOST_BELOW, sheet_shape
from sluiceway.infer.types import LIKELY_NULLS, SURE_NULLS
from sluiceway.infer.values import Values, literal

Line = Sequence[str]

LAST_ROWS = MOST_BELOW + 1
"""So many show how a sheet ends."""
TYPED = 0.8
"""The share of a column's values that must be numbers or dates for a text in it to be odd."""
FILLED = 0.9
SHOWN = 3
_LONGEST_SHOWN = 60
_NOTHING = frozenset({*SURE_NULLS, *LIKELY_NULLS})
_YEAR = re.compile(r"(1[89]|20|21)\d\d")
_VALUE = re.compile(r"[+-]?[\d.,][\d., '\u00a0\u202f]*([eE][+-]?\d+)?%?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")
_TOTAL = r"^\s*(grand |sub)?-?(totals?|totale|gesamt|summe|somme|suma|insgesamt)\b"
_NOTE = re.compile(
    r"(?i)\s*([*†‡©]|\(?[0-9a-z]\)|\[[0-9a-z]\]|(prepared by|as of|data as of|last updated)\b|https?:"
    r"|((foot)?notes?|sources?|quelle|anm|hinweis|stand|fuente|nota|fonte|bron|kilde)(\s+\d+)?\s*[:.])"
)
_WORDS = 6
"""So many are a sentence, and no name."""


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
    filled = [number for number, line in enumerate(lines) if _filled(line)]
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
        return Shape(False, above, above, None, remarks | _said_of_above(records[:first]))
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
    remarks = remarks | _said_of_above(records[:first])
    if len(rows) < SHOWN or filled[first + 1] != filled[first] + 1 or not _is_odd(rows[0], rows[1:]):
        return Shape(True, above, filled[first] + 1, tuple(names), remarks)
    shown = _shown([value for value in rows[0] if value.strip()])
    if any(value.strip() and not name.strip() for value, name in zip(rows[0], names, strict=True)):
        said = f"the names stand in two lines, the second one says {shown}: columns go by their positions, from 1"
        joined, below = tuple(_joined(names, rows[0])), filled[first] + 2
        return Shape(False, below, below, joined, remarks | {"header": said})
    said = f"below the names stands a line of units or other names, which is no row and a reject: {shown}"
    return Shape(True, above, filled[first] + 2, tuple(names), remarks | {"header": said})


def _first_full(records: Sequence[Line]) -> int:
    """The first line that is no title: titles have one value, or two."""
    counts = sorted(map(_filled, records))
    usual = counts[len(counts) * 3 // 4]
    found = next((n for n, record in enumerate(records) if _filled(record) > max(1, usual // 2)), 0)
    return found if found <= MOST_ABOVE else 0


def _names(record: Line) -> bool:
    values = [value for value in record if value.strip()]
    return len(values) > 1 and not any(map(_is_value, values)) and len(set(values)) == len(values)


def _is_odd(line: Line, rows: Sequence[Line]) -> bool:
    """Whether a line below the names is no row: it has texts, or years, where rows have numbers, or nothing at all."""
    texts = values = 0
    for position, value in enumerate(line):
        below = [row[position] for row in rows if row[position].strip()]
        typed = bool(below) and sum(map(_is_value, below)) >= TYPED * len(below)
        if not value.strip():
            continue
        if _is_value(value) and not _YEAR.fullmatch(value.strip()):
            values += 1
        texts += typed and not _is_value(value) and value.strip() not in _NOTHING
    if values:
        return False
    first = sum(bool(row[0].strip()) for row in rows) >= FILLED * len(rows) and not line[0].strip()
    return (texts > 0 and first) or texts > 1 or (first and all(map(_label, line)))


def _label(value: str) -> bool:
    return not value.strip() or not _is_value(value) or bool(_YEAR.fullmatch(value.strip()))


def _joined(names: Line, second: Line) -> list[str]:
    """The names of columns that stand in two lines: what stands in the first one holds to its right."""
    joined, group = [], ""
    for name, below in zip(names, second, strict=True):
        group = name.strip() or group
        joined.append(" ".join(filter(None, (group if below.strip() or name.strip() else "", below.strip()))))
    return joined


def _is_value(text: str) -> bool:
    return bool(_VALUE.fullmatch(text.strip()))


def _filled(line: Line) -> int:
    return sum(bool(value.strip()) for value in line)


def _said_of_above(records: Sequence[Line]) -> dict[str, str]:
    texts = [" ".join(value.strip() for value in record if value.strip()) for record in records]
    return {"skip_lines": f"above the names: {_shown(texts)}"} if texts else {}


def _shown(texts: Sequence[str]) -> str:
    shown = ", ".join(repr(text[:_LONGEST_SHOWN]) for text in texts[:SHOWN])
    return f"{shown}, ..." if len(texts) > SHOWN else shown


def notes_at_the_end(last: list[Line], rows: int) -> tuple[int, str | None]:
    """How many of the last rows are notes, and what a person has to decide about the end of a sheet.

    :param last: the last rows, of as many values each.
    :param rows: how many there are in all.
    """
    count = 0
    while count < min(len(last), MOST_BELOW) and _is_note(last[-1 - count]):
        count += 1
    if count in {MOST_BELOW, rows} or rows - count < SHOWN:
        count = 0
    remarks = []
    if count:
        notes = [next(value for value in line if value.strip()) for line in last[len(last) - count :]]
        what = counted(count, "note stands", "notes stand")
        remarks.append(f"{what} below the rows: {_shown(notes)}; a file without them would lose as many rows")
    rest = last[: len(last) - count]
    begin = next((value for value in rest[-1] if value.strip()), "") if rest else ""
    if re.match(_TOTAL, begin, re.IGNORECASE):
        told = f"the last row begins with {begin!r}: if it is a total and no data"
        remarks.append(f"{told}, set skip_footer = {count + 1}")
    return count, "; ".join(remarks) or None


def _is_note(line: Line) -> bool:
    """Whether a row has one text alone, and that says that it is a note, or is a sentence."""
    if len(line) < SHOWN - 1 or _filled(line) != 1:
        return False
    text = next(value for value in line if value.strip()).strip()
    return bool(_NOTE.match(text)) or (len(text.split()) >= _WORDS and not _is_value(text))


def odd_rows(values: Values) -> list[str]:
    """What to say of rows that may be headings or totals among the others."""
    columns = [column.sql for column in values.columns.values()]
    if len(columns) < SHOWN or not values.rows:
        return []
    given = " + ".join(f"CAST(trim({sql}) <> '' IS TRUE AS INTEGER)" for sql in columns)
    first = f"coalesce({', '.join(columns)})"
    total = f"regexp_matches({first}, {literal(_TOTAL)}, 'i')"
    said = []
    alone, like = "one value alone, {}: loaded, and may be headings or notes.", "like a total, {}: loaded, and in sums."
    for where, what, why in (
        (f"{given} = 1", ("row holds", "rows hold"), alone),
        (f"{given} > 1 AND {total}", ("row begins", "rows begin"), like),
    ):
        count = int(str(values.ask([f"count(*) FILTER ({where})"])[0]))
        if 0 < count <= (1 - TYPED) * values.rows:
            shown = _shown([value for value, _ in values.counts(first, where=where, limit=SHOWN + 1)])
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
