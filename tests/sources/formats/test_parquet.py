"""Parquet: values keep their types, geometries their CRS, and a broken file is never taken for a shorter one."""

from __future__ import annotations

import datetime as dt
import decimal
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import geopandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from sluiceway.errors import ConfigError, SchemaDriftError, SourceUnreadableError
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.sources.formats import parquet as parquet_source
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened

SpecOf = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
GEOMETRY = '[geometry]\ntype = "Point"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "city.parquet"


@pytest.fixture
def spec_of(write_spec: Callable[..., TableSpec]) -> SpecOf:
    """A spec over city.parquet."""

    def make(columns: str = 'id = "integer"', more: str = "", options: str = "") -> TableSpec:
        return write_spec(
            "city",
            f'description = "Cities"\nkey = "id"\n[source]\nkind = "parquet"\nuri = "city.parquet"\n{options}\n'
            f"[columns]\n{columns}\n{more}",
        )

    return make


def table_of(spec: TableSpec) -> pa.Table:
    with opened(spec) as extraction:
        return pa.Table.from_batches(extraction.batches)


def values_of(spec: TableSpec, column: str) -> list[Any]:
    return table_of(spec).column(column).to_pylist()


def test_columns_come_in_the_specs_order_under_its_names(spec_of: SpecOf, path: Path) -> None:
    pq.write_table(pa.table({"more": [1.5], "a.b": ["Ponce"], "id": [1]}), path)
    table = table_of(spec_of('name = { source = "a.b", type = "text" }\nid = "integer"'))
    assert table.to_pylist() == [{"name": "Ponce", "id": 1}]


def test_every_column_is_known_with_its_family_and_the_number_of_rows(spec_of: SpecOf, path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.uint64()),
            "share": pa.array([None, decimal.Decimal("1.10")]),
            "name": pa.array(["a", "b"]).dictionary_encode(),
            "open": [True, None],
            "day": [dt.date(2026, 1, 1), None],
            "raw": [b"x", None],
            "tags": [["a"], []],
            "none": pa.nulls(2),
        }
    )
    pq.write_table(table, path)
    with opened(spec_of()) as extraction:
        assert extraction.total_rows == 2
        assert dict(extraction.columns) == {
            "id": "number",
            "share": "number",
            "name": "text",
            "open": "boolean",
            "day": "time",
            "raw": "binary",
            "tags": "other",
            "none": "text",
        }


