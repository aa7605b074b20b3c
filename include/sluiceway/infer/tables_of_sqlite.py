"""Which table of an SQLite file is meant."""

from __future__ import annotations

from pathlib import Path

from sluiceway.errors import SourceMissingError, listed
from sluiceway.sources.formats.sqlite import tables_in


def only_table(path: Path) -> str:
    """The table of a file that has one.

    :raises SourceMissingError: it has none, or several, which are listed.
    :raises SourceUnreadableError: it is no SQLite file.
    """
    tables = tables_in(path)
    if len(tables) == 1:
        return tables[0]
    if not tables:
        raise SourceMissingError(f"{path.name} has no table")
    raise SourceMissingError(
        f"{path.name} holds {len(tables)} tables: {listed(tables)}; name one with --table, or draft each with --all"
    )
