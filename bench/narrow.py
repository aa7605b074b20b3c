"""Benchmark of many narrow rows: 5,000,000 from a CSV file, against 500,000 of the same.

    make bench-narrow

Prints a table and writes bench/results/narrow.json. Everything lives in .local/bench.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from rich.console import Console
from rich.table import Table

from bench.process_tree import Measured, measure
from dev.cluster import Cluster
from dev.credentials import Credentials
from dev.environment import ROOT
from sluiceway.ledger.migrate import migrate

BENCH = ROOT / ".local" / "bench"
RESULTS = ROOT / "bench" / "results" / "narrow.json"
BLOCK = 100_000
TOML = """
description = "Readings"
key = "reading_id"
source = {{ kind = "csv", uri = "{file}" }}
[columns]
reading_id = "bigint"
station_code = "text"
read_at = "timestamptz"
level_m = "double precision"
"""

console = Console(highlight=False)


def write_csv(path: Path, rows: int) -> None:
    """Readings of 900 stations, one a minute."""
    random = np.random.default_rng(1)
    with path.open("w", encoding="ascii") as file:
        file.write("reading_id,station_code,read_at,level_m\n")
        for start in range(0, rows, BLOCK):
            number = np.arange(start, min(start + BLOCK, rows))
            times = np.datetime64("2020-01-01T00:00:00") + (number // 900).astype("timedelta64[m]")
            levels = random.normal(3, 0.5, len(number))
            file.writelines(
                f"{i},ST{i % 900:04},{time}Z,{level:.3f}\n"
                for i, time, level in zip(number, times, levels, strict=True)
            )


def load(rows: int, cluster: Cluster) -> Measured:
    """A first load of so many rows."""
    path = BENCH / f"reading_{rows}.toml"
    source = path.with_suffix(".csv")
    if not source.exists():
        console.print(f"Generating {rows:,} rows ...")
        write_csv(source, rows)
    path.write_text(TOML.format(file=source), encoding="utf-8")
    url = f"postgresql://sluiceway_owner@127.0.0.1:{cluster.port}/warehouse"
    password = cluster.credentials.password("sluiceway_owner")
    with psycopg.connect(url, password=password, autocommit=True) as connection:
        connection.execute(f'DROP TABLE IF EXISTS "reading_{rows}"')
        connection.execute("DELETE FROM etl.run")
    env = {
        **{key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "PYTHONPYCACHEPREFIX") if key in os.environ},
        "PGPASSWORD": password,
        "SLUICEWAY_ENV_FILE": str(BENCH / "none.env"),
    }
    program = str(Path(sys.executable).parent / "sluiceway")
    measured = measure([program, "tables", "run", str(path), "--warehouse", url, "--json"], env, ROOT)
    result = json.loads(measured.output)
    if result["inserted"] != rows:
        raise SystemExit(f"{rows:,} rows were to be inserted: {result}")
    return measured


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    BENCH.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(BENCH / "pg", Credentials(BENCH / "secrets"))
    cluster.start()
    runs: dict[int, list[Measured]] = {arguments.rows // 10: [], arguments.rows: []}
    try:
        migrate(cluster.url("sluiceway_owner", "warehouse"))
        for _ in range(arguments.repeats):
            for rows, measured in runs.items():
                measured.append(load(rows, cluster))
    finally:
        cluster.stop()
    figures: dict[str, Any] = {
        str(rows): {
            "seconds": [run.seconds for run in measured],
            "rows_per_s": rows / statistics.median(run.seconds for run in measured),
            "peak_mb": max(run.peak_bytes for run in measured) / 2**20,
        }
        for rows, measured in runs.items()
    }
    few, many = figures.values()
    view = Table("rows", "seconds", "rows/s", "peak MB", box=None, pad_edge=False)
    for count, figure in figures.items():
        median = statistics.median(figure["seconds"])
        view.add_row(f"{int(count):,}", f"{median:.1f}", f"{figure['rows_per_s']:,.0f}", f"{figure['peak_mb']:.0f}")
    console.print(view)
    console.print(f"rows/s            {many['rows_per_s']:,.0f}   limit: at least 250,000")
    console.print(f"memory, 10 times  {many['peak_mb'] / few['peak_mb']:.2f}   limit: 1.20")
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "loads": figures,
        "memory_ratio": many["peak_mb"] / few["peak_mb"],
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
