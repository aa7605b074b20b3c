"""Which tables there are, from their files alone.

Every task of Airflow parses its DAG file again, and the DAG's form names the tables: so this reads as little as it
can and does not load the models of spec.py.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from sluiceway.settings import Settings, load_settings

DEFAULT_GROUP = "warehouse"

_GROUP = re.compile(r"""^[ \t]*group[ \t]*=[ \t]*(["'])(?P<name>[^"'\n]*)\1[ \t]*(?:#.*)?$""", re.MULTILINE)
_NAMES_GROUP = re.compile(r"^[ \t]*[\"']?group\b", re.MULTILINE)


def table_files(config_dir: Path) -> list[Path]:
    """Every table's file, by name."""
    return sorted((config_dir / "tables").glob("*.toml"))


def deployed_names(settings: Settings | None = None) -> list[str]:
    """Names of the tables this deployment runs, for a trigger form; a broken file keeps its name."""
    settings = settings or load_settings()
    return [path.stem for path in table_files(settings.config_dir) if is_deployed(path, settings)]


def is_deployed(path: Path, settings: Settings) -> bool:
    """Whether this deployment runs the table of a file, which may be broken anywhere.

    Where it cannot be read whose table it is, it is this deployment's: a table too many is seen, one too few is not.
    """
    try:
        # the group stands above the first [section]; a third of the file, a third of the time
        head = path.read_bytes().decode("utf-8", errors="replace").partition("\n[")[0]
    except OSError:
        return True
    group = _group(head)
    return group is None or settings.runs_group(group)


def _group(head: str) -> str | None:
    """The group that a file's head names; None: it names one that cannot be read."""
    try:
        group = tomllib.loads(head).get("group", DEFAULT_GROUP)
    except tomllib.TOMLDecodeError:
        named = _GROUP.search(head)
        return named["name"] if named else None if _NAMES_GROUP.search(head) else DEFAULT_GROUP
    return group if isinstance(group, str) else None
