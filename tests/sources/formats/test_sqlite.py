"""SQLite: values as they are, table and column names checked, the geometry's bytes handed over."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
import shapely

from sluiceway.errors import SchemaDriftError, SourceMissingError, SourceUnreadableError
from sluiceway.infer.asked import Asked
from sluiceway.infer.infer import infer
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.sources.formats.sqlite import BATCH_BYTES, BATCH_ROWS, FIRST_ROWS
from sluiceway.tables.spec import TableSpec
from tests.sources.opened import opened

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
TOML = """
description = "Cities"
key = "id"
source = { kind = "sqlite", uri = "city.db", table = "city" }
columns = { id = "integer", name = "text", people = "bigint", share = "double precision" }
"""
GEOMETRY = '[geometry]\nsource = "shape"\ntype = "Point"\nsource_crs = "EPSG:4326"\n'


@pytest.fixture
def write_city(tmp_path: Path) -> Callable[..., None]:
    """Writes city.db with a table of the given columns and rows."""

    def write(
        rows: Iterable[tuple[object, ...]],
        ddl: str = "CREATE TABLE city (id INTEGER, name TEXT, people BIGINT, share REAL)",
    ) -> None:
        with closing(sqlite3.connect(tmp_path / "city.db")) as connection, connection:
            connection.execute(ddl)
            for row in rows:
                connection.execute(f"INSERT INTO city VALUES ({', '.join('?' * len(row))})", row)

    return write


def table_of(spec: TableSpec) -> pa.Table:
    with opened(spec) as extraction:
        return pa.Table.from_batches(extraction.batches)


def test_values_keep_their_types(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    write_city([(1, "Ponce", 10, 0.5), (2, None, None, None)])
    table = table_of(write_spec("city", TOML))
    assert [str(kind) for kind in table.schema.types] == ["int64", "string", "int64", "double"]
    assert table.to_pylist() == [
        {"id": 1, "name": "Ponce", "people": 10, "share": 0.5},
        {"id": 2, "name": None, "people": None, "share": None},
    ]


def test_a_column_of_mixed_values_is_text(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    write_city([(1, "a", 10, 0.5), (2, "b", "many", 0.25)])
    assert table_of(write_spec("city", TOML)).column("people").to_pylist() == ["10", "many"]


def test_a_whole_number_among_fractions_stays_a_number(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    write_city([(1, "a", 1, 0.5), (2, "b", 2, 3)], "CREATE TABLE city (id, name, people, share)")
    assert table_of(write_spec("city", TOML)).column("share").to_pylist() == [0.5, 3.0]


def test_a_large_integer_among_fractions_is_not_rounded(
    write_spec: WriteSpec, write_city: Callable[..., None], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    # 2**53 + 1 is no double
    write_city([(1, "a", 0.5, 1), (2, "b", 9007199254740993, 1)], "CREATE TABLE city (id, name, people, share)")
    load(write_spec("city", TOML.replace('"bigint"', '"numeric"')))
    assert query("SELECT people::text FROM city ORDER BY id") == [("0.5",), ("9007199254740993",)]


def test_a_table_of_several_batches_comes_in_order_of_its_rows(
    write_spec: WriteSpec, write_city: Callable[..., None]
) -> None:
    count = FIRST_ROWS + BATCH_ROWS + 7
    write_city((number, "x", number, 0.5) for number in range(count))
    assert table_of(write_spec("city", TOML)).column("id").to_pylist() == list(range(count))


def test_an_integer_beyond_64_bits_is_kept_as_text(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    write_city([(1, "a", "9223372036854775808", 0.5)], "CREATE TABLE city (id, name, people, share)")
    assert table_of(write_spec("city", TOML)).column("people").to_pylist() == ["9223372036854775808"]


def test_a_missing_table_names_the_nearest(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    write_city([])
    with pytest.raises(SourceMissingError, match=r"city\.db has no table 'citys'; did you mean 'city'\?"):
        table_of(write_spec("city", TOML.replace('table = "city"', 'table = "citys"')))


def test_a_missing_column_names_the_nearest(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    write_city([])
    with pytest.raises(SchemaDriftError, match="table city, column 'names' is missing; did you mean 'name'"):
        table_of(write_spec("city", TOML.replace("name =", "names =")))


def test_a_missing_geometry_column_names_the_nearest(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    # SQLite takes a quoted name that is no column for a text: "shape" would be 'shape' in every row
    ddl = "CREATE TABLE city (id INTEGER, name TEXT, people BIGINT, share REAL, shapes BLOB)"
    write_city([(1, "a", 1, 0.5, b"")], ddl)
    with pytest.raises(SchemaDriftError, match="column 'shape' is missing; did you mean 'shapes'"):
        table_of(write_spec("city", TOML + GEOMETRY))


def test_a_view_can_be_read(write_spec: WriteSpec, write_city: Callable[..., None], tmp_path: Path) -> None:
    write_city([(1, "Ponce", 10, 0.5)])
    with closing(sqlite3.connect(tmp_path / "city.db")) as connection:
        connection.execute("CREATE VIEW big AS SELECT * FROM city WHERE people > 5")
    assert table_of(write_spec("city", TOML.replace('table = "city"', 'table = "big"'))).num_rows == 1


def test_a_table_without_rowid_can_be_read(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    ddl = "CREATE TABLE city (id INTEGER PRIMARY KEY, name TEXT, people BIGINT, share REAL) WITHOUT ROWID"
    write_city([(2, "b", 1, 0.5), (1, "a", 1, 0.5)], ddl)
    assert sorted(table_of(write_spec("city", TOML)).column("id").to_pylist()) == [1, 2]


def test_names_with_quotes_are_names(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    write_city([(1, "Ponce")], 'CREATE TABLE city (id INTEGER, "na""me;--" TEXT)')
    toml = TOML.replace('name = "text", people = "bigint", share = "double precision"', "NAME")
    toml = toml.replace("NAME", 'name = { source = "na\\"me;--", type = "text" }')
    assert table_of(write_spec("city", toml)).to_pylist() == [{"id": 1, "name": "Ponce"}]


def test_a_file_that_is_no_sqlite_is_unreadable(write_spec: WriteSpec) -> None:
    with pytest.raises(SourceUnreadableError, match=r"city: city\.db cannot be read: file is not a database"):
        table_of(write_spec("city", TOML, city__db="id,name\n" * 200))


def test_a_file_that_breaks_off_is_unreadable(
    write_spec: WriteSpec, write_city: Callable[..., None], tmp_path: Path
) -> None:
    write_city((number, "x" * 100, number, 0.5) for number in range(2000))
    whole = (tmp_path / "city.db").read_bytes()
    (tmp_path / "city.db").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceUnreadableError, match=r"city\.db cannot be read: .*malformed"):
        table_of(write_spec("city", TOML))


def test_what_sqlite_says_of_a_name_that_is_no_text_is_one_sentence(
    write_spec: WriteSpec, write_city: Callable[..., None], tmp_path: Path
) -> None:
    write_city([(1, "Ponce", 1, 0.5)])
    path = tmp_path / "city.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE VIEW xyz AS SELECT 1")
    path.write_bytes(path.read_bytes().replace(b"xyz", b"\xff\xff\xff").replace(b"AS SELECT 1", b"AS SELEKT 1"))
    said = r"city\.db cannot be read: it holds a name that is no UTF-8"
    with pytest.raises(SourceUnreadableError, match=said):
        table_of(write_spec("city", TOML))
    with pytest.raises(SourceUnreadableError, match=said):
        infer(Asked(str(path)))


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_reading_changes_nothing_of_the_file(
    write_spec: WriteSpec, write_city: Callable[..., None], tmp_path: Path, journal: str
) -> None:
    write_city([(1, "Ponce", 10, 0.5)])
    with closing(sqlite3.connect(tmp_path / "city.db")) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
    before = (tmp_path / "city.db").read_bytes()
    assert table_of(write_spec("city", TOML)).num_rows == 1
    assert (tmp_path / "city.db").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["city.db", "city.toml"]


def test_rows_that_still_stand_in_the_log_of_a_writer_are_read(
    write_spec: WriteSpec, write_city: Callable[..., None], tmp_path: Path
) -> None:
    write_city([(1, "Ponce", 10, 0.5)])
    with closing(sqlite3.connect(tmp_path / "city.db")) as writer:
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("INSERT INTO city VALUES (2, 'Caguas', 10, 0.5)")
        writer.commit()
        assert table_of(write_spec("city", TOML)).num_rows == 2


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_the_connection_cannot_write(
    write_spec: WriteSpec,
    write_city: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    journal: str,
) -> None:
    write_city([(1, "Ponce", 10, 0.5)])
    connections = []
    connect = sqlite3.connect
    with closing(connect(tmp_path / "city.db")) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")

    def remembered(*args: object, **options: object) -> sqlite3.Connection:
        connections.append(connect(*args, **options))  # type: ignore[call-overload]
        return connections[-1]

    monkeypatch.setattr(sqlite3, "connect", remembered)
    with opened(write_spec("city", TOML)), pytest.raises(sqlite3.OperationalError, match="readonly database"):
        connections[0].execute("DELETE FROM city")
    assert len(connections) == 1


def test_batches_of_long_values_stay_small(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    write_city((number, "x" * 20_000, number, 0.5) for number in range(1000))
    with opened(write_spec("city", TOML)) as extraction:
        sizes = [batch.nbytes for batch in extraction.batches]
    assert max(sizes[1:]) <= BATCH_BYTES + 50_000


def test_a_column_without_a_value_is_text_which_every_type_can_be(
    write_spec: WriteSpec, write_city: Callable[..., None], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    write_city([(1, "a", None, None)])
    load(write_spec("city", TOML.replace('"bigint"', '"date"').replace('"double precision"', '"jsonb"')))
    assert query("SELECT people, share FROM city") == [(None, None)]


def test_a_generated_column_is_a_column(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    write_city([(1, "a", 2)], "CREATE TABLE city (id INTEGER, name TEXT, people INT, share AS (people / 4.0))")
    assert table_of(write_spec("city", TOML)).column("share").to_pylist() == [0.5]


def test_x_and_y_come_as_two_columns(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    write_city([(1, "a", 10, 0.5)])
    geometry = '[geometry]\ntype = "Point"\nsource_crs = "EPSG:4326"\nx = "people"\ny = "share"\n'
    assert table_of(write_spec("city", TOML + geometry)).select(["geom.x", "geom.y"]).to_pylist() == [
        {"geom.x": 10, "geom.y": 0.5}
    ]


def test_a_transform_gets_every_column_and_the_geometry(
    write_spec: WriteSpec, write_city: Callable[..., None], tmp_path: Path
) -> None:
    write_city([(1, "a", 2, 0.5, b"x", "more")], "CREATE TABLE city (id, name, people, share, shape BLOB, more)")
    spec = write_spec("city", TOML + GEOMETRY).model_copy(update={"transform": tmp_path / "city.py"})
    assert table_of(spec).column_names == ["id", "name", "people", "share", "more", "geom"]


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Callable[[TableSpec], TableRun]:
    return lambda spec: load_table(spec, warehouse_url, run=open_run("r1"))


def test_bytes_that_are_no_wkb_are_a_reject(
    write_spec: WriteSpec, write_city: Callable[..., None], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    ddl = "CREATE TABLE city (id INTEGER, name TEXT, people BIGINT, share REAL, shape BLOB)"
    shapes = (shapely.to_wkb(shapely.Point(1, 2)), b"\x00\x01no", None)
    write_city([(number, "a", 1, 0.5, shape) for number, shape in enumerate(shapes, 1)], ddl)
    result = load(write_spec("city", TOML + GEOMETRY + "[checks]\nmax_rejects = 2\n"))
    assert (result.extracted, result.inserted, result.rejected) == (3, 1, 2)
    assert query("SELECT ST_AsText(geom), ST_SRID(geom) FROM city") == [("POINT(1 2)", 4326)]
    assert query("SELECT row_number, reason, row ->> 'geom' FROM etl.reject ORDER BY 1") == [
        (2, "geom: is no readable WKB", "00016e6f"),
        (3, "geom: is null or empty", None),
    ]


def test_a_geometry_column_of_text_is_read_as_wkt_row_by_row(
    write_spec: WriteSpec, write_city: Callable[..., None], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    ddl = "CREATE TABLE city (id INTEGER, name TEXT, people BIGINT, share REAL, shape)"
    write_city([(1, "a", 1, 0.5, "POINT(1 2)"), (2, "b", 1, 0.5, "PINT(1 2)")], ddl)
    load(write_spec("city", TOML + "[checks]\nmax_rejects = 1\n" + GEOMETRY))
    assert query("SELECT id, ST_AsText(geom) FROM city") == [(1, "POINT(1 2)")]
    assert query("SELECT reason FROM etl.reject") == [("geom: is no readable WKT, WKB or GeoJSON: 'PINT(1 2)'",)]


def test_a_value_that_is_no_number_among_numbers_is_one_reject(
    write_spec: WriteSpec, write_city: Callable[..., None], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    write_city([(1, "a", 10, 0.5), (2, "b", "many", 0.5)])
    load(write_spec("city", TOML + "[checks]\nmax_rejects = 1\n"))
    assert query("SELECT id, people FROM city") == [(1, 10)]
    assert query("SELECT row_number, reason FROM etl.reject") == [(2, "people: 'many' is no bigint")]


def test_batches_of_other_types_load_into_one_column(
    write_spec: WriteSpec, write_city: Callable[..., None], load: Callable[[TableSpec], TableRun], query: Query
) -> None:
    # the first batch holds integers only, the second a fraction and text: the warehouse sees one bigint column
    ddl = "CREATE TABLE city (id INTEGER, name TEXT, people, share REAL)"
    write_city([(number, "x", number, 0.5) for number in range(FIRST_ROWS)], ddl)
    with_last = TOML + "[checks]\nmax_rejects = 2\n"
    spec = write_spec("city", with_last)
    with closing(sqlite3.connect(Path(spec.source.uri))) as connection, connection:
        connection.execute("INSERT INTO city VALUES (?, 'y', 7.0, 0.5)", (FIRST_ROWS,))
        connection.execute("INSERT INTO city VALUES (?, 'z', 1.5, 0.5)", (FIRST_ROWS + 1,))
        connection.execute("INSERT INTO city VALUES (?, 'z', 'q', 0.5)", (FIRST_ROWS + 2,))
    result = load(spec)
    assert (result.extracted, result.inserted, result.rejected) == (FIRST_ROWS + 3, FIRST_ROWS + 1, 2)
    assert query("SELECT people FROM city WHERE name = 'y'") == [(7,)]


def test_a_table_without_rows_is_an_empty_extraction(write_spec: WriteSpec, write_city: Callable[..., None]) -> None:
    write_city([])
    spec = write_spec("city", TOML)
    with opened(spec) as extraction:
        assert list(extraction.batches) == []
        assert dict(extraction.columns) == {"id": "number", "name": "text", "people": "number", "share": "number"}


def test_bytes_among_texts_are_no_text(
    write_spec: WriteSpec,
    write_city: Callable[..., None],
    warehouse_url: str,
    open_run: Callable[[str], RunKey],
) -> None:
    write_city([(1, "Ponce", 1, 0.5), (2, b"zz", 1, 0.5), (3, "Caguas", 1, 0.5)])
    with pytest.raises(SchemaDriftError, match="column 'name' holds binary values"):
        load_table(write_spec("city", TOML), warehouse_url, run=open_run("r1"))
