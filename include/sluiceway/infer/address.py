"""The address of an API, taken apart: what is asked, and the key that opens it, which no file may hold."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from sluiceway.errors import ConfigError
from sluiceway.infer import naming
from sluiceway.sources.connections import Connection
from sluiceway.sources.place import without_secrets

_SECRET = re.compile(
    r"key|\w*api_?key|\w*app_?key|\w*auth_?key|registration_?key|subscription_?key|secret_?key|access_?key|app_?id"
    r"|\w*token|\w*secret|passw(or)?d|pwd|auth"
)
_OF_PAGES = re.compile(r"(next|page|continuation|skip|cursor|sync|start)_?(page_?)?token")
"""A token that says where the next page begins opens nothing."""


@dataclass(frozen=True)
class Address:
    """An address of http or https."""

    uri: str
    """Without what is asked, but for parameters that stand twice."""
    params: dict[str, str] = field(default_factory=dict)
    key_param: str | None = None
    key: str | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """It in a sentence."""
        return without_secrets(self.uri)

    def connection(self, conn_id: str | None) -> Connection | None:
        """The connection that is to hold the key; None where there is none."""
        if self.key is None:
            return None
        host = (urlsplit(self.uri).hostname or "").removeprefix("www.").removeprefix("api.")
        return Connection(conn_id=conn_id or naming.table_name(host), conn_type="http", password=self.key)

    def check_no_key(self, what: str) -> None:
        """Raises ConfigError when a key would have to stand in a table's file.

        :param what: what the address gives, which is no answer of an API.
        """
        if self.key is not None:
            raise ConfigError(
                f"{self.shown} gives {what}, and is asked with a key ({self.key_param}), which no table's file may "
                f"hold: fetch the file and draft that, or have a connection send the key as a header (--connection)"
            )


def address_of(uri: str) -> Address | None:
    """The address in its parts; None for what is no address of the web.

    :raises ConfigError: it holds a password, or several keys.
    """
    parts = urlsplit(uri) if uri.partition("://")[0].lower() in {"http", "https"} else None
    if parts is None:
        return None
    if "@" in parts.netloc:
        raise ConfigError(
            f"{without_secrets(uri)}: the address holds a login, which no table's file may: define a connection with "
            f"it, and name that by --connection"
        )
    given = parse_qsl(parts.query, keep_blank_values=True)
    names = [name for name, _ in given]
    secrets = [(name, value) for name, value in given if value and is_secret(name)]
    if len(secrets) > 1:
        named = " and ".join(name for name, _ in secrets)
        raise ConfigError(
            f"{without_secrets(uri)}: is asked with several keys ({named}), and a connection holds one: leave out "
            f"those that the API can do without"
        )
    key_param, key = secrets[0] if secrets else (None, None)
    twice = [(name, value) for name, value in given if names.count(name) > 1]
    once = {name: value for name, value in given if names.count(name) == 1 and name != key_param}
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(twice), ""))
    return Address(plain, once, key_param, key)


def is_secret(param: str) -> bool:
    """Whether a parameter's value opens something, by its name."""
    name = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", param).lower()).strip("_")
    return bool(_SECRET.fullmatch(name)) and not _OF_PAGES.fullmatch(name)
