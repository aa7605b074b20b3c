"""The flows as their files declare them, for the API server: a file is read again only after it changed."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Lock

from sluiceway.config_files import Stamp, stamp
from sluiceway.errors import ConfigError
from sluiceway.flows.files import Flow, flow_files, read_file
from sluiceway.settings import load_settings

log = logging.getLogger(__name__)


class Declared:
    """Every flow whose file is right; a wrong file is logged once, and hinders no other."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[Stamp, Flow | None]] = {}
        self._lock = Lock()

    def flows(self) -> dict[str, Flow]:
        """The flows by id."""
        with self._lock:
            found = {path: stamp(path) for path in flow_files(load_settings().config_dir)}
            self._read = {
                path: known if (known := self._read.get(path)) and known[0] == now else (now, _flow(path))
                for path, now in found.items()
            }
            return {path.stem: flow for path, (_, flow) in self._read.items() if flow is not None}


def _flow(path: Path) -> Flow | None:
    try:
        return read_file(path)
    except ConfigError as error:
        log.error("The triggers of %s are off: %s", path.stem, error)
        return None


declared = Declared()
