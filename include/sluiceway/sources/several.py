"""The files that a pattern in source.uri stands for: all of them listed first, and each brought here in its turn.

So neither the memory nor the disk that a load takes grows with how many there are.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

from sluiceway.errors import (
    ConfigError,
    EmptyExtractionError,
    SourceMissingError,
    SourceTooLargeError,
    SourceUnavailableError,
    SourceUnreadableError,
    nearest,
)
from sluiceway.sources import hashing
from sluiceway.sources.connections import Connections
from sluiceway.sources.local import is_folder_source, meant
from sluiceway.sources.place import Place, PlaceFile, without_secrets
from sluiceway.tables.patterns import fits, fixed_part, in_order, is_uri_pattern
from sluiceway.tables.source_spec import LocatedSource

if TYPE_CHECKING:
    from sluiceway.sources.places.listing import Scheme

MOST_SEEN = 1_000_000
"""Entries of folders, or objects of a bucket, that are looked at for those that fit."""
_OPEN_ELSEWHERE = "~$"
"""Begins what Excel and Word leave beside a file that somebody has open."""


def is_several(source: LocatedSource) -> bool:
    """Whether its uri is a pattern. A file that is called so is meant itself."""
    if not is_uri_pattern(source.uri):
        return False
    return "://" in source.uri or not Path(source.uri).is_file()


def several_files(source: LocatedSource, connections: Connections) -> Place:
    """The files that fit source.uri, each with its fingerprint.

    :raises EmptyExtractionError: none does; names the nearest.
    :raises SourceMissingError: there is no such folder, package or bucket.
    :raises SourceUnreadableError: it cannot be listed.
    :raises SourceTooLargeError: they are more than source.max_files.
    :raises SourceUnavailableError: the bucket does not answer.
    :raises ConfigError: one lies where none may be read from.
    """
    files = sorted(_files(source, connections), key=lambda each: in_order(each.name))
    digest = hashlib.sha256()
    for each in files:
        digest.update(f"{each.name}\0{each.fingerprint}\0".encode(errors="surrogateescape"))
    return Place(
        name=_shown(source.uri),
        fingerprint=digest.hexdigest(),
        size=sum(each.size for each in files),
        stands=lambda: all(each.stands() for each in files),
        files=tuple(files),
    )


def check_some(source: LocatedSource, connections: Connections) -> None:
    """Raises as several_files where that would; hashes and fetches nothing."""
    if _is_bucket(source):
        _objects(source, connections)
    else:
        _paths(source)


def _is_bucket(source: LocatedSource) -> bool:
    return urlsplit(source.uri).scheme in {"gs", "s3"}


def _shown(uri: str) -> str:
    """The pattern with the folder that it is in; an address whole."""
    if "://" in uri:
        return without_secrets(uri)
    folder = fixed_part(uri)
    return uri.removeprefix(folder) if folder in {"", "/"} else f"{PurePosixPath(folder).name}/{uri[len(folder) :]}"


def _files(source: LocatedSource, connections: Connections) -> list[PlaceFile]:
    if _is_bucket(source):
        return _objects(source, connections)
    shown = without_secrets(source.uri)
    return [_hashed(name, path, shown) for name, path in _paths(source).items()]


def _hashed(name: str, path: Path, shown: str) -> PlaceFile:
    try:
        hashed = hashing.hashed(path)
    except FileNotFoundError as error:
        raise _gone(name, shown) from error
    except OSError as error:
        raise SourceUnreadableError(f"{shown}: {name} cannot be read: {error.strerror}") from error
    digest, size = hashed.fingerprint
    here = partial(_as_it_is, path, name, shown)
    return PlaceFile(name, digest, size, here, partial(hashing.is_as_at, path, hashed.state))


def _gone(name: str, shown: str) -> SourceUnavailableError:
    return SourceUnavailableError(f"{shown}: {name} is gone since it was listed; try again later")


@contextmanager
def _as_it_is(path: Path, name: str, shown: str) -> Iterator[Path]:
    if not path.exists():
        raise _gone(name, shown)
    yield path


def _paths(source: LocatedSource) -> dict[str, Path]:
    """Name -> file."""
    uri = source.uri
    shown = without_secrets(uri)
    fixed = fixed_part(uri)
    folder, checked = meant(fixed or ".")
    if not folder.is_dir():
        parent = [entry.name for entry in folder.parent.iterdir()] if folder.parent.is_dir() else []
        raise SourceMissingError(f"{shown}: there is no folder {fixed}{nearest(folder.name, parent, listing=False)}")
    pattern = uri[len(fixed) :]
    parts = _parts(unquote(pattern) if "://" in uri else pattern)
    found: dict[str, Path] = {}
    seen: list[str] = []
    try:
        for name in _fitting(folder, parts, seen, shown):
            try:
                name.encode()
            except UnicodeEncodeError as error:
                raise SourceUnreadableError(f"{shown}: {name!r} is a name that is no UTF-8; rename the file") from error
            found[name] = checked(folder / name)
            _check_count(source, len(found), shown)
    except OSError as error:
        raise SourceUnreadableError(f"{shown}: cannot be listed: {error.strerror}") from error
    if not found:
        raise _nothing(shown, parts[-1], seen)
    return found


def _parts(pattern: str) -> list[str]:
    parts = [each for each in pattern.split("/") if each not in {"", "."}]
    return [*parts, "*"] if parts[-1:] == ["**"] else parts


def _fitting(folder: Path, parts: Sequence[str], seen: list[str], shown: str) -> Iterator[str]:
    """Names within the folder, with / between folders.

    :param seen: gets the names of the files that were looked at.
    """
    count = 0
    # no recursion: folders may lie deeper than Python can follow
    left: list[tuple[Path, Sequence[str], str]] = [(folder, parts, "")]
    while left:
        folder, parts, within = left.pop()
        first, *rest = parts
        if first == "**":
            left.append((folder, rest, within))
        with os.scandir(folder) as entries:
            for entry in entries:
                name, path = f"{within}{entry.name}", Path(entry.path)
                is_data = entry.is_file() or is_folder_source(path)
                behind = _behind(first, rest, entry) if not is_data and entry.is_dir() else None
                if is_data and not rest:
                    seen.append(name)
                    if fits(first, entry.name) and not entry.name.startswith(_OPEN_ELSEWHERE):
                        yield name
                elif behind is not None:
                    left.append((path, behind, f"{name}/"))
                else:
                    continue
                count += 1
                if count > MOST_SEEN:
                    raise SourceTooLargeError(
                        f"{shown}: its folders hold more than {MOST_SEEN:,} files and folders; narrow the pattern"
                    )


def _behind(first: str, rest: Sequence[str], entry: os.DirEntry[str]) -> Sequence[str] | None:
    """What of a pattern's parts stands for what is in a folder; None: it does not lead there."""
    if first == "**":
        # a link could lead back to here
        return None if entry.is_symlink() or entry.name.startswith(".") else (first, *rest)
    return rest if rest and fits(first, entry.name) else None


