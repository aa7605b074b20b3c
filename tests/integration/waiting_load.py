"""Which process on this machine loads: what a test ends, and nothing else."""

from __future__ import annotations

from urllib.parse import urlsplit

import psutil

from tests.integration.deployment import Deployment


def waiting_load(deployment: Deployment, table: str | None = None) -> int | None:
    """The process whose load, of that table or of any, waits for a lock of the warehouse."""
    waiting = deployment.query(
        f"SELECT client_port FROM pg_stat_activity WHERE application_name LIKE 'sluiceway load {table or '%'}' "
        "AND wait_event_type = 'Lock'"
    )
    server = urlsplit(deployment.stack.warehouse_url).port or 5432
    return next((pid for (port,) in waiting if (pid := client_of(port, server)) is not None), None)


def client_of(port: int, server: int) -> int | None:
    """The process that is connected from that port to the port of a server on this machine.

    Both are asked for: another process may be connected to another server from a port of the same number.
    """
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.raddr and (connection.laddr.port, connection.raddr.port) == (port, server):
            return connection.pid
    return None
