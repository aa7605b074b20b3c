"""What a merge does to the warehouse table: the rows that it writes and takes away, and what the table is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sluiceway.errors import ShrunkExtractionError, TargetMismatchError
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
Load = Callable[..., TableRun]
HEAD = 'description = "Sign\'s \\"texts\\""\nsource = { kind = "csv", uri = "sign.csv" }\n'
SIGN = HEAD + 'key = "code"\ncolumns = { code = "text", says = "text" }\n'
ALL = "checks = { max_shrink = 1.0, max_rejects = 1.0 }\n"


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Load:
    """Loads a spec as run r1, r2, ..."""
    count = 0

    def run(spec: TableSpec, **options: Any) -> TableRun:
        nonlocal count
        count += 1
        return load_table(spec, warehouse_url, run=open_run(f"r{count}"), **options)

    return run


def counts(result: TableRun) -> tuple[int, int, int, int, int | None]:
    return result.inserted, result.updated, result.unchanged, result.deleted, result.table_rows


@pytest.mark.parametrize("missing", ["keep", "delete"])
def test_blanks_around_a_text_are_part_of_it_in_a_value_and_in_a_key(
    missing: str, write_spec: WriteSpec, load: Load, query: Query
) -> None:
    toml = f'on_missing = "{missing}"\n{SIGN}{ALL}'
    load(write_spec("sign", toml, sign__csv='code,says\na,stop\n"a ",go\n" a",slow\n'))
    assert query("SELECT code FROM sign ORDER BY says") == [("a ",), (" a",), ("a",)]
    again = load(write_spec("sign", toml, sign__csv='code,says\na,"stop "\n"a "," go"\n" a",slow\n'))
    assert counts(again) == (0, 2, 1, 0, 3)
    assert query("SELECT says FROM sign ORDER BY says") == [(" go",), ("slow",), ("stop ",)]
    back = load(write_spec("sign", toml, sign__csv='code,says\na,stop\n"a ",go\n" a",SLOW\n'))
    assert counts(back) == (0, 3, 0, 0, 3)
    gone = load(write_spec("sign", toml, sign__csv='code,says\n"a ",go\n" a",SLOW\n'))
    assert counts(gone) == (0, 0, 2, 1 if missing == "delete" else 0, 2 if missing == "delete" else 3)


def test_a_value_that_becomes_null_or_stops_being_null_is_an_update(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    load(write_spec("sign", SIGN, sign__csv="code,says\na,stop\nb,\nc,\n"))
    again = load(write_spec("sign", SIGN, sign__csv="code,says\na,\nb,go\nc,\n"))
    assert counts(again) == (0, 2, 1, 0, 3)
    assert query("SELECT code, says, etl_run_id FROM sign ORDER BY code") == [
        ("a", None, "master_etl/r2"),
        ("b", "go", "master_etl/r2"),
        ("c", None, "master_etl/r1"),
    ]


def test_a_table_that_is_nothing_but_its_key_is_loaded_again_and_again(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    toml = HEAD + 'key = ["code", "says"]\ncolumns = { code = "text", says = "text" }\n'
    assert counts(load(write_spec("sign", toml, sign__csv="code,says\na,stop\nb,go\n"))) == (2, 0, 0, 0, 2)
    assert counts(load(write_spec("sign", toml, sign__csv="code,says\na,stop\nb,stop\nb,go\n"))) == (1, 0, 2, 0, 3)
    assert query("SELECT code, says, etl_run_id FROM sign ORDER BY 1, 2") == [
        ("a", "stop", "master_etl/r1"),
        ("b", "go", "master_etl/r1"),
        ("b", "stop", "master_etl/r2"),
    ]


def test_a_table_is_made_with_its_description_its_key_and_what_is_required(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    toml = HEAD + (
        'key = ["b", "a"]\n'
        'columns = { a = "integer", b = "text", c = { type = "date", required = true }, d = "numeric(6)" }\n'
        'geometry = { type = "Point", source = "at", source_crs = "EPSG:4326", required = true, column = "spot" }\n'
    )
    csv = "a,b,c,d,at\n1,x,2020-01-01,5,POINT (1 2)\n1,y,2020-01-01,,POINT (1 2)\n"
    assert counts(load(write_spec("sign", toml, sign__csv=csv))) == (2, 0, 0, 0, 2)
    assert query("SELECT obj_description('sign'::regclass)") == [('Sign\'s "texts"',)]
    assert query("SELECT attname FROM pg_attribute WHERE attrelid = 'sign'::regclass AND attnum > 0 AND attnotnull "
                 "ORDER BY attname") == [("a",), ("b",), ("c",), ("etl_run_id",), ("spot",)]  # fmt: skip
    indexes = "SELECT indexdef FROM pg_indexes WHERE tablename = 'sign' ORDER BY 1"
    made = [str(row[0]) for row in query(indexes)]
    assert [each.partition(" USING ")[2] for each in made] == ["gist (spot)", "btree (b, a)"]
    query("DROP INDEX sign_spot_gist")
    # numeric(6) is numeric(6,0) in the catalog: the same shape, not another one
    assert counts(load(write_spec("sign", toml, sign__csv=csv), force=True)) == (0, 0, 2, 0, 2)
    assert [str(row[0]) for row in query(indexes)] == made, "an index that somebody has dropped comes back"


def test_a_shape_may_be_missing_where_it_is_not_required(write_spec: WriteSpec, load: Load, query: Query) -> None:
    toml = SIGN + 'geometry = { type = "Point", source = "at", source_crs = "EPSG:4326", required = false }\n'
    csv = "code,says,at\na,stop,POINT (1 2)\nb,go,\n"
    assert counts(load(write_spec("sign", toml, sign__csv=csv))) == (2, 0, 0, 0, 2)
    assert query("SELECT code FROM sign WHERE geom IS NULL") == [("b",)]
    assert counts(load(write_spec("sign", toml, sign__csv=csv), force=True)) == (0, 0, 2, 0, 2)


def test_the_planner_knows_how_many_rows_a_load_has_left(write_spec: WriteSpec, load: Load, query: Query) -> None:
    known = "SELECT reltuples::int FROM pg_class WHERE oid = 'sign'::regclass"
    toml = f'on_missing = "delete"\n{SIGN}{ALL}'
    load(write_spec("sign", toml, sign__csv="code,says\na,x\nb,x\nc,x\n"))
    assert query(known) == [(3,)]
    load(write_spec("sign", toml, sign__csv="code,says\na,x\nb,x\nc,x\nd,x\n"))
    assert query(known) == [(4,)]
    load(write_spec("sign", toml, sign__csv="code,says\na,x\nb,x\n"))
    assert query(known) == [(2,)]
    query("UPDATE sign SET says = 'y'")
    query("INSERT INTO sign VALUES ('e', 'x', 'by hand')")
    kept = write_spec("sign", toml.replace("delete", "keep"), sign__csv="code,says\na,z\nb,y\n")
    load(kept)
    assert query(known) == [(3,)]
    query("INSERT INTO sign VALUES ('f', 'x', 'by hand')")
    assert counts(load(kept, force=True)) == (0, 0, 2, 0, 4)
    assert query(known) == [(3,)], "a load that changes nothing need not look at all rows again"


def test_a_row_that_is_gone_is_marked_once_and_by_the_run_that_missed_it(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    toml = f'on_missing = "mark"\n{SIGN}{ALL}'
    load(write_spec("sign", toml, sign__csv="code,says\na,x\nb,x\nc,x\n"))
    assert counts(load(write_spec("sign", toml, sign__csv="code,says\na,x\nb,x\n"))) == (0, 0, 2, 1, 2)
    marked = query("SELECT code, etl_run_id, deleted_at FROM sign WHERE deleted_at IS NOT NULL")
    assert [row[:2] for row in marked] == [("c", "master_etl/r2")]
    assert query("SELECT now() - deleted_at < interval '5 minutes' FROM sign WHERE code = 'c'") == [(True,)]
    assert counts(load(write_spec("sign", toml, sign__csv="code,says\na,x\n"))) == (0, 0, 1, 1, 1)
    assert query("SELECT code, etl_run_id, deleted_at FROM sign WHERE code = 'c'") == marked, "not once more"
    assert counts(load(write_spec("sign", toml, sign__csv="code,says\na,x\nc,x\nd,x\n"))) == (1, 1, 1, 0, 3)
    assert query("SELECT code FROM sign WHERE deleted_at IS NULL ORDER BY 1") == [("a",), ("c",), ("d",)]


@pytest.mark.parametrize("missing", ["delete", "mark"])
def test_a_load_may_take_away_exactly_max_shrink_of_the_rows(
    missing: str, write_spec: WriteSpec, load: Load, query: Query
) -> None:
    toml = f'on_missing = "{missing}"\n{SIGN}checks = {{ max_shrink = 0.5 }}\n'
    load(write_spec("sign", toml, sign__csv="code,says\na,x\nb,x\nc,x\nd,x\n"))
    with pytest.raises(ShrunkExtractionError, match="would take away 3 of 5 rows"):
        load(write_spec("sign", toml, sign__csv="code,says\na,x\ne,x\n"))
    assert query("SELECT count(*) FROM sign") == [(4,)]
    assert counts(load(write_spec("sign", toml, sign__csv="code,says\na,x\nb,x\n"))) == (0, 0, 2, 2, 2)


def test_a_table_of_another_key_is_refused_and_stays(write_spec: WriteSpec, load: Load, query: Query) -> None:
    load(write_spec("sign", SIGN, sign__csv="code,says\na,x\n"))
    for key, said in (('["code", "says"]', "code, says"), ('"says"', "says")):
        told = rf"^sign: the key is \(code\) in the warehouse and \({said}\) in the spec; drop the table and load it a"
        with pytest.raises(TargetMismatchError, match=told):
            load(write_spec("sign", SIGN.replace('"code"', key, 1), sign__csv="code,says\na,x\n"))
    told = (
        r"^sign: column 'says' is text in the warehouse and date in the spec; ALTER it, or drop the table and load it "
        r"anew\.$"
    )
    with pytest.raises(TargetMismatchError, match=told):
        load(write_spec("sign", SIGN.replace('says = "text"', 'says = "date", new = "date"'),
                        sign__csv="code,says,new\na,2020-01-01,\n"))  # fmt: skip
    assert query("SELECT * FROM sign") == [("a", "x", "master_etl/r1")], "no column was added either"


def test_a_table_with_a_key_of_several_columns_is_refused_with_all_of_them(write_spec: WriteSpec, load: Load) -> None:
    load(write_spec("sign", SIGN.replace('"code"', '["code", "says"]', 1), sign__csv="code,says\na,x\n"))
    with pytest.raises(
        TargetMismatchError, match=r"the key is \(code, says\) in the warehouse and \(code\) in the spec"
    ):
        load(write_spec("sign", SIGN, sign__csv="code,says\na,x\n"))


def test_a_column_that_somebody_has_dropped_comes_back_and_one_that_somebody_added_stays(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    load(write_spec("sign", SIGN, sign__csv="code,says\na,x\nb,y\n"))
    query("ALTER TABLE sign DROP COLUMN says, ADD COLUMN note text DEFAULT 'mine'")
    assert counts(load(write_spec("sign", SIGN, sign__csv="code,says\na,x\nb,y\n"), force=True)) == (0, 2, 0, 0, 2)
    assert query("SELECT code, says, note FROM sign ORDER BY code") == [("a", "x", "mine"), ("b", "y", "mine")]


def test_a_table_of_every_type_is_found_again_as_it_was_made(write_spec: WriteSpec, load: Load) -> None:
    toml = HEAD + (
        'key = "a"\ncolumns = { a = "bigint", b = "varchar(8)", c = "varchar", d = "timestamp", e = "timestamptz", '
        'f = "numeric(6)", g = "numeric(6,2)", h = "numeric", i = "smallint", j = "integer", k = "real", '
        'l = "double precision", m = "boolean", n = "date", o = "uuid", p = "jsonb", q = "text" }\n'
    )
    csv = "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\n1" + "," * 16 + "\n2" + "," * 16 + "\n"
    load(write_spec("sign", toml, sign__csv=csv))
    assert counts(load(write_spec("sign", toml, sign__csv=csv), force=True)) == (0, 0, 2, 0, 2)


def test_rows_of_a_first_load_that_was_staged_to_tell_its_repeated_keys_name_the_run_that_wrote_them(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    result = load(write_spec("sign", SIGN + ALL, sign__csv="code,says\na,stop\nb,go\na,slow\n"))
    assert (counts(result), result.rejected) == ((2, 0, 0, 0, 2), 1)
    assert query("SELECT code, etl_run_id FROM sign ORDER BY 1") == [("a", "master_etl/r1"), ("b", "master_etl/r1")]


def test_a_table_whose_name_is_as_long_as_one_may_be_has_an_index_of_its_places(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    toml = SIGN + 'geometry = { type = "Point", source = "at", source_crs = "EPSG:4326" }\n'
    longest = "s" * 63
    # PostgreSQL would cut the index's name, and find that of the table
    load(write_spec(longest, toml, sign__csv="code,says,at\na,stop,POINT (1 2)\n"))
    (index,) = query("SELECT indexdef FROM pg_indexes WHERE tablename = %s AND indexdef LIKE '%%gist%%'", longest)
    assert str(index[0]).endswith("USING gist (geom)")
