"""What the headers of an HTTP answer say: how long to wait, how much comes, how it is packed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx


def settled(modified: str | None, date: str | None) -> str | None:
    """Last-Modified, if nothing can have changed within the same second: RFC 9110, section 8.8.2.2."""
    if modified is None:
        return None
    try:
        now = parsedate_to_datetime(date) if date is not None else datetime.now(UTC)
        return modified if now - parsedate_to_datetime(modified) >= timedelta(seconds=1) else None
    except (TypeError, ValueError):
        return None


def retry_after(value: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, by a number or a date; None when the server does not say."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def encoding_of(answer: httpx.Response) -> str:
    """How the body is packed: `identity`, `gzip` or what the server says, in lower case."""
    encoding = answer.headers.get("content-encoding", "").strip().lower().removeprefix("x-")
    return encoding or "identity"


def announced(answer: httpx.Response) -> int | None:
    """The length of this body, which may be a part of the file; chunks know their own end."""
    length = answer.headers.get("content-length")
    return int(length) if length is not None and not is_chunked(answer) else None


def is_chunked(answer: httpx.Response) -> bool:
    """Whether the body comes in pieces that know their end."""
    return "chunked" in answer.headers.get("transfer-encoding", "").lower()
