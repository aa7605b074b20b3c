"""Tokens of machines that are sent where none is taken, or wrongly: to a page, as a password, in quotes, in an address.

No answer repeats what was sent. A password that is no token of ours is left alone: a proxy in front may ask for it.
"""

from __future__ import annotations

import base64
import binascii
import re
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
ODD = "Send a token as `Authorization: Bearer`: the word once, a blank, and the token with nothing around it."
NO_BASIC = "A face takes no Basic: send a token of it as `Authorization: Bearer`."
OF_A_FACE = (
    "This token is for the faces, such as /sluiceway/api/status.json, and opens nothing else: "
    "a page takes a user of Airflow, who logs in."
)
_CREDENTIALS = re.compile(r"[\w.~+/-]+=*", re.ASCII)
"""What may stand after Bearer (RFC 6750)."""
_SHOWN = re.compile(rf"{PREFIX}[\w-]+", re.ASCII)
_WHOLE = re.compile(rf"{PREFIX}[\w-]{{32}}", re.ASCII)
"""Nobody guesses what a shorter part of a token lacks; a table, or a run, may be called so."""


def wrong_at_a_face(request: Request) -> str | None:
    """What is wrong with the way in which a face's token is sent; None: nothing."""
    if is_in_address(request) or any(name.casefold() in IN_AN_ADDRESS for name, _ in _asked(request)):
        return SENT
    scheme, _ = _sent(request)
    # of a browser that has a session it may be a proxy's
    is_refused = scheme == "basic" and not request.cookies
    return _wrong_header(request) or (NO_BASIC if is_refused else None)


def refuse_a_token(request: Request) -> None:
    """Refuse a token of a face where a user is wanted, for routers of pages.

    :raises HTTPException: there is one, or an empty header.
    """
    if is_in_address(request):
        raise refused(SENT)
    if wrong := _wrong_header(request):
        raise refused(wrong)
    scheme, credentials = _sent(request)
    if scheme == "bearer" and credentials.startswith(PREFIX):
        raise refused(OF_A_FACE)


def is_in_address(request: Request) -> bool:
    """Whether a token of a face stands in the address that is asked for."""
    if _WHOLE.search(request.scope.get("path", "")):
        return True
    return any(value.startswith(PREFIX) or _WHOLE.search(f"{name} {value}") for name, value in _asked(request))


def without_tokens(text: str) -> str:
    """The text as an answer may show it: of what looks like a token, or like a part of one, the first letters."""
    return _SHOWN.sub(f"{PREFIX}...", text)


def _wrong_header(request: Request) -> str | None:
    scheme, credentials = _sent(request)
    if scheme == "bearer":
        if not credentials:
            return EMPTY
        return None if _CREDENTIALS.fullmatch(credentials) else ODD
    if scheme.startswith(PREFIX):
        return "Send a token as `Authorization: Bearer`: the header lacks the word Bearer."
    if PREFIX in scheme or scheme.strip("\"'<:") == "bearer":
        return ODD
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


def refused(said: str) -> HTTPException:
    """What is answered to a token that is sent wrongly."""
    return HTTPException(status.HTTP_401_UNAUTHORIZED, said, HEADERS)
