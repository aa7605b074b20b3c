"""Prints records as a table, in which no name and no id is ever cut or folded: a screen too narrow gets a list."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.cells import cell_len, set_cell_size
from rich.table import Table

from sluiceway.cli.console import one_line, out, plain

GAP = "  "
NARROWEST_TEXT = 24
"""Characters a line; a column of prose that is narrower is no longer read."""


def print_records(
    columns: Sequence[str],
    records: Sequence[Sequence[str]],
    *,
    prose: Collection[str] = (),
    right: Collection[str] = (),
) -> None:
    """A line per record where it fits, or there is no screen; else prose is folded, or each value has its own line.

    :param prose: columns that may be folded.
    :param right: columns whose values end at the same place.
    """
    records = [[one_line(value) for value in record] for record in records]
    widths = [max(map(cell_len, values)) for values in zip(columns, *records, strict=True)]
    gaps = len(GAP) * (len(columns) - 1)
    if not out.is_terminal or sum(widths) + gaps <= out.width:
        _print_lines(columns, records, widths, right)
        return
    foldable = [
        min(width, NARROWEST_TEXT) if name in prose else width for name, width in zip(columns, widths, strict=True)
    ]
    if sum(foldable) + gaps <= out.width:
        _print_folded(columns, records, prose, right)
    else:
        print_fields(*(dict(zip(columns, record, strict=True)) for record in records))


def print_fields(*records: dict[str, str]) -> None:
    """Each value on a line of its own, after its key; empty ones are left out."""
    for number, record in enumerate(records):
        if number:
            out.print()
        for key, value in record.items():
            if value:
                out.print(f"[bold]{plain(key)}[/]: {plain(value)}")


def _print_lines(
    columns: Sequence[str], records: Sequence[Sequence[str]], widths: Sequence[int], right: Collection[str]
) -> None:
    for number, record in enumerate([columns, *records]):
        cells = [
            " " * (width - cell_len(value)) + value if name in right else set_cell_size(value, width)
            for name, value, width in zip(columns, record, widths, strict=True)
        ]
        line = plain(GAP.join(cells).rstrip())
        out.print(line if number else f"[bold]{line}[/]")


def _print_folded(
    columns: Sequence[str], records: Sequence[Sequence[str]], prose: Collection[str], right: Collection[str]
) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, len(GAP), 0, 0))
    for name in columns:
        table.add_column(plain(name), no_wrap=name not in prose, justify="right" if name in right else "left")
    for record in records:
        table.add_row(*map(plain, record))
    out.print(table, soft_wrap=False)
