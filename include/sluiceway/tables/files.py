"""Which tables there are, from their files alone.

Every task of Airflow parses its DAG file again, and the DAG's form names the tables: so this reads as little as it
can and does not load the models of spec.py.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from sluiceway.ids import QUEUE
from sluiceway.settings import Settings, load_settings
from sluiceway.tables.needs import Needs

DEFAULT_GROUP = "warehouse"

MAX_QUEUE = 40
"""Characters of a queue's name, which ends the ids of tasks."""

_GROUP = re.compile(r"""^[ \t]*group[ \t]*=[ \t]*(["'])(?P<name>[^"'\n]*)\1[ \t]*(?:#.*)?$""", re.MULTILINE)
_QUEUE = re.compile(rf"""^[ \t]*queue[ \t]*=[ \t]*(["'])(?P<name>{QUEUE})\1[ \t]*(?:#.*)?$""", re.MULTILINE)
_MEMORY = re.compile(r"""^[ \t]*memory[ \t]*=[ \t]*(["'])(?P<size>\d+(\.\d+)?[MG]iB)\1[ \t]*(?:#.*)?$""", re.MULTILINE)
_CPU = re.compile(r"^[ \t]*cpu[ \t]*=[ \t]*(?P<count>\d+(\.\d+)?)[ \t]*(?:#.*)?$", re.MULTILINE)
_SPLIT = re.compile(r"^[ \t]*split[ \t]*=", re.MULTILINE)
_NAMES_GROUP = re.compile(r"^[ \t]*[\"']?group\b", re.MULTILINE)


def check_queue(name: str) -> str:
    """A queue's name, which ends the ids of tasks."""
    if not re.fullmatch(QUEUE, name) or len(name) > MAX_QUEUE:
        raise ValueError(
            f"{name!r} is no queue's name: at most {MAX_QUEUE} letters, digits, _ and -, beginning with a letter"
        )
    return name


def table_files(config_dir: Path) -> list[Path]:
    """Every table's file, by name."""
    return sorted((config_dir / "tables").glob("*.toml"))


def as_text(stem: str) -> str:
    """A file's name, or what names it, as it can be shown and stored: bytes that are no UTF-8 are numbers."""
    return os.fsencode(stem).decode("utf-8", "backslashreplace")


def deployed_names(settings: Settings | None = None) -> list[str]:
    """Names of the tables this deployment runs, for a trigger form; a broken file keeps its name."""
    settings = settings or load_settings()
    return [as_text(path.stem) for path in table_files(settings.config_dir) if is_deployed(path, settings)]


def needs(names: Iterable[str], settings: Settings | None = None) -> set[Needs]:
    """What the files of these tables ask of who loads them in one; a file that asks for nothing is none."""
    return {_needs(head) for head in _heads(names, settings) if not _SPLIT.search(head)} - {Needs()}


def split_needs(names: Iterable[str], settings: Settings | None = None) -> set[Needs]:
    """The same of those that are loaded in parts; none: there is no such table."""
    return {_needs(head) for head in _heads(names, settings) if _SPLIT.search(head)}


def any_split(names: Iterable[str], settings: Settings | None = None) -> bool:
    """Whether the file of one of these tables says `split`."""
    return any(_SPLIT.search(head) for head in _heads(names, settings))


def any_view(settings: Settings | None = None) -> bool:
    """Whether there is the file of a view; none is read."""
    return any(((settings or load_settings()).config_dir / "sql").glob("*.sql"))


def _needs(head: str) -> Needs:
    queue, memory, cpu = _QUEUE.search(head), _MEMORY.search(head), _CPU.search(head)
    return Needs(
        queue["name"] if queue else None, memory["size"] if memory else None, float(cpu["count"]) if cpu else None
    )


def _heads(names: Iterable[str], settings: Settings | None) -> Iterator[str]:
    folder = (settings or load_settings()).config_dir / "tables"
    return (_head(folder / f"{name}.toml") or "" for name in names)


def is_deployed(path: Path, settings: Settings) -> bool:
    """Whether this deployment runs the table of a file, which may be broken anywhere.

    Where it cannot be read whose table it is, it is this deployment's: a table too many is seen, one too few is not.
    """
    head = _head(path)
    group = _group(head) if head is not None else None
    return group is None or settings.runs_group(group)


def _head(path: Path) -> str | None:
    """What stands above the first [section]: a third of the file, a third of the time. None: it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8", errors="replace").partition("\n[")[0]
    except OSError:
        return None


def _group(head: str) -> str | None:
    """The group that a file's head names; None: it names one that cannot be read."""
    try:
        group = tomllib.loads(head).get("group", DEFAULT_GROUP)
    except (ValueError, RecursionError):
        named = _GROUP.search(head)
        return named["name"] if named else None if _NAMES_GROUP.search(head) else DEFAULT_GROUP
    return group if isinstance(group, str) else None
