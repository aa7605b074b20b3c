"""`[checks]` of a table's file."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

from pydantic import Field, PositiveInt, field_validator

from sluiceway.tables.source_spec import Frozen


class Checks(Frozen):
    """When a load that read something is still not good."""

    min_rows: PositiveInt = Field(default=1, description="Fewer extracted rows fail the table.", examples=[300])
    max_shrink: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Largest share by which the row count may fall below the last good load.",
        examples=[0.05],
    )
    max_rejects: int | float = Field(
        default=0,
        description="Most rows that may be rejects: a count such as 10, or a share such as 0.01.",
        examples=[10, 0.01],
    )

    @field_validator("max_rejects", mode="before")
    @classmethod
    def _count_or_share(cls, value: object) -> object:
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not is_count and not (isinstance(value, float) and 0 <= value <= 1):
            raise ValueError("must be a count of rows such as 10, or a share from 0.0 to 1.0 such as 0.01")
        return value

    def rejects_allowed(self, extracted: int) -> int:
        """How many of `extracted` rows may be rejects."""
        limit = self.max_rejects
        return limit if isinstance(limit, int) else int(_exactly(limit) * extracted)

    def least(self, held: int) -> int:
        """How many rows a source must give that held so many."""
        return ceil(held * (1 - _exactly(self.max_shrink)))

    def most_gone(self, before: int) -> int:
        """How many of `before` rows may be taken away."""
        return int(before * _exactly(self.max_shrink))


def _exactly(share: float) -> Fraction:
    """What is written: 0.29 of 100 rows is 29, and a little less as a double."""
    return Fraction(repr(share))
