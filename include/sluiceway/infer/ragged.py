"""A text whose lines a delimiter divides, and not into as many values each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MOST = 0.5
"""The share of lines that a delimiter divides, from which it may be one."""


def said_of_ragged(records: Sequence[Sequence[str]], delimiters: Iterable[str]) -> dict[str, str]:
    """What to say where each line is taken for one value, and a delimiter in the first one divides most others.

    :param records: the lines, a value each.
    """
    for delimiter in delimiters:
        counts = [line.count(delimiter) + 1 for (line,) in records]
        others = counts[1:]
        if counts and counts[0] > 1 and sum(count > 1 for count in others) > MOST * len(others):
            return {
                "delimiter": f"{delimiter!r} divides lines into {min(counts)} to {max(counts)} values, so each line is "
                f"taken for one: if these are records, set delimiter = {delimiter!r}; what has too many or too few "
                "values is a reject then"
            }
    return {}