def _check_count(source: LocatedSource, count: int, shown: str) -> None:
    if count > source.max_files:
        raise SourceTooLargeError(
            f"{shown}: more than {source.max_files:,} files fit, as source.max_files allows; narrow the pattern, or "
            f"raise it if right"
        )


def _nothing(shown: str, pattern: str, names: Sequence[str]) -> EmptyExtractionError:
    hint = nearest(pattern, names) or "; there is none at all"
    return EmptyExtractionError(f"{shown}: no file fits, so the source gave no rows{hint}")


def _objects(source: LocatedSource, connections: Connections) -> list[PlaceFile]:
    from sluiceway.sources.places.listing import store_of

    shown = without_secrets(source.uri)
    scheme, _, rest = source.uri.partition("://")
    bucket, _, pattern = rest.partition("/")
    if not bucket or {"*", "@"} & {*bucket}:
        raise ConfigError(f"{shown}: names no bucket; {scheme}://<bucket>/<folder>/*.csv does, and its files")
    prefix = fixed_part(pattern)
    parts = _parts(pattern[len(prefix) :])
    found: list[PlaceFile] = []
    seen: list[str] = []
    store = store_of(cast("Scheme", scheme), source.connection, connections)
    for count, each in enumerate(store.objects(bucket, prefix)):
        if count >= MOST_SEEN:
            raise SourceTooLargeError(f"{shown}: more than {MOST_SEEN:,} objects begin so; narrow the pattern")
        name = each.name[len(prefix) :]
        if name.endswith("/") or not name:
            continue
        if len(seen) < MOST_SEEN:
            seen.append(name)
        if fits("/".join(parts), name):
            # some stores list no mark, and their time is one in its place
            mark = each.mark if each.mark != each.modified_at else None
            here = partial(_fetched, source, f"{scheme}://{bucket}/{each.name}", mark, connections)
            found.append(PlaceFile(name, each.mark, each.size, here))
            _check_count(source, len(found), shown)
    if not found:
        raise _nothing(shown, pattern[len(prefix) :], seen)
    return found


@contextmanager
def _fetched(source: LocatedSource, uri: str, mark: str | None, connections: Connections) -> Iterator[Path]:
    objects = import_module("sluiceway.sources.places.objects")
    one = source.model_copy(update={"uri": uri})
    with objects.fetched(one, connections, None) as place:
        if mark is not None and place.fingerprint.partition(":")[2].strip('"') != mark:
            raise SourceUnavailableError(f"{without_secrets(uri)}: changed since it was listed; try again later")
        yield place.path
