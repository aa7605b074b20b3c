"""What load_table loads is what ogr2ogr loads: each value of each column, each vertex within 1e-9 of a degree.

Where ogr2ogr is wrong, the right value stands here, and why.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import psycopg
import pyogrio.raw
import pytest
import shapely
import shapely.affinity
from psycopg import sql
from shapely import MultiPolygon, Polygon

from dev.cluster import Cluster
from dev.environment import ROOT
from dev.errors import PeersMissingError
from dev.peers import ensure
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.sources.local import locate
from sluiceway.tables.registry import read_spec
from sluiceway.tables.source_spec import VectorSource
from sluiceway.tables.spec import TableSpec

DEGREES = 1e-9
QUICKSTART = ("country", "us_county", "us_county_2010", "us_state", "us_state_income")
SHARED = ROOT.parent / "shared" / "data"
TABLES = ROOT / "include" / "config" / "tables"

SQUARE = Polygon([(-121.5, 38.1), (-121.5, 38.2), (-121.4, 38.2), (-121.4, 38.1)])
WITH_HOLE = shapely.box(-120, 37, -119, 38).difference(shapely.box(-119.6, 37.4, -119.4, 37.6))
TWO = MultiPolygon([shapely.box(-118, 36, -117.123456789012, 37), shapely.box(-116, 35, -115, 36)])
BOW_TIE = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])

Load = Callable[..., TableRun]
Rows = list[dict[str, Any]]


@pytest.fixture(scope="session")
def ogr2ogr() -> str:
    try:
        ensure("ogr2ogr")
    except PeersMissingError as error:
        pytest.skip(str(error))
    return str(shutil.which("ogr2ogr"))


@pytest.fixture
def database(database: str, postgres: Cluster) -> str:
    """A warehouse with a schema for what the other program loads."""
    with psycopg.connect(postgres.url("sluiceway_owner", database), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA peer")
    return database


class Both:
    """Loads a file by both programs into one database, and compares what stands there then."""

    def __init__(self, postgres: Cluster, database: str, open_run: Callable[[str], RunKey]) -> None:
        self._postgres = postgres
        self._database = database
        self._open_run = open_run

    def load(self, spec: TableSpec, file: Path | str, *layer: str, options: tuple[str, ...] = ()) -> TableRun:
        """Load `spec` as its table, and the same file by ogr2ogr as peer.park."""
        url = self._postgres.url("sluiceway_loader", self._database)
        result = load_table(spec, url, run=self._open_run("r1"), force=True)
        assert spec.geometry is not None
        source = ["-s_srs", spec.geometry.source_crs] if spec.geometry.source_crs else []
        encoding = ["-oo", f"ENCODING={spec.source.encoding}"] if _is_declared(spec.source, file) else []
        target = (
            f"PG:host=127.0.0.1 port={self._postgres.port} dbname={self._database} user=sluiceway_owner "
            f"active_schema=peer"
        )
        # names and numbers as they are; geom, ogc_fid and no rounding
        layout = ["GEOMETRY_NAME=geom", "FID=ogc_fid", "LAUNDER=NO", "PRECISION=NO", "SPATIAL_INDEX=NONE"]
        command = ["ogr2ogr", "-f", "PostgreSQL", target, str(file), *layer, "-nln", "park"]
        command += [
            "-t_srs",
            f"EPSG:{spec.geometry.srid}",
            *source,
            "-nlt",
            "PROMOTE_TO_MULTI",
            "-dim",
            spec.geometry.dimensions,
        ]
        command += [*encoding, *options]
        command += [part for option in layout for part in ("-lco", option)] + ["--config", "PG_USE_COPY", "YES"]
        password = self._postgres.credentials.password("sluiceway_owner")
        environment = {**os.environ, "PGPASSWORD": password, "PGOPTIONS": "-c TimeZone=UTC"}
        done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True, errors="replace")
        assert done.returncode == 0, done.stderr
        return result

    def rows(self, table: str, schema: str = "public") -> Rows:
        """The rows of a table, geometries as shapely's."""
        with psycopg.connect(self._postgres.url("postgres", self._database)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            found = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table)))
            names = [column.name for column in found.description or []]
            return [dict(zip(names, row, strict=True)) for row in found]

    def change(self, statement: str) -> None:
        with psycopg.connect(self._postgres.url("sluiceway_owner", self._database), autocommit=True) as connection:
            connection.execute(statement)

    def compare(self, spec: TableSpec, *, right: Mapping[str, Callable[[Any], Any]] | None = None) -> int:
        """Assert that both programs' tables hold the same; how many rows were compared.

        :param right: source column -> what ogr2ogr's value should have been.
        """
        assert spec.geometry is not None
        ours, theirs = self.rows(spec.name), self.rows("park", "peer")
        assert len(ours) == len(theirs) > 0
        sources = {name: str(next(iter(spec.source_names(name)))) for name in spec.columns}
        theirs = [
            {name: (right or {}).get(source, _same)(row[source]) for name, source in sources.items()}
            | {"": row["geom"]}
            for row in theirs
        ]
        by = list(spec.columns) if spec.key == "content" else list(spec.key)
        ours, theirs = (sorted(rows, key=lambda row: _order(row, by)) for rows in (ours, theirs))
        for row, other in zip(ours, theirs, strict=True):
            where = ", ".join(f"{name} {row[name]}" for name in by)
            for name in spec.columns:
                assert is_same(row[name], other[name]), f"{where}: {name}: {row[name]!r} and {other[name]!r}"
            assert_same_shape(row[spec.geometry.column], other[""], where)
        return len(ours)


