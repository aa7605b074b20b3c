"""The page that compares two runs: what became of the tables between them, by runs that the user may read."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from airflow.api_fastapi.app import get_auth_manager
from airflow.utils.session import create_session
from fastapi import APIRouter, HTTPException, Request, status
from fastapi.responses import HTMLResponse

from sluiceway.errors import SluicewayError, nearest, shortened
from sluiceway.ledger import history, store
from sluiceway.ledger import newest as newest_runs
from sluiceway.ledger.store import Run, RunKey
from sluiceway.ledger.warehouse import Session, connect
from sluiceway.on_airflow.web.airflow import conf_of, readable_dags
from sluiceway.on_airflow.web.connections import warehouse_url
from sluiceway.on_airflow.web.pages.site import METHODS, page
from sluiceway.on_airflow.web.runs import SILENT, is_text, listed_runs
from sluiceway.on_airflow.web.tables import with_command_line
from sluiceway.on_airflow.web.threads import page_threads
from sluiceway.on_airflow.web.users import UserDep
from sluiceway.run.report.changes import changed, comparison_url

NEAREST = 200
"""The newest runs, among which one is looked for that may have been meant."""
log = logging.getLogger(__name__)
router = APIRouter()


@router.api_route("/runs/compare", methods=METHODS)
@page_threads.bounded
def compare_runs(request: Request, user: UserDep, a: str = "", b: str = "") -> HTMLResponse:
    """What became of the tables after the earlier of two runs and until the later.

    :param a: one of them, <dag_id>/<run_id>.
    :param b: the other.
    """
    if not get_auth_manager().is_authorized_dag(method="GET", user=user):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    try:
        with connect(warehouse_url()) as ledger, create_session(scoped=False) as airflow:
            dags = readable_dags(user, newest_runs.dag_ids(ledger), airflow)
            earlier, later = sorted(
                (_run(ledger, dags, name, text) for name, text in (("a", a), ("b", b))),
                key=lambda run: (run.started_at, run.key),
            )
            if earlier.key == later.key:
                raise _refused(f"a and b are the same run{_before(ledger, later)}")
            told = history.changes_between(ledger, earlier, later, with_command_line(dags), now=datetime.now(UTC))
            ends = listed_runs(ledger, airflow, [earlier, later], user)
            conf = conf_of(airflow, later.key) or conf_of(airflow, earlier.key)
    except SluicewayError as error:
        log.error("The runs cannot be compared: %s", error)
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, SILENT) from error
    tables = [changed(each) for each in told]
    return page(
        request,
        "compare.html",
        ends=ends,
        tables=[each for each in tables if not each.is_same],
        same=[each.told.table_name for each in tables if each.is_same],
        commits=comparison_url(conf, *(each.commit for each in ends)),
    )


def _run(ledger: Session, dags: set[str], name: str, text: str) -> Run:
    """The run that the address names so; one of another DAG is answered like none."""
    if not text:
        raise _refused(f"{name} names no run: write {name}=<dag_id>/<run_id>{_known(ledger, dags)}")
    dag_id, _, run_id = text.partition("/")
    # who writes the address by hand writes the + of a time zone, which an address reads as a blank
    for each in dict.fromkeys((run_id, run_id.replace(" ", "+"))):
        if dag_id in dags and is_text(each) and (found := store.run(ledger, RunKey(dag_id, each))) is not None:
            return found
    known = [str(run.key) for run in newest_runs.runs_of(ledger, dags, limit=NEAREST)]
    hint = nearest(text, known, listing=False) or _known(ledger, dags)
    raise HTTPException(status.HTTP_404_NOT_FOUND, f"{name} = {shortened(text)!r} is no run that you may read{hint}")


def _known(ledger: Session, dags: set[str]) -> str:
    found = newest_runs.runs_of(ledger, dags, limit=1)
    return f"; the newest is {str(found[0].key)!r}" if found else "; there is none yet"


def _before(ledger: Session, run: Run) -> str:
    before = history.run_before(ledger, run)
    return f"; the one before it is {str(before)!r}" if before else ", and there is none before it"


def _refused(said: str) -> HTTPException:
    return HTTPException(status.HTTP_400_BAD_REQUEST, said)
