"""A value of the wrong kind is told in the project's own words, in every file and for every kind that TOML knows."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sluiceway.alerts import spec as alerts
from sluiceway.config_files import DEEPEST, LONGEST_TEXT, read_toml
from sluiceway.deploy import spec as environments
from sluiceway.errors import ConfigError
from sluiceway.flows import files as flows
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.freshness.faces import read_faces
from sluiceway.tables.registry import read_spec

VALUES = [
    "3", "-3", "true", "1.5", "inf", "'x y'", "[1]", "[]", "{ a = 1 }",
    "1979-05-27T07:32:00Z", "1979-05-27", "07:32:00",
]  # fmt: skip
"""One of every kind of TOML, and what else a wrong hand writes."""
ITS_OWN = re.compile(
    r"Input should|valid (string|integer|number|boolean|tuple|list|dict)|\[\w+\(|function-|should (have|match)"
)
"""Words of pydantic."""
TABLE = """
description = {0}
key = {0}
group = {0}
fresh_within = {0}
split = {0}
memory = {0}
cpu = {0}
source = {{ kind = "http_json", uri = {0}, params = {{ a = {0} }}, paging = {0}, records = {0} }}
columns = {{ id = {0}, name = {{ type = {0}, required = {0} }} }}
checks = {{ min_rows = {0}, max_shrink = {0}, max_rejects = {0} }}
geometry = {{ type = {0}, srid = {0} }}
"""
HOLDERS = "description = 'x'\nkey = 'id'\nsource = {0}\ncolumns = {0}\nchecks = {0}\ngeometry = {0}\n"
FILE = "[source]\nkind = 'csv'\nuri = {0}\nheader = {0}\nmax_bytes = {0}\nnull = {0}\nmember = {0}\ndelimiter = {0}\n"
FLOW = """
flow_type = "dag"
description = {0}
tags = {0}
tables = {0}
when = {0}
[[triggers]]
id = "a"
type = "sensor"
sensor_type = "file"
path = {0}
poll_s = {0}
enabled = {0}
event_type = {0}
[[triggers]]
id = "b"
type = "sensor"
sensor_type = "database"
engine_config = {{ name = {0}, config = {0} }}
[[triggers]]
id = "c"
type = "api"
params = {0}
only = {0}
max_bytes = {0}
"""
ALERT = """
heartbeat = {0}
[alerts.a]
tell_of = {0}
connection = {0}
arguments = {0}
dags = {0}
after = {0}
notifier = {0}
"""
DEEP = (
    "[alerts.a]\ntell_of = ['red']\nnotifier = 'a.B'\narguments = {{ text = {0}, body = '{{body}}' }}\ntables = {0}\n"
)
HTTP = "kind = 'http'\nurl = {0}\npoll_s = {0}\ndata_within = {0}\njson_path = {0}\ngithub = {0}\n"
FACES = "badge = {0}\nmetrics = {{ public = {0}, per_minute = {0} }}\n"
READERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "table": (read_spec, TABLE),
    "holders": (read_spec, HOLDERS),
    "file": (read_spec, FILE),
    "flow": (flows.read_file, FLOW),
    "alert": (alerts.read_file, ALERT),
    "deep": (alerts.read_file, DEEP),
    "environment": (environments.read_file, HTTP),
    "faces": (lambda path: read_faces(path.parent), FACES),
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("name", READERS)
def test_no_value_of_a_wrong_kind_is_told_in_words_of_a_library(name: str, value: str, tmp_path: Path) -> None:
    read, text = READERS[name]
    said = _said(read, tmp_path / "faces.toml", text.format(value))
    assert [line for line in said if ITS_OWN.search(line)] == []
    places = [line.partition("faces.toml: ")[2].partition(":")[0].partition(" = ")[0] for line in said]
    assert len(places) == len(set(places)), "one sentence for each key"


def _said(read: Callable[[Path], Any], path: Path, text: str) -> list[str]:
    path.write_text(text, encoding="utf-8")
    try:
        read(path)
    except ConfigError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("key = 3", "key = 3: is no column's name; write one in quotes, a list of them, or \"content\""),
        ("key = ['id', 3]", "key: is no column's name; write one in quotes, a list of them, or \"content\""),
        ("description = 3", "description = 3: is no text; write it in quotes"),
        ("description = 1979-05-27", "description: is no text; write it in quotes"),
        ("source = 3", "source = 3: is no table; write its keys in braces, {...}"),
        ("columns = 'id'", "columns = 'id': is no table; write its keys in braces, {...}"),
        ("checks = { min_rows = 'x' }", "checks.min_rows = 'x': is no whole number; write one without quotes"),
        ("checks = { min_rows = 1.5 }", "checks.min_rows = 1.5: is no whole number; write one without quotes"),
        ("checks = { max_shrink = 'x' }", "checks.max_shrink = 'x': is no number; write one without quotes"),
        ("checks = { max_shrink = 3 }", "checks.max_shrink = 3: must be at most 1"),
        ("columns = { id = 3 }", "columns.id = 3: is no table; write its keys in braces, {...}"),
        ("columns = { id = { type = 'text', required = 'x' } }",
         "columns.id.required = 'x': is neither true nor false; write one of them without quotes"),
    ],
)  # fmt: skip
def test_each_kind_has_its_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "city.toml"
    assert f"{path}: {sentence}" in _said(read_spec, path, text)


def test_a_list_is_asked_for_in_brackets(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    text = "[alerts.a]\ntell_of = ['red']\nconnection = 'x'\ndags = 'shop'\n"
    assert _said(alerts.read_file, path, text) == [
        f"{path}: alerts.a.dags = 'shop': is no list; write its values in brackets, [...]"
    ]


ADDRESS = "ftp://me:s3cret@example.org/a?token=s3cret"
HIDING: dict[str, tuple[str, str]] = {
    "an unknown key of a table": ("table", 'keyy = "s3cret"'),
    "an unknown key of a flow": ("flow", 'keyy = "s3cret"'),
    "an unknown key of a trigger": ("flow", '[[triggers]]\nid = "a"\ntype = "cli"\nkeyy = "s3cret"'),
    "an unknown key of an alert": ("alert", '[alerts.a]\ntell_of = ["red"]\nconnection = "x"\nkeyy = "s3cret"'),
    "an unknown key of an environment": ("environment", 'kind = "http"\nurl = "https://x"\nkeyy = "s3cret"'),
    "an unknown key of faces": ("faces", 'keyy = "s3cret"'),
    "an address of a table": ("table", f'description = "x"\nkey = "{ADDRESS}"'),
    "an address of a flow": ("flow", f'flow_type = "{ADDRESS}"'),
    "an address of a trigger": ("flow", f'[[triggers]]\nid = "a"\ntype = "schedule"\ntimezone = "{ADDRESS}"'),
    "an address of an alert": ("alert", f'[alerts.a]\ntell_of = ["red"]\nconnection = "{ADDRESS}"'),
    "an address of an environment": ("environment", f'kind = "http"\nurl = "{ADDRESS}"'),
    "an address of faces": ("faces", f'badge = "{ADDRESS}"'),
    "a password of a trigger": ("flow", '[[triggers]]\nid = "a"\ntype = "cli"\npassword = 1234567'),
    "a password of an alert": ("alert", '[alerts.a]\ntell_of = ["red"]\npassword = 1234567'),
    "an id of a flow": ("flow", f'id = "{ADDRESS}"'),
    "what a flow waits for": ("flow", f'flow_type = "dag"\nwhen = "{ADDRESS}"'),
    "a kind of trigger": ("flow", f'[[triggers]]\nid = "a"\ntype = "{ADDRESS}"'),
}


@pytest.mark.parametrize("name", HIDING)
def test_neither_a_sentence_nor_what_a_log_shows_of_its_error_holds_a_secret(name: str, tmp_path: Path) -> None:
    kind, text = HIDING[name]
    path = tmp_path / "faces.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        READERS[kind][0](path)
    shown = "".join(traceback.format_exception(caught.value))
    assert "faces.toml" in str(caught.value) and "s3cret" not in shown and "1234567" not in shown


@pytest.mark.parametrize("keys", [{"keyy": "s3cret"}, {"password": "s3cret"}, {"description": ["s3cret"]}])
def test_nor_does_that_of_a_trigger_that_is_made_in_code(keys: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        TriggerRegistry.create_trigger({"id": "a", "type": "cli", "flow_id": "shop", **keys})
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ("{ a = ", " }")])
def test_a_file_that_is_nested_too_deeply_is_one_sentence(tmp_path: Path, opens: str, closes: str) -> None:
    path = tmp_path / "a.toml"

    def nested(levels: int) -> None:
        # the file is a table itself
        path.write_text(f"a = {opens * (levels - 1)}1{closes * (levels - 1)}\n", encoding="utf-8")

    nested(DEEPEST)
    assert read_toml(path)
    for levels in (DEEPEST + 1, 300, 20_000):
        nested(levels)
        with pytest.raises(ConfigError, match=r"a\.toml: is not valid TOML: it is nested too deeply\.$"):
            read_toml(path)


@pytest.mark.parametrize("name", ["table", "flow", "environment", "alert", "faces"])
def test_of_a_file_with_more_wrong_than_anybody_reads_the_first_is_told_and_the_rest_counted(
    name: str, tmp_path: Path
) -> None:
    read, _ = READERS[name]
    path = tmp_path / "faces.toml"
    top = 'kind = "http"\nurl = "https://x"\n' if name == "environment" else ""
    said = _said(read, path, top + "".join(f"nothing_{number} = 1\n" for number in range(2_000)))
    assert "nothing_0" in "\n".join(said[:5])
    assert len("\n".join(said)) < LONGEST_TEXT + 500
    shown = [line for line in said if "nothing_" in line]
    left = re.search(r"faces.toml: more problems: ([\d,]+); mend these first", said[-1])
    assert left is not None
    assert 2_000 <= len(shown) + int(left[1].replace(",", "")) <= 2_010


def test_so_is_a_flow_with_thousands_of_wrong_triggers(tmp_path: Path) -> None:
    said = _said(flows.read_file, tmp_path / "a.toml", 'flow_type = "dag"\n' + '[[triggers]]\nid = "a"\n' * 3_000)
    assert len("\n".join(said)) < LONGEST_TEXT + 500
    assert re.search(r"more problems: [\d,]+; mend these first", said[-1])
