from __future__ import annotations

import os
import stat
from itertools import combinations
from pathlib import Path

import pytest

from sluiceway.ledger.store import RunKey
from sluiceway.run.report.model import TableMap
from sluiceway.run.report.write import delete_reports, read_maps, read_page, report_file, write_report
from tests.run.report.builders import a_report, a_table

HOSTILE = [
    "manual__2026-08-03T14:02:09+00:00", "../../etc/passwd", "..", "a/b", "a%2Fb", "a b", "a\\b", "é", "\0", "con",
    "x" * 250, "x" * 251, "é" * 250, "a@b",
]  # fmt: skip


KEY = RunKey("master_etl", "deploy__9f3c2a7")


@pytest.mark.parametrize("part", HOSTILE)
def test_a_report_stays_in_its_folder_and_is_found_again(part: str, tmp_path: Path) -> None:
    for dag_id, run_id in ((part, "r"), ("d", part), (part, part)):
        page = write_report(a_report(a_table(), dag_id=dag_id, run_id=run_id), tmp_path / "reports")
        assert page.resolve().parent.parent == tmp_path / "reports"
        assert len(page.name.encode()) <= 200
        found = read_page(RunKey(dag_id, run_id), tmp_path / "reports", why="It is old.")
        assert found is not None
        assert found.replace('<p class="stale">It is old.</p>\n', "") == page.read_text(encoding="utf-8") != found
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reports"]


def test_no_two_runs_share_a_file() -> None:
    cut = report_file(RunKey("d", "x" * 250)).stem
    files = [report_file(RunKey("d", part)) for part in [*HOSTILE, cut]]
    files += [report_file(RunKey(part, "r")) for part in [*HOSTILE, cut]]
    for one, other in combinations(files, 2):
        assert one != other


def test_the_same_run_id_of_two_dags_has_two_pages(tmp_path: Path) -> None:
    for dag_id in ("shop", "orders"):
        write_report(a_report(a_table(f"of_{dag_id}"), dag_id=dag_id), tmp_path)
    found = read_page(RunKey("shop", KEY.run_id), tmp_path, why="") or ""
    assert "of_shop" in found and "of_orders" not in found


def test_a_run_without_a_report_has_none(tmp_path: Path) -> None:
    assert read_page(RunKey("master_etl", "nobody"), tmp_path, why="") is None
    assert read_maps(RunKey("master_etl", "nobody"), tmp_path) == {}


def test_the_maps_of_a_run_are_kept_beside_its_page(tmp_path: Path) -> None:
    drawing = TableMap(style="dots", width=10, height=10, dot=2, path="M1 1h0", sampled=False)
    page = write_report(a_report(a_table("place", map=drawing), a_table("plain")), tmp_path)
    assert read_maps(KEY, tmp_path) == {"place": drawing}
    page.with_suffix(".json").write_text('{"run_id": "of older code"}', encoding="utf-8")
    assert read_maps(KEY, tmp_path) == {}


def test_why_a_page_is_old_is_text_and_never_markup(tmp_path: Path) -> None:
    write_report(a_report(a_table()), tmp_path)
    assert "&lt;b&gt;" in (read_page(KEY, tmp_path, why="<b>") or "")


def test_writing_again_replaces_the_page_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_report(a_report(a_table()), tmp_path)
    page = write_report(a_report(a_table("other")), tmp_path)
    assert "other" in page.read_text(encoding="utf-8")
    assert sorted(path.suffix for path in page.parent.iterdir()) == [".html", ".json"]


def test_a_report_that_cannot_be_drawn_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = write_report(a_report(a_table()), tmp_path).read_bytes()
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_report(a_report(a_table("other")), tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2 and before in [file.read_bytes() for file in files]


def test_old_reports_are_deleted_with_what_lies_beside_them(tmp_path: Path) -> None:
    old = write_report(a_report(a_table(), run_id="old"), tmp_path)
    new = write_report(a_report(a_table(), run_id="new"), tmp_path)
    of_older_code = tmp_path / "deploy__1.html"
    of_older_code.write_text("", encoding="utf-8")
    for page in (old, of_older_code):
        os.utime(page, (0, 0))
    assert delete_reports(tmp_path, older_than_days=90) == 2
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {new, new.with_suffix(".json")}


def test_a_report_and_its_folders_are_readable_by_their_owner_and_group_alone(tmp_path: Path) -> None:
    before = os.umask(0o000)
    try:
        write_report(a_report(a_table()), tmp_path / "new" / "reports")
    finally:
        os.umask(before)
    found = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").rglob("*") if path.is_dir()}
    assert found | {stat.S_IMODE((tmp_path / "new").stat().st_mode)} == {0o750}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()} == {0o640}
