"""Benchmark of the watches: what 200 triggers cost one triggerer, and how soon it sees what happens.

    make bench-watch

Folders, files and rows of a table, each trigger with a place of its own. Prints a table and writes
bench/results/watch.json. Everything lives in .local/bench-watch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
from rich.console import Console
from rich.table import Table

from dev.environment import ROOT
from dev.stack import Stack
from sluiceway.rest.airflow_api import AirflowApi

BENCH = ROOT / ".local" / "bench-watch"
RESULTS = ROOT / "bench" / "results" / "watch.json"
TRIGGERS, FLOWS = 200, 20
POLL_S = 5.0
OVER_POLL_S, CORES, MEGABYTES = 2.0, 1.0, 300
WARM_UP_S, MEASURED_S = 20.0, 60.0
PAUSE_S = 2.0
"""At least, from event to event: each starts a run on the cores that are measured."""
EVENTS = 60
"""Dropped one after the other at uneven moments, so that each meets its trigger anywhere between two looks."""

console = Console(highlight=False)


def kind_of(number: int) -> str:
    """Of ten triggers six are folders, two files and two tables."""
    return {8: "database", 9: "database", 6: "file", 7: "file"}.get(number % 10, "directory")


def trigger(number: int, place: Path) -> str:
    """A trigger's lines of its flow's file."""
    watched = {
        "directory": f'path = "{place / str(number)}"\nevent_type = "created"\nsettle_seconds = 0',
        "file": f'path = "{place / f"{number}.csv"}"\nevent_type = "all"\nsettle_seconds = 0',
        "database": 'table_name = "arrival"\ndetection_mode = "timestamp_column"\ntimestamp_column = "at"\n'
        f'condition = "place = {number}"',
    }[kind_of(number)]
    head = f'[[triggers]]\nid = "t{number}"\ntype = "sensor"\nsensor_type = "{kind_of(number)}"\npoll_s = {POLL_S}\n'
    return head + watched + "\n"


def prepare() -> tuple[Path, Path, Path]:
    """The config, the DAGs and the watched places."""
    shutil.rmtree(BENCH, ignore_errors=True)
    config, dags, place = BENCH / "config", BENCH / "dags", BENCH / "place"
    for folder in (config / "flows", config / "tables", dags, place):
        folder.mkdir(parents=True)
    for number in range(TRIGGERS):
        if kind_of(number) == "directory":
            (place / str(number)).mkdir()
    for number in range(FLOWS):
        lines = [trigger(each, place) for each in range(number, TRIGGERS, FLOWS)]
        (config / "flows" / f"watched_{number:02}.toml").write_text(
            'flow_type = "dag"\n' + "".join(lines), encoding="utf-8"
        )
    shutil.copy(ROOT / "bench" / "dags" / "watched.py", dags)
    return config, dags, place


def happen(number: int, place: Path, url: str) -> float:
    """Let something happen at the trigger's place; when it was there."""
    if kind_of(number) == "database":
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("INSERT INTO arrival (place, at) VALUES (%s, clock_timestamp())", (number,))
    else:
        path = (
            place / str(number) / f"{time.time_ns()}.csv" if kind_of(number) == "directory" else place / f"{number}.csv"
        )
        beside = path.with_name(f".{path.name}")
        beside.write_text(str(time.time_ns()), encoding="utf-8")
        beside.rename(path)
    return time.time()


def triggerer_of(stack: Stack) -> psutil.Process:
    """The stack's triggerer: the process above its runner."""
    log = str(stack.layout.logs / "triggerer.log")
    found = [process for process in psutil.process_iter() if _writes_to(process, log)]
    ids = {process.pid for process in found}
    return next(process for process in found if process.ppid() not in ids)


def _writes_to(process: psutil.Process, log: str) -> bool:
    try:
        return str(Path(f"/proc/{process.pid}/fd/1").readlink()) == log
    except OSError:
        return False


def tree(process: psutil.Process) -> list[psutil.Process]:
    """It and its children."""
    return [process, *process.children(recursive=True)]


def _alone(processes: list[psutil.Process]) -> list[int]:
    """Bytes: the largest whole, of the others what they do not share with it."""
    largest = max(processes, key=lambda process: process.memory_info().rss)
    return [
        process.memory_info().rss if process == largest else process.memory_full_info().uss for process in processes
    ]


