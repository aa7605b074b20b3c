"""The page of a table: how it stands, what its loads did, where its rows are, what it is made of and who uses it.

A table is shown to whoever may read the runs of a DAG that loads it, and of its loads those of such DAGs. Of a table of
other DAGs nobody learns that it is there. A load from the command line is shown as one of the master's.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any, NamedTuple

from airflow.api_fastapi.app import get_auth_manager
from airflow.utils.session import create_session
from fastapi import APIRouter, HTTPException, Request, status
from fastapi.responses import HTMLResponse
from psycopg import sql

from sluiceway.errors import ConfigError, SluicewayError, UnknownTableError, nearest, shortened
from sluiceway.freshness import facts as ledger_facts
from sluiceway.freshness.ask import promise
from sluiceway.freshness.judge import judge_table
from sluiceway.freshness.model import TableVerdict
from sluiceway.ids import MASTER
from sluiceway.ledger import history, store
from sluiceway.ledger.history import PastTry
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect, one_connection
from sluiceway.on_airflow.web.airflow import readable_dags
from sluiceway.on_airflow.web.connections import warehouse_url
from sluiceway.on_airflow.web.declared import declared
from sluiceway.on_airflow.web.pages.site import METHODS, TABLE_PAGE, page
from sluiceway.on_airflow.web.runs import SILENT, is_text
from sluiceway.on_airflow.web.threads import page_threads
from sluiceway.on_airflow.web.users import UserDep
from sluiceway.run import views
from sluiceway.run.report import charts
from sluiceway.run.report.collect import reject_groups
from sluiceway.run.report.maps import draw_newest
from sluiceway.run.report.model import RejectGroup, TableMap
from sluiceway.settings import load_settings
from sluiceway.sources.place import without_secrets
from sluiceway.tables import registry
from sluiceway.tables.files import is_deployed, table_files
from sluiceway.tables.source_spec import BigQuerySource, GSheetSource, HttpJsonSource, LocatedSource, SqlSource
from sluiceway.tables.spec import TableSpec

SHOWN = 50
"""Tries in the history."""
MAP_S = 5
"""So long the page waits for its map."""
log = logging.getLogger(__name__)
router = APIRouter()


class Declaration(NamedTuple):
    """What the table's file says."""

    spec: TableSpec | None
    wrong: str | None
    """What is wrong with it; with neither there is no file."""


class Drawn(NamedTuple):
    """Where the table's rows are."""

    all: TableMap | None = None
    newest: TableMap | None = None
    sentence: str | None = None
    """Why there is no map, where there should be one."""


class Users(NamedTuple):
    """Who reads the table, and what loads it."""

    flows: tuple[str, ...]
    views: tuple[tuple[str, str], ...]
    """Name and description."""
    sentence: str | None
    """Why the views are not known."""


@router.api_route("/tables/{table}", methods=METHODS)
@page_threads.bounded
def show_table(request: Request, table: str, user: UserDep) -> HTMLResponse:
    """One table's page."""
    if not get_auth_manager().is_authorized_dag(method="GET", user=user):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Forbidden")
    if not table.strip():
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"The address names no table: write {TABLE_PAGE}.")
    declaration = _declaration(table)
    flows = {flow.id for flow in declared.flows().values() if table in flow.spec.tables}
    try:
        url = warehouse_url()
        with one_connection(url):
            counted = _dags_told(url, table, declaration, flows, user)
            verdict = _verdict(url, table, declaration, counted)
            with connect(url) as ledger:
                tries = history.newest_tries(ledger, table, counted, limit=SHOWN)
                rejects = _rejects(ledger, tries)
            drawn = _drawn(url, declaration.spec, tries)
    except SluicewayError as error:
        log.error("The page of the table %s cannot be made: %s", table, error)
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, SILENT) from error
    return page(
        request,
        "table.html",
        table=table,
        declaration=declaration,
        verdict=verdict,
        tries=tries,
        charts=charts.charts(tries),
        rejects=rejects,
        drawn=drawn,
        source=source_shown(declaration.spec) if declaration.spec else [],
        users=_users(table, flows, counted),
        cli=store.CLI,
    )


def _declaration(table: str) -> Declaration:
    try:
        return Declaration(registry.read_one(table), None)
    except UnknownTableError:
        return Declaration(None, None)
    except ConfigError as error:
        return Declaration(None, str(error))


def _dags_told(url: str, table: str, declaration: Declaration, flows: Collection[str], user: Any) -> set[str]:
    """The DAGs whose loads of the table the user may see; refused like a table that is not there if there is none."""
    has_file = declaration.spec is not None or declaration.wrong is not None
    with connect(url) as ledger:
        loaded_by = history.dags_of(ledger, table) if is_text(table) else set()
    with create_session(scoped=False) as airflow:
        told = with_command_line(readable_dags(user, {MASTER, *flows, *loaded_by - {store.CLI}}, airflow))
    # a table without a file is known by its loads alone
    if not (told if has_file else told & loaded_by):
        hint = _nearest(url, table, user) or "."
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no table {shortened(table)!r} that you may see{hint}")
    return told


