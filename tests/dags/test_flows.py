"""The DAGs that dags/flows.py makes of flow files: what they wait for, who looks, who is told, and when they run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from dev.environment import ROOT
from tests.dags.airflow_process import Deployment
from tests.dags.test_policy import DAGS, LOOK

TABLE = 'description = "T"\nkey = "id"\nsource = { kind = "csv", uri = "t.csv" }\ncolumns = { id = "integer" }\n'
FLOWS = {
    "landing": """
        flow_type = "tables"
        tables = ["town"]
        description = "Files that land"
        owner = "landing-team"
        tags = ["landing"]

        [[triggers]]
        id = "dropped"
        type = "sensor"
        sensor_type = "directory"
        path = "/data/in"

        [[triggers]]
        id = "nightly"
        type = "schedule"
        schedule = "30 2 * * *"
        timezone = "America/Los_Angeles"

        [[triggers]]
        id = "morning"
        type = "schedule"
        schedule = "0 7 * * 1-5"
        timezone = "Europe/Berlin"

        [[triggers]]
        id = "each"
        type = "sensor"
        sensor_type = "file"
        path = "/data/one.csv"
        coalesce = false

        [[triggers]]
        id = "polled"
        type = "sensor"
        sensor_type = "file"
        path = "/data/two.csv"
        mode = "poll"
        poll_s = 90

        [[triggers]]
        id = "off"
        type = "sensor"
        sensor_type = "file"
        path = "/data/three.csv"
        enabled = false

        [[triggers]]
        id = "by_hand"
        type = "cli"
    """,
    "both": """
        flow_type = "tables"
        tables = ["town"]
        when = "(first & second) | after | by_hand"

        [[triggers]]
        id = "first"
        type = "sensor"
        sensor_type = "file"
        path = "/data/1"

        [[triggers]]
        id = "second"
        type = "sensor"
        sensor_type = "file"
        path = "/data/2"

        [[triggers]]
        id = "after"
        type = "flow"
        source_flow_id = "landing"
        condition = "failure"

        [[triggers]]
        id = "by_hand"
        type = "cli"
    """,
    "cautious": """
        flow_type = "tables"
        tables = ["town"]

        [[triggers]]
        id = "loaded"
        type = "flow"
        source_flow_id = "landing"
        source_task_id = "sub.load_table"
        condition = "always"

        [[triggers]]
        id = "no_such_task"
        type = "flow"
        source_flow_id = "landing"
        source_task_id = "nowhere"

        [[triggers]]
        id = "master"
        type = "flow"
        source_flow_id = "master_etl"
    """,
    "plain": """
        flow_type = "tables"
        tables = ["town"]
    """,
    "wrong": """
        flow_type = "tables"
        tables = ["town"]
        colour = "red"
    """,
}

MORE = (
    LOOK.replace("json.dump({", "found = {").replace("}, sys.stdout)", "}")
    + """
from airflow.sdk import AssetAll, AssetAny
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction
import pendulum
def plain(condition):
    if isinstance(condition, (AssetAll, AssetAny)):
        return {type(condition).__name__: [plain(each) for each in condition.objects]}
    return condition and condition.name
def flat(condition):
    if condition is None:
        return []
    return sum(map(flat, condition.objects), []) if hasattr(condition, "objects") else [condition]
for dag_id, dag in bag.dags.items():
    seen = found["dags"][dag_id]
    condition = getattr(dag.timetable, "asset_condition", None)
    seen["condition"] = plain(condition)
    seen["watched"] = sorted(asset.name for asset in flat(condition) if asset.watchers)
    tells = {task.task_id: [each.name for each in task.outlets] for task in dag.tasks if task.outlets}
    # that of tables and views, which is of no flow
    seen["of_tables"] = [name for name in tells if tells[name] == ["warehouse"]]
    seen["outlets"] = {name: told for name, told in tells.items() if told != ["warehouse"]}
    seen["teardowns"] = sorted(task.task_id for task in dag.tasks if task.is_teardown)
    seen["params"] = {name: param.dump() for name, param in dag.params.items()}
    seen["doc"] = dag.doc_md
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable
    info = timetable.next_dagrun_info(
        last_automated_data_interval=None,
        restriction=TimeRestriction(earliest=pendulum.datetime(2030, 1, 7), latest=None, catchup=False),
    ) if timetable.can_be_scheduled else None
    seen["next"] = info.run_after.isoformat() if info else None
json.dump(found, sys.stdout)
"""
)


@pytest.fixture(scope="module")
def bag(airflow: Deployment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every DAG as Airflow itself parses it, with the flows above."""
    config = tmp_path_factory.mktemp("config")
    for folder in ("flows", "tables"):
        (config / folder).mkdir()
    (config / "tables" / "town.toml").write_text(TABLE, encoding="utf-8")
    for name, text in FLOWS.items():
        lines = "\n".join(line.strip() for line in text.splitlines())
        (config / "flows" / f"{name}.toml").write_text(lines, encoding="utf-8")
    found: dict[str, Any] = airflow.having(SLUICEWAY_CONFIG_DIR=str(config)).run(MORE, str(DAGS))
    assert found["errors"] == {}
    return dict(found["dags"])


