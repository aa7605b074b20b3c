"""Whether a run that was woken has anything to do, and what a DAG has come to."""

from __future__ import annotations

import pytest

from sluiceway.flows.files import Flow, flow_of
from sluiceway.on_airflow.graphs.flow_events import _is_due
from sluiceway.on_airflow.graphs.followers import ending

SENSOR = {"type": "sensor", "sensor_type": "file", "path": "/data/in/x"}


def flow(when: str | None) -> Flow:
    triggers = [{"id": each, **SENSOR} for each in ("first", "second", "third")]
    after = {"id": "after", "type": "flow", "source_flow_id": "source"}
    return flow_of({"id": "both", "flow_type": "dag", "when": when, "triggers": [*triggers, after]})


def wakes(*triggers: str) -> set[str]:
    return {f"flow/both/trigger/{each}" for each in triggers}


@pytest.mark.parametrize(
    ("when", "waiting", "woken", "is_due"),
    [
        (None, set(), wakes("first"), False),
        (None, {"second"}, wakes("first"), True),
        (None, set(), {"flow/source/success"}, True),
        ("(first & second) | third | after", {"first"}, wakes("first", "second"), False),
        ("(first & second) | third | after", {"first", "second"}, wakes("first", "second"), True),
        ("(first & second) | third | after", {"third"}, wakes("third"), True),
        ("(first & second) | third | after", {"first"}, {*wakes("first"), "flow/source/success"}, True),
    ],
)
def test_a_wake_counts_while_the_ledger_holds_what_it_tells_of(
    when: str | None, waiting: set[str], woken: set[str], is_due: bool
) -> None:
    assert _is_due(flow(when), {"first", "second", "third"}, waiting, woken) is is_due


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (["success"], "success"),
        (["success", "skipped"], "success"),
        (["success", "failed"], "failure"),
        (["skipped", "upstream_failed"], "failure"),
        (["skipped", "skipped"], None),
        ([], None),
    ],
)
def test_an_end_is_as_airflow_sees_it_and_what_was_skipped_has_none(
    states: list[str | None], expected: str | None
) -> None:
    assert ending(states) == expected
