"""The IUCN Red List v4, as it was recorded: what is assessed by name, each assessment by its id, and the version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.stand_ins.faults import serve
from tests.stand_ins.web_service import Reply, Request, WebService

TOKEN = "red-list-token"
API = "/api/v4"
CATEGORIES = {"LC": "Least Concern", "NT": "Near Threatened", "VU": "Vulnerable", "EN": "Endangered"}
SCOPES = {"1": "Global", "2": "Europe", "15": "Mediterranean"}


@dataclass
class Assessed:
    """One assessment of one species."""

    id: int
    year: str
    category: str = "LC"
    latest: bool = True
    scopes: tuple[str, ...] = ("1",)
    language: Any = field(default_factory=lambda: {"code": "eng", "description": {"en": "English"}})
    """An object until 2025, a text since."""

    def summary(self) -> dict[str, Any]:
        """As the list of a species has it."""
        return {
            "year_published": self.year,
            "latest": self.latest,
            "sis_taxon_id": 22694927,
            "url": f"https://www.iucnredlist.org/species/22694927/{self.id}",
            "assessment_id": self.id,
            "scopes": [{"description": {"en": SCOPES[code]}, "code": code} for code in self.scopes],
        }

    def whole(self, name: str) -> dict[str, Any]:
        """As it is told by its id, which is long."""
        common = [
            {"main": False, "name": "Puffin", "language": self.language},
            {"main": True, "name": "Atlantic Puffin", "language": self.language},
        ]
        return {
            **self.summary(),
            "assessment_date": f"{self.year}-12-18T00:00:00.000Z",
            "possibly_extinct": False,
            "possibly_extinct_in_the_wild": False,
            "criteria": None if self.category == "LC" else "A2abcde+4abcde",
            "citation": f"BirdLife International {self.year}. {name}. e.T22694927A{self.id}.",
            "taxon": {"sis_id": 22694927, "scientific_name": name, "common_names": common, "synonyms": []},
            "population_trend": {"description": {"en": "Decreasing"}, "code": "1"},
            "red_list_category": {
                "version": "3.1",
                "description": {"en": CATEGORIES[self.category]},
                "code": self.category,
            },
            "documentation": {"range": "The species can be found throughout the North Atlantic Ocean."},
        }


def by_rule(name: str) -> list[Assessed]:
    """What a species that nobody has named comes to: one in ten is not assessed."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4])
    category = list(CATEGORIES)[number % len(CATEGORIES)]
    return [Assessed(number, "2021", category)] if number % 10 else []


@dataclass
class Iucn(WebService):
    """The Red List; `species` says what is known of a name, else a rule does."""

    answer: Callable[[Request], Reply] = field(init=False)
    species: dict[str, list[Assessed]] = field(default_factory=dict)
    version: str = "2026-1"
    told: dict[int, tuple[str, Assessed]] = field(default_factory=dict)
    """Assessments that a list has named."""

    def __post_init__(self) -> None:
        self.answer = self._answer

    def _answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != TOKEN:
            return Reply(401, {"error": "Unauthorized"})
        path = request.path.removeprefix(API)
        if path == "/information/red_list_version":
            return Reply(200, {"red_list_version": self.version})
        if path == "/taxa/scientific_name":
            return self._taxon(" ".join(request.params.get(part, "") for part in ("genus_name", "species_name")))
        if path.startswith("/assessment/") and (found := self.told.get(int(path.rpartition("/")[2]))):
            return Reply(200, found[1].whole(found[0]))
        return Reply(404, {"error": "Not found"})

    def _taxon(self, name: str) -> Reply:
        known = self.species.get(name, by_rule(name))
        if not known and name not in self.species:
            return Reply(404, {"error": "Not found"})
        self.told |= {each.id: (name, each) for each in known}
        taxon = {"sis_id": 22694927, "scientific_name": name, "common_names": []}
        return Reply(200, {"taxon": taxon, "assessments": [each.summary() for each in known]})


if __name__ == "__main__":
    serve(Iucn())
