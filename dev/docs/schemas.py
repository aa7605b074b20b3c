"""The JSON Schemas in docs/reference/, from their models: of status.json, and of files that people write.

By the latter an editor completes a file and marks what is wrong; .taplo.toml tells it of them. They know what one key
may be; what several may be together, `sluiceway tables check` and its like know alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from dev.docs.page import DOCS, Page
from sluiceway.deploy.spec import EnvironmentSpec
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.spec import STANDARD, FlowSpec
from sluiceway.freshness.document import StatusDocument
from sluiceway.tables.spec import TableSpec

Json = dict[str, Any]


@dataclass(frozen=True)
class Schema(Page):
    """The file; nothing in it is written by hand."""

    made: Callable[[], Json]

    def written(self, _text: str) -> str:
        """The schema of today."""
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        return json.dumps({**head, **self.made()}, indent=2, ensure_ascii=False) + "\n"


def _status() -> Json:
    return StatusDocument.model_json_schema(mode="serialization")


def _table() -> Json:
    schema = _without(TableSpec.model_json_schema(), "name", "transform", "written_uri")
    columns = schema["properties"]["columns"]
    columns["additionalProperties"] = {"anyOf": [{"type": "string"}, columns["additionalProperties"]]}
    key = schema["properties"]["key"]
    key["anyOf"] = [{"type": "string"}, *key["anyOf"][1:]]
    return schema


def _flow() -> Json:
    schema = FlowSpec.model_json_schema()
    schema["required"].remove("id")
    flow_type = schema["properties"]["flow_type"]
    flow_type["enum"] = [*flow_type["enum"], STANDARD]
    models = [TriggerRegistry.find(kind).config_model for kind in TriggerRegistry.own_kinds()]
    places, triggers = models_json_schema([(model, "validation") for model in models])
    for model in models:
        triggers["$defs"][model.__name__]["required"].remove("flow_id")
    del schema["$defs"]["TriggerConfig"]
    schema["properties"]["triggers"]["items"] = {"anyOf": list(places.values())}
    schema["$defs"] |= triggers["$defs"]
    return schema


def _environment() -> Json:
    schema = TypeAdapter(EnvironmentSpec).json_schema()
    for kind in schema["discriminator"]["mapping"].values():
        _without(schema["$defs"][kind.rpartition("/")[2]], "name")
    return schema


def _without(schema: Json, *keys: str) -> Json:
    """The schema of an object that cannot have these keys; it is changed."""
    for key in keys:
        del schema["properties"][key]
    schema["required"] = [key for key in schema["required"] if key not in keys]
    return schema


REFERENCE = DOCS / "reference"
STATUS_SCHEMA = Schema(REFERENCE / "status.schema.json", _status)
TABLE_SCHEMA = Schema(REFERENCE / "table.schema.json", _table)
FLOW_SCHEMA = Schema(REFERENCE / "flow.schema.json", _flow)
ENVIRONMENT_SCHEMA = Schema(REFERENCE / "environment.schema.json", _environment)
SCHEMAS = (STATUS_SCHEMA, TABLE_SCHEMA, FLOW_SCHEMA, ENVIRONMENT_SCHEMA)
