"""A place in a JSON document: keys and list indexes with dots between, such as build.commits.0."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, JsonValue

from sluiceway.errors import nearest


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


JsonPath = Annotated[str, AfterValidator(check)]


def walk(document: JsonValue, path: str) -> JsonValue:
    """The value at that place; raises NoSuchPlaceError where there is none."""
    for step in path.split("."):
        if isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            hint = nearest(step, document) if isinstance(document, dict) else ""
            raise NoSuchPlaceError(step, hint)
    return document


def find(document: JsonValue, path: str) -> JsonValue:
    """The value at that place; None where there is none."""
    try:
        return walk(document, path)
    except NoSuchPlaceError:
        return None
