"""Pictures of taxa: taken from Commons with their licence, and asked for by somebody who can be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
import pytest

from sluiceway.jobs import due, files
from sluiceway.jobs.ask import Asker
from sluiceway.jobs.definition import Answer, Done, Failed
from sluiceway.jobs.errors import JobSetupError, ServiceError, ServicePausedError
from sluiceway.jobs.items import Item
from sluiceway.jobs.lane import Lane
from sluiceway.jobs.lanes import LaneKey
from sluiceway.jobs.tally import Tally
from sluiceway.jobs.taxa import wikimedia
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.store import RunKey
from tests.jobs.conftest import connected
from tests.jobs.enqueued import enqueue_job
from tests.stand_ins.faults import FAULTS
from tests.stand_ins.web_service import Reply
from tests.stand_ins.wikimedia import UPLOAD, Wikimedia, maxlag

Pictures = Callable[..., dict[str, Answer]]
JOB = "refresh_thumbnails"
Query = Callable[..., list[tuple[Any, ...]]]
COL, OLD = "P10585", "P846"
CONTACT = {"contact": "ops@example.org"}


@pytest.fixture
def commons() -> Iterator[Wikimedia]:
    """Pictures of three birds."""
    with Wikimedia() as service:
        service.pictures = {
            (COL, "73KYF"): [("Q26480", "Goosander (Mergus merganser) m.jpg")],
            (COL, "V2"): [("Q5113", "Bird Diversity 2013.png")],
            (OLD, "2498028"): [("Q26637", "K\u00fckenente.jpg")],
        }
        yield service


@pytest.fixture
def pictures(commons: Wikimedia, asking: Callable[..., Asker]) -> Pictures:
    """Asks for the pictures of keys."""
    where = connected(wikimedia={"host": commons.uri, "extra": CONTACT})
    asker = asking(wikimedia.WIKIDATA, where, others=(wikimedia.COMMONS,))

    def run(*keys: str) -> dict[str, Answer]:
        return {each.item: each for each in wikimedia.thumbnails([Item(key, {}, 0, 0) for key in keys], ask=asker)}

    return run


def values(answer: Answer) -> Mapping[str, Any]:
    assert isinstance(answer, Done)
    return answer.values


def test_a_picture_comes_with_its_file_licence_and_author(pictures: Pictures) -> None:
    name = "Goosander%20%28Mergus%20merganser%29%20m.jpg".replace("%20", "_")
    assert values(pictures("73KYF")["73KYF"]) == {
        "state": "image",
        "wikidata_id": "Q26480",
        "file_name": "Goosander (Mergus merganser) m.jpg",
        "thumbnail_url": f"{UPLOAD}/thumb/c/c0/{name}/330px-{name}",
        "image_url": f"{UPLOAD}/c/c0/{name}",
        "page_url": f"https://commons.wikimedia.org/wiki/File:{name}",
        "mime_type": "image/jpeg",
        "license": "CC BY-SA 4.0",
        "license_url": "https://creativecommons.org/licenses/by-sa/4.0",
        "author": "Jo & Ann from Bonn",
    }


def test_a_batch_is_one_request_to_each_service_and_names_the_operator(pictures: Pictures, commons: Wikimedia) -> None:
    found = pictures("73KYF", "V2", "2498028")
    assert [values(found[key])["wikidata_id"] for key in found] == ["Q26480", "Q5113", "Q26637"]
    assert values(found["2498028"])["file_name"] == "K\u00fckenente.jpg"
    assert [each.path for each in commons.requests] == ["/sparql", "/w/api.php"]
    assert {each.headers["user-agent"] for each in commons.requests} == {"Sluiceway/0.1.0 (ops@example.org)"}
    assert commons.requests[1].params["maxlag"] == "5"


@pytest.mark.parametrize(
    ("key", "of"),
    [("73KYF", COL), ("V2", COL), ("4234", COL), ("7XKZBCD", COL), ("212", OLD), ("2498028", OLD), ("5231190", OLD)],
)
def test_a_key_is_looked_for_where_its_kind_is_kept(key: str, of: str) -> None:
    assert wikimedia.property_of(key) == of


def test_a_taxon_without_a_picture_is_a_result_that_is_asked_again_late(pictures: Pictures, commons: Wikimedia) -> None:
    answer = pictures("5TQD6")["5TQD6"]
    assert answer == Done("5TQD6", {"state": "no_image", "wikidata_id": None}, again_in=wikimedia.NO_IMAGE_AGAIN)
    assert [each.path for each in commons.requests] == ["/sparql"]


def test_a_file_that_commons_has_no_longer_is_no_picture(pictures: Pictures, commons: Wikimedia) -> None:
    commons.gone = {"Bird Diversity 2013.png"}
    found = pictures("73KYF", "V2")
    assert [values(found[key])["state"] for key in ("73KYF", "V2")] == ["image", "no_image"]


def test_two_files_that_have_become_one_are_found_under_both_names(pictures: Pictures, commons: Wikimedia) -> None:
    commons.moved = {"Bird Diversity 2013.png": "Goosander (Mergus merganser) m.jpg"}
    found = pictures("73KYF", "V2")
    assert values(found["V2"])["image_url"] == values(found["73KYF"])["image_url"]
    assert values(found["V2"])["state"] == "image"


def test_a_name_that_commons_writes_otherwise_is_the_same_file(pictures: Pictures, commons: Wikimedia) -> None:
    commons.pictures[(COL, "V2")] = [("Q5113", "bird Diversity 2013.png")]
    assert values(pictures("V2")["V2"])["page_url"].endswith("File:Bird_Diversity_2013.png")


def test_an_answer_that_goes_on_is_read_to_its_end(pictures: Pictures, commons: Wikimedia) -> None:
    commons.at_once = 1
    found = pictures("73KYF", "V2", "2498028")
    assert {values(each)["state"] for each in found.values()} == {"image"}
    assert [each.path for each in commons.requests] == ["/sparql", *["/w/api.php"] * 3]


def test_a_file_of_which_nothing_is_said_is_a_failure_and_not_missing(pictures: Pictures, commons: Wikimedia) -> None:
    commons.faults = [None, Reply(200, {"query": {"pages": []}})]
    with pytest.raises(ServiceError, match=r"commons: /w/api.php says nothing of 'Bird Diversity 2013.png'"):
        pictures("V2")


def test_of_several_pictures_it_is_always_the_same_one(pictures: Pictures, commons: Wikimedia) -> None:
    several = [("Q90000", "A.jpg"), ("Q26480", "C.jpg"), ("Q26480", "B.jpg")]
    for order in (several, several[::-1]):
        commons.pictures[(COL, "73KYF")] = order
        assert values(pictures("73KYF")["73KYF"])["file_name"] == "B.jpg"


def test_more_files_than_one_address_holds_are_several_requests(pictures: Pictures, commons: Wikimedia) -> None:
    keys = [f"{number}{letter}" for number in range(2, 10) for letter in "BCDFGH"]
    commons.pictures = {(COL, key): [(f"Q{at}", f"{key}.jpg")] for at, key in enumerate(keys)}
    assert {values(each)["state"] for each in pictures(*keys).values()} == {"image"}
    assert [each.path for each in commons.requests] == ["/sparql", *["/w/api.php"] * 3]


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [(maxlag(retry_after=9), 9), (maxlag(), 5.6), (maxlag(None), 5), (FAULTS["429 with Retry-After"], 7)],
    ids=["Retry-After", "lag", "neither", "429"],
)
def test_commons_is_left_alone_for_as_long_as_it_asks(
    pictures: Pictures, commons: Wikimedia, fault: Reply, seconds: float
) -> None:
    commons.faults = [None, fault]
    with pytest.raises(ServicePausedError) as raised:
        pictures("V2")
    assert (raised.value.service, raised.value.seconds) == ("commons", seconds)


@pytest.mark.parametrize("at", [0, 1], ids=["wikidata", "commons"])
@pytest.mark.parametrize("fault", ["500", "HTML with 200", "cut JSON", "error body with 200"])
def test_what_is_no_answer_is_a_failure_of_whoever_gave_it(
    pictures: Pictures, commons: Wikimedia, fault: str, at: int
) -> None:
    commons.faults = [None] * at + [FAULTS[fault]]
    with pytest.raises(ServiceError) as raised:
        pictures("V2")
    assert raised.value.service == ["wikidata", "commons"][at]


def test_an_error_of_commons_with_200_is_a_failure(pictures: Pictures, commons: Wikimedia) -> None:
    commons.faults = [None, Reply(200, {"error": {"code": "internal_api_error", "info": "[x] Exception"}})]
    with pytest.raises(ServiceError, match="internal_api_error"):
        pictures("V2")


def test_what_is_no_key_is_asked_of_nobody(pictures: Pictures, commons: Wikimedia) -> None:
    answer = pictures('V2") }')['V2") }']
    assert isinstance(answer, Failed) and "is no key of a taxon" in answer.why
    assert commons.requests == []


Refresh = Callable[..., Tally]


@pytest.fixture
def refresh(jobs_url: str) -> Refresh:
    """One lane of the job as it stands in its file, on what GBIF has resolved."""

    def run(**held: Any) -> Tally:
        job = files.read(JOB)
        with psycopg.connect(jobs_url, autocommit=True) as connection:
            session = LockedSession(connection, jobs_url)
            due.prepare(session, job)
            connection.execute(
                "INSERT INTO etl_jobs.taxon (name, state, taxon_key, accepted_key) VALUES "
                "('a', 'resolved', 'V2', NULL), ('b', 'synonym', '5VCLR', '73KYF'), ('c', 'resolved', '73KYF', NULL), "
                "('d', 'none', NULL, NULL), ('e', 'genus_only', '8V3B', NULL) ON CONFLICT DO NOTHING"
            )
            enqueue_job(session, JOB, job)
        where = connected(wikimedia=held)
        return Lane(jobs_url, JOB, job, LaneKey(RunKey(JOB, "manual__1")), where).drain(budget_s=30, waits=False)

    return run


def test_each_accepted_taxon_gets_its_picture_once(refresh: Refresh, query: Query, commons: Wikimedia) -> None:
    assert refresh(host=commons.uri, extra=CONTACT).ended == {"done": 2}
    assert query("SELECT taxon_key, state, license FROM etl_jobs.taxon_image ORDER BY 1") == [
        ("73KYF", "image", "CC BY-SA 4.0"),
        ("V2", "image", "CC BY-SA 4.0"),
    ]
    assert refresh(host=commons.uri, extra=CONTACT).asked == 0


def test_without_a_contact_nobody_is_asked(refresh: Refresh, query: Query, commons: Wikimedia) -> None:
    with pytest.raises(JobSetupError, match="holds no contact; write it as `contact` among its extras"):
        refresh(host=commons.uri)
    assert commons.requests == []
    assert query("SELECT DISTINCT state FROM etl_jobs.item") == [("due",)]


def test_while_commons_is_left_alone_no_taxon_is_touched(refresh: Refresh, query: Query, commons: Wikimedia) -> None:
    commons.faults = [None, maxlag(retry_after=60)]
    tally = refresh(host=commons.uri, extra=CONTACT)
    assert tally.paused is not None and tally.paused.startswith("commons is not asked for")
    assert query("SELECT DISTINCT state, attempts, last_code FROM etl_jobs.item") == [("due", 0, "pause")]
