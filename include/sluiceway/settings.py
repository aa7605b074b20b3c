"""The only reader of os.environ, but for deploy/trigger.py, which runs alone.

A variable that is not set is looked up in `.local/sluiceway.env`, which `make up` and `make demo` write,
so that `sluiceway` finds the local stack without any set-up.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveInt

from sluiceway.errors import SettingsError

PACKAGE_DIR = Path(__file__).parent
CONFIG_DIR = next(
    (folder for folder in (PACKAGE_DIR / "config", PACKAGE_DIR.parent / "config") if folder.is_dir()),
    PACKAGE_DIR.parent / "config",
)
"""The wheel holds its config; in a checkout, an image, an Astro project and Composer's bucket it lies beside."""
PREFIX = "SLUICEWAY_"
QUICKSTART = "quickstart"


class Settings(BaseModel):
    """What a deployment decides; every field is the environment variable SLUICEWAY_<FIELD>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config_dir: Path = CONFIG_DIR
    groups: str = ""
    """Comma-separated groups of tables this deployment runs; empty: all but quickstart."""
    warehouse_url: str | None = None
    """postgresql:// URL of the role that loads."""
    owner_url: str | None = None
    """postgresql:// URL of the role that migrates the ledger; the loading role's when not set."""
    reports_dir: Path = Path(".local/reports")
    history_days: PositiveInt = 90
    """Runs, their rejects and their reports are forgotten after that many days."""
    retry_delay_s: PositiveInt = 20
    """Seconds before the first retry of a transient error; doubles from try to try."""
    environment: str | None = None
    """Whose deployed commit counts, a file of include/config/environments/; when not set, every commit passes."""
    deploy_watch: Literal["triggerer", "schedule", "off"] = "triggerer"
    """Who looks for new commits: the triggerer, a DAG on a schedule (where there is no triggerer), nobody."""
    airflow_url: str | None = None
    airflow_username: str | None = None
    airflow_password: str | None = None
    ci_password: str | None = None
    """Of the user that `sluiceway access setup --user` makes; none: a generated one, printed once."""

    def runs_group(self, group: str) -> bool:
        """Whether this deployment runs tables and views of `group`."""
        chosen = {name.strip() for name in self.groups.split(",") if name.strip()}
        return group in chosen if chosen else group != QUICKSTART

    def require_warehouse_url(self) -> str:
        """The warehouse's URL; raises SettingsError when none is set."""
        if self.warehouse_url is None:
            raise SettingsError(
                "No warehouse is named: pass --warehouse postgresql://USER@HOST/DB, set SLUICEWAY_WAREHOUSE_URL, "
                "or start the local one with `make up`."
            )
        return self.warehouse_url


def _local_env_file() -> Path:
    explicit = os.environ.get("SLUICEWAY_ENV_FILE")
    return Path(explicit) if explicit else PACKAGE_DIR.parent.parent / ".local" / "sluiceway.env"


def _read_env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines())
    return {key.strip(): value for key, sep, value in pairs if sep and key.startswith(PREFIX)}


@cache
def load_settings() -> Settings:
    """The settings of this process; raises SettingsError that names the variable."""
    found = _read_env_file(_local_env_file()) | {k: v for k, v in os.environ.items() if k.startswith(PREFIX)}
    known = {f"{PREFIX}{name.upper()}": name for name in Settings.model_fields}
    values = {known[key]: value for key, value in found.items() if key in known and value}
    try:
        return Settings.model_validate(values)
    except ValueError as error:
        raise SettingsError(f"A SLUICEWAY_ variable is wrong: {error}") from error


def connection_variable(conn_id: str) -> str | None:
    """AIRFLOW_CONN_<ID>, as Airflow itself reads it; for what runs without Airflow."""
    return os.environ.get(f"AIRFLOW_CONN_{conn_id.upper()}")


def runs_on_github() -> bool:
    """Whether this is a step of a GitHub workflow, whose log understands commands."""
    return os.environ.get("GITHUB_ACTIONS") == "true"
