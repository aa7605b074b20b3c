"""Files under include/config/: read as TOML, and what their models refuse told in sentences.

A sentence says where, key, value and the nearest valid one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from sluiceway.errors import ConfigError, nearest, quoted, said_by, shortened


@dataclass(frozen=True)
class Words:
    """What a kind of file can say."""

    keys: Callable[[tuple[str, ...]], Iterable[str]]
    """The keys that are valid where one stands, by its place as pydantic tells it."""
    branches: frozenset[str] = frozenset({"[key]"})
    """What pydantic puts between the keys of a place: branches of a union, the mark of a dict's key."""
    kinds: tuple[str, ...] = ()
    """The values of `kind` where models differ by it."""
    patterns: Mapping[str, str] = field(default_factory=dict)
    """Patterns in words: what to write."""
    other_names: Mapping[str, str] = field(default_factory=dict)
    """Keys that people try, and ours."""
    secret: Callable[[str, Any], str | None] = lambda _key, _value: None
    """What to say of a key whose value is never shown."""


_KINDS = {
    "missing": "is missing; add it",
    "extra_forbidden": "no such key",
    **dict.fromkeys(("string_type", "path_type"), "is no text; write it in quotes"),
    **dict.fromkeys(
        ("int_type", "int_parsing", "int_parsing_size", "int_from_float"),
        "is no whole number; write one without quotes",
    ),
    **dict.fromkeys(("float_type", "float_parsing"), "is no number; write one without quotes"),
    "finite_number": "is no finite number; write one",
    **dict.fromkeys(("bool_type", "bool_parsing"), "is neither true nor false; write one of them without quotes"),
    **dict.fromkeys(
        ("tuple_type", "list_type", "set_type", "frozen_set_type"), "is no list; write its values in brackets, [...]"
    ),
    **dict.fromkeys(
        ("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"),
        "is no table; write its keys in braces, {...}",
    ),
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"),
        "is no point in time; write one without quotes, such as 2026-08-03T14:02:09Z",
    ),
    **dict.fromkeys(
        ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
        "is no day; write one without quotes, such as 2026-08-03",
    ),
    **dict.fromkeys(("time_type", "time_parsing"), "is no time of day; write one without quotes, such as 14:02:09"),
    "invalid-json-value": "is no text, number, true or false, list or table",
}
"""What is to be said of a value of a wrong kind, by pydantic's name of the problem."""
_BOUNDS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "is too short; write at least {min_length}",
    "too_long": "is too long; write at most {max_length}",
    "string_too_short": "is too short; write at least {min_length} characters",
    "string_too_long": "is too long; write at most {max_length} characters",
    "string_pattern_mismatch": "does not have the form {pattern}",
}
_LOGIN = re.compile(r"(\w://)[^\s/@'\"]+@")
_ASKED = re.compile(r"(\w://[^\s?'\"]*\?)[^\s'\"]+")
LONGEST, LONGEST_VALUE = 2_000, 300
"""Characters of a sentence, and of a value in it."""
LONGEST_TEXT = 10_000
"""Characters of all that is wrong in one file, as far as whole sentences fit."""
DEEPEST = 50
"""Tables and lists within each other; what is longer Python itself cannot show."""
Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp:
    """What changes with a file: its time of change in ns, its bytes, its inode."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def read_toml(path: Path) -> dict[str, Any]:
    """What the file holds; raises ConfigError when it is not there or no TOML."""
    try:
        return parse_toml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is not valid TOML: {said_by(error)}.") from error


def parse_toml(text: str) -> dict[str, Any]:
    """What the text holds; raises ValueError when it is no TOML, or nests deeper than anybody writes."""
    deep = ValueError("it is nested too deeply")
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise deep from None
    level: list[Any] = [document]
    for _ in range(DEEPEST):
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
        level = [each for each in level if isinstance(each, dict | list)]
        if not level:
            return document
    raise deep


def sentences(where: object, problems: Iterable[Any], words: Words, *, prefix: str = "") -> list[str]:
    """What pydantic has found wrong, a sentence each.

    :param where: the file, or what stands for it.
    :param problems: pydantic's `errors()`.
    :param prefix: what stands before every key: `triggers.<id>.`.
    """
    # what is cut must have lost its secrets before: the half of a login is not known for one
    said = [without_secrets(_sentence(where, problem, words, prefix)) for problem in problems]
    return [each if len(each) <= LONGEST else f"{each[: LONGEST // 2]}...{each[-LONGEST // 2 :]}" for each in said]


def together(where: object, said: Iterable[str]) -> str:
    """A line for each sentence; of more than anybody reads, the first, and how many are left out."""
    lines = [line for each in said for line in each.split("\n")]
    ends = accumulate(len(line) + 1 for line in lines)
    shown = max(1, sum(end <= LONGEST_TEXT for end in ends))
    left = [f"{where}: more problems: {len(lines) - shown:,}; mend these first"] if lines[shown:] else []
    return "\n".join([*lines[:shown], *left])


def without_secrets(sentence: str) -> str:
    """Addresses without who logs in and what is asked, which may be a password and a token."""
    return _ASKED.sub(r"\1***", _LOGIN.sub(r"\1***@", sentence))


def _sentence(where: object, problem: Any, words: Words, prefix: str) -> str:
    path = tuple(str(part) for part in problem["loc"])
    location = [part for part in path if part not in words.branches]
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind in {"union_tag_not_found", "union_tag_invalid"}:
        location.append(context["discriminator"].strip("'"))
        value = context.get("tag")
    shown = (
        f" = {shortened(without_secrets(quoted(value, LONGEST)), LONGEST_VALUE)}"
        if isinstance(value, str | int | float | bool)
        else ""
    )
    secret = words.secret(location[-1], value) if location else None
    if secret is not None:
        shown = " = ***"
    elif kind == "extra_forbidden" and isinstance(value, str):
        # a key that nobody knows may hold a secret
        shown = ""
    key = prefix + ".".join(map(shortened, location)) if location else prefix.removesuffix(".")
    place = f"{where}: {key}" if key else str(where)
    match kind:
        case "extra_forbidden":
            return f"{place}{shown}: {secret or 'no such key' + _nearest_key(path, words)}"
        case "union_tag_not_found":
            return f"{place}: is missing; write one of {', '.join(words.kinds)}"
        case "union_tag_invalid":
            return f"{place}{shown}: {_none_of(str(value), words.kinds)}"
        case "literal_error":
            expected = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
            return f"{place}{shown}: {_none_of(str(value), expected)}"
        case "string_pattern_mismatch" if context["pattern"] in words.patterns:
            return f"{place}{shown}: {words.patterns[context['pattern']]}"
        case _:
            return f"{place}{shown}: {wrong(problem)}"


def wrong(problem: Any) -> str:
    """What is wrong with a value, without its key and itself."""
    if (bound := _BOUNDS.get(problem["type"])) is not None:
        return bound.format(**{name: _as_written(value) for name, value in problem["ctx"].items()})
    said: str = _KINDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    return said


def _as_written(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _none_of(value: str, expected: Iterable[str]) -> str:
    known = list(expected)
    return f"is not one of {', '.join(known)}{nearest(value, known, listing=False)}"


def _nearest_key(path: tuple[str, ...], words: Words) -> str:
    known = list(words.keys(path))
    other = words.other_names.get(path[-1])
    return f"; did you mean {other!r}?" if other in known else nearest(path[-1], known)
