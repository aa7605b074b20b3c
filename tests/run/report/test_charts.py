from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sluiceway.ledger.history import PastTry
from sluiceway.ledger.store import TableRun
from sluiceway.run.report.charts import HEIGHT, charts

AT = datetime(2026, 8, 3, 14, 2, tzinfo=UTC)


def a_try(**fields: Any) -> PastTry:
    told = {"dag_id": "shop", "run_id": "r", "table_name": "city", "status": "loaded", "finished_at": AT, **fields}
    return PastTry(tried=TableRun.model_validate(told), run_status="success", commit_sha=None, trigger_kind="deploy")


def test_the_oldest_stands_on_the_left_and_the_largest_fills_the_box() -> None:
    rows, *_ = charts([a_try(table_rows=50), a_try(table_rows=200), a_try(table_rows=100)])
    assert [column.height for column in rows.columns] == [HEIGHT / 2, HEIGHT, HEIGHT / 4]
    assert [column.x for column in rows.columns] == sorted(column.x for column in rows.columns)
    assert rows.summary == "50 to 200, last 50"


def test_a_try_that_failed_has_a_stump_and_says_so() -> None:
    rows, *_ = charts([a_try(status="failed"), a_try(table_rows=1)])
    assert [column.kind for column in rows.columns] == ["told", "failed"]
    assert rows.columns[1].height > 0 and "failed" in rows.columns[1].title


def test_a_small_number_beside_a_large_one_stays_visible_and_zero_is_nothing() -> None:
    *_, rejects = charts([a_try(rejected=1_000_000), a_try(rejected=1), a_try(rejected=0)])
    assert len(rejects.columns) == 2 and min(column.height for column in rejects.columns) > 1


def test_what_no_try_tells_has_no_columns() -> None:
    assert [chart.columns for chart in charts([a_try()])] == [(), (), (), ()]
    assert charts([]) != []


def test_many_loads_stay_in_the_box() -> None:
    for chart in charts([a_try(table_rows=1, seconds=1, peak_rss_bytes=1, rejected=1)] * 50):
        assert max(column.x + column.width for column in chart.columns) <= 100
