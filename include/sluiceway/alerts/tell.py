"""Tells of incidents: takes what is due, sends it, and notes what has arrived. A run's colour never depends on it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from psycopg import sql

from sluiceway.alerts import incidents, message, notices
from sluiceway.alerts.channels import Channel
from sluiceway.alerts.model import DAG, TABLE, Frozen, Incident, Message, Notice, What
from sluiceway.alerts.spec import Alert, AlertsSpec
from sluiceway.errors import NotHereError, NotToldError, SettingsError, WarehouseUnavailableError
from sluiceway.ledger.warehouse import connect

SEND_S = 20.0
"""So long one message may take at most."""
LEAST_S = 2.0
"""With less than that left nothing is begun: whoever tells next does it."""

ChannelsOf = Callable[[Alert], Sequence[Channel]]
"""The places that an alert tells; raises SettingsError where it has none, NotHereError where only Airflow can tell."""

log = logging.getLogger(__name__)


class Told(Frozen):
    """What came of it."""

    sent: int = 0
    """Messages that have arrived."""
    failed: tuple[str, ...] = ()
    """Why others have not: they are tried again."""
    left: tuple[str, ...] = ()
    """Alerts that only Airflow can tell by."""


def tell(
    url: str, spec: AlertsSpec, channels_of: ChannelsOf, *, airflow_url: str | None = None, within_s: float
) -> Told:
    """Tell everybody what is due.

    :param within_s: begins nothing that would not end in that time.
    :raises WarehouseUnavailableError: the ledger does not answer: nothing was told.
    """
    until = time.monotonic() + within_s
    with connect(url) as session:
        found = incidents.of_interest(session)
    sent = 0
    failed: list[str] = []
    left: list[str] = []
    for alert in spec.alerts.values():
        concerned = [each for each in found if concerns(alert, each)]
        if not concerned:
            continue
        try:
            channels = channels_of(alert)
        except NotHereError as error:
            left.append(str(error))
            continue
        except SettingsError as error:
            channels = [_Nowhere(alert.connection or alert.name, str(error))]
        for channel in channels:
            teller = _Teller(url, alert, channel, airflow_url)
            for what in ("opened", "recovered"):
                if until - time.monotonic() < LEAST_S:
                    return Told(sent=sent, failed=tuple(failed), left=tuple(left))
                try:
                    sent += teller.tell(what, concerned, until)
                except NotToldError as error:
                    log.warning("%s: %s; it is tried again", alert.name, error)
                    failed.append(f"{alert.name}: {error}")
    return Told(sent=sent, failed=tuple(failed), left=tuple(left))


def concerns(alert: Alert, incident: Incident) -> bool:
    """Whether the alert is to tell of the incident."""
    return alert.concerns(incident.kinds, incident.named(TABLE), incident.named(DAG))


class _Nowhere:
    """Stands for a channel that cannot be had: what it is to tell is kept, with the reason."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self._reason = reason

    def send(self, _message: Message, _within_s: float) -> None:
        """Raise NotToldError."""
        raise NotToldError(self._reason)


class _Teller:
    """Tells by one channel."""

    def __init__(self, url: str, alert: Alert, channel: Channel, airflow_url: str | None) -> None:
        self._url = url
        self._alert = alert
        self._channel = channel
        self._airflow_url = airflow_url

    def tell(self, what: What, concerned: Sequence[Incident], until: float) -> int:
        """Send one message of all that is due; 0, and nothing sent, if nothing is.

        :raises NotToldError: it has not arrived.
        """
        with connect(self._url) as session:
            claimed, due = notices.claim(session, self._alert, self._channel.name, what, concerned)
            at = session.execute(_NOW)[0][0]
        if not due:
            return 0
        try:
            self._channel.send(self._message(what, due, at), min(SEND_S, until - time.monotonic()))
        except NotToldError as error:
            with connect(self._url) as session:
                notices.not_told(session, claimed, str(error))
            raise
        self._note(claimed)
        return 1

    def _message(self, what: What, due: Sequence[Notice], at: datetime) -> Message:
        compose = message.of_problems if what == "opened" else message.of_recovered
        return compose(due, at, self._airflow_url)

    def _note(self, claimed: UUID) -> None:
        try:
            with connect(self._url) as session:
                notices.told(session, claimed)
        except WarehouseUnavailableError:
            log.exception("%s was told, and the ledger could not be told so: it is told again", self._channel.name)


_NOW = sql.SQL("SELECT clock_timestamp()")