def _order(row: Mapping[str, Any], by: list[str]) -> tuple[str, ...]:
    """By the key; rows without one by all of their values, and by where they begin, to a metre."""
    shape = next((value for name, value in row.items() if name in {"geom", ""} and value is not None), None)
    begin = shapely.get_coordinates(shapely.from_wkb(shape))[0].round(5).tolist() if shape is not None else None
    return (*(str(row[name]) for name in by), str(begin))


def _is_declared(source: object, file: Path | str) -> bool:
    return isinstance(source, VectorSource) and source.encoding is not None and str(file).endswith(".shp")


def _same(value: object) -> object:
    return value


def is_same(ours: object, theirs: object) -> bool:
    """Equal; ogr2ogr writes a double with 15 digits, and ours keep all that they have."""
    return ours == theirs or (isinstance(ours, float) and float(f"{ours:.15g}") == theirs)


def assert_same_shape(ours: str | None, theirs: str | None, where: str) -> None:
    """The same vertices in the same order, within DEGREES.

    A ring that crosses itself: ours is repaired, the polygons that GEOS makes of theirs.
    """
    assert (ours is None) == (theirs is None), where
    if ours is None or theirs is None:
        return
    shape, other = shapely.from_wkb(ours), shapely.from_wkb(theirs)
    if not other.is_valid:
        mended = shapely.make_valid(other, method="structure", keep_collapsed=False)
        assert shape.is_valid, where
        assert shapely.area(shapely.symmetric_difference(shape, mended)) < DEGREES**2, where
        return
    if other.geom_type == f"Multi{shape.geom_type}":
        # ogr2ogr promotes every layer; ours is as declared
        assert shapely.get_num_geometries(other) == 1, where
        other = shapely.get_geometry(other, 0)
    assert shapely.equals_exact(shape, other, tolerance=DEGREES), where
    high = {"include_z": bool(shape.has_z), "include_m": bool(shape.has_m)}
    assert (shape.has_z, shape.has_m) == (other.has_z, other.has_m), where
    assert np.allclose(
        shapely.get_coordinates(shape, **high), shapely.get_coordinates(other, **high), rtol=0, atol=DEGREES
    ), where


@pytest.fixture
def both(ogr2ogr: str, postgres: Cluster, database: str, open_run: Callable[[str], RunKey]) -> Both:
    return Both(postgres, database, open_run)


# id, and what ogr2ogr and PostgreSQL call its type
FIELDS: dict[str, tuple[Any, str]] = {
    "id": (np.array([1, 2, 3, 4], dtype="int32"), "integer"),
    "name": (np.array(["Müller", 'O\'Higgins; "x", y', "Ωmega 日本", None], dtype=object), "text"),
    "large": (np.array([2**53 - 1, -1, 0, 12345678901], dtype="int64"), "bigint"),
    "small": (np.array([-32768, 0, 1, 32767], dtype="int16"), "smallint"),
    "share": (np.array([0.1, 1e-12, -123456.789, 0.1 + 0.2]), "double precision"),
    "day": (np.array(["2020-02-29", "1900-01-01", "NaT", "2100-12-31"], dtype="datetime64[D]"), "date"),
}
MORE = {
    "flag": (np.array([True, False, True, False]), "boolean"),
    "moment": (
        np.array(["2020-01-02T03:04:05.678", "1969-12-31T23:59:59", "NaT", "2038-01-19T03:14:08"], "datetime64[ms]"),
        "timestamptz",
    ),
}
SHAPES = [SQUARE, WITH_HOLE, TWO, shapely.affinity.translate(SQUARE, 0.25, 0.125)]


