"""What GDAL would take into memory at once is looked at before GDAL sees it: a long shape, a document read whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sluiceway.errors import SourceTooLargeError
from sluiceway.sources.bounds import check_value
from sluiceway.sources.formats.vector import gdal
from sluiceway.sources.formats.vector.flatgeobuf import longest_feature
from sluiceway.sources.formats.vector.geopackage import check_computed
from sluiceway.sources.formats.vector.shapefile import longest_shape
from sluiceway.sources.formats.vector.vector_files import HEAD_BYTES, VectorFile
from sluiceway.tables.source_spec import VectorSource
from sluiceway.tables.spec import TableSpec

_BLOCK_BYTES = 1 << 20
_VALUE_BYTES = 16
"""A number in a JSON document takes six times as much in GDAL's memory as it may have of source.max_value_bytes."""
_FEATURE_FACTOR = 3
"""What GDAL guesses a feature's memory to be may be so much of source.max_value_bytes; it takes thrice as much."""
_WHOLE_FACTOR = 2
"""So much of source.max_value_bytes may a whole document have."""
_COLLECTION = re.compile(rb'"type"\s*:\s*"FeatureCollection"|"features"\s*:\s*\[')
_ESRI = re.compile(rb'"esri(Geometry|FieldType)|"attributes"\s*:\s*\{')
"""Of Esri's JSON, which has features as well: 57 MB of it took 1.4 GB."""
_SEPARATORS = (b",", b"[", b"{")


def check_bounds(spec: TableSpec, source: VectorSource, file: VectorFile) -> None:
    """See that nothing in the file is longer than it may be, as far as can be seen without GDAL.

    :raises SourceTooLargeError: something is.
    """
    name, most = file.format.name, source.max_value_bytes
    if name == "GeoPackage":
        check_computed(spec, source, file)
    elif name == "shapefile":
        row, size = longest_shape(file.path)
        check_value(spec, size, file.place, f"row {row:,} holds a shape of")
    elif name == "FlatGeobuf file" and file.path.stat().st_size > _WHOLE_FACTOR * most:
        row, size = longest_feature(file.path)
        _check_whole(spec, size, file.place, f"row {row:,} is read at once, and it has")
    elif name == "KML file":
        _check_whole(spec, file.path.stat().st_size, file.place, "KML is read at once, and it has")
    elif name == "GML file":
        check_value(spec, _longest(file.path, b"<"), file.place, "it holds a text of")
    elif name == "GeoJSON file":
        gdal.core.set_gdal_config_options({"OGR_GEOJSON_MAX_OBJ_SIZE": str(max(1, _FEATURE_FACTOR * most >> 20))})
        with file.path.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
        if not _COLLECTION.search(head) or (_ESRI.search(head) and b'"FeatureCollection"' not in head):
            _check_whole_json(spec, file)


def _check_whole_json(spec: TableSpec, file: VectorFile) -> None:
    """Of a document that is no list of features, or of each line of several: it is read at once."""
    most = spec.source.max_value_bytes
    size = count = 0
    for part, ends in _parts(file.path, b"\n"):
        size += len(part)
        count += sum(part.count(each) for each in _SEPARATORS)
        _check_whole(spec, max(size, count * _VALUE_BYTES), file.place, _at_once(size, count, most))
        if ends:
            size = count = 0


def _check_whole(spec: TableSpec, size: int, place: str, what: str) -> None:
    """Of a document that is read at once."""
    if size > _WHOLE_FACTOR * spec.source.max_value_bytes:
        check_value(spec, size, place, what)


def _at_once(size: int, count: int, most: int) -> str:
    if size > _WHOLE_FACTOR * most:
        return "it is read at once, or a line of it is, and that has"
    return f"it is read at once, or a line of it is, and that has more than {count:,} values, which take"


def _longest(path: Path, mark: bytes) -> int:
    """The most bytes between two marks."""
    longest = size = 0
    for part, ends in _parts(path, mark):
        size += len(part)
        longest = max(longest, size)
        if ends:
            size = 0
    return longest


def _parts(path: Path, mark: bytes) -> Iterator[tuple[bytes, bool]]:
    """The file's blocks, cut where a mark stands: of a block only what is before its first mark and behind its last."""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            first = block.find(mark)
            if first < 0:
                yield block, False
                continue
            yield block[:first], True
            # what lies between two marks of one block is short
            yield block[block.rfind(mark) + 1 :], False


def too_complex(spec: TableSpec, file: VectorFile, error: Exception) -> SourceTooLargeError | None:
    """What is to be said where GDAL has refused a feature of a GeoJSON for its size."""
    if "OGR_GEOJSON_MAX_OBJ_SIZE" not in str(error):
        return None
    return SourceTooLargeError(
        f"{spec.name}: {file.place}: a feature takes more memory than source.max_value_bytes = "
        f"{spec.source.max_value_bytes:,} allows; raise it if right, or make a GeoPackage of the file"
    )
