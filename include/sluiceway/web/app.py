"""The pages under /sluiceway of Airflow's API server. Whoever may read the DAG's runs may read their reports."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import Depends, FastAPI, HTTPException, Request, status
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from sluiceway.report.html import environment
from sluiceway.report.write import read_report, recent_reports
from sluiceway.settings import load_settings
from sluiceway.web import hooks, triggers

DAG_ID = "master_etl"
HEADERS = {
    # a report holds text from sources nobody here wrote: even an escaping mistake must not run or fetch anything
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}

app = FastAPI(title="Sluiceway", docs_url=None, redoc_url=None, openapi_url=None)
app.include_router(hooks.router)
app.include_router(triggers.router)
may_read_runs = Depends(requires_access_dag(method="GET", access_entity=DagAccessEntity.RUN, param_dag_id=DAG_ID))


def _page(template: str, *, code: int = status.HTTP_200_OK, **values: object) -> HTMLResponse:
    return HTMLResponse(environment().get_template(template).render(**values), code, HEADERS)


@app.get("/reports", dependencies=[may_read_runs])
def list_reports(request: Request) -> HTMLResponse:
    """The newest reports."""
    return _page(
        "list.html",
        reports=recent_reports(load_settings().reports_dir),
        base=f"{request.scope['root_path']}/reports",
    )


@app.get("/reports/{run_id:path}", dependencies=[may_read_runs])
def show_report(run_id: str) -> HTMLResponse:
    """One run's report."""
    page = read_report(run_id, load_settings().reports_dir)
    if page is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no report of run {run_id}.")
    return HTMLResponse(page, headers=HEADERS)


@app.exception_handler(HTTPException)
def refuse(request: Request, error: HTTPException) -> Response:
    """Send a browser without a token to the login page and back; tell everybody else what is wrong."""
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"detail": error.detail}, error.status_code, {**HEADERS, **(error.headers or {})})
    if error.status_code == status.HTTP_401_UNAUTHORIZED:
        # as Airflow's own pages do it; works for every auth manager
        root = request.scope.get("app_root_path", "")
        back = quote(request.scope["path"]) + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(
            f"{root}/api/v2/auth/login?{urlencode({'next': back})}", status.HTTP_303_SEE_OTHER, HEADERS
        )
    return _page(
        "refused.html",
        code=error.status_code,
        missing=error.status_code == status.HTTP_404_NOT_FOUND,
        detail=error.detail,
        base=f"{request.scope['root_path']}/reports",
    )
