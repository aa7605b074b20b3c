"""The column, or the two, that identify a row: without a null and unique over the whole source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from sluiceway.infer.text_types import integer_type
from sluiceway.infer.types import Types
from sluiceway.infer.values import Values

MOST_CANDIDATES = 8
LONGEST_KEY = 100
"""Characters; a longer text is a description."""
NEARLY = 0.9
NAMED = 1.4
"""The score of a column whose name says that it is a key."""
ROW_NUMBER = 2.1
GROUP = 2.0
_OF_PRIMARY = 0.4
"""A geodatabase's OBJECTID is better than a mere name that is unique, and no better than a code."""

_KEY_TYPES = frozenset({"text", "integer", "bigint", "uuid", "date", "timestamp", "timestamptz"})
_REAL = re.compile(r"double precision|numeric(\(.*\))?")
_BEST = re.compile(
    r"^(id|uuid|guid|key|code|geoid\d*|gid|identifier|iso3?|iso_a[23]|ident|nr|no|number|global_?id|gml_id|fips)$"
)
_ID = re.compile(
    r"(_|^)(\w*(uuid|guid|identifier)|ident|key|apn\d*|ain|uprn|usrn|toid|parno|pin\d*"
    r"|\w*parcel(_?(id|no|nr|num|number|key|pin))?|(feature|asset|facility|permit|case|account|folio|matrikkel)_?(no|nr|num|number))(_|$)"
)
"""A thing of its own."""
_NO_ID = re.compile(
    "(s|m|r|pl|(un|pre|over)?p)?aid|acid|amid|arid|avoid|bid|centroid|covid|fluid|grid|humid|hybrid"
    "|(in)?valid|liquid|mid|rapid|solid|squid|void"
)
"""Words that end as the name of an id does."""
_GOOD = re.compile(r"(_|^)(code\d*|geoid\d*|cod|codice|kode|nr|no|fips|\w+nr|\w*nummer|serial|reference|ref)(_|$)")
# an area, or a class, in which there are many things: county_code, status_id
_GROUP = re.compile(
    r"(_|^)(country|nation|state|county|province|region|district|zip|postal|postcode|plz|zone|zoning|land|use|landuse|type"
    r"|class|category|cat|status|group|level|agency|dept|department|kreis|provincia|estado|naics|sic|parent|user|owner)(_|$)"
)
# software numbers the rows anew whenever it writes a file
_ROW_NUMBER = re.compile(r"^(fid|ogc_fid|oid|object_?id(_\d+)?|row_name|row_number|unnamed_\d+|index)$")
_PART = re.compile(r"(_|^)(year|date|day|month|week|quarter|time|timestamp|period|country|state|region)(_|$)")
_NO_KEY = re.compile(
    r"(_|^)(description|remarks?|comments?|notes?|address|url|lat|latitude|lon|lng|longitude|x|y|area|length|perimeter|population|count|value|amount|price|total|shape_\w+)(_|$)"
)


@dataclass(frozen=True)
class Key:
    """What identifies a row."""

    columns: tuple[str, ...] = ()
    """Columns of the source; none: the whole content does."""
    remark: str | None = None


@dataclass(frozen=True)
class _Candidate:
    name: str
    score: float
    different: int
    """About how many different values."""


def find_key(
    values: Values, types: Types, names: Mapping[str, str], *, numbered: bool = False, primary: str | None = None
) -> Key:
    """The best key.

    :param names: column of the source -> name in the warehouse.
    :param primary: the column by which the source itself tells its rows apart.
    """
    if not values.rows:
        return Key(remark="the source has no rows, so no key could be found")
    chosen = primary in types.columns and not _ROW_NUMBER.match(names[primary])
    if primary is not None and chosen and not types.columns[primary].nulls and _is_alone(values, primary):
        return Key((primary,), "the file's own key; does it stay the same from one delivery to the next?")
    candidates = _candidates(values, types, names, primary)
    for candidate in candidates:
        if candidate.score > 0 and candidate.different >= NEARLY * values.rows and _is_unique(values, [candidate]):
            remark = None
            if _ROW_NUMBER.match(names[candidate.name]):
                others = [each for each in candidates if each is not candidate and each.score >= NAMED]
                remark = "unique here, but many programs number the rows anew: choose another key, if there is one"
                unique = [names[each.name] for each in others if _is_unique(values, [each])]
                remark += f"; {' and '.join(unique[:3])} would do" if unique else ""
            return Key((candidate.name,), remark)
    parts = [candidate for candidate in candidates if not _ROW_NUMBER.match(names[candidate.name])][:MOST_CANDIDATES]
    for pair in sorted(combinations(parts, 2), key=lambda two: -two[0].score - two[1].score):
        if _is_likely(pair) and pair[0].different * pair[1].different >= values.rows and _is_unique(values, pair):
            return Key(tuple(candidate.name for candidate in sorted(pair, key=lambda each: _position(values, each))))
    return Key(remark=_nearly(values, candidates, names))


