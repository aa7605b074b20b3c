"""GBIF's species/match v2, by GET and by POST of a batch, and the metadata of its index, as they were recorded.

Names are answered by rule, so that every list of names has the same answers for ever; NAMED are those that are known to
mislead.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.stand_ins.faults import serve
from tests.stand_ins.web_service import Reply, Request, WebService

CHECKLIST = "7ddf754f-d193-4cc9-b351-99906754a03b"
MATCH = "/v2/species/match"
LATIN29 = "23456789BCDFGHJKLMNPQRSTVWXYZ"
"""What keys of the Catalogue of Life are written in."""
MOST = 1000
"""Names of one batch."""
BIRDS = (("N", "Animalia", "KINGDOM"), ("CH2", "Chordata", "PHYLUM"), ("V2", "Aves", "CLASS"))
INSECTS = (("N", "Animalia", "KINGDOM"), ("RT", "Arthropoda", "PHYLUM"), ("H6", "Insecta", "CLASS"))
PLANTS = (("P", "Plantae", "KINGDOM"), ("TP", "Tracheophyta", "PHYLUM"), ("MG", "Magnoliopsida", "CLASS"))
Document = dict[str, Any]
Asked = Mapping[str, str]
_Ranks = tuple[tuple[str, str, str], ...]


def key_of(name: str) -> str:
    """A key of the Catalogue of Life's kind, always the same one for a name."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    letters = []
    for _ in range(5):
        number, rest = divmod(number, len(LATIN29))
        letters.append(LATIN29[rest])
    return "".join(letters)


def usage(name: str, key: str = "", rank: str = "", status: str = "ACCEPTED", author: str = "L.") -> Document:
    """A name as the checklist holds it."""
    ranks = {1: "GENUS", 2: "SPECIES", 3: "SUBSPECIES"}
    return {
        "key": key or key_of(name),
        "name": f"{name} {author}",
        "canonicalName": name,
        "authorship": author,
        "rank": rank or ranks[min(len(name.split(" ")), 3)],
        "code": "ZOOLOGICAL",
        "status": status,
        "type": "SCIENTIFIC",
        "formattedName": f"<i>{name}</i> {author}",
    }


def found(
    kind: str, what: Document | None = None, above: _Ranks = BIRDS, *, confidence: int | None = 99, **more: Any
) -> Document:
    """An answer."""
    alternatives = more.pop("alternatives", None)
    diagnostics = {"matchType": kind, "issues": [], "timeTaken": 2}
    diagnostics |= {} if confidence is None else {"confidence": confidence}
    diagnostics |= {} if alternatives is None else {"alternatives": alternatives}
    if what is None:
        return {"diagnostics": diagnostics, "synonym": False, **more}
    ranks = [*above, (what["key"], what["canonicalName"], what["rank"])]
    classification = [{"key": key, "name": name, "rank": rank} for key, name, rank in dict.fromkeys(ranks)]
    return {"usage": what, "classification": classification, "diagnostics": diagnostics, "synonym": False, **more}


def nothing(_asked: Asked | None = None, **more: Any) -> Document:
    """No match; it may be called a very sure one."""
    return found("NONE", confidence=100, **more)


def _oenanthe(asked: Asked) -> Document:
    bird = found("EXACT", usage("Oenanthe", "6DQS"), confidence=104)
    plant = found("EXACT", usage("Oenanthe", "6DQT"), PLANTS, confidence=104)
    above = {asked.get("kingdom"), asked.get("clazz")}
    if above & {"Animalia", "Aves"}:
        return bird
    return plant if above & {"Plantae", "Magnoliopsida"} else nothing(alternatives=[bird, plant])


def _calopteryx(asked: Asked) -> Document:
    if asked.get("kingdom") == "Plantae":
        return found("HIGHERRANK", usage("Calopteryx", "3234T", author="A.C.Sm."), PLANTS, confidence=90)
    return found("EXACT", usage("Calopteryx splendens", "Q9NB"), INSECTS)


def _agathis(asked: Asked) -> Document:
    if asked.get("clazz"):
        return found("VARIANT", usage("Agathis montanus", "9WASP"), INSECTS, confidence=91)
    return found("EXACT", usage("Agathis montana", "TREE2"), PLANTS)


def _pieris(asked: Asked) -> Document:
    return nothing() if asked.get("kingdom") else found("EXACT", usage("Pieris brassicae", "4JG2C"), INSECTS)


def _ignota(asked: Asked) -> Document:
    return found("HIGHERRANK", usage("Ignota", "3GNTT"), confidence=92) if asked.get("kingdom") else nothing()


def _elytrigia(asked: Asked) -> Document:
    if asked.get("authorship"):
        return nothing()
    return found("EXACT", usage("Elytrigia repens", "3BPWN", author="(L.) Desv. ex Nevski"), PLANTS)


def _zizania(_asked: Asked) -> Document:
    accepted = found("EXACT", usage("Zizania latifolia", "5CNN2"), PLANTS, confidence=98)
    doubtful = usage("Zizania latifolia", "5D4F3", status="PROVISIONALLY_ACCEPTED")
    return found("EXACT", doubtful, PLANTS, confidence=98, alternatives=[accepted])


def _anastrophyllum(_asked: Asked) -> Document:
    synonym = usage("Anastrophyllum minutum", "5VCLR", status="SYNONYM")
    return found("EXACT", synonym, PLANTS, acceptedUsage=usage("Sphenolobus minutus", "6WXYZ")) | {"synonym": True}