def test_a_flow_is_its_dag_and_the_small_ones_it_needs(bag: dict[str, Any]) -> None:
    assert set(bag) == {
        *("master_etl", "deploy_watch", "run_watch"),
        *("landing", "landing__events", "landing__poll", "landing__morning__clock"),
        *("both", "cautious", "plain", "wrong__broken"),
    }
    assert bag["landing"]["description"] == "Files that land"
    assert {"flow", "landing"} <= set(bag["landing"]["tags"])
    assert {task["owner"] for task in bag["landing"]["tasks"].values()} == {"landing-team"}


def test_every_dag_of_a_flow_keeps_the_policies(bag: dict[str, Any]) -> None:
    for dag in bag.values():
        assert dag["description"] and dag["tags"] and dag["dagrun_timeout"] and dag["max_active_runs"] == 1
        for task in dag["tasks"].values():
            assert task["retries"] and task["retry_policy"] and task["owner"] not in {"", "airflow"}


def test_a_flow_waits_for_what_is_on_and_gets_no_run_of_its_own(bag: dict[str, Any]) -> None:
    assert bag["landing"]["condition"] == {
        "AssetAny": ["flow/landing/trigger/dropped", "flow/landing/trigger/morning", "flow/landing/trigger/polled"]
    }
    assert bag["landing"]["watched"] == ["flow/landing/trigger/dropped"]
    assert bag["landing__events"]["condition"] == {"AssetAny": ["flow/landing/trigger/each"]}
    assert bag["landing__events"]["watched"] == ["flow/landing/trigger/each"]


def test_and_and_or_are_airflows_own(bag: dict[str, Any]) -> None:
    assert bag["both"]["condition"] == {
        "AssetAny": [{"AssetAll": ["flow/both/trigger/first", "flow/both/trigger/second"]}, "flow/landing/failure"]
    }
    assert len(bag["both"]["watched"]) == 2


def test_a_schedule_is_right_in_its_own_time_zone_beside_assets(bag: dict[str, Any]) -> None:
    assert datetime.fromisoformat(bag["landing"]["next"]) == datetime.fromisoformat("2030-01-07T02:30-08:00")
    clock = bag["landing__morning__clock"]
    assert datetime.fromisoformat(clock["next"]) == datetime.fromisoformat("2030-01-07T07:00+01:00")
    assert clock["outlets"] == {"tell_time": ["flow/landing/trigger/morning"]}


def test_what_is_polled_has_a_task_that_looks(bag: dict[str, Any]) -> None:
    assert bag["landing__poll"]["outlets"] == {"polled": ["flow/landing/trigger/polled"]}
    assert bag["landing__poll"]["next"] is not None
    assert bag["landing__poll"]["watched"] == []


def test_a_run_takes_events_where_there_can_be_some_and_the_graph_is_the_masters(bag: dict[str, Any]) -> None:
    graph = set(bag["master_etl"]["tasks"]) - {"followers.success"}
    assert set(bag["plain"]["tasks"]) == graph
    assert set(bag["both"]["tasks"]) == graph | {"take_events"}
    assert {"trigger_id", "event", "events"} <= bag["both"]["params"].keys()
    assert not {"trigger_id", "event", "events"} & bag["plain"]["params"].keys()


def test_a_flows_form_offers_its_own_tables_and_never_none(bag: dict[str, Any]) -> None:
    tables = bag["plain"]["params"]["tables"]
    assert tables["value"] == ["town"]
    assert tables["schema"]["minItems"] == 1 and tables["schema"]["items"]["enum"] == ["town"]


def test_who_is_followed_tells_and_its_verdict_stays_the_leaf_that_counts(bag: dict[str, Any]) -> None:
    assert bag["landing"]["outlets"] == {
        "followers.failure": ["flow/landing/failure"],
        "followers.sub__load_table__always": ["flow/landing/task/sub.load_table/always"],
    }
    assert bag["landing"]["teardowns"] == sorted([*bag["landing"]["outlets"], "verdict"])
    assert bag["master_etl"]["outlets"] == {"followers.success": ["flow/master_etl/success"]}
    assert bag["cautious"]["condition"] == {
        "AssetAny": [
            "flow/landing/task/sub.load_table/always",
            "flow/landing/task/nowhere/success",
            "flow/master_etl/success",
        ]
    }


def test_airflow_knows_the_alias_of_tables_before_two_loads_make_it_at_once(bag: dict[str, Any]) -> None:
    for name in ("landing", "master_etl", "plain"):
        assert bag[name]["of_tables"] == ["plan"], "and no load declares it, for each would ask the API server"


def test_nobody_pays_for_followers_there_are_not(bag: dict[str, Any]) -> None:
    for name in ("both", "cautious", "plain"):
        assert not bag[name]["outlets"]


def test_a_wrong_file_hinders_no_other_flow_and_says_what_is_wrong(bag: dict[str, Any]) -> None:
    assert "colour" in bag["wrong__broken"]["doc"]
    assert bag["wrong__broken"]["next"] is None


def test_the_file_of_a_dag_that_is_written_in_python_adds_only_triggers() -> None:
    assert 'flow_type = "dag"' in (Path(ROOT) / "include/config/flows/master_etl.toml").read_text(encoding="utf-8")