def _position(values: Values, candidate: _Candidate) -> int:
    return values.columns[candidate.name].position


def _candidates(values: Values, types: Types, names: Mapping[str, str], primary: str | None) -> list[_Candidate]:
    """Columns without a null whose type and values may be those of a key, the likeliest first."""
    found = []
    for name, column in types.columns.items():
        score = _score(names[name], column.type, values.columns[name].position) + _OF_PRIMARY * (name == primary)
        if column.nulls or not (column.type in _KEY_TYPES or (score >= NAMED and _is_whole(values, column.type, name))):
            continue
        sql = values.columns[name].sql
        longest, different = (
            int(str(each)) for each in values.ask([f"max(length({sql}))", f"approx_count_distinct({sql})"])
        )
        if longest <= LONGEST_KEY:
            found.append(_Candidate(name, score, different))
    return sorted(found, key=lambda each: -each.score)


def _is_whole(values: Values, type_: str, name: str) -> bool:
    """Whether a column of reals holds whole numbers alone, as one does that had no value in some row once."""
    if not _REAL.fullmatch(type_):
        return False
    text = f"trim({values.columns[name].sql})"
    # a double has no more digits that are sure
    digits = 38 if type_.startswith("numeric(") else 15
    return not values.ask([f"count(*) FILTER (NOT regexp_full_match({text}, '[0-9]{{1,{digits}}}([.,]0*)?'))"])[0]


def whole_keys(values: Values, types: Types, key: Key) -> None:
    """Have a key of reals, which are whole numbers all of them, be one of integers; any other one of exact numbers."""
    for name in key.columns:
        column = types.columns[name]
        if not _REAL.fullmatch(column.type) or column.type.startswith("numeric("):
            continue
        if _is_whole(values, column.type, name):
            digits = f"regexp_extract(trim({values.columns[name].sql}), '[0-9]+')::HUGEINT"
            column.type = integer_type(*values.ask([f"min({digits})", f"max({digits})"]))
            column.remark = "whole numbers all of them, written as reals"
        elif values.columns[name].family == "text":
            column.type = "numeric"


def _names_a_thing(name: str) -> bool:
    words = name.split("_")
    return bool(_ID.search(name)) or any(word.endswith("id") and not _NO_ID.fullmatch(word) for word in words)


def _score(name: str, type_: str, position: int) -> float:
    if _ROW_NUMBER.match(name):
        return ROW_NUMBER
    thing, good = _names_a_thing(name), bool(_GOOD.search(name))
    if _GROUP.search(name) and (thing or good):
        # a table of areas, or of classes, may have its key in it
        return GROUP - 0.002 * min(position, 50)
    score = 3.0 if _BEST.match(name) else 2.8 if thing else 2.3 if good else 0.0
    score += 1.0 if position == 1 else 0.4 if position == 2 else 0.0
    score += 1.5 if type_ == "uuid" else 0.0
    score += 0.3 if _PART.search(name) else 0.0
    score -= 0.01 * min(position, 50)
    if _NO_KEY.search(name):
        score -= 2.0
    # a date or an amount is unique by chance; a name may be
    if score < 0.5 and type_ in {"integer", "bigint", "date", "timestamp", "timestamptz"}:
        score = min(score, 0.0)
    return score + (0.7 if name == "name" or name.endswith("_name") else 0.0)


def _is_unique(values: Values, candidates: list[_Candidate] | tuple[_Candidate, ...]) -> bool:
    # spaces around a number do not make another one
    return values.repeated([f"trim({values.columns[each.name].sql})" for each in candidates]) == 0


def _is_alone(values: Values, name: str) -> bool:
    return values.repeated([values.columns[name].sql]) == 0


def _is_likely(pair: tuple[_Candidate, _Candidate]) -> bool:
    """Whether two columns may identify a row together: at least one names a thing, and neither is a mere quantity."""
    return min(each.score for each in pair) > 0 and max(each.score for each in pair) >= 0.3


def _nearly(values: Values, candidates: list[_Candidate], names: Mapping[str, str]) -> str | None:
    """What to say about a column that has the name of a key and repeats in a few rows."""
    for candidate in candidates:
        if candidate.score >= 1.9 and candidate.different >= NEARLY * values.rows:
            repeated = values.repeated([f"trim({values.columns[candidate.name].sql})"])
            if 0 < repeated <= (1 - NEARLY) * values.rows:
                name = names[candidate.name]
                return (
                    f"{name} repeats in {repeated:,} of {values.rows:,} rows; with key = {name!r} those that come "
                    f"before the last of each would be rejects"
                )
    return None
