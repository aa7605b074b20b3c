"""A lane: one process that claims what is due, works on it and writes down how it ended, until nothing is due.

One connection, and no transaction open while a service is asked. What a lane does not acknowledge, because it is killed
or its lease is over, is somebody else's after the lease.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg

from sluiceway.errors import SluicewayError
from sluiceway.jobs import items, lanes, rate, requests, results
from sluiceway.jobs.ask import LONGEST_WAIT_S, Asker
from sluiceway.jobs.definition import DECADES, Answer, Done, Job, Service, Waiting, Work, check_answer
from sluiceway.jobs.errors import (
    BrokenWorkError,
    JobSetupError,
    ServiceError,
    ServicePausedError,
    WorkHungError,
    WrongAnswerError,
)
from sluiceway.jobs.items import Claim, Item, Outcome
from sluiceway.jobs.lanes import LaneKey
from sluiceway.jobs.tally import Tally
from sluiceway.jobs.time_limit import TimeLimit
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.warehouse import error_of
from sluiceway.sources.connections import Connections, from_environment

log = logging.getLogger(__name__)

ACKNOWLEDGED_AT_ONCE, ACKNOWLEDGED_AFTER_S = 100, 1.0
"""Answers that are written together: so many at most, and those of so many seconds. A killed process loses no more."""
LEASE_BEYOND_S = 30.0
"""A lease ends so long after the time in which a batch must be done."""
SERVICE_PAUSE_S = (15.0, 300.0)
"""How long a service that answers nobody is left alone: at first, and at most."""
LONGEST_PAUSE_S = 30 * 86_400.0
"""The longest that a service can ask for itself."""
LOGGED = ("done", "waiting", "dead", "due", "back", "lost")
"""Of a batch, in its line of the log."""
SHORTEST_SLEEP_S, LONGEST_SLEEP_S = 0.1, 5.0


class Lane:
    """One lane's work on one job.

    :param url: the warehouse, as the role that writes etl_jobs.
    :param key: the row of etl_jobs.lane in which its work is counted.
    :param connections: finds the connections of the job's services.
    :param only: the items that it may take; None: whatever is due.
    """

    def __init__(
        self,
        url: str,
        name: str,
        job: Job,
        key: LaneKey,
        connections: Connections = from_environment,
        only: Sequence[str] | None = None,
    ) -> None:
        self._url, self._name, self._job, self._connections = url, name, job, connections
        self._key, self._only = key, only
        self._work: Work = job.work
        self._limit = TimeLimit()
        self._pauses: dict[str, float] = {}
        """The last of each service, in seconds."""
        self._lease = timedelta(seconds=job.batch_seconds + LEASE_BEYOND_S)
        self._answered = 0
        self._waited_s = 0.0
        """For its turn at the service, since that was counted."""
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
                lanes.begin(session, self._key, self._name)
                results.ensure(session, self._job.results)
            try:
                self._drain(session, ends_at, waits=waits)
            finally:
                left_due = items.count_due(session, self._name)
                lanes.finish(session, self._key, paused=self.tally.paused, left_due=left_due)
        return self.tally

    def _drain(self, session: LockedSession, ends_at: float, *, waits: bool) -> None:
        while (left := ends_at - time.monotonic()) > 0:
            self._rescue(session)
            if (paused := requests.is_paused(session, self._name)) is not None:
                self.tally.paused = f"{self._name} is paused by {paused.who}"
                return
            pause, service = self._pause(session)
            if pause:
                if not waits or pause > left:
                    self.tally.paused = f"{service} is not asked for {pause:,.0f} s more"
                    return
                time.sleep(min(pause, LONGEST_SLEEP_S))
                continue
            claimed = self._claim(session)
            if claimed.items:
                self._do(session, claimed)
                continue
            # of what another lane has, something may come back: its process may be gone
            leased = items.leased_for(session, self._name)
            if leased is None or leased > left or not waits:
                return
            time.sleep(min(max(leased, SHORTEST_SLEEP_S), LONGEST_SLEEP_S))

    def _rescue(self, session: LockedSession) -> None:
        with session.transaction():
            found = items.rescue(session, self._name, max_lapses=self._job.lapses)
            dead = found["dead"]
            lanes.add(session, self._key, {"rescued": found.total(), "dead": dead}, {"lapse": dead} if dead else {})
        self.tally.rescued += found.total()
        if dead:
            self.tally.add({"dead": dead}, {"lapse": dead})

    def _claim(self, session: LockedSession) -> Claim:
        limit, lease = self._job.batch, self._lease
        with session.transaction():
            claimed = items.claim(session, self._name, limit=limit, lease=lease, only=self._only)
            lanes.add(session, self._key, {"asked": len(claimed.items)}, {})
        return claimed

    def _pause(self, session: LockedSession) -> tuple[float, str]:
        """The longest pause of the job's services, in seconds, and whose it is."""
        pauses = ((rate.paused_for(session, each.name), each.name) for each in self._job.services)
        return max(pauses, default=(0.0, ""))

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
        """The job's function has what asks its services."""
        if self._job.service is None:
            yield
            return

        def pace(service: Service, requests: int) -> float:
            # in this order: two threads that held the limit at once would leave it held for ever
            with self._database, self._limit.held():
                wait = rate.reserve(
                    session,
                    service.name,
                    per_second=service.per_second,
                    requests=requests,
                    longest=LONGEST_WAIT_S,
                )
                if wait <= LONGEST_WAIT_S:
                    self._waited_s += wait
                    self.tally.waited_s += wait
                return wait

        asker = Asker(self._job.service, pace, self._connections, others=self._job.others)
        rate.note(session, self._job.service.name, address=asker.address)
        try:
            self._work = partial(self._job.work, ask=asker)
            yield
        finally:
            asker.close()

    def _do(self, session: LockedSession, claimed: Claim) -> None:
        began, before, waited = time.monotonic(), self.tally.counts, self.tally.waited_s
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
            counts = self.tally.counts - before
            log.info(
                "job=%s asked=%d done=%d waiting=%d dead=%d due=%d back=%d lost=%d seconds=%.2f waited_s=%.2f",
                *(self._name, len(claimed.items), *(counts[name] for name in LOGGED)),
                *(time.monotonic() - began, self.tally.waited_s - waited),
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
        acknowledged = time.monotonic()
        for answer in self._limit.over(lambda: iter(self._work(batch)), self._job.batch_seconds):
            check_answer(answer)
            if answer.item not in asked:
                log.warning("%s: an answer for %r, which was not asked, is left out", self._name, answer.item)
                continue
            asked.discard(answer.item)
            group.append(answer)
            if len(group) >= ACKNOWLEDGED_AT_ONCE or time.monotonic() - acknowledged > ACKNOWLEDGED_AFTER_S:
                self._acknowledge(session, claimed, group, waiting)
                group, acknowledged = [], time.monotonic()
        self._acknowledge(session, claimed, group, waiting)
        for item in sorted(asked):
            self._failed_alone(
                session, claimed, waiting[item], WrongAnswerError(f"{item}: the job's function gave no answer"), waiting
            )

    def _acknowledge(
        self, session: LockedSession, claimed: Claim, answers: Sequence[Answer], waiting: dict[str, Item]
    ) -> None:
        """Write results and states together, of the items that are still this claim's."""
        good: list[Answer] = []
        wrong: list[tuple[Item, WrongAnswerError]] = []
        for answer in answers:
            try:
                if isinstance(answer, Done | Waiting):
                    results.check(self._job.results, answer.item, answer.values)
            except WrongAnswerError as error:
                wrong.append((waiting[answer.item], error))
            else:
                good.append(answer)
        try:
            self._answered += len(self._write(session, claimed, good, waiting))
        except psycopg.DataError as error:
            # what no check here foresees: each alone, so that the one that the warehouse refuses harms no other
            if len(good) > 1:
                for each in good:
                    self._acknowledge(session, claimed, [each], waiting)
            else:
                said = WrongAnswerError(f"{good[0].item}: the warehouse refuses the answer: {error}")
                wrong.append((waiting[good[0].item], said))
        for item, said in wrong:
            self._failed_alone(session, claimed, item, said, waiting)

    def _write(
        self, session: LockedSession, claimed: Claim, answers: Sequence[Answer], waiting: dict[str, Item]
    ) -> set[str]:
        rows = {each.item: each.values for each in answers if isinstance(each, Done | Waiting)}
        done = [each for each in answers if isinstance(each, Done)]
        outcomes = [self._outcome(each) for each in answers]
        return self._settle(session, claimed, outcomes, waiting, rows, done) if outcomes else set()

    def _outcome(self, answer: Answer) -> Outcome:
        if isinstance(answer, Done):
            return Outcome(
                answer.item,
                "done",
                due_in=answer.again_in or self._job.recheck_after or DECADES,
                source_version=answer.source_version,
            )
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
        self._settle(session, claimed, [outcome], waiting)
        log.warning("%s: %s", self._name, said)

    def _put_back(
        self, session: LockedSession, claimed: Claim, waiting: Mapping[str, Item], error: SluicewayError
    ) -> None:
        """The rest of a batch as it was, and its service left alone for a while."""
        code = "pause" if isinstance(error, ServicePausedError) else _CODES.get(type(error), "service")
        outcomes = [Outcome(item, "due", code=code, error=str(error)) for item in waiting]
        held = self._settle(session, claimed, outcomes, dict(waiting))
        if self._job.service is not None and isinstance(error, ServiceError):
            service = error.service or self._job.service.name
            asked = min(error.seconds, LONGEST_PAUSE_S) if isinstance(error, ServicePausedError) else None
            seconds = self._next_pause(service) if asked is None else asked
            rate.pause(session, service, seconds=seconds, reason=str(error))
        elif not isinstance(error, JobSetupError):
            # no service can be left alone, and the same would come again at once
            raise error
        log.warning("%s: %d items are put back: %s", self._name, len(held), error)

    def _next_pause(self, service: str) -> float:
        first, longest = SERVICE_PAUSE_S
        self._pauses[service] = min(self._pauses.get(service, first / 2) * 2, longest)
        return self._pauses[service]

    def _settle(
        self,
        session: LockedSession,
        claimed: Claim,
        outcomes: Sequence[Outcome],
        waiting: dict[str, Item],
        rows: Mapping[str, Mapping[str, Any]] | None = None,
        done: Sequence[Done] = (),
    ) -> set[str]:
        """Write down how items ended, their results, and what that comes to: all or nothing.

        :returns: those that the claim still held.
        """
        with self._database, session.transaction():
            held = items.acknowledge(session, self._name, claimed, outcomes)
            if rows:
                results.write(session, self._job.results, {item: rows[item] for item in rows if item in held})
            if self._job.then is not None:
                self._job.then(session, [each for each in done if each.item in held])
            counts, causes = items.counted(outcomes, held)
            lanes.add(session, self._key, counts, causes, waited_s=self._waited_s)
            self._waited_s = 0.0
        for each in outcomes:
            waiting.pop(each.item, None)
            if each.item not in held:
                log.warning("%s: %s came after the lease; somebody else has it", self._name, each.item)
        self.tally.add(counts, causes)
        return held


_CODES: Mapping[type[Exception], str] = {
    WorkHungError: "hang",
    WrongAnswerError: "answer",
    BrokenWorkError: "code",
    JobSetupError: "setup",
}
