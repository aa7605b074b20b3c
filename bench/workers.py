"""Benchmark of workers: twenty tables that sleep for 3 s each, on one, two and three Celery workers of one slot.

Prints a table and writes bench/results/workers.json. One stack; the workers come and go between the runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.master import run
from bench.noop_tables import new_config, write_tables
from dev import workers
from dev.environment import ROOT
from dev.stack import Stack
from sluiceway.ledger import store
from sluiceway.ledger.warehouse import connect
from sluiceway.rest.airflow_api import AirflowApi
from sluiceway.workers import of_broker

BENCH = ROOT / ".local" / "bench-workers"
RESULT = ROOT / "bench" / "results" / "workers.json"
TABLES = 20
SLEEP_S = 3
MOST = 3
LIMIT = 0.40
"""Of the time of one worker, at three."""
TRANSFORM = f"""
import time

def transform(batch):
    time.sleep({SLEEP_S})
    return batch
"""

console = Console(highlight=False)


def scale(stack: Stack, count: int) -> None:
    """Have so many workers, and wait until they are ready."""
    workers.change(lambda fleet: workers.scaled(fleet, count), stack)
    while len(of_broker(stack.env["SLUICEWAY_BROKER_URL"])) != count:
        pass  # each look takes some seconds


def measure(stack: Stack, api: AirflowApi, repeats: int) -> dict[str, Any]:
    """By the number of workers, in turns: seconds, and who loaded how many tables."""
    run(api, "master_etl", force=True)  # not counted: the tables are made
    times: dict[int, list[float]] = {count: [] for count in range(1, MOST + 1)}
    loaded: dict[int, dict[str, int]] = {}
    for _ in range(repeats):
        for count in times:
            scale(stack, count)
            run_id, seconds = run(api, "master_etl", force=True)
            times[count].append(seconds)
            with connect(stack.warehouse_url) as session:
                rows = store.table_runs(session, store.RunKey("master_etl", run_id))
            names = [row.worker or "" for row in rows]
            loaded[count] = {name: names.count(name) for name in sorted(set(names))}
    medians = {count: statistics.median(found) for count, found in times.items()}
    return {
        "tables": TABLES,
        "sleep_s": SLEEP_S,
        "seconds": times,
        "median_s": medians,
        "share_of_one": {count: median / medians[1] for count, median in medians.items()},
        "loaded": loaded,
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    config = new_config(BENCH / "config")
    write_tables(config, TABLES, transform=TRANSFORM)
    env = {"SLUICEWAY_CONFIG_DIR": str(config), "SLUICEWAY_GROUPS": "warehouse"}
    fleet = workers.several(MOST, slots=1)
    with (
        Stack.running(BENCH / "stack", env=env, workers=fleet) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
    ):
        result = {"at": datetime.now(UTC).isoformat(timespec="seconds"), **measure(stack, api, repeats)}
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    view = Table("workers", "seconds", "of one", "limit", "tables loaded by", box=None, pad_edge=False)
    for count, seconds in result["median_s"].items():
        share = f"{result['share_of_one'][count]:.2f}"
        who = ", ".join(f"{name} {tables}" for name, tables in result["loaded"][count].items())
        view.add_row(str(count), f"{seconds:.1f}", share, str(LIMIT) if count == MOST else "", who)
    console.print(view)


if __name__ == "__main__":
    main()
