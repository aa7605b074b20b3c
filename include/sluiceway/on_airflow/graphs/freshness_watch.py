"""What the DAG freshness_watch does, which tells what nobody else has told; and the deadline by which a run begins."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from sluiceway.alerts.spec import read_alerts
from sluiceway.errors import ConfigError
from sluiceway.on_airflow.alerts import declared, surroundings
from sluiceway.on_airflow.connections import warehouse_url
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow.sdk import Context
    from airflow.sdk.definitions.deadline import DeadlineAlert

log = logging.getLogger(__name__)


def look_and_tell(_context: Context) -> int:
    """Look for what is wrong, tell whoever is to know, and send the heartbeat; how many messages were sent."""
    from sluiceway.alerts.watch import watch
    from sluiceway.errors import NotToldError

    found = watch(surroundings(warehouse_url()), read_alerts())
    for each in found.waiting:
        if each.error is None:
            log.warning("%s", each.sentence)
    if found.failed:
        raise NotToldError("\n".join(found.failed))
    return found.told.sent


def start_deadline() -> DeadlineAlert | None:
    """What tells of a run that does not begin in time; None where nobody is told of that.

    A file that is wrong takes no DAG down with it: freshness_watch is red, and says what is wrong.
    """
    try:
        if not declared() or not read_alerts().tells_of("waiting"):
            return None
    except ConfigError:
        return None
    from airflow.sdk.definitions.callback import AsyncCallback
    from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

    from sluiceway.on_airflow.triggers.never_began import tell_if_never_began

    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        # as a number, which Airflow reads too: with a timedelta 3.3 can clear no task of a run whose deadline has not
        # passed (apache/airflow#70368), which is when a red run is mended
        interval=cast("timedelta", load_settings().start_within_s),
        callback=AsyncCallback(tell_if_never_began),
    )
