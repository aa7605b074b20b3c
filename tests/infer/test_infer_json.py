"""Answers of services as JSON, saved as they come: their records are drafted, and nothing that only describes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluiceway.errors import SluicewayError, SourceUnreadableError
from sluiceway.ledger.store import TableRun
from tests.infer.drafted import drafted

Load = Callable[..., TableRun]
Query = Callable[..., list[tuple[Any, ...]]]


def records(count: int) -> list[dict[str, Any]]:
    return [{"well": f"W-{number}", "depth": number} for number in range(count)]


FIELDS = [{"id": name, "kind": "text"} for name in "abcde"]
LINKS = [{"rel": "self", "href": "x"}, {"rel": "alternate", "href": "y"}]
CKAN = {"help": "x", "success": True, "result": {"fields": FIELDS, "records": records(2), "total": 2}}
USGS = {"value": {"queryInfo": {"note": [{"value": n} for n in range(9)]}, "timeSeries": [{"name": "a", "values": []}]}}


@pytest.mark.parametrize(
    ("document", "path", "remark"),
    [
        (CKAN, "result.records", "other arrays of it: result.fields (5)"),
        ({"links": LINKS, "items": records(1)}, "items", "other arrays of it: links (2)"),
        ({"facets": [{"a": 1}], "columns": FIELDS, "rows": records(3)}, "rows", "facets (1), columns (5)"),
        ({"@odata.context": "x", "value": records(3)}, "value", ""),
        ({"owners": [{"n": 1}] * 2, "wells": records(3), "pumps": [{"n": 1}]}, "wells", "owners (2), pumps (1)"),
        (USGS, "value.timeSeries", "value.queryInfo.note (9)"),
        ({"meta": {"fields": FIELDS}, "data": {"list": records(1)}}, "data.list", "meta.fields (5)"),
        ({"links": LINKS}, "links", ""),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_the_records_of_an_answer_are_found_and_the_other_arrays_listed(
    tmp_path: Path, document: dict[str, Any], path: str, remark: str, indent: int | None
) -> None:
    draft = drafted(tmp_path, "a.json", json.dumps(document, indent=indent))
    assert draft.source == {"records": path}
    assert remark in draft.comment("records")
    assert bool(remark) == bool(draft.comment("records"))


def test_records_far_behind_in_a_document_are_found(tmp_path: Path) -> None:
    document = {"fields": FIELDS, "text": "x" * 200_000, "small": records(3), "records": records(5_000)}
    assert drafted(tmp_path, "a.json", json.dumps(document)).source == {"records": "records"}


def test_an_array_inside_of_a_record_that_is_longer_is_remarked(tmp_path: Path) -> None:
    document = {"series": [{"name": "a", "values": [{"points": [{"v": n} for n in range(96)]}]}]}
    draft = drafted(tmp_path, "a.json", json.dumps(document))
    assert draft.types == {"name": "text", "values": "jsonb"}
    assert "holds an array of 96 objects at values.points, which becomes one value" in draft.comment("records")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"error": {"code": 400, "message": "Invalid URL", "details": []}}, "tells of an error: .*Invalid URL"),
        ({"error": True, "message": "Query too long"}, "tells of an error: Query too long"),
        ({"success": False, "error": {"__type": "Not Found", "message": "no such resource"}}, "no such resource"),
        ({"errors": [{"status": "404", "title": "gone"}]}, "tells of an error: .*gone"),
        ({"meta": {"view": {"columns": FIELDS}}, "data": [[1, 2], [3, 4]]}, "its 2 rows, at 'data', are lists"),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["a.json", "a.geojson"])
def test_an_answer_that_is_no_table_is_one_sentence(
    tmp_path: Path, document: dict[str, Any], words: str, indent: int | None, name: str
) -> None:
    with pytest.raises(SourceUnreadableError, match=words) as raised:
        drafted(tmp_path, name, json.dumps(document, indent=indent))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("levels", "said"), [(190, "is no table but tells of an error"), (480, "nested too deeply")])
def test_an_error_that_is_nested_deeply_is_one_sentence(tmp_path: Path, levels: int, said: str) -> None:
    with pytest.raises(SourceUnreadableError, match=said):
        drafted(tmp_path, "a.json", '{"error": ' + "[" * levels + '"x"' + "]" * levels + "}")


@pytest.mark.parametrize("document", [{"error": None, "data": records(2)}, {"errors": [], "data": records(2)}])
def test_an_error_that_says_that_there_is_none_is_none(tmp_path: Path, document: dict[str, Any]) -> None:
    assert drafted(tmp_path, "a.json", json.dumps(document)).source == {"records": "data"}


PAGES = [
    ({"meta": {"page": 1, "total": 250}}, "meta.total = 250 and holds 100"),
    ({"count": 250, "next": "https://x.example/?page=2"}, "count = 250"),
    ({"next": "https://x.example/?page=2", "previous": None}, "next = https://x"),
    ({"links": [{"rel": "next", "href": "y"}]}, "a link to the next page"),
    ({"_links": {"next": {"href": "/2"}}}, "_links.next.href = /2"),
    ({"@odata.nextLink": "https://x.example/2"}, "nextLink = https"),
    ({"exceededTransferLimit": True}, "exceededTransferLimit = True"),
    ({"offset": 0, "limit": 100, "total": 250}, "total = 250"),
    ({"page": 1, "pages": 3}, "pages = 3, and that it is page 1"),
    ({"hasMore": True}, "hasMore = True"),
]


@pytest.mark.parametrize(("beside", "words"), PAGES)
@pytest.mark.parametrize("first", [True, False])
def test_one_page_of_an_answer_is_remarked_and_noted(
    load: Load, tmp_path: Path, beside: dict[str, Any], words: str, first: bool
) -> None:
    data = {"data": records(100)}
    found = load("a.json", json.dumps({**beside, **data} if first else {**data, **beside}))
    assert found.inserted == 100
    assert "a.json seems to be one page of several" in str(found.note)
    assert words in str(found.note)
    draft = (tmp_path / "drafted.toml").read_text(encoding="utf-8").replace("\n# ", " ")
    assert words in draft
    assert 'a source of kind = "http_json" with [source.paging] does' in draft


@pytest.mark.parametrize(
    "beside", [{"total": 100, "next": "x"}, {"next": None}, {"page": 3, "pages": 3}, {"hasMore": False}, {"count": 100}]
)
def test_a_whole_answer_is_not_called_a_page(load: Load, tmp_path: Path, beside: dict[str, Any]) -> None:
    found = load("a.json", json.dumps({**beside, "data": records(100)}))
    assert (found.inserted, found.note) == (100, None)
    assert "one page" not in (tmp_path / "drafted.toml").read_text(encoding="utf-8")


ESRI = {
    "objectIdFieldName": "OBJECTID",
    "geometryType": "esriGeometryPoint",
    "spatialReference": {"wkid": 102100, "latestWkid": 3857},
    "fields": [
        {"name": "OBJECTID", "type": "esriFieldTypeOID", "alias": "OBJECTID"},
        {"name": "EditDate", "type": "esriFieldTypeDate", "alias": "EditDate", "length": 8},
        {"name": "APN", "type": "esriFieldTypeString", "alias": "APN", "length": 20},
    ],
    "features": [
        {
            "attributes": {"OBJECTID": number, "EditDate": 1714213354017, "APN": f"00{number}"},
            "geometry": {"x": -13580976.0, "y": 4642690.0},
        }
        for number in (1, 2)
    ],
}


@pytest.mark.parametrize("indent", [None, 1])
def test_esri_json_is_a_vector_file_with_its_crs(load: Load, query: Query, indent: int | None) -> None:
    assert load("query.json", json.dumps(ESRI, indent=indent)).inserted == 2
    edited = "(edit_date AT TIME ZONE 'UTC')::text"
    assert query(f"SELECT apn, round(ST_X(geom)::numeric, 3), {edited} FROM drafted ORDER BY apn LIMIT 1") == [
        ("001", -122, "2024-04-27 10:22:34.017")
    ]


def test_esri_json_without_shapes_is_a_table(load: Load) -> None:
    plain = {key: ESRI[key] for key in ("objectIdFieldName", "fields")}
    features = [{"attributes": each["attributes"]} for each in ESRI["features"]]  # type: ignore[index,attr-defined]
    assert load("query.json", json.dumps({**plain, "features": features})).inserted == 2


def test_a_page_of_esri_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SluicewayError, match="exceededTransferLimit: it is one page of more"):
        drafted(tmp_path, "query.json", json.dumps({**ESRI, "exceededTransferLimit": True}))


@pytest.mark.parametrize("name", ["a.json", "a.topojson"])
def test_topojson_is_a_vector_file(load: Load, query: Query, name: str) -> None:
    geometries = [{"type": "Polygon", "arcs": [[0]], "properties": {"name": "a"}}]
    topology = {
        "type": "Topology",
        "objects": {"parks": {"type": "GeometryCollection", "geometries": geometries}},
        "arcs": [[[5, 5], [5, 6], [6, 6], [6, 5], [5, 5]]],
    }
    assert load(name, json.dumps(topology)).inserted == 1
    assert query("SELECT name, ST_Area(geom) FROM drafted") == [("a", 1.0)]


@pytest.mark.parametrize("name", ["a.json", "a.geojson"])
def test_a_bare_geometry_is_a_row_of_a_shape(load: Load, query: Query, name: str) -> None:
    points = [{"type": "Point", "coordinates": [1, 2]}, {"type": "Point", "coordinates": [3, 4]}]
    assert load(name, json.dumps({"type": "GeometryCollection", "geometries": points})).inserted == 1
    assert query("SELECT ST_AsText(geom) FROM drafted") == [("GEOMETRYCOLLECTION(POINT(1 2),POINT(3 4))",)]


def test_esri_json_that_is_too_large_to_be_read_at_once_is_refused(tmp_path: Path) -> None:
    shape = {"rings": [[[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]]}
    features = [{"attributes": {"OBJECTID": number}, "geometry": shape} for number in range(120_000)]
    document = {**ESRI, "geometryType": "esriGeometryPolygon", "features": features}
    with pytest.raises(SluicewayError, match=r"it is read at once, .* source\.max_value_bytes allows 16,777,216"):
        drafted(tmp_path, "query.json", json.dumps(document))


def test_objects_that_are_alike_are_drafted_as_columns_by_their_paths(tmp_path: Path, load: Load, query: Query) -> None:
    content = json.dumps(
        [
            {"id": 1, "meta": {"color": "red", "code": "007", "size": 1.5}, "tail": "x"},
            {"id": 2, "meta": {"size": 2, "code": "8", "color": None}},
            {"id": 3, "meta": None, "tail": "y"},
        ]
    )
    draft = drafted(tmp_path, "a.json", content)
    assert draft.data["columns"]["meta_code"] == {"source": "meta.code", "type": "text"}
    assert list(draft.types) == ["id", "meta_color", "meta_code", "meta_size", "tail"]
    assert draft.types["meta_size"] in {"numeric", "double precision"}
    assert load("a.json", content).inserted == 3
    assert query("SELECT id, meta_color, meta_code, meta_size::float8, tail FROM drafted ORDER BY id") == [
        (1, "red", "007", 1.5, "x"),
        (2, None, "8", 2.0, None),
        (3, None, None, None, "y"),
    ]


@pytest.mark.parametrize(
    "values",
    [
        [{"a": 1}, {"b": 1}],
        [{"a": 1}, {"a": [1]}],
        [{"a": 1}, {"a": {"b": 1}}],
        [{"a": 1}, "text"],
        [{"a": 1}, 5],
        [{}, {}],
        [{"a": 1}, None, None],
        [{"a.b": 1}, {"a.b": 2}],
        [{" ": 1}, {" ": 2}],
        [{f"k{number}": 1 for number in range(21)}] * 2,
        [[{"a": 1}], [{"a": 2}]],
        ['{"a": 1}', '{"a": 2}'],
    ],
)
def test_what_is_no_row_of_plain_values_stays_one_column(tmp_path: Path, values: list[Any]) -> None:
    records = [{"id": number, "meta": value} for number, value in enumerate(values)]
    draft = drafted(tmp_path, "a.json", json.dumps(records))
    assert list(draft.types) == ["id", "meta"]


def test_a_point_within_an_object_is_found(tmp_path: Path) -> None:
    records = [{"id": number, "place": {"latitude": str(18 + number / 7), "longitude": "-66.1"}} for number in range(5)]
    draft = drafted(tmp_path, "a.json", json.dumps(records))
    assert (draft.data["geometry"]["x"], draft.data["geometry"]["y"]) == ("place.longitude", "place.latitude")