def write(path: Path, fields: Mapping[str, tuple[Any, str]], *, shapes: list[Any], crs: str = "EPSG:4326") -> None:
    zones = {"gdal_tz_offsets": {"moment": np.zeros(len(shapes))}} if "moment" in fields else {}
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(shapes, dtype=object)),
        [values for values, _ in fields.values()],
        list(fields),
        geometry_type="MultiPolygon" if path.suffix in {".gpkg", ".gdb", ".fgb"} else "Unknown",
        crs=crs,
        driver={".gdb": "OpenFileGDB", ".geojsonl": "GeoJSONSeq"}.get(path.suffix),
        layer="park" if path.suffix in {".gdb", ".gpkg"} else None,
        promote_to_multi=path.suffix in {".gpkg", ".gdb", ".fgb"},
        **zones,
        **({"SPATIAL_INDEX": "NO"} if path.suffix == ".fgb" else {}),
    )


@pytest.fixture
def spec_of(write_spec: Callable[..., TableSpec]) -> Callable[..., TableSpec]:
    def make(
        file: Path,
        columns: Mapping[str, str],
        *,
        kind: str = "vector",
        geometry: str = 'type = "MultiPolygon"',
        source: str = "",
        key: str = '"id"',
    ) -> TableSpec:
        lines = "\n".join(f"{name} = {declared}" for name, declared in columns.items())
        return write_spec(
            "park",
            f'description = "Parks"\nkey = {key}\n[source]\nkind = "{kind}"\nuri = "{file}"\n{source}\n'
            f"[columns]\n{lines}\n[geometry]\n{geometry}\n",
        )

    return make


def typed(fields: Mapping[str, tuple[Any, str]]) -> dict[str, str]:
    return {name: f'"{kind}"' for name, (_, kind) in fields.items()}


def zipped(folder: Path) -> Path:
    path = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for entry in sorted(folder.iterdir()):
            archive.write(entry, f"data/{folder.name}/{entry.name}")
    return path


@pytest.mark.parametrize("file", ["park.shp", "park.gpkg", "park.geojson", "park.geojsonl", "park.fgb", "park.gml"])
def test_every_type_of_column_is_as_ogr2ogr_loads_it(
    file: str, both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path
) -> None:
    # a .dbf knows no moments
    fields = FIELDS if file == "park.shp" else FIELDS | MORE
    write(tmp_path / file, fields, shapes=SHAPES)
    spec = spec_of(tmp_path / file, typed(fields))
    both.load(spec, tmp_path / file)
    # FlatGeobuf has no type for a day alone: GDAL 3.6 makes a moment of it, and later ones see that it is none
    assert both.compare(spec, right={"day": as_day}) == 4
    if file not in {"park.gpkg", "park.fgb"}:
        # text, of 15 digits
        return
    by_id = {row["id"]: row["share"] for row in both.rows("park")}
    assert [by_id[number] for number in FIELDS["id"][0]] == list(FIELDS["share"][0])


def as_day(value: Any) -> Any:
    return value.date() if isinstance(value, datetime) else value


def test_a_zipped_file_geodatabase_is_as_ogr2ogr_loads_it(
    both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path
) -> None:
    # the ogr2ogr of GDAL 3.6 knows neither a FileGDB's int64 nor its date: the same values as a double and a moment
    fields = {name: field for name, field in FIELDS.items() if name not in {"large", "day"}}
    fields["moment"] = (MORE["moment"][0], "timestamp")
    write(tmp_path / "park.gdb", fields, shapes=SHAPES)
    spec = spec_of(zipped(tmp_path / "park.gdb"), typed(fields))
    both.load(spec, f"/vsizip/{tmp_path}/park.gdb.zip/data/park.gdb", "park")
    assert both.compare(spec, right={"moment": before_1970}) == 4


