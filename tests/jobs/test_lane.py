"""A lane: every item ends once, and what fails is called what it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from psycopg import sql

from sluiceway.errors import TargetMismatchError, WarehouseError
from sluiceway.jobs import items, letters, rate
from sluiceway.jobs.ask import Asker
from sluiceway.jobs.definition import Answer, Done, Failed, Job, Results, Service, Waiting
from sluiceway.jobs.errors import BrokenWorkError, JobSetupError, ServiceError, ServicePausedError, WorkHungError
from sluiceway.jobs.items import Item
from sluiceway.jobs.lane import Lane
from sluiceway.jobs.lanes import LaneKey
from sluiceway.jobs.letters import Chosen
from sluiceway.jobs.tally import Tally
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session, connect
from tests.stand_ins.faults import FAULTS
from tests.stand_ins.gbif import CHECKLIST, Gbif

Query = Callable[..., list[tuple[Any, ...]]]
JOB = "upper"
LANE = LaneKey(RunKey("upper", "manual"))
RESULTS = Results(
    table="shouted", columns={"loud": "text", "size": "integer", "share": "double precision", "raw": "jsonb"}
)


@pytest.fixture
def due(jobs_url: str) -> Callable[[int], None]:
    """Makes that many items due: i1, i2 ..."""

    def enqueue(count: int) -> None:
        found = sql.SQL(
            "SELECT 'i' || n AS item, jsonb_build_object('n', n) AS input, 'a' AS input_hash "
            "FROM generate_series(1, {}) n"
        )
        with connect(jobs_url) as session:
            items.enqueue(session, JOB, found.format(sql.Literal(count)))

    return enqueue


@pytest.fixture
def drain(jobs_url: str) -> Callable[..., Tally]:
    """Lets one lane work with a function."""

    def run(work: Callable[[Sequence[Item]], Iterable[Answer]], **limits: Any) -> Tally:
        budget_s = limits.pop("budget_s", 20)
        job = Job(due="", work=work, results=RESULTS, **{"back_off": timedelta(seconds=0.001), **limits})
        return Lane(jobs_url, JOB, job, LANE).drain(budget_s=budget_s)

    return run


Drain = Callable[..., Tally]
Due = Callable[[int], None]


def shout(batch: Sequence[Item]) -> Iterator[Answer]:
    for each in batch:
        yield Done(each.item, {"loud": each.item.upper(), "size": each.input["n"]})


def make_due(url: str) -> None:
    with connect(url) as session:
        session.execute(sql.SQL("UPDATE etl_jobs.item SET due_at = now() WHERE state = 'due'"))


def states(query: Query) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in query("SELECT item, state, attempts, last_code FROM etl_jobs.item ORDER BY 1")}


def test_what_is_due_becomes_results_and_is_not_asked_again(due: Due, drain: Drain, query: Query) -> None:
    due(250)
    tally = drain(shout)
    assert (tally.asked, tally.ended) == (250, {"done": 250})
    assert query("SELECT count(*), min(loud), sum(size) FROM etl_jobs.shouted") == [(250, "I1", 31375)]
    assert drain(shout).asked == 0


def test_one_item_that_always_fails_dies_alone_and_says_why(
    due: Due, drain: Drain, query: Query, jobs_url: str
) -> None:
    due(100)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        for each in batch:
            if each.item == "i42":
                raise KeyError("wings")
            yield from shout([each])

    for _ in range(3):
        drain(work, attempts=3)
        make_due(jobs_url)
    found = states(query)
    assert found.pop("i42") == ("dead", 3, "code")
    assert {state for state, *_ in found.values()} == {"done"}
    ((error,),) = query("SELECT last_error FROM etl_jobs.item WHERE item = 'i42'")
    assert error == "the job's function failed: KeyError: 'wings' (attempt 3 of 3)"


def test_an_item_that_fails_alone_after_all_others_are_done_dies_and_one_that_fails_in_an_outage_does_not(
    due: Due, drain: Drain, query: Query, jobs_url: str
) -> None:
    due(10)
    is_out = False

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        for each in batch:
            if each.item == "i4" or is_out:
                raise ValueError(each.item)
            yield from shout([each])

    drain(work, attempts=9, back_off=timedelta(hours=1))
    assert states(query)["i4"] == ("due", 1, "code")
    make_due(jobs_url)
    is_out = True
    with pytest.raises(BrokenWorkError):
        drain(work, attempts=9, back_off=timedelta(hours=1))
    assert states(query)["i4"] == ("due", 1, "code"), "nobody is served, so that it is not the item's fault"
    is_out = False
    make_due(jobs_url)
    drain(work, attempts=2, back_off=timedelta(hours=1))
    assert states(query)["i4"] == ("dead", 2, "code")


def test_a_function_that_always_fails_is_an_error_and_touches_no_item(due: Due, drain: Drain, query: Query) -> None:
    due(40)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        raise TypeError("what")

    with pytest.raises(BrokenWorkError, match="TypeError: what"):
        drain(work)
    assert set(states(query).values()) == {("due", 0, "code")}


def test_a_service_that_answers_nobody_kills_no_item_and_is_left_alone(
    due: Due, drain: Drain, query: Query, jobs_url: str
) -> None:
    due(40)

    def work(batch: Sequence[Item], ask: object) -> Iterator[Answer]:
        raise ServiceError("gbif: GET /match answers 500")

    service = {"name": "gbif", "url": "http://localhost:9", "per_second": 1000}
    tally = drain(work, service=service, batch_seconds=5)
    assert tally.back >= 40 and not tally.ended
    assert set(states(query).values()) == {("due", 0, "service")}
    with connect(jobs_url) as session:
        assert 0 < rate.paused_for(session, "gbif") <= 300
    assert tally.paused is not None and "gbif is not asked for" in tally.paused


def test_what_hangs_is_cut_off_and_the_others_go_on(due: Due, drain: Drain, query: Query) -> None:
    due(8)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        for each in batch:
            if each.item == "i3":
                time.sleep(60)
            yield from shout([each])

    began = time.monotonic()
    drain(work, batch_seconds=0.3, attempts=1)
    assert time.monotonic() - began < 10
    found = states(query)
    assert found.pop("i3") == ("dead", 1, "hang")
    assert {state for state, *_ in found.values()} == {"done"}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda item: [], "i2: the job's function gave no answer"),
        (lambda item: [Done("other", {})], "i2: the job's function gave no answer"),
        (lambda item: [Done(item, {"lod": "x"})], "the result has a column 'lod' that the job does not declare"),
        (lambda item: [Done(item, {"size": "7"})], "i2: size is str '7' and must be integer"),
        (lambda item: [Done(item, {"size": True})], "i2: size is bool 'True' and must be integer"),
        (lambda item: [Done(item, {"size": 2**31})], "i2: size is '2147483648', and integer ends at 2,147,483,647"),
        (lambda item: [Done(item, {"share": float("nan")})], "i2: share is 'nan', and that is no number"),
        (lambda item: [Done(item, {"loud": "a\0b"})], "and no text in PostgreSQL has the character NUL"),
        (lambda item: [Done(item, {"loud": "\ud800"})], "and text takes no such value"),
        (lambda item: [Done(item, {"raw": {"all": {1, 2}}})], "and jsonb takes no such value"),
    ],
    ids=[
        *("none", "of another", "unknown column", "wrong type", "bool for a number", "too large", "no number"),
        *("NUL", "half a character", "a set"),
    ],
)
def test_a_wrong_answer_is_an_attempt_of_its_item_alone(
    due: Due, drain: Drain, query: Query, jobs_url: str, answer: Callable[[str], list[Answer]], sentence: str
) -> None:
    due(3)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        for each in batch:
            yield from answer(each.item) if each.item == "i2" else shout([each])

    assert drain(work, attempts=2, back_off=timedelta(hours=1)).ended == {"done": 2, "due": 1}
    make_due(jobs_url)
    assert drain(work, attempts=2).ended == {"dead": 1}
    assert states(query)["i2"] == ("dead", 2, "answer")
    ((error,),) = query("SELECT last_error FROM etl_jobs.item WHERE item = 'i2'")
    assert sentence in error


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["i2", "x"], "the job's function gave list \"['i2', 'x']\", and must give Done, Waiting or Failed"),
        (Done("i2", "x"), "i2: the answer's values are str and must be a mapping of columns"),  # type: ignore[arg-type]
        (Done("i2", {}, again_in=3600), "i2: the answer's again_in is int and must be a timedelta"),  # type: ignore[arg-type]
        (Done(2, {}), "2: the answer's item is int and must be text"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_answer_fails_its_item_alone(
    due: Due, drain: Drain, query: Query, given: Any, sentence: str
) -> None:
    due(3)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        for each in batch:
            yield from [given] if each.item == "i2" else shout([each])

    assert drain(work, attempts=1).ended == {"done": 2, "dead": 1}
    assert states(query)["i2"] == ("dead", 1, "code")
    ((error,),) = query("SELECT last_error FROM etl_jobs.item WHERE item = 'i2'")
    assert sentence in error


def test_an_answer_that_only_the_warehouse_refuses_harms_no_other(due: Due, drain: Drain, query: Query) -> None:
    due(3)

    def then(session: Session, done: Sequence[Done]) -> None:
        for each in done:
            session.execute(sql.SQL("SELECT {}::date").format(sql.Literal("x" if each.item == "i2" else "2026-01-01")))

    assert drain(shout, attempts=1, then=then).ended == {"done": 2, "dead": 1}
    assert states(query)["i2"] == ("dead", 1, "answer")


def test_an_error_that_no_text_can_hold_is_written_down_all_the_same(due: Due, drain: Drain, query: Query) -> None:
    due(1)
    drain(lambda batch: [Failed("i1", "a\0b \ud800")])
    assert query("SELECT state, last_error FROM etl_jobs.item") == [("dead", "a\\0b \\ud800")]


def test_a_function_that_goes_on_after_each_of_its_errors_is_cut_off_all_the_same(
    due: Due, drain: Drain, query: Query
) -> None:
    due(3)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        for each in batch:
            try:
                if each.item == "i2":
                    time.sleep(60)
                yield from shout([each])
            except Exception as error:  # noqa: BLE001  # as many do
                yield Failed(each.item, str(error))

    drain(work, batch_seconds=0.3, attempts=1)
    assert {item: found[0] for item, found in states(query).items()} == {"i1": "done", "i2": "dead", "i3": "done"}
    assert states(query)["i2"][2] == "hang"


def test_a_function_that_ends_the_process_is_an_error_that_says_so(due: Due, drain: Drain, query: Query) -> None:
    due(3)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        raise SystemExit(0)

    with pytest.raises(BrokenWorkError, match="the job's function failed: SystemExit: 0"):
        drain(work)
    assert set(states(query).values()) == {("due", 0, "code")}


def test_what_a_person_put_away_says_nothing_of_whether_the_function_works(
    due: Due, drain: Drain, query: Query, jobs_url: str
) -> None:
    due(2)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        for each in batch:
            if each.item != "i1":
                raise KeyError(each.item)
            yield from shout([each])

    drain(work, attempts=1)
    with connect(jobs_url) as session:
        letters.discard(session, Chosen(job=JOB, items=("i2",)), who="somebody", why=None)
    due(3)
    assert drain(work, attempts=1).ended == {"dead": 1}
    assert states(query)["i3"] == ("dead", 1, "code")


def test_a_service_that_is_resumed_is_asked_at_once_however_long_it_was_paused(
    due: Due, drain: Drain, query: Query, jobs_url: str, gbif: Gbif
) -> None:
    due(3)

    def work(batch: Sequence[Item], ask: Asker) -> Iterator[Answer]:
        for each in batch:
            ask.get("/v2/species/match", {"name": each.item})
            yield from shout([each])

    service = {"name": "gbif", "url": gbif.uri, "per_second": 100}
    with connect(jobs_url) as session:
        rate.pause(session, "gbif", seconds=rate.FOR_EVER_S, reason="paused by somebody: it moves")
        # as a lane does that is amid its work
        assert rate.reserve(session, "gbif", per_second=100, longest=20) > 1e9
        rate.reserve(session, "gbif", per_second=100)
    assert drain(work, service=service, budget_s=1).ended == {}
    assert query("SELECT pause_reason FROM etl_jobs.rate") == [("paused by somebody: it moves",)]
    with connect(jobs_url) as session:
        rate.resume(session, "gbif")
        assert rate.reserve(session, "gbif", per_second=100) < 1
    tally = drain(work, service=service)
    assert tally.ended == {"done": 3} and tally.waited_s < 5


def test_a_service_cannot_ask_to_be_left_alone_for_ever(due: Due, drain: Drain, jobs_url: str) -> None:
    due(1)

    def work(batch: Sequence[Item], ask: object) -> Iterator[Answer]:
        raise ServicePausedError("gbif: GET /x answers 429", 1e20)

    drain(work, service={"name": "gbif", "url": "http://localhost:9", "per_second": 1000}, budget_s=1)
    with connect(jobs_url) as session:
        assert 29 * 86_400 < rate.paused_for(session, "gbif") <= 30 * 86_400


def test_what_a_person_must_decide_waits_and_what_is_unreadable_is_dead_at_once(
    due: Due, drain: Drain, query: Query
) -> None:
    due(2)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        yield Waiting("i1", "two are equal", {"loud": "?"})
        yield Failed("i2", "no name")

    drain(work)
    assert states(query) == {"i1": ("waiting", 0, "decide"), "i2": ("dead", 1, "item")}
    assert query("SELECT loud FROM etl_jobs.shouted") == [("?",)]


def test_what_every_item_needs_and_is_missing_ends_the_lane_and_touches_none(
    due: Due, drain: Drain, query: Query
) -> None:
    due(2)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        raise JobSetupError("gbif: no token")

    with pytest.raises(JobSetupError, match="no token"):
        drain(work)
    assert set(states(query).values()) == {("due", 0, "setup")}


def test_a_table_of_results_with_another_type_is_refused(due: Due, drain: Drain, query: Query, jobs_url: str) -> None:
    due(1)
    with connect(jobs_url) as session:
        session.execute(
            sql.SQL("CREATE TABLE etl_jobs.shouted (item text PRIMARY KEY, written_at timestamptz, size text)")
        )
    with pytest.raises(TargetMismatchError, match=r"etl_jobs\.shouted\.size is text in the warehouse and integer"):
        drain(shout)
    assert states(query)["i1"][0] == "due"


def gbif_and_iucn(url: str) -> dict[str, Any]:
    services = [Service(name=name, url=url, per_second=1000, at_once=4) for name in ("gbif", "iucn")]
    return {"service": services[0], "others": (services[1],)}


def test_the_service_that_fails_is_the_one_that_is_left_alone(
    due: Due, drain: Drain, query: Query, jobs_url: str, gbif: Gbif
) -> None:
    due(3)

    def work(batch: Sequence[Item], ask: Asker) -> Iterator[Answer]:
        ask.get("/v2/species/match/metadata", {"checklistKey": CHECKLIST})
        gbif.faults.append(FAULTS["429 with Retry-After"])
        ask.of("iucn").get("/")
        yield from ()

    tally = drain(work, **gbif_and_iucn(gbif.uri), budget_s=2)
    assert tally.paused is not None and "iucn is not asked for" in tally.paused
    with connect(jobs_url) as session:
        assert 4 < rate.paused_for(session, "iucn") <= 7
        assert rate.paused_for(session, "gbif") == 0
    assert set(states(query).values()) == {("due", 0, "pause")}


@pytest.mark.parametrize("service", ["gbif", "iucn"])
def test_a_pause_of_any_service_of_a_job_ends_its_lane(
    due: Due, drain: Drain, query: Query, jobs_url: str, service: str
) -> None:
    due(3)
    with connect(jobs_url) as session:
        rate.pause(session, service, seconds=500, reason="a person")
    tally = drain(shout, **gbif_and_iucn("http://localhost:9"))
    assert (tally.asked, tally.paused) == (0, f"{service} is not asked for 500 s more")


def test_what_hangs_after_many_threads_have_asked_is_cut_off_all_the_same(
    due: Due, drain: Drain, query: Query, gbif: Gbif
) -> None:
    due(1)

    def work(batch: Sequence[Item], ask: Asker) -> Iterator[Answer]:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: ask.get("/"), range(60)))
        time.sleep(60)
        yield from ()

    began = time.monotonic()
    with pytest.raises(WorkHungError, match="did not come back within 2 s"):
        drain(work, **gbif_and_iucn(gbif.uri), batch_seconds=2)
    assert time.monotonic() - began < 30


def test_of_what_an_answer_came_is_written_with_it(due: Due, drain: Drain, query: Query) -> None:
    due(1)
    drain(lambda batch: [Done(each.item, source_version="2026-1") for each in batch])
    assert query("SELECT state, source_version FROM etl_jobs.item") == [("done", "2026-1")]


def test_what_follows_from_a_result_is_written_with_it_or_neither_is(
    due: Due, drain: Drain, query: Query, jobs_url: str
) -> None:
    due(2)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        yield Failed("i1", "no name")
        yield from shout([each for each in batch if each.item == "i2"])

    def fails(session: Session, answers: Sequence[Done]) -> None:
        session.execute(sql.SQL("SELECT 1 / 0"))

    with pytest.raises(WarehouseError, match="division by zero"):
        drain(work, then=fails)
    assert query("SELECT count(*) FROM etl_jobs.shouted") == [(0,)]
    assert {state for state, *_ in states(query).values()} == {"claimed"}
    with connect(jobs_url) as session:
        session.execute(sql.SQL("UPDATE etl_jobs.item SET state = 'due', claim = NULL, lease_until = NULL"))
    seen: list[Done] = []
    drain(work, then=lambda session, answers: seen.extend(answers))
    assert [each.item for each in seen] == ["i2"]


def test_nothing_follows_from_a_result_that_came_after_its_lease(due: Due, drain: Drain, jobs_url: str) -> None:
    due(2)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        with connect(jobs_url) as session:
            session.execute(sql.SQL("UPDATE etl_jobs.item SET claim = gen_random_uuid() WHERE item = 'i1'"))
        yield from shout(batch)

    seen: list[Done] = []
    assert drain(work, then=lambda session, answers: seen.extend(answers)).lost == 1
    assert [each.item for each in seen] == ["i2"]


def test_a_service_may_stand_once_in_a_job() -> None:
    twice = gbif_and_iucn("http://localhost:9")
    with pytest.raises(ValueError, match="'gbif' is there twice"):
        Job(due="", work=shout, results=RESULTS, service=twice["service"], others=(twice["service"],))
    with pytest.raises(ValueError, match="there is no `service`"):
        Job(due="", work=shout, results=RESULTS, others=twice["others"])


def test_each_batch_is_a_line_of_the_log_with_what_became_of_it(
    due: Due, drain: Drain, caplog: pytest.LogCaptureFixture
) -> None:
    due(30)

    def work(batch: Sequence[Item]) -> Iterator[Answer]:
        for each in batch:
            yield Failed(each.item, "no") if each.item == "i7" else Done(each.item, {})

    with caplog.at_level("INFO", "sluiceway.jobs.lane"):
        drain(work, batch=20)
    lines = [record.message for record in caplog.records if record.message.startswith("job=")]
    counts = [line.partition(" seconds=")[0] for line in lines]
    assert sorted(counts) == [
        "job=upper asked=10 done=10 waiting=0 dead=0 due=0 back=0 lost=0",
        "job=upper asked=20 done=19 waiting=0 dead=1 due=0 back=0 lost=0",
    ]
    assert all(" waited_s=0.00" in line for line in lines)
