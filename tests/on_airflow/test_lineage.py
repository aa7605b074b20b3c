"""What operators answer to Airflow's OpenLineage provider, and the events of a real run with its file transport."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dev.environment import ROOT
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from sluiceway.on_airflow.operators.load_part import LoadPartOperator, MergePartsOperator
from sluiceway.on_airflow.operators.load_table import LoadTableOperator

SHA = "c" * 40
TABLE = """\
description = "Cities"
key = "id"
[source]
kind = "csv"
uri = "{uri}"
[checks]
max_rejects = 1
[columns]
id = {{ source = "ID", type = "integer" }}
title = "text"
"""


@pytest.fixture(scope="module")
def lineage_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Airflow of its own, whose database is a file."""
    home = tmp_path_factory.mktemp("lineage")
    airflow(home, {}, "db", "migrate")
    return home


def airflow(home: Path, more: dict[str, str], *arguments: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "SLUICEWAY_"))}
    done = subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env={
            **kept,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "120",
            "PYTHONPATH": str(ROOT / "include"),
            "SLUICEWAY_ENV_FILE": str(home / "none.env"),
            **more,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture
def events(lineage_home: Path, tmp_path: Path, warehouse_url: str) -> list[dict[str, Any]]:
    """Those of a run of master_etl over one table, of which one row is a reject, and one view."""
    config = tmp_path / "config"
    for name in ("tables", "sql"):
        (config / name).mkdir(parents=True)
    source = config / "tables" / "city.csv"
    source.write_text("ID,title\n1,Rome\n2,Oslo\nx,Bonn\n")
    (config / "tables" / "city.toml").write_text(TABLE.format(uri=source))
    (config / "sql" / "titles.sql").write_text(
        "-- description: Titles\n-- tables: city\nSELECT title FROM city\n", encoding="utf-8"
    )
    written = tmp_path / "events.jsonl"
    more = {
        "SLUICEWAY_CONFIG_DIR": str(config),
        "SLUICEWAY_GROUPS": "warehouse",
        "SLUICEWAY_REPORTS_DIR": str(tmp_path / "reports"),
        "AIRFLOW_CONN_WAREHOUSE": warehouse_url,
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(written), "append": True}),
    }
    airflow(lineage_home, more, "dags", "test", "master_etl", "--conf", json.dumps({"commit_sha": SHA}))
    return [json.loads(line) for line in written.read_text().splitlines()]


def of(events: Iterable[dict[str, Any]], task: str, kind: str) -> dict[str, Any]:
    """The event of a task."""
    (found,) = [each for each in events if each["job"]["name"] == f"master_etl.{task}" and each["eventType"] == kind]
    return found


def test_a_real_run_tells_openlineage_its_source_its_table_its_columns_and_its_commit(
    events: list[dict[str, Any]], warehouse_url: str, tmp_path: Path
) -> None:
    start, done = (of(events, "sub.load_table", kind) for kind in ("START", "COMPLETE"))
    for event in (start, done):
        (source,), (table,) = event["inputs"], event["outputs"]
        assert (source["namespace"], source["name"]) == ("file", str(tmp_path / "config" / "tables" / "city.csv"))
        assert table["namespace"].startswith("postgres://")
        assert table["name"].endswith(".public.city")
        assert [each["name"] for each in source["facets"]["schema"]["fields"]] == ["ID", "title"]
        assert {each["name"]: each["type"] for each in table["facets"]["schema"]["fields"]} == {
            "id": "integer",
            "title": "text",
        }
        fields = table["facets"]["columnLineage"]["fields"]
        (made_of,) = fields["id"]["inputFields"]
        assert (made_of["namespace"], made_of["name"], made_of["field"]) == (source["namespace"], source["name"], "ID")
        (how,) = made_of["transformations"]
        assert (how["type"], how["subtype"], how["description"]) == ("DIRECT", "TRANSFORMATION", "read as integer")
    assert done["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == 3
    assert done["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 2
    assert done["run"]["facets"]["sluiceway_commit"]["commit"] == SHA
    assert done["run"]["facets"]["sluiceway_load"]["rejected"] == 1
    assert "outputStatistics" not in start["outputs"][0].get("outputFacets", {})

    published = of(events, "final.aggregate", "COMPLETE")
    assert [each["name"].rpartition(".")[2] for each in published["inputs"]] == ["city"]
    assert [each["name"].rpartition(".")[2] for each in published["outputs"]] == ["titles"]
    assert published["run"]["facets"]["sluiceway_commit"]["commit"] == SHA


def test_the_library_and_the_dags_do_without_the_provider() -> None:
    code = """
import sys
from airflow.sdk import DAG  # Airflow itself asks every provider that is installed for what it is
sys.modules["openlineage"] = sys.modules["airflow.providers.openlineage"] = None
import sluiceway.on_airflow.graphs.refresh, sluiceway.on_airflow.lineage, sluiceway.run.lineage
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def answered(
    warehouse_url: str, tmp_path: Path, setting: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """What an operator answers of a run of the ledger whose load ended so."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "city.toml").write_text(TABLE.format(uri="https://x.example/city.csv"))
    setting(config_dir=tmp_path)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", warehouse_url)
    run = RunKey("master_etl", "r1")

    def answer(operator: Any, **load: Any) -> Any:
        with connect(warehouse_url) as session:
            store.open_run(session, run, SHA, "manual")
            store.plan_tables(session, run, ["city"])
            store.write_table_run(session, store.TableRun(**run._asdict(), table_name="city", **load))
        instance = SimpleNamespace(**run._asdict())
        failed = load["status"] == "failed"
        return (
            operator.get_openlineage_facets_on_failure(instance)
            if failed
            else operator.get_openlineage_facets_on_complete(instance)
        )

    return answer


def test_a_load_that_failed_names_its_table_and_no_rows(answered: Callable[..., Any]) -> None:
    found = answered(
        LoadTableOperator(task_id="load_table", table="city"), status="failed", error_type="E", error="no", extracted=3
    )
    assert found.outputs[0].name.endswith(".public.city")
    assert found.outputs[0].outputFacets == {}
    assert found.inputs[0].inputFacets == {}
    assert set(found.run_facets) == {"sluiceway_commit"}


def test_a_source_that_is_unchanged_writes_no_row(answered: Callable[..., Any]) -> None:
    found = answered(LoadTableOperator(task_id="load_table", table="city"), status="unchanged", table_rows=7)
    assert found.outputs[0].outputFacets["outputStatistics"].rowCount == 0
    assert found.inputs[0].inputFacets == {}
    assert found.run_facets["sluiceway_load"].status == "unchanged"


def test_a_part_reads_the_source_and_the_merge_writes_the_table(answered: Callable[..., Any]) -> None:
    load = {"status": "loaded", "inserted": 2, "extracted": 2, "source_columns": {"ID": "number", "title": "text"}}
    part = answered(LoadPartOperator(task_id="load_part", table="city", part=1, of=2), **load)
    assert ([each.name for each in part.inputs], part.outputs) == (["city.csv"], [])
    # the counts are those of the whole table
    assert (part.inputs[0].inputFacets, set(part.run_facets)) == ({}, {"sluiceway_commit"})
    merge = answered(MergePartsOperator(task_id="merge_parts", table="city"), **load)
    assert merge.outputs[0].outputFacets["outputStatistics"].rowCount == 2
    (how,) = merge.outputs[0].facets["columnLineage"].fields["id"].inputFields[0].transformations
    assert how.subtype == "IDENTITY"
