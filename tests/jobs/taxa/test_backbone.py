"""The job check_backbone as it stands in its file: a new version of a source lets what came from the older be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from sluiceway.jobs import files
from sluiceway.jobs.errors import JobSetupError
from sluiceway.jobs.lane import Lane
from sluiceway.jobs.lanes import LaneKey
from sluiceway.jobs.tally import Tally
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.store import RunKey
from tests.jobs.conftest import connected
from tests.jobs.enqueued import enqueue_job
from tests.stand_ins.faults import FAULTS
from tests.stand_ins.gbif import Gbif
from tests.stand_ins.iucn import TOKEN, Iucn
from tests.stand_ins.web_service import Reply

Query = Callable[..., list[tuple[Any, ...]]]
Check = Callable[..., Tally]
Items = Callable[..., None]
JOB = "check_backbone"
BEFORE, NOW = "314774/2026-06-12T09:14:03.512Z", "315001/2026-10-02T08:00:00Z"


@pytest.fixture
def red_list() -> Iterator[Iucn]:
    with Iucn() as service:
        yield service


@pytest.fixture
def check(jobs_url: str, gbif: Gbif, red_list: Iucn) -> Check:
    """One run of the job, half a day after the one before."""

    def run(token: str = TOKEN) -> Tally:
        job = files.read(JOB)
        with psycopg.connect(jobs_url, autocommit=True) as connection:
            connection.execute("UPDATE etl_jobs.item SET due_at = now() WHERE job = %s", (JOB,))
            enqueue_job(LockedSession(connection, jobs_url), JOB, job)
        where = connected(gbif={"host": gbif.uri}, iucn={"host": red_list.uri, "password": token})
        return Lane(jobs_url, JOB, job, LaneKey(RunKey(JOB, "manual__1")), where).drain(budget_s=30, waits=False)

    return run


@pytest.fixture
def items(jobs_url: str) -> Items:
    """Makes 20 items of a job that came from a version."""

    def make(job: str, version: str, state: str = "done") -> None:
        with psycopg.connect(jobs_url, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO etl_jobs.item (job, item, state, due_at, source_version) "
                "SELECT %s, 'i' || n, %s, now() + interval '300 days', %s FROM generate_series(1, 20) n",
                (job, state, version),
            )

    return make


SOON = (
    "SELECT job, count(*) FROM etl_jobs.item WHERE due_at BETWEEN now() - interval '1 minute' AND now() + interval "
    "'7 days' AND job <> 'check_backbone' GROUP BY job ORDER BY job"
)


def test_each_version_is_kept_with_what_is_known_of_it(check: Check, query: Query, items: Items) -> None:
    items("sync_conservation_status", "2026-1")
    assert check().ended == {"done": 2}
    assert query("SELECT source, version, created, software FROM etl_jobs.source_version ORDER BY source") == [
        ("gbif", BEFORE, "2026-06-12T09:14:03.512Z", "785318d"),
        ("iucn", "2026-1", None, None),
    ]
    assert query("SELECT count(*) FROM etl_jobs.source_version WHERE checked_at > now() - interval '1 minute'") == [
        (2,)
    ]


def test_a_release_of_a_source_lets_its_own_results_be_asked_anew_once(
    check: Check, query: Query, items: Items, gbif: Gbif, red_list: Iucn
) -> None:
    items("resolve_taxa", BEFORE)
    items("sync_conservation_status", "2026-1")
    check()
    assert query(SOON) == [], "nothing is new"
    gbif.dataset, gbif.created = NOW.split("/")
    check()
    assert query(SOON) == [("resolve_taxa", 20)]
    when = query("SELECT item, due_at FROM etl_jobs.item WHERE job = 'resolve_taxa' ORDER BY item")
    red_list.version = "2026-2"
    check()
    assert query(SOON) == [("resolve_taxa", 20), ("sync_conservation_status", 20)]
    assert query("SELECT item, due_at FROM etl_jobs.item WHERE job = 'resolve_taxa' ORDER BY item") == when
    assert {each.path for each in gbif.requests} == {"/v2/species/match/metadata"}, "nothing is resolved here"


def test_an_index_that_is_built_anew_is_another_version(check: Check, query: Query, items: Items, gbif: Gbif) -> None:
    items("resolve_taxa", BEFORE)
    gbif.created = "2026-10-02T08:00:00Z"
    check()
    assert query(SOON) == [("resolve_taxa", 20)]


def test_the_red_list_is_not_asked_where_nothing_came_from_it(
    check: Check, query: Query, items: Items, red_list: Iucn
) -> None:
    items("sync_conservation_status", "2026-1", state="due")
    assert check(token="").ended == {"done": 1}
    assert red_list.requests == []
    assert query("SELECT source FROM etl_jobs.source_version") == [("gbif",)]


def test_a_token_that_is_missing_keeps_nothing_back_of_gbif(check: Check, query: Query, items: Items) -> None:
    items("sync_conservation_status", "2026-1")
    with pytest.raises(JobSetupError, match="iucn: the connection 'iucn' holds no token"):
        check(token="")
    assert query("SELECT source FROM etl_jobs.source_version") == [("gbif",)]


OLD_BACKBONE = Reply(200, {"created": "2023-08-28T00:00:00Z", "mainIndex": {"datasetTitle": "GBIF Backbone Taxonomy"}})


@pytest.mark.parametrize(
    "fault",
    [FAULTS["500"], FAULTS["HTML with 200"], FAULTS["error body with 200"], OLD_BACKBONE],
    ids=["500", "HTML", "error body", "of the old backbone"],
)
def test_a_source_that_does_not_say_its_version_lets_nothing_be_asked_anew(
    check: Check, query: Query, items: Items, gbif: Gbif, fault: Reply
) -> None:
    items("resolve_taxa", BEFORE)
    gbif.faults = [fault] * 5
    assert check().ended == {}
    assert query(SOON) == []
