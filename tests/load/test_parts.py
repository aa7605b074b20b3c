"""A table that is loaded in parts by several workers is the table that one load gives: rows, rejects and accounting."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import ANY

import psycopg
import pytest

from bench.landiq_file import write_shapefile
from dev.environment import ROOT
from sluiceway.errors import (
    CheckFailedError,
    PartsError,
    SchemaDriftError,
    ShrunkExtractionError,
    SluicewayError,
    SourceUnreadableError,
    TooManyRejectsError,
)
from sluiceway.ledger import parts as ledger_parts
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.warehouse import connect
from sluiceway.load.parts import load_part, plan_parts
from sluiceway.load.table import load_table
from sluiceway.run.parts import cleanup_parts
from sluiceway.tables.spec import TableSpec
from tests.load.fields import Fields, Query, accounting, content, field_toml, rejects, write_fields

WriteSpec = Callable[..., TableSpec]
COUNT = 6_000


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fields(tmp_path_factory.mktemp("fields"), COUNT)


class Loads:
    """Loads in one and in parts, each as a run of its own."""

    def __init__(self, url: str, open_run: Callable[[str], RunKey]) -> None:
        self.url = url
        self._open_run = open_run

    def whole(self, spec: TableSpec, run_id: str, *, force: bool = False) -> TableRun:
        return load_table(spec, self.url, run=self._open_run(run_id), force=force)

    def plan(self, spec: TableSpec, run_id: str, *, force: bool = False) -> list[int]:
        return plan_parts(spec, self.url, run=self._open_run(run_id), force=force)

    def part(self, spec: TableSpec, run_id: str, part: int, **options: int) -> ledger_parts.TablePart:
        return load_part(spec, self.url, run=RunKey("master_etl", run_id), part=part, **options)

    def merge(self, spec: TableSpec, run_id: str, *, force: bool = False) -> TableRun:
        return load_table(spec, self.url, run=RunKey("master_etl", run_id), force=force, from_parts=True)

    def split(self, spec: TableSpec, run_id: str, order: Sequence[int] = (), *, force: bool = False) -> TableRun:
        """All of it, the parts in this order."""
        for part in order or self.plan(spec, run_id, force=force)[::-1]:
            self.part(spec, run_id, part)
        return self.merge(spec, run_id, force=force)

    def parts(self, spec: TableSpec, run_id: str) -> list[ledger_parts.TablePart]:
        with connect(self.url) as session:
            return ledger_parts.of_table(session, RunKey("master_etl", run_id), spec.name)


@pytest.fixture
def loads(warehouse_url: str, open_run: Callable[[str], RunKey]) -> Loads:
    return Loads(warehouse_url, open_run)


STAGED = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'etl_staging' ORDER BY 1"
LANDIQ = ROOT.parent / "shared" / "data" / "landiq" / "i15_crop_mapping_2023_provisional_20241127.gdb.zip"
BY_ROWS = 'split = "rows:2000"'


@pytest.fixture
def own(fields: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    folder = tmp_path / "own"
    shutil.copytree(fields.parent, folder)
    return folder / fields.name


def assert_same(query: Query, whole: TableRun, parted: TableRun) -> None:
    assert accounting(parted) == accounting(whole)
    assert content(query, parted.table_name) == content(query, whole.table_name)
    for each in (whole, parted):
        assert len(rejects(query, each.table_name, each.run_id)) == each.rejected
    assert rejects(query, parted.table_name, parted.run_id) == rejects(query, whole.table_name, whole.run_id)


def test_rows_of_each_part_say_their_file(fields: Path, write_spec: WriteSpec, loads: Loads, query: Query) -> None:
    toml = field_toml(fields, top=BY_ROWS).replace("[columns]", '[columns]\nfile = { source = "$file", type = "text" }')
    result = loads.split(write_spec("parted", toml), "parted")
    assert query("SELECT file, count(*) FROM parted GROUP BY 1") == [(fields.name, result.table_rows)]


@pytest.mark.parametrize("split", ["rows:1400", "column:COUNTY", "column:YR_PLANTED"])
def test_a_split_load_computes_columns_and_rejects_as_an_unsplit_one(
    split: str, fields: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    computed = '[columns]\nage = { type = "numeric(8,3)", expression = "acres / (planted - 2015)" }'
    toml = field_toml(fields).replace("[columns]", computed)
    whole = loads.whole(write_spec("field", toml), "whole")
    parted = loads.split(write_spec("parted", f'split = "{split}"\n{toml}'), "parted")
    assert_same(query, whole, parted)
    ages = "SELECT unique_id, age FROM {} ORDER BY unique_id"
    assert query(ages.format("parted")) == query(ages.format("field"))
    said = [reason for _, _, reason, *_ in rejects(query, "parted", "parted")]
    assert 0 < said.count("age: division by zero") < whole.extracted / 2
    assert query(STAGED) == []


@pytest.mark.parametrize("split", ["rows:1400", "column:COUNTY", "column:YR_PLANTED"])
def test_a_split_load_gives_the_rows_rejects_and_accounting_of_an_unsplit_one(
    split: str, fields: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    whole = loads.whole(write_spec("field", field_toml(fields)), "whole")
    spec = write_spec("parted", field_toml(fields, top=f'split = "{split}"'))
    parted = loads.split(spec, "parted")
    assert_same(query, whole, parted)
    assert whole.rejected > 10, "among them what is repeated in another part"
    assert query(STAGED) == []
    parts = loads.parts(spec, "parted")
    assert len(parts) >= 3
    assert {part.status for part in parts} == {"merged"}
    assert sum(part.extracted for part in parts) == whole.extracted


CHECKED = """
[checks.columns.crop]
pattern = "[A-Z]\\\\d+"
[checks.columns.planted]
range = {{ least = 2000 }}
failing = "{failing}"
[[checks.rows]]
holds = "acres < 150"
failing = "{failing}"
[[checks.rows]]
unique = ["county", "planted"]
"""


def test_checks_of_values_see_all_parts(fields: Path, write_spec: WriteSpec, loads: Loads, query: Query) -> None:
    def toml(top: str = "") -> str:
        return field_toml(fields, top=top) + CHECKED.format(failing="reject")

    whole = loads.whole(write_spec("field", toml()), "whole")
    parted = loads.split(write_spec("parted", toml(BY_ROWS)), "parted")
    assert_same(query, whole, parted)
    said = " ".join(str(row) for row in rejects(query, "parted", parted.run_id))
    found = {what for what in ("pattern", "range", "holds", "unique") if f" fails {what} " in said}
    assert found == {"pattern", "range", "holds", "unique"}


def test_a_check_that_fails_the_table_counts_the_rows_of_all_parts(
    fields: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    toml = field_toml(fields, top=BY_ROWS) + CHECKED.format(failing="fail")
    with pytest.raises(CheckFailedError) as whole:
        loads.whole(write_spec("parted", toml), "whole")
    with pytest.raises(CheckFailedError) as parted:
        loads.split(write_spec("parted", toml), "parted")
    assert str(parted.value) == str(whole.value)
    assert "rows fail checks.columns.planted.range (least 2000): row " in str(parted.value)
    assert "rows fail checks.rows.0.holds acres < 150: row " in str(parted.value)
    assert query("SELECT to_regclass('parted')") == [(None,)]


@pytest.mark.skipif(not LANDIQ.exists(), reason="the published file lies beside the checkout")
def test_the_published_fields_in_parts_are_those_of_one_load(write_spec: WriteSpec, loads: Loads, query: Query) -> None:
    toml = (
        field_toml(LANDIQ).replace("MAIN_CROP", "CLASS1").replace("YR_PLANTED", "COUNTY").replace('"integer"', '"text"')
    )
    whole = loads.whole(write_spec("field", toml), "whole")
    parted = loads.split(
        write_spec("parted", toml.replace("[source]", 'split = "column:COUNTY"\n[source]', 1)), "parted"
    )
    assert_same(query, whole, parted)
    assert whole.inserted == 100


@pytest.mark.parametrize("missing", ["keep", "mark", "delete"])
@pytest.mark.parametrize("key", ['"unique_id"', '"content"'])
def test_what_has_changed_since_the_load_before_is_told_as_an_unsplit_load_does(
    missing: str, key: str, own: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    def toml(top: str = "") -> str:
        text = field_toml(own, top=f'on_missing = "{missing}"\n{top}')
        return text.replace('key = "unique_id"', f"key = {key}")

    specs = write_spec("field", toml()), write_spec("parted", toml(BY_ROWS))
    loads.whole(specs[0], "before")
    loads.whole(specs[1], "before")
    with Fields(own) as fields:
        for number in range(100, 150):
            fields.put(number, "MAIN_CROP", b"Z9")
        for number in range(COUNT - 200, COUNT - 100):
            fields.put(number, "", b"*")
    whole, parted = loads.whole(specs[0], "after"), loads.split(specs[1], "after")
    assert_same(query, whole, parted)
    assert (whole.updated, whole.inserted, whole.deleted) != (0, 0, 0)


def test_what_an_unsplit_load_remembers_is_forgotten_by_a_split_one(
    write_spec: WriteSpec, loads: Loads, query: Query, tmp_path: Path
) -> None:
    path = write_shapefile(tmp_path / "right", COUNT)
    spec = write_spec("parted", field_toml(path, top=BY_ROWS).replace("[checks]", 'invalid = "repair"\n[checks]'))
    loads.whole(spec, "r1")
    assert query("SELECT table_name FROM etl.loaded_batches") == [("parted",)]
    with Fields(path) as fields:
        fields.put(100, "MAIN_CROP", b"Z9")
    assert (loads.split(spec, "r2").updated, query("SELECT table_name FROM etl.loaded_batches")) == (1, [])
    assert (loads.whole(spec, "r3", force=True).unchanged, loads.split(spec, "r4", force=True).unchanged) == (
        COUNT,
    ) * 2


def test_an_unchanged_source_has_no_parts_and_a_forced_load_of_it_finds_every_row_unchanged(
    fields: Path, write_spec: WriteSpec, loads: Loads
) -> None:
    spec = write_spec("parted", field_toml(fields, top=BY_ROWS))
    first = loads.split(spec, "first")
    assert loads.plan(spec, "second") == []
    assert loads.merge(spec, "second").status == "unchanged"
    again = loads.split(spec, "third", force=True)
    assert (again.status, again.unchanged, again.inserted, again.updated) == ("loaded", first.inserted, 0, 0)


def test_a_source_of_one_part_is_loaded_in_one(fields: Path, write_spec: WriteSpec, loads: Loads) -> None:
    spec = write_spec("parted", field_toml(fields, top='split = "rows:6000"'))
    assert loads.plan(spec, "r1") == []
    assert loads.merge(spec, "r1").status == "loaded"


def test_a_load_that_is_not_told_of_parts_reads_the_source_itself(
    fields: Path, write_spec: WriteSpec, loads: Loads
) -> None:
    spec = write_spec("parted", field_toml(fields, top=BY_ROWS))
    assert loads.plan(spec, "r1") == [1, 2, 3]
    assert load_table(spec, loads.url, run=RunKey("master_etl", "r1")).status == "loaded"


def test_a_column_that_is_bad_in_one_part_only_makes_rejects_and_no_error(
    own: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    with Fields(own) as fields:
        for number in range(2_000):
            fields.put(number, "MAIN_CROP", b"P123")
    whole = loads.whole(write_spec("field", field_toml(own)), "whole")
    assert_same(query, whole, loads.split(write_spec("parted", field_toml(own, top=BY_ROWS)), "parted"))
    assert whole.rejected > 2_000 - 10


def test_a_column_that_is_bad_in_all_parts_is_the_error_of_an_unsplit_load(
    own: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    with Fields(own) as fields:
        for number in range(COUNT):
            fields.put(number, "MAIN_CROP", b"P123")
    said = []
    for name, load in (("parted", loads.split), ("field", loads.whole)):
        with pytest.raises(SchemaDriftError) as raised:
            load(write_spec(name, field_toml(own, top=BY_ROWS)), name)
        said.append(str(raised.value).partition(":")[2])
    assert said[0] == said[1]
    assert rejects(query, "parted", "parted") == rejects(query, "field", "field")
    assert query("SELECT to_regclass('parted')") == [(None,)]


def test_a_source_that_shrank_is_the_error_of_an_unsplit_load(
    own: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    specs = write_spec("field", field_toml(own)), write_spec("parted", field_toml(own, top=BY_ROWS))
    for spec in specs:
        loads.whole(spec, "before")
    with Fields(own) as fields:
        for number in range(0, COUNT, 2):
            fields.put(number, "", b"*")
    for spec, load in zip(specs, (loads.whole, loads.split), strict=True):
        with pytest.raises(ShrunkExtractionError, match="gave 2,99"):
            load(spec, "after")
    assert rejects(query, "parted", "after") == rejects(query, "field", "after") != []
    failed = "SELECT extracted, rejected, error_type FROM etl.table_run WHERE run_id = 'after' AND status = 'failed'"
    assert len(set(query(failed))) == 1


def test_a_merge_whose_end_was_not_heard_is_not_made_again(fields: Path, write_spec: WriteSpec, loads: Loads) -> None:
    spec = write_spec("parted", field_toml(fields, top=BY_ROWS))
    first = loads.split(spec, "r1", force=True)
    assert loads.merge(spec, "r1", force=True).status == "unchanged"
    with connect(loads.url) as session:
        assert store.table_runs(session, RunKey("master_etl", "r1")) == [first.model_copy(update={"finished_at": ANY})]


@pytest.mark.parametrize("everywhere", [False, True], ids=["one part", "every part"])
def test_texts_that_look_like_another_encoding_count_only_where_no_part_speaks_against_it(
    everywhere: bool, own: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    own.with_suffix(".cpg").write_text("cp1252")
    with Fields(own) as fields:
        fields.put(11, "MAIN_CROP", "ü".encode())
        fields.put(COUNT - 20, "MAIN_CROP", "ü".encode("utf-8" if everywhere else "cp1252"))
    specs = write_spec("field", field_toml(own)), write_spec("parted", field_toml(own, top=BY_ROWS))
    if not everywhere:
        assert_same(query, loads.whole(specs[0], "whole"), loads.split(specs[1], "parted"))
        return
    for load, spec in ((loads.whole, specs[0]), (loads.split, specs[1])):
        with pytest.raises(SourceUnreadableError, match=r"values? with letters beyond ASCII is UTF-8"):
            load(spec, spec.name)


def test_too_many_rejects_of_all_parts_together_fail_the_table_and_the_parts_stay_for_another_try(
    fields: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    toml = field_toml(fields, top=BY_ROWS)
    strict = toml.replace("max_rejects = 0.5", "max_rejects = 5")
    said, samples = [], []
    for name, load in (("field", loads.whole), ("parted", loads.split)):
        with pytest.raises(TooManyRejectsError) as raised:
            load(write_spec(name, strict), name)
        said.append(str(raised.value).partition(":")[2])
        samples.append(rejects(query, name, name))
    assert (said[0], samples[0]) == (said[1], samples[1])
    assert query("SELECT to_regclass('parted')") == [(None,)]
    spec = write_spec("parted", toml)
    assert loads.merge(spec, "parted").status == "loaded", "checks change no row: the parts are as good as before"


KILLED = """
import os, signal, sys
from pathlib import Path
from sluiceway.ledger.store import RunKey
from sluiceway.load import session
from sluiceway.load.parts import load_part
from sluiceway.tables.registry import read_spec
path, url, point = sys.argv[1:]
real = session.BulkSession.append
def die(self, table, batches, *schema):
    if point == "after COPY":
        real(self, table, batches, *schema)
    # the task, with which the process of its load ends
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()
session.BulkSession.append = lambda self, table, batches, schema="": die(self, table, batches, schema)
load_part(read_spec(Path(path)), url, run=RunKey("master_etl", "parted"), part=2)
"""


@pytest.mark.parametrize("point", ["before COPY", "after COPY"])
def test_a_part_whose_process_is_killed_is_missing_until_it_is_repeated(
    point: str, fields: Path, write_spec: WriteSpec, loads: Loads, query: Query, tmp_path: Path
) -> None:
    whole = loads.whole(write_spec("field", field_toml(fields)), "whole")
    spec = write_spec("parted", field_toml(fields, top=BY_ROWS))
    assert loads.plan(spec, "parted") == [1, 2, 3]
    loads.part(spec, "parted", 1)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "parted.toml"), loads.url, point],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'include'}", "PATH": "/usr/bin:/bin"},
        check=False,
        timeout=120,
    )
    assert done.returncode == -9
    loads.part(spec, "parted", 3)
    with pytest.raises(PartsError, match=r"part 2 of 3 \(rows 2,001 to 4,000\) was begun on .* and never ended"):
        loads.merge(spec, "parted")
    assert query("SELECT to_regclass('parted')") == [(None,)]
    assert loads.part(spec, "parted", 2, try_number=2).status == "staged"
    assert_same(query, whole, loads.merge(spec, "parted"))


def test_a_part_that_fails_fails_its_table_with_its_own_sentence(
    own: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    with Fields(own) as fields:
        fields.put(2_500, "MAIN_CROP", b"\xff\x81")
    own.with_suffix(".cpg").write_text("utf-8")
    spec = write_spec("parted", field_toml(own, top=BY_ROWS))
    loads.plan(spec, "r1")
    for part in (1, 3):
        loads.part(spec, "r1", part)
    with pytest.raises(SourceUnreadableError, match=r"row 2,49\d, column 'MAIN_CROP'"):
        loads.part(spec, "r1", 2)
    with pytest.raises(PartsError) as raised:
        loads.merge(spec, "r1")
    assert "part 2 of 3 (rows 2,001 to 4,000) failed (SourceUnreadableError: " in str(raised.value)
    assert query("SELECT status, error_type FROM etl.table_run WHERE try_number > 0") == [("failed", "PartsError")]


def test_a_source_that_changes_between_two_parts_fails_the_second_and_the_table(
    own: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    spec = write_spec("parted", field_toml(own, top=BY_ROWS))
    loads.plan(spec, "r1")
    loads.part(spec, "r1", 1)
    with Fields(own) as fields:
        fields.put(100, "MAIN_CROP", b"Z9")
    with pytest.raises(PartsError, match=r"no longer what its parts were planned from; clear sub\.plan_parts"):
        loads.part(spec, "r1", 2)
    with pytest.raises(PartsError, match=r"part 2 of 3 .* failed"):
        loads.merge(spec, "r1")
    assert loads.plan(spec, "r1") == [1, 2, 3], "planned anew"
    assert query(STAGED) == []
    result = loads.split(spec, "r1", [3, 1, 2])
    assert (result.status, query("SELECT count(*) FROM parted WHERE crop = 'Z9'")) == ("loaded", [(1,)])


def test_a_source_that_changes_after_its_parts_is_not_overtaken_by_them(
    own: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    spec = write_spec("parted", field_toml(own, top=BY_ROWS))
    for part in loads.plan(spec, "r1"):
        loads.part(spec, "r1", part)
    with Fields(own) as fields:
        fields.put(100, "MAIN_CROP", b"Z9")
    newer = loads.whole(spec, "other")
    assert loads.merge(spec, "r1").status == "unchanged", "another run has loaded what stands there now"
    with Fields(own) as fields:
        fields.put(101, "MAIN_CROP", b"Z9")
    with pytest.raises(PartsError, match="no longer what its parts were planned from"):
        loads.merge(spec, "r1")
    assert query("SELECT count(*) FROM parted") == [(newer.table_rows,)]


def test_a_tables_file_that_changes_after_its_parts_fails_the_load_and_a_part_that_is_repeated(
    fields: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    spec = write_spec("parted", field_toml(fields, top=BY_ROWS))
    for part in loads.plan(spec, "r1"):
        loads.part(spec, "r1", part)
    changed = write_spec("parted", field_toml(fields, top=f'{BY_ROWS}\non_missing = "mark"'))
    for again in (lambda: loads.merge(changed, "r1"), lambda: loads.part(changed, "r1", 1)):
        with pytest.raises(PartsError, match="the table's file was changed since its parts were planned; clear"):
            again()
    assert query("SELECT to_regclass('parted') IS NULL") == [(True,)]


def test_two_tries_of_a_part_at_once_stage_it_once(
    fields: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    whole = loads.whole(write_spec("field", field_toml(fields)), "whole")
    spec = write_spec("parted", field_toml(fields, top=BY_ROWS))
    assert loads.plan(spec, "parted") == [1, 2, 3]
    loads.part(spec, "parted", 1)
    loads.part(spec, "parted", 3)
    with ThreadPoolExecutor(2) as threads, psycopg.connect(loads.url) as blocker:
        # the first try ends at its last statement, the second waits for its lock
        blocker.execute("SELECT FROM etl.table_part WHERE part = 2 FOR UPDATE")
        tries = [threads.submit(loads.part, spec, "parted", 2, try_number=number) for number in (1, 2)]
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
        deadline = time.monotonic() + 30
        while query(waiting) != [(1,)]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        blocker.rollback()
        found = [each.result() for each in tries]
    assert [each.status for each in found] == ["staged", "staged"]
    assert found[0] == found[1], "the second found what the first had left"
    assert_same(query, whole, loads.merge(spec, "parted"))


def test_rows_that_are_lost_with_the_servers_memory_are_missed(
    fields: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    spec = write_spec("parted", field_toml(fields, top=BY_ROWS))
    for part in loads.plan(spec, "r1"):
        loads.part(spec, "r1", part)
    lost = next(str(row[0]) for row in query(STAGED) if str(row[0]).endswith("_3"))
    query(f"TRUNCATE etl_staging.{lost}")
    with pytest.raises(PartsError, match=r"part 3 of 3 .* is gone from the warehouse"):
        loads.merge(spec, "r1")
    loads.part(spec, "r1", 3)
    assert loads.merge(spec, "r1").status == "loaded"


def test_a_second_plan_keeps_the_parts_that_are_staged(fields: Path, write_spec: WriteSpec, loads: Loads) -> None:
    spec = write_spec("parted", field_toml(fields, top=BY_ROWS))
    loads.plan(spec, "r1")
    first = loads.part(spec, "r1", 1)
    assert loads.plan(spec, "r1") == [1, 2, 3]
    assert loads.part(spec, "r1", 1, try_number=2) == first
    other = write_spec("parted", field_toml(fields, top='split = "rows:3000"'))
    assert loads.plan(other, "r1") == [1, 2]
    with pytest.raises(PartsError, match="part 3 is no longer planned"):
        loads.part(other, "r1", 3)


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("column:COUNTRY", "has no column 'COUNTRY'; did you mean 'COUNTY'?"),
        ("column:UniqueID", "holds 5,98\\d different values, and 500 parts are the most"),
    ],
)
def test_what_cannot_be_split_fails_the_table_and_says_why(
    split: str, said: str, fields: Path, write_spec: WriteSpec, loads: Loads, query: Query
) -> None:
    spec = write_spec("parted", field_toml(fields, top=f'split = "{split}"'))
    assert loads.plan(spec, "r1") == []
    with pytest.raises(PartsError, match=said.replace("?", r"\?")):
        loads.merge(spec, "r1")
    assert query("SELECT to_regclass('parted')") == [(None,)]


def test_a_source_that_is_missing_is_the_loads_own_error(write_spec: WriteSpec, loads: Loads, tmp_path: Path) -> None:
    spec = write_spec("parted", field_toml(tmp_path / "none.shp", top=BY_ROWS))
    assert loads.plan(spec, "r1") == []
    with pytest.raises(SluicewayError, match="there is no such file"):
        loads.merge(spec, "r1")


def test_parts_that_no_open_run_needs_are_dropped_and_the_log_says_so(
    fields: Path, write_spec: WriteSpec, loads: Loads, query: Query, caplog: pytest.LogCaptureFixture
) -> None:
    spec = write_spec("parted", field_toml(fields, top=BY_ROWS))
    for run_id in ("old", "open"):
        loads.plan(spec, run_id)
        loads.part(spec, run_id, 1)
    before = query(STAGED)
    assert cleanup_parts(loads.url) == []
    assert query(STAGED) == before
    with connect(loads.url) as session:
        store.close_run(session, RunKey("master_etl", "old"), "failed", "killed")
    dropped = cleanup_parts(loads.url)
    assert len(dropped) == len(before) / 2
    assert f"{len(dropped)} tables of parts that no run needs were dropped: parted_" in caplog.text
    for part in (2, 3):
        loads.part(spec, "open", part)
    assert loads.merge(spec, "open").status == "loaded"


def test_a_part_has_no_more_memory_than_the_tables_file_says(fields: Path, write_spec: WriteSpec, loads: Loads) -> None:
    spec = write_spec("parted", field_toml(fields, top=f'memory = "2GiB"\n{BY_ROWS}'))
    assert [loads.part(spec, "r1", part).status for part in loads.plan(spec, "r1")] == ["staged"] * 3
    assert loads.merge(spec, "r1").status == "loaded"
