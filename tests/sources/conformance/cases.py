"""The table of cases: what every kind of source must make of the same rows, right and wrong.

Each case names the method of a kind that makes its source (see kind.py). What comes out is either the rows that went
in, typed as declared, or a named error whose sentence says which source it is and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from sluiceway.errors import (
    EmptyExtractionError,
    SchemaDriftError,
    SluicewayError,
    SourceUnavailableError,
    SourceUnreadableError,
    TransientError,
)
from sluiceway.infer.preview import Preview, preview
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.sources.locate import located
from sluiceway.tables.source_spec import SOURCE_KINDS, LocatedSource
from sluiceway.tables.spec import TableSpec
from tests.sources.conformance.kind import Bench, Kind, Served, Table
from tests.sources.opened import opened

CITIES = Table(
    {
        "id": [1, 2, 3, 4],
        "name": ["Mayagüez", "Ponce", "San Juan", "Añasco"],
        "people": [89080, 137491, None, 29261],
    }
)
NAMES = Table({"id": [1, 2], "name": ["Mayagüez", "Añasco"]})
"""What a .dbf and an alphabet of 256 characters can hold too."""
MANY = 400
SPELLINGS = (
    "O'Higgins",
    'he said "no", twice',
    "two\nlines",
    "a;b,c\td|e",
    " blanks around ",
    "007",
    "1.50",
    "NA",
    "null",
    "true",
    "Ωmega 北京 🏙",
    "e\u0301 in two characters",
    "\\N and \\n",
    "=1+1",
    "<b>&amp;</b>",
    "x" * 10_000,
)
"""Texts that a reader could take for something else."""
DECLARED = {"id": "integer", "name": "text", "people": "integer"}


@dataclass
class Trial:
    """One kind at one case."""

    name: str
    kind: Kind
    bench: Bench
    open_run: Callable[[str], RunKey]
    query: Callable[..., list[tuple[object, ...]]]

    def spec(self, served: Served, table: Table = CITIES, **more: Any) -> TableSpec:
        """A table's file over what was served, with the columns of `table` that are declared."""
        columns = {name: kind for name, kind in DECLARED.items() if name in table.columns}
        source = {"kind": self.name, **served.source}
        declared = {"name": "city", "description": "Cities", "key": "id", "source": source, "columns": columns}
        return TableSpec.model_validate({**declared, **more})

    def batches(self, spec: TableSpec, served: Served) -> list[pa.RecordBatch]:
        """What the reader hands over."""
        with opened(spec, served.connections) as extraction:
            return list(extraction.batches)

    def preview(self, served: Served, table: Table = CITIES) -> Preview:
        """What a load would make of all rows."""
        spec = self.spec(served, table)
        return preview(spec, rows=1_000, limit=None, connections=served.connections)

    def load(self, spec: TableSpec, served: Served) -> TableRun:
        """A real load into PostgreSQL."""
        return load_table(spec, self.bench.loader_url, run=self.open_run("r1"), connections=served.connections)

    def nothing_is_written(self) -> bool:
        return self.query("SELECT to_regclass('city')") == [(None,)]


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    needs: str
    """The method of a kind that makes its source."""
    check: Callable[[Trial], None]


CASES: dict[str, Case] = {}


def case(needs: str = "rows") -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Enter a check into the table, under its own name."""

    def enter(check: Callable[[Trial], None]) -> Callable[[Trial], None]:
        CASES[check.__name__] = Case(needs, check)
        return check

    return enter


def says(error: SluicewayError, served: Served, *words: str) -> None:
    """Assert that the sentence names the source, and what to do in these words."""
    for each in (served.place, *words):
        assert each in str(error), f"{str(error)!r} does not say {each!r}"


@case("empty")
def empty(trial: Trial) -> None:
    """Not a byte, or an answer without anything: permanent, and nothing is written. Takes no table."""
    served = trial.kind.empty(trial.bench)
    with pytest.raises(trial.kind.empty_is) as raised:
        trial.load(trial.spec(served), served)
    assert not isinstance(raised.value, TransientError)
    if trial.kind.empty_is is not EmptyExtractionError:
        says(raised.value, served)
    assert trial.nothing_is_written()


@case()
def header_only(trial: Trial) -> None:
    """The columns are there and no row: no batch with a row, and a load that says so."""
    served = trial.kind.rows(trial.bench, Table({"id": [], "name": [], "people": []}))
    spec = trial.spec(served)
    with opened(spec, served.connections) as extraction:
        assert set(extraction.columns) <= set(DECLARED)
        assert sum(batch.num_rows for batch in extraction.batches) == 0
    with pytest.raises(EmptyExtractionError, match=r"^city: the source gave no rows, checks\.min_rows is 1\."):
        trial.load(spec, served)
    assert trial.nothing_is_written()


@case()
def one_row(trial: Trial) -> None:
    """A single row comes, in the columns of the table's file and in their order."""
    one = Table({name: values[:1] for name, values in CITIES.columns.items()})
    served = trial.kind.rows(trial.bench, one)
    (batch,) = trial.batches(trial.spec(served), served)
    assert (batch.schema.names, batch.num_rows) == (["id", "name", "people"], 1)
    assert trial.preview(served).rows == one.records


