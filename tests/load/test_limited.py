"""A load that needs more memory than it may have ends alone, and is told from one that somebody ends."""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pyarrow as pa
import pytest

from sluiceway.errors import ConfigError, EmptyExtractionError, LoadEndedError, MemoryLimitError
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect, one_connection
from sluiceway.load import cgroup, limited, whereabouts
from sluiceway.load.geometry.cleaner import GeometryCleaner
from sluiceway.load.limited import Ended, load_within_memory, run_within
from sluiceway.tables.limits import Limits
from sluiceway.tables.registry import read_spec
from sluiceway.tables.spec import TableSpec

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what another process has")
MUCH = 64 << 30
CITY = """
description = "Cities"
key = "id"
memory = "8GiB"
source = { kind = "csv", uri = "city.csv" }
columns = { id = "integer", name = "text" }
"""


@pytest.fixture
def ended() -> list[Ended]:
    return []


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


def test_what_the_work_returns_comes_back_from_another_process(ended: list[Ended]) -> None:
    pid, value = run_within(Limits(MUCH), lambda: (os.getpid(), "x" * 1_000_000), ended.append)
    assert (pid != os.getpid(), len(value), ended) == (True, 1_000_000, [])
    assert not psutil.pid_exists(pid)


def test_what_the_work_raises_is_raised_here_with_its_place(ended: list[Ended]) -> None:
    def work() -> None:
        raise EmptyExtractionError("no rows")

    with pytest.raises(EmptyExtractionError, match="no rows") as caught:
        run_within(Limits(MUCH), work, ended.append)
    assert "in work" in caught.value.__notes__[0]
    assert ended == []


def test_an_error_that_cannot_leave_its_process_is_told_in_words(ended: list[Ended]) -> None:
    def work() -> None:
        error = ValueError("odd")
        error.held = lambda: None  # type: ignore[attr-defined]
        raise error

    with pytest.raises(RuntimeError, match="ValueError: odd"):
        run_within(Limits(MUCH), work, ended.append)


def test_what_the_work_returns_and_cannot_leave_its_process_is_no_error_of_its(ended: list[Ended]) -> None:
    with pytest.raises(RuntimeError, match=r"ended well, and what it gave cannot be handed over: .*lambda"):
        run_within(Limits(MUCH), lambda: lambda: None, ended.append)


def test_work_that_needs_more_memory_ends_and_the_sentence_says_peak_limit_and_what_to_set(ended: list[Ended]) -> None:
    limit = resident() + (200 << 20)

    def work() -> None:
        held = []
        while True:
            held.append(b"x" * (8 << 20))
            time.sleep(0.002)

    with pytest.raises(MemoryLimitError, match=r"the load had [\d.]+ .iB and its limit is [\d.]+ .iB.*Set `memory`"):
        run_within(Limits(limit), work, ended.append)
    (told,) = ended
    assert limit < told.peak < limit + (300 << 20)
    assert isinstance(told.error, MemoryLimitError)


def test_work_that_somebody_kills_is_no_want_of_memory(ended: list[Ended]) -> None:
    with pytest.raises(LoadEndedError, match=r"signal 9 \(SIGKILL\).*by hand or by a crash"):
        run_within(Limits(MUCH), lambda: os.kill(os.getpid(), signal.SIGKILL), ended.append)
    with pytest.raises(LoadEndedError, match=r"exit status 3"):
        run_within(Limits(MUCH), lambda: os._exit(3), ended.append)
    assert len(ended) == 2


@pytest.fixture(autouse=True)
def _none_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds without a control group; test_cgroup.py has what holds with one."""
    monkeypatch.setattr(cgroup, "make", lambda _: None)
    monkeypatch.setattr(cgroup, "killed_in_own", lambda: None)


def test_work_that_the_kernel_ends_is_told_as_want_of_memory(
    ended: list[Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel counts whom it ends; to have it do so here would end others."""
    counts = tmp_path / "vmstat"
    counts.write_text("nr_free_pages 1\noom_kill 4\n")
    monkeypatch.setattr(limited, "VMSTAT", counts)

    def work() -> None:
        counts.write_text("nr_free_pages 1\noom_kill 5\n")
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(MemoryLimitError, match="the kernel ended the load"):
        run_within(Limits(MUCH), work, ended.append)


@pytest.fixture
def city(write_spec: Callable[..., TableSpec]) -> TableSpec:
    return write_spec("city", CITY, city__csv="id,name\n1,a\n2,b\n")


