"""CONTRIBUTING's "where is ..." and the README's folders: what they name is there, and every wing is named."""

from __future__ import annotations

import re

from dev.environment import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WHERE = TEXT[TEXT.index("## Where is") : TEXT.index("## Add a table")]
ANSWERS = re.findall(r"^\| [^|]+ \| (.*`.*) \|$", WHERE, re.MULTILINE)
PLACES = [place for answer in ANSWERS for place in re.findall(r"`([^`]+)`", answer)]
LIBRARY = ROOT / "include" / "sluiceway"
WINGS = {path.parent.name for path in LIBRARY.glob("*/__init__.py")} - {"triggers"}
README = (ROOT / "README.md").read_text(encoding="utf-8")
FOLDERS = re.search(r"^include/sluiceway/\n((?:  .+\n)+)", README, re.MULTILINE)


def test_questions_are_answered_by_places_that_exist() -> None:
    assert len(ANSWERS) == 32
    assert [place for place in PLACES if not (ROOT / place).exists()] == []


def test_every_wing_is_the_answer_to_a_question() -> None:
    assert {place.split("/")[2] for place in PLACES} == WINGS


def test_the_readme_says_of_every_wing_what_it_is() -> None:
    assert FOLDERS is not None
    assert set(re.findall(r"(\w+)/ +\w", FOLDERS[1])) == WINGS
