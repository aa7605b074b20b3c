from __future__ import annotations

import re
import time

import psycopg
import pytest

from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from sluiceway.run.report.maps import BOX, MAX_PATH_BYTES, UNITS, draw_maps, draw_newest
from sluiceway.run.report.model import TableMap
from tests.run.report.builders import a_spec
from tests.warehouses import ASKER


def draw(url: str, geometry: str, *statements: str) -> TableMap | None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement)
    with connect(url) as session:
        return draw_maps(session, [a_spec("place", geometry)]).get("place")


def places(*points: tuple[float, float], srid: int = 4326) -> str:
    rows = ", ".join(f"(ST_SetSRID(ST_MakePoint({x}, {y}), {srid}))" for x, y in points)
    return f"CREATE TABLE place AS SELECT * FROM (VALUES {rows}) v(geom)"


def corners(drawing: TableMap) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in re.findall(r"M(-?\d+) (-?\d+)", drawing.path)]


def test_a_table_that_is_not_there_has_no_map(warehouse_url: str) -> None:
    assert draw(warehouse_url, "Point") is None


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE place (id int)",
        "CREATE TABLE place (id int, geom text)",
        "CREATE TABLE place (id int, geom geometry(Point, 4326))",
        "CREATE TABLE place AS SELECT NULL::geometry AS geom",
        "CREATE TABLE place AS SELECT 'POINT EMPTY'::geometry AS geom",
        "CREATE TABLE place AS SELECT ST_MakePoint('Infinity', 0) AS geom",
        "CREATE TABLE place AS SELECT ST_MakePoint('NaN', 0) AS geom",
        "CREATE VIEW place AS SELECT 'POINT(1 1)'::geometry AS geom",
    ],
)
def test_what_cannot_be_drawn_is_no_error_and_the_transaction_goes_on(warehouse_url: str, statement: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        connection.execute(statement)
    with connect(warehouse_url) as session:
        assert draw_maps(session, [a_spec("place")]) == {}
        assert session.execute(psycopg.sql.SQL("SELECT 1")) == [(1,)]


def test_a_table_the_role_may_not_read_has_no_map(warehouse_url: str, owner_url: str) -> None:
    with psycopg.connect(owner_url) as connection:
        connection.execute(places((1, 1)))
    with connect(warehouse_url) as session:
        assert draw_maps(session, [a_spec("place")]) == {}
        assert session.execute(psycopg.sql.SQL("SELECT 1")) == [(1,)]


def test_points_are_dots_with_north_up_and_east_right(warehouse_url: str) -> None:
    drawing = draw(warehouse_url, "Point", places((-120, 35), (-100, 45)))
    assert drawing is not None and drawing.style == "dots"
    (north_x, north_y), (south_x, south_y) = corners(drawing)
    assert north_y < south_y and north_x > south_x
    assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in corners(drawing))


def test_degrees_of_longitude_are_squeezed_by_latitude(warehouse_url: str) -> None:
    drawing = draw(warehouse_url, "Point", places((0, 59), (10, 61)))
    assert drawing is not None
    (right, top), (left, bottom) = corners(drawing)
    assert (right - left) / (bottom - top) == pytest.approx(5 * 0.5, rel=0.05)


def test_metres_are_not_squeezed(warehouse_url: str) -> None:
    drawing = draw(warehouse_url, "Point", places((500_000, 6_500_000), (510_000, 6_502_000), srid=32633))
    assert drawing is not None
    (right, top), (left, bottom) = corners(drawing)
    assert (right - left) / (bottom - top) == pytest.approx(5, rel=0.05)


def test_places_on_both_sides_of_the_antimeridian_stand_together(warehouse_url: str) -> None:
    drawing = draw(warehouse_url, "Point", places((179, -17), (-179, -19)))
    assert drawing is not None
    (fiji, _), (lau, _) = corners(drawing)
    assert fiji < lau  # 179 E lies west of 179 W
    assert (lau - fiji) < BOX[0] * UNITS


def test_the_whole_world_is_not_shifted(warehouse_url: str) -> None:
    drawing = draw(warehouse_url, "Point", places((-170, 10), (-90, 10), (-5, 10), (5, 10), (90, 10), (170, 10)))
    assert drawing is not None
    xs = [x for x, _ in corners(drawing)]
    assert len(xs) == 6 and xs == sorted(xs)


def test_one_point_is_drawn_in_the_middle(warehouse_url: str) -> None:
    drawing = draw(warehouse_url, "Point", places((5, 5)))
    assert drawing is not None
    ((x, y),) = corners(drawing)
    assert abs(x - drawing.width / 2) <= UNITS and abs(y - drawing.height / 2) <= UNITS