@pytest.mark.parametrize(
    ("array", "kind", "values"),
    [
        (pa.array([2**64 - 1], pa.uint64()), "uint64", [2**64 - 1]),
        (pa.array(["a", None]).dictionary_encode(), "string", ["a", None]),
        (pa.array(["a"], pa.large_string()), "large_string", ["a"]),
        (pa.array(["a"], pa.string_view()), "string", ["a"]),
        (pa.array([b"a"], pa.binary_view()), "binary", [b"a"]),
        (pa.array([b"abc", None], pa.binary(3)), "binary", [b"abc", None]),
        (pa.array([decimal.Decimal("1.10")]), "decimal128(3, 2)", [decimal.Decimal("1.10")]),
        (pa.array([decimal.Decimal("1.10")], pa.decimal256(50, 2)), "string", ["1.10"]),
        (pa.array([1.5], pa.float16()), "float", [1.5]),
        (pa.array([UUID(int=7), None], pa.uuid()), "string", [str(UUID(int=7)), None]),
        (pa.array(['{"a": 1}'], pa.json_()), "string", ['{"a": 1}']),
        (pa.nulls(2), "string", [None, None]),
        (pa.array([[1, None], None]), "list<element: int64>", [[1, None], None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else None,
)
def test_a_value_keeps_its_type_or_is_spelled(
    spec_of: SpecOf, path: Path, array: pa.Array, kind: str, values: list[Any]
) -> None:
    pq.write_table(pa.table({"id": array}), path)
    column = table_of(spec_of()).column("id")
    assert (str(column.type), column.to_pylist()) == (kind, values)


def test_a_moment_keeps_its_zone(spec_of: SpecOf, path: Path) -> None:
    moment = pa.array([dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)], pa.timestamp("us", "Europe/Berlin"))
    pq.write_table(pa.table({"id": moment}), path)
    assert str(table_of(spec_of()).column("id").type) == "timestamp[us, tz=Europe/Berlin]"


ENDS = ["0001-01-01", "1677-09-21", "2026-01-02 03:04:05.123456", "2262-04-12", "9999-12-31", None]
"""Nanoseconds in 64 bits reach from 1677 to 2262."""


@pytest.mark.parametrize("nested", [False, True])
def test_a_moment_of_int96_is_the_one_that_was_written(spec_of: SpecOf, path: Path, nested: bool) -> None:
    moments = [each and dt.datetime.fromisoformat(each) for each in ENDS]
    array = pa.array([[each] for each in moments] if nested else moments)
    pq.write_table(pa.table({"id": array}), path, use_deprecated_int96_timestamps=True)
    assert pq.read_metadata(path).schema.column(0).physical_type == "INT96"
    assert values_of(spec_of(), "id") == array.to_pylist()


def test_values_load_into_their_declared_types(
    spec_of: SpecOf, path: Path, warehouse_url: str, open_run: Callable[[str], RunKey], query: Query
) -> None:
    table = pa.table(
        {
            "id": pa.array([1, 2, 2**40], pa.uint64()),
            "share": pa.array(["1.10", None, "2.00"]).cast(pa.decimal128(20, 2)),
            "code": [UUID(int=7).bytes] * 3,
            "at": pa.array([dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)] * 3, pa.timestamp("ns", "UTC")),
            "tags": [{"a": [1, 2]}, None, {"a": []}],
            "half": pa.array([0.5, None, 1], pa.float16()),
        }
    )
    table = table.set_column(2, "code", pa.array([UUID(int=7)] * 3, pa.uuid()))
    pq.write_table(table, path)
    columns = 'id = "integer"\nshare = "numeric(8,2)"\ncode = "uuid"\nat = "timestamptz"\ntags = "jsonb"\nhalf = "real"'
    result = load_table(spec_of(columns, "[checks]\nmax_rejects = 1\n"), warehouse_url, run=open_run("r1"))
    assert (result.extracted, result.inserted, result.rejected) == (3, 2, 1)
    assert query("SELECT id, share::text, code::text, at::text, tags::text, half FROM city ORDER BY id") == [
        (1, "1.10", str(UUID(int=7)), "2026-07-01 12:00:00+00", '{"a": [1, 2]}', 0.5),
        (2, None, str(UUID(int=7)), "2026-07-01 12:00:00+00", None, None),
    ]


def test_a_long_file_comes_in_small_batches_and_in_order(spec_of: SpecOf, path: Path) -> None:
    count = 60_000
    table = pa.table({"id": range(count), "name": pa.array([str(n % 7) * 300 for n in range(count)])})
    pq.write_table(table, path, row_group_size=25_000)
    with opened(spec_of('id = "integer"\nname = "text"')) as extraction:
        batches = list(extraction.batches)
    assert [value for batch in batches for value in batch.column("id").to_pylist()] == list(range(count))
    # the file says 0.3 MB, as each of the seven texts is stored once
    assert max(batch.slice(0).nbytes for batch in batches) <= parquet_source.BATCH_BYTES + 1000


def test_a_name_that_stands_twice_is_drift_when_it_is_wanted(spec_of: SpecOf, path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1])] * 3, names=["id", "x", "x"]), path)
    assert values_of(spec_of(), "id") == [1]
    with pytest.raises(SchemaDriftError, match=r"city\.parquet holds column 'x' twice"):
        table_of(spec_of('id = "integer"\nx = "integer"'))


def test_a_transform_gets_every_column_but_the_geometry(spec_of: SpecOf, path: Path, tmp_path: Path) -> None:
    write_points(path)
    spec = spec_of(more=GEOMETRY).model_copy(update={"transform": tmp_path / "city.py"})
    assert table_of(spec).column_names == ["id", "name", "geom"]