NAMED: Mapping[str, Callable[[Asked], Any]] = {
    "Aso": nothing,
    "Xysticus": lambda _: found("EXACT", usage("Xysticus", "8V3B"), INSECTS[:1]),
    "Xysticus nobody": lambda _: found("HIGHERRANK", usage("Xysticus", "8V3B"), INSECTS[:1]),
    "Aves": lambda _: found("HIGHERRANK", usage("Aves", "V2", "CLASS"), confidence=94),
    "Calopteryx splendens": _calopteryx,
    "Agathis montana": _agathis,
    "Pieris brassicae": _pieris,
    "Ignota nemo": _ignota,
    "Oenanthe": _oenanthe,
    "Elytrigia repens": _elytrigia,
    "Medicago x varia": nothing,
    "Medicago \u00d7varia": nothing,
    "Medicago \u00d7 varia": lambda _: found("EXACT", usage("Medicago \u00d7 varia", "3YNQS", "SPECIES"), PLANTS),
    "Sabethes shannoni": lambda _: found("EXACT", usage("Sabethes shannoni", "4T1"), INSECTS),
    "Boloria chariclea": lambda _: found("EXACT", usage("Boloria chariclea", "MT1"), INSECTS),
    "Lepetodrilus schrolli": lambda _: found("EXACT", usage("Lepetodrilus schrolli", "3TY"), INSECTS[:1]),
    "Mergus merganser": lambda _: found("EXACT", usage("Mergus merganser", "73KYF")),
    "Anastrophyllum minutum": _anastrophyllum,
    "Zizania latifolia": _zizania,
    "Fungi": lambda _: found("VARIANT", usage("Fungia", "4D", "GENUS"), INSECTS[:1], confidence=90),
    "Vetus backbone": lambda _: {"message": "Unable to support API v1 for this checklist. Please use v2."},
    "Vacua clavis": lambda _: {},
}
"""The names that mislead, and what the service says to each."""


def by_rule(asked: Asked) -> Any:
    """What any other name comes to: of a hundred about 93 are as they were asked, the others synonyms, or unknown."""
    name = asked.get("scientificName", "")
    if name in NAMED:
        return NAMED[name](asked)
    if not re.fullmatch(r"[A-Z][a-z-]+( [a-z-]+){0,2}", name):
        return nothing()
    share = int.from_bytes(hashlib.sha256(f"kind of {name}".encode()).digest()[:4]) % 100
    if share < 2:
        return nothing()
    if share < 3:
        equal = [found("EXACT", usage(name, key_of(f"{name} {number}")), confidence=104) for number in (1, 2)]
        return nothing(alternatives=equal)
    if share < 7:
        accepted = usage(f"Avis {key_of(name).lower().translate(str.maketrans('23456789', 'aeiouaei'))}")
        return found("EXACT", usage(name, status="SYNONYM"), acceptedUsage=accepted) | {"synonym": True}
    return found("EXACT", usage(name))


@dataclass
class Gbif(WebService):
    """GBIF; `batches` says what it does with a POST: a status, or what becomes of the array of its answers."""

    answer: Callable[[Request], Reply] = field(init=False)
    batches: int | Callable[[list[Any]], Any] = 200
    dataset: str = "314774"
    created: str = "2026-06-12T09:14:03.512Z"

    def __post_init__(self) -> None:
        self.answer = self._answer

    def _answer(self, request: Request) -> Reply:
        if request.path == f"{MATCH}/metadata":
            return Reply(200, self._metadata(request.params))
        if request.path != MATCH:
            return Reply(404, {"status": 404, "error": "Not Found", "path": request.path})
        if request.params.get("checklistKey") != CHECKLIST:
            # as it does: without a word from the backbone that was frozen in August 2023
            return Reply(200, found("EXACT", usage("Frozen backbone", "2435099")))
        if request.method == "POST":
            return self._batch(request)
        return Reply(200, by_rule(_of_params(request.params)))

    def _batch(self, request: Request) -> Reply:
        if isinstance(self.batches, int) and self.batches != 200:
            page = b"<html><body><h1>Error 405 Method Not Allowed. Only OPTIONS, HEAD and GET are allowed.</h1></body>"
            return Reply(self.batches, page, {"Content-Type": "text/html"})
        queries = json.loads(request.body)
        if not 0 < len(queries) <= MOST:
            return Reply(400, {"status": 400, "message": f"Too many queries provided, max {MOST}"})
        answers = [by_rule(_of_query(each)) for each in queries]
        return Reply(200, self.batches(answers) if callable(self.batches) else answers)

    def _metadata(self, params: Mapping[str, str]) -> Document:
        if params.get("checklistKey") != CHECKLIST:
            return {"created": "2023-08-28T00:00:00Z", "mainIndex": {"datasetTitle": "GBIF Backbone Taxonomy"}}
        index = {"clbDatasetKey": self.dataset, "datasetKey": CHECKLIST, "datasetTitle": "Catalogue of Life XR"}
        return {"created": self.created, "buildInfo": {"sha": "785318d"}, "mainIndex": index | {"nameUsageCount": 1}}


def _of_params(params: Mapping[str, str]) -> Asked:
    """A GET's question; two of its names are others in a batch."""
    return {**params, "authorship": params.get("scientificNameAuthorship", ""), "clazz": params.get("class", "")}


def _of_query(query: Mapping[str, Any]) -> Asked:
    """One question of a batch; what it does not know it ignores, as the service does."""
    known = {name: query.get(name) or "" for name in ("scientificName", "authorship")}
    above = query.get("classification") or {}
    return known | {rank: above.get(rank) or "" for rank in ("kingdom", "clazz")}


if __name__ == "__main__":
    serve(Gbif())
