"""Benchmark of the faces of freshness: 1,000 tables with 200 runs of history behind the real API server.

    make bench-freshness

Prints a table and writes bench/results/freshness.json. Each face is asked by one caller after two seconds, in which
nothing is kept any more, and at once again; then machines ask 50 times a second while a person opens the page.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
from rich.console import Console
from rich.table import Table

from dev.cluster import Cluster
from dev.credentials import Credentials
from dev.environment import ROOT
from sluiceway.freshness.kept import KEPT_S
from sluiceway.ledger import face_tokens
from sluiceway.ledger.migrate import migrate
from sluiceway.ledger.warehouse import connect
from tests.freshness.ledgered import A, fill
from tests.on_airflow.web.conftest import PASSWORDS, metadata_database, serving
from tests.stand_ins.version_endpoint import VersionEndpoint

BENCH = ROOT / ".local" / "bench-freshness"
RESULT = ROOT / "bench" / "results" / "freshness.json"
TABLES, RUNS = 1000, 200
PAGE, STATUS, BADGE, METRICS = (
    "/sluiceway/",
    "/sluiceway/api/status.json",
    "/sluiceway/badge.json",
    "/sluiceway/metrics",
)
LIMITS_MS = {PAGE: 150, STATUS: 60, METRICS: 60}
PAGE_BYTES = 400_000
QUERIES, CONNECTIONS = 6, 4
MACHINES_PER_S, PAGES_PER_S, LOAD_S = 50, 1, 20.0
TABLE = """
description = "A table of the benchmark"
key = "id"
fresh_within = "26h"
source = { kind = "csv", uri = "https://example.org/a.csv" }
columns = { id = "integer" }
"""

console = Console(highlight=False)


@dataclass(frozen=True)
class Face:
    """What one face costs a single caller."""

    path: str
    is_kept: bool
    """Whether the verdict was made for an earlier answer."""
    median_ms: float
    worst_ms: float
    sent_bytes: int
    queries: int


@dataclass(frozen=True)
class Load:
    """What many callers at once are answered."""

    asked: int
    lost: int
    median_ms: float
    worst_ms: float
    connections: int


@contextmanager
def warehouse() -> Iterator[Cluster]:
    """A server with the ledger that is asked."""
    shutil.rmtree(BENCH, ignore_errors=True)
    BENCH.mkdir(parents=True)
    cluster = Cluster(BENCH / "pg", Credentials(BENCH / "secrets"))
    cluster.start()
    try:
        migrate(cluster.url("sluiceway_owner", "warehouse"))
        fill(cluster.url("sluiceway_owner", "warehouse"), tables=TABLES, runs=RUNS)
        yield cluster
    finally:
        cluster.stop()


def config(endpoint: str) -> Path:
    """A thousand tables and an environment."""
    folder = BENCH / "config"
    for below in ("tables", "environments", "flows"):
        (folder / below).mkdir(parents=True)
    for number in range(1, TABLES + 1):
        (folder / "tables" / f"table_{number}.toml").write_text(TABLE, encoding="utf-8")
    (folder / "environments" / "staging.toml").write_text(
        f'kind = "http"\nurl = "{endpoint}"\njson_path = "build.commit"\n', encoding="utf-8"
    )
    return folder


@contextmanager
def api_server(cluster: Cluster, endpoint: str) -> Iterator[str]:
    """URL of the real API server, which knows that ledger."""
    home = BENCH / "airflow"
    (home / "dags").mkdir(parents=True)
    (home / "dags" / "one.py").write_text(
        'from airflow.sdk import DAG\nwith DAG("master_etl", schedule=None):\n    pass\n', encoding="utf-8"
    )
    variables = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW_CONN_WAREHOUSE": cluster.url("sluiceway_loader", "warehouse").replace("postgresql:", "postgres:"),
        "SLUICEWAY_CONFIG_DIR": str(config(endpoint)),
        "SLUICEWAY_ENVIRONMENT": "staging",
    }
    with metadata_database(cluster) as metadata, serving(home, metadata, "prepare", **variables) as url:
        yield url


def measure(client: httpx.Client, path: str, *, is_kept: bool, repeats: int) -> Face:
    """One caller, again and again."""
    times, queries, sent = [], 0, 0
    client.get(path).raise_for_status()
    for _ in range(repeats):
        if not is_kept:
            time.sleep(KEPT_S + 0.1)
        began = time.perf_counter()
        with client.stream("GET", path) as answer:
            sent = sum(map(len, answer.iter_raw()))
        times.append((time.perf_counter() - began) * 1000)
        answer.raise_for_status()
        queries = max(queries, int(answer.headers["X-Statements"]))
    return Face(path, is_kept, round(statistics.median(times), 1), round(max(times), 1), sent, queries)


async def ask_many(url: str, token: str, cookie: str, *, with_page: bool) -> tuple[int, list[float]]:
    """Asks on time, however long the answers take.

    :returns: how many were lost, and the milliseconds of those that were answered.
    """
    lost, times = 0, []
    # a connection each: uvicorn closes one that was idle for 5 s, maybe while it is taken up again
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits) as client:

        async def ask(path: str) -> None:
            nonlocal lost
            headers = {"Cookie": f"_token={cookie}"} if path == PAGE else {"Authorization": f"Bearer {token}"}
            began = time.perf_counter()
            try:
                (await client.get(path, headers=headers)).raise_for_status()
            except httpx.HTTPError as error:
                lost += 1
                console.print(f"lost: {type(error).__name__} {error}")
            else:
                times.append((time.perf_counter() - began) * 1000)

        rates = {STATUS: MACHINES_PER_S, BADGE: MACHINES_PER_S} | ({PAGE: PAGES_PER_S} if with_page else {})
        due = sorted((number / rate, path) for path, rate in rates.items() for number in range(int(rate * LOAD_S)))
        began, asked = time.perf_counter(), []
        for at, path in due:
            await asyncio.sleep(max(0.0, began + at - time.perf_counter()))
            asked.append(asyncio.create_task(ask(path)))
        await asyncio.gather(*asked)
    return lost, times


@contextmanager
def counted_connections(cluster: Cluster) -> Iterator[list[int]]:
    """How many the loader's role holds to the warehouse, as often as they can be counted."""
    seen, is_over = [0], threading.Event()

    def count() -> None:
        with psycopg.connect(cluster.url("postgres", "postgres"), autocommit=True) as connection:
            while not is_over.wait(0.01):
                row = connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = 'warehouse' AND usename = 'sluiceway_loader'"
                ).fetchone()
                assert row is not None
                seen.append(row[0])

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    with warehouse() as cluster, VersionEndpoint(commit=A) as endpoint, api_server(cluster, endpoint.uri) as url:
        with connect(cluster.url("sluiceway_owner", "warehouse")) as session:
            token = face_tokens.create(session, "bench", ["status", "badge", "metrics"])[1]
        login = httpx.post(f"{url}/auth/token", json={"username": "reader", "password": PASSWORDS["reader"]})
        cookie = login.raise_for_status().json()["access_token"]
        faces = []
        with (
            httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60) as machine,
            httpx.Client(
                base_url=url, headers={"Accept": "text/html"}, cookies={"_token": cookie}, timeout=60
            ) as person,
        ):
            has_page = person.get(PAGE).status_code == httpx.codes.OK
            callers = ({PAGE: person} if has_page else {}) | {STATUS: machine, BADGE: machine, METRICS: machine}
            for path, client in callers.items():
                faces += [measure(client, path, is_kept=is_kept, repeats=repeats) for is_kept in (False, True)]
        if not has_page:
            console.print(f"There is no page at {PAGE} yet: it is skipped.")
        with counted_connections(cluster) as connections:
            lost, times = asyncio.run(ask_many(url, token, cookie, with_page=has_page))
        load = Load(len(times) + lost, lost, round(statistics.median(times), 1), round(max(times), 1), max(connections))
    _tell(faces, load)
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": round(os.getloadavg()[0], 1)},
        "tables": TABLES,
        "runs": RUNS,
        "faces": [asdict(face) for face in faces],
        "many": {"per_s": MACHINES_PER_S, "seconds": LOAD_S, **asdict(load)},
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _tell(faces: list[Face], load: Load) -> None:
    view = Table("face", "verdict", "median ms", "limit", "worst ms", "bytes sent", "queries", box=None, pad_edge=False)
    for face in faces:
        kept = "kept" if face.is_kept else "made"
        limit = str(LIMITS_MS.get(face.path, ""))
        numbers = f"{face.median_ms}", limit, f"{face.worst_ms}", f"{face.sent_bytes:,}", str(face.queries)
        view.add_row(face.path, kept, *numbers)
    console.print(view)
    console.print(f"limits: {PAGE_BYTES:,} bytes of the page, {QUERIES} queries, {CONNECTIONS} connections, none lost")
    console.print(
        f"{load.asked} questions in {LOAD_S:g} s: {load.lost} lost, median {load.median_ms} ms, "
        f"worst {load.worst_ms} ms, at most {load.connections} connections"
    )


if __name__ == "__main__":
    main()
