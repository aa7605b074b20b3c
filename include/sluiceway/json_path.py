"""A JSON document that somebody sent, and a place in it: keys and list indexes with dots between, build.commits.0."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, JsonValue
from pydantic_core import from_json

from sluiceway.errors import nearest

MOST_LEVELS = 200
"""Of lists and objects in each other, as pydantic has it: whatever walks through a document can follow so far."""


def parse(text: str | bytes) -> Any:
    """The document; raises ValueError for what is no JSON, or lies more than MOST_LEVELS deep."""
    try:
        return from_json(text)
    except ValueError as error:
        if "recursion limit" in str(error):
            raise
    try:
        # JSON may spell half of a character, \ud83d, of which there is no text outside of Python
        document = json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if is_too_deep(document):
        raise ValueError("it is nested too deeply")
    return document


def is_too_deep(document: Any) -> bool:
    """Whether it lies more than MOST_LEVELS deep; found without recursion."""
    level = [document]
    for _ in range(MOST_LEVELS + 1):
        level = [each for each in level if isinstance(each, list | dict)]
        if not level:
            return False
        level = [within for each in level for within in (each.values() if isinstance(each, dict) else each)]
    return True


class NoSuchPlaceError(LookupError):
    """The document has nothing at the place."""

    def __init__(self, step: str, hint: str) -> None:
        super().__init__(step, hint)
        self.step = step
        """The part of the path that is not there."""
        self.hint = hint
        """Names the nearest key, as errors.nearest does."""


def check(value: str) -> str:
    """The path; raises ValueError for what is none."""
    if not all(part and not part.isspace() for part in value.split(".")) or value != value.strip():
        raise ValueError("is no place in JSON; write keys and list indexes with dots between, such as build.commits.0")
    return value


_INDEX = re.compile(r"\[(\d+)\]")
NOTHING: Any = object()
"""What stands at a place that a document has not."""


def steps_of(path: str) -> tuple[str, ...]:
    """The keys and list indexes of a path; an index may stand in brackets too, as in tags[0].name."""
    return tuple(_INDEX.sub(r".\1", path).split("."))


JsonPath = Annotated[str, AfterValidator(check)]


def _within(document: Any, step: str) -> Any:
    if isinstance(document, dict):
        return document.get(step, NOTHING)
    if isinstance(document, list) and step.isdecimal() and int(step) < len(document):
        return document[int(step)]
    return NOTHING


def value_at(document: Any, steps: Iterable[str]) -> Any:
    """The value at that place; NOTHING where there is none, of which no hint is looked for."""
    for step in steps:
        document = _within(document, step)
    return document


def walk(document: JsonValue, path: str) -> JsonValue:
    """The value at that place; raises NoSuchPlaceError where there is none."""
    for step in path.split("."):
        found = _within(document, step)
        if found is NOTHING:
            hint = nearest(step, document) if isinstance(document, dict) else ""
            raise NoSuchPlaceError(step, hint)
        document = found
    return document


def find(document: JsonValue, path: str) -> JsonValue:
    """The value at that place; None where there is none."""
    try:
        return walk(document, path)
    except NoSuchPlaceError:
        return None
