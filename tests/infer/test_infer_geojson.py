"""GeoJSON as services write it: ids beside the properties, long numbers, metres that nobody calls so, pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sluiceway.errors import SourceUnreadableError
from sluiceway.ledger.store import TableRun
from tests.infer.drafted import drafted
from tests.infer.test_infer_vector import document
from tests.sources.formats.vector.vector_cases import features, frame

Query = Callable[..., list[tuple[Any, ...]]]
Load = Callable[..., TableRun]
HUGE = 2**63 + 3


def members(*ids: Any, **properties: Any) -> list[dict[str, Any]]:
    found = features(*({"name": f"n{number}", **properties} for number in range(len(ids))))
    return [{**feature, "id": id_} if id_ is not None else feature for feature, id_ in zip(found, ids, strict=True)]


def lines(*found: dict[str, Any]) -> str:
    return "".join(json.dumps(feature) + "\n" for feature in found)


# ids


@pytest.mark.parametrize("write", [document, lines])
@pytest.mark.parametrize("name", ["a.geojson", "a.json"])
def test_the_ids_of_features_are_a_column_and_the_key(
    load: Load, query: Query, tmp_path: Path, write: Callable[..., str], name: str
) -> None:
    assert load(name, write(*members(1000, 1003, 1006))).inserted == 3
    assert query("SELECT id, name FROM drafted ORDER BY id") == [(1000, "n0"), (1003, "n1"), (1006, "n2")]
    assert 'key = "id"' in (tmp_path / "drafted.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (["a/1", "a/2"], ["a/1", "a/2"]),
        ([7, "b"], ["7", "b"]),
        ([5, 5], [5, 5]),
        ([-1, 2.5], [Decimal("-1"), Decimal("2.5")]),
        ([None, 4], [4, None]),
        ([HUGE, HUGE + 1], [Decimal(HUGE), Decimal(HUGE + 1)]),
        ([1, 10**30], [Decimal(1), Decimal(10**30)]),
    ],
)
def test_ids_of_any_kind_arrive_as_they_are(load: Load, query: Query, ids: list[Any], found: list[Any]) -> None:
    assert load("a.geojson", document(*members(*ids))).inserted == len(ids)
    assert [id_ for (id_,) in query("SELECT id FROM drafted ORDER BY id")] == found


def test_ids_beside_a_property_of_their_name_are_another_column(load: Load, query: Query) -> None:
    load("a.geojson", document(*members(8, 9, id="x")))
    assert query("SELECT id, feature_id FROM drafted ORDER BY feature_id") == [("x", 8), ("x", 9)]


def test_ids_that_are_a_property_as_well_are_one_column(tmp_path: Path) -> None:
    draft = drafted(tmp_path, "a.geojson", document(*members(8, 9, id=8)[:1], *members(9, 9, id=9)[1:]))
    assert list(draft.types) == ["name", "id"]


def test_a_file_keeps_its_crs_and_its_letters_where_its_ids_are_read(load: Load, query: Query) -> None:
    (feature,) = members(3, name="Łódź\u2028")
    feature["geometry"]["coordinates"] = [500_000, 5_500_000]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::25832"}}
    load("a.geojson", document(feature, crs=crs))
    assert query("SELECT id, name, round(ST_X(geom)::numeric, 6) FROM drafted") == [(3, "Łódź\u2028", 9)]


# numbers


@pytest.mark.parametrize("write", [document, lines])
def test_whole_numbers_too_long_for_a_double_keep_their_digits(
    load: Load, query: Query, write: Callable[..., str]
) -> None:
    found = features(
        {"n": HUGE, "small": 1}, {"n": HUGE + 1, "small": 2}, {"n": 7, "small": 3}, {"n": None, "small": 4}
    )
    assert load("a.geojson", write(*found)).inserted == 4
    assert query("SELECT n FROM drafted ORDER BY small") == [(Decimal(HUGE),), (Decimal(HUGE + 1),), (7,), (None,)]


def test_a_long_number_in_a_column_of_integers_is_a_reject(load: Load, tmp_path: Path, query: Query) -> None:
    from sluiceway.infer.preview import preview
    from sluiceway.tables.registry import read_spec

    draft = drafted(tmp_path, "a.geojson", document(*features({"n": HUGE}, {"n": 7})))
    assert draft.types == {"n": "numeric"}
    draft.out.write_text(draft.text.replace('n = "numeric"', 'n = "bigint"'), encoding="utf-8")
    found = preview(read_spec(draft.out))
    assert (found.rejected, [row["n"] for row in found.rows]) == (1, [7])


def test_a_long_number_within_a_value_keeps_its_digits_with_a_note(load: Load, query: Query) -> None:
    found = load("a.geojson", document(*features({"i": 1, "o": {"n": HUGE}})))
    ((value,),) = query("SELECT o FROM drafted")
    assert json.loads(value) == {"n": str(HUGE)}
    assert "whole numbers above 2^53 within its values became texts" in str(found.note)


def test_a_file_with_neither_is_given_to_gdal_as_it_is(load: Load, query: Query) -> None:
    text = document(*features({"t": f"[{HUGE}]", "n": 2**53}, {"t": "x", "n": -(2**53)}))
    load("a.geojson", text)
    assert query("SELECT t, n FROM drafted ORDER BY n DESC") == [(f"[{HUGE}]", 2**53), ("x", -(2**53))]


@pytest.mark.parametrize(
    ("numbers", "type_"),
    [
        ([2**63 - 1, 1 - 2**63], "bigint"),
        ([2**53 + 1, 2], "bigint"),
        ([0.1, 1.5, 2**53 + 1], "numeric"),
        ([2**53 + 1, 1e-7], "text"),
        ([10**45, 1], "numeric"),
        ([HUGE, -HUGE], "numeric"),
    ],
)
def test_whole_numbers_of_any_length_arrive_digit_by_digit(
    load: Load, query: Query, tmp_path: Path, numbers: list[float], type_: str
) -> None:
    load("a.geojson", document(*features(*({"i": i, "n": n} for i, n in enumerate(numbers)))))
    assert f'\nn = "{type_}"' in (tmp_path / "drafted.toml").read_text(encoding="utf-8")
    assert [n for (n,) in query("SELECT n::text FROM drafted ORDER BY i")] == [f"{n}" for n in numbers]


# degrees


METRES = [[-13580977.88, 4642690.0], [-1.358e7, 4642000]]


def points(*places: list[float]) -> list[dict[str, Any]]:
    found = features(*({"i": number} for number in range(len(places))))
    return [
        {**feature, "geometry": {"type": "Point", "coordinates": place}}
        for feature, place in zip(found, places, strict=True)
    ]


@pytest.mark.parametrize("write", [document, lines])
def test_metres_that_name_no_crs_wait_for_a_person(
    load: Load, tmp_path: Path, query: Query, write: Callable[..., str]
) -> None:
    with pytest.raises(SourceUnreadableError, match=r"the file does not say its CRS; declare geometry\.source_crs"):
        load("c.geojson", write(*points(*METRES)))
    draft = tmp_path / "drafted.toml"
    assert "the coordinates are no degrees: x -1.3581e+07" in draft.read_text(encoding="utf-8").replace("\n# ", " ")
    assert query("SELECT to_regclass('drafted')") == [(None,)]


def test_metres_are_loaded_in_the_crs_that_is_declared(tmp_path: Path) -> None:
    from sluiceway.infer.preview import preview
    from sluiceway.tables.registry import read_spec

    draft = drafted(tmp_path, "c.geojson", document(*points(*METRES)))
    draft.out.write_text(draft.text.replace('# source_crs = "EPSG:..."', 'source_crs = "EPSG:3857"'), encoding="utf-8")
    assert str(preview(read_spec(draft.out)).rows[0]["geom"]).startswith("POINT (-122.000")


def test_metres_that_are_called_degrees_wait_for_a_person(load: Load) -> None:
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    with pytest.raises(SourceUnreadableError, match=r"declare geometry\.source_crs"):
        load("c.geojson", document(*points(*METRES), crs=crs))


def test_a_point_that_lies_on_no_globe_among_others_is_remarked(load: Load, tmp_path: Path) -> None:
    assert load("c.geojson", document(*points([10, 50], [11, 51], [1810, 50]))).inserted == 3
    said = (tmp_path / "drafted.toml").read_text(encoding="utf-8").replace("\n# ", " ")
    assert "Some coordinates are no degrees, as which the file gives them: x 10 to 1810" in said


def test_longitudes_to_the_east_of_180_are_degrees(load: Load) -> None:
    assert load("c.geojson", document(*points([190, -17], [178, -18]))).inserted == 2


# primary keys


def test_a_primary_key_of_a_geopackage_is_a_column_and_the_key(load: Load, tmp_path: Path, query: Query) -> None:
    frame().drop(columns="id").to_file(tmp_path / "a.gpkg", layer="park", FID="facility_id")
    assert load("a.gpkg").inserted == 3
    assert [n for (n,) in query("SELECT facility_id FROM drafted ORDER BY 1")] == [1, 2, 3]
    said = (tmp_path / "drafted.toml").read_text(encoding="utf-8")
    assert 'key = "facility_id"' in said
    assert "the file's own key" in said


def test_a_number_that_gdal_gives_is_left_out_with_a_remark(tmp_path: Path) -> None:
    frame().drop(columns="id").to_file(tmp_path / "a.gpkg", layer="park")
    draft = drafted(tmp_path, "a.gpkg", (tmp_path / "a.gpkg").read_bytes())
    assert list(draft.types) == ["name"]
    assert "# 'fid' is left out: it numbers the rows of this file" in draft.text


# pages


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ({"numberMatched": 250, "numberReturned": 2}, "numberMatched = 250 and holds 2"),
        ({"links": [{"rel": "self", "href": "a"}, {"rel": "next", "href": "b"}]}, "it has a link to the next page"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_page_of_features_is_remarked_and_noted(
    load: Load, tmp_path: Path, beside: dict[str, Any], words: str, first: bool
) -> None:
    found = features({"i": 1}, {"i": 2})
    whole = {"type": "FeatureCollection", **(beside if first else {}), "features": found, **({} if first else beside)}
    loaded = load("a.geojson", json.dumps(whole))
    assert words in str(loaded.note)
    assert words in (tmp_path / "drafted.toml").read_text(encoding="utf-8").replace("\n# ", " ")


def test_a_whole_collection_is_not_called_a_page(load: Load) -> None:
    links = [{"rel": "next", "href": "b"}]
    assert load("a.geojson", document(*features({"i": 1}), numberMatched=1, links=links)).note is None
