"""What the conformance suite asks of a kind of source: to serve rows, and to serve them in each way that is wrong.

A kind is a file in kinds/, named as the kind, with an instance KIND. What each method must make stands at the case that
needs it, in cases.py; a kind has no method that only excused cases need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pyarrow as pa
import pytest

from sluiceway.errors import SettingsError, SluicewayError
from sluiceway.sources.connections import Connection, Connections

Cell = str | int | None

FETCHED = "A file is here before it is read: test_places.py loses the connections that bring one."
"""Why files are excused from lost_connection."""
ANSWERED = "There is no file to be cut: an answer that breaks off is the case lost_connection."
"""Why services are excused from cut_off."""


@dataclass(frozen=True)
class Table:
    """Rows for a source to hold."""

    columns: Mapping[str, Sequence[Cell]]
    """Name -> values, in the order of the columns."""

    @property
    def rows(self) -> list[list[Cell]]:
        """The values, row by row."""
        return [list(row) for row in zip(*self.columns.values(), strict=True)]

    @property
    def records(self) -> list[dict[str, Cell]]:
        """The rows with their names."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def arrow(self) -> pa.Table:
        """The rows for what has types: a column with any text is one of texts, the others are whole numbers."""
        arrays = {}
        for name, values in self.columns.items():
            if any(isinstance(value, str) for value in values):
                arrays[name] = pa.array([None if value is None else str(value) for value in values], pa.string())
            else:
                arrays[name] = pa.array(values, pa.string() if name == "name" else pa.int64())
        return pa.table(arrays)

    def changed(self, **columns: Sequence[Cell]) -> Table:
        """The same with other values, or with more columns."""
        return Table({**self.columns, **columns})


def no_connection(conn_id: str) -> Connection:
    """For a source that needs none."""
    raise SettingsError(f"nobody has declared the connection {conn_id!r}")


@dataclass(frozen=True)
class Served:
    """A source that stands ready."""

    source: Mapping[str, Any]
    """The keys of [source], without kind."""
    place: str
    """What a message must call it, whatever is wrong with it."""
    connections: Connections = no_connection


@dataclass
class Bench:
    """What a kind may use to serve rows."""

    folder: Path
    """For files."""
    until_the_end: ExitStack
    """For servers: what is entered here ends with the test."""
    patch: pytest.MonkeyPatch
    """For less patience, and for batches of a few rows."""
    owner_url: str
    """A fresh PostgreSQL database, as the role that may make tables."""
    loader_url: str
    """The same, as a role that may read what it is granted."""
    s3_endpoint: Callable[[], str]
    """Starts a server of S3's protocol, one for all tests, and says where it is."""

    def file(self, name: str, content: bytes) -> Served:
        """A file with that content."""
        path = self.folder / name
        path.write_bytes(content)
        return self.at(path)

    def at(self, path: Path) -> Served:
        """A file that is there already."""
        return Served({"uri": str(path)}, path.name)

    def cut(self, served: Served) -> Served:
        """The same file without its second half."""
        path = Path(served.source["uri"])
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        return served


class Kind(Protocol):
    """One kind of source."""

    excused: ClassVar[Mapping[str, str]]
    """Case -> why there is no such thing with this kind, in a sentence. Every other case is run."""
    empty_is: type[SluicewayError]
    """What a load of nothing at all raises; any, if that is excused."""

    def rows(self, bench: Bench, table: Table) -> Served:
        """These rows, as this kind usually holds them."""
        ...
