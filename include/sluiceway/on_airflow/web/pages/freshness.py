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
from sluiceway.on_airflow.web.pages.table_rows import Asked, TableLoads, shown
from sluiceway.on_airflow.web.threads import page_threads
from sluiceway.on_airflow.web.users import UserDep
from sluiceway.on_airflow.web.verdict import around_soon, survey_now

ROWS_KEPT = 4096
"""To draw all of the lines of a thousand tables takes 50 ms."""

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
        name_cell=name_cell,
        load_cells=load_cells,
    )


@lru_cache(ROWS_KEPT)
def name_cell(table: str, root: str) -> Markup:
    """The cell of a table's name."""
    return _macro("name")(table, root)


@lru_cache(ROWS_KEPT)
def load_cells(loads: TableLoads, root: str) -> Markup:
    """The cells of a table's loads: drawn anew when something of them is another."""
    return _macro("loads")(loads, root)


@cache
def _macro(name: str) -> Callable[..., Markup]:
    """To find one for each table takes twice as long as to draw it."""
    return cast("Callable[..., Markup]", vars(templates().get_template("table_row.html").module)[name])
