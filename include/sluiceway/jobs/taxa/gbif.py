"""Scientific names matched against GBIF's Catalogue of Life XR, species/match v2.

https://techdocs.gbif.org/en/openapi/v1/species: keys are text, and a confidence does not say whether there is a match.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NamedTuple

from sluiceway.jobs.ask import Asker, Reply
from sluiceway.jobs.definition import Answer, Done, Failed, Results, Service, Waiting
from sluiceway.jobs.errors import ServiceError
from sluiceway.jobs.items import Item
from sluiceway.jobs.taxa.names import Name, parse

CHECKLIST = "7ddf754f-d193-4cc9-b351-99906754a03b"
"""Catalogue of Life XR; without it GBIF answers from the backbone that it froze in August 2023."""
MATCH = "/v2/species/match"
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
)
_CLASSES = ("KINGDOM", "PHYLUM", "CLASS")


class Match(NamedTuple):
    """What became of a name."""

    state: str
    """resolved, genus_only, synonym, uncertain, ambiguous or none."""
    usage: Mapping[str, Any] | None
    accepted: Mapping[str, Any] | None = None


def match(batch: Sequence[Item], *, ask: Asker) -> Iterator[Answer]:
    """Match each item's name; its input may hold `name` (else the item is the name), `kingdom` and `class`."""
    with ThreadPoolExecutor(ask.service.at_once, "gbif") as threads:
        yield from threads.map(lambda item: _match_one(item, ask), batch)


def _match_one(item: Item, ask: Asker) -> Answer:
    try:
        name = parse(str(item.input.get("name") or item.item))
    except ValueError as error:
        return Failed(item.item, str(error))
    hints = {rank: str(item.input[rank]) for rank in ("kingdom", "class") if item.input.get(rank)}
    document, dropped = _asked(name, hints, ask)
    if isinstance(document, str):
        return Failed(item.item, document)
    found = judge(name, document)
    values = _values(name, found, document, dropped=dropped)
    if found.state == "ambiguous":
        return Waiting(item.item, f"{name.asked} may be any of several that are equal", values)
    return Done(item.item, values, again_in=NONE_AGAIN if found.state == "none" else None)


def _asked(name: Name, hints: Mapping[str, str], ask: Asker) -> tuple[Mapping[str, Any] | str, bool]:
    """The answer, and whether the authorship had to be left out for it; a text says why the name cannot be asked."""
    params: dict[str, str | int | bool] = {"scientificName": name.asked, "checklistKey": CHECKLIST, "verbose": True}
    author = {"scientificNameAuthorship": name.authorship} if name.authorship else {}
    document = _document(ask.get(MATCH, params | author | dict(hints)))
    dropped = False
    if not isinstance(document, str) and author and _type(document) == "NONE":
        document, dropped = _document(ask.get(MATCH, params | dict(hints))), True
    if not isinstance(document, str) and hints and (_type(document) == "NONE" or not _agrees(document, hints)):
        document = _document(ask.get(MATCH, params | ({} if dropped else author)))
    return document, dropped


def _document(reply: Reply) -> Mapping[str, Any] | str:
    """The match; raises ServiceError for a 200 that is none."""
    if reply.status >= 400:
        return f"gbif answers {reply.status}: {str(reply.document)[:200]}"
    if not isinstance(reply.document, dict) or "matchType" not in (reply.document.get("diagnostics") or {}):
        raise ServiceError(f"gbif answers {reply.status} with no match: {str(reply.document)[:200]}")
    return reply.document


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
