"""Names asked of GBIF over HTTP, one by one and in batches: what comes of them is the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sluiceway.jobs.ask import Asker
from sluiceway.jobs.definition import Answer, Done, Failed, Waiting
from sluiceway.jobs.errors import ServiceError
from sluiceway.jobs.items import Item
from sluiceway.jobs.taxa import gbif as taxa
from tests.stand_ins.faults import FAULTS
from tests.stand_ins.gbif import MATCH, Gbif, by_rule
from tests.stand_ins.web_service import Reply

Match = Callable[..., dict[str, Answer]]


@pytest.fixture(params=[200, 405], ids=["batches", "one by one"])
def either(gbif: Gbif, request: pytest.FixtureRequest) -> Gbif:
    """A GBIF that takes batches, and one that does not."""
    gbif.batches = request.param
    return gbif


@pytest.fixture
def match(gbif: Gbif, asking: Callable[..., Asker]) -> Match:
    """Matches names, and gives the answers by item."""
    asker = asking(taxa.GBIF.model_copy(update={"url": gbif.uri, "connection": None}))

    def run(*names: str, **inputs: Any) -> dict[str, Answer]:
        batch = [Item(name, inputs, 0, 0) for name in names]
        return {each.item: each for each in taxa.match(batch, ask=asker)}

    return run


def values(answer: Answer) -> Mapping[str, Any]:
    assert not isinstance(answer, Failed), answer.why
    return answer.values


RIGHT = [
    ("G1", "Aso", {}, "none", None),
    ("G2", "Xysticus sp.", {}, "genus_only", "8V3B"),
    ("G2 unknown species", "Xysticus nobody", {}, "genus_only", "8V3B"),
    ("G3", "Aves", {}, "resolved", "V2"),
    ("G4", "Calopteryx splendens", {"kingdom": "Plantae"}, "resolved", "Q9NB"),
    ("G4 by its class", "Calopteryx splendens", {"class": "Aves"}, "resolved", "Q9NB"),
    ("G4 of another class", "Agathis montana", {"class": "Aves"}, "resolved", "TREE2"),
    ("G4 found without", "Pieris brassicae", {"kingdom": "Plantae"}, "resolved", "4JG2C"),
    ("G4 not found without", "Ignota nemo", {"kingdom": "Animalia"}, "genus_only", "3GNTT"),
    ("G4 without better", "Xysticus nobody", {"kingdom": "Animalia"}, "genus_only", "8V3B"),
    ("G5", "Oenanthe", {}, "ambiguous", None),
    ("G5 with a hint", "Oenanthe", {"kingdom": "Animalia"}, "resolved", "6DQS"),
    ("G5 with its class", "Oenanthe", {"class": "Magnoliopsida"}, "resolved", "6DQT"),
    ("G6", "Elytrigia repens (L.) Desv.", {}, "resolved", "3BPWN"),
    ("G6 with &", "Elytrigia repens Desv. & Nevski", {}, "resolved", "3BPWN"),
    ("G6 with a hint", "Elytrigia repens (L.) Desv.", {"kingdom": "Animalia"}, "resolved", "3BPWN"),
    ("G7", "Medicago x varia", {}, "resolved", "3YNQS"),
    ("G8", "Sabethes (Peytonulus) shannoni", {}, "resolved", "4T1"),
    ("G9 cf.", "Boloria cf. chariclea", {}, "uncertain", "MT1"),
    ("G9 aff.", "Lepetodrilus aff. schrolli", {}, "uncertain", "3TY"),
    ("G10", "MERGUS\u00a0MERGANSER", {}, "resolved", "73KYF"),
    ("G11", "Anastrophyllum minutum", {}, "synonym", "5VCLR"),
    ("G12", "Zizania latifolia", {}, "resolved", "5CNN2"),
    ("G13", "Fungi", {}, "none", None),
]


@pytest.mark.parametrize(("_pitfall", "name", "hints", "state", "key"), RIGHT, ids=[row[0] for row in RIGHT])
def test_a_name_that_misleads_does_not(
    either: Gbif, match: Match, _pitfall: str, name: str, hints: Mapping[str, str], state: str, key: str | None
) -> None:
    found = values(match(name, "Corvus corax", **hints)[name])
    assert (found["state"], found["taxon_key"]) == (state, key)


def test_what_was_left_out_and_kept_beside_is_told(either: Gbif, match: Match) -> None:
    asked = ("Elytrigia repens (L.) Desv.", "Sabethes (Peytonulus) shannoni", "Boloria cf. chariclea", "Corvus corax")
    found = {name: values(answer) for name, answer in match(*asked).items()}
    assert [name for name in asked if found[name]["author_dropped"]] == ["Elytrigia repens (L.) Desv."]
    assert found["Sabethes (Peytonulus) shannoni"]["subgenus"] == "Peytonulus"
    assert found["Boloria cf. chariclea"]["qualifier"] == "cf."


def test_both_keys_of_a_synonym_are_kept(either: Gbif, match: Match) -> None:
    found = values(match("Anastrophyllum minutum", "Corvus corax")["Anastrophyllum minutum"])
    assert (found["taxon_key"], found["accepted_key"]) == ("5VCLR", "6WXYZ")


def test_what_may_be_several_waits_for_a_person_with_all_of_them(either: Gbif, match: Match) -> None:
    answer = match("Oenanthe", "Corvus corax")["Oenanthe"]
    assert isinstance(answer, Waiting)
    alternatives = answer.values["answer"]["diagnostics"]["alternatives"]
    assert [each["usage"]["key"] for each in alternatives] == ["6DQS", "6DQT"]


@pytest.mark.parametrize("name", ["Vetus backbone", "Vacua clavis"])
def test_a_200_that_is_no_match_is_a_failure_of_the_service(either: Gbif, match: Match, name: str) -> None:
    with pytest.raises(ServiceError, match=f"gbif: {MATCH} answers 200 with no match") as raised:
        match(name, "Corvus corax")
    assert raised.value.service == "gbif"


def test_a_name_without_a_letter_is_refused_and_the_others_are_not(either: Gbif, match: Match) -> None:
    answers = match("42", "Corvus corax", "Corvus cornix")
    assert isinstance(answers["42"], Failed)
    assert isinstance(answers["Corvus corax"], Done) and isinstance(answers["Corvus cornix"], Done)


def test_a_spelling_is_asked_and_not_the_item_it_became(either: Gbif, match: Match) -> None:
    found = values(match("Sabethes shannoni", "x", raw=["Sabethes (Peytonulus) shannoni"])["Sabethes shannoni"])
    assert found["subgenus"] == "Peytonulus"


def test_an_answer_says_which_release_it_came_from(either: Gbif, match: Match) -> None:
    answer = match("Corvus corax", "Mergus merganser")["Corvus corax"]
    assert isinstance(answer, Done)
    assert answer.source_version == "314774/2026-06-12T09:14:03.512Z"
    match("Corvus cornix", "Corvus corone")
    assert [each.path for each in either.requests].count(f"{MATCH}/metadata") == 1


@pytest.mark.parametrize("fault", ["500", "error body with 200", "HTML with 200"])
def test_a_release_that_is_not_told_is_a_failure_of_the_service(gbif: Gbif, match: Match, fault: str) -> None:
    gbif.faults.append(FAULTS[fault])
    with pytest.raises(ServiceError, match=f"{MATCH}/metadata"):
        match("Corvus corax")


def asked(gbif: Gbif) -> list[str]:
    return [each.method for each in gbif.requests if each.path == MATCH]


def test_a_batch_is_one_request_and_what_is_asked_again_is_one_more(gbif: Gbif, match: Match) -> None:
    match("Corvus corax", "Mergus merganser", "Zizania latifolia")
    assert asked(gbif) == ["POST"]
    match("Elytrigia repens (L.) Desv.", "Elytrigia repens Desv.", "Corvus corax")
    assert asked(gbif) == ["POST", "POST", "POST"]


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_service_without_batches_is_asked_for_one_once(gbif: Gbif, match: Match, status: int) -> None:
    gbif.batches = status
    match("Corvus corax", "Mergus merganser")
    match("Corvus corax", "Mergus merganser")
    assert asked(gbif) == ["POST", "GET", "GET", "GET", "GET"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda answers: answers[1:],
        lambda answers: [*answers, answers[0]],
        lambda answers: {"message": "what"},
        lambda answers: [answers[1], answers[0], *answers[2:]],
    ],
    ids=["too few", "too many", "no array", "in another order"],
)
def test_a_batch_that_is_no_answer_to_what_was_asked_is_asked_one_by_one(
    gbif: Gbif, match: Match, wrong: Callable[[list[Any]], Any]
) -> None:
    gbif.batches = wrong
    found = match("Corvus corax", "Mergus merganser", "Aso")
    assert asked(gbif) == ["POST", "GET", "GET", "GET"]
    assert {name: values(answer)["taxon_key"] for name, answer in found.items()} == {
        "Corvus corax": by_rule({"scientificName": "Corvus corax"})["usage"]["key"],
        "Mergus merganser": "73KYF",
        "Aso": None,
    }


def test_of_a_batch_only_what_is_no_match_is_asked_alone(gbif: Gbif, match: Match) -> None:
    gbif.batches = lambda answers: [{"message": "what"}, *answers[1:]]
    found = match("Mergus merganser", "Corvus corax", "Aso")
    assert asked(gbif) == ["POST", "GET"]
    assert values(found["Mergus merganser"])["taxon_key"] == "73KYF"


def test_one_name_is_no_batch(gbif: Gbif, match: Match) -> None:
    match("Corvus corax")
    assert asked(gbif) == ["GET"]


def test_more_names_than_a_batch_takes_are_several(gbif: Gbif, match: Match) -> None:
    names = [f"Avis {'a' * (number // 26)}{chr(97 + number % 26)}" for number in range(1001 + 25)]
    assert len(match(*names)) == len(set(names)) == 1026
    assert asked(gbif) == ["POST", "POST"]


def test_at_most_four_are_asked_at_a_time(gbif: Gbif, match: Match) -> None:
    gbif.batches = 405
    now, most = [0], [0]
    answer = gbif.answer

    def slowly(request: Any) -> Any:
        now[0] += 1
        most[0] = max(most[0], now[0])
        time.sleep(0.02)
        now[0] -= 1
        return answer(request)

    gbif.answer = slowly
    match(*[f"Avis {chr(97 + number)}" for number in range(20)])
    assert 2 <= most[0] <= 4


def refuses(gbif: Gbif, status: int) -> None:
    """All but what it says of its release."""
    answer = gbif.answer
    refusal = Reply(status, {"message": "no"})
    gbif.answer = lambda request: answer(request) if request.path.endswith("metadata") else refusal


def test_a_name_that_cannot_be_read_is_dead(gbif: Gbif, match: Match) -> None:
    refuses(gbif, 400)
    answer = match("Corvus corax")["Corvus corax"]
    assert isinstance(answer, Failed) and answer.why == "gbif answers 400: {'message': 'no'}"


def test_a_service_that_has_gone_kills_no_name(gbif: Gbif, match: Match) -> None:
    refuses(gbif, 410)
    with pytest.raises(ServiceError, match="answers 410"):
        match("Corvus corax")
