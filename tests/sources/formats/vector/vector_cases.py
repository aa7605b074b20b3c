"""Small vector files as people and programs write them, good and bad, and specs over them."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import geopandas
import shapely

from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened

NAMES = ("Müller", "O'Higgins", "Ωmega")
ENDINGS = (".shp", ".shx", ".dbf", ".prj", ".cpg")


def frame(rows: int = 3, **columns: Any) -> geopandas.GeoDataFrame:
    """Squares in a row, 1 degree wide."""
    return geopandas.GeoDataFrame(
        {"id": range(1, rows + 1), "name": [NAMES[row % 3] for row in range(rows)], **columns},
        geometry=[shapely.box(row, 0, row + 1, 1) for row in range(rows)],
        crs="EPSG:4326",
    )


def park(
    path: Path,
    columns: Mapping[str, Any] | None = None,
    geometry: Mapping[str, Any] | None = None,
    **source: Any,
) -> TableSpec:
    """A spec with columns id and name over a file of any kind of geometry; geometry = {} means none."""
    columns = {"id": "integer", "name": "text"} if columns is None else columns
    geometry = {"type": "Geometry"} if geometry is None else {"type": "Geometry", **geometry} if geometry else None
    return TableSpec.model_validate(
        {
            "name": "park",
            "description": "Parks",
            "key": "content",
            "source": {"kind": "vector", "uri": str(path), **source},
            "columns": {
                name: {"source": declared[0], "type": declared[1]} if isinstance(declared, tuple) else declared
                for name, declared in columns.items()
            },
            **({"geometry": geometry} if geometry is not None else {}),
        }
    )


def rows(spec: TableSpec) -> list[dict[str, Any]]:
    """All rows of the spec's source, read as a load reads them."""
    with opened(spec) as extraction:
        return [row for batch in extraction.batches for row in batch.to_pylist()]


def names(spec: TableSpec) -> list[Any]:
    return [row["name"] for row in rows(spec)]


def features(*properties: Mapping[str, Any], shape: Any = None) -> list[dict[str, Any]]:
    point = {"type": "Point", "coordinates": [10, 50]} if shape is None else shape
    return [{"type": "Feature", "properties": dict(each), "geometry": point} for each in properties]


def collection(*properties: Mapping[str, Any], shape: Any = None, **members: Any) -> str:
    """A GeoJSON FeatureCollection of points."""
    document = {"type": "FeatureCollection", **members, "features": features(*properties, shape=shape)}
    return json.dumps(document, ensure_ascii=False)


def zipped(path: Path, members: Iterable[tuple[str, Path | bytes]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content if isinstance(content, bytes) else content.read_bytes())
    return path


def parts(shapefile: Path, prefix: str = "", *, stem: str | None = None, upper: bool = False) -> list[tuple[str, Path]]:
    """The files of a shapefile by the names they shall have in an archive."""
    return [
        (prefix + (stem or shapefile.stem) + (ending.upper() if upper else ending), shapefile.with_suffix(ending))
        for ending in ENDINGS
        if shapefile.with_suffix(ending).exists()
    ]


def write_dbf(
    path: Path,
    texts: list[bytes],
    *,
    language: int = 0,
    width: int = 20,
    deleted: Iterable[int] = (),
    name: bytes = b"",
) -> None:
    """A .dbf of columns id N(5) and name C(width), as bytes: dBase III with a language driver."""
    described = [(b"id", b"N", 5), (name or b"name", b"C", width)]
    fields = b"".join(
        field.ljust(11, b"\0") + kind + b"\0" * 4 + bytes([size, 0]) + b"\0" * 14 for field, kind, size in described
    )
    header = b"\x03\x7a\x01\x01" + struct.pack("<IHH", len(texts), 32 + len(fields) + 1, 6 + width)
    records = [
        (b"*" if number in deleted else b" ") + str(number).rjust(5).encode() + text.ljust(width)
        for number, text in enumerate(texts, start=1)
    ]
    path.write_bytes(header + b"\0" * 17 + bytes([language]) + b"\0\0" + fields + b"\r" + b"".join(records) + b"\x1a")


def write_points(folder: Path, texts: list[bytes], *, cpg: bytes | None = None, **dbf: Any) -> Path:
    """A shapefile of points, with the .dbf of write_dbf and no .cpg unless given."""
    path = folder / "park.shp"
    shapes = [shapely.Point(number, number) for number in range(len(texts))]
    geopandas.GeoDataFrame({"id": range(len(texts))}, geometry=shapes, crs=4326).to_file(path)
    path.with_suffix(".cpg").unlink()
    write_dbf(path.with_suffix(".dbf"), texts, **dbf)
    if cpg is not None:
        path.with_suffix(".cpg").write_bytes(cpg)
    return path