@pytest.mark.parametrize("content", [b"", b"id,name\n1,a\n", b"PAR1" + b"x" * 90])
def test_a_file_of_another_kind_is_unreadable(spec_of: SpecOf, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(SourceUnreadableError, match=r"city: city\.parquet cannot be read: [^\n]*$"):
        table_of(spec_of())


@pytest.mark.parametrize(
    ("start", "what"), [(b"PK\3\4", "a .zip"), (b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd")]
)
def test_a_packed_file_is_called_packed_and_not_corrupted(spec_of: SpecOf, path: Path, start: bytes, what: str) -> None:
    path.write_bytes(start + bytes(100))
    with pytest.raises(SourceUnreadableError, match=rf"^city: city\.parquet is .*{what}; .* unpack it$"):
        table_of(spec_of())


def test_a_file_that_breaks_off_is_unreadable(spec_of: SpecOf, path: Path) -> None:
    pq.write_table(pa.table({"id": range(10_000)}), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceUnreadableError, match=r"city\.parquet cannot be read: Parquet magic bytes not found"):
        table_of(spec_of())


@pytest.mark.parametrize("checksum", [True, False])
def test_damaged_values_are_unreadable(spec_of: SpecOf, path: Path, checksum: bool) -> None:
    # a single flipped byte of a file without checksums cannot be seen
    pq.write_table(pa.table({"id": range(200_000)}), path, write_page_checksum=checksum, compression="zstd")
    content = bytearray(path.read_bytes())
    damaged = slice(20_000, 20_001 if checksum else 40_000)
    content[damaged] = bytes(each ^ 0xFF for each in content[damaged])
    path.write_bytes(content)
    with pytest.raises(SourceUnreadableError, match=r"city: city\.parquet cannot be read after row [\d,]+: [^\n]*$"):
        table_of(spec_of())


def test_a_member_is_an_error_of_the_config(spec_of: SpecOf, path: Path) -> None:
    pq.write_table(pa.table({"id": [1]}), path)
    with pytest.raises(ConfigError, match=r"source\.member: Parquet is read unpacked"):
        table_of(spec_of(options='member = "city.parquet"'))


PLACES = [shapely.Point(-66.6, 18), None]


def write_points(path: Path, crs: object = "EPSG:4269", **options: Any) -> None:
    frame = geopandas.GeoDataFrame({"id": [1, 2], "name": ["a", "b"]}, geometry=PLACES, crs=crs)
    frame.to_parquet(path, **options)


def change_geo(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the file's GeoParquet metadata."""
    table = pq.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    change(geo)
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)


def geometry_of(spec: TableSpec) -> tuple[list[Any], str | None]:
    with opened(spec) as extraction:
        assert "geometry" not in extraction.columns
        table = pa.Table.from_batches(extraction.batches)
        return list(shapely.from_wkb(table.column("geom").to_numpy())), extraction.crs


def test_the_primary_geometry_needs_no_name_and_keeps_its_crs(spec_of: SpecOf, path: Path) -> None:
    write_points(path)
    shapes, crs = geometry_of(spec_of(more=GEOMETRY))
    assert shapes == PLACES
    assert json.loads(crs or "")["id"] == {"authority": "EPSG", "code": 4269}


def test_an_absent_crs_means_longitude_and_latitude(spec_of: SpecOf, path: Path) -> None:
    write_points(path)
    change_geo(path, lambda geo: geo["columns"]["geometry"].pop("crs"))
    assert geometry_of(spec_of(more=GEOMETRY))[1] == "OGC:CRS84"


def test_a_null_crs_is_an_unknown_one(spec_of: SpecOf, path: Path) -> None:
    write_points(path, crs=None)
    assert geometry_of(spec_of(more=GEOMETRY))[1] is None


def test_another_geometry_than_the_primary_can_be_named(spec_of: SpecOf, path: Path) -> None:
    frame = geopandas.GeoDataFrame(
        {"id": [1], "centre": geopandas.GeoSeries([shapely.Point(5, 6)], crs=3857)}, geometry=[PLACES[0]], crs=4326
    )
    frame.to_parquet(path)
    with opened(spec_of(more=f'{GEOMETRY}source = "centre"')) as extraction:
        assert dict(extraction.columns) == {"id": "number", "geometry": "binary"}
        assert '"code": 3857' in (extraction.crs or "")
        assert shapely.from_wkb(next(extraction.batches).column("geom")[0].as_py()) == shapely.Point(5, 6)


def test_a_geometry_that_is_not_stored_as_wkb_is_refused(spec_of: SpecOf, path: Path) -> None:
    write_points(path, geometry_encoding="geoarrow", schema_version="1.1.0")
    with pytest.raises(
        SourceUnreadableError, match="its geometry 'geometry' in the encoding 'point'; only WKB is read"
    ):
        table_of(spec_of(more=GEOMETRY))


@pytest.mark.parametrize(
    "text", ["{", "[]", "[" * 999, '{"columns": {}}', '{"columns": {"a": {}}, "primary_column": "a"}']
)
def test_broken_geoparquet_metadata_is_a_named_error(spec_of: SpecOf, path: Path, text: str) -> None:
    pq.write_table(pa.table({"id": [1], "a": [b""]}).replace_schema_metadata({"geo": text}), path)
    with pytest.raises(SourceUnreadableError, match="holds GeoParquet metadata that is broken"):
        table_of(spec_of(more=GEOMETRY))


def test_a_primary_geometry_that_is_not_there_is_a_named_error(spec_of: SpecOf, path: Path) -> None:
    write_points(path)
    change_geo(path, lambda geo: geo.update(primary_column="shape"))
    with pytest.raises(SourceUnreadableError, match="says that column 'shape' is its geometry, and has none"):
        table_of(spec_of(more=GEOMETRY))


def test_a_file_that_says_nothing_of_a_geometry_asks_for_its_column(spec_of: SpecOf, path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "geo": ["POINT (1 2)"]}), path)
    with pytest.raises(
        SchemaDriftError, match=r"name the column that holds it; did you mean 'geo'\? as geometry.source"
    ):
        table_of(spec_of(more=GEOMETRY))
    assert values_of(spec_of(more=f'{GEOMETRY}source = "geo"'), "geom") == ["POINT (1 2)"]


def test_x_and_y_keep_their_types(spec_of: SpecOf, path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "lon": [-66.6], "lat": [18]}), path)
    table = table_of(spec_of(more=f'{GEOMETRY}x = "lon"\ny = "lat"'))
    assert table.to_pylist() == [{"id": 1, "geom.x": -66.6, "geom.y": 18}]


