"""What Compose, Helm and systemd have in common: enough time for a load, enough slots, no secret."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.environment import ROOT, read_lines
from tests.deployments.files import COMPOSE, DEPLOY, SYSTEMD, compose, pools, recovery, values

HOURS = re.compile(r"(\d+)h")
TIMES = 100
"""What is measured here has two idle cores; a source behind a slow network may take a hundred times as long."""


def seconds(text: str) -> int:
    found = HOURS.fullmatch(text)
    assert found, text
    return int(found[1]) * 3600


def graces() -> dict[str, int]:
    """How long a worker that is told to end may finish its loads, in seconds."""
    worker = (SYSTEMD / "airflow-worker.service").read_text(encoding="utf-8")
    (timeout,) = re.findall(r"(?m)^TimeoutStopSec=(.*)$", worker)
    return {
        "compose": seconds(compose()["services"]["airflow-worker"]["stop_grace_period"]),
        "helm": values()["workers"]["celery"]["terminationGracePeriodSeconds"],
        "systemd": seconds(timeout),
    }


def numbers(found: object) -> Iterator[float]:
    """Every list of seconds in the result of a benchmark."""
    if isinstance(found, dict):
        for key, value in found.items():
            yield from value if key == "seconds" else numbers(value)


def longest_load() -> float:
    """The longest that a benchmark has measured of ours."""
    results = ROOT / "bench" / "results"
    load = json.loads((results / "load.json").read_text(encoding="utf-8"))["ways"]
    narrow = json.loads((results / "narrow.json").read_text(encoding="utf-8"))["loads"]
    return max(numbers({name: way for name, way in load.items() if name.startswith("ours")} | narrow))


def test_a_worker_that_is_told_to_end_may_finish_its_loads() -> None:
    assert longest_load() > 10
    assert min(graces().values()) > longest_load() * TIMES
    assert len(set(graces().values())) == 1


def test_no_message_is_delivered_twice_while_its_load_goes_on() -> None:
    assert int(recovery()["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) > max(graces().values())


def test_a_signal_to_end_reaches_celery_alone() -> None:
    assert compose()["services"]["airflow-worker"]["environment"]["DUMB_INIT_SETSID"] == "0"
    assert "KillMode=mixed\n" in (SYSTEMD / "airflow-worker.service").read_text(encoding="utf-8")


def test_workers_have_a_slot_for_all_that_the_pools_let_begin() -> None:
    """What waits for a worker longer than task_queued_timeout is queued again, and failed the third time."""
    needed = sum(pools().values())
    services = compose()["services"]
    concurrency = services["airflow-worker"]["environment"]["AIRFLOW__CELERY__WORKER_CONCURRENCY"]
    (workers,) = re.findall(r"WORKER_REPLICAS:-(\d+)", COMPOSE.read_text(encoding="utf-8"))
    assert int(workers) * concurrency >= 2 * needed
    celery = values()["workers"]["celery"]
    assert celery["keda"]["minReplicaCount"] * values()["config"]["celery"]["worker_concurrency"] >= 2 * needed
    of_systemd = read_lines(SYSTEMD / "sluiceway.env")
    assert math.ceil(needed / int(of_systemd["AIRFLOW__CELERY__WORKER_CONCURRENCY"])) == 1


FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file() and path.name != ".env")
SECRET = re.compile(r"[0-9a-f]{32,}|[A-Za-z0-9_-]{43}=(?!\S)|://[^:@/\s]*:[^$@\s{}]+@", re.IGNORECASE)
"""A digest or key, a Fernet key, a password in an address."""
NAMED = re.compile(r"(?m)^\s*(\w*(?:PASSWORD|_KEY|SECRET|SQL_ALCHEMY_CONN|BROKER_URL))=(.+)$")


def secrets(text: str) -> list[str]:
    return [found[0] for found in SECRET.finditer(text)] + [name for name, _value in NAMED.findall(text)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_no_file_holds_a_secret(path: Path) -> None:
    assert secrets(path.read_text(encoding="utf-8")) == []


def test_a_secret_is_found() -> None:
    assert secrets("A: postgresql://airflow:airflow@postgres/airflow") == ["://airflow:airflow@"]
    assert secrets("A: postgresql://airflow:${P}@postgres/airflow") == []
    assert secrets("AIRFLOW__API__SECRET_KEY=abc") == ["AIRFLOW__API__SECRET_KEY"]
    assert secrets("AIRFLOW__API__SECRET_KEY=\nPYTHONPATH=x") == []
    assert len(secrets("Jx" + "a1" * 20 + "z=")) == 1
