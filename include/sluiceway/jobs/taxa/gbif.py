"""Scientific names matched against GBIF's Catalogue of Life XR, species/match v2.

https://techdocs.gbif.org/en/openapi/v1/species: keys are text, and a confidence does not say whether there is a match.
A batch is an array of up to 1,000 NameUsageQuery, answered in its order, since September 2026 (gbif/gbif-api#227).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NamedTuple, TypeGuard

from sluiceway.jobs.ask import Asker
from sluiceway.jobs.definition import Answer, Done, Failed, Results, Service, Waiting
from sluiceway.jobs.items import Item
from sluiceway.jobs.taxa.names import Name, parse

CHECKLIST = "7ddf754f-d193-4cc9-b351-99906754a03b"
"""Catalogue of Life XR; without it GBIF answers from the backbone that it froze in August 2023."""
MATCH = "/v2/species/match"
MOST_AT_ONCE = 1000
"""Names of one batch."""
BATCHES, VERSION = "batches", "version"
"""What an asker knows of the service."""
_NO_BATCHES = frozenset({404, 405, 501})
_UNREADABLE = frozenset({400, 414, 422})
"""It is the name that cannot be asked; any other refusal is the service's."""
NONE_AGAIN = timedelta(days=90)
GBIF = Service(name="gbif", url="https://api.gbif.org", connection="gbif", per_second=10, at_once=4)
TAXA = Results(
    table="taxon",
    key="name",
    columns={
        "state": "text",
        "taxon_key": "text",
        "accepted_key": "text",
        "scientific_name": "text",
        "canonical_name": "text",
        "rank": "text",
        "status": "text",
        "classification": "jsonb",
        "confidence": "integer",
        "match_type": "text",
        "qualifier": "text",
        "subgenus": "text",
        "author_dropped": "boolean",
        "answer": "jsonb",
    },
    comment="Names matched by GBIF (gbif.org) against the Catalogue of Life XR",
    public=(
        "state",
        "taxon_key",
        "accepted_key",
        "scientific_name",
        "canonical_name",
        "rank",
        "status",
        "classification",
        "confidence",
        "match_type",
    ),
)
_CLASSES = ("KINGDOM", "PHYLUM", "CLASS")


class Match(NamedTuple):
    """What became of a name."""

    state: str
    """resolved, genus_only, synonym, uncertain, ambiguous or none."""
    usage: Mapping[str, Any] | None
    accepted: Mapping[str, Any] | None = None


class Question(NamedTuple):
    """What is asked of a name."""

    item: str
    name: Name
    author: bool
    """Whether the authorship is asked with it."""
    hints: Mapping[str, str]
    """By rank, where the source states it."""
    before: Mapping[str, Any] | None = None
    """What the hints found, which stays where the name is not found without them either."""


def match(batch: Sequence[Item], *, ask: Asker) -> Iterator[Answer]:
    """Match each item's name against the Catalogue of Life XR.

    Up to 1,000 names are asked at once. Where the service refuses that, or what it answers is no answer to what was
    asked, they are asked one by one, as many at a time as the service is asked at once.

    :param batch: items; an input may hold `name` or `raw`, a list of spellings (else the item is the name), and
        `kingdom` and `class`, where the source states them.
    :raises ServiceError: GBIF fails, or answers 200 with no match.
    """
    version = source_version(ask)
    left: list[Question] = []
    for item in batch:
        try:
            left.append(_question(item))
        except ValueError as error:
            yield Failed(item.item, str(error))
    alone: list[Question] = []
    while left and ask.known.get(BATCHES, True):
        questions, left = left, []
        for question, document in zip(questions, _together(questions, ask), strict=True):
            if document is None:
                alone.append(question)
            elif again := _asked_again(question, document):
                left.append(again)
            else:
                yield _answer(question, document, version)
    with ThreadPoolExecutor(ask.service.at_once, "gbif") as threads:
        yield from threads.map(lambda question: _alone(question, ask, version), [*alone, *left])


def decide(item: Item, key: str, so_far: Mapping[str, Any]) -> Done:
    """What a person's key makes of a name that may be any of several.

    :param so_far: the row of TAXA, whose `answer` has the alternatives.
    :raises ValueError: the key is none of theirs; names them.
    """
    alternatives = (so_far.get("answer") or {}).get("diagnostics", {}).get("alternatives") or []
    found = {str(each["usage"]["key"]): each for each in alternatives if (each.get("usage") or {}).get("key")}
    if key not in found:
        known = ", ".join(f"{name} ({each['usage'].get('name')})" for name, each in found.items())
        raise ValueError(f"{key!r} is none of its alternatives: {known or 'it has none'}")
    chosen = found[key]
    usage, accepted = chosen["usage"], chosen.get("acceptedUsage")
    values = {
        "state": "synonym" if accepted else "resolved",
        "taxon_key": key,
        "accepted_key": (accepted or {}).get("key"),
        "scientific_name": usage.get("name"),
        "canonical_name": usage.get("canonicalName"),
        "rank": usage.get("rank"),
        "status": usage.get("status"),
        "classification": chosen.get("classification"),
        "confidence": (chosen.get("diagnostics") or {}).get("confidence"),
        "match_type": "DECIDED",
    }
    return Done(item.item, {**so_far, **values})


