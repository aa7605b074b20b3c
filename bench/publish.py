"""Benchmark of publishing: 20 readers select from every view in a loop while 30 runs publish.

    make bench-publish

Prints a table and writes bench/results/publish.json. Each run loads a table and publishes three views that read it, one
of them through another, as final.aggregate does. Readers are a process of their own; every other one reads all views in
one REPEATABLE READ transaction, and views of two runs in it are counted as mixed. First they read while nothing is
published, so that one sees what is the machine's share of the longest read. Exits with 1 where a read fails, takes
longer than WAIT_MS, sees half a state, or, where every view has a key, mixed ones.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from dev.cluster import Cluster
from dev.credentials import Credentials
from dev.environment import ROOT
from sluiceway.ledger.migrate import migrate
from sluiceway.ledger.store import RunKey
from sluiceway.load.table import load_table
from sluiceway.run import publishing, steps
from sluiceway.run.opening import Opening
from sluiceway.settings import load_settings
from sluiceway.tables import registry

BENCH = ROOT / ".local" / "bench-publish"
RESULT = ROOT / "bench" / "results" / "publish.json"
RUNS, READERS = 30, 20
ROWS = 2_000
"""That a run loads; the first view reads each 200 times, which takes about as long as a real one."""
QUIET_S = 5.0
PAUSE_S = 0.01
"""Between two rounds of a reader: twenty without one keep both cores of a small machine busy by themselves."""
WAIT_MS = 200.0
TABLE = """
description = "Cities, and in which state they are"
key = "id"
source = { kind = "csv", uri = "city.csv" }
columns = { id = "integer", n = "integer" }
"""
VIEWS = {
    "by_bucket": (
        "bucket",
        "city",
        "SELECT id % 100 AS bucket, min(n) AS least, max(n) AS most, count(*) AS rows "
        "FROM city, generate_series(1, 200) GROUP BY 1",
    ),
    "by_id": ("id", "city", "SELECT id, n AS least, n AS most FROM city"),
    "total": ("one", "by_bucket", "SELECT 1 AS one, min(least) AS least, max(most) AS most FROM by_bucket"),
}

console = Console(highlight=False)


@dataclass(frozen=True)
class Reads:
    """What the readers got."""

    reads: int
    median_ms: float
    p99_ms: float
    worst_ms: float
    errors: int
    torn: int
    """Reads of one view that saw rows of two runs."""
    mixed: int
    """Transactions that saw views of two runs."""


@dataclass(frozen=True)
class Shape:
    """What publishing costs those who read, and those who wait for it, with views of one shape."""

    views: str
    quiet: Reads
    meanwhile: Reads
    published: int
    median_publish_s: float
    worst_publish_s: float


def read(url: str, is_one: bool, stop: Event, took: list[float], wrong: dict[str, int]) -> None:
    """One reader, until it is told to stop."""
    statements = [f"SELECT min(least), max(most) FROM {view}" for view in VIEWS]  # noqa: S608 names of this file
    with psycopg.connect(url, autocommit=True) as connection:
        while not stop.is_set():
            try:
                states = set()
                if is_one:
                    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                for statement in statements:
                    began = time.perf_counter()
                    found = connection.execute(statement).fetchone()
                    took.append(time.perf_counter() - began)
                    wrong["torn"] += found is None or found[0] is None or found[0] != found[1]
                    states.add(found)
                if is_one:
                    connection.execute("COMMIT")
                    wrong["mixed"] += len(states) > 1
            except psycopg.Error as error:
                wrong["errors"] += 1
                console.print(f"[red]a reader:[/] {error}")
                connection.rollback()
            time.sleep(PAUSE_S)


def readers(url: str, count: int, begun: Event, stop: Event, told: multiprocessing.Queue[Reads]) -> None:
    """A process of readers."""
    took: list[list[float]] = [[] for _ in range(count)]
    wrong = [{"torn": 0, "mixed": 0, "errors": 0} for _ in range(count)]
    with ThreadPoolExecutor(count) as threads:
        reads = [
            threads.submit(read, url, number % 2 == 1, stop, took[number], wrong[number]) for number in range(count)
        ]
        begun.set()
        for each in reads:
            each.result()
    times = sorted(1000 * each for one in took for each in one)
    sums = {key: sum(one[key] for one in wrong) for key in wrong[0]}
    p99 = times[int(0.99 * (len(times) - 1))]
    told.put(Reads(len(times), round(statistics.median(times), 2), round(p99, 2), round(times[-1], 2), **sums))


class Reading:
    """Readers who read as long as the block lasts."""

    def __init__(self, url: str, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._stop = context.Event()
        self._begun = context.Event()
        self._told: multiprocessing.Queue[Reads] = context.Queue()
        self._process = context.Process(target=readers, args=(url, count, self._begun, self._stop, self._told))

    def __enter__(self) -> Reading:
        self._process.start()
        self._begun.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.found = self._told.get(timeout=60)
        self._process.join()


def configure(*, keyed: bool) -> None:
    """Files of a table and of three views, with or without keys."""
    config = BENCH / ("keyed" if keyed else "bare")
    for folder in ("tables", "sql"):
        (config / folder).mkdir(parents=True)
    (config / "tables" / "city.toml").write_text(TABLE, encoding="utf-8")
    for name, (key, table, select) in VIEWS.items():
        head = f"-- description: {name}\n-- tables: {table}\n" + (f"-- key: {key}\n" if keyed else "")
        (config / "sql" / f"{name}.sql").write_text(head + select, encoding="utf-8")
    os.environ["SLUICEWAY_CONFIG_DIR"] = str(config)
    load_settings.cache_clear()


def publish(url: str, run: RunKey, state: int) -> float:
    """One run; how long its publishing took."""
    source = Path(os.environ["SLUICEWAY_CONFIG_DIR"]) / "tables" / "city.csv"
    source.write_text("id,n\n" + "".join(f"{number},{state}\n" for number in range(ROWS)), encoding="utf-8")
    steps.open_ledger(url, Opening(run, None, "bench", None))
    steps.plan(url, run, only=[])
    load_table(registry.read_one("city"), url, run=run)
    began = time.perf_counter()
    published = publishing.aggregate(url, run).views
    assert published == sorted(VIEWS), published
    return time.perf_counter() - began


def measure(cluster: Cluster, *, keyed: bool, runs: int, count: int) -> Shape:
    """Readers alone, then readers while runs publish."""
    configure(keyed=keyed)
    name = "keyed" if keyed else "bare"
    url, reader = (cluster.url(role, "warehouse") for role in ("sluiceway_loader", "sluiceway_reader"))
    publish(url, RunKey(name, "first"), 0)
    with Reading(reader, count) as quiet:
        threading.Event().wait(QUIET_S)
    with Reading(reader, count) as meanwhile:
        times = [publish(url, RunKey(name, f"run_{state}"), state) for state in range(1, runs + 1)]
    return Shape(
        views="each with a key" if keyed else "none with a key",
        quiet=quiet.found,
        meanwhile=meanwhile.found,
        published=len(times),
        median_publish_s=round(statistics.median(times), 3),
        worst_publish_s=round(max(times), 3),
    )


def problems(shapes: Sequence[Shape]) -> list[str]:
    """What is not as it should be."""
    found = []
    for shape in shapes:
        reads = shape.meanwhile
        if reads.errors or reads.torn:
            found.append(f"{shape.views}: {reads.errors} errors, {reads.torn} reads of half a state")
        if reads.worst_ms > WAIT_MS:
            found.append(f"{shape.views}: the longest read took {reads.worst_ms:g} ms, more than {WAIT_MS:g}")
        if reads.mixed and shape.views == "each with a key":
            found.append(f"{shape.views}: {reads.mixed} transactions saw views of two runs")
    return found


def show(shapes: Sequence[Shape]) -> None:
    """A table of it."""
    table = Table("views", "readers", "reads", "median", "99 %", "longest", "errors", "torn", "mixed", "publishing")
    for shape in shapes:
        for who, reads in (("alone", shape.quiet), (f"beside {shape.published} runs", shape.meanwhile)):
            times = [f"{value:g} ms" for value in (reads.median_ms, reads.p99_ms, reads.worst_ms)]
            counts = [str(value) for value in (reads.errors, reads.torn, reads.mixed)]
            publishing_s = f"{shape.median_publish_s:g} s" if reads is shape.meanwhile else ""
            table.add_row(shape.views, who, f"{reads.reads:,}", *times, *counts, publishing_s)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--readers", type=int, default=READERS)
    arguments = parser.parse_args()
    shutil.rmtree(BENCH, ignore_errors=True)
    BENCH.mkdir(parents=True)
    shapes = []
    for keyed in (True, False):
        cluster = Cluster(BENCH / f"pg-{keyed}", Credentials(BENCH / f"secrets-{keyed}"))
        cluster.start()
        try:
            migrate(cluster.url("sluiceway_owner", "warehouse"))
            shapes.append(measure(cluster, keyed=keyed, runs=arguments.runs, count=arguments.readers))
        finally:
            cluster.stop()
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load": round(os.getloadavg()[0], 1),
        },
        "runs": arguments.runs,
        "readers": arguments.readers,
        "shapes": [asdict(shape) for shape in shapes],
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(shapes)
    if found := problems(shapes):
        sys.exit("; ".join(found))


if __name__ == "__main__":
    main()
