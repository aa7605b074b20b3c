"""The pages of runs: whoever may read the runs of a DAG may read their pages, and learns of no other DAG's.

A page is made anew from the ledger whenever it is asked for, and compared with what Airflow shows now.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from airflow.api_fastapi.app import get_auth_manager
from airflow.utils.session import create_session
from fastapi import APIRouter, Depends, HTTPException, Request, status
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from sluiceway.errors import SluicewayError, shortened
from sluiceway.ids import MASTER, VERDICT_TASK
from sluiceway.ledger import history, locks, newest, store
from sluiceway.ledger.store import RunKey, RunStatus
from sluiceway.ledger.warehouse import Session as LedgerSession
from sluiceway.ledger.warehouse import connect
from sluiceway.on_airflow.web.airflow import readable_dags, seen_runs
from sluiceway.on_airflow.web.connections import warehouse_url
from sluiceway.on_airflow.web.pages.site import HEADERS, METHODS, RUN_PAGE, page
from sluiceway.on_airflow.web.threads import page_threads
from sluiceway.on_airflow.web.users import UserDep
from sluiceway.run.facts import Facts
from sluiceway.run.reconcile import Truth, is_shown, reconcile
from sluiceway.run.report.collect import collect
from sluiceway.run.report.html import shown, without_logs
from sluiceway.run.report.model import RunReport
from sluiceway.run.report.write import read_maps, read_page
from sluiceway.run.truth import truths_of
from sluiceway.settings import load_settings
from sluiceway.tables import registry
from sluiceway.tables.spec import TableSpec

LISTED = 100
AS_A_FILE = {
    # a report is a file of its own too, perhaps of older code: its styles are known by no hash, and it has no script
    **HEADERS,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
}
NO_ROW: dict[str, Any] = {
    **dict.fromkeys(("commit_sha", "deployed_sha", "finished_at", "note")),
    "trigger_kind": "manual",
    "status": "running",
}
NAMELESS = f"The address names no run: write {RUN_PAGE}."
SILENT = "The ledger does not answer."

log = logging.getLogger(__name__)
router = APIRouter()


class ListedRun(BaseModel):
    """What the list says of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dag_id: str
    run_id: str
    status: RunStatus
    sentence: str
    commit: str | None
    """What it was asked for; else what was deployed when it was let through."""
    started_at: datetime
    seconds: float | None


def run_asked_for(dag_id: str, run_id: str, user: UserDep) -> RunKey:
    """The run of the address; whether there is one nobody learns who may not read its DAG's runs."""
    key = RunKey(dag_id, run_id)
    _check_text(key)
    with create_session(scoped=False) as session:
        # what loads by the command line belongs to no DAG: its runs are for whoever may read the master's
        if not readable_dags(user, {MASTER if dag_id == store.CLI else dag_id}, session):
            raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    if not run_id.strip():
        raise HTTPException(status.HTTP_404_NOT_FOUND, NAMELESS)
    return key


def is_text(text: str) -> bool:
    """Whether a database takes all of its characters, so that something may be called so."""
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)


def _check_text(key: RunKey) -> None:
    if not all(map(is_text, key)):
        raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such run.")


@router.api_route("/runs", methods=METHODS)
@page_threads.bounded
def list_runs(request: Request, user: UserDep) -> HTMLResponse:
    """The newest runs of the DAGs whose runs the user may read."""
    if not get_auth_manager().is_authorized_dag(method="GET", user=user):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    try:
        with connect(warehouse_url()) as ledger, create_session(scoped=False) as airflow:
            dags = readable_dags(user, newest.dag_ids(ledger), airflow)
            runs = newest.runs_of(ledger, dags, limit=LISTED)
            listed = listed_runs(ledger, airflow, runs, user)
    except SluicewayError as error:
        log.error("The list of runs cannot be shown: %s", error)
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, SILENT) from error
    return page(request, "list.html", reports=listed)


def listed_runs(ledger: LedgerSession, airflow: Session, runs: Sequence[store.Run], user: Any) -> list[ListedRun]:
    """What a list says of these runs, in their order."""
    seen = seen_runs(airflow, runs, user)
    truths = truths_of(ledger, [(run, seen[run.key]) for run in runs])
    return [_listed(run, truth) for run, truth in zip(runs, truths, strict=True)]


def _listed(run: store.Run, truth: Truth) -> ListedRun:
    ended_at = None if truth.status == "running" else run.finished_at
    return ListedRun(
        dag_id=run.dag_id,
        run_id=run.run_id,
        status=truth.status,
        sentence=without_logs(truth.text) or "No verdict yet.",
        commit=run.commit_sha or run.deployed_sha,
        started_at=run.started_at,
        seconds=(ended_at - run.started_at).total_seconds() if ended_at else None,
    )


@router.api_route("/runs/{dag_id}", methods=METHODS)
def name_a_run(dag_id: str, user: UserDep) -> Response:
    """Say what is missing in an address that ends with the DAG."""
    raise HTTPException(status.HTTP_404_NOT_FOUND, NAMELESS)


