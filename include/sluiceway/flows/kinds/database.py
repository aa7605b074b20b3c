"""The sensor of a database: rows that are counted, a newest timestamp, or what a query of one's own gives."""

from __future__ import annotations

import json
import re
import time
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, model_validator

from sluiceway.errors import SettingsError
from sluiceway.events import Look
from sluiceway.flows.connection import ConnectionId, EngineConfig
from sluiceway.flows.kinds.changes import compare_value
from sluiceway.flows.kinds.cursor import resume
from sluiceway.flows.kinds.zones import known_zone
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import SensorConfig, SensorTrigger
from sluiceway.settings import load_settings
from sluiceway.sources.connections import Connection, Connections, from_uri
from sluiceway.sources.services.sql_code import POSTGRES, check_condition, check_reads

WAREHOUSE = "warehouse"
_ENDLESS = {"nan", "inf"}
_WITHOUT_ZONE = re.compile(r"[T ]\d\d:\d\d(:\d\d)?(\.\d+)?$")
DIALECTS = (POSTGRES, "sqlite")
"""Of the databases that are sent a text of the user's; see database_look.GUARDED."""


def _one_condition(text: str) -> str:
    check_condition(text, DIALECTS)
    return text.strip().rstrip("; \n")


def _one_select(text: str) -> str:
    check_reads(text, DIALECTS)
    return text.strip().rstrip("; \n")


Name = Annotated[str, StringConstraints(pattern=r"^[^\x00]+$", max_length=300)]
Code = Annotated[str, StringConstraints(pattern=r"^[^\x00]*[^\x00\s][^\x00]*$", max_length=10_000)]


class DatabaseConfig(SensorConfig):
    """Rows that come into a table of any database that has an Airflow connection.

    `condition` and `custom_query` run as one statement that can only read, in a transaction that is read-only and
    within statement_timeout_s; where a database cannot promise that, they are refused.
    """

    sensor_type: Literal["database"] = Field(description="Looks at a table of a database.", examples=["database"])
    connection: ConnectionId | None = Field(
        default=None,
        description="The Airflow connection of the database; the project's own, `warehouse`, when absent.",
        examples=["shop"],
    )
    engine_config: EngineConfig | None = Field(
        default=None,
        description="The database by its address, in place of connection; without a password.",
        examples=[{"name": "postgres", "config": {"host": "db.example.org", "user": "reader", "database": "shop"}}],
    )
    table_name: Name | None = Field(
        default=None,
        description="The table or view, also schema.table; the names as the database spells them, without quotes.",
        examples=["sales.orders"],
    )
    detection_mode: Literal["row_count", "timestamp_column", "custom_query"] = Field(
        description="row_count: the number of rows changes; every look counts them all, a second or two for 10 "
        "million, so it is for small tables or a long poll_s. timestamp_column: a row with a newer timestamp is "
        "there, or one more with the newest, while fewer than 1,000 have that; a row that comes later with an older "
        "timestamp is not seen, as one that a long transaction commits late: settle_seconds is for that. A timestamp "
        "after the database's now counts when its time comes, and until then hides no other row. With an index on "
        "the column a look costs the database less than a millisecond. custom_query: what the query gives changes.",
        examples=["timestamp_column"],
    )
    timestamp_column: Name | None = Field(
        default=None,
        description="The column that grows from row to row: a timestamp, a date, a number, or text that sorts as time "
        "does. Index it; with a condition that few rows meet, index both: (status, created_at).",
        examples=["created_at"],
    )
    timezone: Annotated[str, AfterValidator(known_zone)] | None = Field(
        default=None,
        description="The IANA time zone of times in timestamp_column that say none, by which they are compared with "
        "now. Default: the one that the database is set to, of PostgreSQL; else UTC.",
        examples=["Asia/Tokyo"],
    )
    settle_seconds: float = Field(
        default=0,
        ge=0,
        le=86_400,
        description="A row counts once its timestamp is so old: none is missed that a transaction commits within that "
        "time, although others with a later timestamp were there before. For columns of times.",
        examples=[60],
    )
    custom_query: Annotated[Code, AfterValidator(_one_select)] | None = Field(
        default=None,
        description="One SELECT that gives one row; several columns are one value. No row counts as null.",
        examples=["SELECT max(batch_id) FROM imports WHERE state = 'done'"],
    )
    condition: Annotated[Code, AfterValidator(_one_condition)] | None = Field(
        default=None,
        description="Which rows count, as it would stand behind WHERE; of row_count and timestamp_column.",
        examples=["status = 'new'"],
    )
    statement_timeout_s: float = Field(
        default=10,
        ge=0.1,
        le=600,
        description="How long the database may take; what takes longer is an error.",
        examples=[60],
    )

    @model_validator(mode="after")
    def _keys_of_the_mode(self) -> DatabaseConfig:
        if self.connection is not None and self.engine_config is not None:
            raise ValueError("connection and engine_config exclude each other; keep connection")
        needed = {
            "row_count": {"table_name"},
            "timestamp_column": {"table_name", "timestamp_column"},
            "custom_query": {"custom_query"},
        }
        mode = self.detection_mode
        for key in ("table_name", "timestamp_column", "custom_query"):
            given = getattr(self, key) is not None
            if key in needed[mode] and not given:
                raise ValueError(f"detection_mode = {mode!r} needs {key}; add it")
            if key not in needed[mode] and given:
                raise ValueError(f"{key} says nothing to detection_mode = {mode!r}; remove it")
        for key in ("timezone", "settle_seconds"):
            if mode != "timestamp_column" and getattr(self, key):
                raise ValueError(f"{key} says nothing to detection_mode = {mode!r}; remove it")
        if mode == "custom_query" and self.condition is not None:
            raise ValueError("condition says nothing to detection_mode = 'custom_query'; write it into the query")
        return self