def test_a_load_within_its_memory_is_as_any(
    city: TableSpec, warehouse_url: str, open_run: Callable[[str], RunKey]
) -> None:
    run = open_run("r1")
    with one_connection(warehouse_url):
        with connect(warehouse_url) as session:
            assert store.runs(session)
        result = load_within_memory(city, warehouse_url, run=run, try_number=1)
        with connect(warehouse_url) as session:
            assert [row.status for row in store.table_runs(session, run)] == ["loaded"]
    assert (result.status, result.inserted) == ("loaded", 2)


def test_a_load_that_needs_more_leaves_a_row_that_says_so_and_nothing_else(
    city: TableSpec, warehouse_url: str, open_run: Callable[[str], RunKey], query: Callable[..., list[tuple[object]]]
) -> None:
    run = open_run("r1")
    small = city.model_copy(update={"memory": "16MiB"})
    with pytest.raises(MemoryLimitError):
        load_within_memory(small, warehouse_url, run=run, try_number=1)
    with connect(warehouse_url) as session:
        (row,) = store.table_runs(session, run)
    assert (row.status, row.error_type, row.try_number) == ("failed", "MemoryLimitError", 1)
    assert (row.error or "").startswith("Out of memory: the load had ")
    assert (row.peak_rss_bytes or 0) > 16 << 20
    assert query("SELECT to_regclass('city') IS NULL") == [(True,)]
    assert load_within_memory(city, warehouse_url, run=run, try_number=2).status == "loaded"


PLACE = """
description = "Places"
key = "id"
source = { kind = "csv", uri = "place.csv" }
columns = { id = "integer" }
geometry = { type = "Point", source = "shape", source_crs = "EPSG:4326" }
"""
PLACES = "id,shape\n" + "".join(f"{number},POINT (1 2)\n" for number in range(1, 100_001))
CRASH = """
import faulthandler

def transform(batch):
    if "90000" in set(batch["id"]):
        faulthandler._sigsegv()
    return batch
"""


HEARD = """
import ctypes, signal
from sluiceway.errors import LoadEndedError
from sluiceway.load.limited import run_within
from sluiceway.tables.limits import Limits

signal.signal(signal.SIGSEGV, lambda *_: None)
try:
    run_within(Limits(), lambda: ctypes.string_at(0), lambda ended: None)
except LoadEndedError as error:
    print(error)
"""


def test_a_crash_ends_the_load_also_where_airflow_listens_to_it() -> None:
    done = subprocess.run([sys.executable, "-c", HEARD], capture_output=True, text=True, check=True, timeout=30)
    assert "SIGSEGV" in done.stdout


