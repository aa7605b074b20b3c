"""CONTRIBUTING's "where is ...": every place that it names is there."""

from __future__ import annotations

import re

from dev.environment import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WHERE = TEXT[TEXT.index("## Where is") : TEXT.index("## Add a table")]
ANSWERS = re.findall(r"^\| [^|]+ \| (.*`.*) \|$", WHERE, re.MULTILINE)
PLACES = [place for answer in ANSWERS for place in re.findall(r"`([^`]+)`", answer)]


def test_questions_are_answered_by_places_that_exist() -> None:
    assert len(ANSWERS) == 31
    assert [place for place in PLACES if not (ROOT / place).exists()] == []


def test_every_wing_is_the_answer_to_a_question() -> None:
    library = ROOT / "include" / "sluiceway"
    wings = {path.parent.name for path in library.glob("*/__init__.py")} - {"triggers"}
    assert wings == {place.split("/")[2] for place in PLACES}
