"""How long to wait until the next question: evenly while there are answers, ever longer while there are none."""

from __future__ import annotations

from dataclasses import dataclass, field

LONGEST_S = 60.0


@dataclass
class Pace:
    """The waits between questions to one environment.

    :param poll_s: seconds after an answer.
    :param longest_s: the most after an error, unless poll_s is longer.
    """

    poll_s: float
    longest_s: float = LONGEST_S
    errors: int = field(default=0, init=False)
    """In a row."""

    def after_answer(self) -> float:
        """Seconds until the next question."""
        self.errors = 0
        return self.poll_s

    def after_error(self) -> float:
        """Seconds until the next question."""
        self.errors += 1
        # an exponent that grows for days would overflow
        return max(self.poll_s, min(self.poll_s * 2.0 ** min(self.errors, 20), self.longest_s))
