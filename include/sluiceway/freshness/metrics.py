"""The verdict and what the ledger counts as Prometheus metrics, drawn by prometheus-client.

Points in time rather than ages, seconds as the one unit, no label but tables without a fixed set of values. A commit
stands on `_info` alone, whose value is 1: on whatever counts, each deploy would begin a series of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from sluiceway.freshness.ask import Survey
from sluiceway.freshness.facts import LedgerFacts
from sluiceway.freshness.model import EnvironmentVerdict, State, TableVerdict

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
Labels = tuple[str, ...]
"""Their names, or their values."""


class Drawn:
    """The metrics of one survey after the other. A family whose samples are those of before is not drawn again.

    A family of a thousand tables takes 4 ms, and most of them change once a day.
    """

    def __init__(self) -> None:
        self._families: dict[str, tuple[list[Sample], bytes]] = {}

    def metrics(self, survey: Survey) -> bytes:
        """The metrics of a survey, in Prometheus' text format."""
        return b"".join(self._family(each) for each in _Surveyed(survey).collect())

    def _family(self, family: Metric) -> bytes:
        known = self._families.get(family.name)
        if known is None or known[0] != family.samples:
            known = family.samples, _drawn(family)
            self._families[family.name] = known
        return known[1]


def metrics(survey: Survey) -> bytes:
    """The metrics of one survey."""
    return Drawn().metrics(survey)


def _drawn(family: Metric) -> bytes:
    """One family in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_One(family))
    return generate_latest(registry)


class _One(Collector):
    """Collects one family."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


class _Surveyed:
    """Collects what one survey says, and keeps nothing from one to the next."""

    def __init__(self, survey: Survey) -> None:
        self._verdict, self._facts = survey

    def collect(self) -> Iterator[Metric]:
        verdict, facts = self._verdict, self._facts
        yield GaugeMetricFamily(
            "sluiceway_up", "1 if the ledger answered; 0: all that it would tell is missing.",
            value=not isinstance(facts, str),
        )  # fmt: skip
        yield GaugeMetricFamily(
            "sluiceway_computed_timestamp_seconds", "When this was computed.", value=verdict.computed_at.timestamp()
        )
        yield _states("sluiceway_state", "1 for the state of the whole.", {(): verdict.state}, ())
        if verdict.environment is not None:
            yield from _of_environment(verdict.environment)
        yield from _of_tables(verdict.tables)
        if isinstance(facts, LedgerFacts):
            yield from _counted(facts)
            yield from _of_runs(facts)


def _of_environment(found: EnvironmentVerdict) -> Iterator[Metric]:
    name, label = (found.name,), ("environment",)
    yield _states("sluiceway_environment_state", "1 for the environment's state.", {name: found.state}, label)
    for kind, commit in (("deployed", found.deployed_commit), ("data", found.data_commit)):
        said = "serves" if kind == "deployed" else "has the data of, in all of its tables"
        info = InfoMetricFamily(f"sluiceway_environment_{kind}", f"The commit that it {said}.", labels=label)
        if commit is not None:
            info.add_metric(name, {"commit": commit})
        yield info
    deployed = "sluiceway_environment_deployed_timestamp_seconds", "When the deployed commit was seen first."
    yield _gauge(*deployed, label, [(name, _seconds(found.deployed_at))])
    promise = (
        "sluiceway_environment_data_within_seconds",
        "The promise: how soon after a deploy the data follows.",
    )
    yield _gauge(*promise, label, [(name, found.data_within_s)])


def _of_tables(tables: Iterable[TableVerdict]) -> Iterator[Metric]:
    known = sorted(tables, key=lambda each: each.table)
    families: dict[str, tuple[str, Callable[[TableVerdict], float | None]]] = {
        "sluiceway_table_last_load_timestamp_seconds": (
            "When what the table holds was loaded, by whatever run.",
            lambda each: _seconds(each.data_from),
        ),
        "sluiceway_table_last_look_timestamp_seconds": (
            "When a green run last loaded the table or found its source unchanged.",
            lambda each: _seconds(each.looked_at),
        ),
        "sluiceway_table_fresh_within_seconds": (
            "The promise of the table's file: how old that look may be.",
            lambda each: each.fresh_within_s,
        ),
        "sluiceway_table_stale": (
            "1 if the table's promise is broken, 0 if it is not; missing where nothing is promised or known.",
            lambda each: None if each.state in {"no promise", "unknown"} else each.state == "stale",
        ),
        "sluiceway_table_rows": ("Live rows after the last load.", lambda each: each.rows),
    }
    for name, (said, value) in families.items():
        yield _gauge(name, said, ("table",), [((each.table,), value(each)) for each in known])


def _counted(facts: LedgerFacts) -> Iterator[Metric]:
    """What only grows, also when the ledger forgets the runs that it was counted of."""
    rejected = CounterMetricFamily(
        "sluiceway_run_rows_rejected", "Rows that runs did not load, by all tries.", labels=("table",)
    )
    failed = CounterMetricFamily("sluiceway_load_failures", "Tries at the table that failed.", labels=("table",))
    took = SummaryMetricFamily(
        "sluiceway_load_duration_seconds", "Good loads of the table, and how long they took.", labels=("table",)
    )
    for name, table in sorted(facts.tables.items()):
        rejected.add_metric((name,), table.tally.rejected)
        failed.add_metric((name,), table.tally.failures)
        took.add_metric((name,), table.tally.loads, table.tally.seconds)
    yield from (rejected, failed, took)


def _of_runs(facts: LedgerFacts) -> Iterator[Metric]:
    waiting = [run for run in facts.runs if run.is_waiting]
    running = [run for run in facts.runs if run.status == "running" and not run.is_waiting]
    yield GaugeMetricFamily(
        "sluiceway_runs_waiting", "Runs that have begun and wait, for their commit or their turn.", value=len(waiting)
    )
    yield GaugeMetricFamily("sluiceway_runs_running", "Runs that load tables.", value=len(running))
    ended = {"success": "was green", "failed": "was red"}
    for status, said in ended.items():
        moments = [run.finished_at for run in facts.runs if run.status == status and run.finished_at is not None]
        name = f"sluiceway_run_last_{status}_timestamp_seconds"
        yield _gauge(name, f"When the newest run ended that {said}.", (), [((), _seconds(max(moments, default=None)))])


def _gauge(name: str, said: str, labels: Labels, values: Iterable[tuple[Labels, float | None]]) -> Metric:
    """A gauge without what is not known."""
    found = GaugeMetricFamily(name, said, labels=labels)
    for label, value in values:
        if value is not None:
            found.add_metric(label, value)
    return found


def _states(name: str, said: str, of: dict[Labels, State], labels: Labels) -> Metric:
    """A series of each state, of which one is 1."""
    found = GaugeMetricFamily(name, said, labels=(*labels, "state"))
    for label, state in of.items():
        for each in get_args(State):
            found.add_metric((*label, each.replace(" ", "_")), each == state)
    return found


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None
