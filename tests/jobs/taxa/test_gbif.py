"""What GBIF's answers mean: each of them has misled somebody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sluiceway.jobs.taxa.gbif import judge
from sluiceway.jobs.taxa.names import parse

Document = Mapping[str, Any]


def usage(name: str, key: str, rank: str = "SPECIES", status: str = "ACCEPTED") -> dict[str, Any]:
    return {"key": key, "name": f"{name} Author, 1900", "canonicalName": name, "rank": rank, "status": status}


def answer(kind: str, found: Document | None = None, confidence: int = 99, **more: Any) -> dict[str, Any]:
    alternatives = more.pop("alternatives", [])
    diagnostics = {"matchType": kind, "confidence": confidence, "alternatives": alternatives}
    return {**({"usage": found} if found else {}), "diagnostics": diagnostics, "synonym": False, **more}


PROVISIONAL = "PROVISIONALLY_ACCEPTED"
RIGHT = [
    ("Aso", answer("NONE", confidence=100), "none", None),
    ("Xysticus sp.", answer("HIGHERRANK", usage("Xysticus", "8V3B", "GENUS")), "genus_only", "8V3B"),
    ("Xysticus nobody", answer("HIGHERRANK", usage("Xysticus", "8V3B", "GENUS")), "genus_only", "8V3B"),
    ("Nobody nobody", answer("HIGHERRANK", usage("Animalia", "N", "KINGDOM")), "none", None),
    ("Aves", answer("HIGHERRANK", usage("Aves", "V2", "CLASS"), confidence=94), "resolved", "V2"),
    (
        "Oenanthe",
        answer(
            "NONE",
            alternatives=[answer("EXACT", usage("Oenanthe", key, "GENUS")) for key in ("6DQS", "6DQT")],
        ),
        "ambiguous",
        None,
    ),
    ("Medicago x varia", answer("EXACT", usage("Medicago \u00d7 varia", "3YNQS")), "resolved", "3YNQS"),
    ("Sabethes (Peytonulus) shannoni", answer("EXACT", usage("Sabethes shannoni", "4T1")), "resolved", "4T1"),
    ("Boloria cf. chariclea", answer("EXACT", usage("Boloria chariclea", "MT1")), "uncertain", "MT1"),
    ("Lepetodrilus aff. schrolli", answer("EXACT", usage("Lepetodrilus schrolli", "3TY")), "uncertain", "3TY"),
    ("Mergus\u00a0merganser", answer("EXACT", usage("Mergus merganser", "73KYF")), "resolved", "73KYF"),
    ("MERGUS MERGANSER", answer("EXACT", usage("Mergus merganser", "73KYF")), "resolved", "73KYF"),
    (
        "Anastrophyllum minutum",
        answer(
            "EXACT",
            usage("Anastrophyllum minutum", "5V", status="SYNONYM"),
            synonym=True,
            acceptedUsage=usage("Sphenolobus minutus", "6W"),
        ),
        "synonym",
        "5V",
    ),
    (
        "Zizania latifolia",
        answer(
            "EXACT",
            usage("Zizania latifolia", "5D", status=PROVISIONAL),
            alternatives=[answer("EXACT", usage("Zizania latifolia", "5C"))],
        ),
        "resolved",
        "5C",
    ),
    ("Fungi", answer("VARIANT", usage("Fungia", "4D", "GENUS")), "none", None),
]


@pytest.mark.parametrize(("text", "document", "state", "key"), RIGHT, ids=[f"{row[0]}-{row[2]}" for row in RIGHT])
def test_an_answer_is_judged_by_what_was_asked(text: str, document: Document, state: str, key: str | None) -> None:
    found = judge(parse(text), document)
    assert (found.state, (found.usage or {}).get("key")) == (state, key)


def test_both_ids_of_a_synonym_are_kept() -> None:
    document = next(row[1] for row in RIGHT if row[2] == "synonym")
    found = judge(parse("Anastrophyllum minutum"), document)
    assert found.accepted is not None and found.accepted["key"] == "6W"


@pytest.mark.parametrize(
    "text", ["Mergus\u00a0merganser", "MERGUS MERGANSER", "Mergus  merganser", "Mergus merganser\u200b"]
)
def test_spellings_of_one_name_are_one_item(text: str) -> None:
    assert parse(text).item == "Mergus merganser"


def test_a_letter_and_its_accent_are_one_letter() -> None:
    assert parse("Aloe\u0301 vera").item == parse("Alo\u00e9 vera").item


def test_authorship_is_asked_apart() -> None:
    name = parse("Elytrigia repens (L.) Desv. & Nevski")
    assert (name.asked, name.authorship) == ("Elytrigia repens", "(L.) Desv. & Nevski")
