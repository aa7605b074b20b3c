"""The app under /sluiceway of Airflow's API server: freshness, runs and tables as pages, webhooks, how triggers are."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from fastapi import FastAPI, HTTPException, Request, status
from fastapi.responses import JSONResponse, RedirectResponse, Response

from sluiceway.errors import BusyError
from sluiceway.on_airflow.web import compare, machines, runs, tables, triggers, webhooks
from sluiceway.on_airflow.web.pages import freshness
from sluiceway.on_airflow.web.pages.site import HEADERS, page

app = FastAPI(title="Sluiceway", docs_url=None, redoc_url=None, openapi_url=None)
app.include_router(webhooks.router)
app.include_router(triggers.router)
app.include_router(machines.router)
app.include_router(compare.router)
app.include_router(runs.router)
app.include_router(tables.router)
app.include_router(freshness.router)


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
    return page(request, "refused.html", code=error.status_code, detail=error.detail)


@app.exception_handler(BusyError)
def put_off(request: Request, error: BusyError) -> Response:
    """Say that no thread was free in time."""
    return refuse(request, HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, str(error), {"Retry-After": "5"}))
