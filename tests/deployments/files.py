"""The files of deploy/, and what several tests read in them."""

from __future__ import annotations

from typing import Any

import yaml

from dev.environment import RECOVERY, ROOT, read_lines

DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "docker-compose.yml"
VALUES = DEPLOY / "helm" / "values.yaml"
SYSTEMD = DEPLOY / "systemd"
SCALE = ROOT / "docs" / "how-to" / "scale.md"


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text(encoding="utf-8")))


def values() -> dict[str, Any]:
    return dict(yaml.safe_load(VALUES.read_text(encoding="utf-8")))


def recovery() -> dict[str, str]:
    return read_lines(RECOVERY)


def pools() -> dict[str, int]:
    """The slots that airflow_settings.yaml names."""
    settings = yaml.safe_load((ROOT / "airflow_settings.yaml").read_text(encoding="utf-8"))
    return {pool["pool_name"]: pool["pool_slot"] for pool in settings["airflow"]["pools"]}
