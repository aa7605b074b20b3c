"""A target of hostile inputs, and what it may answer: a result, or a named error with a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from sluiceway.errors import SluicewayError

LONGEST_SENTENCE = 20_000
"""Characters. A sentence quotes a part of what is wrong, never all of it."""
SEEDS = Path(__file__).parent / "seeds"
"""Inputs that once were answered wrongly, by target: each is tried first."""

Feed = Callable[[bytes], object]


class BadAnswerError(AssertionError):
    """An error is named, and its sentence is none that a person could read."""


@dataclass(frozen=True)
class Target:
    """One reader of what others write."""

    name: str
    seeds: Callable[[], Sequence[bytes]]
    """Right inputs: mutations begin with them."""
    opened: Callable[[], AbstractContextManager[Feed]]
    """Makes ready what takes one input."""
    words: Sequence[bytes] = ()
    """What means something in this language."""
    refuses_by: type[Exception] | tuple[type[Exception], ...] = SluicewayError
    """What its own docstring says that it raises."""

    def kept(self) -> list[bytes]:
        """What was answered wrongly once."""
        return [path.read_bytes() for path in sorted((SEEDS / self.name).glob("*"))]

    def try_one(self, feed: Feed, content: bytes) -> None:
        """Feed one input.

        :raises Exception: whatever is no named error: the fault that is looked for.
        :raises BadAnswerError: the sentence is longer than anybody reads, or has none.
        """
        try:
            feed(content)
        except self.refuses_by as error:
            said = str(error)
            if not said or len(said) > LONGEST_SENTENCE:
                raise BadAnswerError(f"{type(error).__name__} says {len(said):,} characters: {said[:200]!r}") from error


TARGETS: dict[str, Target] = {}


def enter(targets: Iterable[Target]) -> None:
    """Into the table of all targets."""
    TARGETS.update({each.name: each for each in targets})
