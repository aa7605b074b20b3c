"""Opens a spec's source as load_table does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sluiceway.sources import open_source
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.sources.extraction import Extraction
from sluiceway.sources.locate import located
from sluiceway.tables.spec import TableSpec


@contextmanager
def opened(spec: TableSpec, connections: Connections = from_environment) -> Iterator[Extraction]:
    with located(spec.source, connections) as place, open_source(spec, place, connections) as extraction:
        yield extraction
