"""The metrics: named and typed as Prometheus has it, read by its own parser, and counters that never fall."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sluiceway.freshness import metrics as module
from sluiceway.freshness.ask import Survey, survey
from sluiceway.freshness.facts import LedgerFacts, read
from sluiceway.freshness.metrics import Drawn, metrics
from sluiceway.freshness.model import EnvironmentVerdict, Verdict
from sluiceway.ledger.forget import forget_runs
from sluiceway.ledger.warehouse import connect
from sluiceway.sources.connections import from_environment
from sluiceway.tables.registry import Tables
from tests.freshness.ledgered import A, B, ran

HOUR = timedelta(hours=1)
NOW = datetime(2026, 8, 3, 12, tzinfo=UTC)
Samples = dict[tuple[str, ...], float]
UNITS = ("seconds", "total", "info", "up", "state", "stale", "rows", "waiting", "running")
"""What a name may end with: a base unit, or what has none."""


def surveyed(url: str, *names: str) -> Survey:
    tables = Tables({}, dict.fromkeys(names, "x"))
    return survey(lambda _: (tables, read(url, names)), None, from_environment)


def samples(text: bytes) -> Samples:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def in_step() -> Survey:
    """Of an environment, without a table."""
    environment = EnvironmentVerdict(
        name="staging", state="in step", sentence="x", data_within_s=2700, deployed_commit=A, deployed_at=NOW,
        data_commit=B,
    )  # fmt: skip
    verdict = Verdict(computed_at=NOW, state="in step", sentence="x", environment=environment, tables=())
    return Survey(verdict, LedgerFacts(at=NOW, tables={}, runs=()))


def test_every_family_is_named_helped_and_typed_as_promtool_wants_it(warehouse_url: str, in_step: Survey) -> None:
    ran(warehouse_url, "r1", ago=HOUR, city="loaded")
    for text in (metrics(surveyed(warehouse_url, "city")).decode(), metrics(in_step).decode()):
        assert text.endswith("\n")
        helped = re.findall(r"^# HELP (\S+) (.+)$", text, re.MULTILINE)
        typed = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
        assert [name for name, _ in helped] == list(typed)
        for name, kind in typed.items():
            assert re.fullmatch(r"sluiceway_[a-z_]+", name)
            assert name.endswith(UNITS), name
            assert (kind == "counter") == name.endswith("_total")
            assert kind in {"gauge", "counter", "summary"}
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert len({line.rpartition(" ")[0] for line in lines}) == len(lines), "no series twice"


def test_a_commit_stands_on_info_alone(in_step: Survey) -> None:
    text = metrics(in_step).decode()
    assert f'sluiceway_environment_deployed_info{{commit="{A}",environment="staging"}} 1.0' in text
    assert f'sluiceway_environment_data_info{{commit="{B}",environment="staging"}} 1.0' in text
    others = [line for line in text.splitlines() if "_info{" not in line]
    assert not any(commit in line for line in others for commit in (A, B))


def test_without_a_ledger_nothing_is_told_but_that() -> None:
    verdict = Verdict(computed_at=NOW, state="unknown", sentence="x", environment=None, tables=())
    found = samples(metrics(Survey(verdict, "The warehouse does not answer.")))
    assert found["sluiceway_up",] == 0
    assert found["sluiceway_state", "unknown"] == 1
    assert ("sluiceway_runs_waiting",) not in found


def test_a_family_that_has_not_changed_is_kept_and_one_that_has_is_drawn_anew(
    in_step: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn, families = Drawn(), []
    draw = module._drawn
    monkeypatch.setattr(module, "_drawn", lambda family: families.append(family.name) or draw(family))
    first = drawn.metrics(in_step)
    assert drawn.metrics(in_step) == first == metrics(in_step)
    families.clear()
    later = in_step.verdict.model_copy(update={"state": "stale"})
    assert samples(drawn.metrics(Survey(later, in_step.facts)))["sluiceway_state", "stale"] == 1
    assert families == ["sluiceway_state"]


def test_runs_that_wait_and_runs_that_load_are_told_apart(warehouse_url: str) -> None:
    ran(warehouse_url, "waits", ago=HOUR, status="running")
    ran(warehouse_url, "loads", ago=HOUR, status="running", city="planned")
    found = samples(metrics(surveyed(warehouse_url, "city")))
    assert (found["sluiceway_runs_waiting",], found["sluiceway_runs_running",]) == (1, 1)


def test_what_is_counted_does_not_fall_when_runs_are_forgotten(
    warehouse_url: str, query: Callable[..., list[tuple[Any, ...]]]
) -> None:
    for number in range(3):
        ran(warehouse_url, f"r{number}", ago=(200 - number) * 24 * HOUR, city="loaded", town="failed")
    query(
        "UPDATE etl.table_run SET rejected = 2, extracted = extracted + 2, seconds = 1.5 WHERE finished_at IS NOT NULL"
    )

    def counted() -> Samples:
        found = samples(metrics(surveyed(warehouse_url, "city", "town")))
        return {key: value for key, value in found.items() if key[0].endswith(("_total", "_count", "_sum"))}

    before = counted()
    assert before["sluiceway_run_rows_rejected_total", "city"] == 6
    assert before["sluiceway_load_failures_total", "town"] == 3
    assert before["sluiceway_load_duration_seconds_count", "city"] == 3
    assert before["sluiceway_load_duration_seconds_sum", "city"] == 4.5
    with connect(warehouse_url) as session:
        assert forget_runs(session, older_than_days=90) == 2
    assert counted() == before


def test_a_try_that_is_written_twice_counts_once(
    warehouse_url: str, query: Callable[..., list[tuple[Any, ...]]]
) -> None:
    ran(warehouse_url, "r1", ago=HOUR, city="loaded")
    query("UPDATE etl.table_run SET finished_at = clock_timestamp(), status = status WHERE finished_at IS NOT NULL")
    assert query("SELECT loads FROM etl.table_tally") == [(1,)]
    query(
        "UPDATE etl.table_run SET status = 'failed', error = 'x', error_type = 'x', rejected = 3 WHERE try_number = 1"
    )
    assert query("SELECT loads, failures, rejected FROM etl.table_tally") == [(1, 1, 3)]
    query("UPDATE etl.table_run SET rejected = 4, seconds = seconds WHERE try_number > 0")
    assert query("SELECT loads, failures, rejected FROM etl.table_tally") == [(1, 1, 4)]
