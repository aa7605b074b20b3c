"""Tables of one row: after their first load they have nothing to do."""

from __future__ import annotations

import shutil
from pathlib import Path


def new_config(config: Path) -> Path:
    """An empty folder of configuration."""
    shutil.rmtree(config, ignore_errors=True)
    for folder in ("tables", "transforms", "sql"):
        (config / folder).mkdir(parents=True)
    return config


def write_tables(config: Path, count: int, *, group: str | None = None, transform: str = "") -> None:
    """Tables `noop_0001` and on, with their sources.

    :param group: by default the one that every deployment runs.
    :param transform: the text of a Python file that each of them has.
    """
    for number in range(1, count + 1):
        name = f"noop_{number:04}"
        (config / "tables" / f"{name}.csv").write_text("id\n1\n", encoding="utf-8")
        (config / "tables" / f"{name}.toml").write_text(
            'description = "Nothing to do"\n'
            + (f'group = "{group}"\n' if group else "")
            + f'key = "id"\nsource = {{ kind = "csv", uri = "{name}.csv" }}\ncolumns = {{ id = "integer" }}\n',
            encoding="utf-8",
        )
        if transform:
            (config / "transforms" / f"{name}.py").write_text(transform, encoding="utf-8")