@case()
def spellings(trial: Trial) -> None:
    """Texts come as they are, and a null as null."""
    numbers = range(1, len(SPELLINGS) + 1)
    told = Table({"id": list(numbers), "name": SPELLINGS, "people": [None, *numbers[1:]]})
    found = trial.preview(trial.kind.rows(trial.bench, told))
    assert (found.rows, found.rejects) == (told.records, [])


@case()
def bad_row(trial: Trial) -> None:
    """A value that is none of its type makes its row a reject with a reason; the other rows are loaded."""
    served = trial.kind.rows(trial.bench, CITIES.changed(people=[89080, "many", None, 29261]))
    result = trial.load(trial.spec(served, checks={"max_rejects": 1}), served)
    assert (result.extracted, result.inserted, result.rejected) == (4, 3, 1)
    assert trial.query("SELECT row_number, column_name, reason, \"row\"->>'name' FROM etl.reject") == [
        (2, "people", "people: 'many' is no integer", "Ponce")
    ]
    assert trial.query("SELECT id, name, people FROM city ORDER BY id") == [
        tuple(row) for row in CITIES.rows if row[0] != 2
    ]


@case("with_broken_record")
def broken_record(trial: Trial) -> None:
    """A record that cannot be split into columns is a reject with a reason; the other rows are loaded.

    Takes the table and the number of the record, from 1.
    """
    served = trial.kind.with_broken_record(trial.bench, CITIES, 2)
    result = trial.load(trial.spec(served, checks={"max_rejects": 1}), served)
    assert (result.extracted, result.inserted, result.rejected) == (4, 3, 1)
    ((number, column, reason),) = trial.query("SELECT row_number, column_name, reason FROM etl.reject")
    assert (number, column) == (2, None)
    assert len(str(reason).split()) > 2, "as in: has 4 columns instead of 3"
    assert trial.query("SELECT id FROM city ORDER BY id") == [(1,), (3,), (4,)]


@case("misencoded")
def wrong_encoding(trial: Trial) -> None:
    """Texts in cp1252 where nobody says so: a named error, or rejects; never another letter.

    Takes the table, of id and name.
    """
    served = trial.kind.misencoded(trial.bench, NAMES)
    try:
        found = trial.preview(served, NAMES)
    except SourceUnreadableError as error:
        says(error, served)
        assert re.search(r"(?i)UTF-8|not well-formed", str(error)), "an XML is told so"
    else:
        assert [row for row in found.rows if row not in NAMES.records] == []
        assert len(found.rows) + found.rejected == len(NAMES.rows)
        assert found.rejected


@case("encoded")
def declared_encoding(trial: Trial) -> None:
    """Texts in an encoding that the source or its declaration names. Takes the table, of id and name."""
    found = trial.preview(trial.kind.encoded(trial.bench, NAMES), NAMES)
    assert (found.rows, found.rejects) == (NAMES.records, [])


@case()
def column_missing(trial: Trial) -> None:
    """A declared column that is not there: the error names it and the nearest one."""
    columns = dict(CITIES.columns)
    columns["peoples"] = columns.pop("people")
    served = trial.kind.rows(trial.bench, Table(columns))
    with pytest.raises(SchemaDriftError) as raised:
        trial.batches(trial.spec(served), served)
    says(raised.value, served, "adapt [columns] or the source", "'people' is missing; did you mean 'peoples'?")


