"""What a bucket of Amazon S3 holds, or of another store that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import s3fs
from aiohttp import ClientError as NetworkError
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError
from botocore.parsers import ResponseParserError

from sluiceway.errors import (
    ConfigError,
    SettingsError,
    SourceMissingError,
    SourceUnavailableError,
    SourceUnreadableError,
)
from sluiceway.sources.connections import Connection
from sluiceway.sources.places.listing import MOST_PAGES, Listed, endless
from sluiceway.sources.places.s3_store import ANYBODY, files_of, options_of

PAGE = 1_000
"""The most that S3 gives."""
_ALWAYS = frozenset({"IsTruncated", "Name", "KeyCount", "MaxKeys"})
"""What a listing says, also that of nothing."""


class S3Bucket:
    """See listing.Bucket."""

    def __init__(self, files: s3fs.S3FileSystem, conn_id: str | None) -> None:
        self._files = files
        self._conn_id = conn_id

    def objects(self, bucket: str, prefix: str) -> Iterator[Listed]:
        """A page at a time."""
        asked: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": PAGE}
        uri = f"s3://{bucket}/{prefix}"
        for _ in range(MOST_PAGES):
            with self._named_errors(uri):
                page: dict[str, Any] = self._files.call_s3("list_objects_v2", **asked)
                if not _ALWAYS & page.keys():
                    # botocore reads a login page as a bucket that holds nothing
                    raise ValueError("it is no listing")
            yield from (_listed(each) for each in page.get("Contents", []) if "Key" in each)
            if not page.get("IsTruncated") or "NextContinuationToken" not in page:
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]
        raise endless(uri)

    @contextmanager
    def _named_errors(self, uri: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise SourceMissingError(f"{uri}: there is no such bucket; check bucket") from error
        except PermissionError as error:
            hint = f"check the connection {self._conn_id!r}" if self._conn_id else "name a connection that may"
            raise SourceMissingError(f"{uri}: may not be listed; {hint}") from error
        except ParamValidationError as error:
            raise ConfigError(f"{uri}: is no name of a bucket: {' '.join(str(error).split())}") from error
        except NoCredentialsError as error:
            raise SettingsError(
                f"{uri}: the connection {self._conn_id!r} holds no key, and this machine has none; set its login and "
                f"password"
            ) from error
        except (ResponseParserError, ValueError) as error:
            said = " ".join(str(error).split())[:200]
            raise SourceUnreadableError(
                f"{uri}: the store's listing cannot be read ({said}); is endpoint_url of {self._conn_id!r} a store's?"
            ) from error
        except (OSError, BotoCoreError, ClientError, NetworkError) as error:
            raise SourceUnavailableError(f"{uri}: the store does not answer ({error}); try again later") from error


def _listed(each: Mapping[str, Any]) -> Listed:
    """Stores that speak the protocol leave out what Amazon's own never does; the time then tells a new content."""
    at = each.get("LastModified", "")
    modified_at = at.isoformat() if isinstance(at, datetime) else str(at)
    return Listed(each["Key"], each.get("Size", 0), each.get("ETag", "").strip('"') or modified_at, modified_at)


def open_bucket(connection: Connection | None) -> S3Bucket:
    """As the connection says, one of Airflow's type aws."""
    if connection is None:
        return S3Bucket(files_of(ANYBODY), None)
    return S3Bucket(files_of(options_of(connection)), connection.conn_id)