def source_version(ask: Asker) -> str:
    """Which release of the checklist GBIF answers from, `<ChecklistBank's dataset>/<when its index was built>`.

    Asked once in the life of a lane. Which software answers is no part of it.

    :raises ServiceError: GBIF fails, or does not say it.
    """
    if VERSION not in ask.known:
        ask.known[VERSION] = release(ask).version
    return str(ask.known[VERSION])


class Release(NamedTuple):
    """A release of the checklist."""

    version: str
    created: str
    """As GBIF writes it."""
    software: str | None
    """The commit of the service that answers."""


def release(ask: Asker) -> Release:
    """What GBIF answers from now; see `source_version`."""
    reply = ask.get(f"{MATCH}/metadata", {"checklistKey": CHECKLIST})
    document = reply.document if isinstance(reply.document, dict) else {}
    dataset, created = (document.get("mainIndex") or {}).get("clbDatasetKey"), document.get("created")
    if reply.status >= 400 or not dataset or not created:
        raise ask.fails(f"{MATCH}/metadata answers {reply.status} with no release: {str(reply.document)[:200]}")
    return Release(f"{dataset}/{created}", str(created), (document.get("buildInfo") or {}).get("sha"))


def _question(item: Item) -> Question:
    """Raises ValueError when the item holds no name."""
    raw = item.input.get("raw") or [item.item]
    name = parse(str(item.input.get("name") or raw[0]))
    hints = {rank: str(item.input[rank]) for rank in ("kingdom", "class") if item.input.get(rank)}
    return Question(item.item, name, name.authorship is not None, hints)


def _asked_again(question: Question, document: Mapping[str, Any]) -> Question | None:
    """The same without its authorship, or without a hint that misleads, where that may find more."""
    is_nothing = _type(document) == "NONE"
    if question.author and is_nothing:
        return question._replace(author=False)
    if question.hints and (is_nothing or not _agrees(document, question.hints)):
        return question._replace(hints={})
    if question.hints and not _is_found(question, document):
        # a genus of the kingdom that the source states, while the species may stand in another one
        return question._replace(hints={}, before=document)
    return None


def _is_found(question: Question, document: Mapping[str, Any]) -> bool:
    """Whether it is the name that was asked, and not only something above it."""
    return _type(document) != "HIGHERRANK" or _canonical(document.get("usage")) == question.name.asked


def _answer(question: Question, document: Mapping[str, Any], version: str) -> Answer:
    name = question.name
    if question.before is not None and (_type(document) == "NONE" or not _is_found(question, document)):
        document = question.before
    found = judge(name, document)
    dropped = name.authorship is not None and not question.author
    values = _values(name, found, document, dropped=dropped)
    if found.state == "ambiguous":
        return Waiting(question.item, f"{name.asked} may be any of several that are equal: {_told(document)}", values)
    again_in = NONE_AGAIN if found.state == "none" else None
    return Done(question.item, values, again_in=again_in, source_version=version)


def _told(document: Mapping[str, Any]) -> str:
    """The alternatives as a person chooses among them: key, name, and where it stands."""
    told = []
    for each in document["diagnostics"].get("alternatives") or []:
        usage = each.get("usage") or {}
        above = ", ".join(str(rank["name"]) for rank in each.get("classification") or [] if rank["rank"] in _CLASSES)
        told.append(f"{usage.get('key')} ({usage.get('name')}{f'; {above}' if above else ''})")
    return ", ".join(told)


def _together(questions: Sequence[Question], ask: Asker) -> list[Mapping[str, Any] | None]:
    """The answers to a batch, in its order; None for what is to be asked alone."""
    answers: list[Mapping[str, Any] | None] = []
    for start in range(0, len(questions), MOST_AT_ONCE):
        answers += _of_post(questions[start : start + MOST_AT_ONCE], ask)
    return answers


def _of_post(questions: Sequence[Question], ask: Asker) -> list[Mapping[str, Any] | None]:
    nobody: list[Mapping[str, Any] | None] = [None] * len(questions)
    if len(questions) == 1 or not ask.known.get(BATCHES, True):
        return nobody
    reply = ask.post(MATCH, [_query(each) for each in questions], {"checklistKey": CHECKLIST})
    if reply.status in _NO_BATCHES:
        ask.known[BATCHES] = False
    if reply.status >= 400 or not isinstance(reply.document, list) or len(reply.document) != len(questions):
        return nobody
    if any(_is_of_another(question, each) for question, each in zip(questions, reply.document, strict=True)):
        return nobody
    return [each if _is_match(each) else None for each in reply.document]


