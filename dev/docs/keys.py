"""Tables of keys in a document, from the models that read the file which the document explains.

A table stands between `<!-- keys of X -->` and `<!-- end -->`; what stands elsewhere is written by hand.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from dev.docs.page import Page, cell, code
from sluiceway.errors import ConfigError, nearest

_MARK = re.compile(r"(<!-- keys of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Document(Page):
    """A page with tables of keys.

    :param models: what a mark in it may name.
    :param sections: keys of which each has a table of its own, as Model.key.
    :param no_keys: fields that nobody writes, and what names the kind.
    :param kinds: keys that name the kind, which only the first model that has them shows.
    :param named: types that have a word of their own, by the function that checks them.
    """

    models: Mapping[str, type[BaseModel]]
    sections: frozenset[str] = frozenset()
    no_keys: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    named: Mapping[Callable[..., Any], str] = field(default_factory=dict)

    def written(self, text: str) -> str:
        """The document with its tables anew.

        :raises ConfigError: a mark names no model.
        """
        return _MARK.sub(lambda mark: f"{mark[1]}{self._table(mark[2])}{mark[3]}", text)

    def keys(self, model: type[BaseModel]) -> dict[str, FieldInfo]:
        """The keys that a model adds to those of the models it builds upon."""
        inherited = {name for base in model.__mro__[1:] for name in getattr(base, "model_fields", ())}
        own = {name for name in model.model_fields if name in model.__annotations__} - (self.kinds & inherited)
        left_out = self.no_keys | {key.split(".")[1] for key in self.sections if key.split(".")[0] == model.__name__}
        return {name: each for name, each in model.model_fields.items() if name in own - left_out}

    def _table(self, name: str) -> str:
        if name not in self.models:
            raise ConfigError(f"{self.path.name}: {name!r} is no model{nearest(name, self.models)}")
        rows = ["| key | type; default | meaning | example |", "|---|---|---|---|"]
        for key, each in self.keys(self.models[name]).items():
            examples = ", ".join(code(toml(example)) for example in each.examples or [])
            kind = self._words(each.annotation, list(each.metadata))
            rows.append(f"| `{key}` | {kind}; {_default(each)} | {cell(each.description or '')} | {examples} |")
        return "\n".join(rows) + "\n"

    def _words(self, annotation: Any, limits: list[Any]) -> str:
        """A type in words."""
        origin, inside = get_origin(annotation), get_args(annotation)
        if word := self._word(limits):
            return word
        if origin is Annotated:
            # a name's own rules stand at the top of the document
            extra = [part for each in inside[1:] for part in (getattr(each, "metadata", None) or [each])]
            return self._words(inside[0], [*limits, *extra])
        if origin in {Union, types.UnionType}:
            return " or ".join(dict.fromkeys(self._words(each, limits) for each in inside if each is not type(None)))
        if origin is Literal:
            return ", ".join(code(toml(value)) for value in inside)
        if origin is tuple:
            return f"list of {self._words(inside[0], [])}s"
        if origin in {dict, Mapping} or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return "table"
        return self._word_of(annotation, limits)

    @staticmethod
    def _word_of(annotation: Any, limits: list[Any]) -> str:
        """A plain type in a word."""
        if annotation is Path:
            return "path"
        if annotation is str:
            one = any(isinstance(each, MaxLen) and each.max_length == 1 for each in limits)
            return "one character" if one else "text"
        if annotation is bool:
            return "boolean"
        if annotation in {int, float}:
            return _number(annotation, limits)
        raise ConfigError(f"{annotation} has no words yet; add them to {Path(__file__).name}")

    def _word(self, limits: list[Any]) -> str | None:
        return next((self.named[each.func] for each in limits if getattr(each, "func", None) in self.named), None)


def toml(value: Any) -> str:
    """A value as a file spells it."""
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(key)} = {toml(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    default = field.get_default(call_default_factory=True)
    return "none" if default is None else code(toml(default))


def _number(kind: type, limits: list[Any]) -> str:
    low = next((each.ge for each in limits if isinstance(each, Ge)), None)
    high = next((each.le for each in limits if isinstance(each, Le)), None)
    above = next((each.gt for each in limits if isinstance(each, Gt)), None)
    if kind is float and (low, high) == (0, 1):
        return "share"
    if low is not None or (kind is int and above == 0):
        upto = f" to {high}" if low is not None and high is not None else ""
        return f"number from {1 if low is None else low}{upto}"
    if high is not None:
        return f"number up to {high}"
    return "number"
