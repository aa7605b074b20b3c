"""Minutes of many flows at once on a real Airflow, beside deploys, retries and clears: is every ledger row right?

    python -m tests.integration.soak --minutes 5

Four flows have one cron, two of them one table; master_etl loads all of them too. Sources turn empty and good again.
Every red run must have a table that was empty while it ran, every green one none that was empty when it was loaded.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from dev.environment import ROOT
from dev.stack import Stack
from sluiceway.errors import AirflowApiError
from sluiceway.rest.airflow_api import AirflowApi
from sluiceway.run.verdict import judged_states
from tests.conftest import THROWN_AWAY, let_through
from tests.integration.deployment import CALM, DAG_ID, ROWS, Deployment, csv_of, write_table

FLOWS = {"soak1": ("s1", "s2"), "soak2": ("s3", "s4"), "soak3": ("shared", "s5"), "soak4": ("shared", "s6")}
TABLES = sorted({table for tables in FLOWS.values() for table in tables})
CRON = "* * * * *"
DEPLOY_EVERY_S = 40
ACT_EVERY_S = (4.0, 9.0)
SETTLE_S = 600
GRACE_S = 2.0
"""A load that reads around the moment of an edit may see either content."""
LATE = "loaded again after the run had published"
"""The other reason for which a run may be red: a load that was cleared alone."""
RESULT = ROOT / "bench" / "results" / "soak.json"


@dataclass
class Sources:
    """What each table's source held, and since when."""

    deployment: Deployment
    history: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)

    def edit(self, table: str, *, empty: bool) -> None:
        """Write it, and remember when."""
        stamp = time.time()
        content = "id,value\n" if empty else csv_of(ROWS, value=f"{stamp:.0f}v")
        path = self.deployment.config / "tables" / f"{table}.csv"
        new = path.with_suffix(".new")
        new.write_text(content, encoding="utf-8")
        new.replace(path)
        self.history.setdefault(table, []).append((stamp, empty))

    def states(self, table: str, begin: float, end: float) -> set[bool]:
        """Whether it was empty, at any moment between these."""
        found = self.history[table]
        ends = [stamp for stamp, _ in found[1:]] + [float("inf")]
        return {
            empty
            for (start, empty), until in zip(found, ends, strict=True)
            if start <= end + GRACE_S and until >= begin - GRACE_S
        }


@contextmanager
def deployed(folder: Path) -> Iterator[Deployment]:
    """The stack with its flows."""
    let_through(folder)
    config = folder / "config"
    for name in ("tables", "sql", "flows"):
        (config / name).mkdir(parents=True)
    for table in TABLES:
        write_table(config, table, csv_of(ROWS))
        (config / "sql" / f"of_{table}.sql").write_text(
            f"-- description: {table}\n-- tables: {table}\nSELECT count(*) AS n, now() AS made_at FROM {table}\n"
        )
    _declare(config, f'type = "schedule"\nschedule = "{CRON}"\n')
    dags = folder / "dags"
    shutil.copytree(ROOT / "dags", dags)
    env = {
        "SLUICEWAY_CONFIG_DIR": str(config),
        "SLUICEWAY_GROUPS": "warehouse",
        **CALM,
    }
    with (
        Stack.running(folder / "stack", dags=dags, env=env, postgres=THROWN_AWAY) as stack,
        AirflowApi(stack.url, stack.username, stack.password) as api,
        closing(Deployment(stack, api, config)) as found,
    ):
        yield found


def _declare(config: Path, trigger: str) -> None:
    """The flows' files, each with this trigger."""
    for flow, tables in FLOWS.items():
        (config / "flows" / f"{flow}.toml").write_text(
            f'flow_type = "tables"\ntables = {json.dumps(tables)}\n[[triggers]]\nid = "starter"\n{trigger}'
        )


def soak(deployment: Deployment, minutes: float, seed: int) -> dict[str, Any]:
    """Let it run, doing what people do, and judge every run when all has ended."""
    chance, sources = random.Random(seed), Sources(deployment)
    for table in TABLES:
        sources.edit(table, empty=False)
    done: Counter[str] = Counter()
    end, deploy_at = time.monotonic() + minutes * 60, 0.0
    while time.monotonic() < end:
        if time.monotonic() >= deploy_at:
            deploy_at = time.monotonic() + DEPLOY_EVERY_S
            sha = hashlib.sha1(f"{seed} {time.time()}".encode(), usedforsecurity=False).hexdigest()
            deployment.api.trigger(DAG_ID, f"deploy__{sha}", {"commit_sha": sha})
            done["deploy"] += 1
        done[_act(deployment, sources, chance)] += 1
        time.sleep(chance.uniform(*ACT_EVERY_S))
    for table in TABLES:
        sources.edit(table, empty=False)
    # a paused DAG would leave queued runs as they are
    _declare(deployment.config, 'type = "cli"\n')
    deployment.touch("flows.py")
    runs = _settled(deployment)
    wrong = [problem for run in runs for problem in _wrong(deployment, sources, run)]
    # runs of one colour would prove nothing of the other
    wrong += [f"no run is {colour}" for colour in ("success", "failed") if colour not in {run["state"] for run in runs}]
    return {
        "minutes": minutes,
        "seed": seed,
        "done": dict(done),
        "runs": len(runs),
        "colours": dict(Counter(str(run["state"]) for run in runs)),
        "wrong": wrong,
    }