@TriggerRegistry.register_trigger("sensor.database")
class DatabaseTrigger(SensorTrigger[DatabaseConfig]):
    """Facts: event, table, old and new; of timestamp_column also rows, how many have the newest (1,000 at most)."""

    config_model = DatabaseConfig

    def place(self) -> str:
        """The database, and what is asked of it."""
        keys = {"id", "flow_id", "enabled", "description", "poll_s", "coalesce", "mode", "statement_timeout_s"}
        # what was seen before there were these keys holds
        keys |= {key for key in ("timezone", "settle_seconds") if not getattr(self.config, key)}
        return json.dumps(self.config.model_dump(mode="json", exclude=keys), sort_keys=True)

    def observe(self, connections: Connections, cursor: JsonValue) -> JsonValue:
        """One statement, in a read-only transaction."""
        from sluiceway.flows.kinds.database_look import Question, look

        config = self.config
        question = Question(
            config.table_name,
            config.timestamp_column,
            config.custom_query,
            config.condition,
            config.statement_timeout_s,
            config.timezone,
            config.settle_seconds,
        )
        at = time.time()
        return {"at": at, "value": look(question, self._connection(connections))}

    def compare(self, observation: Any, cursor: JsonValue) -> Look:
        """At most one event."""
        value = observation["value"]

        def facts(old: Any) -> dict[str, JsonValue]:
            told = {"event": "changed", "table": self.config.table_name, "mode": self.config.detection_mode}
            if self.config.detection_mode != "timestamp_column":
                return {**told, "old": old, "new": value}
            return {**told, "old": old["newest"], "new": value["newest"], "rows": value["rows"]}

        by_time = self.config.detection_mode == "timestamp_column"
        counts = {"counts": _is_newer} if by_time else {}
        return compare_value(self.place(), cursor, at=observation["at"], value=value, facts=facts, **counts)

    def warning(self, cursor: JsonValue) -> str | None:
        """That rows are from the future, and do not count yet."""
        known = resume(cursor, self.place())
        value = known["value"] if known is not None else None
        ahead = value.get("ahead") if isinstance(value, dict) else None
        if ahead is None:
            return None
        table, column = self.config.table_name, self.config.timestamp_column
        if ahead in _ENDLESS:
            return f"{table}: rows have no finite number as {column}, and do not count; correct them"
        hint = ""
        if self.config.timezone is None and _WITHOUT_ZONE.search(str(ahead)):
            hint = "; times without a zone are taken as the database's own: if they are another's, set timezone"
        return (
            f"{table}: rows have a {column} after now by the database's clock, up to {ahead}; each counts when its "
            f"time comes, or correct it{hint}"
        )

    def _connection(self, connections: Connections) -> Connection:
        if self.config.engine_config is not None:
            return self.config.engine_config.as_connection()
        conn_id = self.config.connection or WAREHOUSE
        try:
            return connections(conn_id)
        except SettingsError:
            # outside of Airflow the project's own database is known by its URL
            url = load_settings().warehouse_url
            if conn_id != WAREHOUSE or url is None:
                raise
            return from_uri(WAREHOUSE, url)


def _is_newer(old: Any, new: Any) -> bool:
    """A row that was deleted is no new one."""
    if old["newest"] == new["newest"]:
        return bool(new["rows"] > old["rows"])
    if old["newest"] is None or new["newest"] is None:
        return new["newest"] is not None
    try:
        return bool(new["newest"] > old["newest"])
    except TypeError:
        # the column has another type than before
        return True
