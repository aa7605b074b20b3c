"""Which array of a JSON document holds its records, or that it is a vector file, or no table at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sluiceway.errors import SourceUnreadableError
from sluiceway.sources.formats.json_survey import DEEPEST, Array, Survey

KNOWN = ("result.records",)
"""Where CKAN's answers hold their records, however many fields they describe beside them."""
_BESIDE = frozenset(
    {
        *(
            "links",
            "link",
            "fields",
            "columns",
            "facets",
            "errors",
            "error",
            "warnings",
            "messages",
            "note",
            "notes",
            "query",
            "queryinfo",
        ),
        *("meta", "metadata", "schema", "info", "header", "headers", "pagination", "paging", "page", "aliases"),
        *(
            "parameters",
            "params",
            "help",
            "debug",
            "context",
            "request",
            "attribution",
            "licenses",
            "license",
            "filters",
        ),
    }
)
"""What an array is called that tells of the records, and is none of them."""
_VECTOR_TYPES = frozenset(
    {
        *("Topology", "FeatureCollection", "Feature", "GeometryCollection"),
        *("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon"),
    }
)
_MESSAGES = ("message", "detail", "details", "description", "error_description", "title", "reason", "text", "code")
_SHOWN = 200
_LISTED = 8


@dataclass(frozen=True)
class Records:
    """Where the records stand."""

    path: str
    remark: str | None = None


def check_no_error(name: str, found: Survey) -> None:
    """Raises SourceUnreadableError when a document tells of an error in place of records."""
    said = {key: value for key, value in found.other.items() if key.partition(".")[0].lower() in {"error", "errors"}}
    said |= {key: array.keys for key, array in found.arrays.items() if key.lower() == "errors" and array.objects}
    if not any(value not in (None, False, "", [], {}, "0") for value in said.values()):
        return
    if any(array.objects or array.lists for key, array in found.arrays.items() if not _is_beside(key)):
        return
    text = " ".join(dict.fromkeys(_texts(found.other)))[:_SHOWN]
    raise SourceUnreadableError(f"{name} is no table but tells of an error" + (f": {text}" if text else ""))


def _texts(value: Any, key: str = "", depth: int = 0) -> list[str]:
    """What a person would read of an error."""
    if depth > DEEPEST:
        return []
    if isinstance(value, Mapping):
        return [text for name, each in value.items() for text in _texts(each, str(name), depth + 1)]
    if isinstance(value, list):
        return [text for each in value for text in _texts(each, key, depth + 1)]
    name = key.rpartition(".")[2].lower()
    worth = name in _MESSAGES or name in {"error", "errors"}
    return [str(value)] if worth and not isinstance(value, bool) and value not in (None, "") else []


def is_vector(found: Survey) -> bool:
    """Whether GDAL has a driver for this document: GeoJSON, a bare geometry of it, TopoJSON, or Esri's JSON."""
    kind = found.other.get("type")
    if kind in _VECTOR_TYPES and _has_shapes(str(kind), found):
        return True
    features = found.arrays.get("features")
    if features is None:
        return False
    esri = any(key in found.other for key in ("geometryType", "objectIdFieldName", "globalIdFieldName"))
    esri = esri or any(key.startswith("spatialReference") for key in found.other)
    return "attributes" in features.keys or (esri and not features.objects)


def _has_shapes(kind: str, found: Survey) -> bool:
    needed = {"Topology": "arcs", "FeatureCollection": "features", "GeometryCollection": "geometries"}
    if kind == "Feature":
        return any(key.startswith("geometry") for key in (*found.other, *found.arrays))
    return needed.get(kind, "coordinates") in {*found.arrays, *found.other}


def find_records(name: str, found: Survey) -> Records | None:
    """The array of the records: a known one, else the longest array of objects; None where there is none.

    :raises SourceUnreadableError: the rows are lists, whose values have no names.
    """
    arrays = {path: array for path, array in found.arrays.items() if array.objects and _is_reachable(path)}
    likely = {path: array for path, array in arrays.items() if not _is_beside(path)}
    lists = {path: array for path, array in found.arrays.items() if array.lists and not _is_beside(path)}
    if not likely and lists:
        path = max(lists, key=lambda each: lists[each].lists)
        raise SourceUnreadableError(
            f"{name}: its {lists[path].lists:,} rows, at {path!r}, are lists, whose values have no names; ask the "
            f"service for CSV or for objects (Socrata: /resource/<id>.json or /resource/<id>.csv)"
        )
    if not arrays:
        return None
    known = next((path for path in KNOWN if path in arrays), None)
    path = known or max(likely or arrays, key=lambda each: arrays[each].objects)
    return Records(path, _remark(path, found.arrays))


def _remark(path: str, arrays: Mapping[str, Array]) -> str | None:
    others = [
        f"{other} ({array.objects + array.lists:,})"
        for other, array in arrays.items()
        if other != path and (array.objects or array.lists)
    ]
    more = f", and {len(others) - _LISTED:,} more" if len(others) > _LISTED else ""
    said = [f"other arrays of it: {', '.join(others[:_LISTED])}{more}"] if others else []
    inside = arrays[path].inside
    if inside is not None and inside[1] > arrays[path].objects:
        said.append(
            f"a record holds an array of {inside[1]:,} objects at {inside[0]}, which becomes one value of a column here"
        )
    return "; ".join(said) or None


def _is_beside(path: str) -> bool:
    return any(re.sub("[^a-z]", "", key.lower()) in _BESIDE for key in path.split("."))


def _is_reachable(path: str) -> bool:
    # source.records cannot say a key with a dot in it, and '' is the document itself
    return bool(path) and all(path.split("."))
