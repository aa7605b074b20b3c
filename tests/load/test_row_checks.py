"""Checks of values that PostgreSQL answers: conditions, references, repeated values, shares of nulls."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from sluiceway.errors import CheckFailedError, ConfigError, ReferenceMissingError, TooManyRejectsError
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load import staging
from sluiceway.load.table import load_table
from sluiceway.tables.spec import TableSpec
from tests.dev.docs.markdown import every

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]
Load = Callable[..., TableRun]
EVENT = """
description = "Events"
key = "id"
{top}
source = {{ kind = "csv", uri = "event.csv" }}
[columns]
id = "integer"
place = "text"
begins_at = "timestamptz"
ends_at = "timestamptz"
cost = "numeric(8,2)"
[checks]
max_rejects = {allowed}
max_shrink = 1.0
{checks}
"""
HEAD = "id,place,begins_at,ends_at,cost\n"
ENDS = '[[checks.rows]]\nholds = "ends_at >= begins_at"\n'
GOOD = "1,Ponce,2026-01-01,2026-01-02,5\n2,Yauco,2026-01-01,,\n"
BAD = "3,Lares,2026-01-03,2026-01-02,7.50\n"


@pytest.fixture
def load(warehouse_url: str, open_run: Callable[[str], RunKey], write_spec: WriteSpec) -> Load:
    """Loads these rows with these checks as run r1, r2, ..."""
    count = 0

    def run(checks: str, rows: str, *, top: str = "", force: bool = False, allowed: int = 9) -> TableRun:
        nonlocal count
        count += 1
        spec = write_spec("event", EVENT.format(top=top, checks=checks, allowed=allowed), event__csv=HEAD + rows)
        return load_table(spec, warehouse_url, run=open_run(f"r{count}"), force=force)

    return run


@pytest.fixture
def reasons(query: Query) -> Callable[[], list[tuple[object, ...]]]:
    return lambda: query("SELECT row_number, column_name, reason FROM etl.reject ORDER BY id")


def counts(result: TableRun) -> tuple[int, ...]:
    return result.extracted, result.inserted, result.updated, result.unchanged, result.rejected


def test_a_row_of_which_a_condition_is_false_is_a_reject_and_null_passes(
    load: Load, reasons: Callable[[], object], query: Query
) -> None:
    assert counts(load(ENDS, GOOD + BAD)) == (3, 2, 0, 0, 1)
    assert reasons() == [
        (
            3,
            "ends_at",
            "ends_at = 2026-01-02 00:00:00+00, begins_at = 2026-01-03 00:00:00+00 fails holds ends_at >= begins_at",
        )
    ]
    assert query("SELECT \"row\"->>'place', key FROM etl.reject") == [("Lares", {"id": 3})]


def test_a_first_load_without_a_failing_row_goes_straight_into_the_table(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "create_stage", None)
    assert load(ENDS, GOOD).inserted == 2


def test_a_first_load_with_one_is_staged_to_tell_which(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load(ENDS, GOOD + BAD)
    assert "rows fail a check; they are staged, to tell which" in caplog.text


def test_failing_rows_are_counted_against_the_rejects_that_are_allowed(load: Load, query: Query) -> None:
    said = r"event: 1 of 3 rows cannot be loaded and checks\.max_rejects allows 0\. The first: row 3: ends_at = "
    with pytest.raises(TooManyRejectsError, match=said):
        load(ENDS, GOOD + BAD, allowed=0)
    assert query("SELECT to_regclass('event')") == [(None,)]


def test_a_check_may_fail_the_table_and_says_which_rows(load: Load, query: Query) -> None:
    rows = "".join(f"{number},Lares,2026-01-03,2026-01-02,\n" for number in range(3, 9))
    with pytest.raises(CheckFailedError) as caught:
        load(ENDS + 'failing = "fail"\n', GOOD + rows)
    said = str(caught.value)
    assert said.startswith("event: 6 rows fail checks.rows.0.holds ends_at >= begins_at: row 3: ends_at = 2026-01-02")
    assert "row 5" in said
    assert "row 6" not in said
    assert said.endswith(
        ', .... Nothing was changed. Mend the source, or write failing = "reject" there to load the other rows.'
    )
    assert query("SELECT to_regclass('event')") == [(None,)]
    assert query("SELECT status, extracted, rejected FROM etl.table_run") == [("failed", 8, 6)]
    assert query("SELECT count(*) FROM etl.reject") == [(6,)], "the ledger shows them"


@pytest.mark.parametrize("force", [False, True])
def test_a_row_that_fails_later_leaves_what_stands_and_is_no_missing_one(force: bool, load: Load, query: Query) -> None:
    top = 'on_missing = "delete"'
    load(ENDS, GOOD + BAD.replace("2026-01-02", "2026-01-04"), top=top)
    result = load(ENDS, GOOD.replace("1,Ponce", "4,Arecibo") + BAD, top=top, force=force)
    assert counts(result) == (3, 1, 0, 1, 1)
    assert result.deleted == 1
    assert query("SELECT id FROM event ORDER BY id") == [(2,), (3,), (4,)]


def test_where_the_content_is_the_key_a_failing_row_may_be_any_and_none_is_taken_away(
    write_spec: WriteSpec, warehouse_url: str, open_run: Callable[[str], RunKey]
) -> None:
    toml = EVENT.format(top='on_missing = "delete"', checks=ENDS, allowed=9).replace('key = "id"', 'key = "content"')
    load_table(write_spec("event", toml, event__csv=HEAD + GOOD), warehouse_url, run=open_run("r1"))
    result = load_table(
        write_spec("event", toml, event__csv=HEAD + GOOD.splitlines(keepends=True)[0] + BAD),
        warehouse_url,
        run=open_run("r2"),
    )
    assert (result.rejected, result.unchanged, result.deleted) == (1, 1, 0)
    assert "the key of 1 reject cannot be read" in str(result.note)


def test_a_reject_does_not_count_among_rows_that_share_a_key(load: Load, query: Query) -> None:
    assert load(ENDS, "1,Ponce,2026-01-01,2026-01-02,5\n1,Lares,2026-01-03,2026-01-02,5\n").rejected == 1
    assert query("SELECT place FROM event") == [("Ponce",)]


@pytest.mark.parametrize(
    ("condition", "passing"),
    [
        ("cost > 5", 1),
        ("cost * 2 = 15.00", 1),
        ("place LIKE 'P%' OR cost IS NULL", 2),
        ("length(place) = 5 AND id < 3", 2),
        ("extract(year FROM begins_at) = 2026", 3),
        ("coalesce(cost, 0) <= 5", 2),
        ("CASE WHEN cost > 6 THEN place = 'Lares' ELSE true END", 3),
        ("id NOT IN (1, 2)", 1),
        ("upper(place) <> place", 3),
        ("begins_at < now() - interval '1 day'", 3),
        ("ID = id -- comment", 3),
    ],
)
def test_conditions_are_those_of_postgresql(condition: str, passing: int, load: Load) -> None:
    result = load(f'[[checks.rows]]\nholds = "{condition}"\n', GOOD + BAD)
    nulls = 1 if condition in {"cost > 5", "cost * 2 = 15.00"} else 0
    assert result.inserted == passing + nulls


UNKNOWN = "the warehouse has no table 'place' yet. Nothing was changed. Load place first"
PLACE = """
description = "Places"
key = "name"
on_missing = "mark"
source = { kind = "csv", uri = "place.csv" }
columns = { name = "text", code = "integer" }
checks = { max_shrink = 1.0 }
"""
REFERS = '[checks.columns.place]\nreferences = "place.name"\n'


@pytest.fixture
def load_places(warehouse_url: str, open_run: Callable[[str], RunKey], write_spec: WriteSpec) -> Callable[[str], None]:
    def run(*names: str) -> None:
        csv = "name,code\n" + "".join(f"{name},1\n" for name in names)
        load_table(write_spec("place", PLACE, place__csv=csv), warehouse_url, run=open_run(f"places {names}"))

    return run


def test_a_value_must_stand_in_the_table_to_which_its_column_refers(
    load: Load, load_places: Callable[..., None], reasons: Callable[[], object]
) -> None:
    load_places("Ponce", "Lares")
    assert counts(load(REFERS, GOOD + "4,,,,\n")) == (3, 2, 0, 0, 1)
    assert reasons() == [(2, "place", "place: 'Yauco' fails references place.name")]


def test_a_row_that_is_marked_as_deleted_is_none_to_refer_to(load: Load, load_places: Callable[..., None]) -> None:
    load_places("Ponce", "Yauco")
    load_places("Ponce")
    assert load(REFERS, GOOD).rejected == 1


def test_a_table_that_is_not_there_yet_may_be_there_at_the_next_try(
    load: Load, load_places: Callable[..., None]
) -> None:
    with pytest.raises(ReferenceMissingError, match=UNKNOWN):
        load(REFERS, GOOD)
    load_places("Ponce", "Yauco")
    assert load(REFERS, GOOD).inserted == 2
    with pytest.raises(ReferenceMissingError, match="the warehouse has no column 'nam' in place yet"):
        load(REFERS.replace("place.name", "place.nam"), GOOD)


def test_what_cannot_be_compared_is_told(load: Load, load_places: Callable[..., None]) -> None:
    load_places("Ponce", "Yauco")
    said = r"event: checks\.columns\.place\.references place\.code: PostgreSQL refuses it: operator does not exist"
    with pytest.raises(ConfigError, match=said):
        load(REFERS.replace("place.name", "place.code"), GOOD)


@pytest.mark.parametrize(
    ("condition", "error", "said"),
    [
        ("cost / (id - 1) > 0", CheckFailedError, "cannot be computed for every row: division by zero. Nothing was"),
        ("place::integer > 0", CheckFailedError, "invalid input syntax for type integer"),
        ("place > 5", ConfigError, "PostgreSQL refuses it: operator does not exist: text > integer. Nothing was"),
        ("cost", ConfigError, "PostgreSQL refuses it: argument of IS FALSE must be type boolean"),
        ("cots > 5", ConfigError, "checks.rows.0.holds = 'cots > 5': names 'cots', which is no column of this table;"),
    ],
)
@pytest.mark.parametrize("standing", [False, True], ids=["first load", "later load"])
def test_a_condition_that_cannot_be_judged_fails_the_table_in_a_sentence(
    standing: bool, condition: str, error: type[Exception], said: str, load: Load
) -> None:
    if standing:
        load("", GOOD)
    with pytest.raises(error) as caught:
        load(f'[[checks.rows]]\nholds = "{condition}"\n', GOOD)
    assert said in str(caught.value)


ONCE = '[[checks.rows]]\nunique = ["place", "cost"]\n'


def test_of_rows_with_the_same_values_the_last_one_is_loaded(
    load: Load, reasons: Callable[[], object], query: Query
) -> None:
    rows = "1,Ponce,,,5\n2,Ponce,,,5.00\n3,Ponce,,,6\n4,Ponce,,,\n5,Ponce,,,\n6,,,,5\n7,,,,5\n8,Ponce,,,5\n"
    assert counts(load(ONCE, rows)) == (8, 6, 0, 0, 2)
    same = "'Ponce', 5.00 fails unique (place, cost): row 8, which is loaded, has the same"
    assert reasons() == [(1, "place", same), (2, "place", same)]
    assert query("SELECT id FROM event ORDER BY id") == [(3,), (4,), (5,), (6,), (7,), (8,)]


def test_a_column_says_itself_that_it_is_unique(load: Load, reasons: Callable[[], object]) -> None:
    assert load("[checks.columns.place]\nunique = true\n", "1,A,,,\n2,B,,,\n3,A,,,\n").rejected == 1
    assert reasons() == [(1, "place", "place: 'A' fails unique (place): row 3, which is loaded, has the same")]


def test_a_row_that_stands_as_the_last_load_left_it_is_looked_at_again_for_another_ones_sake(
    load: Load, load_places: Callable[..., None], query: Query
) -> None:
    load_places("Ponce", "Yauco")
    assert load(REFERS, GOOD, top='on_missing = "delete"').inserted == 2
    load_places("Ponce")
    result = load(REFERS, GOOD, top='on_missing = "delete"', force=True)
    assert (counts(result), result.deleted) == ((2, 0, 0, 1, 1), 0)
    assert query("SELECT count(*) FROM event") == [(2,)], "a row of the source is none that is missing"


SHARE = "[checks.columns.cost]\nnull_share = 0.5\n"


def test_too_many_nulls_fail_the_table(load: Load, query: Query) -> None:
    assert load(SHARE, GOOD).inserted == 2
    with pytest.raises(CheckFailedError) as caught:
        load(SHARE, GOOD + "3,,,,\n")
    assert str(caught.value) == (
        "event: cost is null in 2 of 3 rows, and checks.columns.cost.null_share = 0.5 allows 1. Nothing was changed. "
        "Mend the source, or raise it."
    )
    assert query("SELECT count(*) FROM event") == [(2,)]


def test_too_many_nulls_fail_a_first_load_and_rejects_do_not_count(load: Load, query: Query) -> None:
    with pytest.raises(CheckFailedError, match="cost is null in 2 of 3 rows"):
        load(SHARE, GOOD + "3,,,,\n")
    assert query("SELECT to_regclass('event')") == [(None,)]
    assert load(SHARE + ENDS, GOOD + "3,,2026-01-02,2026-01-01,\n").inserted == 2


def test_a_check_that_is_new_is_applied_though_the_source_is_unchanged(load: Load, query: Query) -> None:
    rows = GOOD + BAD
    assert load("", rows).inserted == 3
    assert load("min_rows = 2\n", rows).status == "unchanged", "a bound says nothing of a row"
    result = load(ENDS, rows)
    assert counts(result) == (3, 0, 0, 2, 1)
    assert load(ENDS, rows).status == "unchanged"
    assert counts(load(ENDS, rows, force=True)) == (3, 0, 0, 2, 1)
    assert query("SELECT count(*) FROM event") == [(3,)], "what stands from before stays, as of any reject"


CRASHES = """case_number,county_fips,severity,speed_limit_mph,injured,killed,reported_on,happened_on,longitude_deg,\
latitude_deg
1,06001,pdo,25,0,0,01/02/2024,01/01/2024,-122.1,37.5
2,06001,FATAL,65,0,1,01/02/2024,01/01/2024,-122.2,37.5
3,32003,PDO,25,0,0,01/02/2024,01/01/2024,-122.3,37.5
4,06001,MINOR,25,1,0,01/02/2024,01/01/2024,-122.4,37.5
5,06001,PDO,650,0,0,01/02/2024,01/01/2024,-122.5,37.5
6,06001,PDO,UNK,0,0,01/02/2024,01/03/2024,-122.6,37.5
7,06001,FATAL,25,0,0,01/02/2024,01/01/2024,-122.7,37.5
8,06001,PDO,25,0,0,01/02/2024,01/01/2024,0,0
9,06001,PDO,25,0,0,01/03/2024,01/01/2024,-122.1,37.5
"""


def test_the_example_of_the_reference_finds_what_it_says(
    write_spec: WriteSpec, warehouse_url: str, open_run: Callable[[str], RunKey], reasons: Callable[[], object]
) -> None:
    (block,) = (block for block in every("toml") if "Crashes" in block.text)
    toml = block.text.replace("../data/crashes.csv", "crash.csv").replace("min_rows = 300", "min_rows = 3")
    spec = write_spec("crash", toml.replace("max_rejects = 0.01", "max_rejects = 9"), crash__csv=CRASHES)
    assert load_table(spec, warehouse_url, run=open_run("r1")).inserted == 2
    assert reasons() == [
        (3, "county_fips", r"county_fips: '32003' fails pattern 06\d{3}"),
        (4, "severity", "severity: 'MINOR' fails accepted (PDO, INJURY, FATAL)"),
        (5, "speed_limit_mph", "speed_limit_mph: 650 fails range (least 5, most 85)"),
        (
            6,
            "reported_on",
            "reported_on = 2024-01-02, happened_on = 2024-01-03 fails holds reported_on >= happened_on",
        ),
        (7, "severity", "severity = 'FATAL', killed = 0 fails holds severity <> 'FATAL' OR killed > 0"),
        (
            8,
            "longitude_deg",
            "longitude_deg = 0, latitude_deg = 0 fails holds longitude_deg BETWEEN -125 AND -114 AND latitude_deg "
            "BETWEEN 32 AND 43",
        ),
        (
            1,
            "happened_on",
            "2024-01-01, -122.1, 37.5 fails unique (happened_on, longitude_deg, latitude_deg): row 9, which is loaded, "
            "has the same",
        ),
    ]
    csv = CRASHES.replace("01/01/2024,-122.7", "01/01/1900,-122.7").replace("01/01/2024,0,0", "03/04/0202,0,0")
    with pytest.raises(CheckFailedError) as caught:
        load_table(write_spec("crash", toml, crash__csv=csv), warehouse_url, run=open_run("r2"))
    assert str(caught.value) == (
        "crash: 2 rows fail checks.columns.happened_on.range (least 2015-01-01): row 7: 1900-01-01, row 8: 0202-03-04. "
        'Nothing was changed. Mend the source, or write failing = "reject" there to load the other rows.'
    )
