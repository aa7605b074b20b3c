"""Files of every format that a source reads: a draft is made of it, and a table's file reads it."""

from __future__ import annotations

import gzip
import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sluiceway.errors import SluicewayError
from sluiceway.infer.asked import Asked
from sluiceway.infer.infer import infer
from sluiceway.infer.preview import preview
from sluiceway.tables.spec import TableSpec
from tests.fuzz.target import Feed, Target, enter
from tests.sources.conformance.cases import CITIES, SPELLINGS
from tests.sources.conformance.kind import Bench, Table
from tests.sources.conformance.kinds import kind_of
from tests.sources.formats.vector.vector_cases import frame

COLUMNS = {"id": "integer", "name": "text", "people": "numeric(12,2)"}
OF_KML = {"id": "text", "name": {"source": "Name", "type": "text"}, "people": "numeric(12,2)"}
"""It has names and ids of its own."""
SHAPE = {"type": "Geometry", "srid": 4326, "source_crs": "EPSG:4326", "required": False}
ODD = Table(
    {"id": list(range(len(SPELLINGS))), "name": [each[:200] for each in SPELLINGS], "people": [7] * len(SPELLINGS)}
)


@contextmanager
def _fed(ending: str, source: dict[str, Any], geometry: dict[str, Any] | None) -> Iterator[Feed]:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / f"city{ending}"
        columns = OF_KML if ending == ".kml" else COLUMNS
        declared = {"name": "city", "description": "Cities", "key": "id", "columns": columns}
        shape = {"geometry": geometry} if geometry is not None else {}
        spec = TableSpec.model_validate({**declared, **shape, "source": {**source, "uri": str(path)}})

        def feed(content: bytes) -> None:
            path.write_bytes(content)
            with warnings.catch_warnings():
                # GDAL warns of much that is read well
                warnings.simplefilter("ignore")
                try:
                    infer(Asked(str(path)))
                except SluicewayError as error:
                    assert str(error)
                preview(spec)

        yield feed


def _of_kind(kind: str) -> list[bytes]:
    """As the kind's file of the conformance suite writes it."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), stack, pytest.MonkeyPatch(), "", "", lambda: "")
        return [Path(kind_of(kind).rows(bench, table).source["uri"]).read_bytes() for table in (CITIES, ODD)]


def _of_driver(driver: str, name: str) -> list[bytes]:
    """As GDAL writes it; a folder or several files in a zip."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        place = Path(folder) / name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            frame(4, people=[1, 2, 3, 4]).to_file(place, driver=driver, engine="pyogrio")
        if place.is_file() and not place.with_suffix(".shx").exists():
            return [place.read_bytes()]
        return [_zipped({str(each.relative_to(folder)): each.read_bytes() for each in _files(Path(folder))})]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, each in files.items():
            archive.writestr(name, each)
    return content.getvalue()


def _lines() -> list[bytes]:
    return [("\n".join(json.dumps(record) for record in table.records)).encode() for table in (CITIES, ODD)]


def _compressed() -> list[bytes]:
    return [gzip.compress(each) for each in _of_kind("csv")]


def _in_zip() -> list[bytes]:
    return [_zipped({"city.csv": each}) for each in _of_kind("csv")]


def _file(
    name: str,
    ending: str,
    seeds: Callable[[], Sequence[bytes]],
    *,
    geometry: dict[str, Any] | None = None,
    words: Sequence[bytes] = (),
    **source: Any,
) -> Target:
    return Target(name, seeds, partial(_fed, ending, source, geometry), words=words)


def _vector(driver: str, ending: str, written: str = "") -> Target:
    name = driver.lower().replace(" ", "_")
    return _file(name, ending, partial(_of_driver, driver, f"city{written or ending}"), geometry=SHAPE, kind="vector")


enter(
    (
        _file("csv", ".csv", partial(_of_kind, "csv"), kind="csv", words=(b'"', b'""', b",", b"\r\n")),
        _file("csv_gz", ".csv.gz", _compressed, kind="csv"),
        _file("csv_zip", ".zip", _in_zip, kind="csv"),
        _file("json", ".json", partial(_of_kind, "json"), kind="json"),
        _file("ndjson", ".ndjson", _lines, kind="json", layout="lines"),
        _file("parquet", ".parquet", partial(_of_kind, "parquet"), kind="parquet"),
        _file("excel", ".xlsx", partial(_of_kind, "excel"), kind="excel"),
        _file("sqlite", ".sqlite", partial(_of_kind, "sqlite"), kind="sqlite", table="city"),
        _vector("GPKG", ".gpkg"),
        _vector("GeoJSON", ".geojson"),
        _vector("FlatGeobuf", ".fgb"),
        _vector("ESRI Shapefile", ".zip", ".shp"),
        _vector("OpenFileGDB", ".zip", ".gdb"),
        _vector("GML", ".gml"),
        _vector("KML", ".kml"),
    )
)
