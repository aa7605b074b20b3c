"""The verdict for machines: /sluiceway/api/status.json, badge.json, badge.svg and metrics, drawn on one survey."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from sluiceway.errors import FaceRefusedError
from sluiceway.freshness import badge, metrics
from sluiceway.freshness.ask import Survey
from sluiceway.freshness.document import document, public_document
from sluiceway.freshness.kept import Rendered
from sluiceway.ledger.face_tokens import Face
from sluiceway.on_airflow.web.pages.site import METHODS
from sluiceway.on_airflow.web.readers import Reader, readers
from sluiceway.on_airflow.web.verdict import drawn
from sluiceway.settings import load_settings

SAFE = {
    "X-Content-Type-Options": "nosniff",
    # a drawing that is opened by itself is a page
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Vary": "Accept-Encoding, Authorization, Cookie",
}
BADGE_CACHE = f"max-age={badge.MAX_AGE_S}"
ASKED_ANEW = "no-cache"

router = APIRouter()
_drawing_metrics = metrics.Drawn()


@router.api_route("/api/status.json", methods=METHODS)
async def status_json(request: Request) -> Response:
    """The verdict as a document; for whoever may read it without a token, without names, commits and errors."""
    return await _face(request, "status", "application/json", ASKED_ANEW, _status)


@router.api_route("/badge.json", methods=METHODS)
async def badge_json(request: Request) -> Response:
    """What shields' endpoint badge reads."""
    return await _face(request, "badge", "application/json", BADGE_CACHE, _badge)


@router.api_route("/badge.svg", methods=METHODS)
async def badge_svg(request: Request) -> Response:
    """The badge as a drawing."""
    return await _face(request, "badge", "image/svg+xml", BADGE_CACHE, _drawing)


@router.api_route("/metrics", methods=METHODS)
async def prometheus(request: Request) -> Response:
    """The metrics of Prometheus."""
    return await _face(request, "metrics", metrics.CONTENT_TYPE, ASKED_ANEW, _metrics)


def _status(survey: Survey, reader: Reader) -> bytes:
    of = public_document if reader == "anybody" else document
    return of(survey.verdict, airflow_url=load_settings().airflow_url).model_dump_json().encode()


def _badge(survey: Survey, _: Reader) -> bytes:
    return badge.badge(survey.verdict.state).model_dump_json().encode()


def _drawing(survey: Survey, _: Reader) -> bytes:
    return badge.svg(survey.verdict.state).encode()


def _metrics(survey: Survey, _: Reader) -> bytes:
    return _drawing_metrics.metrics(survey)


async def _face(
    request: Request, face: Face, media_type: str, cache: str, draw: Callable[[Survey, Reader], bytes]
) -> Response:
    try:
        reader = await readers.check(request, face)
    except FaceRefusedError as refused:
        headers = {**SAFE, "Cache-Control": "no-store", **refused.headers}
        return JSONResponse({"detail": str(refused)}, refused.status, headers)
    # what anybody may read is drawn apart from what is not for everybody
    name = f"{draw.__name__} for {'anybody' if reader == 'anybody' else 'readers'}"
    found = await drawn(name, lambda survey: draw(survey, reader))
    shared = "public" if reader == "anybody" else "private"
    return _answer(request, found, {**SAFE, "Cache-Control": f"{shared}, {cache}", "Content-Type": media_type})


def _answer(request: Request, found: Rendered, headers: dict[str, str]) -> Response:
    headers = {**headers, "ETag": found.etag}
    asked = {each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")}
    if asked & {found.etag.removeprefix("W/"), "*"}:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    if found.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, headers={**headers, "Content-Encoding": "gzip"})
    return Response(found.body, headers=headers)
