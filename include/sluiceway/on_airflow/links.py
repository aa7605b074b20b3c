"""Where a run's page lives in the API server, and the button on the verdict task that leads there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

from sluiceway.ids import run_page
from sluiceway.rest.refusals import shown
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


def run_path(dag_id: str, run_id: str) -> str:
    """The page of a run, below the path of `[api] base_url`; no host, so it is right behind any proxy."""
    return f"{_base_path()}{run_page(dag_id, run_id)}"


def _base_path() -> str:
    base_url: str = conf.get("api", "base_url", fallback="")
    return urlsplit(base_url).path.rstrip("/")


def report_url(dag_id: str, run_id: str) -> str | None:
    """The same as whoever is outside of Airflow finds it; None where SLUICEWAY_AIRFLOW_URL names no Airflow."""
    airflow_url = load_settings().airflow_url
    if airflow_url is None:
        return None
    return f"{shown(airflow_url).rstrip('/').removesuffix(_base_path())}{run_path(dag_id, run_id)}"


class ReportLink(BaseOperatorLink):
    """The "Report" button of a task, shown by the UI for every run the task has ended in.

    Put `operator_extra_links = (ReportLink(),)` on the operator's class. The worker computes the link when the task
    ends, red or green, and the API server reads it from the task's XCom: no plugin has to register it.
    """

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The path of the page of the task's run."""
        return run_path(ti_key.dag_id, ti_key.run_id)
