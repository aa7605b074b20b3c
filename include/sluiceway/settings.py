"""The only reader of os.environ, but for deploy/trigger.py, which runs alone.

A variable that is not set is looked up in `.local/sluiceway.env`, which `make up` and `make demo` write,
so that `sluiceway` finds the local stack without any set-up.
"""

from __future__ import annotations

import os
import re
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, field_validator

from sluiceway.errors import SettingsError, nearest

PACKAGE_DIR = Path(__file__).parent
CONFIG_DIR = next(
    (folder for folder in (PACKAGE_DIR / "config", PACKAGE_DIR.parent / "config") if folder.is_dir()),
    PACKAGE_DIR.parent / "config",
)
"""The wheel holds its config; in a checkout, an image, an Astro project and Composer's bucket it lies beside."""
PREFIX = "SLUICEWAY_"
OTHER_VARIABLES = (f"{PREFIX}ENV_FILE", f"{PREFIX}STACK")
"""No settings: where the file of the local stack is, and by what that stack knows its processes."""
_OF_KUBERNETES = re.compile(rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_\w+)?)")
"""What Kubernetes gives every pod where a service is called sluiceway, or sluiceway-..."""
QUICKSTART = "quickstart"


class Settings(BaseModel):
    """What a deployment decides; every field is the environment variable SLUICEWAY_<FIELD>.

    Descriptions and examples make docs/reference/settings.md.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config_dir: Path = Field(
        default=CONFIG_DIR,
        description="Where tables/, transforms/, sql/, flows/, jobs/, environments/, alerts.toml and faces.toml lie. "
        "Default: config/ beside the library.",
        examples=["/opt/airflow/include/config"],
    )
    groups: str = Field(
        default="",
        description="The groups of tables and views that this deployment runs, comma-separated. Empty: all but "
        "quickstart; the local stack runs quickstart.",
        examples=["warehouse,finance"],
    )
    warehouse_url: str | None = Field(
        default=None,
        description="The warehouse as the role that loads, for the command line and the local stack. In Airflow it is "
        "the connection warehouse.",
        examples=["postgresql://sluiceway_loader@db.example.org/warehouse"],
    )
    owner_url: str | None = Field(
        default=None,
        description="The same as the role that migrates the ledger. Default: the loading role's.",
        examples=["postgresql://sluiceway_owner@db.example.org/warehouse"],
    )
    jobs_url: str | None = Field(
        default=None,
        description="The same as the role that works on items of jobs, for `sluiceway jobs` and `dead-letters`. In "
        "Airflow it is the connection warehouse_jobs.",
        examples=["postgresql://sluiceway_jobs@db.example.org/warehouse"],
    )
    bigquery_dataset: str | None = Field(
        default=None,
        pattern=r"^[^.`\s]+\.\w+$",
        description='The dataset, project.dataset, of the tables whose files say target = "bigquery".',
        examples=["shop-staging.warehouse"],
    )
    bigquery_connection: str = Field(
        default="google_cloud_default",
        description="The Airflow connection that may write there.",
        examples=["bigquery_loader"],
    )
    reports_dir: Path = Field(
        default=Path(".local/reports"),
        description="Where the pages of runs are written as files, with maps. The API server's pages of runs have maps "
        "where it shares this folder with the workers.",
        examples=["/opt/airflow/reports"],
    )
    history_days: PositiveInt = Field(
        default=90,
        description="Runs, their rejects and their reports are forgotten after that many days.",
        examples=[365],
    )
    retries: NonNegativeInt = Field(
        default=3,
        description="How often a task is tried again after a transient error, but for loads and the final tasks.",
        examples=[5],
    )
    retry_delay_s: PositiveInt = Field(
        default=20, description="Seconds before the first of these retries; doubles from try to try.", examples=[60]
    )
    load_retries: NonNegativeInt = Field(
        default=2, description="How often the load of a table is tried again after a transient error.", examples=[4]
    )
    load_retry_delay_s: PositiveInt = Field(
        default=10, description="Seconds before the first of these retries; doubles from try to try.", examples=[30]
    )
    final_retries: NonNegativeInt = Field(
        default=1,
        description="How often `final.validate` and `final.aggregate` are tried again after a transient error.",
        examples=[3],
    )
    final_retry_delay_s: PositiveInt = Field(
        default=60, description="Seconds before the first of these retries; doubles from try to try.", examples=[20]
    )
    private_hosts: str = Field(
        default="",
        description="Machines of this network that files over http(s), APIs and `sensor.http` may be asked of: names, "
        "addresses, networks, comma-separated. All others whose address is a loopback, link-local or private one are "
        "refused, also where a name or a redirect leads to them. The local stack declares the machine itself.",
        examples=["files.example.org,10.20.0.0/16"],
    )
    file_roots: str = Field(
        default="",
        description="Folders in which files lie that tables name by a path or file://, comma-separated; the folder of "
        "tables/ is always one. Empty: any folder but those of the system's own, /proc, /sys and /dev.",
        examples=["/srv/data,/mnt/share"],
    )
    environment: str | None = Field(
        default=None,
        description="Whose deployed commit counts: the name of a file of environments/. When not set, every commit "
        "passes the gate and nothing is watched.",
        examples=["staging"],
    )
    deploy_watch: Literal["triggerer", "schedule", "off"] = Field(
        default="triggerer",
        description="Who looks for new commits: the triggerer, a DAG on a schedule where there is none, nobody.",
        examples=["schedule"],
    )
    freshness_watch_s: PositiveInt = Field(
        default=300, description="Seconds between two looks of the DAG `freshness_watch`.", examples=[60]
    )
    start_within_s: PositiveInt = Field(
        default=1800,
        description="A run of `master_etl` that has not begun so many seconds after it was queued is told of.",
        examples=[600],
    )
    airflow_url: str | None = Field(
        default=None,
        description="The Airflow that `sluiceway runs`, `trigger` and `access` talk to, and to whose pages messages "
        "and the status of a commit link.",
        examples=["https://airflow.example.org"],
    )
    airflow_username: str | None = Field(default=None, description="Its user.", examples=["admin"])
    airflow_password: str | None = Field(default=None, description="That user's password.", examples=["..."])
    broker_url: str | None = Field(
        default=None,
        description="Celery's broker, for `sluiceway workers`. Default: Airflow's own setting, "
        "`AIRFLOW__CELERY__BROKER_URL`.",
        examples=["redis://:...@redis.example.org:6379/0"],
    )
    ci_password: str | None = Field(
        default=None,
        description="The password of the user that `sluiceway access setup --user` makes. Not set: a generated one, "
        "printed once.",
        examples=["..."],
    )

    @field_validator("private_hosts")
    @classmethod
    def _are_hosts(cls, value: str) -> str:
        for each in _listed(value):
            if "/" in each and _network(each) is None:
                raise ValueError(f"{each!r} is no network; write one as 10.20.0.0/16")
        return value

    def private(self) -> tuple[frozenset[str], tuple[IPv4Network | IPv6Network, ...]]:
        """Names, and networks, of one's own machines that may be asked."""
        listed = _listed(self.private_hosts)
        networks = [found for each in listed if (found := _network(each.strip("[]"))) is not None]
        return frozenset(each.casefold().rstrip(".") for each in listed), tuple(networks)

    def roots(self) -> tuple[Path, ...]:
        """The folders in which files may lie; none: any."""
        listed = [Path(each).resolve() for each in _listed(self.file_roots)]
        return (*listed, self.config_dir.resolve()) if listed else ()

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

    def require_jobs_url(self) -> str:
        """The warehouse's URL for the role of jobs; raises SettingsError when none is set."""
        if self.jobs_url is None:
            raise SettingsError(
                "No warehouse is named for jobs: pass --warehouse postgresql://sluiceway_jobs@HOST/DB, or set "
                "SLUICEWAY_JOBS_URL."
            )
        return self.jobs_url

    def require_broker_url(self) -> str:
        """Of Celery's broker; raises SettingsError when none is set."""
        found = self.broker_url or os.environ.get("AIRFLOW__CELERY__BROKER_URL")
        if not found:
            raise SettingsError(
                "No broker is named, so no worker can be asked: set SLUICEWAY_BROKER_URL, or start a local stack that "
                "has workers with `make up EXECUTOR=celery`."
            )
        return found


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _network(text: str) -> IPv4Network | IPv6Network | None:
    """An address is a network of one."""
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _local_env_file() -> Path:
    explicit = os.environ.get("SLUICEWAY_ENV_FILE")
    return Path(explicit) if explicit else PACKAGE_DIR.parent.parent / ".local" / "sluiceway.env"


