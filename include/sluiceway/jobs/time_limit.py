"""How long a job's function may take: it is ended amid whatever it does, but never amid a statement of ours."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import psycopg

from sluiceway.errors import SluicewayError
from sluiceway.jobs.definition import Answer
from sluiceway.jobs.errors import BrokenWorkError, WorkHungError


class _TimeIsUp(BaseException):
    """No Exception: a function that goes on after each of its errors goes on after no such one."""


class TimeLimit:
    """Raises WorkHungError in the main thread when the job's function takes too long, and never amid a statement.

    In another thread the lease alone ends what hangs.
    """

    def __init__(self) -> None:
        self._is_held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Not now."""
        before, self._is_held = self._is_held, True
        try:
            yield
        finally:
            self._is_held = before

    def over(self, begin: Callable[[], Iterator[Answer]], seconds: float) -> Iterator[Answer]:
        """What the function gives, as long as it takes no longer than that in all."""
        if threading.current_thread() is not threading.main_thread():
            yield from begin()
            return

        def rings(_number: int, _frame: FrameType | None) -> None:
            if self._is_held:
                signal.setitimer(signal.ITIMER_REAL, 0.1)
                return
            raise _TimeIsUp

        before: Any = signal.signal(signal.SIGALRM, rings)
        left = seconds
        try:
            answers: Iterator[Answer] | None = None
            while True:
                signal.setitimer(signal.ITIMER_REAL, max(left, 0.001))
                try:
                    answers = begin() if answers is None else answers
                    answer = next(answers)
                except StopIteration:
                    return
                except _TimeIsUp:
                    said = f"the job's function did not come back within {seconds:,.0f} s"
                    raise WorkHungError(said) from None
                except (SluicewayError, psycopg.Error):
                    raise
                except (Exception, SystemExit) as error:
                    raise BrokenWorkError(f"the job's function failed: {type(error).__name__}: {error}") from error
                finally:
                    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
                yield answer
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
