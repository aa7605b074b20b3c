"""Publishing: which views are refreshed, made anew or kept as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from psycopg import sql

from sluiceway.errors import (
    EmptyExtractionError,
    ViewInUseError,
)
from sluiceway.ids import PUBLISHING_TASK
from sluiceway.ledger import tasks
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.ledger.tasks import TaskRun
from sluiceway.ledger.warehouse import PsycopgSession, connect
from sluiceway.load.table import load_table
from sluiceway.run import publishing, steps
from sluiceway.run.views import View
from sluiceway.tables import registry
from tests.run.runs import OTHER, RUN, opening, run_of

Query = Callable[..., list[tuple[object, ...]]]
HEAD = "-- description: x\n-- tables: {}\n"


def test_views_of_the_deployment_are_published_and_that_is_a_fact_of_the_ledger(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path, query: Query
) -> None:
    (config / "sql" / "big.sql").write_text(f"{HEAD.format('b')}SELECT count(*) AS n FROM b")
    (config / "sql" / "demo.sql").write_text(f"{HEAD.format('b')}-- group: quickstart\nSELECT count(*) AS n FROM b")
    assert run_of(warehouse_url, RUN).published_at is None
    assert publishing.aggregate(warehouse_url, RUN).views == ["big"]
    assert query("SELECT n FROM big") == [(100,)]
    assert run_of(warehouse_url, RUN).published_at is not None


def test_what_is_loaded_while_the_views_are_refreshed_is_not_called_published(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    (config / "sql" / "big.sql").write_text(f"{HEAD.format('b')}SELECT count(*) AS n FROM b")
    build = publishing.building.build

    def build_and_load(session: PsycopgSession, views: Sequence[View]) -> list[str]:
        built = build(session, views)
        with (config / "tables" / "b.csv").open("a") as file:
            file.write("1000\n")
        load_table(registry.read_one("b"), warehouse_url, run=RUN, try_number=2)
        return built

    monkeypatch.setattr(publishing.building, "build", build_and_load)
    publishing.aggregate(warehouse_url, RUN)
    assert (query("SELECT n FROM big"), query("SELECT count(*) FROM b")) == ([(100,)], [(101,)])
    verdict = steps.close_ledger(warehouse_url, opening(RUN), {"plan": "success"})
    assert verdict.status == "failed"
    assert "loaded again after the run had published: b; clear final.aggregate" in verdict.sentence
    monkeypatch.undo()
    publishing.aggregate(warehouse_url, RUN)
    assert query("SELECT n FROM big") == [(101,)]
    assert steps.close_ledger(warehouse_url, opening(RUN), {"plan": "success"}).status == "success"


def test_a_run_publishes_the_views_that_its_tables_feed_and_no_other(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path, query: Query
) -> None:
    for table in "abc":
        (config / "sql" / f"of_{table}.sql").write_text(f"{HEAD.format(table)}SELECT count(*) AS n FROM {table}")
    assert publishing.aggregate(warehouse_url, RUN).views == ["of_a", "of_b", "of_c"]
    steps.open_ledger(warehouse_url, opening(OTHER))
    steps.plan(warehouse_url, OTHER, only=["a"])
    query("DELETE FROM c")
    assert publishing.aggregate(warehouse_url, OTHER).views == ["of_a"]
    assert query("SELECT n FROM of_c") == [(10,)]


def test_a_view_that_reads_a_table_whose_newest_load_failed_is_withheld_with_the_reason(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path, query: Query
) -> None:
    (config / "sql" / "both.sql").write_text(f"{HEAD.format('a, b')}SELECT count(*) AS n FROM a")
    (config / "sql" / "reads_both.sql").write_text(f"{HEAD.format('both')}SELECT n FROM both")
    (config / "sql" / "of_a.sql").write_text(f"{HEAD.format('a')}SELECT count(*) AS n FROM a")
    (config / "sql" / "of_none.sql").write_text(f"{HEAD.format('a, none')}SELECT count(*) AS n FROM a")
    (config / "tables" / "b.csv").write_text("id\n")
    steps.open_ledger(warehouse_url, opening(OTHER))
    with pytest.raises(EmptyExtractionError):
        load_table(registry.read_one("b"), warehouse_url, run=OTHER)
    assert publishing.aggregate(warehouse_url, RUN).views == ["of_a"]
    assert query("SELECT view_name, withheld FROM etl.publication ORDER BY 1") == [
        ("both", "b failed in shop/deploy__1"),
        ("of_a", None),
        ("of_none", "none is not in the warehouse"),
        ("reads_both", "it reads both, which was not published"),
    ]


def test_a_view_that_no_table_feeds_is_said_and_not_left_out_silently(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path, query: Query
) -> None:
    (config / "sql" / "of_a.sql").write_text(f"{HEAD.format('a')}SELECT count(*) AS n FROM a")
    (config / "sql" / "of_aa.sql").write_text(f"{HEAD.format('demoo')}SELECT count(*) AS n FROM a")
    (config / "sql" / "upon_it.sql").write_text(f"{HEAD.format('of_aa')}SELECT n FROM of_aa")
    assert publishing.aggregate(warehouse_url, RUN).views == ["of_a"]
    assert query("SELECT view_name, withheld, tables FROM etl.publication ORDER BY 1") == [
        ("of_a", None, ["a"]),
        ("of_aa", "it reads demoo, and this deployment has no such table", []),
        ("upon_it", "it reads of_aa, which no run publishes", []),
    ]
    verdict = steps.close_ledger(warehouse_url, opening(RUN), {"plan": "success"})
    assert verdict.status == "success"
    assert "of_aa was not published: it reads demoo, and this deployment has no such table." in verdict.sentence


@pytest.mark.parametrize("reader", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_without_a_key_that_somebody_reads_is_refreshed_where_it_stands(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path, query: Query, reader: str
) -> None:
    (config / "sql" / "of_a.sql").write_text(f"{HEAD.format('a')}SELECT count(*) AS n FROM a")
    publishing.aggregate(warehouse_url, RUN)
    query(f"CREATE {reader} by_hand AS SELECT n FROM of_a")
    query("DELETE FROM a")
    assert publishing.aggregate(warehouse_url, RUN).views == ["of_a"]
    assert query("SELECT n FROM of_a") == [(0,)]
    assert query("SELECT to_regclass('by_hand') IS NOT NULL") == [(True,)]


def test_a_view_that_was_edited_stays_while_what_reads_it_cannot_be_published(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path, query: Query
) -> None:
    of_a = config / "sql" / "of_a.sql"
    of_a.write_text(f"{HEAD.format('a')}SELECT count(*) AS n FROM a")
    (config / "sql" / "of_both.sql").write_text(f"{HEAD.format('of_a, b')}SELECT n FROM of_a")
    assert publishing.aggregate(warehouse_url, RUN).views == ["of_a", "of_both"]
    of_a.write_text(f"{HEAD.format('a')}SELECT count(*) + 100 AS n FROM a")
    source = config / "tables" / "b.csv"
    good = source.read_text()
    source.write_text("id\n")
    steps.open_ledger(warehouse_url, opening(OTHER))
    with pytest.raises(EmptyExtractionError):
        load_table(registry.read_one("b"), warehouse_url, run=OTHER)
    assert publishing.aggregate(warehouse_url, RUN).views == []
    assert query("SELECT of_a.n, of_both.n FROM of_a, of_both") == [(1, 1)]
    assert query("SELECT view_name, withheld FROM etl.publication ORDER BY 1") == [
        ("of_a", "its file was edited, and of_both, which reads it, was not published"),
        ("of_both", "b failed in shop/deploy__1"),
    ]
    source.write_text(good)
    load_table(registry.read_one("b"), warehouse_url, run=OTHER)
    assert publishing.aggregate(warehouse_url, RUN).views == ["of_a", "of_both"]
    assert query("SELECT of_a.n, of_both.n FROM of_a, of_both") == [(101, 101)]


@pytest.mark.parametrize("reader", ["VIEW", "MATERIALIZED VIEW"])
def test_a_view_that_was_edited_takes_nothing_away_that_no_file_declares(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path, query: Query, reader: str
) -> None:
    of_a = config / "sql" / "of_a.sql"
    of_a.write_text(f"{HEAD.format('a')}SELECT count(*) AS n FROM a")
    publishing.aggregate(warehouse_url, RUN)
    query(f"CREATE {reader} by_hand AS SELECT n FROM of_a")
    of_a.write_text(f"{HEAD.format('a')}SELECT count(*) + 100 AS n FROM a")
    with pytest.raises(ViewInUseError, match=r"^The view of_a was edited, and public\.by_hand reads it"):
        publishing.aggregate(warehouse_url, RUN)
    assert query("SELECT n FROM by_hand") == [(1,)]
    query(f"DROP {reader} by_hand")
    assert publishing.aggregate(warehouse_url, RUN).views == ["of_a"]
    assert query("SELECT n FROM of_a") == [(101,)]


def publish(url: str, run: RunKey = RUN, *, killed: bool = False) -> list[str]:
    """The views of which a task tells that publishes; a task that is killed tells nobody."""
    with connect(url) as session:
        (tries,) = session.execute(sql.SQL("SELECT count(*) FROM etl.task_run"))[0]
        task = TaskRun(**run._asdict(), task_id=PUBLISHING_TASK, try_number=tries + 1)
        tasks.begin(session, task)
    changed = publishing.aggregate(url, run).changed
    if not killed:
        with connect(url) as session:
            tasks.end(session, task)
    return changed


def add_row(config: Path, table: str) -> None:
    with (config / "tables" / f"{table}.csv").open("a") as file:
        file.write("1000\n")


def test_a_view_has_changed_when_it_is_new_and_when_a_table_that_feeds_it_has(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path
) -> None:
    for table in "ab":
        (config / "sql" / f"of_{table}.sql").write_text(f"{HEAD.format(table)}SELECT count(*) AS n FROM {table}")
    (config / "sql" / "through.sql").write_text(f"{HEAD.format('of_a')}SELECT n FROM of_a")
    assert publish(warehouse_url) == ["of_a", "of_b", "through"]
    load_table(registry.read_one("a"), warehouse_url, run=RUN)
    load_table(registry.read_one("b"), warehouse_url, run=RUN, force=True)
    assert publish(warehouse_url) == []
    add_row(config, "a")
    load_table(registry.read_one("a"), warehouse_url, run=RUN)
    assert publish(warehouse_url) == ["of_a", "through"]
    assert publish(warehouse_url) == []


def test_a_view_has_changed_when_its_file_was_edited_and_so_has_what_reads_it(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path
) -> None:
    (config / "sql" / "of_a.sql").write_text(f"{HEAD.format('a')}SELECT count(*) AS n FROM a")
    (config / "sql" / "of_b.sql").write_text(f"{HEAD.format('b')}SELECT count(*) AS n FROM b")
    (config / "sql" / "through.sql").write_text(f"{HEAD.format('of_a')}SELECT n FROM of_a")
    assert publish(warehouse_url) == ["of_a", "of_b", "through"]
    (config / "sql" / "of_a.sql").write_text(f"{HEAD.format('a')}SELECT 2 * count(*) AS n FROM a")
    assert publish(warehouse_url) == ["of_a", "through"]


def test_what_a_run_loads_that_publishes_nothing_has_changed_the_view_of_the_next_that_does(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path
) -> None:
    (config / "sql" / "of_a.sql").write_text(f"{HEAD.format('a')}SELECT count(*) AS n FROM a")
    assert publish(warehouse_url) == ["of_a"]
    add_row(config, "a")
    load_table(registry.read_one("a"), warehouse_url, run=RUN)
    steps.open_ledger(warehouse_url, opening(OTHER))
    steps.plan(warehouse_url, OTHER, only=["a"])
    assert load_table(registry.read_one("a"), warehouse_url, run=OTHER).status == "unchanged"
    assert publish(warehouse_url, OTHER) == ["of_a"]


def test_what_another_runs_load_changed_meanwhile_is_told_by_whoever_publishes_it(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path
) -> None:
    (config / "sql" / "both.sql").write_text(f"{HEAD.format('a, b')}SELECT count(*) AS n FROM a, b")
    assert publish(warehouse_url) == ["both"]
    for run, table in ((OTHER, "a"), (RUN, "b")):
        steps.open_ledger(warehouse_url, opening(run))
        steps.plan(warehouse_url, run, only=[table])
    add_row(config, "b")
    load_table(registry.read_one("b"), warehouse_url, run=RUN)
    assert publish(warehouse_url, OTHER) == ["both"]


def test_a_publication_that_was_killed_before_its_end_has_told_nobody(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path
) -> None:
    (config / "sql" / "of_a.sql").write_text(f"{HEAD.format('a')}SELECT count(*) AS n FROM a")
    assert publish(warehouse_url, killed=True) == ["of_a"]
    assert publish(warehouse_url) == ["of_a"]
    assert publish(warehouse_url) == []


def test_a_view_that_was_kept_back_is_told_of_once_it_is_published(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path
) -> None:
    (config / "sql" / "both.sql").write_text(f"{HEAD.format('a, b')}SELECT count(*) AS n FROM a, b")
    source = config / "tables" / "b.csv"
    rows = source.read_text()
    source.write_text("id\n")
    with pytest.raises(EmptyExtractionError):
        load_table(registry.read_one("b"), warehouse_url, run=RUN)
    assert publish(warehouse_url) == []
    source.write_text(rows)
    load_table(registry.read_one("b"), warehouse_url, run=RUN, force=True)
    assert publish(warehouse_url) == ["both"]


def test_a_view_that_reads_what_no_load_writes_may_always_have_changed(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path, query: Query
) -> None:
    query("CREATE TABLE found (id integer)")
    query("GRANT SELECT ON found TO PUBLIC")
    (config / "sql" / "of_found.sql").write_text(f"{HEAD.format('a, found')}SELECT count(*) AS n FROM a, found")
    assert [publish(warehouse_url), publish(warehouse_url)] == [["of_found"], ["of_found"]]


def test_a_view_that_was_kept_back_is_told_of_what_another_view_that_it_reads_was_told_of_before(
    loaded: dict[str, TableRun], warehouse_url: str, config: Path
) -> None:
    (config / "sql" / "of_a.sql").write_text(f"{HEAD.format('a')}SELECT count(*) AS n FROM a")
    (config / "sql" / "through.sql").write_text(f"{HEAD.format('of_a, b')}SELECT n FROM of_a, b")
    assert publish(warehouse_url) == ["of_a", "through"]
    steps.open_ledger(warehouse_url, opening(OTHER))
    steps.plan(warehouse_url, OTHER, only=["a", "b"])
    source = config / "tables" / "b.csv"
    rows = source.read_text()
    source.write_text("id\n")
    add_row(config, "a")
    load_table(registry.read_one("a"), warehouse_url, run=OTHER)
    with pytest.raises(EmptyExtractionError):
        load_table(registry.read_one("b"), warehouse_url, run=OTHER)
    assert publish(warehouse_url, OTHER) == ["of_a"]
    source.write_text(rows)
    load_table(registry.read_one("b"), warehouse_url, run=OTHER)
    assert publish(warehouse_url, OTHER) == ["through"]