def _read_env_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    pairs = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines())
    return {key.strip(): value for key, sep, value in pairs if sep and key.startswith(PREFIX)}


def _known() -> dict[str, str]:
    """Variable -> field."""
    return {f"{PREFIX}{name.upper()}": name for name in Settings.model_fields}


def _found() -> dict[str, str]:
    return _read_env_file(_local_env_file()) | {k: v for k, v in os.environ.items() if k.startswith(PREFIX)}


def check_variables() -> None:
    """Raise SettingsError for a variable that nobody reads, and name the nearest: it was meant to change something.

    Asked by every command, and by a run before it plans a table. Not by load_settings: one odd variable would then take
    all DAGs out of Airflow.
    """
    known = {*_known(), *OTHER_VARIABLES}
    for name in sorted(_found()):
        if name not in known and not _OF_KUBERNETES.fullmatch(name):
            # by what is behind the prefix: with it, any two are alike
            hint = nearest(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in known], listing=False)
            shown = hint.replace("'", f"'{PREFIX}", 1)
            raise SettingsError(
                f"{name}: no such setting{shown or '.'} Correct or unset it; docs/reference/settings.md lists them."
            )


@cache
def load_settings() -> Settings:
    """The settings of this process; raises SettingsError that names the variable."""
    known = _known()
    values = {known[key]: value for key, value in _found().items() if key in known and value}
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
