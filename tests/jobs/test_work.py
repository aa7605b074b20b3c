"""What a run of a job does: what is asked for becomes due once, lanes work on it, its view is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from sluiceway.errors import ConfigError, TargetMismatchError, WarehouseUnavailableError
from sluiceway.jobs import letters, requests, work
from sluiceway.jobs.errors import JobPausedError
from sluiceway.jobs.lanes import LaneKey, of_run
from sluiceway.jobs.letters import Chosen
from sluiceway.jobs.requests import Request
from sluiceway.jobs.work import Asked
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from tests.jobs.configured import SHOUT, Setting, declare

Query = Callable[..., list[tuple[Any, ...]]]
JOB = "shout"
RUN = RunKey(JOB, "manual__1")
AGAIN = RunKey(JOB, "manual__2")


@pytest.fixture(autouse=True)
def _declared(tmp_path: Path, setting: Setting) -> None:
    declare(tmp_path, setting, shout=SHOUT)


@pytest.fixture
def run(jobs_url: str) -> Callable[..., int]:
    """One run, as Airflow does it: how many items it worked on."""

    def ask(key: RunKey, **asked: Any) -> int:
        work.enqueue(jobs_url, JOB, Asked(**asked), run=key, who="anna")
        return work.work(jobs_url, JOB, LaneKey(key), Asked(**asked)).asked

    return ask


Run = Callable[..., int]


def states(query: Query) -> dict[str, str]:
    return dict(query("SELECT item, state FROM etl_jobs.item"))  # type: ignore[arg-type]


def test_a_second_run_asks_nothing_and_what_is_asked_for_is_asked_again(run: Run, query: Query) -> None:
    assert run(RUN) == 10
    assert run(AGAIN) == 0
    assert run(RunKey(JOB, "all"), all=True) == 8, "what is dead or waits is none of that"
    assert run(RunKey(JOB, "where"), where="n IN (1, 2, 7)") == 2
    assert run(RunKey(JOB, "items"), items=("i7", "i8", "i1")) == 3, "whoever names an item means it"
    assert states(query)["i7"] == "dead"


def test_what_a_task_asks_for_twice_is_asked_once(run: Run) -> None:
    assert run(RUN) == 10
    assert [run(AGAIN, all=True), run(AGAIN, all=True)] == [8, 0]


def test_an_item_that_is_no_part_of_the_select_is_asked_as_it_is_and_the_run_works_on_no_other(
    run: Run, query: Query
) -> None:
    assert run(RUN, items=("Puma concolor",)) == 1
    assert states(query) == {"Puma concolor": "done"}
    assert query("SELECT loud, size FROM etl_jobs.shouted") == [("PUMA CONCOLOR", None)]


def test_a_named_item_has_the_input_of_the_select(run: Run, query: Query) -> None:
    run(RUN, items=("i5",))
    assert query("SELECT size FROM etl_jobs.shouted") == [(5,)]


def test_a_dry_run_names_what_would_be_due_and_changes_nothing(run: Run, jobs_url: str, query: Query) -> None:
    every = [f"i{n}" for n in range(1, 11)]
    assert sorted(work.would_be_due(jobs_url, JOB, Asked())) == sorted(every)
    assert states(query) == {}
    run(RUN)
    assert work.would_be_due(jobs_url, JOB, Asked()) == []
    assert work.would_be_due(jobs_url, JOB, Asked(where="n < 3")) == ["i1", "i2"]
    assert len(work.would_be_due(jobs_url, JOB, Asked(all=True))) == 8
    assert work.would_be_due(jobs_url, JOB, Asked(items=("x",))) == ["x"]


def test_who_asked_for_what_stands_in_the_ledger(run: Run, jobs_url: str) -> None:
    run(RUN, where="n < 3")
    with connect(jobs_url) as session:
        (found,) = requests.of_run(session, RUN)
    assert (found.who, found.items, found.detail, found.action) == ("anna", 2, {"where": "n < 3"}, "run")


def test_what_a_lane_did_is_counted_in_the_ledger(run: Run, jobs_url: str) -> None:
    run(RUN)
    with connect(jobs_url) as session:
        (lane,) = of_run(session, RUN)
    assert (lane.asked, lane.done, lane.waiting, lane.dead, lane.left_due) == (10, 8, 1, 1, 0)
    assert lane.causes == {"item": 1, "decide": 1}
    assert lane.finished_at is not None


def test_a_paused_job_makes_nothing_due_and_says_who_paused_it(run: Run, jobs_url: str, query: Query) -> None:
    with connect(jobs_url) as session:
        requests.write(session, Request(job=JOB, action="pause", who="anna", why="it moves"))
    with pytest.raises(JobPausedError, match=r"shout is paused by anna \(it moves\); `sluiceway jobs resume shout`"):
        run(RUN)
    assert states(query) == {}
    with connect(jobs_url) as session:
        requests.write(session, Request(job=JOB, action="resume", who="ben"))
    assert run(RUN) == 10


def test_a_lane_stops_when_its_job_is_paused(run: Run, jobs_url: str) -> None:
    work.enqueue(jobs_url, JOB, Asked(), run=RUN, who="anna")
    with connect(jobs_url) as session:
        requests.write(session, Request(job=JOB, action="pause", who="anna"))
    tally = work.work(jobs_url, JOB, LaneKey(RUN), Asked())
    assert (tally.asked, tally.paused) == (0, "shout is paused by anna")


@pytest.mark.parametrize("asked", [{"items": ["a"], "all": True}, {"where": "n = 1", "items": ["a"]}])
def test_two_ways_to_choose_are_one_too_many(asked: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="items, where and all exclude each other"):
        Asked.of(asked)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("n = 1); DROP TABLE etl_jobs.item; --", "write one condition"),
        ("n = 1 -- x", "write one condition"),
        ("m = 1", "column .*m.* does not exist"),
    ],
)
def test_a_condition_that_is_none_is_one_sentence(run: Run, where: str, said: str, query: Query) -> None:
    with pytest.raises(Exception, match=said):
        run(RUN, where=where)
    assert states(query) == {}


def test_the_view_shows_the_public_columns_and_follows_the_file(
    run: Run, warehouse_url: str, query: Query, tmp_path: Path, setting: Setting
) -> None:
    run(RUN)
    assert work.publish(warehouse_url, JOB) == "shouted"
    assert query("SELECT count(*), min(loud) FROM public.shouted") == [(9, "I1")]
    declare(tmp_path, setting, shout=SHOUT.replace('public=("loud",)', 'public=("size", "loud")'))
    work.publish(warehouse_url, JOB)
    assert query("SELECT max(size) FROM public.shouted") == [(10,)]
    before = query("SELECT oid FROM pg_class WHERE relname = 'shouted' AND relkind = 'v'")
    work.publish(warehouse_url, JOB)
    assert query("SELECT oid FROM pg_class WHERE relname = 'shouted' AND relkind = 'v'") == before


def test_a_table_of_the_views_name_is_left_alone(run: Run, warehouse_url: str, query: Query) -> None:
    run(RUN)
    query("CREATE TABLE public.shouted (id integer)")
    with pytest.raises(TargetMismatchError, match=r"public.shouted is a table; .* give results.table another name"):
        work.publish(warehouse_url, JOB)


def test_too_few_connections_for_all_lanes_are_said_with_their_numbers(jobs_url: str, query: Query) -> None:
    with pytest.raises(WarehouseUnavailableError, match=r"allows \d+ connections .* left for 10,000 lanes of jobs"):
        work.enqueue(jobs_url, JOB, Asked(), run=RUN, who="anna", lanes=10_000)
    assert states(query) == {}


def test_what_is_old_is_forgotten_but_no_dead_letter_and_no_pause(run: Run, jobs_url: str, query: Query) -> None:
    run(RUN)
    with connect(jobs_url) as session:
        letters.replay(session, Chosen(items=("i7",)), who="anna", why=None)
        requests.write(session, Request(job="other", action="pause", who="anna"))
        for table, column in (("request", "at"), ("lane", "started_at"), ("item", "updated_at")):
            session.execute(
                sql.SQL("UPDATE etl_jobs.{} SET {} = now() - interval '100 days'").format(
                    sql.Identifier(table), sql.Identifier(column)
                )
            )
    run(AGAIN)
    assert query("SELECT job, action FROM etl_jobs.request WHERE at < now() - interval '1 day'") == [("other", "pause")]
    assert query("SELECT count(*) FROM etl_jobs.decision") == [(0,)]
    assert query("SELECT run_id FROM etl_jobs.lane") == [(AGAIN.run_id,)]
    assert states(query)["i7"] == "dead"
    with connect(jobs_url) as session:
        assert requests.is_paused(session, "other") is not None
