"""Push and pull at once: CI posts every commit's run while deploy_watch starts it too. Writes bench/results/race.json.

Good is: each commit that CI posted has one run, each run loaded or was superseded, and the newest commit is loaded.
Everything lives in .local/race.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import secrets
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from dev.environment import ROOT
from dev.stack import Stack
from sluiceway.errors import AirflowApiError
from sluiceway.ledger import store
from sluiceway.ledger.warehouse import connect
from sluiceway.rest.airflow_api import AirflowApi
from tests.stand_ins.version_endpoint import VersionEndpoint

FOLDER = ROOT / ".local" / "race"
RESULTS = ROOT / "bench" / "results" / "race.json"
DAG_ID = "master_etl"
CONFLICT = 409
POLL_S = 1.0
TABLES = 3
PATIENCE_S = 1800.0

console = Console(highlight=False)


def race(
    api: AirflowApi, warehouse_url: str, endpoint: VersionEndpoint, *, commits: int, every_s: float
) -> dict[str, Any]:
    """Deploy so many commits, one every `every_s` seconds; CI posts each up to that long before or after.

    :param api: an Airflow whose deploy_watch asks `endpoint`.
    """
    chance = random.Random(3)  # noqa: S311  # the same race every time
    shas = [secrets.token_hex(20) for _ in range(commits)]
    posts: list[str] = []

    def push(sha: str, at: float) -> None:
        time.sleep(max(0.0, at - time.monotonic()))
        try:
            api.trigger(DAG_ID, f"deploy__{sha}", {"commit_sha": sha})
        except AirflowApiError as error:
            if error.status != CONFLICT:
                raise
            posts.append("the watch was first")
        else:
            posts.append("CI was first")

    began = time.monotonic() + every_s
    with ThreadPoolExecutor(commits) as ci:
        waiting = []
        for number, sha in enumerate(shas):
            at = began + number * every_s
            waiting.append(ci.submit(push, sha, at + chance.uniform(-every_s, every_s)))
        for number, sha in enumerate(shas):
            time.sleep(max(0.0, began + number * every_s - time.monotonic()))
            endpoint.commit = sha
        for each in waiting:
            each.result()
    runs = [run for sha in shas for run in _ended(api, sha)]
    statuses = _statuses(warehouse_url, runs)
    return {
        "commits": commits,
        "every_s": every_s,
        "runs": len(runs),
        "commits_with_one_run": sum(count == 1 for count in Counter(run[8:48] for run in runs).values()),
        "statuses": dict(Counter(statuses.values())),
        "newest": statuses[f"deploy__{shas[-1]}"],
        "posts": dict(Counter(posts)),
        "seconds": round(time.monotonic() - began, 1),
    }


def _ended(api: AirflowApi, sha: str) -> list[str]:
    """The commit's runs, once none goes on."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = api.get(f"dags/{DAG_ID}/dagRuns", run_id_prefix_pattern=f"deploy__{sha}")["dag_runs"]
        if all(run["end_date"] for run in found):
            return [str(run["dag_run_id"]) for run in found]
        if time.monotonic() > deadline:
            raise TimeoutError(f"the runs of {sha} did not end within {PATIENCE_S:.0f} s")
        time.sleep(1)


def _statuses(warehouse_url: str, runs: list[str]) -> dict[str, str]:
    with connect(warehouse_url) as session:
        return {run: store.runs(session, dag_id=DAG_ID, run_id=run)[0].status for run in runs}


def pick_up_seconds(api: AirflowApi, endpoint: VersionEndpoint, *, times: int) -> list[float]:
    """Seconds from a change of what is served to the queued run, with nobody pushing and nothing else going on."""
    found = []
    for _ in range(times):
        changed = time.time()
        endpoint.commit = secrets.token_hex(20)
        run_id = f"deploy__{endpoint.commit}"
        while not (runs := api.get(f"dags/{DAG_ID}/dagRuns", run_id_prefix_pattern=run_id)["dag_runs"]):
            time.sleep(0.2)
        found.append(datetime.fromisoformat(runs[0]["queued_at"]).timestamp() - changed)
        _ended(api, endpoint.commit)
    return found


@contextmanager
def watched(endpoint: VersionEndpoint) -> Iterator[tuple[Stack, AirflowApi]]:
    """A stack with a few small tables, whose environment is the endpoint."""
    config = FOLDER / "config"
    shutil.rmtree(config, ignore_errors=True)
    for folder in ("tables", "environments"):
        (config / folder).mkdir(parents=True)
    for number in range(1, TABLES + 1):
        (config / "tables" / f"t{number}.csv").write_text("id\n1\n", encoding="utf-8")
        (config / "tables" / f"t{number}.toml").write_text(
            f'description = "Table {number}"\nkey = "id"\nsource = {{ kind = "csv", uri = "t{number}.csv" }}\n'
            'columns = { id = "integer" }\n',
            encoding="utf-8",
        )
    (config / "environments" / "staging.toml").write_text(
        f'kind = "http"\nurl = "{endpoint.uri}/text"\npoll_s = {POLL_S}\n', encoding="utf-8"
    )
    env = {
        "SLUICEWAY_CONFIG_DIR": str(config),
        "SLUICEWAY_GROUPS": "warehouse",
        "SLUICEWAY_ENVIRONMENT": "staging",
    }
    with (
        Stack.running(FOLDER / "stack", env=env) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
    ):
        yield stack, api


def write(measured: dict[str, Any], path: Path = RESULTS) -> None:
    facts = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        "poll_s": POLL_S,
        **measured,
    }
    path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def main() -> int:
    """Run the race; returns 0 when nothing was lost and nothing was doubled."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--commits", type=int, default=50)
    parser.add_argument("--every", type=float, default=3.0, metavar="SECONDS")
    arguments = parser.parse_args()
    with VersionEndpoint(commit=secrets.token_hex(20)) as endpoint, watched(endpoint) as (stack, api):
        # the first task after a start imports what all the others share
        pick_up_seconds(api, endpoint, times=1)
        seconds = pick_up_seconds(api, endpoint, times=5)
        found = race(api, stack.warehouse_url, endpoint, commits=arguments.commits, every_s=arguments.every)
    measured = {
        "pick_up_s": {"median": round(statistics.median(seconds), 2), "most": round(max(seconds), 2)},
        "race": found,
    }
    write(measured)
    console.print_json(data=measured)
    good = found["runs"] == found["commits_with_one_run"] == arguments.commits and found["newest"] == "success"
    console.print(f"{'Good' if good else 'BAD'}: {RESULTS}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