def test_a_library_that_crashes_is_told_with_the_rows_it_had_in_hand(
    write_spec: Callable[..., TableSpec],
    warehouse_url: str,
    open_run: Callable[[str], RunKey],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a table without any limit: what kills its load kills no more than that."""
    clean = GeometryCleaner.clean

    def crash(cleaner: GeometryCleaner, batch: pa.RecordBatch) -> object:
        if "90000" in batch.column("id").to_pylist():
            faulthandler._sigsegv()  # type: ignore[attr-defined]  # made for this
        return clean(cleaner, batch)

    monkeypatch.setattr(GeometryCleaner, "clean", crash)
    run = open_run("r1")
    with pytest.raises(LoadEndedError, match="SIGSEGV") as caught:
        load_within_memory(write_spec("place", PLACE, place__csv=PLACES), warehouse_url, run=run, try_number=1)
    found = re.search(r"It had rows ([\d,]+) to ([\d,]+) in hand, and had read [\d,]+\.", str(caught.value))
    assert found is not None, str(caught.value)
    first, last = (int(number.replace(",", "")) for number in found.groups())
    assert 1 < first <= 90_000 <= last
    with connect(warehouse_url) as session:
        (row,) = store.table_runs(session, run)
    assert (row.status, row.error) == ("failed", str(caught.value))


def test_a_crash_while_the_source_is_read_is_told_with_how_far_it_had_come(
    write_spec: Callable[..., TableSpec], tmp_path: Path, warehouse_url: str, open_run: Callable[[str], RunKey]
) -> None:
    write_spec("place", PLACE, place__csv=PLACES)
    code = tmp_path / "crash.py"
    code.write_text(CRASH)
    spec = read_spec(tmp_path / "place.toml").model_copy(update={"transform": code})
    with pytest.raises(LoadEndedError, match=r"SIGSEGV.* had read [\d,]{5,}( rows, and was to read on|\.)"):
        load_within_memory(spec, warehouse_url, run=open_run("r1"), try_number=1)


def test_where_the_load_before_was_is_not_told_of_the_next_one(ended: list[Ended]) -> None:
    whereabouts.has_read(7)
    with pytest.raises(LoadEndedError, match="exit status 3") as caught:
        run_within(Limits(), lambda: os._exit(3), ended.append)
    assert "had read" not in str(caught.value)


def test_the_limits_of_a_flow_hold_for_a_table_whose_file_says_none(city: TableSpec) -> None:
    assert city.limits == Limits(8 << 30, None)
    assert city.within("1GiB", 0.5).limits == Limits(8 << 30, 0.5)
    assert city.model_copy(update={"memory": None}).within("1GiB", None).limits == Limits(1 << 30, None)
    assert city.within("1GiB", 0.5).fingerprint() == city.fingerprint(), "nothing else is loaded"


def test_processors_that_nothing_limits_are_told(ended: list[Ended], caplog: pytest.LogCaptureFixture) -> None:
    assert run_within(Limits(cpu=2), os.getpid, ended.append) != os.getpid(), "a crash is still to be told"
    assert "Nothing limits the load to 2 processors: no control group may be made for it here." in caplog.text


def test_a_load_that_was_committed_before_its_process_ended_is_not_called_failed(
    city: TableSpec, warehouse_url: str, open_run: Callable[[str], RunKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run("r1")
    load = limited.load_table

    def load_and_die(*arguments: object, **options: object) -> None:
        load(*arguments, **options)  # type: ignore[arg-type]
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(limited, "load_table", load_and_die)
    with pytest.raises(LoadEndedError):
        load_within_memory(city, warehouse_url, run=run, try_number=1)
    with connect(warehouse_url) as session:
        (row,) = store.table_runs(session, run)
    assert (row.status, row.inserted) == ("loaded", 2)


@pytest.mark.parametrize(
    ("written", "said"),
    [("4GB", "write it as 4GiB"), ("4", "write it as"), ("100MiB", "100MiB is less than a task has")],
)
def test_a_limit_that_is_none_is_refused(write_spec: Callable[..., TableSpec], written: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        write_spec("city", CITY.replace("8GiB", written), city__csv="id,name\n")


BY_A_FLOW = """
import sys
from pathlib import Path
from sluiceway.ledger.store import RunKey
from sluiceway.load.limited import load_within_memory
from sluiceway.tables import registry
spec, url, flow = registry.read_spec(Path(sys.argv[1])), *sys.argv[2:]
load_within_memory(spec, url, run=RunKey(flow, "r1"), try_number=1, force=True)
"""


def test_two_flows_load_one_table_within_its_memory_one_after_the_other(
    city: TableSpec, tmp_path: Path, warehouse_url: str, query: Callable[..., list[tuple[object, ...]]]
) -> None:
    """Each in a process of its own; that of the second waits there for the table's turn."""
    runs = [RunKey(flow, "r1") for flow in ("orders", "stock")]
    with connect(warehouse_url) as session:
        for run in runs:
            store.open_run(session, run, None, "manual")
            store.plan_tables(session, run, [city.name])
    with psycopg.connect(warehouse_url) as blocker:
        blocker.execute("LOCK TABLE etl.table_run IN SHARE MODE")
        command = [sys.executable, "-c", BY_A_FLOW, str(tmp_path / "city.toml"), warehouse_url]
        loads = [subprocess.Popen([*command, run.dag_id]) for run in runs]
        # both begin before one of them may end
        while query("SELECT count(*) FROM pg_locks WHERE NOT granted") < [(2,)]:
            time.sleep(0.05)
        blocker.rollback()
    assert [load.wait(60) for load in loads] == [0, 0]
    with connect(warehouse_url) as session:
        rows = [row for run in runs for row in store.table_runs(session, run)]
    assert [(row.status, row.try_number, row.extracted) for row in rows] == [("loaded", 1, 2)] * 2
    assert sorted(row.inserted or 0 for row in rows) == [0, 2]
    assert query("SELECT count(*) FROM city") == [(2,)]


@pytest.mark.parametrize(
    ("written", "said"), [("0.01", "0.01 is no number of processors; write 0.5"), ('"two"', "cpu")]
)
def test_a_number_of_processors_that_is_none_is_refused(
    write_spec: Callable[..., TableSpec], written: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        write_spec("city", CITY.replace('memory = "8GiB"', f"cpu = {written}"), city__csv="id,name\n")
