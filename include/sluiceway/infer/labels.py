"""Lines around the header that hold no values: titles above it, and units, labels or widths of the columns below."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from sluiceway.sources.footer import quoted

_WIDTH = re.compile(r"\d+[sdn]")
"""As the USGS writes widths and kinds: 5s, 15d, 20n."""
_UNIT = re.compile(
    r"(?i)[(\[{].*[)\]}]|%|‰|deg ?[cfk]?|°.*|[cmk]?m[23²³]?(/s|/h|/d)?|mm|ft[23]?(/s)?|cfs|cms|m/s|km/h|mph|kn|"
    r"[kmµun]?g(/[a-z]+[23]?)?|[mµun]?s|sec|min|hrs?|days?|years?|[mkg]?w(h|att)?|[mk]?v|[mk]?pa|hpa|mbar|ppm|ppb|ntu|psu|"
    r"[mµu]s/cm|inch(es)?|in|acres?|ha|usd|eur|gbp|\$|€|£|units?|number|count|text|string|int(eger)?|float|double|"
    r"date(time)?|unitless"
)
_NOTHING = frozenset(
    {"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "nd", "n.d.", "-", "--", ".", "..", "?", "*", r"\n"}
    | {"missing", "unknown", "not available", "no data", "nodata"}
)
_ENOUGH = 2
"""Columns that speak for it."""


def labels_below(
    names: Sequence[str], records: Sequence[Sequence[str]], is_value: Callable[[str], bool]
) -> tuple[bool, str | None]:
    """Whether the first of `records` is no data, and what a person has to know about it; a mere doubt is a remark too.

    :param names: of the columns.
    :param records: what stands below them.
    :param is_value: whether a text is a number or a date.
    """
    if len(records) < 3 or len(records[0]) != len(names):
        return False, None
    first, below = records[0], [record for record in records[1:500] if len(record) == len(names)]
    shown = ", ".join(filter(None, (value.strip() for value in first)))[:80]
    if all(_WIDTH.fullmatch(value.strip()) for value in first):
        return True, f"the line below the names holds widths: {shown}"
    spoken = against = units = plain = 0
    for position, value in enumerate(map(str.strip, first)):
        values = [each for record in below if (each := record[position].strip()).lower() not in _NOTHING]
        if not values:
            continue
        typed = all(map(is_value, values))
        coded = all(any(char.isdigit() for char in each) for each in values)
        if not typed and not coded:
            continue
        if typed and is_value(value):
            against += 1
        elif value.lower() not in _NOTHING and (typed or not any(char.isdigit() for char in value)):
            spoken += 1
            plain += typed
            units += typed and _UNIT.fullmatch(value) is not None
    if against or not plain:
        return False, None
    if spoken >= _ENOUGH or units:
        return True, f"the line below the names is no data, as it seems, but units or labels: {shown}"
    return False, f"the first line below the names may hold units or labels ({shown}); if it does, set skip_below = 1"


def said_of_above(records: Sequence[Sequence[str]]) -> dict[str, str]:
    """What to say of the lines above the names, which are left out."""
    texts = [text for record in records if (text := " ".join(value.strip() for value in record if value.strip()))]
    return {"skip_lines": f"above the names: {quoted(texts)}"} if texts else {}
