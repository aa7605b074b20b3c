"""The conservation status of species, from the IUCN Red List v4: https://api.iucnredlist.org/api-docs.

Two requests a species. A species that is not assessed is a result. Nothing of the text of an assessment is kept: the
terms (https://www.iucnredlist.org/terms/terms-of-use) forbid to pass the data on, and ask for the citation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sluiceway.jobs.ask import Asker, Reply
from sluiceway.jobs.definition import Answer, Done, Failed, Results, Service
from sluiceway.jobs.items import Item

API = "/api/v4"
GLOBAL = "1"
"""The scope of an assessment that speaks of the species all over the world."""
NOT_ASSESSED_AGAIN = timedelta(days=180)
VERSION = "version"
"""What an asker knows of the service."""
IUCN = Service(
    name="iucn", url="https://api.iucnredlist.org", connection="iucn", needs=("token",), per_second=2, at_once=1
)
STATUS = Results(
    table="conservation_status",
    key="scientific_name",
    columns={
        "state": "text",
        "category_code": "text",
        "category": "text",
        "criteria": "text",
        "year_published": "integer",
        "assessment_date": "text",
        "assessment_id": "bigint",
        "sis_taxon_id": "bigint",
        "scopes": "jsonb",
        "population_trend": "text",
        "possibly_extinct": "boolean",
        "common_names": "jsonb",
        "url": "text",
        "citation": "text",
    },
    comment="IUCN Red List of Threatened Species. Its terms forbid redistribution, and commercial use without a "
    "licence: show nothing of this table to others but a link (url) with the citation.",
)


def status(batch: Sequence[Item], *, ask: Asker) -> Iterator[Answer]:
    """The newest global assessment of each species; an item is its name, genus and epithet.

    :raises ServiceError: the Red List fails.
    :raises JobSetupError: it refuses the token.
    """
    version = red_list_version(ask)
    for item in batch:
        yield _status_of(item.item, ask, version)


def red_list_version(ask: Asker) -> str:
    """The version of the Red List, such as `2026-1`; asked once in the life of a lane.

    :raises ServiceError: the Red List fails, or does not say it.
    """
    if VERSION not in ask.known:
        path = f"{API}/information/red_list_version"
        reply = ask.get(path)
        found = reply.document.get("red_list_version") if isinstance(reply.document, dict) else None
        if reply.status >= 400 or not found:
            raise ask.fails(f"{path} answers {reply.status} with no version: {str(reply.document)[:200]}")
        ask.known[VERSION] = str(found)
    return str(ask.known[VERSION])


def _status_of(name: str, ask: Asker, version: str) -> Answer:
    words = name.split(" ")
    if len(words) != 2:
        return Failed(name, f"{name!r} is no species: the Red List is asked for a genus and an epithet")
    path = f"{API}/taxa/scientific_name"
    reply = ask.get(path, {"genus_name": words[0], "species_name": words[1]})
    if reply.status == 400:
        return Failed(name, f"iucn answers 400: {str(reply.document)[:200]}")
    assessments = _read(reply, path, "assessments", ask).get("assessments") if reply.status != 404 else []
    chosen = choose(assessments or [])
    if chosen is None:
        return Done(name, {"state": "not_assessed"}, again_in=NOT_ASSESSED_AGAIN, source_version=version)
    path = f"{API}/assessment/{chosen['assessment_id']}"
    assessment = _read(ask.get(path), path, "red_list_category", ask)
    return Done(name, _values(assessment), source_version=version)


def _read(reply: Reply, path: str, expected: str, ask: Asker) -> Mapping[str, Any]:
    """The document of an answer that holds what it must; raises ServiceError for any other."""
    if reply.status >= 400 or not isinstance(reply.document, dict) or expected not in reply.document:
        raise ask.fails(f"{path} answers {reply.status} with no {expected}: {str(reply.document)[:200]}")
    return reply.document


def choose(assessments: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The assessment that counts: the latest; of several or none called so a global one, and of these the newest.

    :param assessments: of one species: `latest`, `scopes` [{code}], `year_published`, `assessment_id`.
    """
    latest = [each for each in assessments if each.get("latest")] or list(assessments)
    ranked = [each for each in latest if GLOBAL in _scope_codes(each)] or latest
    return max(ranked, key=lambda each: (_year(each) or 0, int(each["assessment_id"])), default=None)


def _scope_codes(assessment: Mapping[str, Any]) -> list[str]:
    return [str(each.get("code")) for each in assessment.get("scopes") or []]


def _year(assessment: Mapping[str, Any]) -> int | None:
    """It comes as text."""
    year = str(assessment.get("year_published") or "")
    return int(year) if year.isdecimal() else None


def _values(assessment: Mapping[str, Any]) -> dict[str, Any]:
    category = assessment["red_list_category"] or {}
    taxon = assessment.get("taxon") or {}
    return {
        "state": "assessed",
        "category_code": category.get("code"),
        "category": _english(category),
        "criteria": assessment.get("criteria"),
        "year_published": _year(assessment),
        "assessment_date": assessment.get("assessment_date"),
        "assessment_id": assessment.get("assessment_id"),
        "sis_taxon_id": assessment.get("sis_taxon_id") or taxon.get("sis_id"),
        "scopes": [{"code": str(each.get("code")), "name": _english(each)} for each in assessment.get("scopes") or []],
        "population_trend": _english(assessment.get("population_trend")),
        "possibly_extinct": assessment.get("possibly_extinct"),
        "common_names": [
            {"name": each.get("name"), "language": _language(each.get("language")), "main": bool(each.get("main"))}
            for each in taxon.get("common_names") or []
        ],
        "url": assessment.get("url"),
        "citation": assessment.get("citation"),
    }


def _english(coded: Mapping[str, Any] | None) -> str | None:
    described = (coded or {}).get("description") or {}
    return described.get("en") if isinstance(described, dict) else str(described)


def _language(language: Mapping[str, Any] | str | None) -> str | None:
    """The code; it was an object until 2025, and is a text since."""
    return language.get("code") if isinstance(language, Mapping) else language
