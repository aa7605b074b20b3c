"""A folder of configuration with flows, tables and an environment, for tests of what flows may say."""

from __future__ import annotations

from pathlib import Path

from sluiceway.settings import Settings

TABLES = ("us_state", "us_county", "route")

FILE = '[[triggers]]\nid = "changed"\ntype = "sensor"\nsensor_type = "file"\npath = "/data/in/orders.csv"\n'
CLI = '[[triggers]]\nid = "manual"\ntype = "cli"\n'
NIGHTLY = '[[triggers]]\nid = "nightly"\ntype = "schedule"\nschedule = "30 2 * * *"\ntimezone = "Europe/Berlin"\n'
HOOK = '[[triggers]]\nid = "hook"\ntype = "api"\nconnection = "shop_hook"\n'
DATABASE = (
    '[[triggers]]\nid = "rows"\ntype = "sensor"\nsensor_type = "database"\nconnection = "shop"\n'
    'table_name = "orders"\ndetection_mode = "timestamp_column"\ntimestamp_column = "created_at"\n'
)


def after(flow_id: str, *, trigger_id: str = "after", more: str = "") -> str:
    """A trigger of type flow."""
    return f'[[triggers]]\nid = "{trigger_id}"\ntype = "flow"\nsource_flow_id = "{flow_id}"\n{more}'


def flow(*triggers: str, head: str = "") -> str:
    """The file of a flow that loads a table."""
    return f'flow_type = "tables"\ntables = ["us_state"]\n{head}\n' + "\n".join(triggers)


ENVIRONMENT = 'kind = "http"\nurl = "https://staging.example/version"\n'


def configured(folder: Path, **flows: str) -> Settings:
    """Settings of a deployment with these flows."""
    config = folder / "include" / "config"
    for below in ("flows", "tables", "environments"):
        (config / below).mkdir(parents=True)
    for name in TABLES:
        (config / "tables" / f"{name}.toml").touch()
    (config / "environments" / "staging.toml").write_text(ENVIRONMENT, encoding="utf-8")
    for flow_id, text in flows.items():
        (config / "flows" / f"{flow_id}.toml").write_text(text, encoding="utf-8")
    return Settings(config_dir=config)
