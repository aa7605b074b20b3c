"""What is waited for, and when waiting ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sluiceway.errors import ConfigError
from sluiceway.freshness.facts import LedgerFacts
from sluiceway.freshness.wait import POLL_S, SETTLE_S, Outlook, checked, look, wait
from tests.freshness.test_judge import GOOD, NOW, OLD, PARTLY, A, B, facts, run, table

NAMES = ["city", "town"]
LATER = {name: table(commit=B, green=B, looked_at=NOW, data_from=NOW) for name in NAMES}
CASES: list[tuple[str, LedgerFacts | str, str, str]] = [
    ("it is there", facts(**GOOD), "reached", "The data of all 2 tables belongs to"),
    ("no run yet", facts(**OLD), "waiting", "no run of"),
    ("its run goes on", facts(run(), **OLD), "waiting", f"its run deploy__{A} goes on"),
    ("its run is red", facts(run("failed", note="no rows"), **OLD), "lost", "is failed: no rows"),
    ("its run is abandoned", facts(run("abandoned"), **OLD), "lost", "is abandoned"),
    ("superseded", facts(run("superseded", note=f"serves {B}"), **OLD), "lost", f"is superseded: serves {B}"),
    ("red, and again", facts(run(run_id="deploy__2"), run("failed", 2), **OLD), "waiting", "deploy__2 goes on"),
    ("moved on", facts(run("success", 2), **LATER), "lost", f"other data came after it: city ({B}), town ({B})"),
    ("a part only", facts(run("success", 0), **OLD), "waiting", "did not load all"),
    ("a red run of another", facts(run("success", 9), **PARTLY), "lost", "by a run that is not green"),
    ("no ledger", "The warehouse does not answer", "unknown", "The warehouse does not answer"),
]


@pytest.mark.parametrize(("found", "state", "said"), [each[1:] for each in CASES], ids=[each[0] for each in CASES])
@pytest.mark.parametrize("commit", [A, A[:7]], ids=["whole", "prefix"])
def test_the_ledger_says_how_the_data_stands_to_a_commit(
    commit: str, found: LedgerFacts | str, state: str, said: str
) -> None:
    outlook = look(commit, NAMES, found)
    assert (outlook.state, said in outlook.sentence) == (state, True), outlook.sentence


def test_of_one_table_it_is_not_said_that_there_are_several() -> None:
    assert look(A, NAMES[:1], facts(**GOOD)).sentence == f"The data of the one table belongs to {A}."


def test_a_commit_that_no_run_names_may_come_and_the_nearest_is_named() -> None:
    wrong = f"{A[:10]}f"
    outlook = look(wrong, NAMES, facts(run("failed", commit=A[:11]), **OLD))
    assert outlook.state == "waiting"
    assert f"no run of {wrong} has begun; did you mean '{A[:11]}'?" in outlook.sentence


def test_a_prefix_of_two_commits_is_refused_and_both_are_named() -> None:
    twin = A[:8] + "f" * 32
    with pytest.raises(ConfigError, match=f"Several commits begin with '{A[:7]}': {A}, {twin}"):
        look(A[:7], NAMES, facts(run(commit=twin), **GOOD))


def test_without_a_table_nothing_is_waited_for() -> None:
    assert look(A, [], facts()).state == "lost"


@pytest.mark.parametrize("wrong", ["a1a1a1", "main", "g" * 40, "a" * 41, ""])
def test_what_is_no_commit_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="7 to 40 of its hex digits"):
        checked(wrong)
    assert checked(f" {A.upper()}") == A


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def waited(*states: str, timeout: timedelta = timedelta(seconds=60)) -> tuple[Outlook, list[str], float]:
    """Wait with an answer after the other, the last one for ever."""
    outlooks = [Outlook.model_validate({"state": each, "sentence": f"{each}."}) for each in states]
    answers, told, clock = iter(outlooks), list[str](), Clock()
    found = wait(
        lambda: next(answers, outlooks[-1]),
        told.append,
        timeout_s=timeout.total_seconds(),
        clock=clock,
        sleep=clock.sleep,
    )
    return found, told, clock.now


@pytest.mark.parametrize("end", ["reached", "lost"])
def test_waiting_ends_with_a_final_answer_and_tells_each_thing_once(end: str) -> None:
    found, told, took = waited("waiting", "waiting", "unknown", "waiting", end)
    assert (found.state, told, took) == (end, ["waiting.", "unknown.", "waiting."], 4 * POLL_S)


@pytest.mark.parametrize(
    ("ended", "took"), [(-1, SETTLE_S), (1, POLL_S)], ids=["before anybody waited", "while somebody waited"]
)
def test_a_run_that_had_ended_before_is_not_the_last_word_for_a_minute(ended: int, took: float) -> None:
    red = Outlook(state="lost", sentence="red.", at=NOW, ended_at=NOW + timedelta(minutes=ended))
    answers, clock = iter([Outlook(state="waiting", sentence="w.", at=NOW)]), Clock()
    found = wait(lambda: next(answers, red), str, timeout_s=600, clock=clock, sleep=clock.sleep)
    assert (found, clock.now) == (red, took)


def test_after_a_rollback_the_run_that_is_still_queued_is_waited_for() -> None:
    red = Outlook(state="lost", sentence="red.", at=NOW, ended_at=NOW - timedelta(days=1))
    reached = Outlook(state="reached", sentence="r.", at=NOW)
    answers, clock = iter([red, red, Outlook(state="waiting", sentence="w.", at=NOW)]), Clock()
    found = wait(lambda: next(answers, reached), str, timeout_s=600, clock=clock, sleep=clock.sleep)
    assert (found, clock.now) == (reached, 3 * POLL_S)


def test_waiting_ends_with_its_time_and_no_later() -> None:
    found, _, took = waited("waiting", timeout=timedelta(seconds=12))
    assert (found.state, took) == ("waiting", 12)


def test_the_last_answer_is_of_the_last_moment() -> None:
    found, _, took = waited("waiting", "waiting", "waiting", "reached", timeout=timedelta(seconds=12))
    assert (found.state, took) == ("reached", 12)
