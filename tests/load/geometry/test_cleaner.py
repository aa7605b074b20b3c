"""The geometry cleaner: one bad shape costs its own row, and says why."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from shapely import GeometryCollection, LineString, MultiPolygon, Point, Polygon

from sluiceway.errors import SchemaDriftError, SluicewayError, SourceUnreadableError
from sluiceway.load.geometry.cleaner import Cleaned, GeometryCleaner
from sluiceway.load.stage_table import staged_value
from sluiceway.tables.spec import TableSpec

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "sluiceway-hypothesis")  # no .hypothesis in the checkout
SQUARE = Polygon([(0, 0), (0, 1), (1, 1), (1, 0)])
BOW_TIE = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
BOX_FAR = shapely.box(5, 5, 6, 6)


def cleaner(kind: str = "MultiPolygon", *, file_crs: str | None = "EPSG:4326", **geometry: object) -> GeometryCleaner:
    spec = TableSpec.model_validate(
        {
            "name": "park",
            "description": "Parks",
            "source": {"kind": "vector", "uri": "park.shp"},
            "key": "content",
            "columns": {"id": {"type": "integer"}},
            "geometry": {"type": kind, **geometry},
        }
    )
    assert spec.geometry is not None
    return GeometryCleaner(spec, spec.geometry, file_crs)


def clean(shapes: list[Any], **options: Any) -> Cleaned:
    values = [shape if shape is None or isinstance(shape, bytes) else shapely.to_wkb(shape) for shape in shapes]
    return cleaner(**options).clean(pa.record_batch({"geom": pa.array(values, pa.binary())}))


def shapes_of(cleaned: Cleaned) -> list[Any]:
    return list(shapely.from_wkb(cleaned.wkb.to_numpy(zero_copy_only=False)))


def test_good_shapes_pass_byte_by_byte() -> None:
    two = MultiPolygon([SQUARE, BOX_FAR])
    cleaned = clean([SQUARE, two])
    assert cleaned.reasons == {}
    assert cleaned.wkb.to_pylist() == [shapely.to_wkb(SQUARE), shapely.to_wkb(two)]


@pytest.mark.parametrize("beside", [SQUARE, MultiPolygon([SQUARE, BOX_FAR]), None], ids=["polygon", "multi", "null"])
def test_a_multipolygon_of_one_part_is_encoded_alike_whatever_stands_beside_it(beside: Any) -> None:
    # or its content key would change with the rows around it
    for shapes in ([MultiPolygon([SQUARE]), beside], [beside, MultiPolygon([SQUARE])]):
        assert shapely.to_wkb(SQUARE) in clean(shapes, required=False).wkb.to_pylist()


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (None, "is null or empty"),
        (Polygon(), "is null or empty"),
        (MultiPolygon(), "is null or empty"),
        (b"", "is no readable WKB"),
        (b"\x01\x03", "is no readable WKB"),
        (shapely.to_wkb(SQUARE)[:-5], "is no readable WKB"),
        (Point(0, 0), "is a Point, not a MultiPolygon"),
        (GeometryCollection([SQUARE]), "is a GeometryCollection, not a MultiPolygon"),
        (BOW_TIE, "is invalid: Self-intersection[1 1]"),
        (MultiPolygon([SQUARE, SQUARE]), "is invalid: "),
        (Polygon([(0, 0), (0, math.inf), (1, 1)]), "has a coordinate that is no number"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_shape_is_one_reject_between_good_ones(shape: Any, reason: str) -> None:
    cleaned = clean([SQUARE, shape, SQUARE])
    assert list(cleaned.reasons) == [1]
    assert cleaned.reasons[1].startswith(reason)
    assert cleaned.repaired == 0


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("Point", Point(1, math.nan)),
        ("MultiPoint", shapely.MultiPoint([(0, 0), (1, math.nan)])),
        ("MultiLineString", LineString([(0, 0), (1, math.nan), (2, 2)])),
        ("MultiPolygon", Polygon([(0, 0), (0, math.nan), (1, 1)])),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_one_coordinate_that_is_no_number_is_enough_for_a_reject(kind: str, shape: Any) -> None:
    assert list(clean([shape], kind=kind).reasons) == [0]


@pytest.mark.parametrize(
    ("kind", "shape", "fits"),
    [
        ("Point", Point(1, 1), True),
        ("Point", shapely.MultiPoint([(1, 1)]), False),
        ("MultiPoint", Point(1, 1), True),
        ("MultiLineString", LineString([(0, 0), (1, 1)]), True),
        ("MultiPolygon", LineString([(0, 0), (1, 1)]), False),
    ],
)
def test_a_shape_fits_its_own_kind_and_the_multi_of_it(kind: str, shape: Any, fits: bool) -> None:
    assert (clean([shape], kind=kind).reasons == {}) is fits


def test_a_missing_shape_passes_where_none_is_required() -> None:
    cleaned = clean([SQUARE, None, Polygon()], required=False)
    assert cleaned.reasons == {}
    assert cleaned.wkb.null_count == 2


def test_bytes_that_are_no_shape_are_a_reject_also_where_none_is_required() -> None:
    assert clean([SQUARE, b"no"], required=False).reasons == {1: "is no readable WKB"}


def test_a_repaired_shape_is_valid_and_counted_and_keeps_its_area() -> None:
    cleaned = clean([SQUARE, BOW_TIE], invalid="repair")
    assert (cleaned.reasons, cleaned.repaired) == ({}, 1)
    mended = shapes_of(cleaned)[1]
    assert (mended.is_valid, mended.geom_type, mended.area) == (True, "MultiPolygon", 2.0)


def test_a_shape_of_which_no_area_is_left_is_a_reject() -> None:
    cleaned = clean([SQUARE, Polygon([(0, 0), (1, 1), (2, 2), (0, 0)])], invalid="repair")
    assert (list(cleaned.reasons), cleaned.repaired) == ([1], 0)


def test_a_shape_that_is_rejected_for_its_kind_is_not_counted_as_repaired() -> None:
    assert clean([Point(0, 0), BOW_TIE], invalid="repair").repaired == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=9))
@settings(max_examples=40, deadline=None)
def test_any_ring_of_corners_is_mended_to_a_valid_shape_or_rejected(corners: list[tuple[int, int]]) -> None:
    cleaned = clean([Polygon(corners)], invalid="repair")
    (shape,) = shapes_of(cleaned)
    assert 0 in cleaned.reasons or (shape.is_valid and not shape.is_empty and shape.area > 0)


@pytest.mark.parametrize("dimension", ["Z", "M", "ZM"])
def test_a_height_and_a_measure_are_dropped(dimension: str) -> None:
    numbers = " 5" * len(dimension)
    shape = shapely.from_wkt(f"POLYGON {dimension} ((0 0{numbers}, 0 1{numbers}, 1 1{numbers}, 0 0{numbers}))")
    cleaned = clean([shapely.to_wkb(shape, output_dimension=4, flavor="iso")])
    assert cleaned.reasons == {}
    assert not (shapely.has_z(shapes_of(cleaned)) | shapely.has_m(shapes_of(cleaned))).any()


def test_a_height_that_is_no_number_does_not_matter() -> None:
    cleaned = clean([Polygon([(0, 0, math.nan), (0, 1, math.nan), (1, 1, math.nan)])])
    assert cleaned.reasons == {}
    assert not shapely.has_z(shapes_of(cleaned)).any()


def test_coordinates_come_as_longitude_and_latitude_whatever_the_crs_says_first() -> None:
    # EPSG:4326 and 4269 name latitude first; files hold longitude first
    for crs in ("EPSG:4326", "EPSG:4269", "OGC:CRS84"):
        (shape,) = shapes_of(clean([Point(-121.5, 38.5)], kind="Point", file_crs=crs))
        assert (round(shape.x, 4), round(shape.y, 4)) == (-121.5, 38.5)


def test_a_point_that_the_target_cannot_show_is_a_reject() -> None:
    far = clean([Point(0, 0), Point(1e9, 1e9)], kind="Point", srid=3310)
    assert far.reasons == {1: "lies outside of what EPSG:3310 can show"}


def test_a_file_that_does_not_say_its_crs_is_an_error_unless_one_is_assumed() -> None:
    with pytest.raises(SourceUnreadableError, match=r"park: the file does not say its CRS; declare geometry\.source_c"):
        clean([SQUARE], file_crs=None)
    assert clean([SQUARE], file_crs=None, source_crs="EPSG:4326").reasons == {}


@pytest.mark.parametrize("crs", ["EPSG:0", "not a crs", "EPSG:99999999"])
def test_a_crs_that_nobody_knows_is_named(crs: str) -> None:
    with pytest.raises(SourceUnreadableError, match=f"park: CRS '{crs}'"):
        clean([SQUARE], file_crs=None, source_crs=crs)


def test_a_target_crs_that_nobody_knows_is_a_named_error() -> None:
    with pytest.raises(SluicewayError):
        clean([SQUARE], srid=999_999)


# kinds


@pytest.mark.parametrize(
    ("kind", "shape", "reason"),
    [
        ("LineString", LineString([(0, 0), (1, 1)]), None),
        ("LineString", shapely.MultiLineString([[(0, 0), (1, 1)]]), "is a MultiLineString, not a LineString"),
        ("Polygon", SQUARE, None),
        ("Polygon", MultiPolygon([SQUARE]), "is a MultiPolygon, not a Polygon"),
        ("Polygon", BOW_TIE, "is invalid: Self-intersection[1 1]"),
        ("Geometry", BOW_TIE, "is invalid: Self-intersection[1 1]"),
        ("Geometry", GeometryCollection([Point(0, 0), BOW_TIE]), "is invalid: "),
    ],
)
def test_single_kinds_take_their_own_kind_only_and_polygons_are_checked_wherever_they_stand(
    kind: str, shape: Any, reason: str | None
) -> None:
    reasons = clean([shape], kind=kind).reasons
    assert (reasons == {}) if reason is None else reasons[0].startswith(reason)


ANY_KIND = [
    Point(1, 2),
    shapely.MultiPoint([(0, 0), (1, 1)]),
    LineString([(0, 0), (1, 1)]),
    shapely.MultiLineString([[(0, 0), (1, 1)]]),
    SQUARE,
    MultiPolygon([SQUARE]),
    GeometryCollection([Point(1, 1), SQUARE]),
]


@pytest.mark.parametrize("first", range(len(ANY_KIND)))
def test_geometry_takes_every_kind_as_it_is(first: int) -> None:
    shapes = ANY_KIND[first:] + ANY_KIND[:first]
    cleaned = clean(shapes, kind="Geometry")
    assert cleaned.reasons == {}
    assert [shape.wkt for shape in shapes_of(cleaned)] == [shape.wkt for shape in shapes]


def test_a_polygon_that_would_be_two_when_repaired_is_a_reject_where_one_is_declared() -> None:
    dented = Polygon([(0, 0), (0, 3), (3, 3), (3, 0), (2, 0), (2, 1), (2, 0)])
    cleaned = clean([BOW_TIE, dented], kind="Polygon", invalid="repair")
    assert cleaned.reasons == {0: "is invalid: repaired it would be 2 polygons, and a Polygon is declared"}
    assert cleaned.repaired == 1
    assert shapes_of(cleaned)[1].geom_type == "Polygon"


CURVES = {
    "CIRCULARSTRING": "010800000003000000" + "00" * 48,
    "CURVEPOLYGON": "010A00000001000000010800000003000000" + "00" * 48,
    "TIN": "011000000001000000" + "01110000000100000000000000",
    "COLLECTION": "010700000001000000" + "010800000003000000" + "00" * 48,
}


@pytest.mark.parametrize(
    ("curve", "reason"),
    [
        ("CIRCULARSTRING", "is a CircularString, which is not loaded; make straight lines of it first: ogr2ogr"),
        ("CURVEPOLYGON", "is a CurvePolygon, which is not loaded"),
        ("TIN", "is a TIN, a surface in space, which is not loaded"),
        ("COLLECTION", "holds a curve, which is not loaded"),
    ],
)
@pytest.mark.parametrize("kind", ["MultiPolygon", "Geometry"])
def test_a_curve_or_surface_is_one_reject_that_says_what_to_do(curve: str, reason: str, kind: str) -> None:
    cleaned = clean([SQUARE, bytes.fromhex(CURVES[curve]), SQUARE], kind=kind)
    assert list(cleaned.reasons) == [1]
    assert cleaned.reasons[1].startswith(reason)


# heights and measures

DIMENSIONS = ["XY", "XYZ", "XYM", "XYZM"]
CORNERS = {"XY": "0 0", "XYZ": "0 0 7", "XYM": "0 0 9", "XYZM": "0 0 7 9"}


def cornered(kind: str, dimension: str) -> Any:
    tail = CORNERS[dimension][3:]
    ring = ", ".join(f"{xy}{tail}" for xy in ("0 0", "0 1", "1 1", "1 0", "0 0"))
    inside = {"Point": f"({CORNERS[dimension]})", "LineString": f"({ring})", "MultiPolygon": f"((({ring})))"}[kind]
    return shapely.from_wkt(f"{kind} {dimension[2:]} {inside}")


@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("given", DIMENSIONS)
@pytest.mark.parametrize("declared", DIMENSIONS)
def test_postgis_gets_the_declared_dimensions_of_any_given_ones(
    given: str, declared: str, flavor: str, query: Callable[..., list[tuple[object, ...]]]
) -> None:
    for kind in ("Point", "LineString", "MultiPolygon"):
        wkb = shapely.to_wkb(cornered(kind, given), output_dimension=4, flavor=flavor)
        cleaner_ = cleaner(kind, dimensions=declared)
        cleaned = cleaner_.clean(pa.record_batch({"geom": pa.array([wkb], pa.binary())}))
        expression = staged_value(cleaner_.spec, "geom").as_string(None)
        (row,) = query(
            f"SELECT ST_Zmflag(g), ST_Z(p), ST_M(p), ST_SRID(g), g::geometry::{cleaner_.geometry.sql_type} IS NULL "
            f"FROM (SELECT g, ST_PointN(ST_Boundary(ST_Boundary(g)), 1) AS unused, "
            f"(ST_DumpPoints(g)).geom AS p FROM (SELECT {expression} AS g FROM (SELECT %s::bytea AS geom) s) x) y "
            f"LIMIT 1",
            cleaned.wkb[0].as_py(),
        )
        z = (7 if "Z" in given else 0) if "Z" in declared else None
        m = (9 if "M" in given else 0) if "M" in declared else None
        assert row == ({"XY": 0, "XYM": 1, "XYZ": 2, "XYZM": 3}[declared], z, m, 4326, False)


@pytest.mark.parametrize("kind", ["Point", "LineString", "MultiPolygon"])
@pytest.mark.parametrize("dimension", ["XYZ", "XYM", "XYZM"])
def test_heights_and_measures_are_no_part_of_a_reprojection(kind: str, dimension: str) -> None:
    shape = cornered(kind, dimension)
    cleaned = clean(
        [shapely.to_wkb(shape, output_dimension=4, flavor="iso"), None],
        kind=kind,
        dimensions=dimension,
        required=False,
        srid=3857,
    )
    (moved, nothing) = shapes_of(cleaned)
    flat = shapes_of(clean([shapely.force_2d(shape)], kind=kind, srid=3857))[0]
    assert nothing is None
    assert shapely.get_coordinates(moved).tolist() == shapely.get_coordinates(flat).tolist()
    for letter, number in (("Z", 7), ("M", 9)):
        values = shapely.get_coordinates(moved, include_z=letter == "Z", include_m=letter == "M")[:, -1]
        assert letter not in dimension or set(values) == {number}


@pytest.mark.parametrize(("letter", "reason"), [("Z", "has a height that is no number"), ("M", "has a measure that")])
def test_a_height_or_measure_that_is_no_number_is_a_reject_where_it_is_kept(letter: str, reason: str) -> None:
    shape = shapely.to_wkb(shapely.from_wkt(f"POINT {letter} (1 2 NaN)"), output_dimension=4, flavor="iso")
    assert clean([shape], kind="Point").reasons == {}
    (found,) = clean([shape], kind="Point", dimensions=f"XY{letter}").reasons.values()
    assert found.startswith(reason)


def test_a_shape_with_measures_is_not_repaired_without_them() -> None:
    shape = shapely.from_wkt("POLYGON M ((0 0 1, 2 2 1, 2 0 1, 0 2 1, 0 0 1))")
    wkb = shapely.to_wkb(shape, output_dimension=4, flavor="iso")
    assert clean([wkb], invalid="repair").repaired == 1
    kept = clean([wkb], invalid="repair", dimensions="XYM")
    assert (list(kept.reasons), kept.repaired) == ([0], 0)


# texts, and x and y


def text_spec(kind: str = "Geometry", *, values: dict[str, object] | None = None, **geometry: object) -> TableSpec:
    return TableSpec.model_validate(
        {
            "name": "park",
            "description": "Parks",
            "source": {"kind": "csv", "uri": "park.csv", **(values or {})},
            "key": "content",
            "columns": {"id": {"type": "integer"}},
            "geometry": {"type": kind, "source_crs": "EPSG:4326", **geometry},
        }
    )


def clean_batch(spec: TableSpec, **columns: pa.Array) -> Cleaned:
    assert spec.geometry is not None
    batch = pa.record_batch({name.replace("_", "."): values for name, values in columns.items()})
    return GeometryCleaner(spec, spec.geometry, None).clean(batch)


HEX_POINT = shapely.to_wkb(Point(1, 2), hex=True)


@pytest.mark.parametrize(
    "text",
    [
        "POINT (1 2)",
        " point(1 2) ",
        HEX_POINT,
        HEX_POINT.lower(),
        shapely.to_wkb(Point(1, 2), hex=True, byte_order=0),
        shapely.to_wkb(shapely.set_srid(Point(1, 2), 4326), hex=True, include_srid=True),
        "SRID=4326;POINT(1 2)",
        '{"type": "Point", "coordinates": [1, 2]}',
    ],
)
@pytest.mark.parametrize("type_", [pa.string(), pa.large_string()])
def test_a_geometry_in_text_is_read_however_it_is_spelled(text: str, type_: pa.DataType) -> None:
    cleaned = clean_batch(text_spec("Point", source="shape"), geom=pa.array(["POINT (3 4)", text], type_))
    assert cleaned.reasons == {}
    assert [shape.wkt for shape in shapes_of(cleaned)] == ["POINT (3 4)", "POINT (1 2)"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("POINT (1, 2)", "is no readable WKT, WKB or GeoJSON: 'POINT (1, 2)'"),
        ("somewhere", "is no readable WKT, WKB or GeoJSON: 'somewhere'"),
        ('{"x": 1}', "is no readable WKT, WKB or GeoJSON: '{\"x\": 1}'"),
        (HEX_POINT[:-2], "is no readable WKB"),
        ("CIRCULARSTRING (0 0, 1 1, 2 0)", "is a CircularString, which is not loaded"),
        (CURVES["CURVEPOLYGON"], "is a CurvePolygon, which is not loaded"),
        ("TIN (((0 0, 1 0, 1 1, 0 0)))", "is a TIN, a surface in space"),
        (None, "is null or empty"),
        ("", "is null or empty"),
        ("n/a", "is null or empty"),
        ("POINT EMPTY", "is null or empty"),
    ],
)
def test_a_text_that_is_no_geometry_is_one_reject(text: str | None, reason: str) -> None:
    spec = text_spec(values={"null": ["n/a"]}, source="shape")
    cleaned = clean_batch(spec, geom=pa.array(["POINT (1 2)", text, "POINT (3 4)"]))
    assert list(cleaned.reasons) == [1]
    assert cleaned.reasons[1].startswith(reason)


def points_of(x: pa.Array, y: pa.Array, **values: object) -> Cleaned:
    spec = text_spec("Point", values=values, x="lon", y="lat", required=False)
    return clean_batch(spec, geom_x=x, geom_y=y)


def test_two_columns_of_numbers_are_points_and_two_nulls_are_none() -> None:
    cleaned = points_of(pa.array([1.5, None, -0.25]), pa.array([2, None, 7]))
    assert cleaned.reasons == {}
    assert [shape and shape.wkt for shape in shapes_of(cleaned)] == ["POINT (1.5 2)", None, "POINT (-0.25 7)"]


def test_two_columns_of_texts_are_points_as_the_source_spells_numbers() -> None:
    cleaned = points_of(
        pa.array([" 1.234,5 ", "", "x", "1", "1.5"]),
        pa.array(["-2,5e1", "n/a", "1", None, "inf"]),
        thousands=".",
        decimal=",",
        null=["n/a"],
    )
    assert shapely.get_coordinates(shapes_of(cleaned)[0]).tolist() == [[1234.5, -25.0]]
    assert shapes_of(cleaned)[1] is None
    assert cleaned.reasons == {
        2: "x is no number: 'x'",
        3: "y is null and x is not",
        4: "y is no number: 'inf'",
    }


def test_coordinates_that_are_no_numbers_at_all_are_schema_drift() -> None:
    with pytest.raises(SchemaDriftError, match=r"column 'lon' holds bool values, no coordinates"):
        points_of(pa.array([True]), pa.array([1]))
