"""A table's file put into its canonical form, where that says the very same."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from sluiceway.config_files import parse_toml
from sluiceway.errors import ConfigError, said_by
from sluiceway.tables.canonical import NotFormattedError, canonical
from sluiceway.tables.registry import read_spec, spec_of


class Formatted(NamedTuple):
    """A file as it is, and as it should be."""

    path: Path
    before: str
    after: str

    @property
    def is_canonical(self) -> bool:
        """Whether nothing is to be done."""
        return self.before == self.after

    def write(self) -> None:
        """Put the file in its place, whole or not at all; a link stays one, and who may read it stays the same."""
        target = self.path.resolve()
        try:
            with tempfile.TemporaryDirectory(prefix=".sluiceway-", dir=target.parent) as folder:
                new = Path(folder) / target.name
                new.write_bytes(self.after.encode())
                shutil.copymode(target, new)
                new.replace(target)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}; it is as it was") from error


def formatted(path: Path) -> Formatted:
    """The canonical form of a table's file. Nothing is written.

    :raises ConfigError: the file is wrong, or it has no such form that says the same; it is left as it is.
    """
    spec = read_spec(path)
    before = path.read_bytes().decode("utf-8")
    try:
        after = canonical(before)
    except NotFormattedError as error:
        raise ConfigError(f"{path}: {error}; it is left as it is") from error
    except ValueError as error:
        raise ConfigError(f"{path}: cannot be formatted: {said_by(error)}; it is left as it is") from error
    found = spec_of(path, parse_toml(after))
    # the fingerprint knows the order of the columns as well
    if found != spec or found.fingerprint() != spec.fingerprint() or canonical(after) != after:
        raise ConfigError(f"{path}: has no canonical form that says the same; it is left as it is")
    return Formatted(path, before, after)
