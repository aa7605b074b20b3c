"""Columns of texts that are almost all dates, amounts or booleans: what of them is none, for a person to decide."""

from __future__ import annotations

from sluiceway.infer.money import amount_test
from sluiceway.infer.text_types import FALSE, FORMATS, ONE_OF, TRUE, Look, Question
from sluiceway.infer.values import literal
from sluiceway.load.cast import cast_of_text
from sluiceway.tables.column import Column

_NEARLY = 1 - 1 / ONE_OF


def nearly(question: Question, look: Look) -> str | None:
    """Which values are not what nearly all others are; None: there is no such thing.

    :param question: of a column that all its values make a text.
    """
    if _NEARLY <= look.booleans < 1:
        words = ", ".join(map(literal, (*TRUE, *FALSE)))
        return question.odd_ones(f"lower(trim({question.column.sql})) IN ({words})", "boolean")
    if look.dates >= _NEARLY and (formats := _date_formats(question)):
        # of several that fit as well, none is said
        what = f"date as {formats[0]}" if len(formats) == 1 else "date"
        return question.odd_ones(_is_date(question, formats[0]), what)
    signed, amount = amount_test(question.column, question.marks)
    if question.values.ask([f"count(*) FILTER ({question.given} AND {signed})"], sample=True)[0]:
        return question.odd_ones(amount, "amount")
    return None


def _date_formats(question: Question) -> list[str]:
    """The formats in which most values of a sample are dates."""
    found = question.values.ask(
        [f"count(*) FILTER ({question.given} AND {_is_date(question, each)})" for each in FORMATS], sample=True
    )
    counts = dict(zip(FORMATS, map(int, map(str, found)), strict=True))
    most = max(counts.values())
    return [each for each, count in counts.items() if count == most > 0]


def _is_date(question: Question, format_: str) -> str:
    timed = "%H" in format_ or "%I" in format_
    column = Column(type="timestamp" if timed else "date", format=format_)
    return f"({cast_of_text(question.column.sql, column, question.marks)}) IS NOT NULL"
