"""Where a load was is told as long as that is so, and also by a process that has died since."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sluiceway.load import whereabouts


@pytest.fixture(autouse=True)
def _nothing_before() -> Iterator[None]:
    whereabouts.forget()
    yield
    whereabouts.forget()


def test_what_was_read_and_is_in_hand_is_told_until_it_is_let_go() -> None:
    assert whereabouts.told() == ""
    whereabouts.has_read(1500)
    read = " It had read 1,500 rows, and was to read on or to write."
    assert whereabouts.told() == read
    whereabouts.takes_in_hand(501, 1000)
    assert whereabouts.told() == " It had rows 501 to 1,000 in hand, and had read 1,500."
    whereabouts.lets_go()
    assert whereabouts.told() == read
    whereabouts.forget()
    assert whereabouts.told() == ""


def test_the_process_that_was_forked_from_is_told() -> None:
    if not (pid := os.fork()):
        whereabouts.has_read(7)
        os._exit(0)
    os.waitpid(pid, 0)
    assert whereabouts.told().startswith(" It had read 7 rows")
