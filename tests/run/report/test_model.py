from __future__ import annotations

from sluiceway.run.reconcile import Truth
from sluiceway.run.report.model import TableReport, TaskReport, headline
from tests.run.report.builders import a_report, a_table


def failed(name: str) -> TableReport:
    return a_table(name, status="failed", inserted=0, error="no", error_type="EmptyExtractionError")


def test_the_sentence_of_the_page_is_the_ledgers_own() -> None:
    verdict = headline(Truth(status="failed", sentence="plan failed: it was broken."), [a_table()])
    assert (verdict.status, verdict.sentence) == ("failed", "plan failed: it was broken.")


def test_what_is_told_below_is_left_out_of_the_sentence_and_nothing_else() -> None:
    truth = Truth(status="failed", sentence="1 of 2 tables failed: town (Error: no). Nothing was published.")
    assert headline(truth, [], [" (Error: no)"]).sentence == "1 of 2 tables failed: town. Nothing was published."
    assert headline(truth, [], [" (Error: other)"]).sentence == truth.sentence


def test_failed_tables_come_first_and_then_those_that_never_reported() -> None:
    report = a_report(a_table("a"), a_table("b", status="planned"), failed("z"), status="failed")
    assert [table.name for table in report.tables] == ["z", "b", "a"]
    assert [table.name for table in report.failed] == ["z", "b"]


def test_a_run_without_a_verdict_says_how_far_it_is_and_has_no_colour_yet() -> None:
    open_run = Truth(status="running", sentence=None)
    verdict = headline(open_run, [a_table("a"), failed("b"), a_table("c", status="planned")])
    assert (verdict.status, verdict.sentence) == ("running", "1 of 3 tables done, 1 failed; no verdict yet.")
    assert headline(open_run, [a_table("a")]).sentence == "1 of 1 table done; no verdict yet."


def test_only_a_run_that_goes_on_waits_for_its_verdict() -> None:
    ended = Truth(status="success", sentence=None)
    assert headline(ended, [a_table("a")]).sentence == "1 of 1 table done."
    assert headline(ended, [a_table("a"), failed("b")]).sentence == "1 of 2 tables done, 1 failed."


def test_a_task_that_was_marked_good_is_no_culprit() -> None:
    tasks = tuple(
        TaskReport(name=name, state=state, error_type=None, error="no")
        for name, state in (("plan", "failed"), ("final.validate", "success"))
    )
    assert a_report(failed("z"), status="failed", tasks=tasks).culprits == ("z", "plan")
