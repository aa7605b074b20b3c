"""Where a value stands in a JSON document: keys and list indexes with dots between."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, JsonValue


def check(value: str) -> str:
    """The path; raises ValueError for what is none."""
    if not all(part and not part.isspace() for part in value.split(".")) or value != value.strip():
        raise ValueError("is no place in JSON; write keys and list indexes with dots between, such as build.commits.0")
    return value


JsonPath = Annotated[str, AfterValidator(check)]


def find(document: JsonValue, path: str) -> JsonValue:
    """The value at that place; None where there is none."""
    for part in path.split("."):
        if isinstance(document, dict):
            document = document.get(part)
        elif isinstance(document, list) and part.isdecimal() and int(part) < len(document):
            document = document[int(part)]
        else:
            return None
    return document
