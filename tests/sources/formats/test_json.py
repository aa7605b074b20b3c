"""JSON files: every record is a row or is unreadable, and every value comes as it is spelled."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from sluiceway.errors import ConfigError, SchemaDriftError, SourceMissingError, SourceUnreadableError
from sluiceway.json_path import MOST_LEVELS
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.sources.extraction import Unreadable
from sluiceway.sources.formats import json as json_source
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened

WriteSpec = Callable[..., TableSpec]
SpecOf = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
LINES = 'layout = "lines"'


@pytest.fixture
def spec_of(write_spec: WriteSpec) -> SpecOf:
    """A spec with columns id and name over one JSON file."""

    def make(content: str | bytes, options: str = "", *, file: str = "city.json", columns: str = "") -> TableSpec:
        columns = columns or 'id = "integer"\nname = "text"'
        toml = (
            f'description = "Cities"\nkey = "id"\n[source]\nkind = "json"\nuri = "{file}"\n{options}\n'
            f"[columns]\n{columns}\n"
        )
        return write_spec("city", toml, **{file: content})

    return make


def rows(spec: TableSpec) -> list[tuple[object, ...]]:
    with opened(spec) as extraction:
        return [tuple(row.values()) for batch in extraction.batches for row in batch.to_pylist()]


def unreadable(spec: TableSpec) -> list[Unreadable]:
    with opened(spec) as extraction:
        list(extraction.batches)
        return extraction.unreadable


RECORDS = '{"id": 1, "name": "Ponce"}', '{"name": "Caguas", "id": 2}'
ARRAY = f"[{', '.join(RECORDS)}]"
PONCE_CAGUAS = [("1", "Ponce"), ("2", "Caguas")]


def test_an_array_of_objects_gives_its_rows_as_text(spec_of: SpecOf) -> None:
    assert rows(spec_of(ARRAY)) == PONCE_CAGUAS


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\n\n"])
def test_one_object_per_line_gives_the_same_rows(spec_of: SpecOf, line_break: str) -> None:
    assert rows(spec_of(line_break.join(RECORDS), LINES)) == PONCE_CAGUAS


@pytest.mark.parametrize("path", ["items", "data.items"])
def test_an_array_inside_of_the_document_is_found(spec_of: SpecOf, path: str) -> None:
    document = f'{{"items": {ARRAY}}}' if path == "items" else f'{{"n": [1], "data": {{"a": {{}}, "items": {ARRAY}}}}}'
    assert rows(spec_of(document, f'records = "{path}"')) == PONCE_CAGUAS


def test_a_path_without_an_array_names_the_nearest(spec_of: SpecOf) -> None:
    spec = spec_of(f'{{"data": {{"items": {ARRAY}}}}}', 'records = "data.itmes"')
    with pytest.raises(SourceMissingError, match=r"city\.json holds no array at .*'data\.itmes'; did you mean 'data"):
        rows(spec)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (ARRAY, LINES, 'begins with an array; declare source.layout = "array"'),
        ("\n".join(RECORDS), "", 'begins with an object, no array; declare source.layout = "lines"'),
        (f' {{"type": "FeatureCollection", "features": {ARRAY}}}', "", 'is GeoJSON; declare source.kind = "vector"'),
        (ARRAY, 'records = "items"', "is an array itself; remove source.records"),
        (ARRAY.encode("utf-16"), "", "is UTF-16; JSON is UTF-8"),
        ("7", "", "holds no array"),
        ("[7, 8]", "", "none of its 2 records is a JSON object; the first one is no JSON object"),
        ("id,name\n1,Ponce\n" * 9000, LINES, "none of its 5,000 records is a JSON object; the first one is no JSON"),
        ("id,name\n1,Ponce\n", "", "cannot be read: after record 0, "),
        ("", "", "cannot be read: after record 0, it breaks off"),
    ],
)
def test_a_file_of_another_layout_says_what_to_declare(
    spec_of: SpecOf, content: str | bytes, options: str, message: str
) -> None:
    with pytest.raises((SourceUnreadableError, SourceMissingError)) as caught:
        rows(spec_of(content, options))
    assert message in str(caught.value)


def test_a_path_into_lines_is_an_error_of_the_config(spec_of: SpecOf) -> None:
    with pytest.raises(ConfigError, match=r"source\.records: stands for an array"):
        rows(spec_of("\n".join(RECORDS), f'{LINES}\nrecords = "items"'))


@pytest.mark.parametrize("layout", ["", LINES])
@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.10", "1.10"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("-0.0", "-0.0"),
        ("1e400", "1e400"),
        ("true", "true"),
        ("false", "false"),
        ("null", None),
        ('""', ""),
        ('"null"', "null"),
        ('"a\\nb \\u00fc \\ud83d\\ude00"', "a\nb ü 😀"),
        ('{"a": [1.10, "x", null]}', '{"a": [1.10, "x", null]}'),
        ("[]", "[]"),
    ],
)
def test_a_value_comes_as_it_is_spelled(spec_of: SpecOf, layout: str, value: str, text: str | None) -> None:
    record = f'{{"id": 1, "name": {value}}}'
    assert rows(spec_of(record if layout else f"[{record}]", layout)) == [("1", text)]


def test_a_missing_key_is_null(spec_of: SpecOf) -> None:
    assert rows(spec_of('[{"id": 1}, {"name": "Caguas"}, {}]')) == [("1", None), (None, "Caguas"), (None, None)]


def test_the_last_value_of_a_key_that_stands_twice_counts(spec_of: SpecOf) -> None:
    assert rows(spec_of('[{"id": 1, "name": "a", "id": 2}]')) == [("2", "a")]


@pytest.mark.parametrize("options", ["", LINES])
def test_a_key_that_no_record_has_is_drift_and_names_the_nearest(spec_of: SpecOf, options: str) -> None:
    record = '{"id": 1, "nam": "Ponce"}'
    with pytest.raises(SchemaDriftError, match=r"in city\.json, column 'name' is missing; did you mean 'nam'"):
        rows(spec_of(record if options else f"[{record}]", options))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_source, "BATCH_BYTES", 30)


@pytest.mark.usefixtures("small_batches")
def test_a_key_that_only_a_late_record_has_is_a_column(spec_of: SpecOf) -> None:
    columns = 'id = "integer"\nname = { source = ["title", "label"], type = "text" }'
    spec = spec_of('[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4}, {"id": 5, "label": "x"}]', columns=columns)
    with opened(spec) as extraction:
        assert dict(extraction.columns) == {"id": "text"}
        found = [tuple(row.values()) for batch in extraction.batches for row in batch.to_pylist()]
        assert found == [("1", None), ("2", None), ("3", None), ("4", None), ("5", "x")]
        assert dict(extraction.columns) == {"id": "text", "label": "text"}


@pytest.mark.usefixtures("small_batches")
def test_a_key_that_no_record_of_a_long_file_has_is_drift_at_its_end(spec_of: SpecOf) -> None:
    spec = spec_of(json.dumps([{"id": number, "nam": "x"} for number in range(50)]))
    with opened(spec) as extraction:
        assert next(extraction.batches).num_rows < 5
        with pytest.raises(SchemaDriftError, match="column 'name' is missing"):
            list(extraction.batches)


def test_a_broken_line_is_unreadable_and_the_others_are_rows(spec_of: SpecOf) -> None:
    lines = [RECORDS[0].encode(), b'{"id": 3,', b'{"id": "\xff"}', b"[1]", b'{"id": "\\ud83d"}', RECORDS[1].encode()]
    spec = spec_of(b"\n".join(lines), LINES)
    assert rows(spec) == PONCE_CAGUAS
    assert [(bad.row_number, bad.reason) for bad in unreadable(spec)] == [
        (2, "is no JSON: Expecting property name enclosed in double quotes at character 10"),
        (3, "is no UTF-8: byte 0xff"),
        (4, "is no JSON object"),
        (5, "holds half a character"),
    ]


@pytest.mark.parametrize("levels", [MOST_LEVELS, 900, 100_000])
@pytest.mark.parametrize("kind", ["text", "jsonb"])
def test_a_line_that_is_nested_too_deeply_is_unreadable_and_the_others_are_rows(
    spec_of: SpecOf, levels: int, kind: str
) -> None:
    deepest = "[" * (MOST_LEVELS - 1) + "]" * (MOST_LEVELS - 1)
    lines = [f'{{"id": 1, "name": {deepest}}}', f'{{"id": 2, "name": {"[" * levels}{"]" * levels}}}', '{"id": 3}']
    spec = spec_of("\n".join(lines), LINES, columns=f'id = "integer"\nname = "{kind}"')
    assert rows(spec) == [("1", deepest), ("3", None)]
    assert [(bad.row_number, bad.reason) for bad in unreadable(spec)] == [(2, "is nested too deeply")]


def test_an_element_that_is_no_object_is_unreadable(spec_of: SpecOf) -> None:
    spec = spec_of(f'[{RECORDS[0]}, 7, "x", {RECORDS[1]}]')
    assert rows(spec) == PONCE_CAGUAS
    assert [(bad.row_number, bad.reason, bad.text) for bad in unreadable(spec)] == [
        (2, "is no JSON object", "7"),
        (3, "is no JSON object", '"x"'),
    ]


@pytest.mark.parametrize(
    "content",
    [
        ARRAY[:-1],
        ARRAY[:-5],
        ARRAY.replace(", {", " {"),
        ARRAY.replace(", {", ", , {"),
        ARRAY + "]",
        ARRAY + ARRAY,
        ARRAY.replace("Ponce", "Mayag\xfcez").encode("latin-1"),
        ARRAY.replace("1,", "01,"),
    ],
)
def test_a_broken_array_is_an_error_and_never_a_part_of_it(spec_of: SpecOf, content: str | bytes) -> None:
    with pytest.raises(SourceUnreadableError, match=r"city: city\.json cannot be read: after record \d"):
        rows(spec_of(content))


def test_a_document_that_breaks_off_behind_its_array_is_an_error(spec_of: SpecOf) -> None:
    with pytest.raises(SourceUnreadableError, match="after record 2, it breaks off"):
        rows(spec_of(f'{{"items": {ARRAY}, "n": 1', 'records = "items"'))


@pytest.mark.parametrize("options", ["", LINES])
def test_a_byte_order_mark_is_no_part_of_the_first_record(spec_of: SpecOf, options: str) -> None:
    content = "\n".join(RECORDS) if options else ARRAY
    assert rows(spec_of(b"\xef\xbb\xbf" + content.encode(), options)) == PONCE_CAGUAS


def test_a_single_line_needs_no_line_end(spec_of: SpecOf) -> None:
    assert rows(spec_of("\ufeff" + RECORDS[0], LINES)) == PONCE_CAGUAS[:1]


@pytest.mark.parametrize("options", ["", LINES])
def test_a_gzip_file_gives_the_same_rows(spec_of: SpecOf, options: str) -> None:
    content = "\n".join(RECORDS) if options else ARRAY
    assert rows(spec_of(gzip.compress(content.encode()), options, file="city.json.gz")) == PONCE_CAGUAS


@pytest.mark.parametrize("options", ["", LINES])
def test_a_gzip_file_that_breaks_off_is_unreadable(spec_of: SpecOf, options: str) -> None:
    content = "\n".join(RECORDS) if options else ARRAY
    with pytest.raises(SourceUnreadableError, match=r"city\.json\.gz is broken or cut off"):
        rows(spec_of(gzip.compress(content.encode())[:-9], options, file="city.json.gz"))


def test_a_member_of_a_zip_is_read(spec_of: SpecOf) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data/city.json", ARRAY)
        archive.writestr("readme.txt", "x")
    spec = spec_of(buffer.getvalue(), 'member = "data/city.json"', file="city.zip")
    assert rows(spec) == PONCE_CAGUAS


@pytest.mark.parametrize(
    "content", [f'{{"p": {{"q.r": {ARRAY}}}}}', f'{{"p.q": {{"s": 1, "r": {ARRAY}}}}}', f'{{"p.q.r": {ARRAY}}}']
)
def test_a_key_on_the_way_to_the_records_may_have_dots(spec_of: SpecOf, content: str) -> None:
    assert rows(spec_of(content, 'records = "p.q.r"')) == PONCE_CAGUAS


@pytest.mark.parametrize("options", ["", LINES])
@pytest.mark.parametrize("chunk", [1, 10, 1 << 20])
def test_records_are_found_whatever_the_chunks_are(
    spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch, options: str, chunk: int
) -> None:
    monkeypatch.setattr(json_source, "CHUNK_BYTES", chunk)
    monkeypatch.setattr("sluiceway.sources.formats.json_records.CHUNK_BYTES", chunk)
    assert rows(spec_of("\n".join(RECORDS) if options else ARRAY, options)) == PONCE_CAGUAS


@pytest.mark.parametrize("options", ["", LINES])
def test_a_long_file_is_read_in_little_memory(spec_of: SpecOf, options: str) -> None:
    record = json.dumps({"id": 1, "name": "x" * 80, "more": list(range(20))})
    content = "\n".join([record] * 20_000) if options else f"[{','.join([record] * 20_000)}]"
    spec = spec_of(content, options)
    assert len(content) > 3 << 20
    tracemalloc.start()
    with opened(spec) as extraction:
        count = sum(batch.num_rows for batch in extraction.batches)
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 24 << 20


GEOMETRY = 'id = "integer"\n[geometry]\ntype = "Point"\nsource_crs = "EPSG:4326"\n'


def first_batch(spec: TableSpec) -> pa.RecordBatch:
    with opened(spec) as extraction:
        return next(extraction.batches)


def test_a_geometry_may_be_a_geojson_object_or_a_text(spec_of: SpecOf) -> None:
    content = '[{"id": 1, "at": {"type": "Point", "coordinates": [-66.60, 18]}}, {"id": 2, "at": "POINT (1 2)"}]'
    batch = first_batch(spec_of(content, columns=f'{GEOMETRY}source = "at"'))
    assert batch.column("geom").to_pylist() == ['{"type": "Point", "coordinates": [-66.60, 18]}', "POINT (1 2)"]


def test_x_and_y_come_as_two_columns(spec_of: SpecOf) -> None:
    batch = first_batch(spec_of('[{"id": 1, "lon": -66.60, "lat": "18"}]', columns=f'{GEOMETRY}x = "lon"\ny = "lat"'))
    assert batch.to_pydict() == {"id": ["1"], "geom.x": ["-66.60"], "geom.y": ["18"]}


def test_a_missing_geometry_names_the_nearest(spec_of: SpecOf) -> None:
    with pytest.raises(SchemaDriftError, match=r"adapt \[geometry\].* 'point' is missing; did you mean 'points'"):
        rows(spec_of('[{"id": 1, "points": null}]', columns=f'{GEOMETRY}source = "point"'))


@pytest.mark.usefixtures("small_batches")
def test_a_transform_gets_every_key_known_so_far(spec_of: SpecOf, tmp_path: Path) -> None:
    spec = spec_of('[{"a": 1, "b": {"c": 10000000}}, {"d": 2}]', columns=f'{GEOMETRY}source = "at"')
    spec = spec.model_copy(update={"transform": tmp_path / "city.py", "geometry": None})
    with opened(spec) as extraction:
        assert [batch.to_pydict() for batch in extraction.batches] == [
            {"a": ["1"], "b": ['{"c": 10000000}']},
            {"a": [None], "b": [None], "d": ["2"]},
        ]


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Callable[[TableSpec], TableRun]:
    return lambda spec: load_table(spec, warehouse_url, run=open_run("r1"))


def test_values_load_into_their_declared_types(
    spec_of: SpecOf, load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    columns = 'id = "bigint"\nshare = "numeric"\nopen = "boolean"\nmore = "jsonb"\nsaid = "text"'
    content = (
        '{"id": 9007199254740993, "share": 1.10, "open": true, "more": "text", "said": 5}\n'
        '{"id": 2, "share": 12345678901234567890.5, "open": null, "more": {"a": [1.10]}, "said": "5.0"}\n'
        "{broken\x00\n"
        '{"id": "many", "share": 1, "more": null}\n'
    )
    result = load(spec_of(content, LINES, columns=f"{columns}\n[checks]\nmax_rejects = 2"))
    assert (result.extracted, result.inserted, result.rejected) == (4, 2, 2)
    assert query("SELECT id, share::text, open, more::text, said FROM city ORDER BY id") == [
        (2, "12345678901234567890.5", None, '{"a": [1.10]}', "5.0"),
        (9007199254740993, "1.10", True, '"text"', "5"),
    ]
    assert query("SELECT row_number FROM etl.reject ORDER BY 1") == [(3,), (4,)]


NESTED = (
    '{"id": 1, "meta": {"color": "red", "size": {"cm": 1.10}}, "tags": [{"name": "a"}, {"name": "b"}]}',
    '{"id": 2, "meta": {"color": null, "size": 7}, "tags": []}',
    '{"id": 3, "meta": null, "meta.color": "own", "tags": {"0": {"name": "key"}}}',
    '{"id": 4, "meta": "text", "tags": 5}',
)
PATHS = """
id = "integer"
color = { source = "meta.color", type = "text" }
cm = { source = "meta.size.cm", type = "numeric" }
first = { source = "tags[0].name", type = "text" }
second = { source = "tags.1.name", type = "text" }
tag = { source = "tags[0]", type = "jsonb" }
"""


@pytest.mark.parametrize("lines", [True, False])
def test_a_column_of_a_nested_object_is_named_by_its_path_and_a_key_spelled_so_wins(
    spec_of: SpecOf, lines: bool
) -> None:
    content, options = ("\n".join(NESTED), LINES) if lines else (f"[{','.join(NESTED)}]", "")
    assert rows(spec_of(content, options, columns=PATHS)) == [
        ("1", "red", "1.10", "a", "b", '{"name": "a"}'),
        ("2", None, None, None, None, None),
        ("3", "own", None, "key", None, '{"name": "key"}'),
        ("4", None, None, None, None, None),
    ]


def test_a_path_that_a_later_record_has_first_is_null_before(spec_of: SpecOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_source, "BATCH_BYTES", 10)
    content = '{"id": 1}\n{"id": 2, "meta": {}}\n{"id": 3, "meta": {"color": "red"}}'
    spec = spec_of(content, LINES, columns='id = "integer"\ncolor = { source = ["hue", "meta.color"], type = "text" }')
    assert rows(spec) == [("1", None), ("2", None), ("3", "red")]
    with opened(spec) as extraction:
        list(extraction.batches)
        assert dict(extraction.columns) == {"id": "text", "meta": "text", "meta.color": "text"}


def test_a_path_that_no_record_has_is_drift_and_the_nearest_one_is_named(spec_of: SpecOf) -> None:
    spec = spec_of(NESTED[0], LINES, columns='id = "integer"\ncolor = { source = "meta.colour", type = "text" }')
    with pytest.raises(SchemaDriftError, match=r"column 'meta.colour' is missing; did you mean 'meta.color'?"):
        rows(spec)


def test_a_point_may_stand_in_a_nested_object(
    spec_of: SpecOf, load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    content = '[{"id": 1, "at": {"lon": -66, "lat": 18}}, {"id": 2, "at": {"lon": -67, "lat": 18}}]'
    geometry = '[geometry]\ntype = "Point"\nx = "at.lon"\ny = "at.lat"\nsource_crs = "EPSG:4326"'
    spec = spec_of(content, columns=f'id = "integer"\n{geometry}')
    assert load(spec).inserted == 2
    assert query("SELECT ST_AsText(geom) FROM city ORDER BY id") == [("POINT(-66 18)",), ("POINT(-67 18)",)]
