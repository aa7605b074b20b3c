"""The Airflow connection of the warehouse, as the URL that the library takes."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from airflow.sdk import BaseHook

CONN_ID = "warehouse"


def warehouse_url(conn_id: str = CONN_ID) -> str:
    """The postgresql:// URL of an Airflow connection of type postgres; extras become its options."""
    connection = BaseHook.get_connection(conn_id)
    user = quote(connection.login or "", safe="")
    password = f":{quote(connection.password, safe='')}" if connection.password else ""
    options = urlencode({key: str(value) for key, value in connection.extra_dejson.items()})
    host = f"{connection.host or 'localhost'}:{connection.port or 5432}"
    return f"postgresql://{user}{password}@{host}/{connection.schema or ''}" + (f"?{options}" if options else "")
