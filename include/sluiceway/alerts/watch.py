"""One look with all that follows: incidents are settled, whoever is to know is told, and the heartbeat is sent."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import httpx

from sluiceway.alerts import incidents
from sluiceway.alerts.channels import Channel, channels_of
from sluiceway.alerts.look import look
from sluiceway.alerts.notices import Untold, untold
from sluiceway.alerts.spec import Alert, AlertsSpec
from sluiceway.alerts.tell import ChannelsOf, Told, concerns, tell
from sluiceway.deploy.spec import Environment, read_environment
from sluiceway.errors import ConfigError, NotHereError, NotToldError, SettingsError
from sluiceway.ledger.warehouse import connect
from sluiceway.settings import Settings
from sluiceway.sources.connections import Connection, Connections, from_environment
from sluiceway.sources.services.one_get import checked, get_once

HEARTBEAT_S = 10.0
PATIENCE_S = 120.0
"""So long a look that has nobody who waits for it may tell."""


class Heartbeat(NamedTuple):
    """What came of asking the dead man's switch."""

    error: str | None = None

    @property
    def is_sent(self) -> bool:
        """Whether it has answered."""
        return self.error is None


class Watched(NamedTuple):
    """What came of a look."""

    open: int
    """Incidents that are open now."""
    told: Told
    waiting: tuple[Untold, ...]
    """What could not be told, now or before, and waits for its next try."""
    heartbeat: Heartbeat | None
    """None: the file names none."""

    @property
    def failed(self) -> tuple[str, ...]:
        """Why this look, or one before, has not told all that it should: somebody does not know what is wrong."""
        silent = self.heartbeat.error if self.heartbeat is not None else None
        waiting = (each.sentence for each in self.waiting if each.error is not None)
        return tuple(filter(None, [*self.told.failed, silent, *waiting]))


class Surroundings(NamedTuple):
    """Where and how to look and to tell."""

    url: str
    """The warehouse's."""
    settings: Settings
    connections: Connections
    channels_of: ChannelsOf
    airflow_url: str | None
    """Where links lead."""


def surroundings(url: str, settings: Settings, connections: Connections = from_environment) -> Surroundings:
    """Those outside of Airflow."""
    return Surroundings(url, settings, connections, lambda alert: outside(alert, connections), settings.airflow_url)


def outside(alert: Alert, connections: Connections) -> list[Channel]:
    """The channels of an alert, where there is no Airflow.

    :raises NotHereError: it has a notifier of Airflow.
    :raises SettingsError: its connection is missing or broken.
    """
    if alert.connection is None:
        raise NotHereError(
            f"{alert.name}: its notifier {alert.notifier} is Airflow's, and only Airflow tells by it; what it is to "
            f"tell waits for freshness_watch. With a connection that holds an Apprise address it is told here, too."
        )
    return channels_of(connections(alert.connection))


def watch(around: Surroundings, spec: AlertsSpec, *, within_s: float = PATIENCE_S) -> Watched:
    """Look, settle, tell, and send the heartbeat if the look was good.

    :raises WarehouseUnavailableError: the ledger does not answer: nothing is told, and no heartbeat is sent.
    """
    settle(around)
    told = tell(around.url, spec, around.channels_of, airflow_url=around.airflow_url, within_s=within_s)
    with connect(around.url) as session:
        found = incidents.of_interest(session)
        wanted = {alert.name: [each.id for each in found if concerns(alert, each)] for alert in spec.alerts.values()}
        waiting = untold(session, wanted)
    count = sum(each.recovered_at is None for each in found)
    return Watched(count, told, tuple(waiting), _heartbeat(spec, around.connections))


def settle(around: Surroundings) -> None:
    """Look, and write what was seen."""
    environment = _environment(around.settings)
    observed = look(around.url, environment, around.settings, around.connections)
    with connect(around.url) as session:
        incidents.settle(session, observed)
        incidents.forget(session, older_than_days=around.settings.history_days)


def _environment(settings: Settings) -> Environment | None:
    return read_environment(settings.environment, settings) if settings.environment is not None else None


def _heartbeat(spec: AlertsSpec, connections: Connections) -> Heartbeat | None:
    if spec.heartbeat is None:
        return None
    try:
        beat(connections(spec.heartbeat))
    except (NotToldError, SettingsError) as error:
        return Heartbeat(f"The heartbeat was not sent: {error}")
    return Heartbeat()


def beat(connection: Connection) -> None:
    """Ask the dead man's switch, whose address is a secret.

    :raises NotToldError: it does not answer, or refuses.
    :raises SettingsError: the connection holds no address.
    """
    name = connection.conn_id
    try:
        url = checked(_address(connection), None)
        answer = asyncio.run(get_once(url, {}, timeout_s=HEARTBEAT_S, max_bytes=0))
    except (httpx.RequestError, TimeoutError) as error:
        raise NotToldError(f"{name} does not answer: {type(error).__name__}") from None
    except ConfigError:
        raise SettingsError(f"The connection {name!r} holds no address of https:// or http://") from None
    if not httpx.codes.is_success(answer.status):
        raise NotToldError(f"{name} answered {answer.status}")


def _address(connection: Connection) -> str:
    """The password of a connection, or what its other fields come to as Airflow reads them."""
    if connection.password:
        return connection.password
    if not connection.host:
        raise SettingsError(f"The connection {connection.conn_id!r} holds no address; write it as its password")
    if "://" in connection.host:
        return connection.host
    named = {"http", "https"}
    scheme = next((each for each in (connection.schema_name, connection.conn_type) if each in named), "https")
    path = f"/{connection.schema_name}" if connection.schema_name and connection.schema_name not in named else ""
    port = f":{connection.port}" if connection.port else ""
    return f"{scheme}://{connection.host}{port}{path}"
