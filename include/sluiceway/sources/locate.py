"""From a source's uri to a local file, and the fingerprint of what lies there."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from sluiceway.errors import ConfigError, SourceMissingError, nearest
from sluiceway.settings import load_settings
from sluiceway.sources.connections import Connections
from sluiceway.sources.place import Place, without_secrets
from sluiceway.tables.source_spec import (
    BigQuerySource,
    GSheetSource,
    HttpJsonSource,
    LocatedSource,
    Source,
    SqlSource,
)

PARTS = {
    ".shp": (".shp", ".shx", ".dbf", ".prj", ".cpg", ".dbt", ".fpt"),
    ".dbf": (".dbf", ".cpg", ".dbt", ".fpt"),
    ".gml": (".gml", ".xsd"),
    ".mif": (".mif", ".mid"),
    ".tab": (".tab", ".dat", ".map", ".id", ".ind"),
}
"""Files beside a source that belong to it, by its ending."""
REMOTE = {"https": "https", "http": "https", "gs": "objects", "s3": "objects"}
"""Scheme -> the module that fetches it."""
SCHEMES = ("file", "package", *REMOTE)
OF_THE_SYSTEM = tuple(map(Path, ("/proc", "/sys", "/dev")))
"""What lies there tells of processes and machines: /proc/self/environ holds the passwords of this one."""
HASHED_BYTES = 8 << 20
"""At once: a thread that hashes waits for Python's lock before each block."""
PIECE_BYTES = 32 << 20
"""Hashed by itself, so that two threads share one large file."""
Fingerprint = tuple[str, int]
"""sha256 over the sha256 of a source's files, in pieces, in hex; and their size together, in bytes."""
State = tuple[tuple[str, int, int, int, int], ...]
"""Per file its path, inode, size and the times of its last change and modification, in ns."""
TICK_NS = 1_000_000_000
"""A file that was changed so short before it was hashed may have been changed again in the same tick of its times."""


class Hashed(NamedTuple):
    """A fingerprint, and how its files stood when it was taken."""

    fingerprint: Fingerprint
    state: State
    at_ns: int

    def holds(self, path: Path) -> bool:
        """Whether the files are still those that were hashed."""
        settled = all(max(changed, modified) < self.at_ns - TICK_NS for *_, changed, modified in self.state)
        return settled and state_of(path) == self.state


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
    :raises SourceUnavailableError: the server does not answer.
    :raises SourceUnreadableError: the download is not what was declared: its size, its checksum.
    :raises ConfigError: the uri's scheme is not known.
    """
    if not isinstance(source, LocatedSource):
        yield Place(name=source_name(source))
        return
    if (remote := _remote(source)) is not None:
        with remote.fetched(source, connections, known()) as place:
            yield place
        return
    path = locate(source.uri)
    ahead = hashed.result() if hashed is not None else None
    found = ahead if ahead is not None and ahead.holds(path) else _hashed(path)
    digest, size = found.fingerprint
    stands = partial(_is_as_at, path, found.state)
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
    """Raises SourceMissingError or SourceUnavailableError when `located` would; fetches nothing."""
    if not isinstance(source, LocatedSource):
        return
    if (remote := _remote(source)) is not None:
        remote.check_reachable(source, connections)
    else:
        locate(source.uri)


def locate(uri: str) -> Path:
    """The local file behind a path, file:// or package://<import name>/<path inside> uri.

    :raises SourceMissingError: there is no such package or file; names the nearest.
    :raises ConfigError: the scheme is not known, or the file lies where none may be read from.
    """
    shown = without_secrets(uri)
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return _within_roots(_file(Path(uri), shown), shown)
    host, _, inside = rest.partition("/")
    if scheme == "package":
        folder = _package_dir(host, shown)
        path = folder / unquote(inside).lstrip("/")
        # judged before anything of it is told, and again where it is a link
        if not Path(os.path.normpath(path)).is_relative_to(folder):
            raise ConfigError(f"{shown}: leads out of the package {host!r}; name a file inside it")
        if not _file(path, shown).resolve().is_relative_to(folder.resolve()):
            raise ConfigError(f"{shown}: is a link that leads out of the package {host!r}; name a file inside it")
        return path
    if scheme == "file":
        if host not in {"", "localhost"}:
            raise ConfigError(f"{shown}: names the machine {host!r}; file:///{rest} names a file here")
        return _within_roots(_file(Path(unquote(f"/{inside}")), shown), shown)
    raise ConfigError(f"{shown}: {scheme}:// is no scheme Sluiceway reads{nearest(scheme, SCHEMES)}")


def _file(path: Path, shown: str) -> Path:
    if not path.is_file() and not is_folder_source(path):
        if path.is_dir():
            raise SourceMissingError(
                f"{shown}: there is no such file but a folder, which is no FileGDB (.gdb); name a file in it"
            )
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SourceMissingError(f"{shown}: there is no such file{nearest(path.name, siblings, listing=False)}")
    return path


def _within_roots(path: Path, shown: str) -> Path:
    found, roots = path.resolve(), load_settings().roots()
    if any(found.is_relative_to(each) for each in OF_THE_SYSTEM):
        raise ConfigError(f"{shown}: is no file of data but the system's own, and may hold secrets of this process")
    if roots and not any(found.is_relative_to(each) for each in roots):
        raise ConfigError(
            f"{shown}: lies in none of the folders that this deployment reads files from; put it into one of "
            f"{', '.join(map(str, roots))}, or name its folder in SLUICEWAY_FILE_ROOTS"
        )
    return path


def _package_dir(package: str, shown: str) -> Path:
    top, *below = package.split(".")
    if package and not all(each.isidentifier() for each in (top, *below)):
        raise ConfigError(f"{shown}: {package!r} is no name of a Python package; write package://<import name>/<path>")
    # find_spec of a top-level package does not run it
    found = importlib.util.find_spec(top) if top and top != "__main__" else None
    folders = found.submodule_search_locations if found is not None else None
    folder = Path(folders[0], *below) if folders else None
    if folder is None or not folder.is_dir():
        raise SourceMissingError(
            f"{shown}: the Python package {package!r} is not installed; the quickstart's are in requirements-demo.txt"
        )
    return folder


def is_folder_source(path: Path) -> bool:
    """Whether it is a FileGDB, the one source that is a folder."""
    return path.suffix.lower() == ".gdb" and path.is_dir()


def parts_of(path: Path) -> list[Path]:
    """The files that make up a source: those beside it that belong to it, and itself; or those of its folder."""
    if path.is_dir():
        return sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.is_symlink())
    endings = PARTS.get(path.suffix.lower())
    if endings is None:
        return [path]
    stem = path.stem.casefold()
    return sorted(
        entry for entry in path.parent.iterdir() if entry.suffix.lower() in endings and entry.stem.casefold() == stem
    )


def size_of(path: Path) -> int:
    """Bytes of a source's main file, or of all files of its folder."""
    return sum(part.stat().st_size for part in (parts_of(path) if path.is_dir() else [path]))


