"""Nothing is lost and nothing is half-written, for any mixture of rows and a crash at any step."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import sql

from dev.cluster import Cluster
from dev.environment import ROOT
from sluiceway.errors import EmptyExtractionError, SchemaDriftError, SluicewayError
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import PsycopgSession
from sluiceway.load.session import BulkSession
from sluiceway.load.table import load_table
from sluiceway.tables.registry import read_spec
from tests.warehouses import Warehouses

Row = tuple[str, str, str, str]
Rows = list[tuple[object, ...]]

TOML = """
description = "Anything"
key = "id"
source = {{ kind = "csv", uri = "{file}" }}
[columns]
id = "integer"
size = "numeric(6,2)"
day = "date"
name = {{ type = "text", required = true }}
[checks]
max_rejects = 1.0
max_shrink = 1.0
"""
ids = st.integers(0, 6).map(str) | st.sampled_from(["", "x", "1.5", "99999999999"])
sizes = st.sampled_from(["1", "2.50", "9999.99", "", "10000", "much", "1e2"])
days = st.sampled_from(["2020-02-29", "", "2021-02-29", "29.2.2020"])
names = st.sampled_from(["Ulm", "", "O'Neil; --", 'a "b"', "Zürich", "line\nbreak"])
tables = st.lists(st.tuples(ids, sizes, days, names), min_size=1, max_size=25)


@dataclass
class Trial:
    """One warehouse in which many small tables are loaded."""

    folder: Path
    url: str
    asker: psycopg.Connection[tuple[object, ...]]

    def execute(self, query: str, *parameters: object) -> Rows:
        cursor = self.asker.execute(query, parameters or None)
        return cursor.fetchall() if cursor.description else []

    def write(self, rows: list[Row]) -> Path:
        """A fresh table's file, with these rows as its source."""
        name = f"t_{uuid4().hex[:12]}"
        (self.folder / f"{name}.toml").write_text(TOML.format(file=f"{name}.csv"))
        return self.put(self.folder / f"{name}.toml", rows)

    def put(self, path: Path, rows: list[Row]) -> Path:
        quoted = [",".join('"' + value.replace('"', '""') + '"' for value in row) for row in rows]
        path.with_suffix(".csv").write_text("id,size,day,name\n" + "\n".join(quoted) + "\n", encoding="utf-8")
        return path

    def open_run(self) -> RunKey:
        run = RunKey("dag", uuid4().hex)
        store.open_run(PsycopgSession(self.asker), run, commit_sha=None, trigger_kind="test")
        return run

    def load(self, path: Path, *, force: bool = True) -> TableRun:
        return load_table(read_spec(path), self.url, run=self.open_run(), force=force)

    def content(self, path: Path) -> Rows | None:
        """The warehouse table's rows, or None when there is no table."""
        if self.execute("SELECT to_regclass(%s) IS NULL", path.stem)[0][0]:
            return None
        query = sql.SQL("SELECT id, size, day, name FROM {} ORDER BY id").format(sql.Identifier(path.stem))
        return self.asker.execute(query).fetchall()


