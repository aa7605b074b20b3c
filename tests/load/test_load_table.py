"""One table from its source into PostGIS: every row is loaded, or is a reject with a reason."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sluiceway.errors import (
    EmptyExtractionError,
    SchemaDriftError,
    ShrunkExtractionError,
    SourceMissingError,
    SourceUnreadableError,
    TargetMismatchError,
    TooManyRejectsError,
    WarehouseUnavailableError,
)
from sluiceway.ledger import store
from sluiceway.ledger.rejects import rejects_of
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

CITY = """
description = "Cities"
key = "id"
[source]
kind = "csv"
uri = "city.csv"
[columns]
id = "integer"
name = { type = "text", required = true }
people = "bigint"
founded = "date"
"""
CSV = "id,name,people,founded\n1,Mayagüez,1000,1760-09-18\n2,Ponce,,\n3,NA,5,1692-01-01\n"

Load = Callable[..., TableRun]
WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Load:
    """Loads a spec as run r1, r2, ..."""
    count = 0

    def run(spec: TableSpec, *, force: bool = False) -> TableRun:
        nonlocal count
        count += 1
        return load_table(spec, warehouse_url, run=open_run(f"r{count}"), force=force)

    return run


def counts(result: TableRun) -> tuple[int, int, int, int, int]:
    return result.extracted, result.inserted, result.updated, result.unchanged, result.rejected


def test_a_first_load_inserts_every_row_with_its_run(write_spec: WriteSpec, load: Load, query: Query) -> None:
    result = load(write_spec("city", CITY, city__csv=CSV))
    assert counts(result) == (3, 3, 0, 0, 0)
    assert query("SELECT id, name, people, founded::text, etl_run_id FROM city ORDER BY id") == [
        (1, "Mayagüez", 1000, "1760-09-18", "master_etl/r1"),
        (2, "Ponce", None, None, "master_etl/r1"),
        (3, "NA", 5, "1692-01-01", "master_etl/r1"),
    ]


def test_whoever_asks_is_told_how_far_a_load_has_come(
    write_spec: WriteSpec, warehouse_url: str, open_run: Callable[[str], RunKey]
) -> None:
    told: list[int] = []
    spec = write_spec("city", CITY, city__csv=CSV)
    load_table(spec, warehouse_url, run=open_run("r1"), progress=lambda rows, _of: told.append(rows))
    assert told[-1] == 3


def test_an_unchanged_source_is_not_loaded_again(write_spec: WriteSpec, load: Load, query: Query) -> None:
    spec = write_spec("city", CITY, city__csv=CSV)
    first, again = load(spec), load(spec)
    assert (again.status, again.table_rows, counts(again)) == ("unchanged", 3, (0, 0, 0, 0, 0))
    of_source = {"bytes", "fingerprint", "spec_hash", "source_rows"}
    assert again.model_dump(include=of_source) == first.model_dump(include=of_source)
    assert (first.bytes, first.source_rows) == (len(CSV.encode()), 3)


def test_a_forced_load_counts_unchanged_rows_and_does_not_rewrite_them(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    spec = write_spec("city", CITY, city__csv=CSV)
    load(spec)
    before = query("SELECT xmin::text, ctid::text FROM city ORDER BY id")
    assert counts(load(spec, force=True)) == (3, 0, 0, 3, 0)
    assert query("SELECT xmin::text, ctid::text FROM city ORDER BY id") == before


def test_one_edited_row_is_the_only_one_updated(write_spec: WriteSpec, load: Load, query: Query) -> None:
    load(write_spec("city", CITY, city__csv=CSV))
    edited = load(write_spec("city", CITY, city__csv=CSV.replace("1000", "1001")))
    assert counts(edited) == (3, 0, 1, 2, 0)
    assert query("SELECT id, people FROM city WHERE etl_run_id = 'master_etl/r2'") == [(1, 1001)]


def test_a_table_emptied_by_hand_is_loaded_again_although_its_source_is_unchanged(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    spec = write_spec("city", CITY, city__csv=CSV)
    load(spec)
    query("DELETE FROM city WHERE id = 2")
    assert counts(load(spec)) == (3, 1, 0, 2, 0)


def test_every_try_says_which_machine_made_it(write_spec: WriteSpec, load: Load, query: Query) -> None:
    spec = write_spec("city", CITY, city__csv=CSV)
    assert (load(spec).worker, load(spec).worker) == (socket.gethostname(), socket.gethostname())
    with pytest.raises(EmptyExtractionError):
        load(write_spec("city", CITY, city__csv=""))
    assert query("SELECT DISTINCT worker, status FROM etl.table_run WHERE try_number > 0 ORDER BY status") == [
        (socket.gethostname(), status) for status in ("failed", "loaded", "unchanged")
    ]


@pytest.mark.parametrize("source", ["", "id,name,people,founded\n"], ids=["no bytes", "a header only"])
def test_an_empty_source_fails_and_keeps_what_was_loaded(
    source: str, write_spec: WriteSpec, load: Load, query: Query
) -> None:
    load(write_spec("city", CITY, city__csv=CSV))
    with pytest.raises(EmptyExtractionError, match="city: the source gave no rows"):
        load(write_spec("city", CITY, city__csv=source))
    assert query("SELECT count(*) FROM city") == [(3,)]
    assert query("SELECT status, error_type FROM etl.table_run WHERE run_id = 'r2'") == [
        ("failed", "EmptyExtractionError")
    ]


def test_fewer_rows_than_min_rows_fail(write_spec: WriteSpec, load: Load, query: Query) -> None:
    with pytest.raises(EmptyExtractionError, match=r"only 3 rows, checks\.min_rows is 4"):
        load(write_spec("city", CITY + "[checks]\nmin_rows = 4\n", city__csv=CSV))
    assert query("SELECT to_regclass('city')") == [(None,)]


def test_a_source_that_shrank_more_than_allowed_fails(write_spec: WriteSpec, load: Load, query: Query) -> None:
    load(write_spec("city", CITY, city__csv=CSV))
    shorter = "\n".join(CSV.splitlines()[:3]) + "\n"
    with pytest.raises(ShrunkExtractionError, match="gave 2 rows and 3 at the last good load"):
        load(write_spec("city", CITY, city__csv=shorter))
    assert query("SELECT count(*) FROM city") == [(3,)]
    assert load(write_spec("city", CITY + "[checks]\nmax_shrink = 0.5\n", city__csv=shorter)).status == "loaded"


def test_a_missing_column_names_the_nearest(write_spec: WriteSpec, load: Load, query: Query) -> None:
    with pytest.raises(SchemaDriftError, match="column 'people' is missing; did you mean 'peoples'"):
        load(write_spec("city", CITY, city__csv=CSV.replace("people", "peoples")))
    assert query("SELECT to_regclass('city')") == [(None,)]


def test_a_column_without_one_value_of_its_type_is_drift_and_not_a_heap_of_rejects(
    write_spec: WriteSpec, load: Load
) -> None:
    with pytest.raises(SchemaDriftError, match="'people' is declared bigint and none of its 2 values is one"):
        load(write_spec("city", CITY, city__csv=CSV.replace("1000", "many").replace(",5,", ",few,")))


def test_a_column_whose_kind_of_values_changed_is_drift_until_its_spec_changes_too(
    write_spec: WriteSpec, load: Load, query: Query, tmp_path: Path
) -> None:
    def spec_of(people: str, values: list[object]) -> TableSpec:
        pq.write_table(pa.table({"id": [1, 2], "people": values}), tmp_path / "city.parquet")
        source = 'source = { kind = "parquet", uri = "city.parquet" }'
        return write_spec(
            "city",
            f'description = "c"\nkey = "id"\n{source}\ncolumns = {{ id = "integer", people = {people} }}\n',
        )

    load(spec_of('"bigint"', [5, 6]))
    with pytest.raises(SchemaDriftError, match=r"column 'people' held \w+ and now holds text"):
        load(spec_of('"bigint"', ["7", "8"]))
    assert query("SELECT people FROM city ORDER BY id") == [(5,), (6,)]
    assert load(spec_of('{ type = "bigint", required = true }', ["7", "8"])).updated == 2


BAD = (
    "id,name,people,founded\n"
    "1,Ponce,12,1692-01-01\n"
    "1,Ponce again,13,1692-01-01\n"  # row 2: row 1's key again
    "x,Caguas,14,1775-01-01\n"  # row 3: no integer
    "4,,15,1775-01-01\n"  # row 4: required and null
    "5,Arecibo,1.5,1556-02-30\n"  # row 5: two bad values
    "6,short\n"  # row 6: too few columns
    ",Nokey,1,1775-01-01\n"  # row 7: null key
    "8,Zero\0byte,1,1775-01-01\n"  # row 8: text PostgreSQL cannot hold
    "9,Fine,16,1775-01-01\n"
)


def test_every_bad_row_is_a_reject_with_number_reason_and_row(write_spec: WriteSpec, load: Load, query: Query) -> None:
    result = load(write_spec("city", CITY + "[checks]\nmax_rejects = 7\n", city__csv=BAD))
    assert counts(result) == (9, 2, 0, 0, 7)
    assert query("SELECT id, name FROM city ORDER BY id") == [(1, "Ponce again"), (9, "Fine")]
    rejects = query("SELECT row_number, column_name, reason, row ->> 'name' FROM etl.reject ORDER BY row_number")
    assert rejects == [
        (1, "id", "key (id) is repeated by row 2, which is loaded", "Ponce"),
        (3, "id", "id: 'x' is no integer", "Caguas"),
        (4, "name", "name: is null", None),
        (5, "people", "people: '1.5' is no bigint; founded: '1556-02-30' is no date", "Arecibo"),
        (6, None, "has 2 columns instead of 4", None),
        (7, "id", "id: is null", "Nokey"),
        (8, "name", "name: 'Zero\\x00byte' is no text", "Zero\ufffdbyte"),
    ]
    assert query("SELECT row ->> 'text' FROM etl.reject WHERE row_number = 6") == [("6,short",)]


def test_too_many_rejects_fail_the_table_and_are_still_shown(write_spec: WriteSpec, load: Load, query: Query) -> None:
    said = r"7 of 9 rows cannot be loaded and checks\.max_rejects allows 6\. The first: row 1: key \(id\) is repeated"
    with pytest.raises(TooManyRejectsError, match=said):
        load(write_spec("city", CITY + "[checks]\nmax_rejects = 6\n", city__csv=BAD))
    assert query("SELECT to_regclass('city')") == [(None,)]
    assert query("SELECT extracted, rejected FROM etl.table_run") == [(9, 7)]
    assert query("SELECT count(*) FROM etl.reject") == [(7,)]


def test_a_hundred_rejects_of_a_table_that_failed_are_shown(write_spec: WriteSpec, load: Load, query: Query) -> None:
    bad = "".join(f"{number},\n" for number in range(120))
    with pytest.raises(TooManyRejectsError, match="120 of 121 rows"):
        load(write_spec("city", CITY, city__csv=f"id,name,people,founded\n1,Ponce,,\n{bad}"))
    assert query("SELECT count(*), max(row_number) FROM etl.reject") == [(100, 101)]


def test_a_share_of_rejects_can_be_allowed(write_spec: WriteSpec, load: Load) -> None:
    assert load(write_spec("city", CITY + "[checks]\nmax_rejects = 0.8\n", city__csv=BAD)).rejected == 7


def test_a_repeated_load_is_a_try_of_its_own_and_its_rejects_are_those_that_stand(
    write_spec: WriteSpec, warehouse_url: str, open_run: Callable[[str], RunKey], query: Query
) -> None:
    spec = write_spec("city", CITY + "[checks]\nmax_rejects = 7\n", city__csv=BAD)
    for _ in range(2):
        load_table(spec, warehouse_url, run=open_run("same"), force=True)
    assert query("SELECT try_number, count(*) FROM etl.reject GROUP BY 1 ORDER BY 1") == [(1, 7), (2, 7)]
    with connect(warehouse_url) as session:
        (stands,) = store.table_runs(session, RunKey("master_etl", "same"))
        assert (stands.try_number, stands.rejected, len(rejects_of(session, stands))) == (2, 7, 7)


def test_numbers_of_rows_after_many_unreadable_ones_are_those_of_the_source(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    lines = [f"{n},c,1,2000-01-01" if n % 3 else f"{n},broken" for n in range(1, 3001)]
    lines[-2] = "bad,c,1,2000-01-01"  # row 2999
    spec = write_spec(
        "city", CITY + "[checks]\nmax_rejects = 1001\n", city__csv="id,name,people,founded\n" + "\n".join(lines) + "\n"
    )
    assert counts(load(spec)) == (3000, 1999, 0, 0, 1001)
    assert query("SELECT row_number FROM etl.reject WHERE column_name = 'id'") == [(2999,)]
    assert query("SELECT count(*) FROM etl.reject WHERE reason LIKE 'has 2 columns%' AND row_number % 3 <> 0") == [(0,)]


def test_without_a_natural_key_the_content_is_the_key(write_spec: WriteSpec, load: Load, query: Query) -> None:
    toml = """
        description = "Sales"
        key = "content"
        source = { kind = "csv", uri = "sale.csv" }
        columns = { item = "text", price = "numeric(6,2)" }
        checks = { max_rejects = 1, max_shrink = 0.5 }
    """
    spec = write_spec("sale", toml, sale__csv="item,price\npen,1.50\npen,1.50\npen,2\n,\n")
    assert counts(load(spec)) == (4, 3, 0, 0, 1)
    assert counts(load(spec, force=True)) == (4, 0, 0, 3, 1)
    assert query("SELECT reason FROM etl.reject WHERE run_id = 'r1'") == [
        ("whole content is repeated by row 2, which is loaded",)
    ]


def test_a_content_key_does_not_depend_on_how_the_server_writes_times_and_numbers(
    write_spec: WriteSpec, load: Load, query: Query, warehouse_url: str, open_run: Callable[[str], RunKey]
) -> None:
    toml = """
        description = "Sales"
        key = "content"
        source = { kind = "csv", uri = "sale.csv" }
        columns = { at = "timestamptz", day = "date", price = "double precision" }
    """
    csv = "at,day,price\n2020-02-29T05:00:00Z,2020-03-01,0.30000000000000004\n"
    spec = write_spec("sale", toml, sale__csv=csv)
    load(spec)
    content = '("2020-02-29 05:00:00+00",2020-03-01,0.30000000000000004)'
    assert query("SELECT content_key FROM sale") == [(UUID(hashlib.md5(content.encode()).hexdigest()),)]
    settings = "-c TimeZone=Asia/Tokyo -c DateStyle=German -c extra_float_digits=0"
    again = load_table(spec, f"{warehouse_url}?options={quote(settings)}", run=open_run("again"), force=True)
    assert counts(again) == (1, 0, 0, 1, 0)


def test_rows_that_left_the_source_stay_are_marked_or_go(write_spec: WriteSpec, load: Load, query: Query) -> None:
    checks = "[checks]\nmax_shrink = 0.4\n"
    shorter = CSV.replace("2,Ponce,,\n", "")
    load(write_spec("city", CITY.replace("key =", 'on_missing = "mark"\nkey =') + checks, city__csv=CSV))
    marked = load(write_spec("city", CITY.replace("key =", 'on_missing = "mark"\nkey =') + checks, city__csv=shorter))
    assert (marked.deleted, marked.table_rows) == (1, 2)
    assert query("SELECT id FROM city WHERE deleted_at IS NOT NULL") == [(2,)]
    back = load(write_spec("city", CITY.replace("key =", 'on_missing = "mark"\nkey =') + checks, city__csv=CSV))
    assert (back.updated, back.table_rows) == (1, 3)
    gone = load(write_spec("city", CITY.replace("key =", 'on_missing = "delete"\nkey =') + checks, city__csv=shorter))
    assert (gone.deleted, gone.table_rows) == (1, 2)
    kept = load(write_spec("city", CITY + checks, city__csv="id,name,people,founded\n9,New,1,\n8,N,1,\n"))
    assert (kept.deleted, kept.table_rows) == (0, 4)


def test_a_row_that_became_a_reject_does_not_count_as_missing(write_spec: WriteSpec, load: Load, query: Query) -> None:
    toml = CITY.replace("key =", 'on_missing = "delete"\nkey =') + "[checks]\nmax_rejects = 1\nmax_shrink = 1.0\n"
    load(write_spec("city", toml, city__csv=CSV))
    result = load(write_spec("city", toml, city__csv=CSV.replace("1000", "many")))
    assert (result.rejected, result.deleted) == (1, 0)
    assert query("SELECT people FROM city WHERE id = 1") == [(1000,)]


def test_missing_rows_beyond_max_shrink_are_not_taken_away(write_spec: WriteSpec, load: Load, query: Query) -> None:
    toml = CITY.replace("key =", 'on_missing = "delete"\nkey =')
    load(write_spec("city", toml, city__csv=CSV))
    other = "id,name,people,founded\n7,A,1,\n8,B,2,\n9,C,3,\n"
    with pytest.raises(ShrunkExtractionError, match="would take away 3 of 6 rows"):
        load(write_spec("city", toml, city__csv=other))
    assert query("SELECT array_agg(id ORDER BY id) FROM city") == [([1, 2, 3],)]


def test_a_new_column_of_the_spec_is_added_and_a_retyped_one_refused(
    write_spec: WriteSpec, load: Load, query: Query
) -> None:
    load(write_spec("city", CITY.replace('founded = "date"\n', ""), city__csv=CSV))
    assert counts(load(write_spec("city", CITY, city__csv=CSV))) == (3, 0, 2, 1, 0)
    with pytest.raises(TargetMismatchError, match="'people' is bigint in the warehouse and integer in the spec"):
        load(write_spec("city", CITY.replace('"bigint"', '"integer"'), city__csv=CSV))


def test_text_in_cp1252_needs_its_encoding_declared(write_spec: WriteSpec, load: Load, query: Query) -> None:
    content = CSV.encode("cp1252")
    with pytest.raises(SourceUnreadableError, match=r"declare source\.encoding"):
        load(write_spec("city", CITY, city__csv=content))
    load(write_spec("city", CITY.replace("[columns]", 'encoding = "cp1252"\n[columns]'), city__csv=content))
    assert query("SELECT name FROM city WHERE id = 1") == [("Mayagüez",)]


def test_a_source_that_is_not_there_names_the_nearest(write_spec: WriteSpec, load: Load, tmp_path: Path) -> None:
    spec = write_spec("city", CITY, city2__csv=CSV)
    with pytest.raises(SourceMissingError, match=r"city\.csv: there is no such file; did you mean 'city2\.csv'"):
        load(spec)


def test_a_warehouse_that_does_not_answer_may_be_tried_again(write_spec: WriteSpec) -> None:
    spec = write_spec("city", CITY, city__csv=CSV)
    with pytest.raises(WarehouseUnavailableError, match=r"127\.0\.0\.1:1/none does not answer") as caught:
        load_table(spec, "postgresql://u:secret@127.0.0.1:1/none", run=RunKey("dag", "r"))
    assert "secret" not in str(caught.value)


def test_the_reader_can_read_a_loaded_table_and_change_nothing(
    write_spec: WriteSpec, load: Load, postgres, database: str
) -> None:
    import psycopg

    load(write_spec("city", CITY, city__csv=CSV))
    with psycopg.connect(postgres.url("sluiceway_reader", database), autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM city").fetchone() == (3,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM city")


def test_a_load_does_not_wait_for_who_writes_other_rows_of_its_table(
    write_spec: WriteSpec, load: Load, warehouse_url: str, open_run: Callable[[str], RunKey]
) -> None:
    import psycopg

    spec = write_spec(
        "city",
        CITY + '[geometry]\ntype = "Point"\nsource = "shape"\nsource_crs = "EPSG:4326"\n',
        city__csv="id,name,people,founded,shape\n1,Ponce,,,POINT (1 2)\n",
    )
    load(spec)
    with psycopg.connect(warehouse_url) as writer:
        writer.execute("UPDATE city SET people = 7")
        impatient = f"{warehouse_url}?options=-c%20lock_timeout%3D2s"
        assert load_table(spec, impatient, run=open_run("again"), force=True).unchanged == 1