def test_rows_marked_as_deleted_are_not_drawn(warehouse_url: str) -> None:
    drawing = draw(
        warehouse_url, "Point", places((1, 1), (2, 2)), "ALTER TABLE place ADD deleted_at timestamptz",
        "UPDATE place SET deleted_at = now() WHERE ST_X(geom) = 2",
    )  # fmt: skip
    assert drawing is not None and len(corners(drawing)) == 1


def test_a_few_polygons_are_outlines_and_one_smaller_than_a_dot_stays_visible(warehouse_url: str) -> None:
    drawing = draw(
        warehouse_url, "MultiPolygon",
        "CREATE TABLE place AS SELECT ST_Multi(ST_Buffer(ST_SetSRID(ST_MakePoint(x, 0), 4326), r, 64)) AS geom "
        "FROM (VALUES (0, 5.0), (12, 0.0001)) v(x, r)",
    )  # fmt: skip
    assert drawing is not None and drawing.style == "areas"
    assert len(corners(drawing)) == 2 and drawing.path.count("h0") == 1
    assert len(drawing.path) < 600  # of 514 vertices


def test_lines_are_lines(warehouse_url: str) -> None:
    drawing = draw(
        warehouse_url, "MultiLineString",
        "CREATE TABLE place AS SELECT 'SRID=4326;MULTILINESTRING((0 0, 1 1, 2 0))'::geometry AS geom",
    )  # fmt: skip
    assert drawing is not None and drawing.style == "lines" and "z" not in drawing.path


def _blocks_read(warehouse_url: str) -> tuple[int, int]:
    """How many blocks of `place` have been read, and how many it has."""
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        # a session adds what it has read when it ends, which is a moment after its connection was closed
        others = (
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user "
            "AND pid <> pg_backend_pid() AND application_name <> %s"
        )
        deadline = time.monotonic() + 10
        while connection.execute(others, [ASKER]).fetchone():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        found = connection.execute(
            "SELECT pg_stat_get_blocks_fetched(oid), relpages FROM pg_class WHERE oid = 'place'::regclass"
        ).fetchone()
    assert found
    return found[0], found[1]


def test_a_large_table_is_drawn_from_a_sample_and_stays_small(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        connection.execute(
            "CREATE TABLE place AS SELECT "
            "ST_Multi(ST_Expand(ST_SetSRID(ST_MakePoint(random() * 60, random() * 40), 4326), 0.01)) AS geom, "
            "repeat('x', 1700) AS filler FROM generate_series(1, 80000)"
        )
        connection.execute("ANALYZE place")
    before = _blocks_read(warehouse_url)
    with connect(warehouse_url) as session:
        drawing = draw_maps(session, [a_spec("place", "MultiPolygon")])["place"]
    read, pages = _blocks_read(warehouse_url)[0] - before[0], before[1]
    # three times in all, each time a quarter of it
    assert 0 < read < pages, (read, pages)
    assert drawing.sampled and drawing.style == "dots"
    assert len(drawing.path) <= MAX_PATH_BYTES


def test_the_rows_of_the_newest_run_are_marked_where_the_map_has_them(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        connection.execute(
            "CREATE TABLE place AS SELECT ST_MakePoint(x, x) AS geom, run AS etl_run_id "
            "FROM (VALUES (0, 'm/old'), (5, 'm/new'), (10, 'm/old')) v(x, run)"
        )
    with connect(warehouse_url) as session:
        everything, newest = draw_newest(session, a_spec("place"), RunKey("m", "new"))
        assert draw_newest(session, a_spec("place"), RunKey("other", "new")) == (everything, None)
    assert everything is not None and newest is not None
    assert (newest.width, newest.height) == (everything.width, everything.height)
    assert len(corners(everything)) == 3 and corners(newest) == corners(everything)[1:2]


def test_marked_rows_are_shifted_like_the_others(warehouse_url: str) -> None:
    with psycopg.connect(warehouse_url) as connection:
        connection.execute(
            "CREATE TABLE place AS SELECT ST_MakePoint(x, 52) AS geom, run AS etl_run_id "
            "FROM (VALUES (172, 'm/old'), (-150, 'm/new')) v(x, run)"
        )
    with connect(warehouse_url) as session:
        everything, newest = draw_newest(session, a_spec("place"), RunKey("m", "new"))
    assert everything is not None and newest is not None
    assert corners(newest) == [max(corners(everything))], "the easternmost"
