"""Benchmark of the master DAG against a bare Airflow DAG of the same fan-out, side by side on one warm stack.

Prints a table and writes bench/results/master.json. Everything lives in .local/bench. `--demo` also times
`make demo` from a fresh clone, twice.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

from bench.noop_tables import write_tables
from dev.environment import ROOT
from dev.stack import Stack
from sluiceway.ledger import store
from sluiceway.ledger.warehouse import connect
from sluiceway.rest.airflow_api import AirflowApi
from sluiceway.settings import Settings
from sluiceway.tables import registry

BENCH = ROOT / ".local" / "bench"
RESULTS = ROOT / "bench" / "results" / "master.json"
NOOP_TABLES = 20
HEAVY = ("pandas", "geopandas", "pyarrow", "duckdb")
PARSE = """
import json, sys, time
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
started = time.perf_counter()
bag = DagBag(sys.argv[1])
seconds = time.perf_counter() - started
heavy = [name for name in sys.argv[2:] if name in sys.modules]
print(json.dumps({"seconds": seconds, "dags": len(bag.dags), "errors": len(bag.import_errors), "heavy": heavy}))
"""

log = logging.getLogger(__name__)
console = Console(highlight=False)


def write_config() -> Path:
    """The project's config, with 20 tables of one row beside: from the second run on they have nothing to do."""
    config = BENCH / "config"
    shutil.rmtree(config, ignore_errors=True)
    shutil.copytree(ROOT / "include" / "config", config)
    write_tables(config, NOOP_TABLES, group="noop")
    return config


def write_dags() -> Path:
    """master_etl and its peer in one folder."""
    dags = BENCH / "dags"
    shutil.rmtree(dags, ignore_errors=True)
    shutil.copytree(ROOT / "dags", dags)
    shutil.copy(ROOT / "bench" / "dags" / "bare.py", dags)
    return dags


def run(api: AirflowApi, dag_id: str, **conf: Any) -> tuple[str, float]:
    """One run; returns its id and its seconds from enqueued to finished, by Airflow's clock."""
    run_id = f"bench__{uuid4().hex[:8]}"
    api.trigger(dag_id, run_id, conf)
    while (found := api.run(dag_id, run_id))["state"] not in {"success", "failed"}:
        time.sleep(1)  # the API server shares two cores with what is measured
    if found["state"] != "success":
        raise SystemExit(f"{dag_id} {run_id} is red; see {BENCH / 'logs'}")
    queued, ended = (datetime.fromisoformat(found[key]) for key in ("queued_at", "end_date"))
    return run_id, (ended - queued).total_seconds()


def forget(warehouse_url: str, names: Sequence[str]) -> None:
    """Drop the warehouse tables, so that the next load is a first load."""
    with psycopg.connect(warehouse_url, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(sql.Identifier(name)))


def measure_graph(api: AirflowApi, repeats: int) -> dict[str, Any]:
    """The two DAGs in turns, after one run of each that is not counted."""
    tables = [f"noop_{number:04}" for number in range(1, NOOP_TABLES + 1)]
    times: dict[str, list[float]] = {"bare": [], "master": []}
    for turn in range(repeats + 1):
        for name, seconds in (
            ("bare", run(api, "bare", n=NOOP_TABLES)[1]),
            ("master", run(api, "master_etl", tables=tables)[1]),
        ):
            if turn:
                times[name].append(seconds)
    bare, master = (statistics.median(times[name]) for name in ("bare", "master"))
    return {
        "bare_s": times["bare"],
        "master_s": times["master"],
        "ratio": master / bare,
        "median_bare_s": bare,
        "median_master_s": master,
    }


