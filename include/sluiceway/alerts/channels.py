"""How a message leaves: through Apprise, by the address that a connection holds. Knows no Airflow.

Addresses of Apprise hold secrets: none is in an error, in what is logged, or in the ledger.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from urllib.parse import unquote

from sluiceway.alerts.model import Message
from sluiceway.errors import NotToldError, SettingsError, SluicewayError, nearest
from sluiceway.sources.connections import Connection

THREAD = "sluiceway alert"
"""Begins the names of threads that send."""
MASKED = 3
"""A part of an address of so many characters or more is masked in what a service says."""
_PARTS = re.compile(r"[^\w.-]+|[?&=]")
_LOGGERS = ("urllib3.connectionpool", "requests_oauthlib.oauth2_session", "requests_oauthlib.oauth1_auth")
"""At the level DEBUG they log addresses."""

log = logging.getLogger(__name__)


class Channel(Protocol):
    """One place that is told."""

    @property
    def name(self) -> str:
        """By which the ledger knows it: never an address."""
        ...

    def send(self, message: Message, within_s: float) -> None:
        """Send it; raises NotToldError, with no secret in it, when it did not arrive or nobody knows."""
        ...


class AppriseChannel:
    """One address of Apprise."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self._address = address

    def send(self, message: Message, within_s: float) -> None:
        """Send it; raises NotToldError."""
        in_time(self.name, lambda: self._send(message), within_s)

    def _send(self, message: Message) -> None:
        import apprise

        # in this very thread: one of Apprise's own would hold the process for as long as the service hangs
        asset = apprise.AppriseAsset(
            async_mode=False, service_timeout=0, secure_logging=True, app_id="Sluiceway", app_desc="Sluiceway"
        )
        sender = apprise.Apprise(asset=asset)
        if not sender.add(self._address):
            raise NotToldError(
                f"The connection {self.name!r} holds no address that Apprise takes{self._nearest_service(apprise)}"
            )
        kind = apprise.NotifyType.SUCCESS if message.is_good else apprise.NotifyType.FAILURE
        result = sender.notify(
            title=message.subject, body=message.body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
        )
        if not result:
            said = "; ".join(dict.fromkeys(masked(entry.message, self._address) for entry in result.logs()))
            raise NotToldError(f"{self.name} was not told: {said or 'the service did not take the message'}")

    def _nearest_service(self, apprise: Any) -> str:
        scheme = self._address.partition("://")[0].lower()
        if "://" not in self._address or not re.fullmatch(r"[a-z0-9]{1,20}", scheme):
            return "; write one, such as mailtos://... or slack://..."
        known = {each for details in apprise.Apprise().details()["schemas"] for each in _schemes(details)}
        if scheme in known:
            return f": {scheme}:// needs other parts; see Apprise's page of that service"
        return f": there is no service {scheme}://{nearest(scheme, known, listing=False)}"


def _schemes(details: Mapping[str, Any]) -> list[str]:
    return [*(details.get("protocols") or ()), *(details.get("secure_protocols") or ())]


def masked(text: str, address: str) -> str:
    """The text in one line, with no part of the address but its scheme."""
    parts = {each for part in _PARTS.split(address.partition("://")[2]) for each in (part, unquote(part))}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= MASKED:
            text = text.replace(part, "***")
    return " ".join(text.split())


def in_time(name: str, work: Callable[[], None], within_s: float) -> None:
    """Do it in a thread that is left alone when its time is over: a service that hangs blocks nothing.

    :raises NotToldError: it failed, or its time is over.
    """
    failed: list[NotToldError] = []

    def run() -> None:
        try:
            _without_secrets(name, work)
        except NotToldError as error:
            failed.append(error)

    _hush()
    thread = threading.Thread(target=run, name=f"{THREAD} {name}", daemon=True)
    thread.start()
    thread.join(within_s)
    if thread.is_alive():
        raise NotToldError(f"{name} was not told: it has not answered within {within_s:.0f} s")
    if failed:
        raise failed[0]


def _without_secrets(name: str, work: Callable[[], None]) -> None:
    try:
        work()
    except SluicewayError as error:
        raise NotToldError(str(error)) from None
    except Exception as error:  # noqa: BLE001  # raised again, without what it says: that may hold the address
        raise NotToldError(f"{name} was not told: {type(error).__name__}") from None


class _NotWhileSending(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.threadName or "").startswith(THREAD)


_HUSH = _NotWhileSending()


def _hush() -> None:
    """Have libraries say nothing of addresses while a message is sent."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_HUSH)
    # below its warnings it logs addresses and headers; those are read from its result, masked
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.WARNING)


def addresses(connection: Connection) -> list[str]:
    """The addresses that a connection holds: as Airflow's provider keeps them, or as its password alone.

    :raises SettingsError: it holds none.
    """
    config = connection.extra.get("config")
    if isinstance(config, str) and config.strip()[:1] in {"{", "["}:
        try:
            config = json.loads(config)
        except ValueError:
            config = None
    entries = config if isinstance(config, list) else [config]
    found = [each.get("path") if isinstance(each, Mapping) else each for each in entries if each]
    if not found and connection.password:
        found = [connection.password]
    if not found or not all(isinstance(each, str) and each.strip() for each in found):
        raise SettingsError(
            f"The connection {connection.conn_id!r} holds no address of Apprise: give it the type apprise, and as its "
            f'config {{"path": "<the address>"}}.'
        )
    return [str(each).strip() for each in found]


def channels_of(connection: Connection) -> list[Channel]:
    """A channel per address of the connection, named by the connection's id.

    :raises SettingsError: it holds none.
    """
    name = connection.conn_id
    return [
        AppriseChannel(name if number == 1 else f"{name}/{number}", address)
        for number, address in enumerate(addresses(connection), start=1)
    ]
