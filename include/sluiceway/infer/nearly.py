"""Columns of texts that are almost all dates, amounts or booleans: what of them is none, for a person to decide."""

from __future__ import annotations

from sluiceway.amounts import counted
from sluiceway.infer.money import amount_test
from sluiceway.infer.text_types import FALSE, FORMATS, TRUE, Look, Question
from sluiceway.infer.values import literal
from sluiceway.load.cast import cast_of_text
from sluiceway.tables.column import Column

ONE_OF = 20
"""So many values may have one that is odd."""
_NEARLY = 1 - 1 / ONE_OF


def nearly(question: Question, look: Look) -> str | None:
    """Which values are not what nearly all others are; None: there is no such thing.

    :param question: of a column that all its values make a text.
    """
    if _NEARLY <= look.booleans < 1:
        words = ", ".join(map(literal, (*TRUE, *FALSE)))
        return _odd(question, "boolean", f"lower(trim({question.column.sql})) IN ({words})")
    if look.dates >= _NEARLY and (formats := _date_formats(question)):
        # of several that fit as well, none is said
        what = f"date as {formats[0]}" if len(formats) == 1 else "date"
        return _odd(question, what, _is_date(question, formats[0]))
    signed, amount = amount_test(question.column, question.marks)
    if question.values.ask([f"count(*) FILTER ({question.given} AND {signed})"], sample=True)[0]:
        return _odd(question, "amount", amount)
    return None


def _odd(question: Question, what: str, test: str) -> str | None:
    """The sentence, where at most one value of twenty fails the test."""
    others = f"{question.given} AND NOT coalesce({test}, false)"
    odd = int(str(question.values.ask([f"count(*) FILTER ({others})"])[0]))
    if not odd or odd * ONE_OF > question.filled:
        return None
    shown = ", ".join(
        repr(value[:30]) for value, _ in question.values.counts(question.column.sql, where=others, limit=3)
    )
    of = f"of {counted(question.filled, 'value')}"
    return f"{counted(odd, f'{of} is', f'{of} are')} no {what}, such as {shown}"


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
