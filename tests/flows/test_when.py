"""`when`: how it is read, and what of it Airflow cannot express."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluiceway.errors import ConfigError
from sluiceway.flows.files import flow_of
from sluiceway.flows.when import And, Name, Or, names, parse

A, B, C = Name("a"), Name("b"), Name("c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", A),
        ("((a))", A),
        ("a & b", And((A, B))),
        ("a|b|c", Or((A, B, C))),
        ("a | b & c", Or((A, And((B, C))))),
        ("(a | b) & c", And((Or((A, B)), C))),
        ("(a & b) | c", Or((And((A, B)), C))),
        ("\n a\n& b", And((A, B))),
    ],
)
def test_and_binds_closer_than_or_and_brackets_closest(text: str, expected: object) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an id is missing at its end"),
        ("a &", "an id is missing at its end"),
        ("& a", "an id is missing before '&'"),
        ("()", r"an id is missing before '\)'"),
        ("a b", "between 'a' and 'b' stands neither & nor |"),
        ("a (b)", r"between 'a' and '\(' stands neither"),
        ("(a", r"a bracket \( is not closed"),
        ("a)", r"a bracket \) closes none"),
        ("a and b", "'and' is none of its signs; write '&'"),
        ("a OR b", r"'OR' is none of its signs; write '\|'"),
        ("a && b", "'&&' is none of its signs; write '&'"),
        ("a || b", r"'\|\|' is none of its signs; write '\|'"),
        ("not a", "'not' is nothing Airflow can wait for"),
        ("a & !b", "'!' is nothing Airflow can wait for"),
        ("a + b", r"'\+' is neither an id nor one of"),
        ("a; import os", "';' is neither an id nor one of"),
        ("ä", "'ä' is neither an id nor one of"),
    ],
)
def test_what_is_no_expression_says_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse(text)


def test_a_deep_expression_is_no_crash() -> None:
    with pytest.raises(ValueError, match="brackets are nested deeper than"):
        parse("(" * 100_000 + "a" + ")" * 100_000)


def test_the_names_stand_in_order() -> None:
    assert list(names(parse("(b & a) | c"))) == ["b", "a", "c"]


FILE = {"type": "sensor", "sensor_type": "file", "path": "/data/x"}
TRIGGERS: list[dict[str, object]] = [
    {"id": "a", **FILE},
    {"id": "b", **FILE},
    {"id": "each", **FILE, "coalesce": False},
    {"id": "off", **FILE, "enabled": False},
    {"id": "clock", "type": "schedule", "schedule": "@daily"},
    {"id": "hand", "type": "cli"},
]
OTHERS = " | each | clock | hand | b"


@pytest.mark.parametrize(
    "text",
    ["(a & b) | each | clock | hand", "a | off" + OTHERS, "a" + OTHERS.replace("| hand ", "")],
)
def test_what_airflow_can_express_is_taken(text: str) -> None:
    assert flow_of({"id": "f", "flow_type": "dag", "when": text, "triggers": TRIGGERS}).when == parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(a & clock) | each | hand | b", "'clock' stands under &, and a schedule does not wait for anything"),
        ("a & (clock | b) | each", "'clock' stands under &, and a schedule does not wait"),
        ("a & hand" + OTHERS, "'hand' stands there twice"),
        ("(a & hand) | b | each | clock", "'hand' stands under &, and a start by hand does not wait"),
        ("a & each | b | clock", "'each' stands under &, and with coalesce = false it starts a run for each event"),
        ("a & off | b | clock | each", "'off' stands under &, and it is disabled"),
        ("a | b | each", r"the trigger 'clock' is not in it and would start nothing; add `\| clock`"),
        ("aa | b", "'aa' is no trigger of this flow; did you mean 'a'"),
    ],
)
def test_what_airflow_cannot_express_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"flow 'f': when = .*: {said}"):
        flow_of({"id": "f", "flow_type": "dag", "when": text, "triggers": TRIGGERS})


def test_a_disabled_trigger_may_be_left_out(tmp_path: Path) -> None:
    flow = flow_of({"id": "f", "flow_type": "dag", "when": "a", "triggers": [TRIGGERS[0], TRIGGERS[3]]})
    assert flow.when == A
