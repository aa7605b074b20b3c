"""A vector file: a GeoPackage, and shapefiles where texts are in another encoding."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
import pyogrio

from sluiceway.errors import SourceUnreadableError
from tests.sources.conformance.kind import FETCHED, Bench, Served, Table
from tests.sources.formats.vector.vector_cases import write_points

POINT = bytes.fromhex("010100000000000000000024400000000000004940")
"""10, 50 as WKB."""


class Vector:
    """Columns have types, and beside them stands a point."""

    excused: ClassVar = {
        "broken_record": "A feature has a value for each column of its layer.",
        "lost_connection": FETCHED,
    }
    empty_is = SourceUnreadableError

    def rows(self, bench: Bench, table: Table) -> Served:
        path = bench.folder / "city.gpkg"
        path.unlink(missing_ok=True)
        given = table.arrow()
        shapes = pa.array([POINT] * given.num_rows, pa.binary())
        pyogrio.write_arrow(
            given.append_column("geom", shapes),
            path,
            driver="GPKG",
            layer="city",
            geometry_name="geom",
            geometry_type="Point",
            crs="EPSG:4326",
        )
        return bench.at(path)

    def empty(self, bench: Bench) -> Served:
        return bench.file("city.gpkg", b"")

    def misencoded(self, bench: Bench, table: Table) -> Served:
        return _shapefile(bench, table, said=b"UTF-8")

    def encoded(self, bench: Bench, table: Table) -> Served:
        served = _shapefile(bench, table, said=None)
        return Served({**served.source, "encoding": "cp1252"}, served.place)

    def cut_off(self, bench: Bench, table: Table) -> Served:
        return bench.cut(self.rows(bench, table))


def _shapefile(bench: Bench, table: Table, said: bytes | None) -> Served:
    assert list(table.columns["id"]) == list(range(1, len(table.rows) + 1)), "as write_points numbers them"
    return bench.at(
        write_points(bench.folder, [str(name).encode("cp1252") for name in table.columns["name"]], cpg=said)
    )


KIND = Vector()
