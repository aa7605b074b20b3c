"""Which runs are a commit's, which of two commits is the newer, and whether a deployed commit needs a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluiceway.deploy.gate import Sight, judge
from sluiceway.deploy.order import CommitRun, contradiction, is_newer, needs_nothing, next_run_id, run_ids
from sluiceway.deploy.stints import Loads, Stint
from sluiceway.errors import DeployRunError

SHA, OTHER = "a" * 40, "b" * 40
RUN = f"deploy__{SHA}"


def at(minute: float) -> datetime:
    return datetime(2026, 7, 1, 12, tzinfo=UTC) + timedelta(minutes=minute)


def run(number: int = 1, state: str = "success", *, enqueued: float = 0, ended: float | None = None) -> CommitRun:
    """A run of SHA, which ends a minute after it was enqueued."""
    is_over = state in {"success", "failed"}
    return CommitRun(
        run_id=run_ids(SHA)[number - 1],
        state=state,
        enqueued_at=at(enqueued),
        ended_at=at(enqueued + 1 if ended is None else ended) if is_over else None,
        conf={"commit_sha": SHA},
    )


def stint(commit: str = SHA, *, other_seen: float | None = None, first_seen: float = 0) -> Stint:
    other_seen_at = None if other_seen is None else at(other_seen)
    return Stint(
        id=1,
        environment="staging",
        commit_sha=commit,
        other_seen_at=other_seen_at,
        first_seen_at=at(first_seen),
        last_seen_at=at(first_seen),
    )


@pytest.mark.parametrize("run_id", [RUN, f"{RUN}__2", f"deploy__{SHA[:7]}", "manual__2026", "by_hand"])
def test_a_run_whose_conf_says_what_its_id_says_is_what_it_says(run_id: str) -> None:
    assert contradiction(run_id, {"commit_sha": SHA, "tables": [], "force": True}) is None


@pytest.mark.parametrize(
    ("run_id", "conf", "said"),
    [
        (RUN, {}, f"run of the commit {SHA}, and its conf has no commit_sha"),
        (RUN, {"commit_sha": None}, "and its conf has no commit_sha"),
        (RUN, {"commit_sha": OTHER}, f"and its conf has the commit_sha '{OTHER}'"),
        (f"{RUN}__3", {"commit_sha": SHA, "tables": ["city"]}, "and its conf names tables"),
        ("deploy__of_tuesday", {"commit_sha": SHA}, "begins with deploy__ and names no commit"),
    ],
)
def test_a_run_whose_conf_contradicts_its_id_is_no_run_of_the_commit(
    run_id: str, conf: dict[str, Any], said: str
) -> None:
    assert said in (contradiction(run_id, conf) or "")
    assert not run().model_copy(update={"run_id": run_id, "conf": conf}).counts_for(SHA)


def test_the_next_run_of_a_commit_has_the_first_free_id() -> None:
    assert next_run_id(SHA, []) == RUN
    assert next_run_id(SHA, [RUN, f"{RUN}__3"]) == f"{RUN}__2"
    with pytest.raises(DeployRunError, match="All 99 ids"):
        next_run_id(SHA, run_ids(SHA))


# X is served, and a run of N looks; minute 10 is when N's run was enqueued


def test_what_was_deployed_after_the_run_was_enqueued_is_newer_though_its_own_run_is_older() -> None:
    """A rollback: X had its first run long ago."""
    assert is_newer(stint(other_seen=11, first_seen=12), first_enqueued_at=at(0), enqueued_at=at(10))


def test_what_was_served_when_the_run_was_enqueued_is_older_though_its_own_run_came_later() -> None:
    assert not is_newer(stint(other_seen=3, first_seen=4), first_enqueued_at=at(11), enqueued_at=at(10))


@pytest.mark.parametrize("served", [None, stint(first_seen=12), stint(other_seen=9, first_seen=12)])
@pytest.mark.parametrize("first", [0, 11])
def test_where_no_look_says_which_came_first_the_runs_do(served: Stint | None, first: float) -> None:
    assert is_newer(served, first_enqueued_at=at(first), enqueued_at=at(10)) is (first > 10)


def contested(runs: list[CommitRun], served: Stint | None, *, enqueued: float = 10) -> Sight:
    """What a run of OTHER makes of SHA being served."""
    sight = Sight(outcome="contested", commit=SHA, runs=tuple(run.run_id for run in runs), said="it serves SHA")
    return judge(sight, "staging", runs, served, at(enqueued))


def test_a_newer_commit_whose_run_waits_supersedes() -> None:
    found = contested([run(state="queued", enqueued=11)], stint(other_seen=9, first_seen=12))
    assert found.outcome == "superseded"
    assert found.said == f"staging serves the newer commit {SHA}, whose run {RUN} waits; no table was touched"


def test_of_several_runs_of_the_newer_commit_that_wait_the_last_is_named() -> None:
    runs = [run(state="running", enqueued=11), run(2, "queued", enqueued=12), run(3, "failed", enqueued=13)]
    found = contested(runs, stint(other_seen=9, first_seen=12))
    assert (found.outcome, f"whose run {RUN}__2 waits" in found.said) == ("superseded", True)


def test_what_the_looks_have_seen_says_more_than_when_the_runs_came() -> None:
    assert contested([run(state="queued")], stint(other_seen=11, first_seen=12)).outcome == "superseded"
    assert contested([run(state="queued", enqueued=11)], stint(first_seen=1)).outcome == "waiting"


@pytest.mark.parametrize("state", ["queued", "running"])
def test_an_older_commit_whose_run_is_retried_while_the_newer_is_rolled_out_does_not(state: str) -> None:
    """The retry queues it again, after the newer one's."""
    assert contested([run(state=state)], stint(first_seen=1)).outcome == "waiting"
    assert contested([run(state="failed"), run(2, state, enqueued=11)], stint(first_seen=1)).outcome == "waiting"
    assert contested([run(state="failed"), run(2, state, enqueued=11)], None).outcome == "waiting"


