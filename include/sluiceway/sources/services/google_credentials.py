"""Google credentials out of an Airflow connection of type google_cloud_platform."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import google.auth
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError
from google.oauth2 import service_account

from sluiceway.errors import SettingsError
from sluiceway.sources.connections import Connection

_OLD_PREFIX = "extra__google_cloud_platform__"
"""Airflow wrote the names of extras so until 2022."""


def google_extra(connection: Connection, name: str) -> Any:
    """An extra of the connection; None where it is absent or empty."""
    return connection.extra.get(name) or connection.extra.get(_OLD_PREFIX + name) or None


def google_credentials(table: str, connection: Connection, scopes: Sequence[str]) -> tuple[Credentials, str | None]:
    """The credentials, and the project that is charged where they say one.

    From the extra keyfile_dict (a service account's key as JSON), the extra key_path (its file), or the application
    default credentials of the machine.

    :param table: the table's name, for messages.
    :raises SettingsError: they are missing or broken; what a key holds is not shown.
    """
    where = f"{table}: connection {connection.conn_id!r}"
    project = google_extra(connection, "project")
    key, path = google_extra(connection, "keyfile_dict"), google_extra(connection, "key_path")
    if key is None and path is None:
        try:
            found, default_project = google.auth.default(scopes=list(scopes))
        except DefaultCredentialsError as error:
            raise SettingsError(
                f"{where} has neither the extra keyfile_dict nor key_path, and this machine has no application default "
                f"credentials; set one of them"
            ) from error
        return found, project or default_project
    what = f"{where}: its extra keyfile_dict" if key is not None else f"{where}: {path}, its extra key_path,"
    content = _key(what, key, path)
    try:
        account = service_account.Credentials.from_service_account_info(content, scopes=list(scopes))  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise SettingsError(f"{what} holds no usable key of a service account") from error
    return account, project or account.project_id


def account_of(credentials: Credentials) -> str:
    """Whom to share with: the service account's address, where the credentials know it."""
    email = getattr(credentials, "service_account_email", None)
    return str(email) if email and email != "default" else "the account of this connection"


def _key(what: str, key: Any, path: Any) -> Mapping[str, Any]:
    try:
        text = key if key is not None else Path(str(path)).read_text(encoding="utf-8")
        content = json.loads(text) if isinstance(text, str) else text
    except OSError as error:
        raise SettingsError(f"{what} cannot be read: {error.strerror}") from error
    except ValueError:
        # the error would show the text
        raise SettingsError(f"{what} is no JSON") from None
    kind = content.get("type") if isinstance(content, Mapping) else None
    if kind != "service_account" or not isinstance(content, Mapping):
        raise SettingsError(f"{what} is no key of a service account (its type is {kind!r})")
    return content
