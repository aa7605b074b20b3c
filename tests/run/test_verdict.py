"""The verdict: one colour per outcome, and a sentence that names what is wrong."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sluiceway.ledger.publications import Publication
from sluiceway.ledger.store import Run, TableRun
from sluiceway.ledger.tasks import TaskRun
from sluiceway.run.facts import Facts
from sluiceway.run.verdict import States, Verdict, judge, judged_states

AT = datetime(2026, 8, 3, 14, 2, 9, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)
GREEN_STATES = {
    "opened": "success",
    "deploy_gate": "success",
    "plan": "success",
    "sub.load_table_0": "success",
    "final.validate": "success",
    "final.aggregate": "success",
}
FAILED = {"status": "failed", "error_type": "EmptyExtractionError", "error": "town: the source gave no rows"}
NOTE = "Superseded: staging serves the newer commit abc, whose run deploy__abc waits; no table was touched."
SKIPPED_STATES = {"opened": "success", "deploy_gate": "success", "plan": "skipped", "sub.load_table": "skipped"}


def run(**values: Any) -> Run:
    known = {
        "dag_id": "master_etl",
        "run_id": "r1",
        "commit_sha": None,
        "deployed_sha": None,
        "trigger_kind": "test",
        "started_at": AT,
        "enqueued_at": AT,
        "finished_at": None,
        "status": "running",
        "note": None,
    }
    return Run.model_validate({**known, **values})


def table(name: str, status: str = "loaded", **values: Any) -> TableRun:
    known = {"dag_id": "master_etl", "run_id": "r1", "table_name": name, "status": status, "finished_at": AT}
    known["published_at"] = AT if status in {"loaded", "unchanged"} else None
    return TableRun.model_validate({**known, **values})


def task(task_id: str, map_index: int = -1, **values: Any) -> TaskRun:
    known = {"dag_id": "master_etl", "run_id": "r1", "task_id": task_id, "map_index": map_index, "started_at": AT}
    return TaskRun.model_validate({**known, **values})


def named(name: str) -> tuple[str, int]:
    """A task and its map index, by the name of its state."""
    found = re.fullmatch(r"(.+)_(\d+)", name)
    return (found[1], int(found[2])) if found else (name, -1)


def verdict_of(
    tables: list[TableRun],
    states: States = GREEN_STATES,
    *,
    tasks: tuple[TaskRun, ...] = (),
    published: datetime | None = LATER,
    publications: tuple[Publication, ...] = (),
    tries: list[TableRun] | None = None,
    never_began: Collection[str] = (),
    **of_run: Any,
) -> Verdict:
    """The verdict of a run whose good tasks have said that they ended, but those that never began."""
    told = {each.name for each in tasks}
    if "enqueued_at" in of_run:
        never_began = list(states)
    good = [name for name, state in states.items() if state == "success" and name not in told | set(never_began)]
    tasks = (*tasks, *(task(*named(each), finished_at=AT) for each in good))
    facts = Facts(
        run=run(published_at=published, **of_run),
        tables=tuple(tables),
        tries=tuple(tables if tries is None else tries),
        tasks=tasks,
        publications=publications,
    )
    return judge(facts, states)


def red(verdict: Verdict) -> str:
    assert verdict.status == "failed"
    return verdict.sentence


def test_loaded_and_unchanged_tables_are_green_with_their_counts() -> None:
    verdict = verdict_of(
        [
            table("city", extracted=1204, inserted=1000, updated=200, rejected=4),
            table("town", extracted=7, unchanged=7),
            table("park", "unchanged", table_rows=5),
        ]
    )
    assert verdict.status == "success"
    assert verdict.sentence == (
        "2 of 3 tables loaded, 1 unchanged since their last load: "
        "1,000 rows inserted, 200 updated, 7 unchanged, 4 rejected."
    )


def test_one_failed_table_of_many_is_red_and_named_with_its_reason() -> None:
    assert red(verdict_of([table("city"), table("town", **FAILED)], published=None)) == (
        "1 of 2 tables failed: town (EmptyExtractionError: town: the source gave no rows). Nothing was published."
    )


def test_a_table_that_never_reported_is_red_and_says_what_is_known_of_its_task() -> None:
    tables = [table("city", "planned"), table("town", "planned"), table("lake", "planned")]
    tasks = (
        task("sub.load_table", 0, table_name="city", log_url="http://af/log"),
        task("sub.load_table", 1, table_name="town", error_type="SettingsError", error="no connection", finished_at=AT),
    )
    states = {**GREEN_STATES, "sub.load_table_0": "failed"}
    assert red(verdict_of(tables, states, tasks=tasks, published=None)) == (
        "3 of 3 tables never reported: city (killed: its process that began 2026-08-03 14:02:09 UTC ended without a "
        "word (out of memory, a crash, a lost machine, or ended by hand) (log: http://af/log)); "
        "town (SettingsError: no connection); lake (its task never began). Nothing was published."
    )


def test_a_run_without_a_table_is_red() -> None:
    assert red(verdict_of([], published=None)) == "no table was planned. Nothing was published."


def test_a_failed_task_is_red_although_every_table_is_good_and_is_quoted_with_its_log() -> None:
    tasks = (
        task("final.aggregate", error_type="WarehouseError", error="division\n  by zero", finished_at=AT, log_url="u"),
    )
    states = {**GREEN_STATES, "final.aggregate": "failed"}
    assert red(verdict_of([table("city")], states, tasks=tasks, published=None)) == (
        "final.aggregate failed: WarehouseError: division by zero (log: u). Nothing was published."
    )


def test_a_task_that_was_killed_is_named_as_killed() -> None:
    states = {**GREEN_STATES, "final.validate": "failed"}
    sentence = red(verdict_of([table("city")], states, tasks=(task("final.validate"),), published=None))
    assert sentence.startswith("final.validate failed: killed: its process that began 2026-08-03 14:02:09 UTC ended")


def test_a_task_that_failed_in_airflow_alone_was_marked_or_lost_its_worker() -> None:
    states = {**GREEN_STATES, "final.validate": "failed"}
    tasks = (task("final.validate", finished_at=AT),)
    assert "final.validate failed: marked so by hand, or its worker was lost" in red(
        verdict_of([table("city")], states, tasks=tasks)
    )
    assert "final.validate failed: it never began" in red(verdict_of([table("city")], states))


def test_of_a_task_that_failed_under_the_release_before_only_airflow_knows_why() -> None:
    failed = {"pre.check_sources": "failed", "sub.load_table_1": "failed", "final.aggregate": "upstream_failed"}
    states = {**GREEN_STATES, **failed}
    tables = [table("city"), table("town", **FAILED)]
    assert red(verdict_of(tables, states, published=None, enqueued_at=None)) == (
        "1 of 2 tables failed: town (EmptyExtractionError: town: the source gave no rows). pre.check_sources failed: "
        "Airflow's log of it says why (the release that ran it wrote no errors of tasks down). Nothing was published."
    )
    # one that has run again since is known as any other
    tasks = (task("pre.check_sources", error_type="SourceMissingError", error="no such file", finished_at=AT),)
    assert "pre.check_sources failed: SourceMissingError: no such file." in red(
        verdict_of(tables, states, tasks=tasks, published=None, enqueued_at=None)
    )


def test_a_run_that_the_release_before_published_and_did_not_judge_says_how_it_gets_green() -> None:
    assert red(verdict_of([table("city")], published=None, enqueued_at=None)) == (
        "final.aggregate ran under a release that did not write down what it published; "
        "clear final.aggregate to publish again."
    )


def test_a_table_loaded_again_in_a_run_of_before_is_to_be_published_whatever_views_it_feeds() -> None:
    first = table("city", inserted=2)
    second = table("city", try_number=2, inserted=1, published_at=None)
    assert red(verdict_of([second], tries=[first, second], enqueued_at=None)).startswith(
        "loaded again after the run had published: city; clear final.aggregate"
    )
    assert verdict_of([first], tries=[first], enqueued_at=None).status == "success"


def test_no_table_was_planned_is_said_only_where_no_cause_is_known() -> None:
    tasks = (task("deploy_gate", error_type="UnknownParamError", error="a key 'tabels'", finished_at=AT),)
    states = {
        "opened": "success",
        "deploy_gate": "failed",
        "plan": "upstream_failed",
        "sub.load_table": "upstream_failed",
    }
    assert red(verdict_of([], states, tasks=tasks, published=None)) == (
        "deploy_gate failed: UnknownParamError: a key 'tabels'. Nothing was published."
    )


def test_tasks_that_only_follow_a_failed_one_are_not_called_a_cause() -> None:
    states = {**GREEN_STATES, "final.validate": "failed", "final.aggregate": "upstream_failed"}
    assert "final.aggregate" not in red(verdict_of([table("city")], states, published=None))


def test_a_run_in_which_tasks_only_follow_is_red_all_the_same() -> None:
    states = {**GREEN_STATES, "final.aggregate": "upstream_failed"}
    assert red(verdict_of([table("city")], states)) == ("failed tasks: final.aggregate. What was loaded is published.")


def test_tasks_that_follow_a_failed_table_are_not_named_beside_it() -> None:
    states = {**GREEN_STATES, "sub.load_table_1": "failed", "final.validate": "upstream_failed"}
    tasks = (task("sub.load_table", 1, table_name="town", error_type="E", error="e", finished_at=AT),)
    sentence = red(verdict_of([table("city"), table("town", **FAILED)], states, tasks=tasks, published=None))
    assert "failed tasks" not in sentence and "sub.load_table_1" not in sentence


def test_a_load_that_was_good_and_whose_second_try_was_killed_is_red() -> None:
    states = {**GREEN_STATES, "sub.load_table_0": "failed"}
    tasks = (task("sub.load_table", 0, table_name="city", try_number=2),)
    assert "sub.load_table_0 failed: killed" in red(verdict_of([table("city")], states, tasks=tasks))


def test_every_problem_stands_in_the_sentence() -> None:
    tasks = (task("pre.check_sources", error_type="SourceMissingError", error="no file", finished_at=AT),)
    states = {**GREEN_STATES, "pre.check_sources": "failed"}
    sentence = red(verdict_of([table("town", **FAILED), table("city", "planned")], states, tasks=tasks, published=None))
    assert sentence == (
        "1 of 2 tables failed: town (EmptyExtractionError: town: the source gave no rows). "
        "1 of 2 tables never reported: city (its task never began). "
        "pre.check_sources failed: SourceMissingError: no file. Nothing was published."
    )


@pytest.mark.parametrize("state", ["running", "queued", "scheduled", "deferred", "up_for_retry", "restarting", None])
def test_a_task_that_is_not_finished_is_never_good(state: str | None) -> None:
    sentence = red(verdict_of([table("city")], {**GREEN_STATES, "sub.cleanup_staging": state}))
    assert f"not finished: sub.cleanup_staging ({state or 'not begun'})" in sentence


@pytest.mark.parametrize("state", ["failed", "upstream_failed", "skipped"])
def test_any_other_end_of_a_task_is_red(state: str) -> None:
    assert "sub.cleanup_staging" in red(verdict_of([table("city")], {**GREEN_STATES, "sub.cleanup_staging": state}))


def test_a_mapped_task_that_a_second_plan_no_longer_has_is_no_fault() -> None:
    assert verdict_of([table("city")], {**GREEN_STATES, "sub.load_table_7": "removed"}).status == "success"


def test_publishing_is_a_fact_and_no_state_of_a_task() -> None:
    assert red(verdict_of([table("city")], published=None)) == (
        "final.aggregate is success in Airflow, set by hand, and has not published. Nothing was published."
    )


LATE = {"extracted": 1, "updated": 1, "published_at": None}
MAP = (Publication(view_name="map", tables=("city",)),)
CITY_IS_LATE = (
    "loaded again after the run had published: city; clear final.aggregate to publish what they hold. "
    "What was loaded before city is published."
)


def test_a_table_that_was_loaded_after_the_run_had_published_is_red() -> None:
    tables = [table("city", **LATE), table("town", extracted=1, unchanged=1)]
    fed = (Publication(view_name="map", tables=("city", "town")),)
    assert red(verdict_of(tables, published=AT, publications=fed)) == CITY_IS_LATE


def test_a_table_that_was_loaded_while_the_run_published_is_red_though_its_load_ended_before() -> None:
    assert red(verdict_of([table("city", **LATE, finished_at=AT)], published=LATER, publications=MAP)) == CITY_IS_LATE


@pytest.mark.parametrize("then", ["unchanged", "loaded"])
def test_a_later_try_without_a_change_does_not_hide_one_that_is_not_published(then: str) -> None:
    tries = [
        table("city", try_number=1, extracted=1, inserted=1),
        table("city", try_number=2, **LATE),
        table("city", then, try_number=3, published_at=None),
    ]
    assert red(verdict_of([tries[-1]], published=AT, publications=MAP, tries=tries)) == CITY_IS_LATE


def test_a_load_after_publishing_that_changed_no_row_is_green() -> None:
    tables = [table("city", extracted=1, unchanged=1, published_at=None)]
    assert verdict_of(tables, published=AT, publications=MAP).status == "success"


def test_a_load_after_publishing_of_a_table_that_feeds_no_view_is_green() -> None:
    fed = (Publication(view_name="map", tables=("town",)),)
    tries = [table("city", try_number=1), table("city", try_number=2, **LATE), table("town", extracted=1, unchanged=1)]
    assert verdict_of(tries[1:], published=AT, publications=fed, tries=tries).status == "success"


def test_a_table_that_no_publishing_has_seen_is_red_whatever_it_feeds() -> None:
    assert "loaded again after the run had published: city" in red(verdict_of([table("city", **LATE)], published=AT))


def test_a_red_run_names_the_view_that_was_withheld() -> None:
    kept = Publication(view_name="map", tables=("city",), withheld="town failed in shop/r9")
    states = {**GREEN_STATES, "sub.cleanup_staging": "failed"}
    said = red(
        verdict_of([table("city")], states, publications=(kept, Publication(view_name="area", tables=("city",))))
    )
    assert said.endswith("What was loaded is published. map was not published: town failed in shop/r9.")
    said = red(verdict_of([table("city")], states, publications=(kept,)))
    assert said.endswith("No view was published. map was not published: town failed in shop/r9.")


def test_what_was_published_of_a_red_run_is_said() -> None:
    assert red(verdict_of([table("city", finished_at=AT), table("town", **FAILED)])).endswith(
        "What was loaded is published."
    )


def test_a_view_that_was_withheld_is_named_in_a_green_run() -> None:
    kept = (Publication(view_name="map", tables=("city", "town"), withheld="town failed in shop/r9"),)
    verdict = verdict_of([table("city")], publications=kept)
    assert verdict.status == "success"
    assert verdict.sentence.endswith("map was not published: town failed in shop/r9.")


def test_a_failed_check_that_a_person_set_to_success_is_named_and_lets_the_run_be_green() -> None:
    tasks = (task("pre.check_sources", error_type="E", error="e", finished_at=AT),)
    verdict = verdict_of([table("city")], {**GREEN_STATES, "pre.check_sources": "success"}, tasks=tasks)
    assert verdict.status == "success"
    assert verdict.sentence.endswith("Marked success by hand: pre.check_sources.")


def test_the_verdict_and_who_tells_followers_are_no_part_of_what_is_judged() -> None:
    states = {"plan": "success", "verdict": "running", "followers.after_success": None}
    assert judged_states(states) == {"plan": "success"}


def test_a_run_that_the_ledger_calls_superseded_may_skip_everything_and_says_why() -> None:
    verdict = verdict_of([], SKIPPED_STATES, outcome="superseded", outcome_note=NOTE, published=None)
    assert (verdict.status, verdict.sentence) == ("superseded", NOTE)


def test_a_run_whose_events_another_has_taken_is_green_and_says_so() -> None:
    verdict = verdict_of([], SKIPPED_STATES, outcome="idle", outcome_note="Woken for nothing.", published=None)
    assert (verdict.status, verdict.sentence) == ("success", "Woken for nothing.")


def test_the_same_skipped_tasks_are_red_when_the_ledger_does_not_call_the_run_superseded() -> None:
    assert "skipped: plan, sub.load_table" in red(verdict_of([], SKIPPED_STATES, published=None))


def test_a_queue_of_which_a_run_has_no_table_is_skipped_and_is_no_fault() -> None:
    states = {**GREEN_STATES, "plan_heavy": "success", "sub.load_table_heavy": "skipped"}
    assert verdict_of([table("town")], states).status == "success"
    without = {**states, "plan_heavy": "skipped"}
    assert "skipped: plan_heavy, sub.load_table_heavy" in red(verdict_of([table("town")], without))


def test_a_run_without_a_table_in_parts_or_with_an_unchanged_one_skips_their_tasks_and_is_no_fault() -> None:
    listed = {"sub.split_tables": "success", "sub.plan_parts": "success"}
    none = {**GREEN_STATES, **listed, "sub.load_part": "skipped", "sub.merge_parts": "skipped"}
    unchanged = {**GREEN_STATES, **listed, "sub.load_part": "skipped", "sub.merge_parts_0": "success"}
    for states in (none, unchanged):
        assert verdict_of([table("town")], states).status == "success"
    without = {**none, "sub.plan_parts": "skipped"}
    assert "skipped: sub.load_part, sub.plan_parts" in red(verdict_of([table("town")], without))


def test_a_part_that_failed_is_told_by_its_table() -> None:
    states = {
        **GREEN_STATES,
        "sub.split_tables": "success",
        "sub.plan_parts": "success",
        "sub.load_part_0": "success",
        "sub.load_part_1": "failed",
        "sub.merge_parts_0": "failed",
        "final.validate": "upstream_failed",
    }
    failed = table("town", status="failed", error_type="PartsError", error="town: part 2 of 2 failed (why)")
    tasks = [
        task("sub.load_part", map_index=1, table_name="town", error_type="E", error="why"),
        task("sub.merge_parts", map_index=0, table_name="town", error_type="PartsError", error="why"),
    ]
    said = red(verdict_of([failed], states, tasks=tasks, published=None))
    assert said.count("why") == 1
    assert "sub.load_part" not in said


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ({"deploy_gate": "failed"}, "deploy_gate failed"),
        ({"opened": "running"}, "not finished: opened (running)"),
        ({"sub.load_table_0": "success"}, "sub.load_table_0 ran"),
        ({"sub.load_part_3": "success"}, "sub.load_part_3 ran"),
    ],
    ids=["gate", "running", "load", "part"],
)
def test_a_superseded_run_in_which_a_task_failed_or_a_table_was_loaded_is_red(
    states: dict[str, str | None], told: str
) -> None:
    verdict = verdict_of([], {**SKIPPED_STATES, **states}, outcome="superseded", outcome_note=NOTE, published=None)
    assert told in red(verdict)


def test_a_task_that_is_good_and_never_began_was_marked_and_is_named_in_green_and_in_red() -> None:
    states = {**GREEN_STATES, "opened": "success"}
    green = verdict_of([table("city")], states, never_began=["opened", "final.validate"])
    assert (green.status, green.sentence.endswith("Marked success by hand: final.validate.")) == ("success", True)
    none = verdict_of([], {"plan": "success", "verdict": None}, never_began=["plan"], published=None)
    assert red(none).endswith("Marked success by hand: plan.")


def test_of_a_run_of_the_release_before_nobody_knows_which_task_never_began() -> None:
    found = verdict_of([table("city")], never_began=list(GREEN_STATES), enqueued_at=None)
    assert "by hand" not in found.sentence


def test_a_task_that_was_cleared_and_marked_before_it_began_again_is_named() -> None:
    again = {"pending": ["sub.load_table_0", "plan"], "opened_at": LATER}
    load = task("sub.load_table", 0, table_name="city", finished_at=AT)
    ran = task("plan", started_at=LATER + timedelta(seconds=1), finished_at=LATER + timedelta(seconds=2))
    verdict = verdict_of([table("city")], tasks=(load, ran), **again)
    assert verdict.status == "success"
    assert verdict.sentence.endswith("Marked success by hand: sub.load_table_0.")
    assert "by hand" not in verdict_of([table("city")], tasks=(load, ran), **{**again, "pending": ["plan"]}).sentence


def test_five_tasks_that_have_not_finished_are_named_and_the_rest_counted() -> None:
    waiting = [f"flow.step_{number}" for number in range(7)]
    five = red(verdict_of([table("city")], {**GREEN_STATES, **dict.fromkeys(reversed(waiting[:5]), "queued")}))
    assert five.startswith(f"not finished: {', '.join(f'{name} (queued)' for name in waiting[:5])}. What")
    seven = red(verdict_of([table("city")], {**GREEN_STATES, **dict.fromkeys(waiting, "queued")}))
    assert seven.startswith(f"not finished: {', '.join(f'{name} (queued)' for name in waiting[:5])} and 2 more. What")


def test_tables_that_a_second_plan_no_longer_names_are_told_in_red_and_in_green() -> None:
    tries = [table("town", **FAILED), table("lake", "planned"), table("city")]
    told = "No longer planned: lake, town, which had failed or never reported before."
    green = verdict_of([table("city")], tries=tries)
    assert (green.status, green.sentence.endswith(f"rejected. {told}")) == ("success", True)
    assert red(verdict_of([table("city"), table("park", **FAILED)], tries=tries)).endswith(f"is published. {told}")


def test_an_error_that_asks_keeps_its_mark() -> None:
    asks = {**FAILED, "error": "there is no 'twon'; did you mean 'town'?"}
    tasks = (task("plan", error_type="E", error="did you mean 'town'?", finished_at=AT),)
    said = red(verdict_of([table("city")], {**GREEN_STATES, "plan": "failed"}, tasks=tasks, published=None))
    assert said == "plan failed: E: did you mean 'town'? Nothing was published."
    assert "'town'?)." in red(verdict_of([table("town", **asks)]))


def test_of_two_tasks_that_were_to_load_a_silent_table_the_one_that_began_last_says_why() -> None:
    older = task("sub.load_table", 7, table_name="city", error_type="E", error="older", finished_at=AT)
    never = task("sub.load_table", 9, table_name="city", error_type="E", error="never", started_at=None)
    newer = task("sub.load_table", 1, table_name="city", error_type="E", error="newer", started_at=LATER)
    other = task("sub.load_table", 2, error_type="E", error="of no table", started_at=LATER)
    for order in ((older, newer, never, other), (newer, never, other, older)):
        said = red(verdict_of([table("city", "planned")], tasks=order, published=None))
        assert "never reported: city (E: newer)" in said


def test_a_silent_table_whose_task_ended_well_says_so() -> None:
    tasks = (task("sub.load_table", 0, table_name="city", finished_at=AT),)
    said = red(verdict_of([table("city", "planned")], tasks=tasks, published=None))
    assert said.startswith("1 of 1 table never reported: city (its task ended and reported nothing).")


def test_tasks_that_were_skipped_behind_a_cause_are_not_named_beside_it() -> None:
    states = {**GREEN_STATES, "final.aggregate": "skipped"}
    failed = red(verdict_of([table("city")], {**states, "final.validate": "failed"}, published=None))
    assert failed.startswith("final.validate failed") and "skipped" not in failed
    silent = red(verdict_of([table("town", **FAILED)], states, published=None))
    assert "skipped" not in silent
    followers = {**GREEN_STATES, "sub.b": "upstream_failed", "sub.a": "upstream_failed"}
    assert "failed tasks: sub.a, sub.b." in red(verdict_of([table("city")], followers))


def test_a_superseded_run_whose_loads_still_run_is_not_called_superseded() -> None:
    """A gate that was marked by hand lets loads begin; nobody may read that no table was touched while they run."""
    for going in ("sub.load_table_0", "sub.load_table_heavy_3", "sub.load_part_1", "sub.merge_parts_0"):
        for state in ("running", "queued", "deferred", "up_for_retry", None):
            verdict = verdict_of(
                [], {**SKIPPED_STATES, going: state}, outcome="superseded", outcome_note=NOTE, published=None
            )
            assert red(verdict).startswith(
                f"In a run that had nothing to load: not finished: {going} ({state or 'not begun'}). Superseded: "
            )


def test_what_a_superseded_run_has_done_all_the_same_is_told_with_its_note() -> None:
    states = {**SKIPPED_STATES, "sub.merge_parts_0": "success", "sub.load_part_1": "success", "deploy_gate": "failed"}
    verdict = verdict_of([], states, outcome="superseded", outcome_note=NOTE, never_began=["deploy_gate"])
    assert red(verdict).endswith(f"; sub.load_part_1 ran; sub.merge_parts_0 ran. {NOTE}")
    assert red(verdict).startswith("In a run that had nothing to load: deploy_gate failed: it never began")
    without = verdict_of([], {**SKIPPED_STATES, "plan": "failed"}, outcome="idle", published=None)
    assert "None" not in red(without)


def test_what_was_not_published_is_never_called_published() -> None:
    """Whatever is red: the reader of the page has to know whether the map shows it."""
    kept = (Publication(view_name="map", tables=("city",), withheld="town failed"),)
    for tables in ([table("town", **FAILED)], [table("city"), table("town", "planned")], []):
        assert red(verdict_of(tables, published=None)).endswith("Nothing was published.")
        assert red(verdict_of(tables, published=None, publications=kept)).endswith("Nothing was published.")
    assert "Nothing was published" not in red(verdict_of([table("town", **FAILED)], published=AT))
    not_there = {name: state for name, state in GREEN_STATES.items() if name != "final.aggregate"}
    assert red(verdict_of([table("city")], not_there, published=None)) == (
        "final.aggregate is not there in Airflow, set by hand, and has not published. Nothing was published."
    )


def test_tasks_that_failed_are_told_by_name_and_one_without_a_beginning_is_killed_all_the_same() -> None:
    states = {**GREEN_STATES, "sub.z": "failed", "pre.a": "failed"}
    tasks = (task("sub.z", started_at=None), task("pre.a", error_type="E", error="e", finished_at=AT))
    said = red(verdict_of([table("city")], states, tasks=tasks, published=None))
    assert said.startswith("pre.a failed: E: e. sub.z failed: killed: its process ended without a word")


def test_in_a_run_of_before_the_loads_that_are_known_and_those_that_are_not_stand_for_the_failed_tables() -> None:
    states = {
        **GREEN_STATES,
        **dict.fromkeys(("sub.load_table_1", "sub.load_table_2", "sub.load_table_3"), "failed"),
    }
    tasks = (
        task("sub.load_table", 1, table_name="town", error_type="E", error="of town", finished_at=AT),
        task("sub.load_table", 2, error_type="E", error="of no table", finished_at=AT),
        task("sub.load_table", 3, table_name="city", error_type="E", error="of city", finished_at=AT),
    )
    tables = [table("city"), table("town", **FAILED)]
    said = red(verdict_of(tables, states, tasks=tasks, published=None, enqueued_at=None))
    assert "of town" not in said and "of no table" not in said
    assert "sub.load_table_3 failed: E: of city" in said, "its table is good, so that nobody tells it but itself"


def test_where_no_view_is_there_a_table_loaded_again_has_nothing_to_be_published() -> None:
    tries = [table("city", try_number=1), table("city", try_number=2, **LATE)]
    assert verdict_of(tries[1:], published=AT, tries=tries).status == "success"
    # what a later release published of a run of before, it has written down
    fed = (Publication(view_name="map", tables=("town",)),)
    assert verdict_of(tries[1:], published=AT, tries=tries, publications=fed, enqueued_at=None).status == "success"


def test_tables_that_were_loaded_too_late_are_told_by_name() -> None:
    said = red(verdict_of([table(name, **LATE) for name in ("town", "lake", "city", "park")], published=AT))
    assert said.startswith("loaded again after the run had published: city, lake, park, town; clear final.aggregate")
    assert said.endswith("What was loaded before city, lake, park, town is published.")


def test_a_publishing_that_never_began_was_set_by_hand_and_one_of_before_that_is_known_as_well() -> None:
    by_hand = "final.aggregate is success in Airflow, set by hand, and has not published. Nothing was published."
    assert by_hand in red(verdict_of([table("city")], published=None, never_began=["final.aggregate"]))
    of_before = red(verdict_of([table("city")], published=None, enqueued_at=None, tasks=(task("final.aggregate"),)))
    assert by_hand in of_before


def test_what_had_to_begin_when_a_run_was_opened_first_was_set_by_nobody() -> None:
    first = verdict_of([table("city")], pending=list(GREEN_STATES), opened_at=None)
    assert (first.status, "by hand" in first.sentence) == ("success", False)
    # a try whose beginning was not written down is not taken for one of before
    tasks = (task("final.validate", started_at=None, finished_at=AT),)
    again = verdict_of([table("city")], tasks=tasks, pending=["final.validate"], opened_at=LATER)
    assert (again.status, "by hand" in again.sentence) == ("success", False)
    at_once = task("final.validate", started_at=LATER, finished_at=LATER)
    assert (
        "by hand"
        not in verdict_of([table("city")], tasks=(at_once,), pending=["final.validate"], opened_at=LATER).sentence
    )


def test_a_load_that_stands_for_no_failed_table_is_told_itself() -> None:
    states = {**GREEN_STATES, "sub.load_table_5": "failed"}
    tables = [table("city"), table("town", **FAILED)]
    assert "sub.load_table_5 failed: it never began" in red(verdict_of(tables, states, published=None))
    of_before = red(verdict_of([table("city")], states, published=AT, enqueued_at=None))
    assert of_before.startswith("sub.load_table_5 failed: Airflow's log of it says why")


def test_what_was_marked_by_hand_is_told_by_name() -> None:
    verdict = verdict_of([table("city")], never_began=["sub.load_table_0", "plan", "final.validate"])
    assert verdict.sentence.endswith("Marked success by hand: final.validate, plan, sub.load_table_0.")