def before_1970(value: datetime | None) -> datetime | None:
    """The moment without a zone, which GDAL 3.6 rounds towards 1970, to the next day."""
    if value is None:
        return None
    naive = value.replace(tzinfo=None)
    return naive - timedelta(seconds=1) if naive.year == 1970 else naive


def test_a_zipped_shapefile_in_folders_is_as_ogr2ogr_loads_it(
    both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path
) -> None:
    (tmp_path / "shapes").mkdir()
    write(tmp_path / "shapes" / "park.shp", FIELDS, shapes=SHAPES)
    spec = spec_of(zipped(tmp_path / "shapes"), typed(FIELDS))
    both.load(spec, f"/vsizip/{tmp_path}/shapes.zip/data/shapes/park.shp")
    assert both.compare(spec) == 4


def test_geoparquet_is_as_ogr2ogr_loads_the_same_rows(
    both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path
) -> None:
    # the ogr2ogr of most distributions reads no Parquet: it gets the rows as a GeoPackage
    write(tmp_path / "park.gpkg", FIELDS | MORE, shapes=SHAPES)
    frame = geopandas.read_file(tmp_path / "park.gpkg")
    frame.to_parquet(tmp_path / "park.parquet")
    spec = spec_of(tmp_path / "park.parquet", typed(FIELDS | MORE), kind="parquet")
    both.load(spec, tmp_path / "park.gpkg")
    assert both.compare(spec) == 4


def test_kml_is_as_ogr2ogr_loads_it(both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"Name": ["1", "2"], "Description": ["Müller", "Ω"]}, geometry=SHAPES[:2], crs=4326)
    frame.to_file(tmp_path / "park.kml", driver="KML")
    columns = {"id": '{ source = "Name", type = "text" }', "about": '{ source = "description", type = "text" }'}
    spec = spec_of(tmp_path / "park.kml", columns)
    both.load(spec, tmp_path / "park.kml")
    assert both.compare(spec) == 2


def test_nested_values_and_lists_are_as_ogr2ogr_loads_them(
    both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path
) -> None:
    values = [{"a": {"b": [1, None, "é"]}}, {"a": {}}, {"a": None}]
    features = [
        {
            "type": "Feature",
            "properties": {"id": number, "nested": nested, "numbers": [number, 2], "texts": ["x", "ü"]},
            "geometry": shapely.geometry.mapping(SQUARE),
        }
        for number, nested in enumerate(values)
    ]
    path = tmp_path / "park.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    kinds = {"id": '"integer"', "nested": '"jsonb"', "numbers": '"jsonb"', "texts": '"jsonb"'}
    spec = spec_of(path, kinds)
    both.load(spec, path)
    assert both.compare(spec) == 3


def test_topojson_is_as_ogr2ogr_loads_it(both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path) -> None:
    topology = {
        "type": "Topology",
        "transform": {"scale": [0.25, 0.5], "translate": [10, 20]},
        "objects": {
            "park": {
                "type": "GeometryCollection",
                "geometries": [{"type": "Polygon", "arcs": [[0]], "id": "1", "properties": {"name": "Müller"}}],
            }
        },
        "arcs": [[[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0]]],
    }
    path = tmp_path / "park.topojson"
    path.write_text(json.dumps(topology), encoding="utf-8")
    spec = spec_of(path, {"id": '"text"', "name": '"text"'}, geometry='type = "MultiPolygon"\nsource_crs = "EPSG:4326"')
    both.load(spec, path)
    assert both.compare(spec) == 1


@pytest.mark.parametrize("crs", ["EPSG:3310", "EPSG:3857", "EPSG:32611", "EPSG:2226", "EPSG:4269"])
def test_coordinates_of_another_crs_end_where_ogr2ogr_puts_them(
    crs: str, both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path
) -> None:
    moved = list(geopandas.GeoSeries(SHAPES, crs=4326).to_crs(crs))
    write(tmp_path / "park.gpkg", FIELDS, shapes=moved, crs=crs)
    spec = spec_of(tmp_path / "park.gpkg", typed(FIELDS))
    both.load(spec, tmp_path / "park.gpkg")
    assert both.compare(spec) == 4


