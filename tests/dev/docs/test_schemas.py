"""The JSON Schemas of files that people write: they take what the models take, and refuse what an editor shall show."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dev.docs.schemas import ENVIRONMENT_SCHEMA, FLOW_SCHEMA, TABLE_SCHEMA, Schema
from dev.environment import ROOT
from tests.dev.docs.test_examples import ENVIRONMENTS, FLOWS, TABLES

CONFIG = ROOT / "include" / "config"
FOLDERS = {"tables": TABLE_SCHEMA, "flows": FLOW_SCHEMA, "environments": ENVIRONMENT_SCHEMA}
TABLE = tomllib.loads((CONFIG / "tables" / "us_county.toml").read_text(encoding="utf-8"))
FLOW = tomllib.loads((CONFIG / "flows" / "resolve_taxa.toml").read_text(encoding="utf-8"))


def check(schema: Schema, document: Any) -> None:
    known = json.loads(schema.path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(known)
    # to an editor a day of TOML is a text, as it is to JSON
    jsonschema.validate(json.loads(json.dumps(document, default=str)), known, jsonschema.Draft202012Validator)


def files() -> Iterator[Any]:
    for folder, schema in FOLDERS.items():
        for path in sorted((CONFIG / folder).glob("*.toml")):
            yield pytest.param(schema, path.read_text(encoding="utf-8"), id=f"{folder}/{path.stem}")
    for blocks, schema in ((TABLES, TABLE_SCHEMA), (ENVIRONMENTS, ENVIRONMENT_SCHEMA)):
        for block in blocks:
            yield pytest.param(schema, block.text, id=block.name)
    for block in FLOWS:
        if re.search(r"^triggers = |^\[\[triggers]]", block.text, re.MULTILINE):
            yield pytest.param(FLOW_SCHEMA, block.text, id=block.name)


@pytest.mark.parametrize(("schema", "text"), list(files()))
def test_every_right_file_is_right_by_its_schema(schema: Schema, text: str) -> None:
    check(schema, tomllib.loads(text))


@pytest.mark.parametrize(
    ("schema", "document", "said"),
    [
        (TABLE_SCHEMA, TABLE | {"descripton": "x"}, "'descripton' was unexpected"),
        (TABLE_SCHEMA, TABLE | {"name": "x"}, "'name' was unexpected"),
        (TABLE_SCHEMA, TABLE | {"on_missing": "deleet"}, "'deleet' is not one of"),
        (TABLE_SCHEMA, {key: TABLE[key] for key in TABLE if key != "source"}, "'source' is a required property"),
        (TABLE_SCHEMA, TABLE | {"columns": {"a": {"typ": "text"}}}, "not valid under any of the given schemas"),
        (TABLE_SCHEMA, TABLE | {"checks": {"columns": {"a": {"acepted": [1]}}}}, "'acepted' was unexpected"),
        (TABLE_SCHEMA, TABLE | {"checks": {"rows": [{"unique": 3}]}}, "not valid under any of the given schemas"),
        (FLOW_SCHEMA, FLOW | {"flow_type": "jobb"}, "'jobb' is not one of"),
        (FLOW_SCHEMA, FLOW | {"triggers": [{"id": "a", "type": "schedule"}]}, "not valid under any"),
        (ENVIRONMENT_SCHEMA, {"kind": "htp", "url": "https://example.org"}, "not valid under any"),
    ],
)
def test_what_is_wrong_is_refused(schema: Schema, document: Any, said: str) -> None:
    with pytest.raises(jsonschema.ValidationError, match=said):
        check(schema, document)


def test_an_editor_is_told_of_each_of_them() -> None:
    rules = tomllib.loads((ROOT / ".taplo.toml").read_text(encoding="utf-8"))["rule"]
    told = {pattern: ROOT / rule["schema"]["path"] for rule in rules for pattern in rule["include"]}
    assert told == {f"include/config/{folder}/*.toml": Path(schema.path) for folder, schema in FOLDERS.items()}
