"""Small files that say they are, or that become, far more than they are."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
import zstandard
from pyogrio.raw import write

MB = 1 << 20
Builder = Callable[[Path], None]


def parquet_of_one_long_text(path: Path) -> None:
    """A text of 10 MB, once, to which 3,000 rows refer."""
    texts = pa.DictionaryArray.from_arrays(pa.array(np.zeros(3000, np.int32)), pa.array(["x" * 10_000_000]))
    pq.write_table(pa.table({"id": texts}), path, compression="zstd")


def parquet_of_one_long_page(path: Path) -> None:
    """A value of 150 MB, as it is."""
    pq.write_table(pa.table({"id": pa.array(["x" * (150 * MB)])}), path, compression="zstd", use_dictionary=False)


def parquet_of_many_rows(path: Path) -> None:
    """One number, 32 million times."""
    zeros = pa.record_batch({"id": pa.array(np.zeros(1 << 20, np.int64))})
    with pq.ParquetWriter(path, zeros.schema, compression="zstd") as writer:
        for _ in range(32):
            writer.write_batch(zeros)


def parquet_of_one_long_list(path: Path) -> None:
    """A row with a list of 64 million numbers."""
    numbers = pa.ListArray.from_arrays(pa.array([0, 64 * MB], pa.int32()), pa.array(np.zeros(64 * MB, np.int8)))
    pq.write_table(pa.table({"id": numbers}), path, compression="zstd")


def _sqlite(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


ENDLESS = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)"


def view(select: str) -> Builder:
    """An SQLite file with a view of that name."""
    return lambda path: _sqlite(path, f"CREATE VIEW bomb AS {select}")


def sqlite_computed(path: Path) -> None:
    """A column that is computed: the table itself is a row."""
    _sqlite(
        path, "CREATE TABLE bomb (a, id GENERATED ALWAYS AS (zeroblob(900000000)))", "INSERT INTO bomb (a) VALUES (1)"
    )


def geopackage(*statements: str) -> Builder:
    """A GeoPackage of one layer of one point, `place`, changed by statements."""

    def build(path: Path) -> None:
        shapes = shapely.to_wkb(shapely.points([[1.0, 2.0]]))
        numbers, kind = [np.array([1])], "Point"
        write(path, shapes, numbers, ["id"], layer="place", driver="GPKG", geometry_type=kind, crs="EPSG:4326")
        _sqlite(path, *statements)

    return build


def geopackage_view(select: str) -> Builder:
    """A GeoPackage whose layer `bomb` is a view."""
    return geopackage(
        f"CREATE VIEW bomb AS {select}",
        "INSERT INTO gpkg_contents (table_name, data_type, srs_id) VALUES ('bomb', 'features', 4326)",
        "INSERT INTO gpkg_geometry_columns VALUES ('bomb', 'geom', 'POINT', 4326, 0, 0)",
        "DELETE FROM gpkg_geometry_columns WHERE table_name = 'place'",
        "DELETE FROM gpkg_contents WHERE table_name = 'place'",
    )


geopackage_of_endless_contents = geopackage(
    "ALTER TABLE gpkg_contents RENAME TO kept",
    f"CREATE VIEW gpkg_contents AS SELECT kept.* FROM kept, ({ENDLESS} SELECT id FROM n)",
)
"""Its own list of layers is a view without an end."""

SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def workbook(**parts: Callable[[], Iterator[str]]) -> Builder:
    """A workbook in which whole parts are replaced."""

    def build(path: Path) -> None:
        book = openpyxl.Workbook()
        book.active.append(["id"])  # type: ignore[union-attr]
        book.active.append(["a text"])  # type: ignore[union-attr]
        plain = io.BytesIO()
        book.save(plain)
        types = "[Content_Types].xml"
        kept = {types: _with_strings} if "strings" in parts else {}
        if "strings" in parts:
            parts.setdefault("sheet", shared_cells)
        names = {"strings": "xl/sharedStrings.xml", "sheet": "xl/worksheets/sheet1.xml", "styles": "xl/styles.xml"}
        replaced = {names[part]: made for part, made in parts.items()}
        with zipfile.ZipFile(plain) as given, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as to:
            for name in given.namelist():
                if name not in replaced:
                    to.writestr(name, kept.get(name, bytes)(given.read(name)))
            for name, made in replaced.items():
                with to.open(name, "w") as file:
                    for text in made():
                        file.write(text.encode())

    return build


def _with_strings(types: bytes) -> bytes:
    main = b"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    return types.replace(
        b"</Types>", b'<Override PartName="/xl/sharedStrings.xml" ContentType="' + main + b'" /></Types>'
    )


def shared_cells() -> Iterator[str]:
    """A column of the first two of the workbook's texts."""
    yield f'<worksheet xmlns="{SHEET}"><sheetData>'
    for number in (0, 1):
        yield f'<row><c t="s"><v>{number}</v></c></row>'
    yield "</sheetData></worksheet>"


