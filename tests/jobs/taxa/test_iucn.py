"""The conservation status of species: the assessment that counts, and no text that may not be passed on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from sluiceway.jobs import due, files
from sluiceway.jobs.ask import Asker
from sluiceway.jobs.definition import Answer, Done, Failed
from sluiceway.jobs.errors import JobSetupError, ServiceError
from sluiceway.jobs.items import Item
from sluiceway.jobs.lane import Lane
from sluiceway.jobs.lanes import LaneKey
from sluiceway.jobs.tally import Tally
from sluiceway.jobs.taxa import iucn
from sluiceway.ledger.locks import LockedSession
from sluiceway.ledger.store import RunKey
from tests.jobs.conftest import connected
from tests.jobs.enqueued import enqueue_job
from tests.stand_ins.faults import FAULTS
from tests.stand_ins.iucn import API, TOKEN, Assessed, Iucn
from tests.stand_ins.web_service import Reply

Status = Callable[..., dict[str, Answer]]
JOB = "sync_conservation_status"
Query = Callable[..., list[tuple[Any, ...]]]
PUFFIN = "Fratercula arctica"


@pytest.fixture
def red_list() -> Iterator[Iucn]:
    """One that knows the puffin, in Europe and all over the world."""
    with Iucn() as service:
        europe = Assessed(166290968, "2021", "EN", scopes=("2",))
        service.species = {PUFFIN: [europe, Assessed(132581443, "2018", "VU"), Assessed(1, "2016", latest=False)]}
        yield service


@pytest.fixture
def status(red_list: Iucn, asking: Callable[..., Asker]) -> Status:
    """Asks for the status of species."""
    asker = asking(iucn.IUCN, connected(iucn={"host": red_list.uri, "password": TOKEN}))

    def run(*names: str) -> dict[str, Answer]:
        return {each.item: each for each in iucn.status([Item(name, {}, 0, 0) for name in names], ask=asker)}

    return run


def values(answer: Answer) -> Mapping[str, Any]:
    assert isinstance(answer, Done)
    return answer.values


def test_the_assessment_that_counts_is_told_with_its_citation_and_not_with_its_text(status: Status) -> None:
    answer = status(PUFFIN)[PUFFIN]
    assert isinstance(answer, Done) and answer.source_version == "2026-1"
    assert answer.values == {
        "state": "assessed",
        "category_code": "VU",
        "category": "Vulnerable",
        "criteria": "A2abcde+4abcde",
        "year_published": 2018,
        "assessment_date": "2018-12-18T00:00:00.000Z",
        "assessment_id": 132581443,
        "sis_taxon_id": 22694927,
        "scopes": [{"code": "1", "name": "Global"}],
        "population_trend": "Decreasing",
        "possibly_extinct": False,
        "common_names": [
            {"name": "Puffin", "language": "eng", "main": False},
            {"name": "Atlantic Puffin", "language": "eng", "main": True},
        ],
        "url": "https://www.iucnredlist.org/species/22694927/132581443",
        "citation": f"BirdLife International 2018. {PUFFIN}. e.T22694927A132581443.",
    }


def assessed(number: int, year: str, *, latest: bool = True, scopes: tuple[str, ...] = ("1",)) -> dict[str, Any]:
    return Assessed(number, year, latest=latest, scopes=scopes).summary()


CHOICES = {
    "the latest": ([assessed(1, "2024", latest=False), assessed(2, "2018")], 2),
    "the latest, even of a region": ([assessed(1, "2024", latest=False), assessed(2, "2018", scopes=("2",))], 2),
    "of several latest the global one": ([assessed(1, "2024", scopes=("2",)), assessed(2, "2018")], 2),
    "of several of regions the newest": ([assessed(3, "2018", scopes=("2",)), assessed(2, "2024", scopes=("15",))], 2),
    "of several global ones the newest": ([assessed(3, "2018"), assessed(2, "2024")], 2),
    "without a latest a global one": (
        [assessed(1, "2024", latest=False, scopes=("2",)), assessed(2, "1998", latest=False)],
        2,
    ),
    "without a latest the newest": (
        [assessed(3, "1994", latest=False, scopes=("2",)), assessed(2, "1998", latest=False, scopes=("15",))],
        2,
    ),
    "of one year the one that was written last": ([assessed(1, "2016"), assessed(2, "2016")], 2),
    "none": ([], None),
}


@pytest.mark.parametrize(("assessments", "chosen"), CHOICES.values(), ids=CHOICES)
def test_one_assessment_counts(assessments: list[dict[str, Any]], chosen: int | None) -> None:
    found = iucn.choose(assessments)
    assert (found["assessment_id"] if found else None) == chosen


@pytest.mark.parametrize("language", ["eng", {"code": "eng", "description": {"en": "English"}}], ids=["text", "object"])
def test_a_language_is_its_code_however_it_is_written(status: Status, red_list: Iucn, language: object) -> None:
    red_list.species[PUFFIN] = [Assessed(7, "2021", language=language)]
    assert {each["language"] for each in values(status(PUFFIN)[PUFFIN])["common_names"]} == {"eng"}


@pytest.mark.parametrize("species", [{}, {"Nemo nemo": []}], ids=["404", "no assessment"])
def test_what_is_not_assessed_is_a_result_that_is_asked_again_late(
    status: Status, red_list: Iucn, species: dict[str, list[Assessed]]
) -> None:
    red_list.species = species
    if not species:
        red_list.faults = [None, Reply(404, {"error": "Not found"})]
    expected = Done("Nemo nemo", {"state": "not_assessed"}, again_in=iucn.NOT_ASSESSED_AGAIN, source_version="2026-1")
    assert status("Nemo nemo")["Nemo nemo"] == expected


@pytest.mark.parametrize("fault", ["500", "HTML with 200", "cut JSON", "error body with 200"])
@pytest.mark.parametrize("at", [0, 1, 2], ids=["version", "name", "assessment"])
def test_what_is_no_answer_is_a_failure_of_the_service(status: Status, red_list: Iucn, fault: str, at: int) -> None:
    red_list.faults = [None] * at + [FAULTS[fault]]
    with pytest.raises(ServiceError) as raised:
        status(PUFFIN)
    assert raised.value.service == "iucn"


def test_an_assessment_that_has_gone_is_not_called_not_assessed(status: Status, red_list: Iucn) -> None:
    red_list.faults = [None, None, Reply(404, {"error": "Not found"})]
    with pytest.raises(ServiceError, match=f"iucn: {API}/assessment/132581443 answers 404"):
        status(PUFFIN)


def test_the_version_is_asked_once_in_the_life_of_a_lane(status: Status, red_list: Iucn) -> None:
    status(PUFFIN)
    status("Mergus merganser")
    assert [each.path for each in red_list.requests].count(f"{API}/information/red_list_version") == 1


def test_what_is_no_species_is_dead(status: Status, red_list: Iucn) -> None:
    answer = status("Fratercula")["Fratercula"]
    assert isinstance(answer, Failed) and "'Fratercula' is no species" in answer.why


Sync = Callable[..., Tally]


@pytest.fixture
def sync(jobs_url: str) -> Sync:
    """One lane of the job as it stands in its file, on what GBIF has resolved."""

    def run(**held: Any) -> Tally:
        job = files.read(JOB)
        with psycopg.connect(jobs_url, autocommit=True) as connection:
            session = LockedSession(connection, jobs_url)
            due.prepare(session, job)
            connection.execute(
                "INSERT INTO etl_jobs.taxon (name, state, rank, canonical_name, answer) VALUES "
                f"('a', 'resolved', 'SPECIES', '{PUFFIN}', '{{}}'), ('b', 'resolved', 'GENUS', 'Fratercula', '{{}}'), "
                "('c', 'synonym', 'SUBSPECIES', 'Alca arctica naumanni', "
                f"""'{{"acceptedUsage": {{"canonicalName": "{PUFFIN}"}}}}'), """
                "('d', 'resolved', 'SPECIES', 'Medicago \u00d7 varia', '{}'), ('e', 'none', NULL, NULL, '{}'), "
                "('f', 'resolved', 'SPECIES', 'Mergus merganser', '{}') ON CONFLICT DO NOTHING"
            )
            enqueue_job(session, JOB, job)
        return Lane(jobs_url, JOB, job, LaneKey(RunKey(JOB, "manual__1")), connected(iucn=held)).drain(
            budget_s=30, waits=False
        )

    return run


def test_each_species_gets_its_status_once_and_the_terms_stand_at_the_table(
    sync: Sync, query: Query, red_list: Iucn
) -> None:
    assert sync(host=red_list.uri, password=TOKEN).ended == {"done": 2}
    assert query("SELECT scientific_name, state FROM etl_jobs.conservation_status ORDER BY 1") == [
        (PUFFIN, "assessed"),
        ("Mergus merganser", "assessed"),
    ]
    ((comment,),) = query("SELECT obj_description('etl_jobs.conservation_status'::regclass)")
    assert "terms forbid redistribution" in comment
    assert sync(host=red_list.uri, password=TOKEN).asked == 0


def test_half_a_second_lies_between_two_requests(sync: Sync, red_list: Iucn) -> None:
    sync(host=red_list.uri, password=TOKEN)
    came = [each.at for each in red_list.requests]
    assert len(came) == 5
    # a request may be a little late, and the next one then in time
    assert min(later - earlier for earlier, later in pairwise(came)) > 0.4
    assert came[-1] - came[0] > 1.9


@pytest.mark.parametrize("held", [{}, {"password": "another"}], ids=["none", "wrong"])
def test_without_its_token_no_species_is_touched(
    sync: Sync, query: Query, red_list: Iucn, held: dict[str, str]
) -> None:
    with pytest.raises(JobSetupError, match=r"iucn: .*(holds no token|answers 401)"):
        sync(host=red_list.uri, **held)
    assert len(red_list.requests) == len(held)
    assert query("SELECT DISTINCT state, attempts FROM etl_jobs.item") == [("due", 0)]
