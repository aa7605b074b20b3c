"""One object in Amazon S3, or in another store that speaks its protocol."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import s3fs
from aiobotocore.session import AioSession
from aiohttp import ClientError as NetworkError
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError
from botocore.loaders import Loader, create_loader
from botocore.utils import parse_timestamp

from sluiceway.errors import ConfigError, SettingsError, SourceMissingError, SourceUnavailableError
from sluiceway.sources.connections import Connection, Connections
from sluiceway.sources.place import without_secrets
from sluiceway.sources.places.objects import Found
from sluiceway.tables.source_spec import LocatedSource

PART_BYTES = 8 << 20
RETRIES = 2
"""Of boto3 and of s3fs each, and s3fs has two loops inside each other: by their defaults it would be 125 requests."""

ANYBODY = {"anon": True}
"""The options without a connection."""


class S3Store:
    """Reads source.uri."""

    def __init__(self, source: LocatedSource, options: dict[str, Any]) -> None:
        self._source = source
        self._files = files_of(options)
        self._bucket, self._key, _ = self._files.split_path(source.uri)

    def look(self) -> Found:
        """What the store says of the object."""
        with self._named_errors():
            head = self._files.call_s3("head_object", Bucket=self._bucket, Key=self._key)
        return Found(size=head["ContentLength"], mark=f"etag:{head['ETag']}", encoding=head.get("ContentEncoding"))

    def parts(self, found: Found) -> Iterator[bytes]:
        """The content that `found` describes: each request names its ETag."""
        with self._named_errors(), self._open() as remote:
            if f"etag:{remote.details['ETag']}" != found.mark:
                raise s3fs.utils.FileExpired(self._key, remote.details["ETag"])
            while part := remote.read(PART_BYTES):
                yield part

    def _open(self) -> Any:
        return self._files.open(self._source.uri, "rb", block_size=PART_BYTES, cache_type="none")

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        uri, named = without_secrets(self._source.uri), self._source.connection
        try:
            yield
        except FileNotFoundError as error:
            raise SourceMissingError(f"{uri}: there is no such object; check source.uri") from error
        except PermissionError as error:
            hint = f"check the connection {named!r}" if named else "name a connection that may read it as source"
            raise SourceMissingError(f"{uri}: may not be read; {hint}{'' if named else '.connection'}") from error
        except ParamValidationError as error:
            raise ConfigError(f"{uri}: is no name of an object: {' '.join(str(error).split())}") from error
        except NoCredentialsError as error:
            raise SettingsError(
                f"{uri}: the connection {named!r} holds no key, and this machine has none; set its login and password"
            ) from error
        except (OSError, BotoCoreError, ClientError, NetworkError) as error:
            if _has_changed(error):
                raise SourceUnavailableError(f"{uri}: changed while it was read; try again later") from error
            raise SourceUnavailableError(f"{uri}: the store does not answer ({error}); try again later") from error


def _has_changed(error: Exception) -> bool:
    """Whether the object has no longer the ETag that was asked for."""
    cause = error.__cause__
    status = cause.response["ResponseMetadata"].get("HTTPStatusCode") if isinstance(cause, ClientError) else None
    return isinstance(error, s3fs.utils.FileExpired) or status == 412


def files_of(options: dict[str, Any]) -> s3fs.S3FileSystem:
    """What sends requests to the store; `options_of` a connection says who asks."""
    # at DEBUG botocore logs whole requests, with the session's token
    logging.getLogger("botocore").setLevel(logging.INFO)
    config = {"retries": {"max_attempts": RETRIES}}
    session = AioSession(profile=options.get("profile"))
    session.register_component("data_loader", _service_descriptions())
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    asked = {name: value for name, value in options.items() if name != "profile"}
    files = s3fs.S3FileSystem(skip_instance_cache=True, session=session, config_kwargs=config, **asked)
    files.retries = 1 + RETRIES
    return files


def _moment(said: Any) -> Any:
    """A time as botocore reads it; what is none stays as the store says it, else all of its answer would be lost."""
    try:
        return parse_timestamp(said)
    except (ValueError, OverflowError, RuntimeError):
        return str(said)


@cache
def _service_descriptions() -> Loader:
    """What botocore reads of Amazon's services, 0.2 s for each session that does not share it."""
    return create_loader()


def open_store(source: LocatedSource, connections: Connections) -> S3Store:
    """The object at source.uri, with what source.connection holds."""
    if source.connection is None:
        return S3Store(source, ANYBODY)
    return S3Store(source, options_of(connections(source.connection)))


def options_of(connection: Connection) -> dict[str, Any]:
    """A connection of Airflow's type aws; without a key in it, boto3 looks for one on this machine."""
    extra = connection.extra
    if "role_arn" in extra:
        raise SettingsError(
            f"connection {connection.conn_id!r}: roles (role_arn) are not taken on; give it a key of that role, or "
            f"none where the machine has it"
        )
    return {
        "key": connection.login or extra.get("aws_access_key_id"),
        "secret": connection.password or extra.get("aws_secret_access_key"),
        "token": extra.get("aws_session_token"),
        "profile": extra.get("profile_name"),
        "client_kwargs": {key: extra[key] for key in ("endpoint_url", "region_name") if key in extra},
    }