@router.api_route("/runs/{dag_id}/{run_id:path}", methods=METHODS)
@page_threads.bounded
def show_run(request: Request, key: Annotated[RunKey, Depends(run_asked_for)], user: UserDep) -> Response:
    """One run's report; its status and sentence alone for who asks for JSON, as CI does (deploy/trigger.py)."""
    is_json = _asks_for_json(request)
    folder = load_settings().reports_dir
    try:
        with connect(warehouse_url()) as ledger:
            run = store.run(ledger, key)
            if key.dag_id == store.CLI:
                return _of_command_line(request, ledger, key, run, is_json=is_json)
            with create_session(scoped=False) as airflow:
                if run is None:
                    return _without_row(airflow, key, user, is_json=is_json)
                seen = seen_runs(airflow, [run], user)[key]
                if seen.has_ended and not is_shown(run, seen):
                    return _without_row(airflow, key, user, is_json=is_json)
            if is_json:
                (truth,) = truths_of(ledger, [(run, seen)])
                return _document(key, truth)
            specs = registry.read().right
            report = collect(ledger, key, specs, seen=seen, maps=read_maps(key, folder))
            before = history.run_before(ledger, run)
    except SluicewayError as error:
        log.error("The page of %s cannot be made anew: %s", key, error)
        kept = read_page(key, folder, why=f"{SILENT} This page is as the run's verdict left it.")
        if kept is None or is_json:
            raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, SILENT) from error
        return HTMLResponse(kept, headers=AS_A_FILE)
    unmapped = _unmapped(report, specs)
    return page(request, "run.html", **shown(report), before=before, unmapped=unmapped, in_airflow=True)


def _of_command_line(
    request: Request, ledger: LedgerSession, key: RunKey, run: store.Run | None, *, is_json: bool
) -> Response:
    """The page of a run of `sluiceway tables run`, of which Airflow knows nothing: as the ledger has it."""
    if run is None:
        none = f"There is no run {shortened(key.run_id)} of `sluiceway tables run`"
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"{none}; `sluiceway runs list` shows those there are.")
    is_gone = run.status == "running" and _is_gone(key)
    report = collect(ledger, key, registry.read().right, seen=None, maps={}, is_gone=is_gone)
    if is_json:
        return _document(key, Truth(status=report.verdict.status, sentence=report.note))
    return page(request, "run.html", **shown(report), before=None, unmapped=[], in_airflow=False)


def _is_gone(key: RunKey) -> bool:
    """Whether the process of a run of the command line lives no more."""
    # in a transaction of its own, for a lock that is free is the asker's until its end
    with connect(warehouse_url()) as asking:
        return locks.is_free(asking, locks.of_run(key))


def _unmapped(report: RunReport, specs: Mapping[str, TableSpec]) -> list[str]:
    """The tables that should have a map: the run's verdict has drawn them, on a disk that this server does not see."""
    if report.finished_at is None:
        return []
    drawable = {name for name, spec in specs.items() if spec.geometry is not None and spec.target == "postgresql"}
    return [table.name for table in report.tables if table.map is None and table.table_rows and table.name in drawable]


def _asks_for_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _without_row(airflow: Session, key: RunKey, user: Any, *, is_json: bool) -> Response:
    """Of a run that has ended before any of its tasks began, until run_watch has given it a row."""
    begun = store.Run(**key._asdict(), **NO_ROW, started_at=datetime.now(UTC))
    seen = seen_runs(airflow, [begun], user)[key]
    if not seen.has_ended or VERDICT_TASK not in seen.tasks:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no report of run {shortened(key.run_id)}.")
    truth = reconcile(Facts(run=begun), seen)
    if is_json:
        return _document(key, truth)
    said = f"There is no report of run {shortened(key.run_id)} yet. {truth.text}"
    raise HTTPException(status.HTTP_404_NOT_FOUND, said)


def _document(key: RunKey, truth: Truth) -> JSONResponse:
    return JSONResponse({**key._asdict(), "status": truth.status, "sentence": truth.text}, headers=HEADERS)


@router.api_route("/reports", methods=METHODS)
def move_list(request: Request, user: UserDep) -> RedirectResponse:
    """Where the list of runs was before tables had pages, too."""
    return _moved(request)


@router.api_route("/reports/{run_id}", methods=METHODS)
@page_threads.bounded
def move_run_of_master(request: Request, run_id: str, user: UserDep) -> RedirectResponse:
    """Where links lead that Airflow keeps of runs before DAGs had reports of their own."""
    return _moved(request, *run_asked_for(MASTER, run_id, user))


@router.api_route("/reports/{dag_id}/{run_id:path}", methods=METHODS)
async def move_run(request: Request, key: Annotated[RunKey, Depends(run_asked_for)], user: UserDep) -> Response:
    """Where links lead that Airflow keeps of runs before tables had pages, too."""
    if _asks_for_json(request):
        # a trigger.py of before loses its token on the way of a redirect
        return await show_run(request, key, user)
    return _moved(request, *key)


def _moved(request: Request, *key: str) -> RedirectResponse:
    path = "/".join(quote(part, safe="") for part in ("runs", *key))
    return RedirectResponse(f"{request.scope['root_path']}/{path}", status.HTTP_307_TEMPORARY_REDIRECT, HEADERS)
