"""The job resolve_taxa as it stands in its file, on a warehouse and a GBIF: each name once, in the end."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from sluiceway.errors import ConfigError
from sluiceway.jobs import files, letters
from sluiceway.jobs.definition import Job
from sluiceway.jobs.lane import Lane
from sluiceway.jobs.lanes import LaneKey
from sluiceway.jobs.tally import Tally
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from tests.jobs.conftest import connected
from tests.jobs.enqueued import enqueue_job
from tests.stand_ins.gbif import MATCH, Gbif

Query = Callable[..., list[tuple[Any, ...]]]
JOB = "resolve_taxa"
BIRDS = 1155
TABLE = "public.bird_banding_species"
SYLLABLES = ("ba", "cor", "du", "la", "mer", "ni", "pho", "ra", "sti", "vu")
NOWHERE = "http://localhost:9"


@pytest.fixture
def names_are(query: Query) -> Callable[[list[str]], None]:
    """Puts names into the table that the job reads, as a load does."""
    query(f"CREATE TABLE {TABLE} (alpha_code varchar(8) PRIMARY KEY, scientific_name text)")

    def load(names: list[str]) -> None:
        query(f"DELETE FROM {TABLE}")
        query(f"INSERT INTO {TABLE} SELECT 'B' || n, name FROM unnest(%s::text[]) WITH ORDINALITY u (name, n)", names)

    return load


@pytest.fixture
def resolve(jobs_url: str, gbif: Gbif) -> Callable[..., Tally]:
    """Makes rows of what is due, and lets one lane work, a hundred times as fast as the service allows."""

    def run(address: str = "", per_second: float = 1000, **limits: int) -> Tally:
        job = files.read(JOB)
        assert job.service is not None
        service = job.service.model_copy(update={"per_second": per_second})
        job = job.model_copy(update={"service": service, **limits})
        with psycopg.connect(jobs_url, autocommit=True) as connection:
            enqueue_job(LockedSession(connection, jobs_url), JOB, job)
        where = connected(gbif={"host": address or gbif.uri})
        return Lane(jobs_url, JOB, job, LaneKey(RunKey(JOB, "manual__1")), where).drain(budget_s=60, waits=False)

    return run


Names = Callable[[list[str]], None]
Resolve = Callable[..., Tally]


def birds(count: int) -> list[str]:
    """Names as a banding laboratory may write them, always the same ones."""
    chance = random.Random(14)

    def word() -> str:
        return "".join(chance.choice(SYLLABLES) for _ in range(4))

    names: set[str] = set()
    while len(names) < count:
        names.add(f"{word().capitalize()} {word()}")
    return sorted(names)


@pytest.mark.parametrize("batches", [200, 405], ids=["batches", "one by one"])
def test_a_whole_list_of_names_is_matched_once(
    query: Query, names_are: Names, resolve: Resolve, gbif: Gbif, batches: int
) -> None:
    gbif.batches = batches
    names_are(birds(BIRDS))
    tally = resolve()
    assert sum(tally.ended.values()) == tally.asked == BIRDS
    states = dict(query("SELECT state, count(*) FROM etl_jobs.taxon GROUP BY state"))
    assert sum(states.values()) == BIRDS
    assert states["resolved"] > 1000 and set(states) == {"resolved", "synonym", "ambiguous", "none"}
    ((waiting,),) = query("SELECT count(*) FROM etl_jobs.item WHERE state = 'waiting'")
    assert waiting == states["ambiguous"] > 0
    assert query("SELECT DISTINCT source_version FROM etl_jobs.item WHERE state = 'done'") == [
        ("314774/2026-06-12T09:14:03.512Z",)
    ]
    asked = [each.method for each in gbif.requests if each.path == MATCH]
    assert len(asked) == (6 if batches == 200 else BIRDS + 1)
    assert query("SELECT requests FROM etl_jobs.rate") == [(len(gbif.requests),)], "a batch counts as one"
    assert resolve().asked == 0


def test_spellings_are_one_name_that_is_asked_once(
    query: Query, names_are: Names, resolve: Resolve, gbif: Gbif
) -> None:
    spellings = ["Mergus merganser", "Mergus\u00a0merganser", "MERGUS MERGANSER", "Mergus \u200b\u200bmerganser"]
    names_are([*spellings, "Aloe\u0301 vera", "Alo\u00e9 vera"])
    assert resolve().asked == 2
    assert query("SELECT name, taxon_key FROM etl_jobs.taxon WHERE name LIKE 'M%'") == [("Mergus merganser", "73KYF")]
    ((raw,),) = query("SELECT input->'raw' FROM etl_jobs.item WHERE item = 'Mergus merganser'")
    assert sorted(raw) == sorted(spellings)


def test_what_is_no_name_is_dead_and_says_why(query: Query, names_are: Names, resolve: Resolve) -> None:
    names_are(["42", "Corvus corax"])
    assert resolve().ended == {"dead": 1, "done": 1}
    assert query("SELECT item, last_error FROM etl_jobs.item WHERE state = 'dead'") == [("42", "'42' holds no name")]


def test_a_gbif_that_does_not_answer_touches_no_name(query: Query, names_are: Names, resolve: Resolve) -> None:
    names_are(["Corvus corax", "Corvus corone"])
    tally = resolve(NOWHERE)
    assert tally.paused is not None and tally.paused.startswith("gbif is not asked for")
    assert query("SELECT DISTINCT state, attempts, last_code FROM etl_jobs.item") == [("due", 0, "service")]


def test_lanes_together_ask_no_faster_than_the_service_allows(names_are: Names, resolve: Resolve, gbif: Gbif) -> None:
    gbif.batches = 405
    names_are(birds(60))
    with ThreadPoolExecutor(3) as lanes:
        tallies = list(lanes.map(lambda _: resolve(per_second=20, batch=10), range(3)))
    assert sum(tally.asked for tally in tallies) == 60
    came = sorted(each.at for each in gbif.requests)
    assert len(came) >= 60
    # over all of it: a busy machine makes some late, which then come together with those in time
    assert came[-1] - came[0] > (len(came) - 1) / 20 - 0.3


def test_the_job_keeps_what_its_service_allows() -> None:
    job = files.read(JOB)
    assert isinstance(job, Job) and job.service is not None
    assert (job.service.per_second, job.service.at_once, job.service.url) == (10, 4, "https://api.gbif.org")


def test_a_person_says_which_of_several_equal_names_it_is(
    query: Query, names_are: Names, resolve: Resolve, jobs_url: str
) -> None:
    names_are(["Oenanthe"])
    assert resolve().ended == {"waiting": 1}
    job = files.read(JOB)
    with connect(jobs_url) as session, pytest.raises(ConfigError) as raised:
        letters.decide(session, JOB, job, "Oenanthe", "6DQX", who="anna", why=None)
    assert "'6DQX' is none of its alternatives: 6DQS (Oenanthe L.), 6DQT (Oenanthe L.)" in str(raised.value)
    with connect(jobs_url) as session:
        letters.decide(session, JOB, job, "Oenanthe", "6DQS", who="anna", why="these are birds")
    assert query("SELECT state, taxon_key, match_type FROM etl_jobs.taxon") == [("resolved", "6DQS", "DECIDED")]
    assert resolve().asked == 0
