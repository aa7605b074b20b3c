"""A problem of a flow's definition as one sentence: where, key, value, the nearest valid one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from sluiceway.errors import nearest
from sluiceway.flows.connection import INLINE, holds_secret
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import ID, TriggerType

_PATTERNS = {ID: "is no id; write letters, digits and _, beginning with a letter, at most 100"}
_OTHER_NAMES = {
    "cron": "schedule",
    "tz": "timezone",
    "time_zone": "timezone",
    "name": "id",
    "trigger_id": "id",
    "trigger_type": "type",
    "kind": "type",
    "table": "table_name",
    "query": "custom_query",
    "poll_interval": "poll_s",
    "interval": "poll_s",
    "flow": "source_flow_id",
    "dag_id": "id",
}
"""Keys that people try, and ours."""


def kind_problem(definition: Mapping[str, Any]) -> str | None:
    """What is wrong with `type` and `sensor_type`, if anything."""
    if TriggerRegistry.is_own(TriggerRegistry.kind_of(definition)):
        return None
    types = [each.value for each in TriggerType]
    for key, known in (("type", types), ("sensor_type", _sensor_types())):
        if key == "sensor_type" and definition.get("type") != TriggerType.SENSOR:
            return None
        if key not in definition:
            return f"{key}: is missing; write one of {', '.join(known)}"
        if (value := definition[key]) not in known:
            return f"{key} = {value!r}: is not one of {', '.join(known)}{nearest(str(value), known, listing=False)}"
    return None


def sentence(where: str, prefix: str, model: type[BaseModel], problem: Any) -> str:
    """One of pydantic's problems with a definition.

    :param prefix: what stands before the key: `triggers.<id>.`.
    """
    location = [str(part) for part in problem["loc"] if part != "[key]"]
    key = prefix + ".".join(location)
    value = problem["input"]
    shown = f" = {value!r}" if isinstance(value, str | int | float | bool) else ""
    secret = bool(location) and holds_secret(location[-1], value)
    if secret:
        shown = " = ***"
    place = f"{where}: {key}" if location else f"{where}: {prefix.removesuffix('.')}" if prefix else where
    kind = problem["type"]
    if kind == "extra_forbidden":
        return f"{place}{shown}: {INLINE if secret else 'no such key' + _nearest_key(location, model)}"
    if kind == "missing":
        return f"{place}: is missing; add it"
    if kind == "literal_error":
        expected = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"{place}{shown}: is not one of {', '.join(expected)}{nearest(str(value), expected, listing=False)}"
    if kind == "string_pattern_mismatch" and (said := _PATTERNS.get(problem["ctx"]["pattern"])):
        return f"{place}{shown}: {said}"
    return f"{place}{shown}: {problem['msg'].removeprefix('Value error, ')}"


def _nearest_key(location: list[str], model: type[BaseModel]) -> str:
    if len(location) > 1:
        # of a table in the table; only engine_config has keys of its own model
        return ""
    known = [name for name in model.model_fields if name != "flow_id"]
    other = _OTHER_NAMES.get(location[-1])
    return f"; did you mean {other!r}?" if other in known else nearest(location[-1], known)


def _sensor_types() -> list[str]:
    return [kind.removeprefix("sensor.") for kind in TriggerRegistry.kinds() if kind.startswith("sensor.")]
