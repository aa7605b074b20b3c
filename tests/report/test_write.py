from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

import pytest

from sluiceway.report.write import delete_reports, read_report, recent_reports, report_file_name, write_report
from tests.report.builders import a_report, a_table

HOSTILE = [
    "manual__2026-08-03T14:02:09+00:00", "../../etc/passwd", "..", "a/b", "a%2Fb", "a b", "a\\b", "é", "\0", "con",
    "x" * 250, "x" * 251, "é" * 250, "a@b",
]  # fmt: skip


@pytest.mark.parametrize("run_id", HOSTILE)
def test_a_report_stays_in_its_folder_and_is_found_again(run_id: str, tmp_path: Path) -> None:
    page = write_report(a_report(a_table(), run_id=run_id), tmp_path / "reports")
    assert page.parent == tmp_path / "reports"
    assert len(page.name.encode()) <= 200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reports"]
    assert read_report(run_id, tmp_path / "reports") == page.read_text(encoding="utf-8")


def test_no_two_run_ids_share_a_file() -> None:
    cut = report_file_name("x" * 250).removesuffix(".html")
    for one, other in combinations([*HOSTILE, cut], 2):
        assert report_file_name(one) != report_file_name(other)


def test_a_run_without_a_report_has_none(tmp_path: Path) -> None:
    assert read_report("nobody", tmp_path) is None


def test_writing_again_replaces_the_page_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_report(a_report(a_table()), tmp_path)
    page = write_report(a_report(a_table("other")), tmp_path)
    assert "other" in page.read_text(encoding="utf-8")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".html", ".json"]


def test_a_report_that_cannot_be_drawn_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write_report(a_report(a_table()), tmp_path).read_bytes()
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_report(a_report(a_table("other")), tmp_path)
    files = list(tmp_path.iterdir())
    assert len(files) == 2 and before in [file.read_bytes() for file in files]


def test_the_list_shows_the_newest_run_first(tmp_path: Path) -> None:
    first = a_report(a_table(), run_id="first")
    second = {"run_id": "second", "started_at": first.started_at.replace(year=2027)}
    write_report(first.model_copy(update=second), tmp_path)
    write_report(first, tmp_path)
    assert [summary.run_id for summary in recent_reports(tmp_path)] == ["second", "first"]


def test_old_reports_are_deleted_with_their_summary(tmp_path: Path) -> None:
    old = write_report(a_report(a_table(), run_id="old"), tmp_path)
    write_report(a_report(a_table(), run_id="new"), tmp_path)
    os.utime(old, (0, 0))
    assert delete_reports(tmp_path, older_than_days=90) == 1
    assert [summary.run_id for summary in recent_reports(tmp_path)] == ["new"]
    assert len(list(tmp_path.iterdir())) == 2
