"""Benchmark of many tables: master_etl against a DAG of the same graph that does nothing, in turns on one stack.

Prints a table and writes bench/results/scale.json. 20, 200 and 1,000 no-op tables on the LocalExecutor, and 20 on
Celery with three workers of one slot.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import statistics
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from bench.master import run
from bench.noop_tables import new_config, write_tables
from dev import workers
from dev.environment import ROOT
from dev.stack import Stack
from dev.workers import Worker
from sluiceway.ledger import store
from sluiceway.ledger.warehouse import connect
from sluiceway.rest.airflow_api import AirflowApi

BENCH = ROOT / ".local" / "bench-scale"
RESULT = ROOT / "bench" / "results" / "scale.json"
TURNS = {20: 3, 200: 3, 1000: 1}
LIMITS = {20: 1.25, 200: 1.2, 1000: 1.2}
VERDICT_S = 5
GROWTH = 1.3
"""Of the cost of a table, from 20 to 1,000."""

log = logging.getLogger(__name__)
console = Console(highlight=False)


def write_dags() -> Path:
    """master_etl and its peer in one folder."""
    dags = BENCH / "dags"
    shutil.rmtree(dags, ignore_errors=True)
    dags.mkdir(parents=True)
    for file in (ROOT / "dags" / "master_etl.py", ROOT / "bench" / "dags" / "bare.py"):
        shutil.copy(file, dags)
    return dags


def measure(count: int, turns: int, fleet: Sequence[Worker] | None) -> dict[str, Any]:
    """The two DAGs in turns, after one run of each that is not counted."""
    config = new_config(BENCH / "config")
    write_tables(config, count)
    env = {"SLUICEWAY_CONFIG_DIR": str(config), "SLUICEWAY_GROUPS": "warehouse"}
    times: dict[str, list[float]] = {"bare": [], "master": []}
    late: list[float] = []
    with (
        Stack.running(BENCH / "stack", dags=write_dags(), env=env, workers=fleet) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
    ):
        run(api, "master_etl")
        run(api, "bare", n=count)
        memory = [scheduler_memory(stack)]
        for _ in range(turns):
            times["bare"].append(run(api, "bare", n=count)[1])
            run_id, seconds = run(api, "master_etl")
            times["master"].append(seconds)
            late.append(verdict_after_s(stack, run_id))
            memory.append(scheduler_memory(stack))
            log.info("%d tables: bare %.1f s, master %.1f s", count, times["bare"][-1], seconds)
    bare, master = (statistics.median(times[name]) for name in ("bare", "master"))
    return {
        "tables": count,
        "executor": "celery" if fleet else "local",
        "bare_s": times["bare"],
        "master_s": times["master"],
        "ratio": master / bare,
        "median_bare_s": bare,
        "median_master_s": master,
        "table_s": master / count,
        "verdict_after_s": late,
        "scheduler_mb": [round(each / 2**20) for each in memory],
    }


def scheduler_memory(stack: Stack) -> int:
    """Resident bytes."""
    pid = json.loads(stack.layout.pids.read_text(encoding="utf-8"))["scheduler"]
    return int(psutil.Process(pid).memory_info().rss)


def verdict_after_s(stack: Stack, run_id: str) -> float:
    """From the end of the last table to the verdict, after which the page is there."""
    key = store.RunKey("master_etl", run_id)
    with connect(stack.warehouse_url) as session:
        found = store.run(session, key)
        ends = [row.finished_at for row in store.table_runs(session, key) if row.finished_at]
    assert found and found.finished_at
    return (found.finished_at - max(ends)).total_seconds()


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, nargs="*", default=list(TURNS))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    started = time.monotonic()
    parts = [measure(20, TURNS[20], workers.several(3, slots=1))]
    parts += [measure(count, TURNS.get(count, 1), None) for count in arguments.tables]
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": time.monotonic() - started,
        "parts": parts,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    view = Table(
        *("tables", "executor", "bare", "master", "ratio", "limit", "a table", "verdict after", "scheduler MB"),
        box=None,
        pad_edge=False,
    )
    for part in parts:
        view.add_row(
            str(part["tables"]),
            part["executor"],
            *(f"{part[key]:.1f} s" for key in ("median_bare_s", "median_master_s")),
            f"{part['ratio']:.2f}",
            str(LIMITS.get(part["tables"], "")),
            f"{part['table_s']:.3f} s",
            f"{max(part['verdict_after_s']):.1f} s",
            ", ".join(map(str, part["scheduler_mb"])),
        )
    console.print(view)
    local = {part["tables"]: part["table_s"] for part in parts if part["executor"] == "local"}
    if {20, 1000} <= set(local):
        console.print(f"A table costs {local[1000] / local[20]:.2f} times as much at 1,000 as at 20; limit {GROWTH}.")


if __name__ == "__main__":
    main()
