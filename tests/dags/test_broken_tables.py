"""The DAGs that dags/tables.py makes of tables' files that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.dags.airflow_process import Deployment
from tests.dags.test_flows import MORE, TABLE
from tests.dags.test_policy import DAGS

FILES = {
    "town": TABLE,
    "orders": TABLE.replace("integer", "integr"),
    "city (copy)": TABLE,
    "city_(copy)": TABLE,
    "x" * 240: TABLE,
    "demo": 'group = "quickstart"\n' + TABLE.replace("integer", "integr"),
}
COPIES = "table-city__copy___broken"


def parsed(airflow: Deployment, folder: Path, files: dict[str, str]) -> dict[str, Any]:
    """The DAGs, with these tables, and a flow that is called as a broken one."""
    for below in ("flows", "tables"):
        (folder / below).mkdir()
    for name, text in files.items():
        (folder / "tables" / f"{name}.toml").write_text(text, encoding="utf-8")
    (folder / "flows" / "orders.toml").write_text("colour = 3", encoding="utf-8")
    found: dict[str, Any] = airflow.having(SLUICEWAY_CONFIG_DIR=str(folder)).run(MORE, str(DAGS))
    assert found["errors"] == {}
    return {dag_id: dag for dag_id, dag in found["dags"].items() if Path(dag["file"]).stem == "tables"}


@pytest.fixture(scope="module")
def bag(airflow: Deployment, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """With the files above."""
    return parsed(airflow, tmp_path_factory.mktemp("config"), FILES)


def test_each_broken_table_of_the_deployment_has_a_dag_whatever_its_file_is_called(bag: dict[str, Any]) -> None:
    assert set(bag) == {"table-orders__broken", COPIES, f"table-{'x' * 200}__broken"}


def test_the_dag_says_what_is_wrong_and_starts_by_itself_never(bag: dict[str, Any]) -> None:
    dag = bag["table-orders__broken"]
    assert "orders.toml: columns.id.type = 'integr'" in dag["doc"]
    assert (dag["next"], dag["condition"], list(dag["tasks"])) == (None, None, ["say"])


def test_what_a_file_says_is_shown_as_it_stands_there(bag: dict[str, Any]) -> None:
    for dag in bag.values():
        assert dag["doc"].startswith("~~~~\n") and dag["doc"].endswith("\n~~~~")


def test_of_files_whose_dags_would_be_called_alike_none_is_left_out(bag: dict[str, Any]) -> None:
    assert "city (copy).toml" in bag[COPIES]["doc"] and "city_(copy).toml" in bag[COPIES]["doc"]


def test_the_dag_of_a_broken_table_keeps_the_policies(bag: dict[str, Any]) -> None:
    for dag in bag.values():
        assert dag["description"] and dag["tags"] and dag["dagrun_timeout"] and dag["max_active_runs"] == 1
        for task in dag["tasks"].values():
            assert task["retries"] and task["retry_policy"] and task["owner"] not in {"", "airflow"}


def test_no_flow_and_no_dag_of_a_flow_can_be_called_so() -> None:
    import re

    from sluiceway.flows.trigger import ID

    assert not re.search(ID, "table-orders__broken")


def test_where_every_file_is_right_there_is_no_such_dag(airflow: Deployment, tmp_path: Path) -> None:
    assert parsed(airflow, tmp_path, {"town": TABLE}) == {}
