"""Where an incremental load begins: a little before the last one ended.

A row is stamped when it is written and seen when it is committed: one stamped at 10:00 and committed at 10:05 is not
there for a load at 10:03, which sees one of 10:02 and would never look before that again.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from decimal import Decimal

_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


def before(watermark: str, lag: float, kind: str) -> str:
    """The value `lag` before a watermark, spelled as that is: seconds of a time, units of a number.

    A value that is neither stays as it is, for nobody knows what comes before it.

    :param kind: the family of the column's type; one that is not known may hold anything.
    """
    if not lag:
        return watermark
    if _NUMBER.fullmatch(watermark) and kind in {"number", "other"}:
        value = Decimal(watermark) - Decimal(str(lag))
        return str(math.floor(value)) if watermark.lstrip("-").isdigit() else f"{value:f}"
    if watermark[4:5] != "-":
        return watermark
    try:
        moment = datetime.fromisoformat(watermark)
        # whole seconds: as a text 09:00:00 is before 09:00:00.5, and whatever else a database writes behind it
        earlier = (moment - timedelta(seconds=lag)).replace(microsecond=0)
    except (ValueError, OverflowError):
        return watermark
    if len(watermark) == len("2020-01-31"):
        return earlier.date().isoformat()
    return earlier.isoformat(sep="T" if "T" in watermark else " ")
