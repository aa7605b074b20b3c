"""A promise that no schedule can keep is refused, in a sentence; one of which nothing is certain is not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sluiceway.flows.files import read_flows
from sluiceway.flows.kinds.schedule import ScheduleConfig
from sluiceway.flows.promises import broken_promises, longest_gap
from sluiceway.tables.spec import TableSpec
from tests.flows.configured import CLI, FILE, HOOK, after, configured, flow


def schedule(expression: str, *, trigger_id: str = "clock", more: str = "") -> str:
    return f'[[triggers]]\nid = "{trigger_id}"\ntype = "schedule"\nschedule = "{expression}"\n{more}'


PYTHON = 'flow_type = "dag"\n'
OTHER = flow(schedule("@hourly")).replace("us_state", "us_county")


def broken(folder: Path, fresh_within: str | None, **flows: str) -> str | None:
    """What is said of us_state's promise."""
    data = {
        "name": "us_state",
        "description": "d",
        "key": "id",
        "source": {"kind": "csv", "uri": "a.csv"},
        "columns": {"id": "integer"},
        "fresh_within": fresh_within,
    }
    spec = TableSpec.model_validate(data)
    return broken_promises({spec.name: spec}, read_flows(configured(folder, **flows))).get(spec.name)


REFUSED = [
    ("no flow", "26h", {}, r"no schedule loads it, and neither a deploy nor a person"),
    ("by hand only", "26h", {"shop": flow(CLI)}, r"give a flow that loads it a schedule \(flows/<id>\.toml\)"),
    ("deploys only", "26h", {"master_etl": PYTHON + CLI}, "no schedule loads it"),
    ("another table's flow", "26h", {"shop": OTHER}, "no schedule loads it"),
    ("switched off", "26h", {"shop": flow(schedule("@hourly", more="enabled = false\n"))}, "no schedule loads it"),
    ("a job's schedule", "26h", {"shop": 'flow_type = "job"\n' + schedule("@hourly")}, "no schedule loads it"),
    ("weekly", "26h", {"shop": flow(schedule("0 3 * * 1"))}, r"shop\.clock \('0 3 \* \* 1'\) leaves it alone for 7 d"),
    ("not at weekends", "26h", {"shop": flow(schedule("0 3 * * 1-5"))}, "for 3 d, from Friday .* to Monday"),
    ("only by day", "2h", {"shop": flow(schedule("0 8-18 * * *"))}, "for 14 h, from .* 18:00 to .* 08:00 UTC"),
    ("preset", "7d", {"shop": flow(schedule("@monthly"))}, "for 31 d"),
    ("quarterly", "7d", {"shop": flow(schedule("@quarterly"))}, "for 92 d"),
    ("once in four years", "366d", {"shop": flow(schedule("0 0 29 2 *"))}, "for 1461 d"),
    ("the master's", "26h", {"master_etl": PYTHON + schedule("@weekly")}, r"master_etl\.clock"),
    ("two that are too slow", "5h",
     {"shop": flow(schedule("0 0 * * *")), "more": flow(schedule("0 6 * * *"))}, "for 18 h"),
]  # fmt: skip
KEPT = [
    ("nothing is promised", None, {}),
    ("daily", "26h", {"shop": flow(schedule("0 3 * * *"))}),
    ("exactly", "24h", {"shop": flow(schedule("@daily"))}),
    ("summer time", "24h", {"shop": flow(schedule("@daily", more='timezone = "Europe/Berlin"\n'))}),
    ("within its grace", "22h", {"shop": flow(schedule("@daily"))}),
    ("every five minutes", "10m", {"shop": flow(schedule("*/5 * * * *"))}),
    ("two together", "13h", {"shop": flow(schedule("0 0 * * *")), "more": flow(schedule("0 12 * * *"))}),
    ("two of one flow", "13h",
     {"shop": flow(schedule("0 0 * * *"), schedule("0 12 * * *", trigger_id="noon"))}),
    ("the master's", "26h", {"master_etl": PYTHON + schedule("@daily")}),
    ("a sensor beside a slow schedule", "1h", {"shop": flow(FILE, schedule("@weekly"))}),
    ("a webhook", "1h", {"shop": flow(HOOK)}),
    ("after another flow", "1h", {"shop": flow(after("other")), "other": OTHER}),
    ("a clock or two others", "1h", {"shop": flow(schedule("@weekly"), HOOK, FILE,
                                                    head='when = "clock | (hook & changed)"')}),
    ("unknown Python", "1h", {"shop": PYTHON + schedule("@weekly")}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("promise", "flows", "said"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
)
def test_a_promise_that_is_certain_to_break_is_refused(
    tmp_path: Path, promise: str, flows: dict[str, str], said: str
) -> None:
    sentence = broken(tmp_path, promise, **flows)
    assert sentence is not None
    assert sentence.startswith(f"fresh_within = '{promise}': ")
    assert re.search(said, sentence), sentence


@pytest.mark.parametrize(("promise", "flows"), [each[1:] for each in KEPT], ids=[each[0] for each in KEPT])
def test_a_promise_of_which_nothing_is_certain_is_not_refused(
    tmp_path: Path, promise: str | None, flows: dict[str, str]
) -> None:
    assert broken(tmp_path, promise, **flows) is None


def test_the_longest_gap_is_one_that_there_is() -> None:
    night = ScheduleConfig(id="a", type="schedule", flow_id="f", schedule="30 2 * * *", timezone="America/Los_Angeles")
    busy = ScheduleConfig(id="b", type="schedule", flow_id="f", schedule="*/10 9-17 * * 1-5")
    began, ended = longest_gap([night, busy])
    assert (began, ended) == (datetime(2026, 1, 3, 10, 30, tzinfo=UTC), datetime(2026, 1, 4, 10, 30, tzinfo=UTC))
