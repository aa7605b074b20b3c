"""A small client of Airflow's REST API, as `sluiceway runs` and `make demo` need it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx

from sluiceway.certificates import trusted
from sluiceway.errors import AirflowApiError, AirflowUnreachableError, SettingsError
from sluiceway.ids import VERDICT_TASK
from sluiceway.rest import refusals
from sluiceway.settings import Settings

TIMEOUT_S = 30.0
Method = Literal["GET", "POST", "PATCH", "DELETE"]
FAILED_STATES = frozenset({"failed", "upstream_failed", "skipped", "removed"})


class AirflowApi:
    """Talks to one Airflow as one user. Use as a context manager."""

    def __init__(self, url: str, username: str, password: str, *, within_s: float | None = None) -> None:
        """Only notes how to reach it.

        :param within_s: how long all questions together may take; None: each may take 30 s.
        """
        self._deadline = None if within_s is None else time.monotonic() + within_s
        self._client = httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT_S, verify=trusted())
        self._url, self._username, self._password = url, username, password

    @classmethod
    def from_settings(cls, settings: Settings, *, within_s: float | None = None) -> Self:
        """The Airflow that SLUICEWAY_AIRFLOW_URL, _USERNAME and _PASSWORD name.

        :raises SettingsError: one of them is missing, or the address is none.
        """
        if not (settings.airflow_url and settings.airflow_username and settings.airflow_password):
            raise SettingsError(
                "No Airflow is named: set SLUICEWAY_AIRFLOW_URL, SLUICEWAY_AIRFLOW_USERNAME and "
                "SLUICEWAY_AIRFLOW_PASSWORD, or start the local one with `make up`."
            )
        if problem := refusals.address_problem(settings.airflow_url):
            raise SettingsError(f"SLUICEWAY_AIRFLOW_URL {refusals.shown(settings.airflow_url)!r} {problem}.")
        return cls(settings.airflow_url, settings.airflow_username, settings.airflow_password, within_s=within_s)

    def __enter__(self) -> Self:
        answer = self._send("POST", refusals.LOGIN, json={"username": self._username, "password": self._password})
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str):
            raise AirflowApiError(refusals.no_token(self._url))
        self._client.headers["Authorization"] = f"Bearer {token}"
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **params: Any) -> Any:
        """GET /api/v2/<path>; raises AirflowApiError for any answer but 2xx."""
        return self._send("GET", f"/api/v2/{path}", params=params)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST /api/v2/<path>; raises AirflowApiError for any answer but 2xx."""
        return self._send("POST", f"/api/v2/{path}", json=body)

    def patch(self, path: str, body: dict[str, Any]) -> Any:
        """PATCH /api/v2/<path>; raises AirflowApiError for any answer but 2xx."""
        return self._send("PATCH", f"/api/v2/{path}", json=body)

    def delete(self, path: str) -> None:
        """DELETE /api/v2/<path>; raises AirflowApiError for any answer but 2xx."""
        self._send("DELETE", f"/api/v2/{path}")

    def auth(self, method: Method, path: str, body: dict[str, Any] | None = None, **params: Any) -> Any:
        """The REST API of the FAB auth manager, /auth/fab/v1/<path>; raises AirflowApiError for any answer but 2xx."""
        return self._send(method, f"/auth/fab/v1/{path}", json=body, params=params)

    def has_fab(self) -> bool:
        """Whether FAB manages the users: other auth managers know no such path, or have a web page for every path."""
        try:
            answer = self._client.get("/auth/fab/v1/roles")
        except httpx.TransportError as error:
            raise AirflowUnreachableError(refusals.unanswered(self._url, error)) from error
        return answer.status_code != httpx.codes.NOT_FOUND and refusals.is_json(answer)

    def accepts(self, username: str, password: str) -> bool:
        """Whether these would log in."""
        try:
            self._send("POST", refusals.LOGIN, json={"username": username, "password": password})
        except AirflowApiError as error:
            if error.status == httpx.codes.UNAUTHORIZED:
                return False
            raise
        return True

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> dict[str, Any]:
        """Enqueue a run; raises AirflowApiError with status 409 when the run id exists."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        answer: dict[str, Any] = self.post(f"dags/{quote(dag_id)}/dagRuns", body)
        return answer

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One DAG run."""
        answer: dict[str, Any] = self.get(f"dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}")
        return answer

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Every task instance of a run."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.get(
                f"dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}/taskInstances", limit=100, offset=len(found)
            )
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def running_tasks(self) -> list[dict[str, Any]]:
        """The first hundred task instances that run, of whichever DAG the user may read."""
        found: list[dict[str, Any]] = self.get("dags/~/dagRuns/~/taskInstances", state="running", limit=100)[
            "task_instances"
        ]
        return found

    def runs_beginning(self, prefix: str, dag_id: str | None = None) -> list[tuple[str, str]]:
        """DAG and id of the first hundred runs whose ids begin so, as far as the user may read them.

        :param dag_id: of this DAG alone.
        """
        path = f"dags/{quote(dag_id) if dag_id is not None else '~'}/dagRuns"
        found = self.get(path, run_id_prefix_pattern=prefix, order_by="run_id", limit=100)["dag_runs"]
        # what Airflow takes for a prefix is a range, which holds others too
        return [(run["dag_id"], run["dag_run_id"]) for run in found if run["dag_run_id"].startswith(prefix)]

    def event_logs(self, dag_id: str, events: Iterable[str], after: datetime) -> list[dict[str, Any]]:
        """The newest entries of the audit log on a DAG, of these events."""
        found: list[dict[str, Any]] = self.get(
            "eventLogs",
            dag_id=dag_id,
            included_events=list(events),
            after=after.isoformat(),
            order_by="-when",
            limit=100,
        )["event_logs"]
        return found

    def retry(self, dag_id: str, run_id: str) -> list[str]:
        """Clear a run's failed tasks and what follows them; nothing else runs again but its first task and its verdict.

        :returns: the cleared task instances, a mapped one as `<task id>[<map index>]`.
        :raises AirflowApiError: the run has no failed task.
        """
        tasks = self.task_instances(dag_id, run_id)
        causes = [task for task in tasks if task["state"] == "failed" and task["task_id"] != VERDICT_TASK]
        if not causes and any(task["task_id"] == VERDICT_TASK and task["state"] == "skipped" for task in tasks):
            # of a run whose time was over Airflow skips what had not ended, and judges nothing
            causes = [task for task in tasks if task["state"] == "skipped" and task["task_id"] != VERDICT_TASK]
        if not causes and any(task["task_id"] == VERDICT_TASK and task["state"] == "failed" for task in tasks):
            raise AirflowApiError(
                f"Run {run_id} of {dag_id} has no failed task but its verdict: `sluiceway runs show {run_id} --dag "
                f"{dag_id}` says what is wrong. Clear the task that it names in Airflow, or the verdict alone, to have "
                "the run judged again once that is repaired."
            )
        if not causes:
            raise AirflowApiError(f"Run {run_id} of {dag_id} has no failed task to retry.")
        answer = self.post(
            f"dags/{quote(dag_id)}/clearTaskInstances",
            {
                "dry_run": False,
                "dag_run_id": run_id,
                "only_failed": False,
                "include_downstream": True,
                "reset_dag_runs": True,
                "task_ids": [
                    [task["task_id"], task["map_index"]] if task["map_index"] >= 0 else task["task_id"]
                    for task in causes
                ],
            },
        )
        return [
            task["task_id"] + (f"[{task['rendered_map_index'] or task['map_index']}]" if task["map_index"] >= 0 else "")
            for task in answer["task_instances"]
        ]

    def _send(self, method: Method, path: str, **arguments: Any) -> Any:
        try:
            response = self._client.request(method, path, timeout=self._left(), **arguments)
        except httpx.TransportError as error:
            raise AirflowUnreachableError(refusals.unanswered(self._url, error)) from error
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        if not response.is_success or not refusals.is_json(response):  # a login page before it redirects or is HTML
            raise AirflowApiError(refusals.refused(self._url, self._username, response), status=response.status_code)
        return response.json()

    def _left(self) -> float:
        if self._deadline is None:
            return TIMEOUT_S
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise AirflowUnreachableError(f"Airflow at {refusals.shown(self._url)} does not answer in time.")
        return min(left, TIMEOUT_S)
