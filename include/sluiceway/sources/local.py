"""From a uri to the local file that it names, and whether that may be read."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from sluiceway.errors import ConfigError, SourceMissingError, nearest
from sluiceway.settings import load_settings
from sluiceway.sources.place import without_secrets

REMOTE = {"https": "https", "http": "https", "gs": "objects", "s3": "objects"}
"""Scheme -> the module that fetches it."""
SCHEMES = ("file", "package", *REMOTE)
OF_THE_SYSTEM = tuple(map(Path, ("/proc", "/sys", "/dev")))
"""What lies there tells of processes and machines: /proc/self/environ holds the passwords of this one."""


def locate(uri: str) -> Path:
    """The local file behind a path, file:// or package://<import name>/<path inside> uri.

    :raises SourceMissingError: there is no such package or file; names the nearest.
    :raises ConfigError: the scheme is not known, or the file lies where none may be read from.
    """
    path, checked = meant(uri)
    return checked(_file(path, without_secrets(uri)))


def meant(uri: str) -> tuple[Path, Callable[[Path], Path]]:
    """Where that file would be, and what sees that a file which is there may be read.

    :raises SourceMissingError: there is no such package.
    :raises ConfigError: as locate; so does what is returned.
    """
    shown = without_secrets(uri)
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri), partial(_within_roots, shown=shown)
    host, _, inside = rest.partition("/")
    if scheme == "package":
        folder = _package_dir(host, shown)
        path = folder / unquote(inside).lstrip("/")
        # judged before anything of it is told, and again where it is a link
        if not Path(os.path.normpath(path)).is_relative_to(folder):
            raise ConfigError(f"{shown}: leads out of the package {host!r}; name a file inside it")
        return path, partial(_within_package, folder=folder, package=host, shown=shown)
    if scheme == "file":
        if host not in {"", "localhost"}:
            raise ConfigError(f"{shown}: names the machine {host!r}; file:///{rest} names a file here")
        return Path(unquote(f"/{inside}")), partial(_within_roots, shown=shown)
    raise ConfigError(f"{shown}: {scheme}:// is no scheme Sluiceway reads{nearest(scheme, SCHEMES)}")


def _within_package(path: Path, *, folder: Path, package: str, shown: str) -> Path:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{shown}: is a link that leads out of the package {package!r}; name a file inside it")
    return path


def _file(path: Path, shown: str) -> Path:
    if not path.is_file() and not is_folder_source(path):
        if path.is_dir():
            raise SourceMissingError(
                f"{shown}: there is no such file but a folder, which is no FileGDB (.gdb); name a file in it"
            )
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise SourceMissingError(f"{shown}: there is no such file{nearest(path.name, siblings, listing=False)}")
    return path


_own: set[Path] = set()
"""Folders in which this process itself has put what it reads."""


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Files in this folder may be read for as long as the block lasts, whatever the deployment's folders are."""
    _own.add(folder.resolve())
    try:
        yield
    finally:
        _own.discard(folder.resolve())


def _within_roots(path: Path, shown: str) -> Path:
    found, roots = path.resolve(), load_settings().roots()
    if found.parent in _own:
        return path
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


def file_name(uri: str) -> str:
    """The name of the one file that a uri stands for; no secret."""
    if "://" not in uri:
        return Path(uri).name
    return PurePosixPath(unquote(urlsplit(without_secrets(uri)).path)).name


def is_folder_source(path: Path) -> bool:
    """Whether it is a FileGDB, the one source that is a folder."""
    return path.suffix.lower() == ".gdb" and path.is_dir()
