"""What the definition of a flow or of a trigger can say, for the sentences about what it says wrong."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from sluiceway.config_files import Words
from sluiceway.flows.connection import INLINE, holds_secret
from sluiceway.flows.trigger import ID

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


def words_of(model: type[BaseModel]) -> Words:
    """What a definition of that model can say."""

    def keys(place: tuple[str, ...]) -> list[str]:
        # of a table in the table; only engine_config has keys of its own model
        return [name for name in model.model_fields if name != "flow_id"] if len(place) == 1 else []

    return Words(keys=keys, patterns=_PATTERNS, other_names=_OTHER_NAMES, secret=_secret)


def _secret(key: str, value: Any) -> str | None:
    return INLINE if holds_secret(key, value) else None
