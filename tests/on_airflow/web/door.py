"""Flows that webhooks start, and what comes of what is posted to them."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg

from tests.signing import signature

SECRET = 'a "secret"; of ümlauts'
SECRET_BEFORE = "the secret before this one"
STANDARD, STANDARD_BEFORE = (f"whsec_{base64.b64encode(bytes([each]) * 24).decode()}" for each in (251, 7))
FLOWS = {
    "deploys": """
flow_type = "dag"
[[triggers]]
id = "github"
type = "api"
provider = "github"
connection = "hook_secret"
params = { commit_sha = "deployment.sha" }
only = { "deployment_status.state" = "success" }
[[triggers]]
id = "generic"
type = "api"
connection = "hook_secret"
params = { tables = "tables", who = "by.0.name" }
per_minute = 6000
[[triggers]]
id = "bare"
type = "api"
connection = "hook_secret"
per_minute = 6000
[[triggers]]
id = "hurried"
type = "api"
connection = "hook_secret"
per_minute = 2
[[triggers]]
id = "slow"
type = "api"
connection = "hook_secret"
per_minute = 1
[[triggers]]
id = "small"
type = "api"
connection = "hook_secret"
max_bytes = 100
[[triggers]]
id = "off"
type = "api"
connection = "hook_secret"
enabled = false
[[triggers]]
id = "unset"
type = "api"
connection = "hook_unset"
[[triggers]]
id = "unknown_secret"
type = "api"
connection = "hook_nowhere"
[[triggers]]
id = "shared"
type = "api"
connection = "hook_secret"
[[triggers]]
id = "standard"
type = "api"
provider = "standard"
connection = "hook_standard"
previous_connection = "hook_standard_before"
params = { order = "data.id" }
only = { type = "order.created" }
per_minute = 6000
[[triggers]]
id = "renewed"
type = "api"
connection = "hook_secret"
previous_connection = "hook_before"
[[triggers]]
id = "rotated"
type = "api"
connection = "hook_secret"
previous_connection = "hook_nowhere"
[[triggers]]
id = "misplaced"
type = "api"
provider = "standard"
connection = "hook_secret"
[[triggers]]
id = "by_hand"
type = "cli"
""",
    "loads": """
flow_type = "tables"
tables = ["us_state", "us_county"]
[[triggers]]
id = "chosen"
type = "api"
connection = "hook_secret"
params = { tables = "changed" }
[[triggers]]
id = "undeclared"
type = "api"
connection = "hook_secret"
params = { order_id = "order.id" }
""",
    "other": """
flow_type = "dag"
[[triggers]]
id = "shared"
type = "api"
connection = "hook_secret"
""",
    "sleeping": """
flow_type = "dag"
[[triggers]]
id = "sleeping"
type = "api"
connection = "hook_secret"
""",
    "deaf": """
flow_type = "dag"
triggers = [{ id = "deaf", type = "api", connection = "hook_secret" }]
""",
    "broken": 'flow_type = "dgg"\n',
}
HOOK_DAGS = """
from airflow.sdk import DAG, Asset, AssetAny
HOOKS = {
    "deploys": ["github", "generic", "bare", "hurried", "slow", "small", "off", "unset", "unknown_secret", "shared"]
    + ["standard", "renewed", "rotated", "misplaced"],
    "loads": ["chosen", "undeclared"],
    "other": ["shared"],
    "sleeping__events": ["sleeping"],
    "deaf__events": ["deaf"],
}
for flow_id in ("sleeping", "deaf", *HOOKS):
    assets = [Asset(f"flow/{flow_id.removesuffix('__events')}/trigger/{each}") for each in HOOKS.get(flow_id, ())]
    paused = flow_id in ("sleeping", "deaf__events")
    with DAG(flow_id, schedule=AssetAny(*assets) if assets else None, is_paused_upon_creation=paused) as dag:
        globals()[flow_id] = dag
"""


def timed(body: bytes, *, at: float | None = None, **changed: str) -> dict[str, str]:
    """Headers of a generic request."""
    stamp = str(int(time.time() if at is None else at))
    return {"X-Timestamp": stamp, "X-Signature-256": signature(f"{stamp}.".encode() + body, SECRET), **changed}


def unique(**content: Any) -> bytes:
    """A body that no other request has."""
    return json.dumps({"tables": ["us_state"], "by": [{"name": uuid4().hex}], **content}).encode()


@dataclass
class Door:
    """The running API server, and what came of what was posted to it."""

    home: Path
    url: str
    variables: dict[str, str]
    metadata_url: str
    as_role: Callable[[str], str]
    """The warehouse's address, by who logs in."""

    @property
    def warehouse(self) -> str:
        """As who loads."""
        return self.as_role("sluiceway_loader")

    def post(self, hook: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        headers = timed(body) if headers is None else headers
        return httpx.post(f"{self.url}/sluiceway/hooks/{hook}", content=body, headers=headers, timeout=30)

    def events(self) -> list[dict[str, Any]]:
        """What stands in the ledger."""
        with psycopg.connect(self.warehouse) as connection:
            rows = connection.execute("SELECT id, flow_id, trigger_id, facts FROM etl.trigger_event ORDER BY id")
            return [dict(zip(("id", "flow_id", "trigger_id", "facts"), row, strict=True)) for row in rows]

    def woken(self) -> list[tuple[str, dict[str, Any]]]:
        """Airflow's asset events, by the asset's name."""
        return [
            (name, extra)
            for name, extra in self.metadata(
                "SELECT a.name, e.extra FROM asset_event e JOIN asset a ON a.id = e.asset_id ORDER BY e.id"
            )
        ]

    def metadata(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.metadata_url) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def log(self) -> str:
        return "".join(path.read_text(errors="replace") for path in self.home.glob("server-*.log"))
