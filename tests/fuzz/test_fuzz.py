"""A short run of `make fuzz`: the same inputs each time, so that a red one is a red one again."""

from __future__ import annotations

import pytest

from tests.fuzz.all_targets import TARGETS
from tests.fuzz.child import feeds

MOST = 25
SEED = 19


@pytest.mark.parametrize("name", TARGETS)
def test_a_hostile_input_is_read_or_refused_in_a_sentence(name: str) -> None:
    target = TARGETS[name]
    with target.opened() as feed:
        feeds(target, lambda content: target.try_one(feed, content), number=SEED, most=MOST)


@pytest.mark.parametrize("name", TARGETS)
def test_a_right_input_is_read(name: str) -> None:
    """Else every input would be refused before it is looked at."""
    target = TARGETS[name]
    with target.opened() as feed:
        for content in target.seeds():
            feed(content)
