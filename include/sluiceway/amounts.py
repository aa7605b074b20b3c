"""Amounts as people read them: `1 table`, `20 tables`, `1.50 GiB`."""

from __future__ import annotations

KIB = 1 << 10


def counted(count: int, one: str, more: str | None = None) -> str:
    """`1 row`, `2,000 rows`, `0 rows`.

    :param one: what is counted, as one is called: `row`, or with its verb, `item is`.
    :param more: as several are called, where that is not the same with an s: `items are`.
    """
    return f"{count:,} {one if count == 1 else more or f'{one}s'}"


def size(count: int) -> str:
    """Bytes in the units in which a table's file declares its `memory`: `300 MiB`, `1.50 GiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < KIB - 0.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 9.95 else f"{amount:.1f} {unit}"
        amount /= KIB
    return f"{amount:,.2f} GiB"