def _repeated(before: str, text: str, size: int, behind: str) -> Callable[[], Iterator[str]]:
    def make() -> Iterator[str]:
        yield before
        block = text * max(1, MB // len(text))
        for _ in range(size // len(block)):
            yield block
        yield behind

    return make


ROW = '<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c></row>'
_IN_SHEET = f'<worksheet xmlns="{SHEET}"><sheetData>{ROW}'
many_strings = _repeated(f'<sst xmlns="{SHEET}"><si><t>id</t></si>', "<si><t>abcd</t></si>", 30 * MB, "</sst>")
long_string = _repeated(f'<sst xmlns="{SHEET}"><si><t>id</t></si><si><t>', "x", 60 * MB, "</t></si></sst>")
hidden_ends = _repeated(
    f'<sst xmlns="{SHEET}"><si><t>id</t></si><si><t><![CDATA[', f"{'x' * 30_000}</si>", 60 * MB, "]]></t></si></sst>"
)
entities = _repeated(
    f'<!DOCTYPE sst [<!ENTITY a "{"x" * 290}">]><sst xmlns="{SHEET}"><si><t>id</t></si><si><t>',
    "&a;",
    3 * MB,
    "</t></si></sst>",
)
string_of_runs = _repeated(f'<sst xmlns="{SHEET}"><si><t>id</t></si><si>', "<r><t>a</t></r>", 60 * MB, "</si></sst>")
wide_row = _repeated(f'{_IN_SHEET}<row r="2">', "<c><v>1</v></c>", 60 * MB, "</row></sheetData></worksheet>")
many_rows = _repeated(_IN_SHEET, "<row><c><v>1</v></c></row>", 60 * MB, "</sheetData></worksheet>")
many_merges = _repeated(
    f"{_IN_SHEET}</sheetData><mergeCells>", '<mergeCell ref="A1:B2"/>', 60 * MB, "</mergeCells></worksheet>"
)
long_style = _repeated(f'<styleSheet xmlns="{SHEET}"><cellXfs count="', "1", 60 * MB, '"/></styleSheet>')
many_styles = _repeated(f'<styleSheet xmlns="{SHEET}"><cellXfs>', "<xf/>", 60 * MB, "</cellXfs></styleSheet>")


def far_cell() -> Iterator[str]:
    """A cell in a column that no sheet has."""
    yield f'{_IN_SHEET}<row r="2"><c r="ZZZ2"><v>1</v></c></row></sheetData></worksheet>'


def far_row() -> Iterator[str]:
    """A row that no sheet has."""
    yield f'{_IN_SHEET}<row r="2000000000"><c r="A2000000000"><v>1</v></c></row></sheetData></worksheet>'


def wide_dimension() -> Iterator[str]:
    """A sheet that says each of its many rows has 16,384 cells, and has one in each."""
    yield f'<worksheet xmlns="{SHEET}"><dimension ref="A1:XFD1048576"/><sheetData>{ROW}'
    for number in range(2, 20_002):
        yield f'<row r="{number}"><c r="A{number}"><v>{number}</v></c></row>'
    yield "</sheetData></worksheet>"


def packed(*parts: tuple[str, int]) -> Builder:
    """Texts, each repeated up to a size, packed by what the file's name ends with; or as the member of a zip."""

    def build(path: Path) -> None:
        with _packer(path) as file:
            for text, size in parts:
                block = text.encode() * max(1, min(MB, size) // len(text))
                for _ in range(max(1, size // len(block))):
                    file.write(block)

    return build


def _packer(path: Path) -> io.BufferedIOBase:
    if path.suffix == ".gz":
        return gzip.open(path, "wb")
    if path.suffix == ".zst":
        return zstandard.open(path, "wb")  # type: ignore[no-any-return]
    return path.open("wb")


def zipped(name: str, *parts: tuple[str, int]) -> Builder:
    """The same as the only member of a zip."""

    def build(path: Path) -> None:
        inner = path.with_name(name)
        packed(*parts)(inner)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            archive.write(inner, name)
        inner.unlink()

    return build


def zipped_layer(name: str, driver: str) -> Builder:
    """A layer whose one line has 3,500,000 points, zipped."""

    def build(path: Path) -> None:
        inner = path.with_name("layer")
        inner.mkdir()
        line = shapely.linestrings(np.zeros((3_500_000, 2)))
        shapes = np.array([shapely.to_wkb(line)], dtype=object)
        kind = "LineString"
        write(inner / name, shapes, [np.array([1])], ["id"], driver=driver, geometry_type=kind, crs="EPSG:4326")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for file in sorted(inner.rglob("*")):
                archive.write(file, file.relative_to(inner).as_posix())

    return build


def columns_csv(count: int) -> Builder:
    """A text of so many columns."""

    def build(path: Path) -> None:
        names = ",".join(f"c{number}" for number in range(count))
        path.write_text(f"{names}\n{',' * (count - 1)}\n" * 1)

    return build


def columns_json(count: int, before: str = "[", behind: str = "]") -> Builder:
    """A record of so many keys."""
    return lambda path: _write(path, before + json.dumps({f"c{number}": 1 for number in range(count)}) + behind)


def columns_json_each(count: int) -> Builder:
    """So many records, each with a key that no other one has."""
    return lambda path: _write(path, json.dumps([{f"c{number}": 1} for number in range(count)]))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def columns_parquet(count: int) -> Builder:
    """A row of so many columns."""
    return lambda path: pq.write_table(pa.table({f"c{number}": [1] for number in range(count)}), path)


def columns_excel(count: int) -> Builder:
    """A sheet of so many columns."""

    def build(path: Path) -> None:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        sheet.append([f"c{number}" for number in range(count)])
        sheet.append([1] * count)
        book.save(path)

    return build


def columns_sqlite(count: int) -> Builder:
    """A table of so many columns."""
    return lambda path: _sqlite(path, f"CREATE TABLE bomb ({', '.join(f'c{number}' for number in range(count))})")


def columns_vector(count: int) -> Builder:
    """A layer of so many fields."""
    properties = json.dumps({f"c{number}": 1 for number in range(count)})
    shape = '"geometry": {"type": "Point", "coordinates": [1, 2]}'
    feature = f'{{"type": "Feature", "properties": {properties}, {shape}}}'
    return lambda path: _write(path, f'{{"type": "FeatureCollection", "features": [{feature}]}}')
