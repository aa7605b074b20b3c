"""The verdict and what the ledger counts as Prometheus metrics, drawn by prometheus-client.

Points in time rather than ages, seconds as the one unit, no label but tables without a fixed set of values. A commit
stands on `_info` alone, whose value is 1: on whatever counts, each deploy would begin a series of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, cast, get_args

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

from sluiceway.freshness.ask import Survey
from sluiceway.freshness.facts import LedgerFacts
from sluiceway.freshness.model import EnvironmentVerdict, State, TableVerdict

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
Labels = tuple[str, ...]
"""Their names, or their values."""


class _Family(NamedTuple):
    """Metrics of one name, before they are drawn."""

    name: str
    values: object
    """Two families of a name whose values are alike are drawn alike."""
    metric: Callable[[], Metric]


class Drawn:
    """The metrics of one survey after the other. A family whose values are those of before is not drawn again.

    A family of a thousand tables takes 5 ms, and most of them change once a day.
    """

    def __init__(self) -> None:
        self._families: dict[str, tuple[object, bytes]] = {}

    def metrics(self, survey: Survey) -> bytes:
        """The metrics of a survey, in Prometheus' text format."""
        return b"".join(map(self._drawn, _families(survey)))

    def _drawn(self, family: _Family) -> bytes:
        known = self._families.get(family.name)
        if known is None or known[0] != family.values:
            known = family.values, _drawn(family.metric())
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


def _families(survey: Survey) -> Iterator[_Family]:
    """All that one survey says."""
    verdict, facts = survey
    yield _value(
        "sluiceway_up", "1 if the ledger answered; 0: all that it would tell is missing.", not isinstance(facts, str)
    )
    yield _value("sluiceway_computed_timestamp_seconds", "When this was computed.", verdict.computed_at.timestamp())
    yield _states("sluiceway_state", "1 for the state of the whole.", {(): verdict.state}, ())
    if verdict.environment is not None:
        yield from _of_environment(verdict.environment)
    yield from _of_tables(verdict.tables)
    if isinstance(facts, LedgerFacts):
        yield from _counted(facts)
        yield from _of_runs(facts)


def _of_environment(found: EnvironmentVerdict) -> Iterator[_Family]:
    name, label = (found.name,), ("environment",)
    yield _states("sluiceway_environment_state", "1 for the environment's state.", {name: found.state}, label)
    for kind, commit in (("deployed", found.deployed_commit), ("data", found.data_commit)):
        said = "serves" if kind == "deployed" else "has the data of, in all of its tables"
        yield _info(f"sluiceway_environment_{kind}", f"The commit that it {said}.", label, {name: commit})
    deployed = "sluiceway_environment_deployed_timestamp_seconds", "When the deployed commit was seen first."
    yield _gauge(*deployed, label, [(name, _seconds(found.deployed_at))])
    promise = (
        "sluiceway_environment_data_within_seconds",
        "The promise: how soon after a deploy the data follows.",
    )
    yield _gauge(*promise, label, [(name, found.data_within_s)])


def _of_tables(tables: Iterable[TableVerdict]) -> Iterator[_Family]:
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


def _counted(facts: LedgerFacts) -> Iterator[_Family]:
    """What only grows, also when the ledger forgets the runs that it was counted of."""
    tallies = {name: table.tally for name, table in sorted(facts.tables.items())}
    yield _per_table(
        partial(CounterMetricFamily, "sluiceway_run_rows_rejected", "Rows that runs did not load, by all tries."),
        [(name, tally.rejected) for name, tally in tallies.items()],
    )
    yield _per_table(
        partial(CounterMetricFamily, "sluiceway_load_failures", "Tries at the table that failed."),
        [(name, tally.failures) for name, tally in tallies.items()],
    )
    yield _per_table(
        partial(
            SummaryMetricFamily, "sluiceway_load_duration_seconds", "Good loads of the table, and how long they took."
        ),
        [(name, tally.loads, tally.seconds) for name, tally in tallies.items()],
    )


def _of_runs(facts: LedgerFacts) -> Iterator[_Family]:
    waiting = [run for run in facts.runs if run.is_waiting]
    running = [run for run in facts.runs if run.status == "running" and not run.is_waiting]
    yield _value(
        "sluiceway_runs_waiting", "Runs that have begun and wait, for their commit or their turn.", len(waiting)
    )
    yield _value("sluiceway_runs_running", "Runs that load tables.", len(running))
    ended = {"success": "was green", "failed": "was red"}
    for status, said in ended.items():
        moments = [run.finished_at for run in facts.runs if run.status == status and run.finished_at is not None]
        name = f"sluiceway_run_last_{status}_timestamp_seconds"
        yield _gauge(name, f"When the newest run ended that {said}.", (), [((), _seconds(max(moments, default=None)))])


def _value(name: str, said: str, value: float) -> _Family:
    return _gauge(name, said, (), [((), value)])


def _gauge(name: str, said: str, labels: Labels, values: Iterable[tuple[Labels, float | None]]) -> _Family:
    """A gauge without what is not known."""
    known = [(label, value) for label, value in values if value is not None]
    return _Family(name, known, partial(_filled, partial(GaugeMetricFamily, name, said, labels=labels), known))


def _per_table(kind: Callable[..., Metric], values: list[tuple[str, *tuple[float, ...]]]) -> _Family:
    """A counter or a summary of each table."""
    family = partial(kind, labels=("table",))
    return _Family(family().name, values, lambda: _filled(family, (((table,), *of) for table, *of in values)))


def _info(name: str, said: str, labels: Labels, commits: dict[Labels, str | None]) -> _Family:
    """The commit, where one is known."""
    known = [(label, {"commit": commit}) for label, commit in commits.items() if commit is not None]
    return _Family(name, known, partial(_filled, partial(InfoMetricFamily, name, said, labels=labels), known))


def _states(name: str, said: str, of: dict[Labels, State], labels: Labels) -> _Family:
    """A series of each state, of which one is 1."""
    each_state = [
        ((*label, each.replace(" ", "_")), each == state) for label, state in of.items() for each in get_args(State)
    ]
    return _gauge(name, said, (*labels, "state"), each_state)


def _filled(family: Callable[[], Metric], rows: Iterable[tuple[Any, ...]]) -> Metric:
    found: Any = family()
    for row in rows:
        found.add_metric(*row)
    return cast("Metric", found)


def _seconds(moment: datetime | None) -> float | None:
    return moment.timestamp() if moment is not None else None
