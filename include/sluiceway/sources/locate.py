"""From a source's uri to what lies there: a local file with its fingerprint, or all files that fit a pattern."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from types import ModuleType
from urllib.parse import urlsplit

from sluiceway.errors import EmptyExtractionError, SourceMissingError
from sluiceway.sources import hashing
from sluiceway.sources.connections import Connections
from sluiceway.sources.hashing import Hashed
from sluiceway.sources.local import REMOTE, locate
from sluiceway.sources.place import Place, without_secrets
from sluiceway.sources.several import check_some, is_several, several_files
from sluiceway.tables.source_spec import (
    BigQuerySource,
    GSheetSource,
    HttpJsonSource,
    LocatedSource,
    Source,
    SqlSource,
)


@contextmanager
def located(
    source: Source,
    connections: Connections,
    *,
    known: Callable[[], str | None] = lambda: None,
    hashed: Future[Hashed] | None = None,
) -> Iterator[Place]:
    """Find the source, and bring a remote file here for as long as the block lasts.

    :param known: says the fingerprint of the last good load; a remote file that still has it is not fetched. Of a local
        file nobody asks that: it may be found out meanwhile.
    :param hashed: what hash_ahead has begun; it counts if the files have not been touched since.
    :raises SourceMissingError: there is no such package or file; names the nearest.
    :raises EmptyExtractionError: no file fits the pattern.
    :raises SourceUnavailableError: the server does not answer.
    :raises SourceUnreadableError: the download is not what was declared: its size, its checksum.
    :raises ConfigError: the uri's scheme is not known.
    """
    if not isinstance(source, LocatedSource):
        yield Place(name=source_name(source))
        return
    if is_several(source):
        yield several_files(source, connections)
        return
    if (remote := _remote(source)) is not None:
        with remote.fetched(source, connections, known()) as place:
            yield place
        return
    path = locate(source.uri)
    ahead = hashed.result() if hashed is not None else None
    found = ahead if ahead is not None and ahead.holds(path) else hashing.hashed(path)
    digest, size = found.fingerprint
    stands = partial(hashing.is_as_at, path, found.state)
    yield Place(name=path.name, fingerprint=digest, size=size, path=path, stands=stands)


def _remote(source: LocatedSource) -> ModuleType | None:
    """The module that fetches the source; imported only when it is needed."""
    module = REMOTE.get(urlsplit(source.uri).scheme)
    return import_module(f"sluiceway.sources.places.{module}") if module is not None else None


def source_name(source: Source) -> str:
    """What to call a source that is no file."""
    match source:
        case SqlSource():
            return f"{source.connection}: {source.table or 'query'}"
        case BigQuerySource():
            return source.table
        case HttpJsonSource():
            return without_secrets(source.uri)
        case GSheetSource():
            return f"spreadsheet {source.spreadsheet}"
        case _:
            return without_secrets(source.uri)


def check_exists(source: Source, connections: Connections) -> None:
    """Raises SourceMissingError or SourceUnavailableError when `located` would find nothing; fetches nothing."""
    if not isinstance(source, LocatedSource):
        return
    if is_several(source):
        try:
            check_some(source, connections)
        except EmptyExtractionError as error:
            raise SourceMissingError(str(error)) from error
    elif (remote := _remote(source)) is not None:
        remote.check_reachable(source, connections)
    else:
        locate(source.uri)


def file_here(source: Source) -> str | None:
    """The uri of a source that is one local file; None of what lies elsewhere, and of a pattern."""
    if not isinstance(source, LocatedSource) or urlsplit(source.uri).scheme in REMOTE or is_several(source):
        return None
    return source.uri


def hashed_now(uri: str) -> Future[Hashed]:
    """What hash_ahead gives, done.

    :raises SourceMissingError: as `located`.
    """
    done: Future[Hashed] = Future()
    done.set_result(hashing.hashed(locate(uri)))
    return done


def hash_ahead(source: Source) -> Future[Hashed] | None:
    """Begin to hash a local file while other things are done; None for what is no local file.

    A load may have to wait for its turn then, while another one loads a newer file: see Hashed.
    """
    if (uri := file_here(source)) is None:
        return None
    threads = ThreadPoolExecutor(1, "hash ahead")
    hashed = threads.submit(lambda: hashing.hashed(locate(uri)))
    threads.shutdown(wait=False)
    return hashed