def test_coordinates_in_the_targets_metres_are_those_of_ogr2ogr(
    both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path
) -> None:
    write(tmp_path / "park.gpkg", FIELDS, shapes=SHAPES)
    spec = spec_of(tmp_path / "park.gpkg", typed(FIELDS), geometry='type = "MultiPolygon"\nsrid = 3310')
    both.load(spec, tmp_path / "park.gpkg")
    assert both.compare(spec) == 4


@pytest.mark.parametrize(
    ("wkt", "kind", "dimensions"),
    [
        ("POINT Z (-121.5 38.5 12.25)", "Point", "XYZ"),
        ("LINESTRING Z (-121.5 38.5 12.25, -121 38 0.5)", "MultiLineString", "XYZ"),
        ("POLYGON Z ((0 0 1, 0 1 2, 1 1 3, 0 0 1))", "MultiPolygon", "XYZ"),
        ("POINT M (-121.5 38.5 7)", "Point", "XYM"),
        ("LINESTRING M (-121.5 38.5 7, -121 38 8.125)", "MultiLineString", "XYM"),
        ("LINESTRING ZM (-121.5 38.5 7 1, -121 38 8.125 2)", "MultiLineString", "XYZM"),
    ],
)
@pytest.mark.parametrize("ending", ["shp", "gpkg", "fgb"])
def test_heights_and_measures_are_those_of_ogr2ogr(
    ending: str, wkt: str, kind: str, dimensions: str, both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path
) -> None:
    path = as_ogr2ogr_writes(tmp_path, [wkt], ending)
    spec = spec_of(path, {"id": '"text"'}, geometry=f'type = "{kind}"\ndimensions = "{dimensions}"')
    both.load(spec, path)
    assert both.compare(spec) == 1
    (row,) = both.rows("park")
    shape = shapely.from_wkb(row["geom"])
    assert (shape.has_z, shape.has_m) == ("Z" in dimensions, "M" in dimensions)


def as_ogr2ogr_writes(folder: Path, shapes: list[str], ending: str) -> Path:
    table, path = folder / "park.csv", folder / f"park.{ending}"
    table.write_text("id,WKT\n" + "".join(f'{number},"{wkt}"\n' for number, wkt in enumerate(shapes)))
    driver = {"shp": "ESRI Shapefile", "gpkg": "GPKG", "fgb": "FlatGeobuf"}[ending]
    options = ["-oo", "GEOM_POSSIBLE_NAMES=WKT", "-oo", "KEEP_GEOM_COLUMNS=NO", "-a_srs", "EPSG:4326", "-nln", "park"]
    kind = shapes[0].partition("(")[0].replace(" ", "")
    subprocess.run(["ogr2ogr", "-f", driver, str(path), str(table), *options, "-nlt", kind], check=True)
    return path


@pytest.mark.parametrize("file", ["park.shp", "park.gpkg", "park.geojson"])
def test_null_geometries_are_those_of_ogr2ogr(
    file: str, both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path
) -> None:
    write(tmp_path / file, FIELDS, shapes=[SQUARE, None, TWO, None])
    spec = spec_of(tmp_path / file, typed(FIELDS), geometry='type = "MultiPolygon"\nrequired = false')
    both.load(spec, tmp_path / file)
    assert both.compare(spec) == 4
    assert sum(row["geom"] is None for row in both.rows("park")) == 2


def test_a_ring_that_crosses_itself_is_that_of_ogr2ogr_repaired(
    both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path
) -> None:
    write(tmp_path / "park.gpkg", FIELDS, shapes=[SQUARE, BOW_TIE, TWO, WITH_HOLE])
    spec = spec_of(tmp_path / "park.gpkg", typed(FIELDS), geometry='type = "MultiPolygon"\ninvalid = "repair"')
    assert both.load(spec, tmp_path / "park.gpkg").repaired == 1
    assert both.compare(spec) == 4


