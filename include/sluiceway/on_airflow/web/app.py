"""The app under /sluiceway of Airflow's API server: freshness, runs and tables as pages, webhooks, how triggers are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Depends, FastAPI, HTTPException, Request, status
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from sluiceway.errors import BusyError, nearest, shortened
from sluiceway.on_airflow.web import astray, compare, machines, runs, tables, triggers, webhooks
from sluiceway.on_airflow.web.pages import freshness
from sluiceway.on_airflow.web.pages.site import HEADERS, RUN_PAGE, TABLE_PAGE, page
from sluiceway.on_airflow.web.threads import AGAIN_S

app = FastAPI(title="Sluiceway", docs_url=None, redoc_url=None, openapi_url=None)
app.include_router(webhooks.router)
app.include_router(machines.router)
for of_users in (triggers, compare, runs, tables, freshness):
    app.include_router(of_users.router, dependencies=[Depends(astray.refuse_a_token)])

FOR_MACHINES = ("/api/", "/hooks/")
"""Whoever asks below is a program, whatever it says that it accepts."""
READ = ("/sluiceway/api/status.json", "/sluiceway/api/triggers")
LONGEST_ADDRESS = 200
LONGEST_METHOD = 20


@app.exception_handler(StarletteHTTPException)
def refuse(request: Request, error: StarletteHTTPException) -> Response:
    """Send a browser without a token to the login page and back; tell everybody else what is wrong."""
    if astray.is_in_address(request):
        error = astray.refused(astray.SENT)
    detail, headers = astray.without_tokens(_told(request, error)), {**(error.headers or {})}
    if error.status_code == status.HTTP_503_SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", str(AGAIN_S))
    if error.status_code == status.HTTP_405_METHOD_NOT_ALLOWED:
        # the router has them in no order
        headers["Allow"] = ", ".join(_methods(error))
    if _is_for_machines(request) or "text/html" not in request.headers.get("accept", ""):
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
        comma, hint = (", ", "") if len(_methods(error)) > 1 else (" ", "")
        if _path(request).startswith("/hooks/"):
            hint = ": a webhook is posted, signed with its secret"
        asked = shortened(request.method, LONGEST_METHOD)
        return f"This address takes {' or '.join(_methods(error))}{comma}and no {asked}{hint}."
    address = shortened(f"/sluiceway{_written(_path(request))}", LONGEST_ADDRESS)
    if _is_below(request, "/hooks/"):
        return f"There is no address {address}: a webhook has {webhooks.ADDRESS}."
    if _is_for_machines(request):
        return f"There is no address {address}{nearest(address, READ)}"
    return f"There is no page {address}: a table has {TABLE_PAGE}, a run {RUN_PAGE}, and all runs /sluiceway/runs."


def _methods(error: StarletteHTTPException) -> list[str]:
    return sorted(each.strip() for each in (error.headers or {}).get("Allow", "").split(","))


def _path(request: Request) -> str:
    """Of the address, below this app."""
    return str(request.scope["path"]).removeprefix(request.scope["root_path"])


def _is_below(request: Request, *places: str) -> bool:
    return f"{_path(request)}/".startswith(places)


def _is_for_machines(request: Request) -> bool:
    return _is_below(request, *FOR_MACHINES)


def _written(path: str) -> str:
    """As an address has it where it cannot be shown."""
    return "".join(each if each.isprintable() else quote(each, errors="replace") for each in path)


async def lead_nowhere(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer an address that begins like one of ours, and that no router can give to the app."""
    await refuse(Request(scope), StarletteHTTPException(status.HTTP_404_NOT_FOUND))(scope, receive, send)


@app.exception_handler(BusyError)
def put_off(request: Request, error: BusyError) -> Response:
    """Say that no thread was free in time."""
    return refuse(request, HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, str(error)))
