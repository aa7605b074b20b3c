"""Which tables there are, from their files alone.

Every task of Airflow parses its DAG file again, and the DAG's form names the tables: so this reads as little as it
can and does not load the models of spec.py.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from sluiceway.settings import Settings, load_settings

DEFAULT_GROUP = "warehouse"


def table_files(config_dir: Path) -> list[Path]:
    """Every table's file, by name."""
    return sorted((config_dir / "tables").glob("*.toml"))


def deployed_names(settings: Settings | None = None) -> list[str]:
    """Names of the tables this deployment runs, for a trigger form; a broken file keeps its name, `plan` refuses it."""
    settings = settings or load_settings()
    return [path.stem for path in table_files(settings.config_dir) if _runs(settings, path)]


def _runs(settings: Settings, path: Path) -> bool:
    try:
        # the group stands above the first [section]; a third of the file, a third of the time
        head = path.read_text(encoding="utf-8").partition("\n[")[0]
        return settings.runs_group(str(tomllib.loads(head).get("group", DEFAULT_GROUP)))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return True
