"""Which errors Airflow tries again: those that may go away by themselves, with back-off, and no other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from sluiceway.errors import TransientError
from sluiceway.settings import load_settings


def retry_arguments() -> dict[str, Any]:
    """Arguments of every task. A process that was killed raises nothing: it is tried again too."""
    return {
        "retries": 3,
        "retry_delay": timedelta(seconds=load_settings().retry_delay_s),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": ExceptionRetryPolicy(
            rules=[RetryRule(exception=[TransientError, ConnectionError, TimeoutError], action=RetryAction.RETRY)],
            default=RetryAction.FAIL,
        ),
    }
