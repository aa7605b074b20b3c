"""Which errors Airflow tries again: those that may go away by themselves, with back-off, and no other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from sluiceway.errors import TransientError
from sluiceway.settings import load_settings


def retry_arguments() -> dict[str, Any]:
    """Arguments of every task. A process that was killed raises nothing: it is tried again too."""
    settings = load_settings()
    return {
        **_times(settings.retries, settings.retry_delay_s),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": ExceptionRetryPolicy(
            rules=[RetryRule(exception=[TransientError, ConnectionError, TimeoutError], action=RetryAction.RETRY)],
            default=RetryAction.FAIL,
        ),
    }


def load_retries() -> dict[str, Any]:
    """What differs for the load of a table."""
    settings = load_settings()
    return _times(settings.load_retries, settings.load_retry_delay_s)


def final_retries() -> dict[str, Any]:
    """What differs for what comes when all tables are loaded."""
    settings = load_settings()
    return _times(settings.final_retries, settings.final_retry_delay_s)


def _times(retries: int, first_delay_s: int) -> dict[str, Any]:
    return {"retries": retries, "retry_delay": timedelta(seconds=first_delay_s)}
