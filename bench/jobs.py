"""Benchmark of jobs beside two queues that others made, on one PostgreSQL: 100,000 due items, a no-op for each.

Ours claims, works, writes a result for each item and records its end, in one lane; Procrastinate and PgQueuer run
their no-ops by their own workers as their documentation shows. Both are installed into a folder of the benchmark's own.
Prints a table and writes bench/results/jobs.json. Everything lives in .local/bench-jobs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from dev.cluster import Cluster
from dev.credentials import Credentials
from dev.environment import ROOT
from sluiceway.jobs import items
from sluiceway.jobs.definition import Answer, Done, Job, Results
from sluiceway.jobs.items import Item
from sluiceway.jobs.lane import Lane
from sluiceway.jobs.lanes import LaneKey
from sluiceway.ledger.migrate import migrate
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect

BENCH = ROOT / ".local" / "bench-jobs"
RESULTS = ROOT / "bench" / "results" / "jobs.json"
ITEMS, PEER_ITEMS = 100_000, 5_000
"""The peers get fewer, for one of them does a few hundred a second; what is compared is items a second."""
PEERS = ("procrastinate[psycopg]", "pgqueuer[asyncpg]")
LIMIT_PER_S = 5_000

console = Console(highlight=False)
WATCHED_EVERY_S = 0.05


def noop(batch: Sequence[Item]) -> Iterator[Answer]:
    """Nothing, and a result."""
    return (Done(each.item, {"value": 1}) for each in batch)


JOB = Job(due="", work=noop, results=Results(table="nothing", columns={"value": "integer"}), batch=1000)


def drain(url: str) -> float:
    """Seconds in which one lane is done with all of them."""
    with connect(url) as session:
        for table in ("item", "nothing", "lane"):
            session.execute(
                sql.SQL("DROP TABLE IF EXISTS {}" if table == "nothing" else "DELETE FROM {}").format(
                    sql.Identifier("etl_jobs", table)
                )
            )
        found = sql.SQL(
            "SELECT 'i' || n AS item, '{{}}'::jsonb AS input, 'a' AS input_hash FROM generate_series(1, {}) n"
        )
        items.enqueue(session, "noop", found.format(sql.Literal(ITEMS)))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE etl_jobs.item")
    started = time.monotonic()
    tally = Lane(url, "noop", JOB, LaneKey(RunKey("noop", "bench"))).drain(budget_s=600)
    seconds = time.monotonic() - started
    if tally.ended != {"done": ITEMS}:
        raise SystemExit(f"Not all of them are done: {tally}")
    return seconds


class Watch:
    """How many connections a database has at most while something runs, those of the watch not counted."""

    def __init__(self, url: str, database: str) -> None:
        self._url, self._database = url, database
        self._ends = threading.Event()
        self.most = 0

    def __enter__(self) -> Watch:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _look(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._ends.wait(WATCHED_EVERY_S):
                rows = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'",
                    [self._database],
                ).fetchall()
                self.most = max(self.most, rows[0][0])


def install_peers() -> Path:
    """A Python with both queues, which nothing else uses."""
    python = BENCH / "queues" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(BENCH / "queues")], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS, "psycopg[binary]"], check=True)
    return python


def peer(python: Path, name: str, url: str) -> float:
    """Items a second of a peer's worker."""
    script = ROOT / "bench" / "queues" / f"{name}_queue.py"
    done = subprocess.run(
        [str(python), str(script), url, str(PEER_ITEMS)], capture_output=True, text=True, check=True, cwd=BENCH
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return float(found["items"] / found["seconds"])


def fresh(cluster: Cluster, name: str) -> str:
    """The URL of an empty database for a peer."""
    with psycopg.connect(cluster.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER sluiceway_owner").format(sql.Identifier(name)))
    return cluster.url("sluiceway_owner", name)


def idle(url: str, seconds: float) -> int:
    """Transactions that the warehouse has in that time while nothing is due and nothing runs; one is the question."""
    look = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    with psycopg.connect(url, autocommit=True) as connection:
        before = connection.execute(look).fetchall()[0][0]
    time.sleep(seconds)
    with psycopg.connect(url, autocommit=True) as connection:
        return int(connection.execute(look).fetchall()[0][0] - before)


def measure(cluster: Cluster, python: Path, repeats: int) -> dict[str, Any]:
    """All three in turns."""
    url, admin = cluster.url("sluiceway_jobs", "warehouse"), cluster.url("postgres", "postgres")
    speeds: dict[str, list[float]] = {"sluiceway": [], "pgqueuer": [], "procrastinate": []}
    connections: dict[str, int] = dict.fromkeys(speeds, 0)

    def watched(name: str, database: str, work: Callable[[], float]) -> None:
        with Watch(admin, database) as watch:
            speeds[name].append(work())
        connections[name] = max(connections[name], watch.most)

    for _ in range(repeats):
        watched("sluiceway", "warehouse", lambda: ITEMS / drain(url))
        for name in ("pgqueuer", "procrastinate"):
            address = fresh(cluster, name)
            watched(name, name, lambda name=name, address=address: peer(python, name, address))  # type: ignore[misc]
    return {
        name: {
            "items_per_s": speeds[name],
            "median_items_per_s": statistics.median(speeds[name]),
            "connections": connections[name],
        }
        for name in speeds
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    shutil.rmtree(BENCH, ignore_errors=True)
    BENCH.mkdir(parents=True)
    python = install_peers()
    cluster = Cluster(BENCH / "pg", Credentials(BENCH / "secrets"))
    cluster.start()
    try:
        migrate(cluster.url("sluiceway_owner", "warehouse"))
        result = measure(cluster, python, repeats)
        transactions = idle(cluster.url("sluiceway_jobs", "warehouse"), 30)
    finally:
        cluster.stop()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "items": ITEMS,
        "items_of_peers": PEER_ITEMS,
        "queues": result,
        "idle_transactions_in_30_s": transactions,
    }
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    view = Table("queue", "items a second", "connections", "limit", box=None, pad_edge=False)
    for name, found in result.items():
        limit = f"{LIMIT_PER_S:,} items a second, 1 connection" if name == "sluiceway" else ""
        view.add_row(name, f"{found['median_items_per_s']:,.0f}", str(found["connections"]), limit)
    console.print(view)
    console.print(f"idle for 30 s: {transactions} transactions")


if __name__ == "__main__":
    main()