def cpu_s(processes: list[psutil.Process]) -> float:
    """What they have used so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Rows of a statement in the warehouse."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def wait_for_looks(url: str) -> None:
    """Until every trigger has looked."""
    while (seen := query(url, "SELECT count(looked_at) FROM etl.trigger_state")[0][0]) < TRIGGERS:
        console.print(f"{seen} of {TRIGGERS} triggers have looked")
        time.sleep(2)


def measure(stack: Stack, api: AirflowApi, place: Path) -> dict[str, Any]:
    """Cost while nothing happens, then latency while something does."""
    url = stack.warehouse_url
    wait_for_looks(url)
    time.sleep(WARM_UP_S)
    processes = tree(triggerer_of(stack))
    before, began = cpu_s(processes), time.monotonic()
    writes = query(url, "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = 'trigger_state'")[0][0]
    time.sleep(MEASURED_S)
    idle = (cpu_s(processes) - before) / (time.monotonic() - began)
    after = query(url, "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = 'trigger_state'")[0][0]
    sessions = query(url, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sluiceway watch'")[0][0]
    chosen = [turn * 37 % TRIGGERS for turn in range(EVENTS)]
    happened: dict[int, float] = {}
    before, began = cpu_s(processes), time.monotonic()
    for turn, number in enumerate(chosen):
        happened[number] = happen(number, place, url)
        time.sleep(PAUSE_S + turn * 0.618 % 1)
    time.sleep(POLL_S + OVER_POLL_S)
    busy = (cpu_s(processes) - before) / (time.monotonic() - began)
    seen = dict(
        query(url, "SELECT trigger_id, extract(epoch FROM min(seen_at))::float8 FROM etl.trigger_event GROUP BY 1")
    )
    counts = query(url, "SELECT count(*), count(DISTINCT (flow_id, trigger_id)) FROM etl.trigger_event")[0]
    told = {number: told_at(api, number) - at for number, at in happened.items()}
    written = {number: seen[f"t{number}"] - at for number, at in happened.items()}
    return {
        "triggers": TRIGGERS,
        "poll_s": POLL_S,
        "events": len(happened),
        "events_in_ledger": counts[0],
        "seen_s": {"median": statistics.median(written.values()), "max": max(written.values())},
        "told_s": {"median": statistics.median(told.values()), "max": max(told.values())},
        "told_after_seen_s": {
            "median": statistics.median(told[number] - written[number] for number in told),
            "max": max(told[number] - written[number] for number in told),
        },
        "load_after": os.getloadavg()[0],
        "told_by_kind_max_s": {
            kind: max(value for number, value in told.items() if kind_of(number) == kind)
            for kind in sorted({kind_of(number) for number in told})
        },
        "cores_idle": idle,
        "cores_busy": busy,
        "rss_mb": {str(index): process.memory_info().rss / 2**20 for index, process in enumerate(processes)},
        # what it would hold alone: here it shares pages with the stack's other components
        "memory_mb": sum(_alone(processes)) / 2**20,
        "pss_mb": sum(process.memory_full_info().pss for process in processes) / 2**20,
        "ledger_sessions": sessions,
        "ledger_writes_per_minute": (after - writes) * 60 / MEASURED_S,
    }


def told_at(api: AirflowApi, number: int) -> float:
    """When Airflow had the first event of a trigger's asset."""
    name = f"flow/watched_{number % FLOWS:02}/trigger/t{number}"
    found = api.get("assets", name_pattern=name, limit=10)["assets"]
    asset = next(each for each in found if each["name"] == name)
    events = api.get("assets/events", asset_id=asset["id"], limit=100)["asset_events"]
    return min(datetime.fromisoformat(event["timestamp"]).timestamp() for event in events)


def show(result: dict[str, Any]) -> None:
    """Print the figures beside what they must reach."""
    view = Table("what", "measured", "limit", box=None, pad_edge=False)
    limit = POLL_S + OVER_POLL_S
    view.add_row(
        "event to ledger, median and longest", f"{result['seen_s']['median']:.1f}, {result['seen_s']['max']:.1f} s", ""
    )
    view.add_row("event to Airflow, median", f"{result['told_s']['median']:.1f} s", "")
    view.add_row("  longest", f"{result['told_s']['max']:.1f} s", f"{limit:.0f} s")
    view.add_row("triggerer, nothing happens", f"{result['cores_idle']:.2f} cores", f"{CORES:.0f}")
    view.add_row("  while events come", f"{result['cores_busy']:.2f} cores", f"{CORES:.0f}")
    view.add_row("  memory", f"{result['memory_mb']:.0f} MB", f"{MEGABYTES} MB")
    view.add_row(
        "  resident, its two processes", " + ".join(f"{each:.0f}" for each in result["rss_mb"].values()) + " MB", ""
    )
    view.add_row("writes to the ledger while nothing happens", f"{result['ledger_writes_per_minute']:.0f} a minute", "")
    console.print(view)


def main() -> None:
    """Measure and write the result."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    result: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]},
    }
    config, dags, place = prepare()
    env = {"SLUICEWAY_CONFIG_DIR": str(config), "SLUICEWAY_GROUPS": "warehouse"}
    with (
        Stack.running(BENCH / "stack", dags=dags, env=env) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
    ):
        query(stack.warehouse_url, "CREATE TABLE IF NOT EXISTS arrival (place int, at timestamptz)")
        query(stack.warehouse_url, "CREATE INDEX ON arrival (place, at)")
        result |= measure(stack, api, place)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result)


if __name__ == "__main__":
    main()
