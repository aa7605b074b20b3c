"""A table's file: every rule has one sentence that names the file, the key, the value and the nearest valid one."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.errors import ConfigError
from sluiceway.tables.column import SQL_TYPES, SqlType
from sluiceway.tables.registry import read_spec
from sluiceway.tables.spec import TableSpec

GOOD = """
description = "Cities"
key = "id"
[source]
kind = "csv"
uri = "city.csv"
[columns]
id = "integer"
name = "text"
"""
GEOMETRY = """
description = "Parks"
key = "id"
[source]
kind = "vector"
uri = "park.shp"
[columns]
id = "integer"
[geometry]
type = "MultiPolygon"
"""
WriteSpec = Callable[..., TableSpec]


def without(line: str, toml: str = GOOD) -> str:
    assert line + "\n" in toml
    return toml.replace(line + "\n", "")


def instead(old: str, new: str, toml: str = GOOD) -> str:
    assert old in toml
    return toml.replace(old, new)


def test_a_valid_file_becomes_a_spec(write_spec: WriteSpec) -> None:
    spec = write_spec("city", GOOD)
    assert (spec.name, spec.group, spec.key, list(spec.columns)) == ("city", "warehouse", ("id",), ["id", "name"])
    assert (spec.checks.min_rows, spec.checks.max_shrink, spec.checks.max_rejects) == (1, 0.2, 0)
    assert spec.on_missing == "keep"


def test_a_spec_cannot_be_changed(write_spec: WriteSpec) -> None:
    with pytest.raises(ValueError, match="frozen"):
        write_spec("city", GOOD).name = "town"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("groop = 'x'" + GOOD, "groop: no such key; did you mean 'group'?"),
        (
            instead('kind = "csv"', 'kind = "csv"\ndelimeter = ";"'),
            "source.delimeter: no such key; did you mean 'delimiter'?",
        ),
        (
            instead('kind = "csv"', 'kind = "csv"\nlayer = "x"'),
            "source.layer: no such key; known: comment, connection, decimal, delimiter, "
            "encoding, escape, header, kind, max_batch_bytes, max_bytes, max_columns, max_files, ...",
        ),
        (
            instead('"text"', '{ type = "text", requird = true }'),
            "columns.name.requird = True: no such key; did you mean 'required'?",
        ),
        (GOOD + "[checks]\nmin_row = 3\n", "checks.min_row = 3: no such key; did you mean 'min_rows'?"),
        (GEOMETRY + "srd = 3310\n", "geometry.srd = 3310: no such key; did you mean 'srid'?"),
        (
            instead('"csv"', '"cvs"'),
            "source.kind = 'cvs': is not one of csv, json, parquet, excel, sqlite, vector, sql, bigquery, "
            "http_json, gsheet; did you mean 'csv'?",
        ),
        (
            instead('"MultiPolygon"', '"MultiPoligon"', GEOMETRY),
            "geometry.type = 'MultiPoligon': is not one of Point, MultiPoint, LineString, "
            "MultiLineString, Polygon, MultiPolygon, Geometry; "
            "did you mean 'MultiPolygon'?",
        ),
        (
            'on_missing = "deleet"' + GOOD,
            "on_missing = 'deleet': is not one of keep, mark, delete; did you mean 'delete'?",
        ),
        (
            instead('"integer"', '"integr"'),
            "columns.id.type = 'integr': 'integr' is no column type Sluiceway loads; did you mean 'integer'?",
        ),
        (
            instead('"integer"', '"string"'),
            "columns.id.type = 'string': 'string' is no column type Sluiceway loads; did you mean 'text'?",
        ),
        (
            instead('"integer"', '"text(5)"'),
            "columns.id.type = 'text(5)': 'text(5)' takes at most 0 numbers in brackets",
        ),
        (
            instead('"integer"', '"varchar(5,2)"'),
            "columns.id.type = 'varchar(5,2)': 'varchar(5,2)' takes at most 1 number in brackets",
        ),
        (
            instead('"integer"', '"numeric(39)"'),
            "columns.id.type = 'numeric(39)': 'numeric(39)': precision is 1 to 38 and scale at most the precision",
        ),
        (
            instead('"integer"', '"numeric(4,5)"'),
            "columns.id.type = 'numeric(4,5)': 'numeric(4,5)': precision is 1 to 38 and scale at most the precision",
        ),
        (without('description = "Cities"'), "description: is missing; add it"),
        (without('uri = "city.csv"'), "source.uri: is missing; add it"),
        (without('key = "id"'), "key: is missing; add it"),
        (instead('"text"', "{ required = true }"), "columns.name.type: is missing; add it"),
        (without('type = "MultiPolygon"', GEOMETRY), "geometry.type: is missing; add it"),
        (instead('key = "id"', 'key = "nmae"'), "key: 'nmae' is no column of this table; did you mean 'name'?"),
        (instead('key = "id"', 'key = ["id", "id"]'), "key: names a column twice"),
        (
            instead("name =", '"Name" ='),
            "columns.Name = 'Name': 'Name' is no plain name: lower-case letters, digits and _, "
            "not starting with a digit",
        ),
        (
            instead("name =", '"1st" ='),
            "columns.1st = '1st': '1st' is no plain name: lower-case letters, digits and _, not starting with a digit",
        ),
        (
            instead("name =", "xmin ="),
            "columns.xmin = 'xmin': 'xmin' is a column that every PostgreSQL table has already; call it 'xmin_'",
        ),
        (
            instead("name =", f"{'n' * 64} ="),
            f"columns.{'n' * 64} = '{'n' * 64}': '{'n' * 64}' is longer than 63 bytes, PostgreSQL would cut it",
        ),
        (
            instead("name =", "etl_run_id ="),
            "columns: 'etl_run_id' is a column Sluiceway adds itself; choose another target name",
        ),
        (
            instead("name =", "etl_remembered ="),
            "columns: 'etl_remembered' is a column Sluiceway adds itself; choose another target name",
        ),
        (
            instead("name =", "deleted_at ="),
            "columns: 'deleted_at' is a column Sluiceway adds itself; choose another target name",
        ),
        (
            instead("name =", "content_key ="),
            "columns: 'content_key' is a column Sluiceway adds itself; choose another target name",
        ),
        (
            GEOMETRY + 'column = "id"\n',
            "geometry.column: 'id' is also a column; choose another name",
        ),
        (
            GOOD + '[geometry]\ntype = "Point"\n',
            "geometry.source: name the column that holds the WKB or WKT, or x and y",
        ),
        (
            instead('kind = "csv"', 'kind = "csv"\nheader = false'),
            "columns.id.source: must be a position from 1, the source has no header",
        ),
        (
            instead('kind = "csv"', 'kind = "parquet"').replace('"text"', '{ source = 2, type = "text" }'),
            "columns.name.source: must be a name; positions are for text and sheets",
        ),
        (
            GOOD + "[checks]\nmax_rejects = 1.5\n",
            "checks.max_rejects = 1.5: must be a count of rows such as 10, or a share from 0.0 to 1.0 such as 0.01",
        ),
        (
            GOOD + "[checks]\nmax_rejects = -1\n",
            "checks.max_rejects = -1: must be a count of rows such as 10, or a share from 0.0 to 1.0 such as 0.01",
        ),
        (
            GOOD + "[checks]\nmax_rejects = true\n",
            "checks.max_rejects = True: must be a count of rows such as 10, or a share from 0.0 to 1.0 such as 0.01",
        ),
        (
            GOOD + '[checks]\nmax_rejects = "10%"\n',
            "checks.max_rejects = '10%': must be a count of rows such as 10, or a share from 0.0 to 1.0 such as 0.01",
        ),
        (
            'target = "bigqery"' + GOOD,
            "target = 'bigqery': is not one of postgresql, bigquery; did you mean 'bigquery'?",
        ),
        (
            'target = "bigquery"' + instead('"text"', '"numeric"'),
            "columns.name.type: a number without a size is PostgreSQL's alone; BigQuery needs one, such as "
            "numeric(38,9)",
        ),
        (
            'target = "bigquery"' + instead("name =", "_partition_ =", GOOD),
            "columns._partition_: BigQuery's tables have no column of this name; choose another target name",
        ),
        (
            'target = "bigquery"' + GEOMETRY + "srid = 3857\n",
            "geometry.srid: BigQuery holds longitudes and latitudes alone; write 4326 instead of 3857, or remove the "
            "key",
        ),
        (
            'target = "bigquery"' + GEOMETRY + 'dimensions = "XYZ"\n',
            "geometry.dimensions: BigQuery holds neither heights nor measures; remove the key",
        ),
        ('name = "town"' + GOOD, "name: a table is named by its file, 'city'; remove the key"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence(
    toml: str, sentence: str, write_spec: WriteSpec, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        write_spec("city", toml)
    assert str(caught.value) == f"{tmp_path / 'city.toml'}: {sentence}"


def test_every_problem_of_a_file_is_named_at_once(write_spec: WriteSpec) -> None:
    with pytest.raises(ConfigError) as caught:
        write_spec("city", without('key = "id"', instead('"text"', '"txet"')))
    assert [line.partition("city.toml: ")[2].partition(":")[0] for line in str(caught.value).splitlines()] == [
        "key",
        "columns.name.type = 'txet'",
    ]


def test_broken_toml_names_its_line(write_spec: WriteSpec) -> None:
    with pytest.raises(ConfigError, match=r"city\.toml: is not valid TOML: .*line 3"):
        write_spec("city", instead('key = "id"', 'key = "id'))


def test_a_file_that_is_no_text_is_no_toml(tmp_path: Path) -> None:
    (tmp_path / "city.toml").write_bytes(b"description = '\xff'")
    with pytest.raises(ConfigError, match=r"city\.toml: is not valid TOML"):
        read_spec(tmp_path / "city.toml")


def test_a_file_that_is_not_there_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: there is no such file"):
        read_spec(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["City", "1city", "my-city", "c" * 64])
def test_a_file_whose_stem_is_no_name_is_refused(name: str, write_spec: WriteSpec) -> None:
    with pytest.raises(ConfigError, match=f"{name}.toml: name = '{name}': '{name}' is "):
        write_spec(name, GOOD)


def test_a_name_of_63_bytes_is_the_longest(write_spec: WriteSpec) -> None:
    assert write_spec("c" * 63, GOOD).name == "c" * 63


@pytest.mark.parametrize("type_name", SQL_TYPES)
def test_every_type_is_parsed_and_written_alike(type_name: str) -> None:
    assert str(SqlType.parse(f" {type_name.upper()} ")) == type_name


@pytest.mark.parametrize(
    ("text", "base", "args"),
    [
        ("numeric(10, 2)", "numeric", (10, 2)),
        ("varchar(3)", "varchar", (3,)),
        ("numeric(38)", "numeric", (38,)),
        ("int", "integer", ()),
        ("INT8", "bigint", ()),
        ("float8", "double precision", ()),
        ("decimal(12,2)", "numeric", (12, 2)),
        ("character varying(9)", "varchar", (9,)),
        ("timestamp with time zone", "timestamptz", ()),
    ],
)
def test_a_type_keeps_its_numbers(text: str, base: str, args: tuple[int, ...]) -> None:
    assert (SqlType.parse(text).base, SqlType.parse(text).args) == (base, args)


@pytest.mark.parametrize(("limit", "allowed"), [("0", 0), ("3", 3), ("0.0", 0), ("0.01", 2), ("1.0", 299)])
def test_rejects_are_allowed_by_count_or_by_share(limit: str, allowed: int, write_spec: WriteSpec) -> None:
    spec = write_spec("city", GOOD + f"[checks]\nmax_rejects = {limit}\n")
    assert spec.checks.rejects_allowed(299) == allowed


def test_a_relative_uri_is_relative_to_its_file(
    write_spec: WriteSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    assert write_spec("city", GOOD).source.uri == str(tmp_path / "city.csv")
    assert write_spec("city", instead("city.csv", "../city.csv")).source.uri == str(tmp_path.parent / "city.csv")


@pytest.mark.parametrize("uri", ["package://pkg/city.csv", "file:///data/city.csv", "/data/city.csv"])
def test_an_absolute_uri_stays_as_it_is(uri: str, write_spec: WriteSpec) -> None:
    assert write_spec("city", instead("city.csv", uri)).source.uri == uri


def test_columns_know_their_source(write_spec: WriteSpec) -> None:
    spec = write_spec("city", instead('"text"', '{ source = "NAME", type = "text" }'))
    assert (spec.source_names("id"), spec.source_names("name")) == (("id",), ("NAME",))


def test_without_a_natural_key_the_key_is_the_content(write_spec: WriteSpec) -> None:
    spec = write_spec("city", instead('"id"', '"content"'))
    assert (spec.key, spec.key_columns) == ("content", ("content_key",))


@pytest.mark.parametrize(
    "toml",
    [
        instead('"Cities"', '"Towns"'),
        'group = "other"' + GOOD,
        'fresh_within = "26h"\n' + GOOD,
        instead('"text"', '{ type = "text", description = "What it is called" }'),
        GOOD + "[checks]\nmin_rows = 7\nmax_rejects = 3\nmax_shrink = 0.5\n",
    ],
    ids=["description", "group", "promise", "column", "checks"],
)
def test_a_fingerprint_stays_when_what_is_loaded_stays(toml: str, write_spec: WriteSpec) -> None:
    assert write_spec("city", toml).fingerprint() == write_spec("city", GOOD).fingerprint()


@pytest.mark.parametrize(
    "toml",
    [
        instead('"text"', '"varchar(9)"'),
        instead('"text"', '{ type = "text", required = true }'),
        instead('"text"', '{ source = "NAME", type = "text" }'),
        instead('name = "text"\n', ""),
        instead('key = "id"', 'key = "name"'),
        instead('"city.csv"', '"city2.csv"'),
        instead('kind = "csv"', 'kind = "csv"\nnull = ["NA"]'),
        'on_missing = "delete"' + GOOD,
        GOOD + "[checks.columns.name]\nunique = true\n",
        GOOD + "[checks.columns.name]\nnull_share = 0.5\n",
        GOOD + '[[checks.rows]]\nholds = "id > 0"\n',
    ],
    ids=[
        *("type", "required", "source column", "fewer columns", "key", "uri", "null", "on_missing"),
        *("a check of values", "a share of nulls", "a check of rows"),
    ],
)
def test_a_fingerprint_changes_with_what_is_loaded(toml: str, write_spec: WriteSpec) -> None:
    assert write_spec("city", toml).fingerprint() != write_spec("city", GOOD).fingerprint()


@pytest.mark.parametrize(
    "toml",
    [
        instead('uri = "city.csv"', 'url = "https://user:s3cret@example.org/city.csv"'),
        instead('uri = "city.csv"', 'uri = "city.csv"\nheaders = "s3cret"'),
        instead('kind = "csv"', 'kind = "https://user:s3cret@example.org/a?token=s3cret"'),
    ],
)
def test_a_sentence_and_what_a_log_shows_of_its_error_hold_no_secret(toml: str, write_spec: WriteSpec) -> None:
    with pytest.raises(ConfigError) as caught:
        write_spec("city", toml)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))