def with_command_line(dag_ids: set[str]) -> set[str]:
    """These DAGs, and what stands for one of the loads of the command line where they hold the master."""
    return dag_ids | {store.CLI} if MASTER in dag_ids else dag_ids


def _nearest(url: str, table: str, user: Any) -> str:
    """The name among those of the tables that the user may see."""
    flows = {flow.id: flow.spec.tables for flow in declared.flows().values() if flow.spec.tables}
    with create_session(scoped=False) as airflow:
        told = readable_dags(user, {MASTER, *flows}, airflow)
    known = {name for flow, tables in flows.items() if flow in told for name in tables}
    if MASTER in told:
        known |= {path.stem for path in table_files(load_settings().config_dir)}
    with connect(url) as ledger:
        known |= history.tables_of(ledger, with_command_line(told))
    return nearest(table, known, listing=False)


def _verdict(url: str, table: str, declaration: Declaration, counted: set[str]) -> TableVerdict | None:
    """How the table stands, told in words that name no run of another DAG; None: it has no file any more."""
    if declaration.spec is None and declaration.wrong is None:
        return None
    facts = ledger_facts.read(url, [table])
    promised = promise(declaration.spec) if declaration.spec is not None else None
    told = judge_table(table, promised, ledger_facts.told_of(facts, counted))
    if declaration.wrong is not None:
        return told.model_copy(update={"state": "unknown", "sentence": declaration.wrong})
    return told.model_copy(update={"state": judge_table(table, promised, facts).state})


def _rejects(ledger: Any, tries: list[PastTry]) -> tuple[PastTry, tuple[RejectGroup, ...]] | None:
    """Those of the newest try that read the source; None: there was none."""
    read = next((each for each in tries if each.tried.status != "unchanged"), None)
    if read is None:
        return None
    groups = reject_groups(ledger, [read.tried]) if read.tried.rejected else {}
    return read, groups.get(read.tried.table_name, ())


def _drawn(url: str, spec: TableSpec | None, tries: list[PastTry]) -> Drawn:
    if spec is None or spec.geometry is None:
        return Drawn()
    if spec.target != "postgresql":
        return Drawn(sentence="Its rows are in BigQuery, of which no map is drawn.")
    newest = next((each.tried.key for each in tries if each.tried.status == "loaded"), RunKey("", ""))
    try:
        with connect(url) as session:
            session.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(f"{MAP_S}s")))
            return Drawn(*draw_newest(session, spec, newest))
    except SluicewayError as error:
        log.warning("The map of %s cannot be drawn: %s", spec.name, error)
        return Drawn(sentence=f"The map could not be drawn ({MAP_S} s at most); the log of the API server says why.")


def _users(table: str, flows: Collection[str], counted: set[str]) -> Users:
    try:
        found = tuple(
            (view.name, view.description) for view in views.fed_by(views.deployed_views(judged=False), [table])
        )
        why = None
    except ConfigError as error:
        found, why = (), str(error)
    settings = load_settings()
    path = next((each for each in table_files(settings.config_dir) if each.stem == table), None)
    loaded_by = {*flows, MASTER} if path is not None and is_deployed(path, settings) else {*flows}
    return Users(tuple(sorted(loaded_by & counted)), found, why)


def source_shown(spec: TableSpec) -> list[tuple[str, str]]:
    """Where the rows come from, as label and text: no password, no query of an address, no parameter of a request."""
    source = spec.source
    shown: list[tuple[str, str]] = [("Kind", source.kind)]
    if isinstance(source, LocatedSource):
        shown.append(("Place", without_secrets(spec.written_uri or source.uri)))
        shown += [("File in it", source.member)] if source.member else []
    elif isinstance(source, HttpJsonSource):
        shown.append(("Place", without_secrets(source.uri)))
    elif isinstance(source, SqlSource):
        shown.append(("Reads", source.table or "a query, which the table's file holds"))
        shown += [("New rows by", source.watermark)] if source.watermark else []
    elif isinstance(source, BigQuerySource):
        shown.append(("Reads", source.table))
    elif isinstance(source, GSheetSource):
        # who has its id may be all who may open it
        shown.append(("Reads", "a spreadsheet, which the table's file names"))
    shown += [("Connection", source.connection)] if source.connection else []
    shown += [("Part", text) for key in ("layer", "sheet") if (text := getattr(source, key, None))]
    shown += [("Code between", spec.transform.name)] if spec.transform else []
    return shown
