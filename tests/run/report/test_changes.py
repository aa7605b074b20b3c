from __future__ import annotations

from typing import Any

import pytest

from sluiceway.ledger.history import TableChange
from sluiceway.run.report.changes import changed, comparison_url

A, B = "a1" * 20, "b2" * 20
CI = {"repository": "shop/data", "ci_run_url": "https://forge.example/shop/data/actions/runs/7"}


def a_change(**fields: Any) -> TableChange:
    counts = dict.fromkeys(("loads", "failed", "inserted", "updated", "deleted", "rejected"), 0)
    unknown = dict.fromkeys(
        ("rows_before", "rows_after", "columns_before", "columns_after", "spec_before", "spec_after")
    )
    return TableChange.model_validate({"table_name": "city", **counts, **unknown, **fields})


def test_columns_come_go_and_change_their_kind() -> None:
    told = changed(a_change(columns_before={"a": "int", "b": "text"}, columns_after={"b": "int", "c": "text"}))
    assert told.columns == (("c",), ("a",), (("b", "text", "int"),))
    assert not told.is_same


@pytest.mark.parametrize("side", ["columns_before", "columns_after"])
def test_columns_that_nobody_wrote_down_are_not_known(side: str) -> None:
    assert changed(a_change(**{side: {"a": "int"}})).columns is None


def test_what_is_as_it_was_is_the_same() -> None:
    columns = {"columns_before": {"a": "int"}, "columns_after": {"a": "int"}}
    assert changed(a_change(loads=3, rows_before=5, rows_after=5, spec_before="x", spec_after="x", **columns)).is_same
    for other in ({"updated": 1}, {"failed": 1}, {"rows_after": 6}, {"spec_after": "y"}, {"rejected": 1}):
        before = {"rows_before": 5, "rows_after": 5, "spec_before": "x", "spec_after": "x"}
        assert not changed(a_change(**{**before, **columns, **other})).is_same, other


def test_commits_are_compared_where_ci_ran() -> None:
    assert comparison_url(CI, A, B) == f"https://forge.example/shop/data/compare/{A}...{B}"


@pytest.mark.parametrize(
    "conf",
    [
        None,
        {},
        {"repository": "shop/data"},
        {**CI, "ci_run_url": "https://forge.example/other/data/actions/runs/7"},
        {**CI, "ci_run_url": "http://forge.example/shop/data/1"},
        {**CI, "ci_run_url": "https://me:secret@forge.example/shop/data/1"},
        {**CI, "ci_run_url": "javascript:alert(1)//shop/data/"},
        {**CI, "ci_run_url": 7},
    ],
)
def test_no_link_is_made_of_what_is_no_address_of_the_repository(conf: dict[str, Any] | None) -> None:
    assert comparison_url(conf, A, B) is None


@pytest.mark.parametrize(("earlier", "later"), [(None, B), (A, None), (A, A), ("v1.2", B), (A, "../../evil")])
def test_no_link_is_made_of_what_are_no_two_commits(earlier: str | None, later: str | None) -> None:
    assert comparison_url(CI, earlier, later) is None
