"""Dead letters and decisions: what a person does is done, and what was before stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from sluiceway.errors import ConfigError
from sluiceway.jobs import files, letters, work
from sluiceway.jobs.lanes import LaneKey
from sluiceway.jobs.letters import Chosen
from sluiceway.jobs.work import Asked
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session, connect
from tests.jobs.configured import SHOUT, Setting, declare

Query = Callable[..., list[tuple[Any, ...]]]
JOB = "shout"
RUN = RunKey(JOB, "manual__1")


@pytest.fixture
def session(tmp_path: Path, setting: Setting, jobs_url: str) -> Iterator[Session]:
    """Of a warehouse in which the job has run: i7 is dead, i8 waits."""
    declare(tmp_path, setting, shout=SHOUT)
    work.enqueue(jobs_url, JOB, Asked(), run=RUN, who="anna")
    work.work(jobs_url, JOB, LaneKey(RUN), Asked())
    with connect(jobs_url) as session:
        yield session


def test_a_dead_letter_is_found_by_job_class_and_age(session: Session) -> None:
    (letter,) = letters.find(session, Chosen())
    assert (letter.item, letter.last_code, letter.last_error, letter.attempts) == ("i7", "item", "no seven", 1)
    assert letters.count(session, Chosen(job=JOB, code="item")) == 1
    assert letters.count(session, Chosen(code="service")) == 0
    assert letters.count(session, Chosen(job="other")) == 0
    assert letters.count(session, Chosen(older_than=timedelta(hours=1))) == 0


def test_a_replayed_letter_is_due_again_and_its_history_stays(session: Session) -> None:
    assert letters.replay(session, Chosen(job=JOB), who="ben", why="try again") == {JOB: 1}
    assert letters.find(session, Chosen()) == []
    letter = letters.show(session, JOB, "i7")
    assert (letter.state, letter.attempts) == ("due", 0)
    (decision,) = letters.history(session, JOB, "i7")
    assert (decision.action, decision.who, decision.why) == ("replay", "ben", "try again")
    assert (decision.state, decision.attempts, decision.last_error) == ("dead", 1, "no seven")


def test_a_discarded_letter_is_done_without_a_result_until_its_input_changes(
    session: Session, query: Query, jobs_url: str
) -> None:
    assert letters.discard(session, Chosen(items=("i7",)), who="ben", why=None) == {JOB: 1}
    session.execute(sql.SQL("COMMIT"))
    assert letters.show(session, JOB, "i7").state == "done"
    assert query("SELECT count(*) FROM etl_jobs.shouted WHERE item = 'i7'") == [(0,)]
    work.enqueue(jobs_url, JOB, Asked(), run=RunKey(JOB, "2"), who="anna")
    assert query("SELECT state FROM etl_jobs.item WHERE item = 'i7'") == [("done",)]


def test_nothing_that_is_not_chosen_changes(session: Session) -> None:
    assert letters.replay(session, Chosen(job="other"), who="ben", why=None) == {}
    assert letters.count(session, Chosen()) == 1


def test_a_person_decides_what_waits(session: Session, query: Query) -> None:
    letters.decide(session, JOB, files.read(JOB), "i8", "ate", who="ben", why="heard it")
    session.execute(sql.SQL("COMMIT"))
    assert query("SELECT loud, size FROM etl_jobs.shouted WHERE item = 'i8'") == [("ATE", 8)]
    assert letters.show(session, JOB, "i8").state == "done"
    (decision,) = letters.history(session, JOB, "i8")
    assert (decision.action, decision.state, decision.last_error) == ("decide", "waiting", "eight or ate?")


@pytest.mark.parametrize(
    ("item", "key", "said"),
    [
        ("i8", "nine", "'i8' of shout: 'nine' is neither eight nor ate"),
        ("i1", "ate", "'i1' of shout waits for nobody: it is done"),
        ("i88", "ate", "shout has no item 'i88'; did you mean 'i8'?"),
    ],
)
def test_a_decision_that_cannot_be_is_one_sentence(session: Session, item: str, key: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        letters.decide(session, JOB, files.read(JOB), item, key, who="ben", why=None)
    assert said in str(raised.value)
    assert letters.count(session, Chosen(state="waiting")) == 1
