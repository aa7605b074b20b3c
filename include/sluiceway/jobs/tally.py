"""What a lane has done since it began, for whoever runs it; etl_jobs.lane has the same, and outlives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What a lane has done; see LaneRun."""

    asked: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    """By state."""
    back: int = 0
    lost: int = 0
    rescued: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    waited_s: float = 0.0
    paused: str | None = None

    @property
    def counts(self) -> Counter[str]:
        """What items have become, those put back and those that came too late with them."""
        return Counter({**self.ended, "back": self.back, "lost": self.lost})

    def add(self, counts: Mapping[str, int], causes: Mapping[str, int]) -> None:
        """Count what was written down."""
        for name, count in counts.items():
            if name in {"back", "lost"}:
                setattr(self, name, getattr(self, name) + count)
            else:
                self.ended[name] += count
        self.causes.update(causes)
