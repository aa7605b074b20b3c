"""An Airflow of its own for whoever looks at DAGs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from dev.environment import ROOT
from tests.dags.airflow_process import AirflowProcess, Deployment


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """An Airflow with this checkout's DAGs, and nothing of whatever else runs here."""
    home = tmp_path_factory.mktemp("airflow")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "SLUICEWAY_"))}
    environment = {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "PYTHONPATH": str(ROOT / "include"),
        "SLUICEWAY_ENV_FILE": str(home / "none.env"),
    }
    process = AirflowProcess(environment)
    yield Deployment(process, environment)
    process.close()
