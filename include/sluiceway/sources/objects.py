"""Files in object stores, gs:// and s3://, through fsspec: fetched whole, not fetched when unchanged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import fsspec

from sluiceway.errors import SourceMissingError, SourceUnavailableError
from sluiceway.sources.connections import Connection, Connections
from sluiceway.sources.downloads import check_sha256, check_size, safe_name
from sluiceway.sources.place import Place
from sluiceway.tables.source_spec import LocatedSource

CHUNK_BYTES = 4 << 20


@contextmanager
def fetched(source: LocatedSource, connections: Connections, known: str | None) -> Iterator[Place]:
    """The object at source.uri, in a temporary folder for as long as the block lasts.

    :param known: the fingerprint of the last load; an object that still has it is not fetched.
    :raises SourceMissingError: there is no such object, or it may not be read.
    :raises SourceUnavailableError: the store does not answer.
    :raises SourceUnreadableError: the object is larger than source.max_bytes, or has another checksum than declared.
    """
    store = _store(source, connections)
    info = _info(store, source)
    size, mark = int(info["size"]), _mark(info)
    check_size(source, source.uri, size)
    if known is not None and mark == known:
        yield Place(name=source.uri, fingerprint=known, size=size)
        return
    with TemporaryDirectory(prefix="sluiceway-") as folder:
        path = Path(folder) / safe_name(PurePosixPath(urlsplit(source.uri).path).name)
        digest = _copy(store, source, path)
        if path.stat().st_size != size:
            raise SourceUnavailableError(
                f"{source.uri}: {path.stat().st_size:,} bytes came and {size:,} were announced"
            )
        check_sha256(source, source.uri, digest)
        yield Place(name=source.uri, fingerprint=mark or digest, size=size, path=path)


def check_reachable(source: LocatedSource, connections: Connections) -> None:
    """Raises SourceMissingError or SourceUnavailableError when `fetched` would; fetches nothing."""
    _info(_store(source, connections), source)


def _store(source: LocatedSource, connections: Connections) -> Any:
    scheme = urlsplit(source.uri).scheme
    connection = connections(source.connection) if source.connection is not None else None
    options = _s3_options(connection) if scheme == "s3" else _gs_options(connection)
    # an instance that another load made may hold an old listing
    return fsspec.filesystem("gcs" if scheme == "gs" else scheme, skip_instance_cache=True, **options)


def _s3_options(connection: Connection | None) -> dict[str, Any]:
    if connection is None:
        return {"anon": True}
    extra = connection.extra
    client = {key: extra[key] for key in ("endpoint_url", "region_name") if key in extra}
    keys = {"key": connection.login, "secret": connection.password} if connection.login else {}
    return {**keys, "token": extra.get("aws_session_token"), "client_kwargs": client}


def _gs_options(connection: Connection | None) -> dict[str, Any]:
    if connection is None:
        return {"token": "anon"}
    extra = connection.extra
    keyfile = extra.get("keyfile_dict")
    token = json.loads(keyfile) if isinstance(keyfile, str) else keyfile
    options = {"token": token or extra.get("key_path") or extra.get("token") or "google_default"}
    return options | ({"endpoint_url": extra["endpoint"]} if "endpoint" in extra else {})


def _info(store: Any, source: LocatedSource) -> Mapping[str, Any]:
    with _named_errors(source):
        found: Mapping[str, Any] = store.info(source.uri)
        if found.get("type") == "directory":
            raise SourceMissingError(f"{source.uri}: is a folder; name one object")
        return found


def _mark(info: Mapping[str, Any]) -> str | None:
    """What identifies the content: the generation of Google's, the ETag of Amazon's."""
    for key in ("generation", "ETag", "etag"):
        if info.get(key):
            return f"{key.lower()}:{info[key]}"
    return None


def _copy(store: Any, source: LocatedSource, path: Path) -> str:
    digest = hashlib.sha256()
    with _named_errors(source), store.open(source.uri, "rb", block_size=CHUNK_BYTES) as remote, path.open("wb") as file:
        while chunk := remote.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


@contextmanager
def _named_errors(source: LocatedSource) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise SourceMissingError(f"{source.uri}: there is no such object") from error
    except PermissionError as error:
        hint = (
            "check the connection" if source.connection else "name a connection that may read it as source.connection"
        )
        raise SourceMissingError(f"{source.uri}: may not be read; {hint}") from error
    except OSError as error:
        raise SourceUnavailableError(f"{source.uri}: the store does not answer: {error}") from error