def _act(deployment: Deployment, sources: Sources, chance: random.Random) -> str:
    """One thing that people do."""
    action = chance.choice(["edit", "edit", "empty", "retry", "clear load", "clear failed"])
    if action in {"edit", "empty"}:
        sources.edit(chance.choice(TABLES), empty=action == "empty")
        return action
    dag_id = chance.choice([*FLOWS, DAG_ID])
    ended = [run_id for run_id, run in deployment.runs(dag_id).items() if run["state"] in {"success", "failed"}]
    if not ended:
        return "nothing"
    run_id = chance.choice(ended[:3])
    try:
        if action == "retry":
            deployment.api.retry(dag_id, run_id)
        elif action == "clear load":
            deployment.clear(run_id, ("sub.load_table", 0), dag_id=dag_id)
        else:
            deployment.clear(run_id, only_failed=True, dag_id=dag_id)
    except AirflowApiError:
        return f"{action}, refused"
    return action


def _settled(deployment: Deployment) -> list[dict[str, Any]]:
    """All runs, when all have ended and run_watch has looked once more."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        runs = [run for dag_id in (*FLOWS, DAG_ID) for run in deployment.runs(dag_id).values()]
        if all(run["state"] in {"success", "failed"} for run in runs):
            break
        if time.monotonic() > deadline:
            raise AssertionError("not all runs have ended")
        time.sleep(1)
    deployment.api.trigger("run_watch", "soak", {})
    while deployment.api.run("run_watch", "soak")["state"] not in {"success", "failed"}:
        time.sleep(0.5)
    return runs


def _wrong(deployment: Deployment, sources: Sources, run: dict[str, Any]) -> Iterator[str]:
    """What the ledger says wrongly of a run."""
    dag_id, run_id = run["dag_id"], run["run_id"]
    name = f"{dag_id}/{run_id}"
    try:
        row, tables = deployment.ledger(run_id, dag_id)
    except ValueError:
        yield f"{name} has no row"
        return
    good = row.status == "success"
    if good != (run["state"] == "success") and not row.remark:
        yield f"{name} is {run['state']} in Airflow and {row.status} in the ledger: {row.note}"
    own = set(FLOWS.get(dag_id, TABLES))
    if tables and set(tables) != own:
        yield f"{name} has the tables {sorted(tables)} and not {sorted(own)}"
    states = {
        f"{task['task_id']}_{task['map_index']}" if task["map_index"] >= 0 else task["task_id"]: task["state"]
        for task in deployment.api.task_instances(dag_id, run_id)
    }
    bad = [task for task, state in judged_states(states).items() if state not in {"success", "removed"}]
    tries = _tries(deployment, dag_id, run_id)
    says_late = LATE in (row.note or "")
    if says_late and not any(
        status == "loaded" and row.published_at and ended > row.published_at for *_, ended, status in tries
    ):
        yield f"{name} has loaded nothing after it had published at {row.published_at}: {row.note}"
    # a load that was cleared alone leaves good tasks, and rows that the views do not show
    if good == bool(bad) and not says_late:
        yield f"{name} is {row.status} and its tasks {bad or 'are all good'}: {row.note}"
    if not good and not says_late and "failed" not in {status for *_, status in tries}:
        yield f"{name} is {row.status}, and none of its tables has failed: {row.note}"
    for table, began, ended, status in tries:
        was = sources.states(table, began.timestamp(), ended.timestamp())
        if status == "failed" and True not in was:
            yield f"{name}: {table} failed between {began} and {ended}, and its source was good: {row.note}"
        if status in {"loaded", "unchanged"} and False not in was:
            yield f"{name}: {table} is {status} between {began} and {ended}, and its source was empty"


def _tries(deployment: Deployment, dag_id: str, run_id: str) -> list[tuple[str, datetime, datetime, str]]:
    """Each try at a table: when it began and ended, and what became of it."""
    with psycopg.connect(deployment.stack.warehouse_url) as connection:
        found = connection.execute(
            "SELECT t.table_name, k.started_at, coalesce(k.finished_at, t.finished_at), t.status "
            "FROM etl.table_run t JOIN etl.task_run k ON (k.dag_id, k.run_id, k.table_name, k.try_number) "
            "= (t.dag_id, t.run_id, t.table_name, t.try_number) WHERE (t.dag_id, t.run_id) = (%s, %s)",
            [dag_id, run_id],
        ).fetchall()
    return [(str(table), began, ended, str(status)) for table, began, ended, status in found]


def main() -> int:
    parser = argparse.ArgumentParser(description="Many flows at once beside deploys, retries and clears.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=14)
    given = parser.parse_args()
    (ROOT / ".local" / "tmp").mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=ROOT / ".local" / "tmp", prefix="soak-") as folder,
        deployed(Path(folder)) as deployment,
    ):
        found = soak(deployment, given.minutes, given.seed)
    found["measured_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    RESULT.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