class _Wkb(pa.ExtensionType):  # type: ignore[misc]  # pyarrow is untyped
    """What pyarrow writes as Parquet's GEOMETRY."""

    def __init__(self, crs: str | None = None) -> None:
        self.crs = crs
        super().__init__(pa.binary(), "geoarrow.wkb")

    def __arrow_ext_serialize__(self) -> bytes:
        return json.dumps({"crs": self.crs} if self.crs else {}).encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> _Wkb:
        return cls(json.loads(serialized).get("crs"))


@pytest.mark.parametrize(
    ("written", "crs"), [(None, "OGC:CRS84"), ("EPSG:4269", "EPSG:4269"), ("srid:5070", "EPSG:5070"), ("srid:0", None)]
)
def test_parquets_own_geometry_type_is_read(spec_of: SpecOf, path: Path, written: str | None, crs: str | None) -> None:
    pa.register_extension_type(_Wkb())
    try:
        wkb = pa.ExtensionArray.from_storage(_Wkb(written), pa.array([PLACES[0].wkb, None]))
        pq.write_table(pa.table({"id": [1, 2], "geometry": wkb}), path, store_schema=False)
    finally:
        pa.unregister_extension_type("geoarrow.wkb")
    assert geometry_of(spec_of(more=GEOMETRY)) == (PLACES, crs)


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Callable[[TableSpec], TableRun]:
    return lambda spec: load_table(spec, warehouse_url, run=open_run("r1"))


def test_a_geoparquet_file_loads_in_its_crs(
    spec_of: SpecOf, path: Path, load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    frame = geopandas.GeoDataFrame({"id": [1]}, geometry=[PLACES[0]], crs=4326).to_crs(3857)
    frame.to_parquet(path)
    load(spec_of(more=GEOMETRY))
    assert query("SELECT round(ST_X(geom)::numeric, 6)::text, ST_SRID(geom) FROM city") == [("-66.600000", 4326)]


def test_a_field_of_a_struct_is_named_by_its_path_and_a_column_spelled_so_wins(
    write_spec: Callable[..., TableSpec], path: Path
) -> None:
    inner = pa.struct([("cm", pa.int32()), ("unit", pa.dictionary(pa.int8(), pa.string()))])
    meta = pa.struct([("color", pa.string()), ("size", inner)])
    values = [{"color": "red", "size": {"cm": 1, "unit": "x"}}, {"color": None, "size": None}, None]
    own = pa.array(["a", "b", "c"])
    pq.write_table(pa.table({"id": [1, 2, 3], "meta": pa.array(values, meta), "meta.own": own}), path)
    columns = {"id": None, "color": "meta.color", "cm": "meta.size.cm", "unit": "meta.size.unit", "own": "meta.own"}
    toml = f'description = "x"\nkey = "id"\nsource = {{ kind = "parquet", uri = "{path}" }}\n[columns]\n'
    toml += "\n".join(f'{name} = {{ source = "{source or name}", type = "text" }}' for name, source in columns.items())
    assert table_of(write_spec("city", toml)).to_pylist() == [
        {"id": 1, "color": "red", "cm": 1, "unit": "x", "own": "a"},
        {"id": 2, "color": None, "cm": None, "unit": None, "own": "b"},
        {"id": 3, "color": None, "cm": None, "unit": None, "own": "c"},
    ]
    with pytest.raises(SchemaDriftError, match=r"column 'meta\.hue' is missing"):
        table_of(write_spec("city", toml.replace("meta.color", "meta.hue")))