def measure_tables(api: AirflowApi, warehouse_url: str, repeats: int) -> dict[str, Any]:
    """First loads of the 20 real tables, and of the last one what each table took."""
    names = sorted(registry.deployed(Settings(groups="quickstart")))
    seconds: list[float] = []
    for _ in range(repeats):
        forget(warehouse_url, names)
        run_id, took = run(api, "master_etl", tables=names)
        seconds.append(took)
    with connect(warehouse_url) as session:
        loads = store.table_runs(session, store.RunKey("master_etl", run_id))
    longest = max(loads, key=lambda load: load.seconds or 0)
    largest = max(loads, key=lambda load: load.peak_rss_bytes or 0)
    return {
        "tables": len(loads),
        "extracted": sum(load.extracted for load in loads),
        "seconds": seconds,
        "median_s": statistics.median(seconds),
        "longest_table": longest.table_name,
        "longest_table_s": longest.seconds,
        "longest_table_mb": (longest.peak_rss_bytes or 0) / 2**20,
        "largest_table": largest.table_name,
        "largest_table_mb": (largest.peak_rss_bytes or 0) / 2**20,
        "by_table": {load.table_name: [load.seconds, (load.peak_rss_bytes or 0) / 2**20] for load in loads},
    }


def measure_parse(dags: Path, env: dict[str, str], repeats: int) -> dict[str, Any]:
    """Parsing every DAG file in a fresh process, Airflow's own import not counted."""
    command = [sys.executable, "-c", PARSE, str(dags), *HEAVY]
    answers = []
    for _ in range(repeats):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    return {
        **answers[-1],
        "seconds": [answer["seconds"] for answer in answers],
        "median_s": statistics.median(answer["seconds"] for answer in answers),
    }


def measure_demo() -> dict[str, Any]:
    """`make demo` from a fresh clone with an empty environment, and again."""
    clone = BENCH / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    env = {key: os.environ[key] for key in ("HOME", "PATH")}
    seconds = []
    for _ in range(2):
        started = time.monotonic()
        subprocess.run(["make", "demo"], cwd=clone, env=env, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.monotonic() - started)
    shutil.rmtree(clone)
    return {"first_s": seconds[0], "second_s": seconds[1]}


def show(result: dict[str, Any]) -> None:
    """Print the figures beside what they must reach."""
    view = Table("what", "measured", "limit", box=None, pad_edge=False)
    graph, tables, parse, demo = (result.get(key) for key in ("graph", "tables", "parse", "demo"))
    if graph:
        view.add_row("bare Airflow DAG, 20 no-op tasks", f"{graph['median_bare_s']:.1f} s", "")
        view.add_row("master_etl, 20 no-op tables", f"{graph['median_master_s']:.1f} s", "")
        view.add_row("  ratio", f"{graph['ratio']:.2f}", "1.50")
    if tables:
        view.add_row("the 20 real tables, first load", f"{tables['median_s']:.1f} s", "30 s")
        view.add_row(f"  longest, {tables['longest_table']}", f"{tables['longest_table_mb']:.0f} MB", "400 MB")
        view.add_row(f"  largest, {tables['largest_table']}", f"{tables['largest_table_mb']:.0f} MB", "")
    if parse:
        view.add_row(f"parsing {parse['dags']} DAGs", f"{parse['median_s']:.2f} s", "1.5 s")
        view.add_row("  heavy imports", ", ".join(parse["heavy"]) or "none", "none")
    if demo:
        view.add_row("make demo, fresh clone", f"{demo['first_s']:.0f} s", "300 s")
        view.add_row("make demo, again", f"{demo['second_s']:.0f} s", "75 s")
    console.print(view)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--demo", action="store_true", help="also time `make demo` in a fresh clone")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
    }
    shutil.rmtree(BENCH, ignore_errors=True)
    BENCH.mkdir(parents=True)
    dags = write_dags()
    env = {"SLUICEWAY_CONFIG_DIR": str(write_config()), "SLUICEWAY_GROUPS": "noop,quickstart"}
    with (
        Stack.running(BENCH / "stack", dags=dags, env=env) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
    ):
        result["graph"] = measure_graph(api, arguments.repeats)
        result["tables"] = measure_tables(api, stack.warehouse_url, 3)
        stack_env = dict(stack.env)
    result["parse"] = measure_parse(ROOT / "dags", stack_env, 5)
    if arguments.demo:
        result["demo"] = measure_demo()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result)


if __name__ == "__main__":
    main()
