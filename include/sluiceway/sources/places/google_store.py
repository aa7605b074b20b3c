"""One object in Google Cloud Storage, through its JSON API.

gcsfs itself opens a file without naming its generation, and asks a second service, by gRPC, what kind of bucket it is:
so it is given single requests here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from gcsfs.core import GCSFileSystem
from gcsfs.retry import HttpError, NonRetryableError
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request

from sluiceway.amounts import counted
from sluiceway.errors import ConfigError, SettingsError, SourceMissingError, SourceUnavailableError, said_by
from sluiceway.sources.connections import Connection, Connections
from sluiceway.sources.place import without_secrets
from sluiceway.sources.places.objects import Found
from sluiceway.sources.services.api_client import LOCAL_HOSTS
from sluiceway.sources.services.google_credentials import account_of, google_credentials, google_extra
from sluiceway.tables.source_spec import LocatedSource

PART_BYTES = 8 << 20
SCOPES = ("https://www.googleapis.com/auth/devstorage.read_only",)
TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=15, sock_read=60)
"""Of one part; gcsfs itself waits for ever."""


class GoogleStore:
    """Reads source.uri.

    :param endpoint: where the API is, if not at Google.
    """

    def __init__(self, source: LocatedSource, credentials: Credentials | None, endpoint: str | None) -> None:
        self._source = source
        self._account = account_of(credentials) if credentials is not None else None
        self._files = files_of(credentials, endpoint)
        self._bucket, self._key, _ = self._files.split_path(source.uri)

    def look(self) -> Found:
        """What the store says of the object."""
        with self._named_errors():
            found: Mapping[str, Any] = self._files.call(
                "GET", "b/{}/o/{}", self._bucket, self._key, headers={"Accept-Encoding": "identity"}, json_out=True
            )
        return Found(
            size=int(found["size"]), mark=f"generation:{found['generation']}", encoding=found.get("contentEncoding")
        )

    def parts(self, found: Found) -> Iterator[bytes]:
        """The content that `found` describes: each request names its generation."""
        address = self._files.url(self._source.uri, generation=found.mark.removeprefix("generation:"))
        # an object that is stored packed would be unpacked on the way, and have neither size nor parts
        packed = {"Accept-Encoding": found.encoding or "identity"}
        for begin in range(0, found.size, PART_BYTES):
            end = min(begin + PART_BYTES, found.size)
            with self._named_errors(reading=True):
                _, part = self._files.call("GET", address, headers={"Range": f"bytes={begin}-{end - 1}", **packed})
            if len(part) != end - begin:
                raise SourceUnavailableError(
                    f"{without_secrets(self._source.uri)}: the store sent {counted(len(part), 'byte')} of "
                    f"{end - begin:,}; try again later"
                )
            yield part

    @contextmanager
    def _named_errors(self, *, reading: bool = False) -> Iterator[None]:
        uri = without_secrets(self._source.uri)
        try:
            yield
        except FileNotFoundError as error:
            if reading:
                raise SourceUnavailableError(f"{uri}: changed while it was read; try again later") from error
            raise SourceMissingError(f"{uri}: there is no such object; check source.uri") from error
        except (OSError, HttpError, NonRetryableError, GoogleAuthError, ValueError, aiohttp.ClientError) as error:
            if str(error).startswith("Forbidden") or getattr(error, "code", None) == 401:
                raise SourceMissingError(f"{uri}: may not be read; {self._who_may()}") from error
            if isinstance(error, ValueError):
                raise ConfigError(f"{uri}: is no name of an object: {error}") from error
            raise SourceUnavailableError(
                f"{uri}: the store does not answer ({said_by(error)}); try again later"
            ) from error

    def _who_may(self) -> str:
        if self._account is None:
            return "name a connection that may read it as source.connection"
        return f"let {self._account} (connection {self._source.connection!r}) read it, as Storage Object Viewer"


def files_of(credentials: Credentials | None, endpoint: str | None) -> GCSFileSystem:
    """What sends requests to the API, with these credentials or as nobody.

    :param endpoint: where the API is, if not at Google.
    """
    # what it logs, with a trace, it also raises
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    return GCSFileSystem(
        token=credentials or "anon",
        endpoint_url=endpoint,
        requests_timeout=TIMEOUT,
        # a part of a packed object cannot be unpacked
        session_kwargs={"auto_decompress": False},
        skip_instance_cache=True,
    )


def open_store(source: LocatedSource, connections: Connections) -> GoogleStore:
    """The object at source.uri, with what source.connection holds: one of Airflow's type google_cloud_platform."""
    if source.connection is None:
        return GoogleStore(source, None, None)
    credentials, endpoint = access(without_secrets(source.uri), connections(source.connection))
    return GoogleStore(source, credentials, endpoint)


def access(uri: str, connection: Connection) -> tuple[Credentials, str | None]:
    """Credentials with a token, and where the API is if not at Google.

    :param uri: what they are for, for messages.
    :raises SettingsError: they are missing, broken or refused.
    :raises SourceUnavailableError: Google gives no token at the moment.
    """
    endpoint = google_extra(connection, "endpoint")
    if endpoint is not None:
        parts = urlsplit(str(endpoint))
        if parts.scheme != "https" and parts.hostname not in LOCAL_HOSTS:
            raise SettingsError(
                f"connection {connection.conn_id!r}: a token would travel to {endpoint} unencrypted; use https://"
            )
    credentials, _ = google_credentials(uri, connection, SCOPES)
    refresh(uri, connection.conn_id, credentials)
    return credentials, endpoint


def refresh(uri: str, conn_id: str, credentials: Credentials) -> None:
    """Get a token, unless it still holds. gcsfs would ask for it six times when it is refused."""
    try:
        if not credentials.valid:
            credentials.refresh(Request())  # type: ignore[no-untyped-call]
    except GoogleAuthError as error:
        if isinstance(error, TransportError) or (isinstance(error, RefreshError) and error.retryable):
            raise SourceUnavailableError(f"{uri}: Google gives no token: {error}; try again later") from error
        raise SettingsError(
            f"{uri}: Google refuses the credentials of connection {conn_id!r}: {error.args[0]}"
        ) from error
