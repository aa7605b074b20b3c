"""What stands at the end of a sheet or a text and is no row: notes, totals, and blank records among them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from sluiceway.amounts import counted
from sluiceway.errors import shortened
from sluiceway.sources.footer import SHOWN, begins_as_note, begins_as_total, quoted

Record = Sequence[str]

MOST_BELOW = 10
"""Records of a footer."""
_VALUE = re.compile(r"[+-]?[\d.,][\d., '\u00a0\u202f]*([eE][+-]?\d+)?%?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?")
_WORDS = 6
"""So many are a sentence, and no name."""


def is_value(text: str) -> bool:
    """Whether it is a number or a date, and says nothing of others."""
    return bool(_VALUE.fullmatch(text.strip()))


def is_total(record: Record) -> bool:
    """Whether its first value is a word for a sum."""
    return begins_as_total(first_value(record))


def is_note(record: Record) -> bool:
    """Whether a record has one text alone, and that says that it is a note, or is a sentence."""
    if len(record) < SHOWN - 1 or count_filled(record) != 1:
        return False
    text = first_value(record).strip()
    return begins_as_note(text) or (len(text.split()) >= _WORDS and not is_value(text))


def count_filled(record: Record) -> int:
    """How many values it has."""
    return sum(bool(value.strip()) for value in record)


def first_value(record: Record) -> str:
    """The first that is not blank; empty where all are."""
    return next((value for value in record if value.strip()), "")


def notes_at_the_end(last: Sequence[Record], rows: int) -> tuple[int, str | None]:
    """How many of the last rows are notes, and what a person has to decide about the end of a sheet.

    :param last: the last rows, of as many values each.
    :param rows: how many there are in all.
    """
    count = 0
    while count < min(len(last), MOST_BELOW) and is_note(last[-1 - count]):
        count += 1
    if count in {MOST_BELOW, rows} or rows - count < SHOWN:
        count = 0
    remarks = [said_of_notes(last[len(last) - count :])] if count else []
    remarks += filter(None, [said_of_total(last[: len(last) - count], count)])
    return count, "; ".join(remarks) or None


def said_of_notes(notes: Sequence[Record]) -> str:
    """That these stand below the rows."""
    what = counted(len(notes), "note stands", "notes stand")
    texts = [first_value(note) for note in notes]
    return f"{what} below the rows: {quoted(texts)}; a file without them would lose as many rows"


def said_of_total(last: Sequence[Record], below: int) -> str | None:
    """That the last record may be a total; None: it is none.

    :param below: how many records of a footer stand below it.
    """
    if not last or not is_total(last[-1]):
        return None
    blank = sum(1 for _ in takewhile(lambda record: not count_filled(record), reversed(last[:-1])))
    among = f" and {counted(blank, 'blank record', 'blank records')} above it" if blank else ""
    begin = first_value(last[-1])
    told = f"the last row begins with {shortened(begin)!r}: if it is a total and no data{among}"
    return f"{told}, set skip_footer = {below + 1 + blank}"
