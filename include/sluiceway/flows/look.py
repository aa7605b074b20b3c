"""One look of a trigger and what of it is written down, the same for the triggerer, poll mode and `triggers test`."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from pydantic import JsonValue

from sluiceway.errors import SluicewayError
from sluiceway.events import Look
from sluiceway.flows.trigger import SensorConfig, SensorTrigger
from sluiceway.ledger import events
from sluiceway.ledger.events import TriggerState
from sluiceway.ledger.warehouse import connect
from sluiceway.sources.connections import Connections

_NOT_WATCHED = set(SensorConfig.model_fields) - {"sensor_type"}
"""Keys that say when to look and what to do then, and not what is seen."""
LONGEST_REST_S = 60.0
"""For so long what has not come to rest is waited for where nobody looks by himself: then at the next look."""


def config_hash(trigger: SensorTrigger[Any]) -> str:
    """Of what the cursor means: a trigger that watches something else begins anew."""
    own = type(trigger).place is not SensorTrigger.place
    watched = trigger.place() if own else trigger.config.model_dump_json(exclude=_NOT_WATCHED)
    return hashlib.sha256(watched.encode()).hexdigest()[:16]


def cursor_of(trigger: SensorTrigger[Any], known: TriggerState) -> JsonValue:
    """Where this trigger's next look begins; None: anew."""
    return known.cursor if known.config_hash == config_hash(trigger) else None


def has_moved(trigger: SensorTrigger[Any], known: TriggerState, look: Look) -> bool:
    """Whether a look has to be written down: its events, its cursor, or that the place is seen again."""
    return bool(
        look.events
        or known.looked_at is None
        or known.is_failing
        or known.config_hash != config_hash(trigger)
        or known.cursor != look.cursor
    )


def look_now(url: str, trigger: SensorTrigger[Any], connections: Connections) -> tuple[int, int]:
    """Look once, and once more after a while if something has not come to rest; write down what is seen.

    :returns: how many new events there are, and how many that no run has taken.
    :raises LookOvertakenError: somebody else has looked meanwhile.
    :raises SluicewayError: the place cannot be seen; that stands in the ledger too.
    """
    new, waiting, again_s = _look(url, trigger, connections)
    if again_s is not None and again_s <= LONGEST_REST_S:
        time.sleep(again_s)
        more, waiting, _ = _look(url, trigger, connections)
        new += more
    return new, waiting


def _look(url: str, trigger: SensorTrigger[Any], connections: Connections) -> tuple[int, int, float | None]:
    names = trigger.config.flow_id, trigger.config.id
    with connect(url) as session:
        known = events.state(session, *names)
    cursor = cursor_of(trigger, known)
    try:
        look = trigger.compare(trigger.observe(connections, cursor), cursor)
    except SluicewayError as error:
        with connect(url) as session:
            events.record_error(session, *names, str(error))
        raise
    with connect(url) as session:
        new = events.record_look(session, known, look, config_hash=config_hash(trigger))
        return new, events.count_unclaimed(session, names[0], [names[1]]), look.again_s
