"""Whether the quotes of a text enclose values, or are characters like any other: seen when all of it was read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Protocol, TypeVar

from sluiceway.errors import SourceUnreadableError
from sluiceway.infer.asked import Source
from sluiceway.infer.dialect import NO_QUOTE, WITHOUT_QUOTES
from sluiceway.infer.values import Values, kept_values, literal


class _Read(Protocol):
    unreadable: int


Seen = TypeVar("Seen", bound=_Read)


def read_by_quotes(source: Source, stack: ExitStack, read: Callable[[Values], Seen]) -> tuple[Values, Seen]:
    """All values, by the quotes of `source`, or without any where only that explains the text.

    :param stack: keeps the values.
    :param read: reads all of the source.
    """
    values = stack.enter_context(kept_values())
    try:
        seen = read(values)
    except SourceUnreadableError:
        found = _without_quotes(source, stack, read, 0)
        if found is None:
            raise
        return found
    if source.keys["kind"] == "csv" and _swallows(values, source):
        return _without_quotes(source, stack, read, values.rows) or (values, seen)
    return values, seen


def _swallows(values: Values, source: Source) -> bool:
    """Whether a quoted value has line ends and delimiters within: a stray quote takes whole lines for a value."""
    delimiter = literal(source.keys.get("delimiter", ","))
    whole = [f"contains({each.sql}, chr(10)) AND contains({each.sql}, {delimiter})" for each in values.columns.values()]
    return bool(values.rows) and any(values.ask([f"count(*) FILTER ({test})" for test in whole]))


def _without_quotes(
    source: Source, stack: ExitStack, read: Callable[[Values], Seen], rows: int
) -> tuple[Values, Seen] | None:
    """None unless all of the text reads so, with more than so many rows."""
    if not source.terminated:
        # the quote of the last value may be what was cut off
        return None
    before = source.keys.get("quote")
    source.keys["quote"] = NO_QUOTE
    values = stack.enter_context(kept_values())
    try:
        seen = read(values)
    except SourceUnreadableError:
        seen = None
    if seen is not None and not seen.unreadable and values.rows > rows and not _encloses(values):
        source.remarks["quote"] = WITHOUT_QUOTES
        return values, seen
    del source.keys["quote"]
    if before is not None:
        source.keys["quote"] = before
    return None


def _encloses(values: Values) -> bool:
    """Whether most values of a column stand in quotes: who writes quotes where they are needed only writes few."""
    for column in values.columns.values():
        enclosed, filled = values.ask(
            [f"count(*) FILTER ({column.sql} LIKE '\"%\"')", f"count(*) FILTER ({column.sql} <> '')"]
        )
        if 2 * int(str(enclosed)) > int(str(filled)):
            return True
    return False
