"""Airflow's connections, as the library takes them: the warehouse as a URL, a source's as a Connection."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from sluiceway.errors import SettingsError
from sluiceway.sources.connections import Connection

CONN_ID = "warehouse"
JOBS_CONN_ID = "warehouse_jobs"
"""The same warehouse as the role that alone writes what jobs know of their items."""


def warehouse_url(conn_id: str = CONN_ID) -> str:
    """The postgresql:// URL of an Airflow connection of type postgres; extras become its options.

    :raises SettingsError: there is no such connection.
    """
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise SettingsError(f"There is no connection {conn_id!r}: add it in Airflow.") from None
    user = quote(connection.login or "", safe="")
    password = f":{quote(connection.password, safe='')}" if connection.password else ""
    options = urlencode({key: str(value) for key, value in connection.extra_dejson.items()})
    host = f"{connection.host or 'localhost'}:{connection.port or 5432}"
    return f"postgresql://{user}{password}@{host}/{connection.schema or ''}" + (f"?{options}" if options else "")


def connections(conn_id: str) -> Connection:
    """What the Airflow connection of a source, or of a service, holds.

    :raises SettingsError: there is no such connection.
    """
    try:
        found = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise SettingsError(f"There is no connection {conn_id!r}: add it in Airflow.") from None
    return Connection(
        conn_id=conn_id,
        conn_type=found.conn_type,
        host=found.host,
        port=found.port,
        login=found.login,
        password=found.password,
        schema=found.schema,
        extra=found.extra_dejson,
    )
