"""A layer that is read piece by piece: every feature once, with its number among all, in whatever way it is cut."""

from __future__ import annotations

import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sluiceway.errors import SplitError
from sluiceway.sources import open_source, pieces_of
from sluiceway.sources.connections import from_environment
from sluiceway.sources.formats.vector.pieces import pieces_of_rows
from sluiceway.sources.locate import located
from sluiceway.tables.spec import TableSpec
from tests.load.fields import Fields
from tests.sources.formats.vector.vector_cases import frame, park, rows

ROWS = 3_300


def cut(spec: TableSpec, split: str) -> dict[str, list[tuple[int, dict[str, Any]]]]:
    """By piece, the number of each row and the row."""
    spec = spec.model_copy(update={"split": split})
    found = {}
    with located(spec.source, from_environment) as place:
        for piece in pieces_of(spec, place):
            with open_source(spec, place, from_environment, piece=piece) as extraction:
                read = [row for batch in extraction.batches for row in batch.to_pylist()]
                assert extraction.row_numbers is not None
                found[str(piece)] = list(zip(extraction.row_numbers.tolist(), read, strict=True))
    return found


def together(pieces: dict[str, list[tuple[int, dict[str, Any]]]]) -> list[tuple[int, dict[str, Any]]]:
    return sorted((row for piece in pieces.values() for row in piece), key=lambda row: row[0])


def delete_rows(folder: Path, rows: tuple[int, ...]) -> None:
    """Delete rows of a FileGDB as ArcGIS does: a deleted one has no place in the index, and one less is counted."""
    table = max(folder.glob("*.gdbtable"), key=lambda path: path.stat().st_size)
    index = table.with_suffix(".gdbtablx")
    content = bytearray(index.read_bytes())
    count, size = (int.from_bytes(content[at : at + 4], "little") for at in (8, 12))
    assert count == ROWS
    for row in rows:
        content[16 + row * size : 16 + (row + 1) * size] = bytes(size)
    index.write_bytes(content)
    with table.open("r+b") as file:
        file.seek(4)
        assert int.from_bytes(file.read(4), "little") == ROWS
        file.seek(4)
        file.write((ROWS - len(rows)).to_bytes(4, "little"))


@pytest.fixture(
    params=[
        *("shapefile", "zipped shapefile", "GeoPackage", "GeoPackage with gaps"),
        *("FileGDB", "FileGDB with gaps", "deleted rows"),
    ]
)
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> TableSpec:
    """A layer in each of the formats that are read from the middle on."""
    kind = request.param
    names = [("KERN", "Kern", "Kern's", "Ωmega", " Kern", None)[row % 6] for row in range(ROWS)]
    table = frame(ROWS).assign(name=names, year=[2_000 + row % 7 for row in range(ROWS)])
    columns = {"id": "integer", "name": "text", "year": "integer"}
    if kind.startswith("GeoPackage"):
        path = tmp_path / "park.gpkg"
        table.to_file(path)
        if kind.endswith("gaps"):
            with sqlite3.connect(path) as connection:
                triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
                for (name,) in triggers:
                    connection.execute(f'DROP TRIGGER "{name}"')
                gone = connection.execute("DELETE FROM park WHERE fid IN (1, 2, 999, 1000, 1001, 3300)").rowcount
                connection.execute(f"UPDATE gpkg_ogr_contents SET feature_count = {ROWS - gone}")
        return park(path, columns)
    if kind.startswith("FileGDB"):
        table.to_file(tmp_path / "park.gdb", driver="OpenFileGDB")
        delete_rows(tmp_path / "park.gdb", (0, 1, 998, 999, 1_000, ROWS - 1) if kind.endswith("gaps") else ())
        shutil.make_archive(str(tmp_path / "park"), "zip", tmp_path, "park.gdb")
        return park(tmp_path / "park.zip", columns)
    path = tmp_path / "park.shp"
    table.to_file(path, encoding="utf-8")
    if kind == "deleted rows":
        with Fields(path) as fields:
            for number in (0, 999, 1_000, 1_001, 2_500, ROWS - 1):
                fields.put(number, "", b"*")
    if kind == "zipped shapefile":
        with zipfile.ZipFile(tmp_path / "park.zip", "w") as archive:
            for part in tmp_path.glob("park.*"):
                if part.suffix != ".zip":
                    archive.write(part, part.name)
        path = tmp_path / "park.zip"
    return park(path, columns)


@pytest.mark.parametrize("split", ["rows:1000", "rows:1100", "column:name", "column:year"])
def test_the_pieces_together_are_the_layer(spec: TableSpec, split: str) -> None:
    whole = rows(spec)
    pieces = cut(spec, split)
    assert together(pieces) == list(enumerate(whole, 1))
    assert len(pieces) >= 3


def test_a_piece_of_a_value_holds_that_spelling_alone(spec: TableSpec) -> None:
    for piece, read in cut(spec, "column:name").items():
        value = None if piece == "no name" else piece.removeprefix("name = ")
        assert {row["name"] for _, row in read} == {value}


def test_a_column_of_too_many_values_and_one_that_is_not_there_are_refused(spec: TableSpec) -> None:
    with pytest.raises(SplitError, match=r"'id' holds 3,\d+ different values, and 500 parts are the most"):
        cut(spec, "column:id")
    with pytest.raises(SplitError, match=r"has no column 'nam'; did you mean 'name'\?"):
        cut(spec, "column:nam")


def test_parts_that_would_be_too_many_are_refused_with_the_least_that_would_do() -> None:
    assert len(pieces_of_rows("park", 500_000, 1_000)) == 500
    with pytest.raises(SplitError, match=r"parts of 1,000 rows would be 501, and 500 are the most; write rows:1001 or"):
        pieces_of_rows("park", 500_001, 1_000)


def test_an_archive_that_holds_another_format_is_refused(tmp_path: Path) -> None:
    frame().to_file(tmp_path / "park.geojson")
    with zipfile.ZipFile(tmp_path / "park.zip", "w") as archive:
        archive.write(tmp_path / "park.geojson", "park.geojson")
    with pytest.raises(SplitError, match="a GeoJSON file must be read from its beginning for each part"):
        cut(park(tmp_path / "park.zip"), "rows:1000")


def test_a_primary_key_that_is_declared_comes_with_each_piece(tmp_path: Path) -> None:
    frame(ROWS).drop(columns="id").to_file(tmp_path / "park.gpkg")
    spec = park(tmp_path / "park.gpkg", {"fid": "integer", "name": "text"})
    for split in ("rows:1000", "column:name"):
        assert [(number, row["fid"]) for number, row in together(cut(spec, split))] == [
            (number, number) for number in range(1, ROWS + 1)
        ]


def test_a_geopackage_that_counts_its_features_wrong_is_not_split_by_rows(tmp_path: Path) -> None:
    frame(1_500).to_file(tmp_path / "park.gpkg", layer="park")
    with sqlite3.connect(tmp_path / "park.gpkg") as database:
        database.execute("UPDATE gpkg_ogr_contents SET feature_count = 2")
    spec = park(tmp_path / "park.gpkg", {"id": "integer"})
    with pytest.raises(SplitError, match="says it holds 2 features and holds 1,500; write it anew, or split by a col"):
        cut(spec, "rows:1000")
    found = together(cut(spec, "column:name"))
    assert [(number, row["id"]) for number, row in found] == [(number, number) for number in range(1, 1_501)]
