"""Benchmark of the load engine: a statewide crop mapping into PostGIS, ours against the usual tools, in turns.

    make bench-load N=450000
    make bench-load N=450000 ARGS="--repeats 5 --peers ogr2ogr"

All load the same 15 columns of the same file into the same database, into a table with the same key and the same
spatial index. Prints a table and writes bench/results/load.json. Everything lives in .local/bench.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from bench.landiq_file import write_shapefile
from bench.process_tree import Measured, measure
from dev.cluster import Cluster
from dev.credentials import Credentials
from dev.environment import ROOT
from dev.peers import ensure as ensure_programs
from sluiceway.ledger.migrate import migrate

BENCH = ROOT / ".local" / "bench"
RESULTS = ROOT / "bench" / "results" / "load.json"
FLAT_IN = 100_000
"""Peak memory at N must be that of so many rows."""
WORKER_BYTES = 2 * 2**30
"""The worker that died on the old system."""

COLUMNS = {
    "unique_id": ("UniqueID", "text"),
    "multiuse": ("MULTIUSE", "text"),
    "crop_1": ("CROPTYP1", "text"),
    "crop_2": ("CROPTYP2", "text"),
    "crop_3": ("CROPTYP3", "text"),
    "crop_4": ("CROPTYP4", "text"),
    "share_1": ("PCNT1", "smallint"),
    "share_2": ("PCNT2", "smallint"),
    "share_3": ("PCNT3", "smallint"),
    "share_4": ("PCNT4", "smallint"),
    "year_planted": ("YR_PLANTED", "integer"),
    "region": ("REGION", "text"),
    "area_acres": ("ACRES", "double precision"),
    "county": ("COUNTY", "text"),
    "main_crop": ("MAIN_CROP", "text"),
}
GEOPANDAS = """
import sys, geopandas, sqlalchemy
path, url, table, columns = sys.argv[1:]
frame = geopandas.read_file(path, columns=columns.split(","))
frame = frame.to_crs(4326).rename_geometry("geom")
frame.columns = [name.lower() for name in frame.columns]
frame.to_postgis(table, sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:")), chunksize=20000)
"""

ALONE = """
import hashlib, pathlib, sys
from concurrent.futures import ThreadPoolExecutor
import psycopg, pydantic, rich.console, typer.main
path, url = pathlib.Path(sys.argv[1]), sys.argv[2]
def hashed(piece):
    part, begin = piece
    with part.open("rb") as file:
        file.seek(begin)
        return hashlib.sha256(file.read(32 << 20)).hexdigest()
parts = sorted(path.parent.glob(path.stem + ".*"))
pieces = [(part, begin) for part in parts for begin in range(0, part.stat().st_size, 32 << 20)]
with ThreadPoolExecutor(2) as threads:
    list(threads.map(hashed, pieces))
with psycopg.connect(url) as connection:
    connection.execute("SELECT 1")
"""
"""What a look at an unchanged file cannot do without: its libraries, its content's hash, and one question."""

TABLES = {"ogr2ogr": "peer_ogr", "shp2pgsql": "peer_shp", "geopandas": "peer_geopandas"}
"""Of the peers."""

console = Console(highlight=False)


def spec_toml(path: Path) -> str:
    """The table's file, as a user would write it."""
    columns = "\n".join(
        f'{name} = {{ source = "{source}", type = "{type_}" }}' for name, (source, type_) in COLUMNS.items()
    )
    return f"""
description = "Crop mapping"
key = "unique_id"

[source]
kind = "vector"
uri = "{path}"
null = ["*", "**", "****"]

[columns]
{columns}

[geometry]
type = "MultiPolygon"
invalid = "repair"
"""


class Peers:
    """Loads one file in every way; each method drops its own table first.

    :param url: the warehouse, as the role that owns it
    """

    def __init__(self, path: Path, cluster: Cluster) -> None:
        self.path = path
        self.url = f"postgresql://sluiceway_owner@127.0.0.1:{cluster.port}/warehouse"
        self.env = {
            **{key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR", "PYTHONPYCACHEPREFIX") if key in os.environ},
            "PGPASSWORD": cluster.credentials.password("sluiceway_owner"),
            "SLUICEWAY_ENV_FILE": str(BENCH / "none.env"),
            "PYTHONPATH": f"{ROOT}:{ROOT / 'include'}",
        }
        self.spec = BENCH / "landiq_bench.toml"
        self.spec.write_text(spec_toml(path), encoding="utf-8")

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.url, password=self.env["PGPASSWORD"], autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self, table: str) -> int:
        with psycopg.connect(self.url, password=self.env["PGPASSWORD"]) as connection:
            found = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # noqa: S608  # our own name
        assert found
        return int(found[0])

    def finished(self, table: str, key: str) -> str:
        """The statements that give a peer's table what ours has."""
        return f"ALTER TABLE {table} ADD PRIMARY KEY ({key}); ANALYZE {table};"

    def ours(self, *options: str) -> Measured:
        program = str(Path(sys.executable).parent / "sluiceway")
        return measure(
            [program, "tables", "run", str(self.spec), "--warehouse", self.url, "--json", *options], self.env, ROOT
        )

    def ours_first(self) -> Measured:
        self.execute("DROP TABLE IF EXISTS landiq_bench CASCADE", "DELETE FROM etl.run")
        return self.ours()

    def ours_again(self) -> Measured:
        return self.ours("--force")

    def ours_forgotten(self) -> Measured:
        """Again and forced, where nothing is remembered of the last load."""
        self.execute("DELETE FROM etl.loaded_batches")
        return self.ours("--force")

    def ours_unchanged(self) -> Measured:
        return self.ours()

    def unchanged_alone(self) -> Measured:
        return measure([sys.executable, "-c", ALONE, str(self.path), self.url], self.env)

    def ogr2ogr(self) -> Measured:
        self.execute("DROP TABLE IF EXISTS peer_ogr CASCADE")
        names = ",".join(source for source, _ in COLUMNS.values())
        load = [
            *("ogr2ogr", "-f", "PostgreSQL", self.url, str(self.path), "-nln", "peer_ogr", "-select", names),
            *("-nlt", "MULTIPOLYGON", "-dim", "XY", "-t_srs", "EPSG:4326", "--config", "PG_USE_COPY", "YES"),
            *("-lco", "GEOMETRY_NAME=geom", "-lco", "SPATIAL_INDEX=GIST", "-lco", "FID=ogc_fid"),
        ]
        finish = ["psql", "-q", "-v", "ON_ERROR_STOP=1", self.url, "-c", self.finished("peer_ogr", "uniqueid")]
        drop = ["psql", "-q", self.url, "-c", "ALTER TABLE peer_ogr DROP CONSTRAINT peer_ogr_pkey"]
        return self.shell(shlex.join(load), shlex.join(drop), shlex.join(finish))

    def shp2pgsql(self) -> Measured:
        self.execute("DROP TABLE IF EXISTS peer_shp CASCADE")
        mapping = BENCH / "shp2pgsql.map"
        mapping.write_text("".join(f"{source} {source.upper()}\n" for source, _ in COLUMNS.values()))
        load = ["shp2pgsql", "-D", "-I", "-t", "2D", "-s", "4269:4326", "-g", "geom", str(self.path), "peer_shp"]
        psql = ["psql", "-q", "-v", "ON_ERROR_STOP=1", self.url]
        finish = [
            *psql,
            "-c",
            "ALTER TABLE peer_shp DROP CONSTRAINT peer_shp_pkey;",
            "-c",
            self.finished("peer_shp", "uniqueid"),
        ]
        return self.shell(f"{shlex.join(load)} | {shlex.join(psql)} >/dev/null", shlex.join(finish))

    def geopandas(self) -> Measured:
        self.execute("DROP TABLE IF EXISTS peer_geopandas CASCADE")
        names = ",".join(source for source, _ in COLUMNS.values())
        load = [sys.executable, "-c", GEOPANDAS, str(self.path), self.url, "peer_geopandas", names]
        finish = ["psql", "-q", "-v", "ON_ERROR_STOP=1", self.url, "-c", self.finished("peer_geopandas", "uniqueid")]
        return self.shell(shlex.join(load), shlex.join(finish))

    def shell(self, *lines: str) -> Measured:
        return measure(["bash", "-c", "set -euo pipefail\n" + "\n".join(lines)], self.env)


def file_of(count: int) -> Path:
    """The generated file of `count` fields; made once."""
    folder = BENCH / f"landiq-{count}"
    path = folder / "i15_crop_mapping.shp"
    if not path.exists():
        console.print(f"Generating {count:,} fields ...")
        write_shapefile(folder, count)
    return path


def settle(cluster: Cluster) -> None:
    """Have everything written to disk, so that no way pays for what the one before it has left."""
    with psycopg.connect(cluster.url("postgres", "postgres"), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
    os.sync()


def in_turns(repeats: int, ways: dict[str, Callable[[], Measured]], cluster: Cluster) -> dict[str, list[Measured]]:
    """Every way, one after the other, `repeats` times; the first turn, which warms the disk's cache, is not counted."""
    results: dict[str, list[Measured]] = {name: [] for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            settle(cluster)
            measured = way()
            console.print(
                f"  {turn or 'warm-up'}  {name:28} {measured.seconds:6.2f} s  {measured.peak_bytes / 2**20:6.0f} MB"
            )
            if turn:
                results[name].append(measured)
    return results


def summary(measured: list[Measured], count: int) -> dict[str, Any]:
    """Medians of one way."""
    seconds = statistics.median(run.seconds for run in measured)
    return {
        "seconds": [round(run.seconds, 3) for run in measured],
        "median_s": seconds,
        "rows_per_s": count / seconds,
        "peak_mb": max(run.peak_bytes for run in measured) / 2**20,
    }


def check_counts(peers: Peers, names: list[str], count: int, again: Measured) -> dict[str, Any]:
    """What was loaded; raises SystemExit when the ways did not load the same rows."""
    loaded = {table: peers.rows(table) for table in ("landiq_bench", *(TABLES[name] for name in names))}
    if set(loaded.values()) != {count}:
        raise SystemExit(f"not every way loaded {count:,} rows: {loaded}")
    result: dict[str, Any] = json.loads(again.output)
    if result["inserted"] or result["updated"]:
        raise SystemExit(f"the second load wrote rows: {result}")
    return {key: result[key] for key in ("extracted", "unchanged", "inserted", "updated", "rejected", "repaired")}


def under_worker_limit(peers: Peers) -> dict[str, Any]:
    """The whole load in a cgroup of 2 GiB where there are cgroups, else with the tree's address space limited."""
    program = str(Path(sys.executable).parent / "sluiceway")
    peers.execute("DROP TABLE IF EXISTS landiq_bench CASCADE", "DELETE FROM etl.run")
    command = shlex.join([program, "tables", "run", str(peers.spec), "--warehouse", peers.url, "--json"])
    how = "ulimit -v"
    measured = measure(["bash", "-c", f"ulimit -v {WORKER_BYTES // 1024}; {command}"], peers.env, ROOT)
    return {
        "limit_mb": WORKER_BYTES / 2**20,
        "how": how,
        "seconds": measured.seconds,
        "peak_mb": measured.peak_bytes / 2**20,
    }


def show(result: dict[str, Any]) -> None:
    """Print the figures beside each other."""
    view = Table("way", "seconds", "rows/s", "peak MB", "ours is", box=None, pad_edge=False)
    ours = result["ways"]["ours, first"]["median_s"]
    for name, way in result["ways"].items():
        ratio = (
            ""
            if name == "ours, first"
            else f"{way['median_s'] / ours:.2f} x as fast"
            if name.startswith("peer")
            else ""
        )
        view.add_row(name, f"{way['median_s']:.2f}", f"{way['rows_per_s']:,.0f}", f"{way['peak_mb']:.0f}", ratio)
    console.print(view)
    for name, (figure, limit) in result["criteria"].items():
        console.print(f"{name:58} {figure:8.2f}   limit {limit}")


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=450_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", nargs="*", choices=list(TABLES), default=list(TABLES))
    parser.add_argument("--only-ours", action="store_true", help="no peers, and no result is written")
    arguments = parser.parse_args()
    names = [] if arguments.only_ours else arguments.peers
    ensure_programs("ogr2ogr", "shp2pgsql")
    BENCH.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(BENCH / "pg", Credentials(BENCH / "secrets"))
    cluster.start()
    try:
        migrate(cluster.url("sluiceway_owner", "warehouse"))
        small = Peers(file_of(FLAT_IN), cluster)
        small_runs = in_turns(1, {"ours, 100,000 rows": small.ours_first}, cluster)["ours, 100,000 rows"]
        peers = Peers(file_of(arguments.rows), cluster)
        ways: dict[str, Callable[[], Measured]] = {
            "ours, first": peers.ours_first,
            "ours, again, forced": peers.ours_again,
            "ours, forced, nothing known": peers.ours_forgotten,
            "ours, unchanged": peers.ours_unchanged,
            "imports, hash and log-in alone": peers.unchanged_alone,
        }
        ways |= {f"peer: {name}": getattr(peers, name) for name in names}
        measured = in_turns(arguments.repeats, ways, cluster)
        figures = {name: summary(runs, arguments.rows) for name, runs in measured.items()}
        result: dict[str, Any] = {
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
            "rows": arguments.rows,
            "ways": figures,
            "peak_mb_100k": max(run.peak_bytes for run in small_runs) / 2**20,
            "criteria": {},
        }
        first, again = figures["ours, first"], figures["ours, again, forced"]
        if names:
            result["counts"] = check_counts(peers, names, arguments.rows, measured["ours, again, forced"][-1])
            result["worker"] = under_worker_limit(peers)
        if "ogr2ogr" in names:
            bare = figures["peer: ogr2ogr"]["median_s"]
            result["criteria"] = {
                "first load / ogr2ogr": (first["median_s"] / bare, "0.85"),
                "second load, forced / ogr2ogr": (again["median_s"] / bare, "0.6"),
            }
        result["criteria"] |= {
            f"{name} / first load": (figures[f"peer: {name}"]["median_s"] / first["median_s"], "at least 2")
            for name in names
            if name != "ogr2ogr"
        }
        forgotten = figures["ours, forced, nothing known"]["median_s"]
        result["criteria"] |= {
            "peak memory, MB": (first["peak_mb"], "300"),
            "peak memory / that of 100,000 rows": (first["peak_mb"] / result["peak_mb_100k"], "1.1"),
            "forced, nothing known of the last load / forced": (forgotten / again["median_s"], "at least 2"),
            "second load, unchanged, s": (figures["ours, unchanged"]["median_s"], "0.6"),
            "of which no way does without, s": (figures["imports, hash and log-in alone"]["median_s"], "-"),
        }
    finally:
        cluster.stop()
    show(result)
    if not arguments.only_ours:
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
