"""What a file calls its parts may be a text of any length: an error shows the beginning."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluiceway.errors import SluicewayError
from sluiceway.infer.asked import Asked
from sluiceway.infer.infer import infer
from sluiceway.infer.preview import preview
from sluiceway.tables.spec import TableSpec
from tests.sources.formats.vector.vector_cases import collection

LONG = "x" * 30_000
LONGEST_SENTENCE = 1_500


def csv(path: Path) -> None:
    path.write_text(f"{LONG},{LONG}\n1,2\n")


def excel(path: Path) -> None:
    book = openpyxl.Workbook()
    for row in ([LONG, LONG], [1, 2]):
        book.worksheets[0].append(row)
    book.save(path)


def parquet(path: Path) -> None:
    pq.write_table(pa.table([[1], [2]], names=[LONG, LONG]), path)


def geoparquet(path: Path) -> None:
    document = {"version": "1.1.0", "primary_column": LONG, "columns": {LONG: {"encoding": LONG}}}
    table = pa.table({"id": [1], LONG: [b""]}).replace_schema_metadata({"geo": json.dumps(document)})
    pq.write_table(table, path)


def sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f'CREATE TABLE city ("{LONG}" INTEGER)')
        connection.execute(f'CREATE TABLE "{LONG}" (id INTEGER)')


def crs(path: Path) -> None:
    said = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:OGC:1.3:CRS{LONG}"}}
    path.write_text(collection({"id": 1}, crs=said))


def layer(path: Path) -> None:
    path.write_text(collection({LONG: 1}, name=LONG))


def document(path: Path) -> None:
    path.write_text(f"<{LONG}/>")


def document_type(path: Path) -> None:
    path.write_text(f"<!DOCTYPE {LONG}><kml/>")


def broken(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{LONG}.geojson", "{")


def keys(path: Path) -> None:
    path.write_text(json.dumps({LONG: {LONG: 1}}))


@pytest.mark.parametrize(
    ("name", "write", "source"),
    [
        ("city.csv", csv, {"kind": "csv"}),
        ("city.xlsx", excel, {"kind": "excel"}),
        ("city.parquet", parquet, {"kind": "parquet"}),
        ("city.parquet", geoparquet, {"kind": "parquet"}),
        ("city.db", sqlite, {"kind": "sqlite", "table": "city"}),
        ("city.geojson", crs, {"kind": "vector"}),
        ("city.geojson", layer, {"kind": "vector"}),
        ("city.gml", document, {"kind": "vector"}),
        ("city.kml", document, {"kind": "vector"}),
        ("city.kml", document_type, {"kind": "vector"}),
        ("city.zip", broken, {"kind": "vector"}),
        ("city.json", keys, {"kind": "json", "records": LONG}),
    ],
)
def test_a_name_of_any_length_is_shown_by_its_beginning(
    tmp_path: Path, name: str, write: Callable[[Path], None], source: dict[str, str]
) -> None:
    path = tmp_path / name
    write(path)
    geometry = {"geometry": {"type": "Geometry"}} if source["kind"] == "vector" or write is geoparquet else {}
    spec = TableSpec.model_validate(
        {
            "name": "city",
            "description": "Cities",
            "key": "content",
            "source": {"uri": str(path), **source},
            "columns": {"id": {"source": LONG, "type": "integer"} if write in {csv, excel, parquet} else "integer"},
            **geometry,
        }
    )
    said = []
    for look in (lambda: preview(spec), lambda: infer(Asked(str(path)))):
        try:
            look()
        except SluicewayError as error:
            said.append(str(error))
    assert said
    assert max(map(len, said)) < LONGEST_SENTENCE
