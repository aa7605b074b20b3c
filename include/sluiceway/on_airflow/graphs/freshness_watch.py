"""What the DAG freshness_watch does: it looks, and tells what nobody else has told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sluiceway.on_airflow.connections import warehouse_url

if TYPE_CHECKING:
    from airflow.sdk import Context


def look_and_tell(_context: Context) -> int:
    """Look for what is wrong, tell whoever is to know, and send the heartbeat; how many messages were sent."""
    from sluiceway.alerts.spec import read_alerts
    from sluiceway.alerts.watch import watch
    from sluiceway.errors import NotToldError
    from sluiceway.on_airflow.alerts import surroundings

    found = watch(surroundings(warehouse_url()), read_alerts())
    failed = [*found.told.failed, *([found.heartbeat.error] if found.heartbeat and found.heartbeat.error else [])]
    if failed:
        raise NotToldError("\n".join(failed))
    return found.told.sent