@case()
def column_added(trial: Trial) -> None:
    """A column that nobody declared is known and not loaded."""
    served = trial.kind.rows(trial.bench, CITIES.changed(mayor=["a", "b", "c", "d"]))
    with opened(trial.spec(served), served.connections) as extraction:
        assert set(extraction.columns) == {*DECLARED, "mayor"}
        assert {tuple(batch.schema.names) for batch in extraction.batches} == {tuple(DECLARED)}
    assert trial.preview(served).rows == CITIES.records


@case()
def columns_in_another_order(trial: Trial) -> None:
    """Columns are found by their names."""
    turned = Table(dict(reversed(CITIES.columns.items())))
    assert trial.preview(trial.kind.rows(trial.bench, turned)).rows == CITIES.records


@case()
def column_of_another_type(trial: Trial) -> None:
    """A column without one value of its declared type is drift and not a heap of rejects."""
    served = trial.kind.rows(trial.bench, CITIES.changed(people=["few", "many", None, "some"]))
    with pytest.raises(SchemaDriftError) as raised:
        trial.preview(served)
    assert "column 'people' is declared integer and none of its 3 values is one" in str(raised.value)
    assert "Adapt [columns] or the source." in str(raised.value)


@case("breaking_off")
def lost_connection(trial: Trial) -> None:
    """Lost in the middle, however often it is tried: transient, and the rows before it do not count.

    Takes the table; about half of its rows come, whenever it is read.
    """
    numbers = list(range(1, MANY + 1))
    served = trial.kind.breaking_off(trial.bench, Table({"id": numbers, "name": ["a"] * MANY, "people": numbers}))
    spec = trial.spec(served)
    came = 0
    with pytest.raises(SourceUnavailableError) as raised, opened(spec, served.connections) as extraction:
        for batch in extraction.batches:
            came += batch.num_rows
    says(raised.value, served, "try again later")
    assert 0 < came < MANY
    with pytest.raises(SourceUnavailableError):
        trial.load(spec, served)
    assert trial.nothing_is_written()


@case("cut_off")
def cut_off(trial: Trial) -> None:
    """Half of a file: permanent, and the rows before its end do not count. Takes the table."""
    numbers = list(range(1, MANY * 10 + 1))
    names = [f"city {number * 7919 % 9973}" for number in numbers]
    served = trial.kind.cut_off(trial.bench, Table({"id": numbers, "name": names, "people": numbers}))
    with pytest.raises(SourceUnreadableError) as raised:
        trial.load(trial.spec(served), served)
    says(raised.value, served)
    assert trial.nothing_is_written()


@case()
def two_passes(trial: Trial) -> None:
    """A source that stays as it is gives the same batches again; and a file has a fingerprint, by which it is known."""
    numbers = list(range(1, MANY + 1))
    served = trial.kind.rows(
        trial.bench, Table({"id": numbers, "name": [f"city {number}" for number in numbers], "people": numbers})
    )
    spec = trial.spec(served)
    first, second = trial.batches(spec, served), trial.batches(spec, served)
    assert first == second
    assert sum(batch.num_rows for batch in first) == MANY
    prints = []
    for _ in range(2):
        with located(spec.source, served.connections) as place:
            prints.append(place.fingerprint)
    assert prints[0] == prints[1]
    assert (prints[0] is not None) == issubclass(SOURCE_KINDS[trial.name], LocatedSource)


def excused_or_made(kind: Kind, cases: Mapping[str, Case] = CASES) -> dict[str, str]:
    """Case -> what is wrong with how a kind answers it; empty for a kind that answers the whole table."""
    problems = {name: "is no case" for name in kind.excused if name not in cases}
    for name, each in cases.items():
        excuse, made = kind.excused.get(name), hasattr(kind, each.needs)
        if excuse is None and not made:
            problems[name] = f"is neither excused nor made: it needs {each.needs}()"
        elif excuse is not None and made and each.needs != "rows":
            problems[name] = f"is excused, and {each.needs}() makes it"
        elif excuse is not None and not (excuse.endswith(".") and len(excuse.split()) > 5):
            problems[name] = f"is excused without a reason: {excuse!r}"
    return problems
