"""What a bucket of Google Cloud Storage holds, through its JSON API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp
from gcsfs.core import GCSFileSystem
from gcsfs.retry import HttpError, NonRetryableError
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError

from sluiceway.errors import (
    ConfigError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
    said_by,
)
from sluiceway.sources.connections import Connection
from sluiceway.sources.places.google_store import access, files_of, refresh
from sluiceway.sources.places.listing import MOST_PAGES, Listed, endless
from sluiceway.sources.services.google_credentials import account_of

PAGE = 1_000
FIELDS = "nextPageToken,items(name,size,generation,timeCreated)"


class GoogleBucket:
    """See listing.Bucket."""

    def __init__(self, files: GCSFileSystem, conn_id: str | None, credentials: Credentials | None) -> None:
        self._files = files
        self._conn_id = conn_id
        self._credentials = credentials

    def objects(self, bucket: str, prefix: str) -> Iterator[Listed]:
        """A page at a time."""
        uri = f"gs://{bucket}/{prefix}"
        if self._credentials is not None and self._conn_id is not None:
            refresh(uri, self._conn_id, self._credentials)
        asked = {"prefix": prefix, "fields": FIELDS, "maxResults": PAGE}
        for _ in range(MOST_PAGES):
            with self._named_errors(uri):
                page: Mapping[str, Any] = self._files.call("GET", "b/{}/o", bucket, **asked, json_out=True)
            yield from _listed(uri, page)
            if not page.get("nextPageToken"):
                return
            asked["pageToken"] = page["nextPageToken"]
        raise endless(uri)

    @contextmanager
    def _named_errors(self, uri: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise SourceMissingError(f"{uri}: there is no such bucket; check bucket") from error
        except (OSError, HttpError, NonRetryableError, GoogleAuthError, ValueError, aiohttp.ClientError) as error:
            if str(error).startswith("Forbidden") or getattr(error, "code", None) == 401:
                raise SourceMissingError(f"{uri}: may not be listed; {self._who_may()}") from error
            if isinstance(error, ValueError):
                raise ConfigError(f"{uri}: is no name of a bucket: {error}") from error
            raise SourceUnavailableError(
                f"{uri}: the store does not answer ({said_by(error)}); try again later"
            ) from error

    def _who_may(self) -> str:
        if self._credentials is None:
            return "name a connection that may"
        return f"let {account_of(self._credentials)} (connection {self._conn_id!r}) do so, as Storage Object Viewer"


def _listed(uri: str, page: Mapping[str, Any]) -> list[Listed]:
    try:
        return [
            Listed(str(each["name"]), int(each["size"]), str(each["generation"]), str(each["timeCreated"]))
            for each in page.get("items", [])
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SourceUnreadableError(f"{uri}: the store's listing cannot be read: it lacks {error}") from error


def open_bucket(connection: Connection | None) -> GoogleBucket:
    """As the connection says, one of Airflow's type google_cloud_platform."""
    if connection is None:
        return GoogleBucket(files_of(None, None), None, None)
    credentials, endpoint = access("gs://", connection)
    return GoogleBucket(files_of(credentials, endpoint), connection.conn_id, credentials)
