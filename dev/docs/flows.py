"""The tables of keys in docs/reference/flows.md, from the models of flows and triggers."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from dev.docs.keys import Document
from dev.docs.page import DOCS
from sluiceway import json_path
from sluiceway.flows import connection
from sluiceway.flows.connection import EngineConfig
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.spec import FlowSpec


def _models() -> Iterator[type[BaseModel]]:
    yield FlowSpec
    for kind in TriggerRegistry.own_kinds():
        for model in reversed(TriggerRegistry.find(kind).config_model.__mro__):
            if issubclass(model, BaseModel) and model is not BaseModel:
                yield model
    yield EngineConfig


TRIGGERS = Document(
    path=DOCS / "reference" / "flows.md",
    models={model.__name__: model for model in _models()},
    sections=frozenset({"FlowSpec.triggers"}),
    kinds=frozenset({"type", "sensor_type"}),
    named={connection.check_id: "connection's id", json_path.check: "place in JSON"},
)