@pytest.fixture(scope="module")
def trial(
    postgres: Cluster, warehouses: Warehouses, shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Trial:
    url = postgres.url("sluiceway_loader", shared_database)
    return Trial(tmp_path_factory.mktemp("trial"), url, warehouses.asker(shared_database))


def expected(rows: list[Row]) -> tuple[dict[int, Row], int]:
    """By plain Python: the row that stands under each key at the end, and how many rows are rejects."""
    good: dict[int, Row] = {}
    rejected = 0
    for row in rows:
        key, size, day, name = row
        bad = not key.isdigit() or len(key) > 9 or size in {"10000", "much"} or day in {"2021-02-29", "29.2.2020"}
        if bad or name == "":
            rejected += 1
            continue
        rejected += int(key) in good
        good[int(key)] = row
    return good, rejected


@given(tables)
@settings(max_examples=40, deadline=None)
def test_every_row_is_loaded_or_a_reject_and_a_second_load_changes_nothing(trial: Trial, rows: list[Row]) -> None:
    path = trial.write(rows)
    good, rejected = expected(rows)
    try:
        first = trial.load(path)
    except SchemaDriftError:
        # a column without one good value is drift, and then nothing is loaded
        assert trial.content(path) is None
        return
    assert (first.extracted, first.inserted, first.rejected) == (len(rows), len(good), rejected)
    assert [row[0] for row in trial.content(path) or []] == sorted(good)
    assert {row[0]: row[3] for row in trial.content(path) or []} == {key: row[3] for key, row in good.items()}
    kept = trial.execute('SELECT row_number, "row" FROM etl.reject WHERE table_name = %s', path.stem)
    assert len(kept) == rejected == len({row[0] for row in kept})
    before = trial.content(path)
    second = trial.load(path)
    assert (second.inserted, second.updated, second.unchanged, second.rejected) == (0, 0, len(good), rejected)
    assert trial.content(path) == before


@given(tables, tables)
@settings(max_examples=40, deadline=None)
def test_a_changed_source_is_counted_row_by_row(trial: Trial, rows: list[Row], later: list[Row]) -> None:
    path = trial.write([("1", "1", "2020-02-29", "Ulm"), *rows])
    trial.load(path)
    old = {row[0]: row for row in trial.content(path) or []}
    later = [*later, ("1", "2.5", "2020-02-29", "Ulm")]
    good, rejected = expected(later)
    result = trial.load(trial.put(path, later))
    new = {row[0]: row for row in trial.content(path) or []}
    counts = Counter(
        "inserted" if key not in old else "unchanged" if old[key] == new[key] else "updated" for key in good
    )
    assert (result.inserted, result.updated, result.unchanged, result.rejected) == (
        counts["inserted"],
        counts["updated"],
        counts["unchanged"],
        rejected,
    )
    assert set(new) == set(old) | set(good)


def test_a_table_of_bad_rows_only_is_refused_and_not_made(trial: Trial) -> None:
    path = trial.write([("x", "1", "", "Ulm"), ("y", "1", "", "Ulm")])
    with pytest.raises(SchemaDriftError, match="column 'id' is declared integer and none of its 2 values is one"):
        trial.load(path)
    assert trial.content(path) is None


BEFORE: list[Row] = [("1", "1", "2020-02-29", "Ulm"), ("2", "2.50", "", "Bonn")]
AFTER: list[Row] = [
    ("1", "9", "2020-02-29", "Ulm"),
    ("3", "1", "", "Jena"),
    ("x", "1", "", "Kiel"),
    ("3", "2", "", "Jena"),
]


class CrashError(SluicewayError):
    """Injected."""


STATEMENTS = 24
"""More than a load has."""


@pytest.mark.parametrize("step", range(STATEMENTS))
def test_an_error_at_any_statement_leaves_the_old_rows_or_all_new_ones(
    trial: Trial, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = trial.write(BEFORE)
    trial.load(path)
    before = trial.content(path)
    trial.put(path, AFTER)
    seen = 0
    execute, copy = BulkSession.execute, BulkSession._copy

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object) -> object:
            nonlocal seen
            seen += 1
            if seen > step:
                raise CrashError(f"at statement {step}")
            return call(*arguments)

        return run

    monkeypatch.setattr(BulkSession, "execute", counted(execute))
    monkeypatch.setattr(BulkSession, "_copy", counted(copy))
    try:
        trial.load(path)
    except CrashError:
        crashed = True
    else:
        crashed = False
    monkeypatch.undo()
    if crashed:
        assert trial.content(path) == before
        assert trial.execute("SELECT count(*) FROM etl.reject WHERE table_name = %s AND row_number > 4", path.stem) == [
            (0,)
        ]
    assert step > 0 or crashed
    assert step < STATEMENTS - 1 or not crashed  # every statement had its turn
    result = trial.load(path)
    assert (result.extracted, result.rejected) == (4, 2)
    assert [row[0] for row in trial.content(path) or []] == [1, 2, 3]


KILLED = """
import os, signal, sys
from pathlib import Path
from sluiceway.ledger.store import RunKey
from sluiceway.load import session, staging
from sluiceway.load.table import load_table
from sluiceway.tables.registry import read_spec
from tests.warehouses import Warehouses
point, path, url, run_id = sys.argv[1:]

def kill(*_arguments, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

def killed_after(call):
    def run(*arguments, **options):
        result = call(*arguments, **options)
        kill()
        return result
    return run

def killed_within(batches):
    for number, batch in enumerate(batches):
        if number:
            kill()
        yield batch

if point == "before COPY":
    session.BulkSession.append = kill
elif point == "in COPY":
    import sluiceway.sources.formats.csv as csv
    csv.BLOCK_BYTES = 64
    real = session.BulkSession.append
    import pyarrow as pa
    session.BulkSession.append = lambda self, table, reader: real(
        self, table, pa.RecordBatchReader.from_batches(reader.schema, killed_within(reader)))
elif point == "before commit":
    from sluiceway.ledger import store
    store.write_table_run = killed_after(store.write_table_run)
load_table(read_spec(Path(path)), url, run=RunKey("dag", run_id), force=True)
if point == "after commit":
    kill()
"""


@pytest.mark.parametrize("point", ["before COPY", "in COPY", "before commit", "after commit"])
def test_a_killed_process_leaves_the_old_rows_or_all_new_ones(trial: Trial, point: str) -> None:
    path = trial.write(BEFORE)
    trial.load(path)
    before = trial.content(path)
    trial.put(path, AFTER)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, point, str(path), trial.url, trial.open_run().run_id],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "include"), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    if point == "after commit":
        assert [row[0] for row in trial.content(path) or []] == [1, 2, 3]
    else:
        assert trial.content(path) == before
    result = trial.load(path)
    assert (result.extracted, result.inserted + result.updated + result.unchanged, result.rejected) == (4, 2, 2)
    assert [row[0] for row in trial.content(path) or []] == [1, 2, 3]


def test_a_source_without_rows_changes_nothing(trial: Trial) -> None:
    path = trial.write(BEFORE)
    trial.load(path)
    before = trial.content(path)
    with pytest.raises(EmptyExtractionError):
        trial.load(trial.put(path, []))
    assert trial.content(path) == before
