"""The app under /sluiceway of Airflow's API server: freshness, runs and tables as pages, webhooks, how triggers are."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from fastapi import Depends, FastAPI, HTTPException, Request, status
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from sluiceway.errors import BusyError, nearest
from sluiceway.on_airflow.web import compare, machines, runs, tables, triggers, webhooks
from sluiceway.on_airflow.web.astray import refuse_a_token
from sluiceway.on_airflow.web.pages import freshness
from sluiceway.on_airflow.web.pages.site import HEADERS, RUN_PAGE, TABLE_PAGE, page

app = FastAPI(title="Sluiceway", docs_url=None, redoc_url=None, openapi_url=None)
app.include_router(webhooks.router)
app.include_router(machines.router)
for of_users in (triggers, compare, runs, tables, freshness):
    app.include_router(of_users.router, dependencies=[Depends(refuse_a_token)])

FOR_MACHINES = ("/api/", "/hooks/")
"""Whoever asks below is a program, whatever it says that it accepts."""
READ = ("/sluiceway/api/status.json", "/sluiceway/api/triggers")
LONGEST_ADDRESS = 200


@app.exception_handler(StarletteHTTPException)
def refuse(request: Request, error: StarletteHTTPException) -> Response:
    """Send a browser without a token to the login page and back; tell everybody else what is wrong."""
    detail, headers = _told(request, error), error.headers or {}
    if _path(request).startswith(FOR_MACHINES) or "text/html" not in request.headers.get("accept", ""):
        return JSONResponse({"detail": detail}, error.status_code, {**HEADERS, **headers})
    if error.status_code == status.HTTP_401_UNAUTHORIZED and "WWW-Authenticate" not in headers:
        # as Airflow's own pages do it; works for every auth manager
        root = request.scope.get("app_root_path", "")
        back = quote(request.scope["path"]) + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(
            f"{root}/api/v2/auth/login?{urlencode({'next': back})}", status.HTTP_303_SEE_OTHER, HEADERS
        )
    answer = page(request, "refused.html", code=error.status_code, detail=detail)
    answer.headers.update(headers)
    return answer


def _told(request: Request, error: StarletteHTTPException) -> str:
    """What is wrong; of what the router itself refuses it has no sentence."""
    if isinstance(error, HTTPException):
        return str(error.detail)
    if error.status_code == status.HTTP_405_METHOD_NOT_ALLOWED:
        return f"This address takes {(error.headers or {}).get('Allow', 'something else')} and no {request.method}."
    address = f"/sluiceway{_path(request)}"[:LONGEST_ADDRESS]
    if _path(request).startswith(FOR_MACHINES):
        return f"There is no address {address}{nearest(address, READ)}"
    return f"There is no page {address}: a table has {TABLE_PAGE}, a run {RUN_PAGE}, and all runs /sluiceway/runs."


def _path(request: Request) -> str:
    """Of the address, below this app."""
    return str(request.scope["path"]).removeprefix(request.scope["root_path"])


@app.exception_handler(BusyError)
def put_off(request: Request, error: BusyError) -> Response:
    """Say that no thread was free in time."""
    return refuse(request, HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, str(error), {"Retry-After": "5"}))
