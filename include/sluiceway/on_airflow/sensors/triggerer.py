"""Whether a triggerer is there to wait for a task: a task that defers to none hangs until its time is over."""

from __future__ import annotations

import logging

import httpx
from airflow.sdk.configuration import conf

from sluiceway.certificates import trusted
from sluiceway.settings import load_settings

TIMEOUT_S = 5.0

log = logging.getLogger(__name__)


def triggerer_is_there() -> bool:
    """What Airflow's health page says. SLUICEWAY_DEPLOY_WATCH = schedule means that there is none, without asking."""
    if load_settings().deploy_watch == "schedule":
        return False
    # the API that the worker talks to anyway; its health page needs no login
    execution = conf.get("core", "execution_api_server_url", fallback="") or conf.get("api", "base_url", fallback="")
    address = execution.rstrip("/").removesuffix("/execution") + "/api/v2/monitor/health"
    try:
        with httpx.Client(timeout=TIMEOUT_S, verify=trusted()) as client:
            status = client.get(address).raise_for_status().json()["triggerer"]["status"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
        log.warning("%s does not say whether a triggerer is there (%s): the task looks again by itself", address, error)
        return False
    if status != "healthy":
        log.warning("No triggerer is there (%s): the task looks again by itself", status)
    return bool(status == "healthy")