def _query(question: Question) -> dict[str, Any]:
    """One question of a batch, in the names of the service's NameUsageQuery, which are not those of a GET."""
    hints = question.hints
    above = {"kingdom": hints.get("kingdom"), "clazz": hints.get("class")}
    author = {"authorship": question.name.authorship} if question.author else {}
    return {
        "scientificName": question.name.asked,
        **author,
        "classification": {name: value for name, value in above.items() if value},
        "exclude": [],
        "strict": False,
        "verbose": True,
    }


def _is_of_another(question: Question, document: object) -> bool:
    """Whether an exact match is one of another name: then the answers are not in the order of the questions."""
    if not _is_match(document) or _type(document) != "EXACT":
        return False
    canonical = _canonical(document.get("usage"))
    return canonical is not None and _letters(canonical) != _letters(question.name.asked)


def _letters(name: str) -> str:
    return "".join(each for each in name.casefold() if each.isalpha())


def _alone(question: Question, ask: Asker, version: str) -> Answer:
    while True:
        name = question.name
        params: dict[str, str | bool] = {"scientificName": name.asked, "checklistKey": CHECKLIST, "verbose": True}
        author = {"scientificNameAuthorship": name.authorship} if question.author and name.authorship else {}
        reply = ask.get(MATCH, params | author | dict(question.hints))
        if reply.status in _UNREADABLE:
            return Failed(question.item, f"gbif answers {reply.status}: {str(reply.document)[:200]}")
        if reply.status >= 400 or not _is_match(reply.document):
            raise ask.fails(f"{MATCH} answers {reply.status} with no match: {str(reply.document)[:200]}")
        again = _asked_again(question, reply.document)
        if again is None:
            return _answer(question, reply.document, version)
        question = again


def _is_match(document: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether it is an answer at all: GBIF also says with 200 that it does not support something."""
    if not isinstance(document, dict) or not isinstance(document.get("diagnostics"), dict):
        return False
    return "matchType" in document["diagnostics"]


def _type(document: Mapping[str, Any]) -> str:
    return str(document["diagnostics"]["matchType"])


def _agrees(document: Mapping[str, Any], hints: Mapping[str, str]) -> bool:
    """Whether what was found is of the class that the source states; a hint of another name's kingdom misleads."""
    found = {each["rank"]: each["name"] for each in document.get("classification") or [] if each["rank"] in _CLASSES}
    return all(found.get(rank.upper(), value).casefold() == value.casefold() for rank, value in hints.items())


def judge(name: Name, document: Mapping[str, Any]) -> Match:
    """What an answer says of a name: by the type of the match and never by its confidence."""
    usage, kind = document.get("usage"), _type(document)
    alternatives = document["diagnostics"].get("alternatives") or []
    if kind == "NONE" or usage is None:
        equal = [each for each in alternatives if _canonical(each.get("usage")) == name.asked]
        return Match("ambiguous" if len(equal) > 1 else "none", None)
    is_the_question = _canonical(usage) == name.asked
    if kind == "HIGHERRANK" and not is_the_question:
        is_genus = usage.get("rank") == "GENUS" and _canonical(usage) == name.asked.split(" ")[0]
        return Match("genus_only", usage) if is_genus else Match("none", None)
    if kind == "VARIANT" and " " not in name.asked:
        # a single word that is nearly another one is the name of anything
        return Match("none", None)
    usage = _accepted_of_equals(usage, alternatives, document["diagnostics"].get("confidence"))
    accepted = document.get("acceptedUsage")
    if name.qualifier is not None:
        is_genus = name.qualifier.rstrip(".") in {"sp", "spp", "species", "indet", "gen"}
        return Match("genus_only" if is_genus else "uncertain", usage, accepted)
    if accepted is not None and document.get("synonym", True):
        return Match("synonym", usage, accepted)
    return Match("resolved", usage)


def _accepted_of_equals(
    usage: Mapping[str, Any], alternatives: Sequence[Mapping[str, Any]], confidence: int | None
) -> Mapping[str, Any]:
    """Of two that are alike and equally sure, the one that is accepted."""
    if usage.get("status") == "ACCEPTED":
        return usage
    for each in alternatives:
        other = each.get("usage") or {}
        is_as_sure = (each.get("diagnostics") or {}).get("confidence") == confidence
        if other.get("status") == "ACCEPTED" and is_as_sure and _canonical(other) == _canonical(usage):
            return other
    return usage


def _canonical(usage: Mapping[str, Any] | None) -> str | None:
    return usage.get("canonicalName") if usage else None


def _values(name: Name, found: Match, document: Mapping[str, Any], *, dropped: bool) -> dict[str, Any]:
    usage = found.usage or {}
    return {
        "state": found.state,
        "taxon_key": usage.get("key"),
        "accepted_key": (found.accepted or {}).get("key"),
        "scientific_name": usage.get("name"),
        "canonical_name": usage.get("canonicalName"),
        "rank": usage.get("rank"),
        "status": usage.get("status"),
        "classification": document.get("classification"),
        "confidence": document["diagnostics"].get("confidence"),
        "match_type": _type(document),
        "qualifier": name.qualifier,
        "subgenus": name.subgenus,
        "author_dropped": dropped,
        "answer": dict(document),
    }
