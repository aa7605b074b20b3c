"""docs/reference/flows.md: its tables are those of the models, and each of its examples does what it says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from dev.docs.flows import TRIGGERS
from dev.docs.keys import toml
from sluiceway.flows.check import check
from sluiceway.flows.files import FOLDER
from sluiceway.flows.registry import TriggerRegistry
from tests.flows.configured import CLI, configured, flow

TEXT = TRIGGERS.path.read_text(encoding="utf-8")
HEAD = 'flow_type = "tables"\ntables = ["us_state"]\n'
NEEDED: dict[str, dict[str, Any]] = {
    "FlowSpec": {"id": "orders", "flow_type": "tables", "tables": ("us_state",)},
    "TriggerConfig": {"id": "t", "type": "cli", "flow_id": "f"},
    "CliConfig": {"type": "cli"},
    "ScheduleConfig": {"type": "schedule", "schedule": "@daily"},
    "FlowConfig": {"type": "flow", "source_flow_id": "g"},
    "ApiConfig": {"type": "api", "connection": "c"},
    "SensorConfig": {"type": "sensor", "sensor_type": "x"},
    "FileConfig": {"sensor_type": "file", "path": "/x"},
    "DirectoryConfig": {"sensor_type": "directory", "path": "/x"},
    "ObjectsConfig": {"sensor_type": "s3", "bucket": "acme"},
    "S3Config": {"sensor_type": "s3", "bucket": "acme"},
    "GcsConfig": {"sensor_type": "gcs", "bucket": "acme"},
    "DatabaseConfig": {"sensor_type": "database", "detection_mode": "row_count", "table_name": "t"},
    "HttpConfig": {"sensor_type": "http", "url": "https://example.org"},
    "DeploymentConfig": {"sensor_type": "deployment", "environment": "staging"},
    "QueueConfig": {"sensor_type": "queue", "queue": "redis+pubsub://x", "connection": "c"},
    "EngineConfig": {"name": "postgres"},
}
"""What a model needs beside the key that is looked at."""
TOGETHER: dict[tuple[str, str], dict[str, Any]] = {
    ("FlowSpec", "lanes"): {"flow_type": "job", "tables": None},
    ("FileConfig", "pattern"): {"path": "/data/in/orders.csv"},
    ("DatabaseConfig", "detection_mode"): {"timestamp_column": "t"},
    ("DatabaseConfig", "timestamp_column"): {"detection_mode": "timestamp_column"},
    **{
        ("DatabaseConfig", key): {"detection_mode": "timestamp_column", "timestamp_column": "t"}
        for key in ("timezone", "settle_seconds")
    },
    ("DatabaseConfig", "custom_query"): {"detection_mode": "custom_query", "table_name": None},
}
"""Keys that belong together."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


FLOWS = [block for block in blocks("toml") if "[project]" not in block and "heartbeat" not in block]
"""Whole files, and parts of one; the kind that they install is tested in test_new_kind.py."""


def fields() -> list[tuple[str, str]]:
    return [(name, key) for name, model in TRIGGERS.models.items() for key in TRIGGERS.keys(model)]


def parsed(name: str, key: str, example: object) -> BaseModel:
    value = tomllib.loads(f"value = {toml(example)}")["value"]
    model = TRIGGERS.models[name]
    of_all = {"id": "t", "flow_id": "f", "type": "sensor"} if "flow_id" in model.model_fields else {}
    others = {**of_all, **NEEDED[name], **TOGETHER.get((name, key), {})}
    return model.model_validate({name_: each for name_, each in others.items() if each is not None} | {key: value})


def test_the_document_is_up_to_date() -> None:
    assert TRIGGERS.written(TEXT) == TEXT, "run python -m dev.docs"


def test_every_model_has_its_table_in_the_document() -> None:
    marks = re.findall(r"<!-- keys of (\w+) -->", TEXT)
    assert sorted(marks) == sorted(name for name, model in TRIGGERS.models.items() if TRIGGERS.keys(model))


def test_every_kind_of_the_project_is_a_model_of_the_document() -> None:
    kinds = {TriggerRegistry.find(kind).config_model for kind in TriggerRegistry.own_kinds()}
    assert kinds <= set(TRIGGERS.models.values())


def test_every_key_stands_in_a_table() -> None:
    for model in TRIGGERS.models.values():
        shown = {key for base in TRIGGERS.models.values() if issubclass(model, base) for key in TRIGGERS.keys(base)}
        assert set(model.model_fields) <= shown | ({"triggers"} if model.__name__ == "FlowSpec" else set())


@pytest.mark.parametrize(("model", "key"), fields(), ids=".".join)
def test_a_key_has_a_meaning_and_an_example_that_parses(model: str, key: str) -> None:
    field = TRIGGERS.models[model].model_fields[key]
    assert field.description
    assert field.examples
    for example in field.examples:
        assert getattr(parsed(model, key, example), key) is not None


def test_an_example_that_is_none_is_found() -> None:
    with pytest.raises(ValidationError):
        parsed("ScheduleConfig", "schedule", "@dayly")


def test_a_key_that_names_the_kind_stands_once() -> None:
    assert len(re.findall(r"^\| `sensor_type` ", TEXT, re.MULTILINE)) == 1
    assert len(re.findall(r"^\| `type` ", TEXT, re.MULTILINE)) == 1


@pytest.mark.parametrize("text", FLOWS, ids=[str(number) for number in range(len(FLOWS))])
def test_an_example_is_a_right_file(tmp_path: Path, text: str) -> None:
    whole = text if text.startswith("flow_type") else HEAD + text
    assert check(settings=configured(tmp_path, shop=whole, master_etl=flow(CLI))) == []


def test_every_kind_of_the_project_has_an_example() -> None:
    declared = [trigger for text in FLOWS for trigger in tomllib.loads(text)["triggers"]]
    assert {TriggerRegistry.kind_of(trigger) for trigger in declared} == set(TriggerRegistry.own_kinds())


def test_a_trigger_is_three_to_eight_lines() -> None:
    lines = [
        [line for line in part.splitlines() if line.strip()]
        for text in FLOWS
        for part in text.split("[[triggers]]\n")[1:]
    ]
    assert {len(part) + 1 for part in lines} <= {*range(3, 9)}


def test_the_python_of_the_document_runs(tmp_path: Path) -> None:
    (code,) = [block for block in blocks("python") if "TriggerService" in block]
    names: dict[str, Any] = {}
    exec(compile(code, "triggers.md", "exec"), names)
    flow = names["service"].find("master_etl", trigger_id="manual")
    assert flow.config.flow_id == "master_etl"


def test_the_folder_is_the_one_that_is_read() -> None:
    assert f"include/config/{FOLDER}/" in TEXT
