"""Runs of the twenty tables in the ledger, and the time that has gone by since they were told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sluiceway.ledger.store import RunStatus, TableStatus
from tests.alerts.conftest import TABLES
from tests.freshness.ledgered import ran

HOUR = timedelta(hours=1)
Query = Callable[..., list[tuple[Any, ...]]]


def finished(
    url: str, run_id: str, status: RunStatus, became: TableStatus, *, ago: timedelta = HOUR, **more: Any
) -> None:
    """A run of all twenty tables."""
    note = "20 of 20 tables failed." if status == "failed" else None
    ran(url, run_id, ago=ago, status=status, note=note, **more, **dict.fromkeys(TABLES, became))


def later(query: Query, by: timedelta) -> None:
    """Have everything that was told, tried or claimed have happened that long ago."""
    for table, columns in (
        ("notice", ("told_at", "last_told_at", "claimed_until", "next_at")),
        ("incident", ("opened_at", "seen_at", "tell_from", "recovered_at", "acknowledged_at", "snoozed_until")),
        ("alert_look", ("looked_at",)),
    ):
        changes = ", ".join(f"{column} = {column} - interval '{by.total_seconds()} s'" for column in columns)
        query(f"UPDATE etl.{table} SET {changes}")