def test_a_newer_commit_that_has_no_run_that_counts_does_not() -> None:
    newer = stint(other_seen=11, first_seen=12)
    assert contested([run(enqueued=11)], newer).outcome == "waiting"
    assert contested([run(state="queued").model_copy(update={"conf": {}})], newer).outcome == "waiting"


def test_a_look_that_was_overtaken_is_judged_anew() -> None:
    runs = [run(state="queued", enqueued=11)]
    found = contested(runs, stint(OTHER, other_seen=11, first_seen=12))
    assert (found.outcome, found.runs) == ("waiting", ())


# whether what is deployed needs a run


def loads(*, loaded: float | None = None, other: float | None = None, superseded: tuple[str, ...] = ()) -> Loads:
    return Loads(
        loaded_at=None if loaded is None else at(loaded),
        other_loaded_at=None if other is None else at(other),
        superseded=frozenset(superseded),
    )


@pytest.mark.parametrize(
    ("runs", "known", "reason"),
    [
        pytest.param([], loads(), None, id="a commit that is new"),
        pytest.param([], loads(other=5), None, id="a commit that is new beside an older one's data"),
        pytest.param([], loads(loaded=5, other=4), "it is loaded", id="loaded by a run that is forgotten"),
        pytest.param([run(state="queued")], loads(other=5), f"its run {RUN} is queued", id="its run waits"),
        pytest.param([run()], loads(loaded=1), "it is loaded", id="loaded"),
        pytest.param([run()], loads(other=-5), f"its run {RUN} has ended: success", id="loaded, and the ledger is new"),
        pytest.param([run()], loads(loaded=1, other=5), None, id="a rollback to a commit that was loaded"),
        pytest.param([run()], loads(other=5, superseded=(RUN,)), None, id="a rollback to a superseded one"),
        pytest.param([run()], loads(superseded=(RUN,)), None, id="superseded, and nobody else loaded"),
        pytest.param([run(state="running")], loads(superseded=(RUN,)), None, id="just superseded"),
        pytest.param([run(state="queued")], loads(superseded=(RUN,)), f"its run {RUN} is queued", id="cleared"),
        pytest.param([run(state="failed")], loads(other=-5), f"its run {RUN} has ended: failed", id="failed"),
        pytest.param([run(state="failed")], loads(other=5), None, id="a rollback to one that had failed"),
        pytest.param(
            [run(), run(2, enqueued=7)], loads(loaded=8, other=5), "it is loaded", id="the rollback's run is done"
        ),
        pytest.param(
            [run(), run(2, "failed", enqueued=7)],
            loads(loaded=1, other=5),
            f"its run {RUN}__2 has ended: failed",
            id="the rollback's run has failed",
        ),
        pytest.param(
            [run().model_copy(update={"conf": {"commit_sha": SHA, "tables": ["city"]}})],
            loads(),
            None,
            id="its id is taken by a run of a few tables",
        ),
    ],
)
def test_a_deployed_commit_needs_a_run_unless_it_has_one_or_the_tables_hold_its_data(
    runs: list[CommitRun], known: Loads, reason: str | None
) -> None:
    assert needs_nothing(SHA, runs, known) == reason
