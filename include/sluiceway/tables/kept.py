"""The tables of this deployment, for a process that asks often: a file is read again only after it changed."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from sluiceway.config_files import Stamp
from sluiceway.errors import ConfigError
from sluiceway.settings import Settings
from sluiceway.tables.files import as_text, is_deployed
from sluiceway.tables.registry import Tables, read_spec
from sluiceway.tables.spec import TableSpec


class _Read(NamedTuple):
    """A file as it was read."""

    stamp: tuple[Stamp, bool]
    """And whether the table has a transform, which its spec names."""
    spec: TableSpec | str
    """Or what is wrong."""
    is_deployed: bool


class KeptTables:
    """As `registry.read_deployed`; of one deployment, whose settings do not change."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read: dict[str, _Read] = {}
        self._lock = Lock()

    def names(self) -> list[str]:
        """Of the tables as they were read last, sorted; none before the first time."""
        with self._lock:
            return sorted(as_text(name) for name, read in self._read.items() if read.is_deployed)

    def read_deployed(self) -> Tables:
        """The tables that this deployment runs, as their files are now."""
        folder = self._settings.config_dir / "tables"
        with self._lock:
            found = self._stamps(folder)
            self._read = {name: self._as_it_is(folder, name, now) for name, now in found.items()}
            deployed = {name: read.spec for name, read in self._read.items() if read.is_deployed}
        return Tables(
            {name: spec for name, spec in deployed.items() if not isinstance(spec, str)},
            {as_text(name): as_text(said) for name, said in deployed.items() if isinstance(said, str)},
        )

    def _stamps(self, folder: Path) -> dict[str, tuple[Stamp, bool]]:
        # scandir: a thousand files are looked at every two seconds
        transforms = _names(folder.parent / "transforms", ".py")
        found = {}
        for name, entry in sorted(_names(folder, ".toml").items()):
            try:
                status = entry.stat()
                now = status.st_mtime_ns, status.st_size, status.st_ino
            except FileNotFoundError:
                # gone since, or a link to nothing: reading it says so
                now = 0, 0, 0
            found[name] = now, name in transforms
        return found

    def _as_it_is(self, folder: Path, name: str, now: tuple[Stamp, bool]) -> _Read:
        known = self._read.get(name)
        if known is not None and known.stamp == now:
            return known
        path = folder / f"{name}.toml"
        try:
            spec = read_spec(path)
        except ConfigError as error:
            return _Read(now, str(error), is_deployed(path, self._settings))
        return _Read(now, spec, self._settings.runs_group(spec.group))


def _names(folder: Path, suffix: str) -> dict[str, os.DirEntry[str]]:
    """The files of a folder by their stems; none where there is no such folder."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        return {entry.name.removesuffix(suffix): entry for entry in entries if entry.name.endswith(suffix)}
