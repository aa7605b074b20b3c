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

from sluiceway.errors import SluicewayError, SourceUnreadableError
from sluiceway.load.geometry import Cleaned, GeometryCleaner
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "sluiceway-hypothesis")  # no .hypothesis in the checkout
SQUARE = Polygon([(0, 0), (0, 1), (1, 1), (1, 0)])
BOW_TIE = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])


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
    return cleaner(**options).clean(pa.array(values, pa.binary()))


def shapes_of(cleaned: Cleaned) -> list[Any]:
    return list(shapely.from_wkb(cleaned.wkb.to_numpy(zero_copy_only=False)))


def test_good_shapes_pass_byte_by_byte() -> None:
    cleaned = clean([SQUARE, MultiPolygon([SQUARE])])
    assert cleaned.reasons == {}
    assert cleaned.wkb.to_pylist() == [shapely.to_wkb(SQUARE), shapely.to_wkb(MultiPolygon([SQUARE]))]


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


def test_a_geometry_of_delimited_text_is_loaded_or_refused_by_name(
    write_spec: Callable[..., TableSpec], warehouse_url: str, open_run: Callable[[str], str]
) -> None:
    spec = write_spec(
        "park",
        'description = "p"\nkey = "id"\nsource = { kind = "csv", uri = "park.csv" }\n[columns]\nid = "integer"\n'
        '[geometry]\ntype = "Point"\nsource = "shape"\nsource_crs = "EPSG:4326"\n',
        park__csv=f"id,shape\n1,{shapely.to_wkb(Point(1, 2), hex=True)}\n",
    )
    try:
        result = load_table(spec, warehouse_url, run_id=open_run("r1"))
    except SluicewayError:
        return
    assert result.inserted == 1