def hash_ahead(source: Source) -> Future[Hashed] | None:
    """Begin to hash a local file while other things are done; None for what is no local file.

    A load may have to wait for its turn then, while another one loads a newer file: see Hashed.
    """
    if not isinstance(source, LocatedSource) or urlsplit(source.uri).scheme in REMOTE:
        return None
    threads = ThreadPoolExecutor(1, "hash ahead")
    hashed = threads.submit(lambda: _hashed(locate(source.uri)))
    threads.shutdown(wait=False)
    return hashed


def _hashed(path: Path) -> Hashed:
    at_ns, state = time.time_ns(), state_of(path)
    return Hashed(fingerprint(path), state, at_ns)


def state_of(path: Path) -> State:
    """What the file system says of a source's files; to write to one, or to put another in its place, changes it.

    Nothing of files that are gone meanwhile.
    """
    try:
        found = [(str(part), part.stat()) for part in parts_of(path)]
    except FileNotFoundError:
        return ()
    return tuple((part, each.st_ino, each.st_size, each.st_ctime_ns, each.st_mtime_ns) for part, each in found)


def _is_as_at(path: Path, state: State) -> bool:
    return state_of(path) == state


def fingerprint(path: Path) -> Fingerprint:
    """Of the source's files: their endings and what they hold."""
    parts = parts_of(path)
    sizes = [part.stat().st_size for part in parts]
    pieces = [(part, at) for part, size in zip(parts, sizes, strict=True) for at in range(0, max(size, 1), PIECE_BYTES)]
    digest = hashlib.sha256()
    # both cores: half a gigabyte of shapefile in a third of a second
    with ThreadPoolExecutor(2) as threads:
        for (part, at), found in zip(pieces, threads.map(_sha256, pieces), strict=True):
            if at == 0:
                digest.update(part.suffix.lower().encode() + b"\0")
            digest.update(found)
    return digest.hexdigest(), sum(sizes)


def _sha256(piece: tuple[Path, int]) -> bytes:
    path, at = piece
    digest, block = hashlib.sha256(), bytearray(HASHED_BYTES)
    with path.open("rb", buffering=0) as file, memoryview(block) as view:
        file.seek(at)
        for _ in range(PIECE_BYTES // HASHED_BYTES):
            digest.update(view[: file.readinto(block)])
    return digest.digest()
