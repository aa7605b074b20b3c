"""Ctrl-C and SIGTERM, which end what a command does: at once, and so that it can say what has become of it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN_SECONDS = 0.1
STOPPED = "stopped"
NOTHING_STOPPED = f"{STOPPED}; nothing was changed"


class StoppedError(KeyboardInterrupt):
    """Somebody wants the work to end. No SluicewayError: nothing may take it for a failure of the work."""

    def __init__(self, number: int, sentence: str = NOTHING_STOPPED) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number
        self.sentence = sentence
        """What has become of the work."""


class Stop:
    """Whether a signal has come, whatever became of the error it raised."""

    number: int | None = None


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Raise StoppedError in the main thread when a signal comes, and break off what the warehouse does for this load.

    A second signal ends the process as if nobody listened.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        # Python tells signals to the main thread alone
        yield stop
        return

    def raised(number: int, _frame: FrameType | None) -> None:
        stop.number = number
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        raise StoppedError(number)

    before = {each: signal.signal(each, raised) for each in SIGNALS}
    try:
        with _listening():
            yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


_cancels: set[Callable[[], None]] = set()


@contextmanager
def breaking_off(cancel: Callable[[], None]) -> Iterator[None]:
    """When a signal comes within the block, call `cancel`, from another thread, until the block ends.

    For what waits outside of Python, which hears a signal only when that has come to its end.
    """
    _cancels.add(cancel)
    try:
        yield
    finally:
        _cancels.discard(cancel)


@contextmanager
def _listening() -> Iterator[None]:
    heard, told = os.pipe()
    os.set_blocking(told, False)
    ended = threading.Event()

    def listen() -> None:
        if os.read(heard, 1):
            # one may begin just now
            while not ended.is_set():
                for cancel in list(_cancels):
                    cancel()
                ended.wait(AGAIN_SECONDS)

    listener = threading.Thread(target=listen, name="signals", daemon=True)
    listener.start()
    before = signal.set_wakeup_fd(told)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        ended.set()
        os.close(told)
        listener.join()
        os.close(heard)
