"""A lane: one process that claims what is due, works on it and writes down how it ended, until nothing is due.

One connection, and no transaction open while a service is asked. What a lane does not acknowledge, because it is killed
or its lease is over, is somebody else's after the lease.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from types import FrameType
from typing import Any

import psycopg

from sluiceway.errors import SluicewayError
from sluiceway.jobs import items, rate, results
from sluiceway.jobs.ask import Asker
from sluiceway.jobs.definition import Answer, Done, Job, Waiting, Work
from sluiceway.jobs.errors import (
    BrokenWorkError,
    JobSetupError,
    ServiceError,
    ServicePausedError,
    WorkHungError,
    WrongAnswerError,
)
from sluiceway.jobs.items import Claim, Item, Outcome
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.warehouse import error_of
from sluiceway.sources.connections import Connections, from_environment

log = logging.getLogger(__name__)

ACKNOWLEDGED_AT_ONCE = 100
LEASE_BEYOND_S = 30.0
"""A lease ends so long after the time in which a batch must be done."""
SERVICE_PAUSE_S = (15.0, 300.0)
"""How long a service that answers nobody is left alone: at first, and at most."""
LONGEST_SLEEP_S = 5.0
DECADES = timedelta(days=36_500)


@dataclass
class Tally:
    """What a lane has done."""

    asked: int = 0
    """Items that were worked on."""
    ended: Counter[str] = field(default_factory=Counter)
    """By state."""
    back: int = 0
    """Items that were put back because their service failed."""
    lost: int = 0
    """Answers that came after the lease."""
    rescued: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    """Why items are not done, by class."""
    paused: str | None = None
    """Why the lane ended before nothing was due."""


class Lane:
    """One lane's work on one job.

    :param url: the warehouse, as the role that writes etl_jobs.
    :param connections: finds the connection of the job's service.
    """

    def __init__(self, url: str, name: str, job: Job, connections: Connections = from_environment) -> None:
        self._url, self._name, self._job, self._connections = url, name, job, connections
        self._work: Work = job.work
        self._limit = _TimeLimit()
        self._pauses = SERVICE_PAUSE_S[0] / 2
        self._lease = timedelta(seconds=job.batch_seconds + LEASE_BEYOND_S)
        self._answered = 0
        self._database = threading.Lock()
        """The session is the job's threads' too, for their pace."""
        self.tally = Tally()

    def drain(self, *, budget_s: float, waits: bool = True) -> Tally:
        """Work until nothing is due, the time is over or the service may not be asked.

        :param waits: sleep through a pause of the service that ends within the budget.
        :raises JobSetupError: what every item needs is missing; no item was touched by that.
        """
        ends_at = time.monotonic() + budget_s
        with self._connected() as session, self._asking(session):
            with session.transaction():
                results.ensure(session, self._job.results)
            while time.monotonic() < ends_at:
                self.tally.rescued += items.rescue(session, self._name, max_lapses=self._job.lapses)
                if pause := self._pause(session):
                    left = ends_at - time.monotonic()
                    if not waits or pause > left:
                        self.tally.paused = f"{self._service} is not asked for {pause:,.0f} s more"
                        break
                    time.sleep(min(pause, LONGEST_SLEEP_S))
                    continue
                claimed = items.claim(session, self._name, limit=self._job.batch, lease=self._lease)
                if not claimed.items:
                    break
                self._do(session, claimed)
        return self.tally

    @property
    def _service(self) -> str:
        return self._job.service.name if self._job.service else ""

    def _pause(self, session: LockedSession) -> float:
        return rate.paused_for(session, self._service) if self._job.service else 0.0

    @contextmanager
    def _connected(self) -> Iterator[LockedSession]:
        try:
            connection = psycopg.connect(
                self._url,
                connect_timeout=10,
                autocommit=True,
                application_name=f"sluiceway job {self._name}"[:63],
                options="-c statement_timeout=60000 -c lock_timeout=10000",
                keepalives_idle=30,
                keepalives_interval=10,
                keepalives_count=3,
            )
            try:
                yield LockedSession(connection, self._url)
            finally:
                connection.close()
        except psycopg.Error as error:
            raise error_of(error, self._url) from error

    @contextmanager
    def _asking(self, session: LockedSession) -> Iterator[None]:
        """The job's function has what asks its service."""
        service = self._job.service
        if service is None:
            yield
            return

        def pace(requests: int) -> float:
            with self._limit.held(), self._database:
                return rate.reserve(session, service.name, per_second=service.per_second, requests=requests)

        asker = Asker(service, pace, self._connections)
        try:
            self._work = partial(self._job.work, ask=asker)
            yield
        finally:
            asker.close()

    def _do(self, session: LockedSession, claimed: Claim) -> None:
        began, before = time.monotonic(), Counter(self.tally.ended)
        waiting = {each.item: each for each in claimed.items}
        self._answered = 0
        self.tally.asked += len(waiting)
        try:
            self._try(session, claimed, list(claimed.items), waiting)
        except (ServiceError, BrokenWorkError, WorkHungError, JobSetupError) as error:
            self._put_back(session, claimed, waiting, error)
            if isinstance(error, JobSetupError):
                raise
        finally:
            done = self.tally.ended - before
            log.info(
                "%s: %d asked, %s, %d back, in %.1f s",
                *(self._name, len(claimed.items), dict(done) or "none ended", self.tally.back),
                time.monotonic() - began,
            )

    def _try(self, session: LockedSession, claimed: Claim, batch: Sequence[Item], waiting: dict[str, Item]) -> None:
        """Work on a batch; one that fails is halved, until an item fails alone while others of its service succeed."""
        try:
            self._work_on(session, claimed, batch, waiting)
        except ServicePausedError:
            raise
        except (ServiceError, BrokenWorkError, WorkHungError) as error:
            left = [each for each in batch if each.item in waiting]
            items.extend(session, claimed, lease=self._lease)
            if len(left) > 1:
                middle = len(left) // 2
                for half in (left[:middle], left[middle:]):
                    self._try(session, claimed, half, waiting)
                return
            if not left:
                return
            if not self._answered and not self._others_succeed(session):
                raise
            self._failed_alone(session, claimed, left[0], error, waiting)

    def _others_succeed(self, session: LockedSession) -> bool:
        """Whether the function has an answer for the item that was done last: then what fails is the item's own fault.

        Of a job of which nothing was ever done nobody can say it.
        """
        done = items.done_last(session, self._name)
        if done is None:
            return False
        try:
            answers = self._limit.over(lambda: iter(self._work([done])), self._job.batch_seconds)
            return any(answer.item == done.item for answer in answers)
        except ServicePausedError:
            raise
        except (ServiceError, BrokenWorkError, WorkHungError):
            return False

    def _work_on(self, session: LockedSession, claimed: Claim, batch: Sequence[Item], waiting: dict[str, Item]) -> None:
        asked = {each.item for each in batch}
        group: list[Answer] = []
        for answer in self._limit.over(lambda: iter(self._work(batch)), self._job.batch_seconds):
            if answer.item not in asked:
                log.warning("%s: an answer for %r, which was not asked, is left out", self._name, answer.item)
                continue
            asked.discard(answer.item)
            group.append(answer)
            if len(group) >= ACKNOWLEDGED_AT_ONCE:
                self._acknowledge(session, claimed, group, waiting)
                group = []
        self._acknowledge(session, claimed, group, waiting)
        for item in sorted(asked):
            self._failed_alone(
                session, claimed, waiting[item], WrongAnswerError(f"{item}: the job's function gave no answer"), waiting
            )

    def _acknowledge(
        self, session: LockedSession, claimed: Claim, answers: Sequence[Answer], waiting: dict[str, Item]
    ) -> None:
        """Write results and states together, of the items that are still this claim's."""
        outcomes, rows = [], {}
        wrong: list[tuple[Item, WrongAnswerError]] = []
        for answer in answers:
            try:
                if isinstance(answer, Done | Waiting):
                    results.check(self._job.results, answer.item, answer.values)
                    rows[answer.item] = answer.values
            except WrongAnswerError as error:
                wrong.append((waiting[answer.item], error))
                continue
            outcomes.append(self._outcome(answer))
        if outcomes:
            with self._database, session.transaction():
                held = items.acknowledge(session, self._name, claimed, outcomes)
                results.write(session, self._job.results, {item: rows[item] for item in rows if item in held})
            self._count(outcomes, held, waiting)
            self._answered += len(held)
        for item, said in wrong:
            self._failed_alone(session, claimed, item, said, waiting)

    def _outcome(self, answer: Answer) -> Outcome:
        if isinstance(answer, Done):
            return Outcome(answer.item, "done", due_in=answer.again_in or self._job.recheck_after or DECADES)
        if isinstance(answer, Waiting):
            return Outcome(answer.item, "waiting", code="decide", error=answer.why)
        return Outcome(answer.item, "dead", code="item", error=answer.why, counts=True)

    def _failed_alone(
        self, session: LockedSession, claimed: Claim, item: Item, error: SluicewayError, waiting: dict[str, Item]
    ) -> None:
        """An attempt of the item's own: later again, or dead."""
        attempts = item.attempts + 1
        is_last = attempts >= self._job.attempts
        code = _CODES.get(type(error), "service")
        said = f"{error} (attempt {attempts} of {self._job.attempts})"
        outcome = Outcome(
            item.item,
            "dead" if is_last else "due",
            due_in=self._job.back_off * 2 ** (attempts - 1),
            code=code,
            error=said,
            counts=True,
        )
        held = items.acknowledge(session, self._name, claimed, [outcome])
        self._count([outcome], held, waiting)
        log.warning("%s: %s", self._name, said)

    def _put_back(
        self, session: LockedSession, claimed: Claim, waiting: Mapping[str, Item], error: SluicewayError
    ) -> None:
        """The rest of a batch as it was, and its service left alone for a while."""
        code = "pause" if isinstance(error, ServicePausedError) else _CODES.get(type(error), "service")
        outcomes = [Outcome(item, "due", code=code, error=str(error)) for item in waiting]
        held = items.acknowledge(session, self._name, claimed, outcomes)
        self.tally.back += len(held)
        self.tally.causes[code] += len(held)
        if self._job.service is not None and isinstance(error, ServiceError):
            seconds = error.seconds if isinstance(error, ServicePausedError) else self._next_pause()
            rate.pause(session, self._service, seconds=seconds, reason=str(error))
        elif not isinstance(error, JobSetupError):
            # no service can be left alone, and the same would come again at once
            raise error
        log.warning("%s: %d items are put back: %s", self._name, len(held), error)

    def _next_pause(self) -> float:
        self._pauses = min(self._pauses * 2, SERVICE_PAUSE_S[1])
        return self._pauses

    def _count(self, outcomes: Sequence[Outcome], held: set[str], waiting: dict[str, Item]) -> None:
        for each in outcomes:
            waiting.pop(each.item, None)
            if each.item not in held:
                self.tally.lost += 1
                log.warning("%s: %s came after the lease; somebody else has it", self._name, each.item)
                continue
            self.tally.ended[each.state] += 1
            if each.code:
                self.tally.causes[each.code] += 1


_CODES: Mapping[type[Exception], str] = {
    WorkHungError: "hang",
    WrongAnswerError: "answer",
    BrokenWorkError: "code",
    JobSetupError: "setup",
}


class _TimeLimit:
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
            raise WorkHungError(f"the job's function did not come back within {seconds:,.0f} s")

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
                except (SluicewayError, psycopg.Error):
                    raise
                except Exception as error:
                    raise BrokenWorkError(f"the job's function failed: {type(error).__name__}: {error}") from error
                finally:
                    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
                yield answer
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
