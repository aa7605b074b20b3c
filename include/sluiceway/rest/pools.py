"""The pools that tasks run in, brought to what airflow_settings.yaml declares; a task without its pool never begins.

Astro reads the same file when its local Airflow starts; everywhere else `sluiceway pools apply` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluiceway.amounts import counted
from sluiceway.config_files import wrong
from sluiceway.errors import AirflowApiError, ConfigError
from sluiceway.rest.airflow_api import AirflowApi
from sluiceway.settings import Settings

FILE = "airflow_settings.yaml"


class Pool(BaseModel):
    """One pool, in the words of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pool_name: str = Field(min_length=1, max_length=256)
    pool_slot: int = Field(ge=-1)
    """How many tasks at once; -1: any number."""
    pool_description: str = ""

    @property
    def body(self) -> dict[str, object]:
        """The same in the words of Airflow's REST API."""
        return {
            "name": self.pool_name,
            "slots": self.pool_slot,
            "description": self.pool_description,
            "include_deferred": False,
        }


def settings_file(settings: Settings) -> Path:
    """Where the file lies in a clone, in the image and on Astro: beside include/."""
    return settings.config_dir.resolve().parents[1] / FILE


def read_pools(path: Path) -> list[Pool]:
    """The pools that the file declares.

    :raises ConfigError: it is not there, is no YAML, or a pool is wrong; a sentence that says where.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file; name it with --file.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}.") from error
    airflow = found.get("airflow") if isinstance(found, dict) else None
    declared = airflow.get("pools") if isinstance(airflow, dict) else None
    if not isinstance(declared, list) or not declared:
        raise ConfigError(f"{path}: has no pools; write them as a list under airflow.pools.")
    pools = []
    for number, each in enumerate(declared):
        try:
            pools.append(Pool.model_validate(each))
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(str(part) for part in (f"airflow.pools[{number}]", *problem["loc"]))
            raise ConfigError(f"{path}: {place}: {wrong(problem)}; it is {problem['input']!r}.") from None
    if len({pool.pool_name for pool in pools}) < len(pools):
        raise ConfigError(f"{path}: a pool is declared twice: {', '.join(pool.pool_name for pool in pools)}.")
    return pools


def apply(api: AirflowApi, pools: Sequence[Pool], *, is_dry: bool = False) -> list[str]:
    """Make or correct these pools, and leave all others alone; a sentence each. A second time it changes nothing.

    :param is_dry: only say what would be done.
    """
    would = "would be " if is_dry else "was "
    return [_apply_one(api, pool, would, is_dry) for pool in pools]


def _apply_one(api: AirflowApi, pool: Pool, would: str, is_dry: bool) -> str:
    path = f"pools/{quote(pool.pool_name, safe='')}"
    try:
        found = api.get(path)
    except AirflowApiError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
        if not is_dry:
            api.post("pools", pool.body)
        return f"The pool {pool.pool_name!r} {would}created with {counted(pool.pool_slot, 'slot')}."
    differing = {key: value for key, value in pool.body.items() if (found.get(key) or "") != (value or "")}
    if not differing:
        return f"The pool {pool.pool_name!r} was right already."
    if not is_dry:
        api.patch(path, pool.body)
    changes = ", ".join(f"{key} {found.get(key)!r} -> {value!r}" for key, value in differing.items())
    return f"The pool {pool.pool_name!r} {would}corrected: {changes}."
