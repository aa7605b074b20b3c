"""Vector files through GDAL (pyogrio), as a stream of Arrow batches: shapefile, GeoPackage, GeoJSON and kin."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa

from sluiceway.errors import SourceUnreadableError, SplitError, nearest, shortened
from sluiceway.sources.extraction import Extraction
from sluiceway.sources.formats.archive import check_archive
from sluiceway.sources.formats.vector import gdal
from sluiceway.sources.formats.vector.geojson_whole import whole
from sluiceway.sources.formats.vector.layer import Layer
from sluiceway.sources.formats.vector.layer_bounds import check_bounds, too_complex
from sluiceway.sources.formats.vector.layers import NO_DATA, layers_in
from sluiceway.sources.formats.vector.pieces import pieces_of_rows, pieces_of_values
from sluiceway.sources.formats.vector.vector_files import data_sets, laid_out
from sluiceway.sources.piece import Piece
from sluiceway.tables.source_spec import VectorSource
from sluiceway.tables.spec import TableSpec
from sluiceway.tables.split import BY_ROWS, SPLIT_FILES, parse_split

_NOISE = (
    re.compile(r"[^\s']*/sluiceway-vector-[^/]+/"),
    re.compile(r"; It might help to specify .*"),
    re.compile(r"(; )?Error occurred in \S+ at line \d+"),
)
"""Of GDAL's messages: our own folder, how to ask GDAL otherwise, and lines of its source."""
_REFUSED = (
    gdal.errors.DataSourceError,
    gdal.errors.DataLayerError,
    gdal.errors.GeometryError,
    gdal.errors.FieldError,
    gdal.errors.FeatureError,
    pa.ArrowInvalid,
    UnicodeDecodeError,
)


@contextmanager
def open_vector(spec: TableSpec, source: VectorSource, path: Path, piece: Piece | None = None) -> Iterator[Extraction]:
    """Open one layer, or a piece of it.

    Texts of a shapefile are in the encoding that `source.encoding` says, else its .cpg, else the .dbf's header;
    latin-1 that nobody declared is read as cp1252.

    :raises SourceUnreadableError: it is no such file, it is broken, or its texts are in another encoding.
    :raises EmptyExtractionError: it holds no layer at all.
    :raises SourceMissingError: there is no such layer or member, or several and none is named.
    :raises SchemaDriftError: a declared column does not exist, or the layer has no geometry.
    """
    with ExitStack() as stack:
        file = stack.enter_context(laid_out(spec.name, source, path))
        try:
            check_bounds(spec, source, file)
            file = whole(spec, source, file)
            selection = Layer(spec, source, file).selection(piece) if piece is not None else None
            layer = Layer(spec, source, file, selection)
            batches = stack.enter_context(layer.open())
        except _REFUSED as error:
            if (too_long := too_complex(spec, file, error)) is not None:
                raise too_long from error
            raise SourceUnreadableError(f"{spec.name}: {file.place} cannot be read: {_said(error)}") from error
        yield Extraction(
            columns=layer.columns,
            batches=batches,
            total_rows=layer.expected,
            crs=layer.crs,
            row_numbers=selection.numbers if selection is not None else None,
            doubts=layer.doubts,
            notes=layer.notes,
            straightened=layer.curves.count,
            primary_key=file.key or layer.fid,
        )


def parts_in_vector(spec: TableSpec, source: VectorSource, path: Path) -> list[str]:
    """The names of the layers that hold data; raises as open_vector does of a file."""
    with laid_out(spec.name, source, path) as file:
        try:
            check_bounds(spec, source, file)
            return [name for name in layers_in(file) if name not in NO_DATA]
        except _REFUSED as error:
            raise SourceUnreadableError(f"{spec.name}: {file.place} cannot be read: {_said(error)}") from error


def members_in_vector(source: VectorSource, path: Path) -> list[str]:
    """The data sets of a .zip, by the name of their main file or folder."""
    return list(data_sets(check_archive(path, source.max_bytes), path))


def pieces_of_vector(spec: TableSpec, source: VectorSource, path: Path) -> list[Piece]:
    """Into which pieces one layer is cut, as spec.split says.

    :raises SplitError: it cannot be.
    :raises SluicewayError: as open_vector.
    """
    split = parse_split(spec.split or "")
    with laid_out(spec.name, source, path) as file:
        if file.path.suffix not in SPLIT_FILES:
            raise SplitError(
                f"{spec.name}: split: a {file.format.name} must be read from its beginning for each part; make a "
                f"GeoPackage of it, or remove split"
            )
        try:
            check_bounds(spec, source, file)
            layer = Layer(spec, source, file)
            if split.by == BY_ROWS:
                if (count := layer.count()) != layer.info["features"]:
                    # GDAL would pass over no more than it says, and give the same rows in several parts
                    raise SplitError(
                        f"{spec.name}: split: {layer.place} says it holds {layer.info['features']:,} features and "
                        f"holds {count:,}; write it anew, or split by a column"
                    )
                return pieces_of_rows(spec.name, count, split.rows)
            if split.column not in layer.columns:
                raise SplitError(
                    f"{spec.name}: split: {layer.place} has no column {split.column!r}"
                    f"{nearest(split.column, layer.columns)}"
                )
            return pieces_of_values(spec.name, split.column, layer.values_of(split.column)[0])
        except _REFUSED as error:
            raise SourceUnreadableError(f"{spec.name}: {file.place} cannot be read: {_said(error)}") from error


def _said(error: Exception) -> str:
    """GDAL's message, without what helps nobody here."""
    text = str(error)
    for noise in _NOISE:
        text = noise.sub("", text)
    text = shortened(" ".join(text.split()).strip("; "), 300)
    if isinstance(error, gdal.errors.GeometryError):
        return f"{text}; curves and surfaces in space are not loaded: make straight lines and MultiPolygons of them"
    if isinstance(error, gdal.errors.CRSError):
        return f"what it says of its CRS is broken ({text}); mend or remove that (of a shapefile, the .prj)"
    return text or "it is broken or cut off"
