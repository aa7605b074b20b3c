"""Feeds one target for a while, in a process that may die of it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, Phase, example, given, seed, settings

from tests.fuzz.all_targets import TARGETS
from tests.fuzz.mutations import mutated
from tests.fuzz.target import Target

AT_ONCE = 50
"""Inputs of one seed."""


def feeds(target: Target, feed: Callable[[bytes], None], *, number: int, most: int) -> None:
    """Feed the kept inputs and `most` others of that seed; raises what the first wrong one raises."""

    @settings(
        max_examples=most,
        database=None,
        deadline=None,
        # the search for a smaller one takes minutes, and the input is kept as it is
        phases=[Phase.explicit, Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @seed(number)
    @given(mutated(list(target.seeds()), target.words))
    def run(content: bytes) -> None:
        feed(content)

    for kept in target.kept():
        run = example(kept)(run)
    run()


def main() -> int:
    """Feed until the time is over, or an input is answered wrongly, which ends in a traceback."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--current", type=Path, required=True, help="where the input stands that is tried")
    parser.add_argument("--tried", type=Path, required=True, help="where it is written how many were tried")
    arguments = parser.parse_args()
    target, tried, number = TARGETS[arguments.target], 0, arguments.seed
    with target.opened() as feed:

        def kept_before(content: bytes) -> None:
            nonlocal tried
            tried += 1
            # a process that dies says nothing more
            arguments.current.write_bytes(content)
            try:
                target.try_one(feed, content)
            finally:
                # answered: what takes time now is what hypothesis tells of it
                os.utime(arguments.current, (0, 0))

        _begun()
        end = time.monotonic() + arguments.seconds
        try:
            while time.monotonic() < end:
                feeds(target, kept_before, number=number, most=AT_ONCE)
                number += 1
        finally:
            arguments.tried.write_text(str(tried), encoding="ascii")
    return 0


def _begun() -> None:
    sys.stdout.write("begun\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
