"""Where a run's page lives in the API server, and the button on the verdict task that leads there."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

from sluiceway.rest.refusals import shown
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

URL_PREFIX = "/sluiceway"


def runs_path() -> str:
    """The list of runs, below the path of `[api] base_url`; no host, so it is right behind any proxy."""
    base_url: str = conf.get("api", "base_url", fallback="")
    return f"{urlsplit(base_url).path.rstrip('/')}{URL_PREFIX}/runs"


def run_path(dag_id: str, run_id: str) -> str:
    """The page of one run."""
    return f"{runs_path()}/{quote(dag_id, safe='')}/{quote(run_id, safe='')}"


def report_url(dag_id: str, run_id: str) -> str | None:
    """The same as whoever is outside of Airflow finds it; None where SLUICEWAY_AIRFLOW_URL names no Airflow."""
    airflow_url = load_settings().airflow_url
    if airflow_url is None:
        return None
    base_path = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
    return f"{shown(airflow_url).rstrip('/').removesuffix(base_path)}{run_path(dag_id, run_id)}"


class ReportLink(BaseOperatorLink):
    """The "Report" button of a task, shown by the UI for every run the task has ended in.

    Put `operator_extra_links = (ReportLink(),)` on the operator's class. The worker computes the link when the task
    ends, red or green, and the API server reads it from the task's XCom: no plugin has to register it.
    """

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The path of the page of the task's run."""
        return run_path(ti_key.dag_id, ti_key.run_id)
