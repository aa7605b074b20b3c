"""The columns of a table that are computed from others: whether they can be, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from sluiceway.tables.column import Column
from sluiceway.tables.expression import Token, columns_of, parse


def tokens_of(columns: Mapping[str, Column], name: str) -> tuple[Token, ...]:
    """The expression of a column, which sees all others.

    :raises ValueError: what is wrong, as it follows upon the key's name.
    """
    others = tuple((each, column.sql_type.base) for each, column in columns.items() if each != name)
    return parse(columns[name].expression or "", others)


def computing_order(
    columns: Mapping[str, Column], geometry: str | None = None, key: Sequence[str] = ()
) -> tuple[str, ...]:
    """The columns of an expression, each after those that it reads.

    :param geometry: the column of the geometry, which none may read.
    :param key: the columns of the table's key.
    :raises ValueError: one cannot be computed, or is of no use.
    """
    reads: dict[str, list[str]] = {}
    for name, column in columns.items():
        if column.expression is None:
            continue
        try:
            reads[name] = columns_of(tokens_of(columns, name))
        except ValueError as error:
            about = str(error)
            if geometry is not None and about.startswith(f"reads {geometry!r}"):
                about = f"reads {geometry!r}, the geometry, which no expression sees; make a view of it"
            raise ValueError(f"columns.{name}.expression: {about}") from None
    _check_stored(columns, key, {each for found in reads.values() for each in found})
    if reads and geometry is None and len(reads) == len(columns):
        raise ValueError("columns: all are computed; one at least must come from the source")
    try:
        order = TopologicalSorter(reads).static_order()
        return tuple(name for name in order if name in reads)
    except CycleError as error:
        # graphlib names what is read before who reads it
        circle = " reads ".join(reversed(error.args[1]))
        raise ValueError(f"columns: their expressions lead in a circle: {circle}") from None


def _check_stored(columns: Mapping[str, Column], key: Sequence[str], read: set[str]) -> None:
    for name, column in columns.items():
        if column.stored:
            continue
        if name in key:
            raise ValueError(f"columns.{name}.stored: a column of the key stands in the warehouse; remove stored")
        if name not in read:
            raise ValueError(f"columns.{name}.stored: no expression reads {name!r}; remove the column, or stored")
