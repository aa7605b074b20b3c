"""Tokens of machines that are sent where none is taken: to a page, as a password, in an address.

No answer repeats what was sent. A password that is no token of ours is left alone: a proxy in front may ask for it.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import parse_qsl

from fastapi import HTTPException, Request, status

from sluiceway.ledger.face_tokens import PREFIX

HEADERS = {"WWW-Authenticate": "Bearer"}
IN_AN_ADDRESS = frozenset({"token", "access_token"})
"""By which names people write a token into an address."""
SENT = (
    "A token in an address ends in logs: send it as `Authorization: Bearer` alone, and revoke the one that stood there."
)
EMPTY = "The header Authorization says Bearer and holds no token."
NO_BASIC = "A face takes no Basic: send a token of it as `Authorization: Bearer`."
OF_A_FACE = (
    "This token is for the faces, such as /sluiceway/api/status.json, and opens nothing else: "
    "a page takes a user of Airflow, who logs in."
)


def wrong_at_a_face(request: Request) -> str | None:
    """What is wrong with the way in which a face's token is sent; None: nothing."""
    asked = _asked(request)
    if any(name.casefold() in IN_AN_ADDRESS or value.startswith(PREFIX) for name, value in asked):
        return SENT
    scheme, _ = _sent(request)
    # of a browser that has a session it may be a proxy's
    is_refused = scheme == "basic" and not request.cookies
    return _wrong_header(request) or (NO_BASIC if is_refused else None)


def refuse_a_token(request: Request) -> None:
    """Refuse a token of a face where a user is wanted, for routers of pages.

    :raises HTTPException: there is one, or an empty header.
    """
    if any(value.startswith(PREFIX) for _, value in _asked(request)):
        raise _refused(SENT)
    if wrong := _wrong_header(request):
        raise _refused(wrong)
    scheme, credentials = _sent(request)
    if scheme == "bearer" and credentials.startswith(PREFIX):
        raise _refused(OF_A_FACE)


def _wrong_header(request: Request) -> str | None:
    scheme, credentials = _sent(request)
    if scheme == "bearer":
        return None if credentials else EMPTY
    if scheme.startswith(PREFIX):
        return "Send a token as `Authorization: Bearer`: the header lacks the word Bearer."
    said = _decoded(credentials) if scheme == "basic" else credentials
    if any(part.startswith(PREFIX) for part in said.split(":")):
        return f"Send a token as `Authorization: Bearer`, and not as {scheme.capitalize()}."
    return None


def _sent(request: Request) -> tuple[str, str]:
    """The scheme of the header in small letters, and what stands after it."""
    scheme, _, credentials = request.headers.get("authorization", "").strip().partition(" ")
    return scheme.lower() if not scheme.startswith(PREFIX) else scheme, credentials.strip()


def _decoded(credentials: str) -> str:
    try:
        return base64.b64decode(credentials).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _asked(request: Request) -> list[tuple[str, str]]:
    query: bytes = request.scope.get("query_string", b"")
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True)


def _refused(said: str) -> HTTPException:
    return HTTPException(status.HTTP_401_UNAUTHORIZED, said, HEADERS)
