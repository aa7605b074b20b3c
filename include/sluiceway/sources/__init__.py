"""Where rows come from: one module per kind of source, each yields Arrow record batches and knows no Airflow.

`located` (locate.py) finds a source and brings it here, `open_source` opens what was found. A source projects and
renames: its batches hold the spec's columns under their target names, in the spec's order, plus the geometry. It
does not cast, check or drop rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sluiceway.tables.origins import origin_columns, patterns_of
from sluiceway.tables.source_spec import SOURCE_KINDS, LocatedSource

if TYPE_CHECKING:
    from sluiceway.sources.connections import Connections
    from sluiceway.sources.extraction import Extraction
    from sluiceway.sources.piece import Piece
    from sluiceway.sources.place import Place
    from sluiceway.tables.spec import TableSpec

_FOLDERS = {"vector": "vector.vector"}
"""Kind of file -> its module in formats/, where that is a folder."""


def module_of(kind: str) -> str:
    """The name of the module that reads sources of a kind: of that name in formats/ or services/.

    Importing it costs up to half a second.
    """
    return f"{__name__}.formats.{_FOLDERS.get(kind, kind)}" if _is_file(kind) else f"{__name__}.services.{kind}"


def _is_file(kind: str) -> bool:
    return issubclass(SOURCE_KINDS[kind], LocatedSource)


@contextmanager
def open_source(
    spec: TableSpec,
    place: Place,
    connections: Connections,
    *,
    watermark: str | None = None,
    piece: Piece | None = None,
) -> Iterator[Extraction]:
    """Open the source of `spec`, which lies at `place`.

    :param watermark: where the last incremental load of a database ended.
    :param piece: which of its rows alone are read, of a source that can be split.
    :raises SourceUnreadableError: the source is not what the spec declares.
    :raises SourceMissingError: the layer, member, sheet or table does not exist.
    :raises SourceUnavailableError: the database or service does not answer.
    :raises SchemaDriftError: a declared column does not exist.
    :raises SourceTooLargeError: it has, or gives while it is read, more than its table's file allows.
    """
    # with Arrow, half a second of a task
    from sluiceway.sources.bounds import bounded, check_columns
    from sluiceway.sources.hashing import size_of

    # what an expression computes is no column of the source
    spec = spec.given()
    with _opened(spec, place, connections, watermark, piece) as extraction:
        check_columns(spec, extraction.columns, place.name)
        size = size_of(place.path) if place.path is not None else None
        extraction.batches = bounded(spec, extraction, extraction.batches, place.name, size)
        yield extraction


def _opened(
    spec: TableSpec, place: Place, connections: Connections, watermark: str | None, piece: Piece | None
) -> AbstractContextManager[Extraction]:
    kind = spec.source.kind
    # each reader is imported only when used: GDAL alone costs half a second and 50 MB
    reader = import_module(module_of(kind))
    opener: Callable[..., Any] = getattr(reader, f"open_{kind}")
    opened: AbstractContextManager[Extraction]
    if _is_file(kind):
        more = () if piece is None else (piece,)
        if origin_columns(spec.columns) or patterns_of(spec.source):
            from sluiceway.sources.joined import open_joined

            return open_joined(spec, place, reader, lambda one, source, path: opener(one, source, path, *more))
        opened = opener(spec, spec.source, place.path, *more)
    elif kind == "sql":
        opened = opener(spec, spec.source, connections, watermark=watermark)
    else:
        opened = opener(spec, spec.source, connections)
    return opened


def pieces_of(spec: TableSpec, place: Place) -> list[Piece]:
    """Into which pieces the source of a table that says `split` is cut, in order.

    :raises SplitError: it cannot be; says why.
    :raises SluicewayError: as open_source.
    """
    cut: Callable[..., list[Piece]] = getattr(
        import_module(module_of(spec.source.kind)), f"pieces_of_{spec.source.kind}"
    )
    origins = origin_columns(spec.columns)
    columns = {name: column for name, column in spec.columns.items() if name not in origins}
    return cut(spec.model_copy(update={"columns": columns}), spec.source, place.path)
