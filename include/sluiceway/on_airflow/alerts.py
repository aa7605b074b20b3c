"""Alerts in Airflow: by its connections and notifiers, at the end of a run, by freshness_watch, and by a deadline."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.configuration import conf
from airflow.sdk.log import mask_secret

from sluiceway.alerts.spec import Alert, AlertsSpec, path_of, read_alerts
from sluiceway.errors import ConfigError, NotToldError, SluicewayError
from sluiceway.on_airflow.connections import connections
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from sluiceway.alerts.channels import Channel
    from sluiceway.alerts.model import Message
    from sluiceway.alerts.watch import Surroundings

RUN_END_S = 30.0
"""So long a run's verdict waits for the telling, at most; freshness_watch tells what is left."""

log = logging.getLogger(__name__)


def declared() -> bool:
    """Whether there is a file of alerts, right or wrong."""
    return path_of().exists()


def surroundings(url: str) -> Surroundings:
    """Where and how Airflow looks and tells.

    :param url: the warehouse's.
    """
    from sluiceway.alerts.watch import Surroundings

    return Surroundings(url, load_settings(), connections, channels_of, airflow_url())


def airflow_url() -> str | None:
    """Where a message's links lead: as SLUICEWAY_AIRFLOW_URL says, else as Airflow's own `[api] base_url`."""
    return load_settings().airflow_url or conf.get("api", "base_url", fallback=None) or None


def channels_of(alert: Alert) -> Sequence[Channel]:
    """The places that an alert tells; no log of Airflow shows their addresses.

    Airflow's own notifier of Apprise does not say whether its message has arrived, and one that has not would be lost:
    so Apprise is asked here, by the same connection.

    :raises SettingsError: its connection is missing or broken.
    """
    from sluiceway.alerts import channels

    if alert.connection is None:
        return [NotifierChannel(alert.notifier or "", alert.arguments)]
    found = connections(alert.connection)
    for address in channels.addresses(found):
        mask_secret(address)
    return channels.channels_of(found)


class NotifierChannel:
    """A notifier of Airflow's.

    :param name: its class.
    :param arguments: what it is made with.
    """

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        self.name = name
        self._arguments = arguments

    def send(self, message: Message, within_s: float) -> None:
        """Have it notify; raises NotToldError when it raises, or has not ended in time."""
        from sluiceway.alerts.channels import in_time

        in_time(self.name, lambda: self._notify(message), within_s)

    def _notify(self, message: Message) -> None:
        from sluiceway.alerts.notifier import notifier_class

        try:
            notifier = notifier_class(self.name)
        except ConfigError as error:
            raise NotToldError(f"there is no {self.name} to tell by: {error}") from None
        filled = _filled(self._arguments, {"{subject}": message.subject, "{body}": message.body})
        # not by a call: that would render the message as a template, and it quotes errors
        notifier(**filled).notify({})


def _filled(value: Any, words: Mapping[str, str]) -> Any:
    """An argument with the message in place of its placeholders."""
    if isinstance(value, Mapping):
        return {key: _filled(each, words) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(each, words) for each in value]
    if isinstance(value, str):
        parts = value.split("{subject}")
        return words["{subject}"].join(part.replace("{body}", words["{body}"]) for part in parts)
    return value


def tell_after_run(url: str) -> None:
    """Look and tell at the end of a run, as well as it goes in its time; whatever comes of it, the run stays as it is.

    :param url: the warehouse's.
    """
    if not declared():
        return
    from sluiceway.alerts.channels import in_time

    try:
        spec = read_alerts()
        in_time("who is to know", lambda: _tell(url, spec), RUN_END_S)
    except SluicewayError as error:
        log.error("Not all was told at the end of the run: %s; freshness_watch tells it", error)


def _tell(url: str, spec: AlertsSpec) -> None:
    from sluiceway.alerts.tell import tell
    from sluiceway.alerts.watch import settle

    around = surroundings(url)
    settle(around)
    tell(url, spec, around.channels_of, airflow_url=around.airflow_url, within_s=RUN_END_S)
