"""The kinds that look at nothing outside: cli, schedule and api; and what all kinds share."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from sluiceway.errors import ConfigError, SourceUnreadableError
from sluiceway.flows import TriggerContext, TriggerRegistry, TriggerType
from sluiceway.flows.files import flow_of
from sluiceway.flows.kinds.api import ApiTrigger
from sluiceway.flows.kinds.schedule import ScheduleTrigger
from sluiceway.flows.service import activate
from sluiceway.flows.trigger import SensorTrigger, Trigger


def made(**keys: Any) -> Trigger[Any]:
    return TriggerRegistry.create_trigger({"id": "t", "flow_id": "f", **keys})


def api(**keys: Any) -> ApiTrigger:
    trigger = made(type="api", connection="hook", **keys)
    assert isinstance(trigger, ApiTrigger)
    return trigger


def test_whoever_asks_is_let_through() -> None:
    assert made(type="cli").should_trigger(TriggerContext())


def test_a_disabled_trigger_starts_nothing_and_gives_its_reason() -> None:
    result = activate(made(type="cli", enabled=False, description="closed until May"), TriggerContext())
    assert (result.success, result.run_id) == (False, None)
    assert result.message == (
        "Trigger 't' of flow 'f' is disabled (enabled = false): closed until May. Enable it in the flow's file."
    )


@pytest.mark.parametrize(
    ("keys", "trigger_type"),
    [
        ({"type": "cli"}, TriggerType.CLI),
        ({"type": "schedule", "schedule": "@daily"}, TriggerType.SCHEDULE),
        ({"type": "flow", "source_flow_id": "g"}, TriggerType.FLOW),
        ({"type": "sensor", "sensor_type": "file", "path": "/x"}, TriggerType.SENSOR),
        ({"type": "api", "connection": "c"}, TriggerType.API),
    ],
)
def test_a_definition_makes_a_trigger_of_its_type(keys: dict[str, Any], trigger_type: TriggerType) -> None:
    assert made(**keys).trigger_type is trigger_type


def test_a_file_sensor_may_say_the_pattern_that_its_file_matches() -> None:
    trigger = made(type="sensor", sensor_type="file", path="/data/input.csv", pattern="*.csv")
    assert trigger.config.model_dump()["pattern"] == "*.csv"


def test_a_file_sensor_whose_file_does_not_match_its_pattern_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        made(type="sensor", sensor_type="file", path="/data/input.csv", pattern="*.tsv")
    assert str(caught.value) == (
        "trigger 't': pattern = '*.tsv': the file's name, 'input.csv', does not match; remove pattern, or write "
        'sensor_type = "directory" with the folder as path'
    )


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"type": "sensr"}, "trigger 't': type = 'sensr': is not one of .*; did you mean 'sensor'?"),
        ({}, "trigger 't': type: is missing; write one of cli, schedule"),
        ({"type": "sensor", "sensor_type": "fiel"}, "sensor_type = 'fiel': is not one of .*; did you mean 'file'?"),
        ({"type": "cli", "enabeld": True}, "trigger 't': enabeld = True: no such key; did you mean 'enabled'?"),
        ({"type": "sensor", "sensor_type": "file"}, "trigger 't': path: is missing; add it"),
        ({"type": "schedule", "schedule": "@dayly"}, "schedule = '@dayly': is no preset; did you mean '@daily'?"),
    ],
)
def test_a_wrong_definition_is_refused_in_a_sentence(keys: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence.replace("?", r"\?")):
        made(**keys)


def test_the_standard_flow_is_what_its_keys_make_it() -> None:
    for flow_type in ({}, {"flow_type": "standard"}):
        assert flow_of({"id": "f", **flow_type}).spec.flow_type == "dag"
        assert flow_of({"id": "f", "tables": ["us_state"], **flow_type}).spec.flow_type == "tables"
    with pytest.raises(ConfigError, match="flow_type = 'standart': is not one of tables, job, dag"):
        flow_of({"id": "f", "flow_type": "standart"})


def test_a_time_that_has_come_is_one_event_however_many_were_missed() -> None:
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    context = TriggerContext(cursor=hour_ago)
    trigger = made(type="schedule", schedule="*/10 * * * *")
    assert trigger.should_trigger(context)
    assert len(context.events) == 1
    assert isinstance(context.cursor, str)
    assert context.cursor > hour_ago


def test_a_time_that_has_not_come_is_none() -> None:
    trigger = made(type="schedule", schedule="0 0 29 2 *")
    assert isinstance(trigger, ScheduleTrigger)
    context = TriggerContext(cursor=(datetime.now(UTC) - timedelta(seconds=1)).isoformat())
    assert not trigger.should_trigger(context)
    assert context.events == ()


def test_the_first_check_of_a_schedule_is_no_event() -> None:
    context = TriggerContext()
    assert not made(type="schedule", schedule="* * * * *").should_trigger(context)
    assert context.cursor is not None


PAYLOAD: JsonValue = {
    "deployment": {"sha": "abc", "tags": ["x", "y"]},
    "deployment_status": {"state": "success", "final": True, "number": 3},
}


@pytest.mark.parametrize(
    ("only", "counts"),
    [
        ({}, True),
        ({"deployment_status.state": "success"}, True),
        ({"deployment_status.state": "failure"}, False),
        ({"deployment_status.state": "success", "deployment.sha": "xyz"}, False),
        ({"deployment_status.final": "true", "deployment_status.number": "3", "deployment.tags.1": "y"}, True),
        ({"deployment.tags.2": "y"}, False),
        ({"deployment_status": "success"}, False),
        ({"nowhere.at.all": "x"}, False),
    ],
)
def test_a_payload_counts_when_everything_stands_where_only_says(only: dict[str, str], counts: bool) -> None:
    assert api(only=only).should_trigger(TriggerContext(payload=PAYLOAD)) is counts


def test_a_payload_becomes_params_beside_those_that_are_there() -> None:
    context = TriggerContext(payload=PAYLOAD, params={"force": True})
    assert api(params={"commit_sha": "deployment.sha", "tag": "deployment.tags.0"}).should_trigger(context)
    assert context.params == {"force": True, "commit_sha": "abc", "tag": "x"}


def test_a_payload_that_does_not_count_becomes_no_params() -> None:
    context = TriggerContext(payload=PAYLOAD)
    assert not api(params={"commit_sha": "nowhere"}, only={"deployment.sha": "x"}).should_trigger(context)
    assert context.params == {}


def test_a_param_that_is_missing_is_named() -> None:
    with pytest.raises(SourceUnreadableError, match=r"nothing at 'deployment.ref', which is to be the param 'ref'"):
        api(params={"ref": "deployment.ref"}).should_trigger(TriggerContext(payload=PAYLOAD))


@pytest.mark.parametrize("payload", [None, [], "x", 3])
def test_a_payload_of_another_shape_does_not_count(payload: JsonValue) -> None:
    assert not api(only={"a.0": "x"}).should_trigger(TriggerContext(payload=payload))


def test_the_headers_are_those_of_the_provider_unless_set() -> None:
    github = api(provider="github")
    assert (github.signature_header, github.timestamp_header, github.delivery_header) == (
        "X-Hub-Signature-256",
        None,
        "X-GitHub-Delivery",
    )
    assert api().timestamp_header == "X-Timestamp"
    assert api(provider="github", signature_header="X-Mine").signature_header == "X-Mine"


def test_a_kind_must_be_a_kind_of_sensor() -> None:
    with pytest.raises(ConfigError, match=r"'webhook' must be named sensor.<sensor_type>"):
        TriggerRegistry.register_trigger("webhook")


def test_two_classes_are_not_one_kind() -> None:
    class Other(SensorTrigger[Any]):
        pass

    with pytest.raises(ConfigError, match=r"Two classes are the kind of trigger 'sensor.file'"):
        TriggerRegistry.find("sensor.file")
        TriggerRegistry.register_trigger("sensor.file")(Other)


def test_a_kind_that_there_is_not_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no kind of trigger 'sensor.fil'; did you mean 'sensor.file'"):
        TriggerRegistry.find("sensor.fil")


def test_a_dict_is_a_flow_like_a_file() -> None:
    flow = flow_of(
        {
            "id": "orders",
            "flow_type": "dag",
            "triggers": [
                {"id": "nightly", "type": "schedule", "schedule": "30 2 * * *", "timezone": "Europe/Berlin"},
                {
                    "id": "rows",
                    "type": "sensor",
                    "flow_id": "orders",
                    "enabled": True,
                    "description": "new orders",
                    "sensor_type": "database",
                    "engine_config": {"name": "postgresql", "config": {"host": "db", "user": "me", "database": "shop"}},
                    "table_name": "orders",
                    "detection_mode": "timestamp_column",
                    "timestamp_column": "created_at",
                    "condition": "status = 'new'",
                },
                {
                    "id": "files",
                    "type": "sensor",
                    "sensor_type": "directory",
                    "path": "/data/in",
                    "pattern": "*.csv",
                    "event_type": "created",
                },
                {"id": "after", "type": "flow", "source_flow_id": "stock", "source_task_id": "plan"},
            ],
        }
    )
    assert {trigger.config.flow_id for trigger in flow.triggers.values()} == {"orders"}
    assert flow.trigger("nightly").config.cron == "30 2 * * *"
    connection = flow.trigger("rows").config.engine_config.as_connection()
    assert (connection.conn_type, connection.host, connection.login, connection.schema_name, connection.password) == (
        "postgres",
        "db",
        "me",
        "shop",
        None,
    )


def test_a_dict_with_a_trigger_of_another_flow_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"flow 'a': triggers.x.flow_id = 'b': this is the flow 'a'; remove the key"):
        flow_of({"id": "a", "flow_type": "dag", "triggers": [{"id": "x", "type": "cli", "flow_id": "b"}]})


def test_a_flow_without_such_a_trigger_names_the_nearest() -> None:
    flow = flow_of({"id": "a", "flow_type": "dag", "triggers": [{"id": "manual", "type": "cli"}]})
    with pytest.raises(ConfigError, match="Flow 'a' has no trigger 'manul'; did you mean 'manual'"):
        flow.trigger("manul")


@pytest.mark.parametrize(
    "config",
    [
        {"password": "hunter2"},
        {"PGPASSWORD": "hunter2"},
        {"options": {"sslpassword": "hunter2"}},
        {"url": "postgresql://me:hunter2@db/shop"},
        {"hosts": ["postgresql://me:hunter2@db/shop"]},
        {"api_key": "hunter2"},
    ],
)
def test_a_password_in_a_definition_is_refused_and_not_shown(config: dict[str, Any]) -> None:
    rows = {
        "id": "rows",
        "type": "sensor",
        "sensor_type": "database",
        "table_name": "orders",
        "detection_mode": "row_count",
        "engine_config": {"name": "postgres", "config": config},
    }
    with pytest.raises(ConfigError, match="a password does not belong into a flow's definition") as caught:
        flow_of({"id": "a", "flow_type": "dag", "triggers": [rows]})
    assert "hunter2" not in str(caught.value)
