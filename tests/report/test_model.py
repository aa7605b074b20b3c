from __future__ import annotations

import pytest

from sluiceway.report.model import TableReport, headline
from tests.report.builders import a_report, a_table


def failed(name: str) -> TableReport:
    return a_table(name, status="failed", inserted=0, error="no", error_type="EmptyExtractionError")


def test_a_green_run_counts_what_it_loaded_and_what_it_refused() -> None:
    tables = [a_table("a", rejected=2), a_table("b"), a_table("c", status="unchanged")]
    verdict = headline("success", tables, None)
    assert (verdict.status, verdict.sentence) == ("success", "2 tables loaded, 1 unchanged, 2 rows rejected.")


def test_failed_tables_come_first_and_then_those_that_never_reported() -> None:
    report = a_report(a_table("a"), a_table("b", status="planned"), failed("z"), status="failed")
    assert [table.name for table in report.tables] == ["z", "b", "a"]
    assert report.verdict.sentence == "1 of 3 tables failed, 1 never reported; 1 kept what they loaded."


def test_an_open_run_is_red_as_soon_as_one_table_failed() -> None:
    assert headline("running", [a_table("a"), failed("b")], None).status == "failed"
    assert headline("running", [a_table("a"), a_table("b", status="planned")], None).status == "running"


def test_a_red_run_without_a_failed_table_says_its_note() -> None:
    assert (
        headline("failed", [a_table("a")], "refreshing county_area failed").sentence == "refreshing county_area failed"
    )


def test_a_red_run_names_the_tables_that_never_reported() -> None:
    assert headline("failed", [a_table("a", status="planned")], None).sentence == "a never reported."


def test_a_red_run_of_no_tables_says_so() -> None:
    assert headline("failed", [], None).sentence == "No table was loaded."


@pytest.mark.parametrize(("status", "word"), [("superseded", "newer commit"), ("abandoned", "from outside")])
def test_a_run_that_ended_early_says_how(status: str, word: str) -> None:
    assert word in headline(status, [], None).sentence  # type: ignore[arg-type]


def test_a_superseded_run_says_its_note() -> None:
    assert headline("superseded", [], "Superseded: staging serves b.").sentence == "Superseded: staging serves b."
