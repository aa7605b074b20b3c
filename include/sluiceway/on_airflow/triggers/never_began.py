"""What the triggerer does when a run's deadline is over: it tells of one that has not begun."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sluiceway.errors import TransientError
from sluiceway.ledger.rows import RunKey

if TYPE_CHECKING:
    from airflow.sdk import Context

TRIES, WAIT_S = 10, 30.0
"""A ledger that does not answer is asked again: Airflow tells of a deadline once."""
SEND_WITHIN_S = 30.0
OVER = frozenset({"success", "failed"})

log = logging.getLogger(__name__)


async def tell_if_never_began(context: Context) -> str:
    """Tell of a run of which no task has begun, unless it has ended; says what was done."""
    run: Any = context["dag_run"]
    key, state = RunKey(run["dag_id"], run["dag_run_id"]), run["state"]
    if state in OVER:
        return f"{key} has ended"
    queued_at = datetime.fromisoformat(run["queued_at"]) if run.get("queued_at") else None
    for attempt in range(TRIES):
        try:
            # the ledger, Airflow's connections and what is told all block, and the triggerer's loop must not
            return await asyncio.to_thread(_tell, key, queued_at)
        except TransientError as error:
            if attempt == TRIES - 1:
                raise
            log.warning("%s: %s; tried again in %.0f s", key, error, WAIT_S)
            await asyncio.sleep(WAIT_S)
    return ""


def _tell(key: RunKey, queued_at: datetime | None) -> str:
    from sluiceway.alerts import incidents
    from sluiceway.alerts.look import not_begun
    from sluiceway.alerts.spec import read_alerts
    from sluiceway.alerts.tell import tell
    from sluiceway.ledger import store
    from sluiceway.ledger.revision import check_revision
    from sluiceway.ledger.warehouse import connect
    from sluiceway.on_airflow.alerts import airflow_url, channels_of
    from sluiceway.on_airflow.connections import warehouse_url
    from sluiceway.settings import load_settings

    url = warehouse_url()
    with connect(url) as session:
        check_revision(session)
        if store.run(session, key) is not None:
            return f"{key} has begun"
        waits_for_another = any(run.status == "running" for run in store.runs(session, dag_id=key.dag_id))
        problem = not_begun(key, queued_at, is_held=waits_for_another)
        incidents.write(session, [problem], environment=load_settings().environment)
    told = tell(url, read_alerts(), channels_of, airflow_url=airflow_url(), within_s=SEND_WITHIN_S)
    return f"{key} has not begun; {told.sent} told"
