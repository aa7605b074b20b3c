"""GET /sluiceway/: is the data as new as the code? The verdict of `sluiceway status`, and what stands around it.

Who may read the runs of the master DAG may see the page, for each of them names every table. Of other DAGs it shows
runs, errors and logs only to those who may read their runs, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, lru_cache
from typing import cast

from airflow.utils.session import create_session
from fastapi import APIRouter, HTTPException, Request, status
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from sluiceway.errors import SluicewayError
from sluiceway.freshness.around import Around
from sluiceway.ids import MASTER
from sluiceway.ledger.rows import CLI
from sluiceway.on_airflow.web.airflow import readable_dags
from sluiceway.on_airflow.web.airflow_runs import queue
from sluiceway.on_airflow.web.declared import declared
from sluiceway.on_airflow.web.pages.beside import beside
from sluiceway.on_airflow.web.pages.site import METHODS, page, templates
from sluiceway.on_airflow.web.pages.table_rows import Asked, TableRow, shown
from sluiceway.on_airflow.web.threads import page_threads
from sluiceway.on_airflow.web.users import UserDep
from sluiceway.on_airflow.web.verdict import around_soon, survey_now

ROWS_KEPT = 4096
"""Of a thousand tables to draw each line takes 40 ms."""

log = logging.getLogger(__name__)
router = APIRouter()


@router.api_route("/", methods=METHODS)
@page_threads.bounded
def show(request: Request, user: UserDep, state: str = "", sort: str = "", q: str = "") -> HTMLResponse:
    """The page. What cannot be known is unknown, and the page says so in one sentence: that is an answer, too (200)."""
    try:
        asked = Asked.parse(state=state, sort=sort, q=q)
    except ValueError as error:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, str(error)) from error
    asked_for = {MASTER, *declared.flows()}
    with create_session(scoped=False) as airflow:
        readable = readable_dags(user, asked_for, airflow)
    if MASTER not in readable:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    around = around_soon()
    try:
        verdict, why = survey_now().verdict, None
    except SluicewayError as error:
        log.error("It is unknown how fresh the data is: %s", error)
        verdict, why = None, str(error)
    known = around.result() if verdict is not None else Around()
    with create_session(scoped=False) as airflow:
        readable |= readable_dags(user, known.dag_ids() - asked_for - {CLI}, airflow)
        open_runs = queue(airflow, readable)
    return page(
        request,
        "freshness.html",
        verdict=verdict,
        why=why,
        asked=asked,
        table=shown(verdict, known.tables, readable, asked) if verdict is not None else None,
        beside=beside(known, open_runs, readable),
        row_of=row_of,
    )


@lru_cache(ROWS_KEPT)
def row_of(row: TableRow, root: str) -> Markup:
    """A table's line: drawn anew when something of it is another, its age say, which is once a minute at most."""
    return _line()(row, root)


@cache
def _line() -> Callable[[TableRow, str], Markup]:
    """The macro: to find it for each table takes twice as long as to draw it."""
    return cast("Callable[[TableRow, str], Markup]", vars(templates().get_template("table_row.html").module)["line"])
