"""Named connections to databases and services, as Airflow names them. Knows no Airflow: an operator hands them over."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from sluiceway.errors import SettingsError
from sluiceway.settings import connection_variable


class Connection(BaseModel):
    """What an Airflow connection holds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    conn_id: str
    conn_type: str
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = Field(default=None, repr=False)
    schema_name: str | None = Field(default=None, alias="schema")
    """The database's name, for databases."""
    extra: Mapping[str, Any] = Field(default={}, repr=False)


Connections = Callable[[str], Connection]
"""From a connection's id to what it holds; raises SettingsError when there is none."""


def from_environment(conn_id: str) -> Connection:
    """The connection of AIRFLOW_CONN_<ID>, a URI or JSON, as Airflow itself reads it.

    :raises SettingsError: the variable is not set, or is neither.
    """
    text = connection_variable(conn_id)
    if text is None:
        raise SettingsError(
            f"There is no connection {conn_id!r}: set AIRFLOW_CONN_{conn_id.upper()} to a URI or to JSON, "
            f"or run the table in Airflow, where it is defined."
        )
    try:
        return _from_json(conn_id, text) if text.lstrip().startswith("{") else from_uri(conn_id, text)
    except ValueError:
        # the value may hold a password: neither it nor pydantic's error, which repeats it, is shown or logged
        raise SettingsError(f"AIRFLOW_CONN_{conn_id.upper()} is neither a connection's URI nor its JSON.") from None


def _from_json(conn_id: str, text: str) -> Connection:
    values = json.loads(text)
    extra = values.pop("extra", None) or {}
    return Connection(**{**values, "conn_id": conn_id, "extra": json.loads(extra) if isinstance(extra, str) else extra})


def from_uri(conn_id: str, text: str) -> Connection:
    """The connection of a URI; raises ValueError when it is none."""
    parts = urlsplit(text)
    if not parts.scheme:
        raise ValueError("no scheme")
    query = dict(parse_qsl(parts.query))
    extra = json.loads(query["__extra__"]) if "__extra__" in query else query
    return Connection(
        conn_id=conn_id,
        conn_type=parts.scheme.replace("-", "_"),
        host=unquote(parts.hostname) if parts.hostname else None,
        port=parts.port,
        login=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        # sqlite:////srv/x.db names the path /srv/x.db
        schema=unquote(parts.path.removeprefix("/")) or None,
        extra=extra,
    )


def http_address(connection: Connection) -> str | None:
    """The address that a connection holds; Airflow keeps `https` in its schema, or in the host. None: it holds none."""
    if not connection.host:
        return None
    if "://" in connection.host:
        has_port = urlsplit(connection.host).port is not None
        return (
            connection.host if has_port or not connection.port else f"{connection.host.rstrip('/')}:{connection.port}"
        )
    scheme = connection.schema_name if connection.schema_name in {"http", "https"} else connection.conn_type
    port = f":{connection.port}" if connection.port else ""
    return f"{scheme if scheme in {'http', 'https'} else 'https'}://{connection.host}{port}"


def secret_headers(connection: Connection) -> dict[str, str]:
    """What a connection adds to a request over HTTP: login and password, or a bearer token, and its extra `headers`.

    :raises SettingsError: a header cannot be sent.
    """
    headers = {}
    if connection.login:
        pair = base64.b64encode(f"{connection.login}:{connection.password or ''}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    elif connection.password:
        headers["Authorization"] = f"Bearer {connection.password}"
    extra = connection.extra.get("headers") or {}
    if not isinstance(extra, dict):
        raise SettingsError(f'connection {connection.conn_id!r}: its extra headers is no object {{"Name": "value"}}')
    headers |= {str(name): str(value) for name, value in extra.items()}
    for name, value in headers.items():
        # httpx would show the value in its error
        if not (f"{name}{value}".isascii() and f"{name}{value}".isprintable()):
            raise SettingsError(
                f"connection {connection.conn_id!r}: the header {name!r} would hold a line break or a character "
                f"outside of ASCII; set it anew"
            )
    return headers
