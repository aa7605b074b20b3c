"""Airflow's connections, for the API server."""

from __future__ import annotations

from airflow.models.connection import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from sluiceway.errors import SettingsError
from sluiceway.on_airflow import connections


def password_of(conn_id: str) -> str:
    """The password that a connection holds.

    :raises SettingsError: there is no such connection, or it holds none.
    """
    try:
        password = Connection.get_connection_from_secrets(conn_id).password
    except AirflowNotFoundException:
        raise SettingsError(f"There is no connection {conn_id!r}: add it in Airflow.") from None
    if not password:
        # anybody can sign with an empty one
        raise SettingsError(f"The connection {conn_id!r} has no password: set it in Airflow.")
    return str(password)


def warehouse_url() -> str:
    """The warehouse's URL.

    :raises SettingsError: there is no such connection.
    """
    return connections.warehouse_url()
