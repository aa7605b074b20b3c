"""The tables of keys in docs/tables.md, from the models that read a table's file: python -m sluiceway.tables.document.

A table stands between `<!-- keys of X -->` and `<!-- end -->`; what stands elsewhere is written by hand.
"""

from __future__ import annotations

import json
import re
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sluiceway.errors import ConfigError, nearest
from sluiceway.tables import source_spec, spec

DOCUMENT = Path(__file__).parents[3] / "docs" / "tables.md"

MODELS: Mapping[str, type[BaseModel]] = {
    "TableSpec": spec.TableSpec,
    "Column": spec.Column,
    "Geometry": spec.Geometry,
    "Checks": spec.Checks,
    "LocatedSource": source_spec.LocatedSource,
    "SheetRows": source_spec.SheetRows,
    "TextValues": source_spec.TextValues,
    **{model.__name__: model for model in source_spec.SOURCE_KINDS.values()},
    "Paging": source_spec.Paging,
}
"""What a mark in the document may name."""
SECTIONS = frozenset({"source", "columns", "geometry", "checks", "paging"})
"""Keys of which each has a table of its own."""
NO_KEYS = frozenset({"name", "transform", "kind"})
"""Fields that nobody writes, and what names the kind."""

_MARK = re.compile(r"(<!-- keys of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(text: str) -> str:
    """The document with its tables anew.

    :raises ConfigError: a mark names no model.
    """
    return _MARK.sub(lambda mark: f"{mark[1]}{_table(mark[2])}{mark[3]}", text)


def keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The keys that a model adds to those of the models it builds upon."""
    own = {name for name in model.model_fields if name in model.__annotations__}
    return {name: field for name, field in model.model_fields.items() if name in own - NO_KEYS - SECTIONS}


def toml(value: Any) -> str:
    """A value as a table's file spells it."""
    if isinstance(value, dict):
        inside = ", ".join(f"{key} = {toml(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _table(name: str) -> str:
    if name not in MODELS:
        raise ConfigError(f"{DOCUMENT.name}: {name!r} is no model{nearest(name, MODELS)}")
    rows = ["| key | type; default | meaning | example |", "|---|---|---|---|"]
    for key, field in keys(MODELS[name]).items():
        examples = ", ".join(_code(toml(example)) for example in field.examples or [])
        rows.append(f"| `{key}` | {_type(field)}; {_default(field)} | {_cell(field.description or '')} | {examples} |")
    return "\n".join(rows) + "\n"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    default = field.get_default(call_default_factory=True)
    return "none" if default is None else _code(toml(default))


def _cell(text: str) -> str:
    # a key's dots and brackets mean nothing to Markdown, but a bar ends the cell and < begins a tag
    return text.replace("|", r"\|").replace("<", "&lt;")


def _code(text: str) -> str:
    shown = text.replace("|", r"\|")
    return f"`{shown}`"


def _type(field: FieldInfo) -> str:
    return _words(field.annotation, list(field.metadata))


def _words(annotation: Any, limits: list[Any]) -> str:
    """A type in words."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        # a name's own rules stand at the top of the document
        extra = [part for each in inside[1:] for part in (getattr(each, "metadata", None) or [each])]
        return (
            "name"
            if spec.check_name in [getattr(each, "func", None) for each in extra]
            else _words(inside[0], [*limits, *extra])
        )
    if origin in {Union, types.UnionType}:
        return " or ".join(dict.fromkeys(_words(each, limits) for each in inside if each is not type(None)))
    if origin is Literal:
        return ", ".join(_code(toml(value)) for value in inside)
    if origin is tuple:
        return f"list of {_words(inside[0], [])}s"
    if origin is dict:
        return "table"
    if annotation is str:
        return "one character" if any(isinstance(each, MaxLen) and each.max_length == 1 for each in limits) else "text"
    if annotation is bool:
        return "boolean"
    if annotation in {int, float}:
        return _number(annotation, limits)
    raise ConfigError(f"{annotation} has no words yet; add them to {Path(__file__).name}")


def _number(kind: type, limits: list[Any]) -> str:
    low = next((each.ge for each in limits if isinstance(each, Ge)), None)
    high = next((each.le for each in limits if isinstance(each, Le)), None)
    above = next((each.gt for each in limits if isinstance(each, Gt)), None)
    if kind is float and (low, high) == (0, 1):
        return "share"
    if kind is int and (above == 0 or low is not None):
        return f"number from {1 if above == 0 else low}"
    return "number" if kind is int or above is not None else "share"


if __name__ == "__main__":
    before = DOCUMENT.read_text(encoding="utf-8")
    after = written(before)
    DOCUMENT.write_text(after, encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT} is {'up to date' if after == before else 'written anew'}.\n")
