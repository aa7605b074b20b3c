"""The cast: which texts are which values, and that anything else is a reject with its reason."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir
from psycopg import sql

from dev.cluster import Cluster
from sluiceway.errors import SchemaDriftError
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from sluiceway.load.cast import Caster
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "sluiceway-hypothesis")  # no .hypothesis in the checkout

REJECT = object()
"""Stands for: no such value, the row is a reject."""


def spec_of(sql_type: str, *, thousands: str | None = None, decimal: str = ".", **column: object) -> TableSpec:
    source = {"kind": "csv", "uri": "t.csv", "thousands": thousands, "decimal": decimal}
    return TableSpec.model_validate(
        {
            "name": "t",
            "description": "One column",
            "source": source,
            "key": "content",
            "columns": {"v": {"type": sql_type, **column}},
        }
    )


def cast(values: pa.Array | list[str | None], spec: TableSpec) -> tuple[list[Any], dict[int, list[tuple[str, str]]]]:
    array = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    caster = Caster(spec)
    try:
        typed, reasons = caster.cast(pa.RecordBatch.from_arrays([array], names=["v"]))
    finally:
        caster.close()
    return typed.column("v").to_pylist(), reasons


def cast_one(text: str, sql_type: str, **options: Any) -> object:
    """The value of a text, or REJECT with the reason checked."""
    (value,), reasons = cast([text], spec_of(sql_type, **options))
    if value is None:
        assert reasons == {0: [("v", f"{text[:80]!r} is no {spec_of(sql_type).columns['v'].type}")]}
        return REJECT
    assert reasons == {}
    return value


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("sql_type", "text", "expected"),
    [
        ("integer", "7", 7),
        ("integer", " 5 ", 5),
        ("integer", "+5", 5),
        ("integer", "-0", 0),
        ("integer", "007", 7),
        ("integer", "1950.0", 1950),
        ("integer", "1950.", 1950),
        ("integer", "2147483647", 2147483647),
        ("integer", "2147483648", REJECT),
        ("integer", "1.5", REJECT),
        ("integer", "0x10", REJECT),
        ("integer", "1_000", REJECT),
        ("integer", "1,000", REJECT),
        ("integer", "1e3", REJECT),
        ("integer", "1 000", REJECT),
        ("integer", "NaN", REJECT),
        ("integer", "true", REJECT),
        ("integer", "--1", REJECT),
        ("integer", ".", REJECT),
        ("integer", "-", REJECT),
        ("integer", " ", REJECT),
        ("integer", "\u0663", REJECT),
        ("smallint", "32767", 32767),
        ("smallint", "-32768", -32768),
        ("smallint", "32768", REJECT),
        ("smallint", "40000.0", REJECT),
        ("bigint", "9223372036854775807", 9223372036854775807),
        ("bigint", "9223372036854775808", REJECT),
        ("bigint", "9007199254740993.0", 9007199254740993),
        ("real", "0.5", 0.5),
        ("double precision", "1e3", 1000.0),
        ("double precision", ".5", 0.5),
        ("double precision", "-Infinity", -math.inf),
        ("double precision", "inf", math.inf),
        ("double precision", "1_0.5", REJECT),
        ("double precision", "0x1p3", REJECT),
        ("double precision", "1,5", REJECT),
        ("double precision", "1e999", REJECT),
        ("real", "1e39", REJECT),
        ("numeric", "1.10", "1.10"),
        ("numeric", " 1.10 ", "1.10"),
        ("numeric", "123456789012345678901234567890.12", "123456789012345678901234567890.12"),
        ("numeric", "1e5", "1e5"),
        ("numeric", "1e9999", REJECT),
        ("numeric", "NaN", REJECT),
        ("numeric", "1_000", REJECT),
        ("numeric(4,2)", "99.99", "99.99"),
        ("numeric(4,2)", "99.994", "99.994"),
        ("numeric(4,2)", "99.995", REJECT),
        ("numeric(4,2)", "100", REJECT),
        ("numeric(4,2)", "-100", REJECT),
        ("numeric(3)", "999", "999"),
        ("numeric(3)", "999.5", REJECT),
        ("numeric(4,2)", "9.9995e1", REJECT),
        ("numeric(4,2)", "-9.9994E+1", "-9.9994E+1"),
        ("numeric(17,2)", "999999999999999.99", "999999999999999.99"),
        ("numeric(17,2)", "999999999999999.995", REJECT),
        ("numeric(38,0)", "9" * 38, "9" * 38),
        ("numeric(38,0)", "9" * 38 + ".5", REJECT),
        ("boolean", "true", True),
        ("boolean", "TRUE", True),
        ("boolean", "t", True),
        ("boolean", "1", True),
        ("boolean", "yes", True),
        ("boolean", "false", False),
        ("boolean", "F", False),
        ("boolean", "0", False),
        ("boolean", "no", False),
        ("boolean", "2", REJECT),
        ("boolean", "maybe", REJECT),
        ("date", "2020-02-29", date(2020, 2, 29)),
        ("date", "2020-2-9", date(2020, 2, 9)),
        ("date", "2020-02-29 00:00:00", date(2020, 2, 29)),
        ("date", "2020-02-29T00:00", date(2020, 2, 29)),
        ("date", "2021-02-29", REJECT),
        ("date", "2020-13-01", REJECT),
        ("date", "20-1-1", REJECT),
        ("date", "2020-01-01 05:00", REJECT),
        ("date", "01/02/2020", REJECT),
        ("date", "2020", REJECT),
        ("date", "infinity", REJECT),
        ("date", "epoch", REJECT),
        ("timestamp", "2020-01-01 05:06:07.5", datetime(2020, 1, 1, 5, 6, 7, 500000)),  # noqa: DTZ001
        ("timestamp", "2020-01-01", datetime(2020, 1, 1)),  # noqa: DTZ001
        ("timestamp", "2020-01-01 25:00", REJECT),
        ("timestamp", "noon", REJECT),
        ("timestamptz", "2013-01-01T10:00:00Z", utc(2013, 1, 1, 10)),
        ("timestamptz", "2013-01-01 10:00:00+02:00", utc(2013, 1, 1, 8)),
        ("timestamptz", "2013-01-01 10:00:00-0530", utc(2013, 1, 1, 15, 30)),
        ("timestamptz", "2013-01-01 10:00", utc(2013, 1, 1, 10)),
        ("timestamptz", "2013-01-01 10:00 nowhere", REJECT),
        ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", "a0eebc99", REJECT),
        ("jsonb", '{"a": [1, null]}', '{"a": [1, null]}'),
        ("jsonb", "3", "3"),
        ("jsonb", "{'a': 1}", REJECT),
        ("jsonb", '{"a": 1', REJECT),
        ("jsonb", '"\\u0000"', REJECT),
        ("varchar(2)", "NA", "NA"),
        ("varchar(2)", "Ωm", "Ωm"),
        ("varchar(2)", "NAM", REJECT),
        ("varchar", "any length", "any length"),
        ("text", " kept ", " kept "),
        ("text", "", ""),
        ("text", "a\0b", REJECT),
        ("varchar(5)", "a\0b", REJECT),
    ],
)
def test_a_text_is_its_value_or_a_reject(sql_type: str, text: str, expected: object) -> None:
    found = cast_one(text, sql_type)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("text", ["NaN", "nan", "-NaN"])
def test_not_a_number_is_a_double(text: str) -> None:
    found = cast_one(text, "double precision")
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_a_time_that_names_no_zone_is_utc_wherever_the_worker_is(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert cast_one("2013-07-01 10:00", "timestamptz") == utc(2013, 7, 1, 10)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("sql_type", "pattern", "text", "expected"),
    [
        ("date", "%m/%d/%Y", "10/06/2018", date(2018, 10, 6)),
        ("date", "%m%d%Y", "10062018", date(2018, 10, 6)),
        ("date", "%m/%d/%Y", "13/06/2018", REJECT),
        ("date", "%m/%d/%Y", "2018-10-06", REJECT),
        ("timestamp", "%d.%m.%Y %H:%M", "06.10.2018 05:07", datetime(2018, 10, 6, 5, 7)),  # noqa: DTZ001
        ("timestamptz", "%Y-%m-%d %H:%M %z", "2018-10-06 05:07 +0200", utc(2018, 10, 6, 3, 7)),
        ("date", "it's %Y-%m-%d", "it's 2018-10-06", date(2018, 10, 6)),
    ],
)
def test_a_declared_format_is_the_only_one(sql_type: str, pattern: str, text: str, expected: object) -> None:
    assert cast_one(text, sql_type, format=pattern) == expected


def test_a_date_format_that_finds_a_time_of_day_does_not_drop_it() -> None:
    assert cast_one("10/06/2018 05:00", "date", format="%m/%d/%Y %H:%M") is REJECT
    assert cast_one("10/06/2018 00:00", "date", format="%m/%d/%Y %H:%M") == date(2018, 10, 6)


@pytest.mark.parametrize(
    ("text", "sql_type", "expected"),
    [
        ("1.234.567", "bigint", 1234567),
        ("1.234,5", "numeric", "1234.5"),
        ("1,5", "double precision", 1.5),
        ("-0,25", "real", -0.25),
        ("1,5", "text", "1,5"),
    ],
)
def test_a_declared_decimal_comma_is_read(text: str, sql_type: str, expected: object) -> None:
    assert cast_one(text, sql_type, thousands=".", decimal=",") == expected


def test_with_a_decimal_comma_a_point_is_no_number() -> None:
    assert cast_one("1.5", "numeric", decimal=",") == REJECT


@pytest.mark.parametrize(
    ("separator", "text", "sql_type", "expected"),
    [
        (",", "23,288", "integer", 23288),
        ("'", "1'234", "integer", 1234),
        (",", "1,234.50", "numeric", "1234.50"),
        (",", "1,5", "text", "1,5"),
    ],
)
def test_a_thousands_separator_is_dropped_from_numbers_only(
    separator: str, text: str, sql_type: str, expected: object
) -> None:
    assert cast_one(text, sql_type, thousands=separator) == expected


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50))
@settings(max_examples=15, deadline=None)
def test_every_integer_survives_its_text(values: list[int]) -> None:
    assert cast([str(value) for value in values], spec_of("bigint")) == (values, {})


@given(st.lists(st.integers(2**31, 2**70) | st.integers(-(2**70), -(2**31) - 1), min_size=1))
@settings(max_examples=15, deadline=None)
def test_no_integer_out_of_range_becomes_another(values: list[int]) -> None:
    typed, reasons = cast([str(value) for value in values], spec_of("integer"))
    assert typed == [None] * len(values)
    assert len(reasons) == len(values)


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=50))
@settings(max_examples=15, deadline=None)
def test_every_double_survives_its_text(values: list[float]) -> None:
    assert cast([repr(value) for value in values], spec_of("double precision")) == (values, {})


@given(st.lists(st.dates(), min_size=1, max_size=50))
@settings(max_examples=15, deadline=None)
def test_every_date_survives_its_text(values: list[date]) -> None:
    assert cast([value.isoformat() for value in values], spec_of("date")) == (values, {})


@given(st.lists(st.text(), min_size=1, max_size=50))
@settings(max_examples=15, deadline=None)
def test_a_text_that_is_read_as_an_integer_is_that_integer_to_python_too(texts: list[str]) -> None:
    typed, reasons = cast(texts, spec_of("integer"))
    for index, (text, value) in enumerate(zip(texts, typed, strict=True)):
        assert (value is None) == (index in reasons)
        assert value is None or Decimal(text.strip()) == value


@given(
    number=st.decimals(allow_nan=False, allow_infinity=False) | st.integers(-(10**40), 10**40).map(Decimal),
    exponent=st.none() | st.integers(-60, 60),
    sql_type=st.sampled_from([(4, 2), (17, 2), (38, 0), (38, 38), (1, 1)]),
)
@settings(max_examples=200, deadline=None)
def test_a_number_fits_numeric_where_it_does_once_it_is_rounded_exactly(
    number: Decimal, exponent: int | None, sql_type: tuple[int, int]
) -> None:
    precision, scale = sql_type
    text = f"{number:f}" + (f"e{exponent}" if exponent is not None else "")
    with localcontext(prec=10_000):
        fits = abs(round(Decimal(text), scale)) < Decimal(10) ** (precision - scale)
        exact = Decimal(text) * 10**scale
        if exact % 1 in {Decimal("0.5"), Decimal("-0.5")}:  # PostgreSQL rounds away from zero
            fits = abs(exact) + Decimal("0.5") < Decimal(10) ** precision
    typed, reasons = cast([text, "0"], spec_of(f"numeric({precision},{scale})"))
    assert (typed[0] == text) == fits == (0 not in reasons)


@pytest.mark.parametrize(
    ("values", "sql_type", "expected"),
    [
        (pa.array([1, 70000]), "smallint", [1, None]),
        (pa.array([1, 2]), "numeric(1)", ["1", "2"]),
        (pa.array([1e20, 1e-7, 9.99]), "numeric(20,1)", [None, "1e-07", "9.99"]),
        (pa.array([1.0, 1.5, math.nan, 1e30]), "integer", [1, None, None, None]),
        (pa.array([1, 0, 2]), "boolean", [True, False, None]),
        (pa.array([1, 22, 333]), "varchar(2)", ["1", "22", None]),
        (pa.array([0.1, 1e-7]), "double precision", [0.1, 1e-7]),
        (pa.array([True, None]), "text", ["true", None]),
        (pa.array([utc(2020, 1, 1), utc(2020, 1, 1, 5)]), "date", [date(2020, 1, 1), None]),
        (pa.array([date(2020, 1, 1)]), "timestamp", [datetime(2020, 1, 1)]),  # noqa: DTZ001
        (pa.array([["a", "b"]]), "jsonb", ['["a","b"]']),
        (pa.array([["a", "b"]]), "text", ['["a","b"]']),
    ],
    ids=str,
)
def test_a_typed_value_is_cast_without_loss_or_is_a_reject(
    values: pa.Array, sql_type: str, expected: list[object]
) -> None:
    typed, reasons = cast(values, spec_of(sql_type))
    assert typed == expected
    assert sorted(reasons) == [
        index for index, value in enumerate(expected) if value is None and values[index].as_py() is not None
    ]


@pytest.mark.parametrize(
    ("values", "sql_type"),
    [
        (pa.array([b"x"]), "text"),
        (pa.array([1]), "date"),
        (pa.array([True]), "double precision"),
        (pa.array([date(2020, 1, 1)]), "integer"),
        (pa.array([["a"]]), "integer"),
    ],
    ids=str,
)
def test_values_that_have_nothing_to_do_with_the_type_are_drift(values: pa.Array, sql_type: str) -> None:
    with pytest.raises(SchemaDriftError, match=r"column 'v' holds .* values and is declared"):
        cast(values, spec_of(sql_type))


def test_a_null_of_a_required_column_or_of_the_key_is_a_reject() -> None:
    assert cast(["a", None], spec_of("text", required=True)) == (["a", None], {1: [("v", "is null")]})
    keyed = spec_of("text").model_copy(update={"key": ("v",)})
    assert cast(["a", None], keyed) == (["a", None], {1: [("v", "is null")]})
    assert cast(["a", None], spec_of("text")) == (["a", None], {})


def test_a_long_bad_value_is_shown_in_part() -> None:
    _, reasons = cast(["x" * 500], spec_of("integer"))
    assert reasons == {0: [("v", f"'{'x' * 80}' is no integer")]}


def test_drift_is_seen_over_all_batches_and_not_over_one() -> None:
    caster = Caster(spec_of("integer"))
    for values in (["a", "b"], [None], ["c"]):
        caster.cast(pa.RecordBatch.from_arrays([pa.array(values, pa.string())], names=["v"]))
    with pytest.raises(SchemaDriftError, match="declared integer and none of its 3 values is one"):
        caster.check_types()
    caster.cast(pa.RecordBatch.from_arrays([pa.array(["1"], pa.string())], names=["v"]))
    caster.check_types()
    caster.close()


def test_a_column_of_nulls_is_no_drift() -> None:
    caster = Caster(spec_of("integer"))
    caster.cast(pa.RecordBatch.from_arrays([pa.array([None, None], pa.string())], names=["v"]))
    caster.check_types()
    caster.close()


Trip = Callable[[str, list[str]], list[str | None]]


@pytest.fixture(scope="module")
def trip(postgres: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trip]:
    """Loads texts as one column of a type into the warehouse and returns them as PostgreSQL writes them."""
    name = f"test_{uuid4().hex[:12]}"
    path = tmp_path_factory.mktemp("trip") / "t.csv"
    with psycopg.connect(postgres.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE warehouse OWNER sluiceway_owner").format(sql.Identifier(name))
        )
        url = postgres.url("sluiceway_loader", name)
        with connect(url) as session:
            store.open_run(session, RunKey("dag", "r"), commit_sha=None, trigger_kind="test")

        def run(sql_type: str, texts: list[str]) -> list[str | None]:
            quoted = ('"' + text.replace('"', '""') + '"' for text in texts)
            lines = (f"{number},{text}" for number, text in enumerate(quoted))
            path.write_bytes(("\n".join(["id,v", *lines]) + "\n").encode())
            spec = TableSpec.model_validate(
                {
                    "name": "t",
                    "description": "One column",
                    "source": {"kind": "csv", "uri": str(path), "null": ["\\N"]},
                    "key": ["id"],
                    "columns": {"id": {"type": "integer"}, "v": {"type": sql_type}},
                    "checks": {"max_shrink": 1.0},
                }
            )
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("DROP TABLE IF EXISTS t")
                load_table(spec, url, run=RunKey("dag", "r"), force=True)
                return [row[0] for row in connection.execute("SELECT v::text FROM t ORDER BY id")]

        yield run
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0")), min_size=1))
@settings(max_examples=6, deadline=None)
def test_any_text_but_the_character_0_reaches_the_warehouse_as_it_is(trip: Trip, texts: list[str]) -> None:
    kept = [text for text in texts if text != "\\N"] or ["x"]
    assert trip("text", kept) == kept


@pytest.mark.parametrize(
    ("sql_type", "text", "shown"),
    [
        ("numeric", "123456789012345678901234567890.12", "123456789012345678901234567890.12"),
        ("numeric", "0." + "1" * 60, "0." + "1" * 60),
        ("numeric(38,8)", "123456789012345678901234567890.12345678", "123456789012345678901234567890.12345678"),
        ("numeric(4,2)", "99.994", "99.99"),
        ("numeric", "1e131", "1" + "0" * 131),
        ("double precision", "0.1", "0.1"),
        ("double precision", "5e-324", "5e-324"),
        ("double precision", "-Infinity", "-Infinity"),
        ("date", "9999-12-31", "9999-12-31"),
        ("date", "0001-01-01", "0001-01-01"),
        ("timestamptz", "2013-01-01T10:00:00+02:00", "2013-01-01 08:00:00+00"),
        ("timestamp", "2013-01-01 10:00:00.123456", "2013-01-01 10:00:00.123456"),
        ("uuid", "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("jsonb", '{"b": 1, "a": "Ω"}', '{"a": "Ω", "b": 1}'),
        ("jsonb", '{"n": 123456789012345678901234567890.5}', '{"n": 123456789012345678901234567890.5}'),
        ("boolean", "yes", "true"),
        ("smallint", "-32768", "-32768"),
    ],
)
def test_a_value_stands_in_the_warehouse_without_loss(trip: Trip, sql_type: str, text: str, shown: str) -> None:
    assert trip(sql_type, [text]) == [shown]


@pytest.mark.parametrize(
    ("sql_type", "text"),
    [
        ("jsonb", '"\\ud800"'),
        ("jsonb", '"\\udc00\\ud800"'),
        ("jsonb", '{"a": "\\u0000"}'),
        ("numeric(4,2)", "99.995"),
        ("numeric(4,2)", "-99.995"),
        ("numeric(4,2)", "1e2"),
        ("numeric(4,2)", "9.9995e1"),
        ("numeric(4,2)", "0.99999e2"),
        ("numeric", "1e-999"),
        pytest.param("numeric", "9" * 300 + "e999", id="long numeric"),
        ("timestamptz", "294247-01-01 00:00:00+00"),
        ("timestamptz", "290000-01-01"),
        ("timestamptz", "2020-01-01 24:00:00"),
        ("timestamp", "290000-01-01"),
        ("timestamp", "99999999-01-01"),
        ("date", "5881580-07-10"),
        ("date", "5000000-01-01"),
        ("date", "0000-01-01"),
        ("uuid", "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
        ("uuid", "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11"),
        ("real", "1e-46"),
        ("real", "3.5e38"),
        ("double precision", "1e-400"),
        ("double precision", "1e309"),
    ],
)
def test_a_value_that_passes_the_cast_is_never_refused_by_postgresql(trip: Trip, sql_type: str, text: str) -> None:
    # one refused value ends the transaction of the whole table, a reject costs one row
    caster = Caster(spec_of(sql_type))
    _, reasons = caster.cast(pa.RecordBatch.from_arrays([pa.array([text])], names=["v"]))
    caster.close()
    if not reasons:
        assert len(trip(sql_type, [text])) == 1
