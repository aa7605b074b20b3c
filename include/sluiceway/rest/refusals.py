"""Why Airflow's REST API gave no answer that is one, as a sentence that names the address and what to do."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx

from sluiceway.json_path import parse as parse_json

LOGIN = "/auth/token"
SHOWN = 500
_BAD_GATEWAY = frozenset({502, 503, 504})


def address_problem(url: str) -> str | None:
    """What is wrong with an address of Airflow as it is written, if anything is."""
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        is_right = False
    return None if is_right else "is no address of an Airflow; write https://airflow.example.org"


def shown(url: str) -> str:
    """The address without whoever is named in it."""
    return re.sub(r"(?<=://)[^/]*@", "", url)


def unanswered(url: str, error: httpx.TransportError) -> str:
    """Why there is no answer."""
    return f"Airflow at {shown(url)} does not answer: {_cause(url, error)}"


def _cause(url: str, error: httpx.TransportError) -> str:
    host = urlsplit(url).hostname
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            said = cause.verify_message or "it cannot be verified"
            return f"its certificate is not trusted ({said}); name your authority's file in SSL_CERT_FILE."
        if isinstance(cause, ssl.SSLError):
            return "no TLS is spoken there; write http:// if that is meant, or name the port of https."
        if isinstance(cause, socket.gaierror):
            return f"the host {host!r} is not known; correct SLUICEWAY_AIRFLOW_URL, or look at the network's DNS."
        if isinstance(cause, ConnectionRefusedError):
            return "nothing listens there; start it, or correct SLUICEWAY_AIRFLOW_URL."
    if isinstance(error, httpx.TimeoutException):
        return "it takes too long; is it up, and can this machine reach it?"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        return "it breaks off, or speaks no HTTP; does SLUICEWAY_AIRFLOW_URL begin with https:// where it has to?"
    return f"{error or type(error).__name__}; is it up, and can this machine reach it?"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def refused(url: str, username: str, response: httpx.Response) -> str:
    """Why an answer is none that we can use."""
    place, status = shown(url), response.status_code
    path = response.request.url.raw_path.decode("ascii").partition("?")[0]
    request = f"{response.request.method} {path}"
    if response.is_redirect:
        to = urlsplit(response.headers.get("location", ""))
        there = f"{to.scheme}://{to.hostname}" if to.hostname else "another page"
        return (
            f"Airflow at {place} answers {status} to {request} and sends us to {there}: a login page stands before it, "
            "or SLUICEWAY_AIRFLOW_URL should name that address."
        )
    if status in _BAD_GATEWAY:
        return f"Airflow at {place} is not up behind its proxy, which answers {status} to {request}; try again later."
    at_login = path.endswith(LOGIN)
    if at_login and status in {httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED}:
        return (
            f"There is no Airflow 3 at {place}: it answers {status} to {request}. SLUICEWAY_AIRFLOW_URL is the address "
            "of Airflow's start page, with the path it is served under, and without /api/v2."
        )
    if at_login and status == httpx.codes.UNAUTHORIZED:
        return (
            f"Airflow at {place} does not let {username!r} in ({status} {_detail(response)}): see "
            "SLUICEWAY_AIRFLOW_USERNAME and SLUICEWAY_AIRFLOW_PASSWORD."
        )
    if not is_json(response):
        return (
            f"{place} is no Airflow 3, or something stands before it: to {request} it answers {status} and "
            f"{_kind(response)} instead of JSON. SLUICEWAY_AIRFLOW_URL is the address of Airflow's start page."
        )
    said = f"Airflow answered {status} to {request} at {place}: {_detail(response)}"
    if status == httpx.codes.FORBIDDEN:
        return f"{said}. The user {username!r} has not the rights for it; docs/how-to/access.md says which are needed."
    if status == httpx.codes.UNAUTHORIZED:
        return f"{said}. The login of {username!r} is over; try again."
    return said


def no_token(url: str) -> str:
    """The answer to a login is JSON, and not Airflow's."""
    return (
        f"{shown(url)} is no Airflow 3: its {LOGIN} gives no token for a password. SLUICEWAY_AIRFLOW_URL is the "
        "address of Airflow's start page."
    )


def is_json(response: httpx.Response) -> bool:
    """Whether the answer says that it is JSON, and is."""
    content_type: str = response.headers.get("content-type", "")
    if not content_type.startswith("application/json"):
        return False
    try:
        parse_json(response.content)
    except ValueError:
        return False
    return True


def _kind(response: httpx.Response) -> str:
    content_type: str = response.headers.get("content-type", "").partition(";")[0]
    return "a web page" if content_type == "text/html" else content_type or "something"


def _detail(response: httpx.Response) -> str:
    """Its own words on one line. A problem of a field also holds what was sent, which for a login is the password."""
    body: Any = parse_json(response.content) if is_json(response) else response.text
    said = body.get("detail", body) if isinstance(body, dict) else body
    if isinstance(said, list):
        problems = [problem for problem in said if isinstance(problem, dict)]
        said = "; ".join(f"{_dotted(problem.get('loc'))}: {problem.get('msg')}" for problem in problems)
    return " ".join(str(said).split())[:SHOWN]


def _dotted(location: Any) -> str:
    return ".".join(map(str, location)) if isinstance(location, list) else "request"
