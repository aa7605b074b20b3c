"""What facts come to: every state of a table, of an environment and of the whole, as cases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluiceway.deploy.commit import Deployed
from sluiceway.deploy.stints import Stint
from sluiceway.freshness.facts import LastTry, LedgerFacts, RunFacts, TableFacts
from sluiceway.freshness.judge import NOTHING_PROMISED, counted, judge, judge_environment, judge_table, of_broken_file
from sluiceway.freshness.model import EnvironmentVerdict, State, TableState, TableVerdict

NOW = datetime(2026, 8, 3, 12, tzinfo=UTC)
A, B = "a1" * 20, "b2" * 20
PROMISE = timedelta(hours=10)
HOUR = timedelta(hours=1)


def table(hours: float | None = 1, commit: str | None = A, green: str | None = A, **more: Any) -> TableFacts:
    """A table at which a green run looked so many hours ago."""
    at = NOW - hours * HOUR if hours is not None else None
    values: dict[str, Any] = {
        "looked_at": at,
        "data_from": at,
        "table_rows": 3,
        "commit_sha": commit,
        "green_commit_sha": green,
    }
    return TableFacts(**{**values, "dag_id": "master_etl", "run_id": "r", **more})


def a_try(status: str, run_status: str) -> LastTry:
    values: Any = {"status": status, "run_status": run_status}
    return LastTry(dag_id="shop", run_id="r2", error="E: no rows", **values)


def run(status: str = "running", hours: float = 0.5, **more: Any) -> RunFacts:
    values = {
        "dag_id": "master_etl",
        "run_id": f"deploy__{A}",
        "commit": A,
        "note": None,
        "tables": frozenset({"city"}),
    }
    ended = None if status == "running" else NOW - hours * HOUR
    return RunFacts.model_validate(
        {**values, "status": status, "began_at": NOW - hours * HOUR, "finished_at": ended, **more}
    )


def facts(*runs: RunFacts, stint: Stint | None = None, **tables: TableFacts) -> LedgerFacts:
    return LedgerFacts(at=NOW, tables=tables, runs=runs, stint=stint)


def stint(commit: str = A, minutes: float = 10) -> Stint:
    """An environment that was first seen with the commit so long ago."""
    at = NOW - timedelta(minutes=minutes)
    return Stint(id=1, environment="staging", commit_sha=commit, other_seen_at=at, first_seen_at=at, last_seen_at=at)


TABLES: list[tuple[str, TableFacts | None, tuple[RunFacts, ...], TableState, str]] = [
    ("young", table(9), (), "fresh", "looked at 9 h ago"),
    ("as old as promised", table(10), (), "fresh", "10 h are promised"),
    ("in its grace", table(10.9), (), "late", "its grace of 1 h is not over"),
    ("beyond its grace", table(11.1), (), "stale", "looked at 11 h 6 min ago, 10 h are promised"),
    ("loading", table(30), (run(hours=9),), "late", f"master_etl/deploy__{A} is to load it"),
    ("loading for longer than it promises", table(30), (run(hours=11),), "stale", "is to load it"),
    ("another is loading", table(30), (run(dag_id="shop", tables=frozenset({"town"})),), "stale", "looked at"),
    ("the master has not planned", table(30), (run(tables=frozenset()),), "late", "is to load it"),
    ("another flow has not planned", table(30), (run(dag_id="shop", tables=frozenset()),), "stale", "looked at"),
    ("a run that has ended loads nothing", table(30), (run("success"),), "stale", "looked at"),
    ("failed", table(30, last_try=a_try("failed", "failed")), (), "stale", "failed in shop/r2: E: no rows"),
    ("a red run", table(30, last_try=a_try("loaded", "failed")), (), "stale", "is failed, which renews nothing"),
    ("failed and fresh", table(1, last_try=a_try("failed", "failed")), (), "fresh", "the last try failed in shop/r2"),
    ("never loaded", None, (), "unknown", "no green run has ever loaded it"),
    ("never green", table(None, last_try=a_try("failed", "failed")), (), "unknown", "E: no rows"),
    ("first load", None, (run(),), "unknown", "is to load it"),
]


@pytest.mark.parametrize(
    ("found", "runs", "state", "said"), [each[1:] for each in TABLES], ids=[each[0] for each in TABLES]
)
def test_a_table_stands_to_its_promise(
    found: TableFacts | None, runs: tuple[RunFacts, ...], state: TableState, said: str
) -> None:
    verdict = judge_table("city", PROMISE, facts(*runs, **({"city": found} if found is not None else {})))
    assert (verdict.state, said in verdict.sentence) == (state, True), verdict.sentence
    assert verdict.fresh_within_s == 36_000


@pytest.mark.parametrize("hours", [0, 10_000])
def test_a_table_without_a_promise_is_never_fresh_and_its_age_is_told(hours: float) -> None:
    verdict = judge_table("city", None, facts(city=table(hours)))
    assert (verdict.state, verdict.fresh_within_s) == ("no promise", None)
    assert verdict.sentence.startswith("looked at ") and "promises nothing" in verdict.sentence


def test_looked_at_and_data_from_are_both_kept() -> None:
    verdict = judge_table("city", PROMISE, facts(city=table(1, data_from=NOW - 300 * HOUR)))
    assert (verdict.state, verdict.looked_at, verdict.data_from) == ("fresh", NOW - HOUR, NOW - 300 * HOUR)


GOOD = {"city": table(), "town": table()}
OLD = {"city": table(), "town": table(5, commit=B, green=B)}
PARTLY = {"city": table(commit=B), "town": table()}
ENVIRONMENTS: list[tuple[str, dict[str, TableFacts], tuple[RunFacts, ...], Stint | None, State, str]] = [
    ("in step", GOOD, (), stint(), "in step", f"deployed {A}, 10 min ago; data {A}, all 2 tables"),
    ("in step for long", GOOD, (), stint(minutes=6000), "in step", "all 2 tables"),
    ("nobody looked before", GOOD, (), None, "in step", f"deployed {A}; data {A}"),
    ("no run yet", OLD, (), stint(), "behind", f"1 of 2 tables holds other data: town ({B}). No run of it has begun"),
    ("a run goes on", OLD, (run(),), stint(), "behind", f"Its run deploy__{A} is running"),
    (
        "no run in time",
        OLD,
        (),
        stint(minutes=61),
        "stale",
        "No run of it has begun, and the 1 h that are promised are",
    ),
    ("a run takes too long", OLD, (run(),), stint(minutes=61), "stale", "are over"),
    ("a red run", OLD, (run("failed", 0.05, note="no rows"),), stint(), "stale", "is failed: no rows"),
    ("abandoned", OLD, (run("abandoned", 0.05),), stint(), "stale", "is abandoned"),
    ("red and again", OLD, (run(run_id="deploy__2"), run("failed", 2)), stint(), "behind", "deploy__2 is running"),
    ("a red run, and nobody looked before", OLD, (run("failed"),), None, "stale", "is failed: no reason was told"),
    ("red before a rollback to it", OLD, (run("failed", 3),), stint(), "behind", "is failed"),
    ("another's red run", OLD, (run("failed", commit=B),), stint(), "behind", "No run of it"),
    ("a flow's red run", OLD, (run("failed", dag_id="shop"),), stint(), "behind", "No run of it"),
    ("superseded", OLD, (run("superseded"),), stint(), "behind", "is superseded"),
    ("a part is another's", PARTLY, (), stint(), "behind", f"city ({B}, by a run that is not green)"),
    (
        "its red run has loaded a part",
        {"city": table(green=B), "town": table()},
        (run("failed", 0.05),),
        stint(),
        "stale",
        f"1 of 2 tables holds other data: city ({A}, by a run that is not green)",
    ),
    ("never loaded", {"city": table()}, (), stint(), "behind", "town (never loaded)"),
    (
        "by hand",
        {"city": table(), "town": table(commit=None, green=None)},
        (),
        stint(),
        "behind",
        "town (of no commit)",
    ),
    ("the watch saw another a moment ago", OLD, (), stint(B, 1), "behind", "No run of it has begun"),
    ("the watch is blind", OLD, (), stint(B, 90), "stale", "nobody has noted when it was deployed"),
    ("no watch", OLD, (), None, "stale", "nobody has noted when it was deployed"),
    ("no watch and a run", OLD, (run(),), None, "behind", "is running"),
    ("no watch and a run that hangs", OLD, (run(hours=3),), None, "stale", "nobody has noted"),
]


@pytest.mark.parametrize(
    ("tables", "runs", "seen", "state", "said"), [each[1:] for each in ENVIRONMENTS], ids=[e[0] for e in ENVIRONMENTS]
)
def test_an_environment_stands_to_its_commit(
    tables: dict[str, TableFacts], runs: tuple[RunFacts, ...], seen: Stint | None, state: State, said: str
) -> None:
    verdict = environment(facts(*runs, stint=seen, **tables))
    assert (verdict.state, said in verdict.sentence) == (state, True), verdict.sentence


def environment(known: LedgerFacts | str, seen: Deployed | str | None = None, *names: str) -> EnvironmentVerdict:
    served = seen if seen is not None else Deployed(commit=A, place="https://staging.example")
    return judge_environment("staging", HOUR, served, names or ("city", "town"), known)


@pytest.mark.parametrize("short", [A[:7], A[:12]])
def test_a_short_commit_is_the_one_that_it_begins(short: str) -> None:
    served = Deployed(commit=short, place="p")
    assert environment(facts(**GOOD), served).state == "in step"
    held = {name: table(commit=short, green=short) for name in GOOD}
    verdict = environment(facts(**held))
    assert (verdict.state, verdict.data_commit) == ("in step", short)


def test_what_cannot_be_seen_is_unknown_and_what_is_known_is_told() -> None:
    blind = environment(facts(stint=stint(), **GOOD), "https://staging.example does not answer")
    assert (blind.state, blind.deployed_commit, blind.data_commit) == ("unknown", None, A)
    assert "https://staging.example does not answer" in blind.sentence
    no_ledger = environment("The warehouse does not answer")
    assert (no_ledger.state, no_ledger.deployed_commit, no_ledger.data_commit) == ("unknown", A, None)
    assert judge_environment("s", HOUR, Deployed(commit=A, place="p"), [], facts()).state == "unknown"


def test_what_no_green_run_has_loaded_is_nobodys_commit() -> None:
    assert environment(facts(city=table(green=B), town=table(green=B))).data_commit is None


def test_tables_of_several_commits_hold_no_commit() -> None:
    assert environment(facts(**OLD)).data_commit is None
    assert environment(facts(**PARTLY)).data_commit is None


def verdict_of(state: TableState, name: str = "city", **more: Any) -> TableVerdict:
    return of_broken_file(name, "s").model_copy(update={"state": state, **more})


IN_STEP = EnvironmentVerdict(
    name="staging", state="in step", sentence="s", data_within_s=1, deployed_commit=A, deployed_at=None, data_commit=A
)
WHOLE: list[tuple[State, tuple[TableState, ...], State]] = [
    ("in step", ("fresh", "fresh"), "in step"),
    ("in step", ("no promise",), "in step"),
    ("in step", ("fresh", "late"), "behind"),
    ("behind", ("fresh",), "behind"),
    ("in step", ("fresh", "stale"), "stale"),
    ("stale", ("fresh",), "stale"),
    ("in step", ("fresh", "unknown"), "unknown"),
    ("unknown", ("fresh",), "unknown"),
    ("unknown", ("stale",), "stale"),
    ("stale", ("unknown",), "stale"),
]


@pytest.mark.parametrize(("of_environment", "of_tables", "state"), WHOLE)
def test_the_whole_is_as_bad_as_its_worst_part(
    of_environment: State, of_tables: tuple[TableState, ...], state: State
) -> None:
    tables = [verdict_of(each, f"t{number}") for number, each in enumerate(of_tables)]
    assert judge(IN_STEP.model_copy(update={"state": of_environment}), tables, facts()).state == state


def test_without_an_environment_the_tables_decide_and_nothing_promised_is_unknown() -> None:
    assert judge(None, [verdict_of("fresh")], facts()).state == "in step"
    assert judge(None, [verdict_of("stale")], facts()).state == "stale"
    for tables in ([], [verdict_of("no promise")]):
        nothing = judge(None, tables, facts())
        assert (nothing.state, NOTHING_PROMISED in nothing.sentence) == ("unknown", True)


@pytest.mark.parametrize("sentence", ["its run is failed: Nothing was published.", "its run goes on"])
def test_each_sentence_has_one_full_stop(sentence: str) -> None:
    told = judge(IN_STEP.model_copy(update={"sentence": sentence}), [verdict_of("fresh")], facts()).sentence
    assert told == f"staging is in step: {sentence.removesuffix('.')}. Of 1 table: 1 fresh."


def test_the_worst_tables_stand_first_and_the_oldest_of_them() -> None:
    tables = [
        verdict_of("fresh", "a", looked_at=NOW),
        verdict_of("stale", "b", looked_at=NOW - HOUR),
        verdict_of("stale", "c", looked_at=NOW - 2 * HOUR),
        verdict_of("no promise", "d", looked_at=NOW - 900 * HOUR),
        verdict_of("late", "e", looked_at=NOW),
        verdict_of("unknown", "f"),
    ]
    verdict = judge(IN_STEP, tables, facts())
    assert "".join(each.table for each in verdict.tables) == "cbfeda"
    assert "Of 6 tables: 2 stale (b, c), 1 unknown (f), 1 late (e), 1 without a promise, 1 fresh." in verdict.sentence


def test_a_bound_is_the_last_moment_at_which_a_promise_is_kept() -> None:
    at = {"promise": 10.0, "grace": 11.0}
    second = 1 / 3600
    for hours, run_began, state in (
        (at["promise"], None, "fresh"),
        (at["promise"] + second, None, "late"),
        (at["grace"], None, "late"),
        (at["grace"] + second, None, "stale"),
        (30, at["promise"], "late"),
        (30, at["promise"] + second, "stale"),
    ):
        runs = (run(hours=run_began),) if run_began is not None else ()
        found = judge_table("city", PROMISE, facts(*runs, city=table(hours)))
        assert found.state == state, (hours, run_began, found.sentence)


def test_an_environment_has_all_of_its_time_and_no_second_more() -> None:
    for minutes, state in ((60, "behind"), (60 + 1 / 60, "stale")):
        assert environment(facts(stint=stint(minutes=minutes), **OLD)).state == state
        assert environment(facts(stint=stint(B, minutes), **OLD)).state == state
        assert environment(facts(run(hours=minutes / 60), **OLD)).state == state


def test_a_run_that_ended_when_another_commit_was_still_seen_says_nothing_of_this_deploy() -> None:
    for minutes, state in ((10, "behind"), (9.9, "stale")):
        assert environment(facts(run("failed", minutes / 60), stint=stint(minutes=10), **OLD)).state == state
    unknown = stint().model_copy(update={"other_seen_at": None})
    assert environment(facts(run("failed", 0.9), stint=unknown, **OLD)).state == "stale"
    endless = run("abandoned", 0.9).model_copy(update={"finished_at": None})
    assert environment(facts(endless, stint=stint(), **OLD)).state == "stale"


def test_the_newest_run_of_a_commit_is_told_and_the_newest_that_is_to_load_a_table() -> None:
    runs = (run(commit=B, run_id="other"), run(run_id="newer"), run(run_id="older"))
    assert "Its run newer is running" in environment(facts(*runs, stint=stint(), **OLD)).sentence
    runs = (run(dag_id="shop", run_id="s", tables=frozenset({"town"})), run(run_id="m2"), run(run_id="m1"))
    assert "master_etl/m2 is to load it" in judge_table("city", PROMISE, facts(*runs, city=table(30))).sentence


def test_a_verdict_of_a_table_says_what_it_holds_and_whose_that_is() -> None:
    found = judge_table("city", PROMISE, facts(city=table(2, data_from=NOW - 5 * HOUR, run_id="r7")))
    assert found == TableVerdict(
        table="city",
        state="fresh",
        sentence="looked at 2 h ago, 10 h are promised",
        fresh_within_s=36_000,
        looked_at=NOW - 2 * HOUR,
        data_from=NOW - 5 * HOUR,
        rows=3,
        commit=A,
        dag_id="master_etl",
        run_id="r7",
    )


def test_a_verdict_of_an_environment_says_what_is_deployed_since_when_and_what_the_tables_hold() -> None:
    seen = stint(minutes=30)
    known = facts(stint=seen, city=table(4), town=table(2))
    assert environment(known) == EnvironmentVerdict(
        name="staging",
        state="in step",
        sentence=f"deployed {A}, 30 min ago; data {A}, all 2 tables, each looked at since 2026-08-03 08:00 UTC",
        data_within_s=3600,
        deployed_commit=A,
        deployed_at=seen.first_seen_at,
        data_commit=A,
    )
    assert environment(known, None, "city").sentence.endswith(
        "its one table, each looked at since 2026-08-03 08:00 UTC"
    )
    # which no look has noted
    other = environment(facts(stint=stint(B), city=table(4), town=table(2)))
    assert (other.deployed_at, other.sentence.startswith(f"deployed {A}; data")) == (None, True)


def test_three_tables_are_named_and_the_rest_counted() -> None:
    held = {f"t{number}": table(commit=B, green=B) for number in range(5)}
    for count, rest in ((3, "t2 (" + B + ")."), (5, "t2 (" + B + ") and 2 more.")):
        names = list(held)[:count]
        found = environment(facts(stint=stint(), **held), None, *reversed(names))
        assert f"{count} of {count} tables hold other data: t0 ({B}), t1 ({B}), {rest}" in found.sentence
    stale = [verdict_of("stale", f"t{number}") for number in range(5)]
    assert judge(None, stale, facts()).sentence == "Of 5 tables: 5 stale (t0, t1, t2 and 2 more)."
    assert judge(None, stale[2::-1], facts()).sentence == "Of 3 tables: 3 stale (t0, t1, t2)."
    assert counted(stale, names=False) == "Of 5 tables: 5 stale."
    many = [verdict_of("stale", f"t{number:04}") for number in range(1203)]
    assert counted(many) == "Of 1,203 tables: 1,203 stale (t0000, t0001, t0002 and 1,200 more)."
    assert counted([verdict_of("no promise")]) == "Of 1 table: 1 without a promise."
    assert counted([]) == "There is no table."


def test_of_tables_that_are_as_bad_and_as_old_the_name_decides_and_one_without_a_look_comes_last() -> None:
    same = [verdict_of("stale", name, looked_at=NOW - HOUR) for name in ("c", "a", "b")]
    verdict = judge(IN_STEP, [verdict_of("stale", "0"), *same], facts())
    assert "".join(each.table for each in verdict.tables) == "abc0"
    assert (verdict.computed_at, verdict.environment) == (NOW, IN_STEP)


def test_a_try_that_renewed_nothing_is_told_and_a_good_one_is_not() -> None:
    def said(status: str, run_status: str, **more: Any) -> str:
        last = a_try(status, run_status)._replace(**more)
        return judge_table("city", PROMISE, facts(city=table(1, last_try=last))).sentence

    fresh = "looked at 1 h ago, 10 h are promised"
    assert said("loaded", "success") == said("loaded", "running") == fresh
    assert (
        said("loaded", "abandoned") == f"{fresh}; shop/r2 has come to it since and is abandoned, which renews nothing"
    )
    assert said("failed", "running") == f"{fresh}; the last try failed in shop/r2: E: no rows"
    assert said("failed", "failed", error=None).endswith("failed in shop/r2: no error was told")
    assert said("failed", "failed", error="E:\n  no   rows").endswith("shop/r2: E: no rows")


def test_what_a_table_holds_of_two_commits_is_no_commits_whatever_is_asked_first() -> None:
    for tables in (
        {"city": table(), "town": table(commit=B, green=B)},
        {"city": table(commit=B, green=B), "town": table()},
    ):
        assert environment(facts(**tables)).data_commit is None
    short = {"city": table(commit=A[:7], green=A[:7]), "town": table()}
    assert environment(facts(**short)).data_commit == A, "the longest way in which it is written"
    assert environment(facts(city=table(), town=table(commit=None, green=A))).data_commit is None
    assert environment(facts(city=table(), town=table(green=None))).data_commit is None


def test_a_deployment_without_a_table_is_not_in_step_with_anything() -> None:
    found = judge(IN_STEP, [], facts())
    assert (found.state, found.sentence) == ("unknown", "staging is in step: s. There is no table.")