@pytest.mark.parametrize(
    "alter",
    [
        "UPDATE peer.park SET name = 'Muller' WHERE id = 1",
        "UPDATE peer.park SET name = '' WHERE id = 4",
        "UPDATE peer.park SET large = large + 1 WHERE id = 1",
        "UPDATE peer.park SET share = share * (1 + 1e-15) WHERE id = 1",
        "UPDATE peer.park SET day = NULL WHERE id = 2",
        "UPDATE peer.park SET flag = NOT flag WHERE id = 3",
        "UPDATE peer.park SET moment = moment + interval '1 ms' WHERE id = 1",
        "UPDATE peer.park SET geom = ST_Translate(geom, 0, 2e-9) WHERE id = 3",
        "UPDATE peer.park SET geom = ST_Reverse(geom) WHERE id = 1",
        "DELETE FROM peer.park WHERE id = 2",
    ],
)
def test_the_comparison_finds_a_single_difference(
    alter: str, both: Both, spec_of: Callable[..., TableSpec], tmp_path: Path
) -> None:
    write(tmp_path / "park.gpkg", FIELDS | MORE, shapes=SHAPES)
    spec = spec_of(tmp_path / "park.gpkg", typed(FIELDS | MORE))
    both.load(spec, tmp_path / "park.gpkg")
    both.compare(spec)
    both.change(alter)
    with pytest.raises(AssertionError):
        both.compare(spec)


def every_column(path: str, layer: str | None = None) -> dict[str, str]:
    """Each column of a file with the type that GDAL finds, under a name that needs no quotes."""
    info = pyogrio.raw.read_arrow(path, layer=layer, max_features=0)[0]
    kinds = {"OFTString": "text", "OFTInteger": "integer", "OFTInteger64": "bigint", "OFTReal": "double precision"}
    return {
        str(name).lower(): f'{{ source = "{name}", type = "{(kinds | {"OFTDate": "date"})[kind]}" }}'
        for name, kind in zip(info["fields"], info["ogr_types"], strict=True)
    }


LANDIQ = "landiq/i15_crop_mapping_2023_provisional_20241127.gdb.zip"
DEGREES_ASSUMED = 'source_crs = "EPSG:4326"'


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")
@pytest.mark.parametrize(
    ("file", "inside", "layer", "geometry", "rows"),
    [
        ("real/01_zip_nested_folder/RO_ny.zip", "RO/RO_ny_EC21.shp", None, 'type = "MultiPolygon"', 100),
        ("real/06_cp1252_no_cpg/danish_point.shp", None, None, 'type = "Point"', 4),
        ("real/11_null_geometries_poly/LGA_2013_AUST.shp", None, None, 'type = "MultiPolygon"\nrequired = false', 13),
        (
            "real/13_polyline_m/storms_xyzm_feature.shp",
            None,
            None,
            f'type = "MultiLineString"\ndimensions = "XYM"\n{DEGREES_ASSUMED}',
            71,
        ),
        ("real/20_gpkg_mixed_crs/mixed_crs.gpkg", None, "oregon_2269", 'type = "MultiPolygon"', 1),
        ("real/20_gpkg_mixed_crs/mixed_crs.gpkg", None, "oregon_4326", 'type = "MultiPolygon"', 1),
        (LANDIQ, "i15_crop_mapping_2023_provisional_20241127.gdb", None, 'type = "MultiPolygon"', 100),
    ],
    ids=["romania", "denmark", "australia", "storms", "oregon in feet", "oregon", "california"],
)
def test_a_file_of_the_world_is_as_ogr2ogr_loads_it(
    file: str,
    inside: str | None,
    layer: str | None,
    geometry: str,
    rows: int,
    both: Both,
    spec_of: Callable[..., TableSpec],
) -> None:
    path = SHARED / file
    if not path.exists():
        pytest.skip(f"{path} is not there")
    opened = f"/vsizip/{path}/{inside}" if inside is not None and not file.startswith("landiq") else str(path)
    columns = every_column(opened, layer)
    source = f'layer = "{layer}"' if layer else ""
    spec = spec_of(path, columns, geometry=geometry + '\ninvalid = "repair"', source=source, key='"content"')
    # it takes the bytes of a .dbf that says no encoding as they are, and PostgreSQL refuses them
    options = ("-oo", "ENCODING=ISO-8859-1") if "no_cpg" in file else ()
    both.load(spec, opened, *([layer] if layer else []), options=options)
    assert both.compare(spec) == rows


@pytest.mark.parametrize("table", QUICKSTART)
def test_a_vector_table_of_the_quickstart_is_as_ogr2ogr_loads_it(table: str, both: Both) -> None:
    spec = read_spec(TABLES / f"{table}.toml")
    assert isinstance(spec.source, VectorSource)
    path = locate(spec.source.uri)
    both.load(spec, path)
    assert both.compare(spec) > 40
