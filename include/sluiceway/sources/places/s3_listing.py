"""What a bucket of Amazon S3 holds, or of another store that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import s3fs
from aiohttp import ClientError as NetworkError
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from sluiceway.errors import ConfigError, SettingsError, SourceMissingError, SourceUnavailableError
from sluiceway.sources.connections import Connection
from sluiceway.sources.places.listing import Listed
from sluiceway.sources.places.s3_store import ANYBODY, files_of, options_of

PAGE = 1_000
"""The most that S3 gives."""


class S3Bucket:
    """See listing.Bucket."""

    def __init__(self, files: s3fs.S3FileSystem, conn_id: str | None) -> None:
        self._files = files
        self._conn_id = conn_id

    def objects(self, bucket: str, prefix: str) -> Iterator[Listed]:
        """A page at a time."""
        asked: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": PAGE}
        while True:
            with self._named_errors(f"s3://{bucket}/{prefix}"):
                page: dict[str, Any] = self._files.call_s3("list_objects_v2", **asked)
            for each in page.get("Contents", []):
                yield Listed(each["Key"], each["Size"], each["ETag"].strip('"'), each["LastModified"].isoformat())
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

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
        except (OSError, BotoCoreError, ClientError, NetworkError) as error:
            raise SourceUnavailableError(f"{uri}: the store does not answer ({error}); try again later") from error


def open_bucket(connection: Connection | None) -> S3Bucket:
    """As the connection says, one of Airflow's type aws."""
    if connection is None:
        return S3Bucket(files_of(ANYBODY), None)
    return S3Bucket(files_of(options_of(connection)), connection.conn_id)
