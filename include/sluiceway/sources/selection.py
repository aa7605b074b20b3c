"""Selection: which rows of an opened source a piece of it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Numbers = np.ndarray[tuple[int], np.dtype[np.int64]]


class Selection(NamedTuple):
    """Which rows of an opened source a piece is."""

    numbers: Numbers
    """Their numbers among the data rows of the whole source, from 1, in its order."""
    skip: int = 0
    """How many records are passed over."""
    where: str | None = None
    """A condition that all of them meet, and others may too."""
    ids: Numbers | None = None
    """The records' own numbers; None: they are those that follow."""
