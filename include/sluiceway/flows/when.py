"""`when`: which triggers must have fired, as ids with `&`, `|` and brackets; `&` binds closer, as in Airflow.

Becomes AssetAll, AssetAny and AssetOrTimeSchedule. What these cannot say is refused here, with a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sluiceway.errors import nearest, quoted
from sluiceway.flows.trigger import SensorConfig, Trigger, TriggerType


@dataclass(frozen=True)
class Name:
    """One trigger has fired."""

    id: str


@dataclass(frozen=True)
class And:
    """All of them have fired since the last run."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True)
class Or:
    """One of them has fired."""

    parts: tuple[Expression, ...]


Expression = Name | And | Or

_WORDS = {"and": "&", "or": "|", "&&": "&", "||": "|", ",": "|"}
_NEGATIONS = frozenset({"not", "!", "~"})


def parse(text: str) -> Expression:
    """The expression; raises ValueError with a sentence."""
    return _Parser(text).whole()


def names(expression: Expression) -> Iterator[str]:
    """The ids in it, as often as they stand there."""
    if isinstance(expression, Name):
        yield expression.id
    else:
        for part in expression.parts:
            yield from names(part)


def check(expression: Expression, triggers: Mapping[str, Trigger[Any]]) -> None:
    """Raises ValueError for ids that are no triggers, and for what Airflow cannot express."""
    named = list(names(expression))
    for name in named:
        if name not in triggers:
            raise ValueError(f"{quoted(name)} is no trigger of this flow{nearest(name, triggers)}")
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise ValueError(f"{quoted(twice)} stands there twice; name each trigger once")
    for trigger_id, trigger in triggers.items():
        if trigger_id not in named and trigger.config.enabled and trigger.trigger_type is not TriggerType.CLI:
            raise ValueError(
                f"the trigger {trigger_id!r} is not in it and would start nothing; add `| {trigger_id}`, or disable it"
            )
    _under_and(expression, triggers, joined=False)


def _under_and(expression: Expression, triggers: Mapping[str, Trigger[Any]], *, joined: bool) -> None:
    if isinstance(expression, Name):
        if joined and (why := _never_joined(triggers[expression.id])):
            raise ValueError(f"{expression.id!r} stands under &, and {why}")
        return
    for part in expression.parts:
        _under_and(part, triggers, joined=joined or isinstance(expression, And))


def _never_joined(trigger: Trigger[Any]) -> str | None:
    """Why a trigger cannot wait for another one."""
    if not trigger.config.enabled:
        return "it is disabled, so that the whole would never hold; take it out or enable it"
    if trigger.trigger_type is TriggerType.SCHEDULE:
        return (
            "a schedule does not wait for anything: Airflow's AssetOrTimeSchedule only says `or`; write | instead of "
            "&, or schedule a flow of its own and follow it by a trigger of type flow"
        )
    if trigger.trigger_type is TriggerType.CLI:
        return "a start by hand does not wait for anything; write | instead of &"
    if isinstance(trigger.config, SensorConfig) and not trigger.config.coalesce:
        return (
            "with coalesce = false it starts a run for each event, which waits for no other trigger; remove "
            "coalesce = false, or write | instead of &"
        )
    return None


DEEPEST = 50
"""Brackets in brackets."""


class _Parser:
    """Recursive descent: any of alls of names or brackets."""

    def __init__(self, text: str) -> None:
        self._tokens, self._at, self._depth = list(_tokens(text)), 0, 0

    def whole(self) -> Expression:
        found = self._any()
        sign = self._peek()
        if sign == ")":
            raise ValueError("a bracket ) closes none; remove it")
        if sign is not None:
            before = quoted(self._tokens[self._at - 1])
            raise ValueError(f"between {before} and {quoted(sign)} stands neither & nor |; write one")
        return found

    def _any(self) -> Expression:
        return self._joined("|", self._all, Or)

    def _all(self) -> Expression:
        return self._joined("&", self._one, And)

    def _joined(self, sign: str, part: Any, node: type[And | Or]) -> Expression:
        parts = [part()]
        while self._peek() == sign:
            self._at += 1
            parts.append(part())
        return parts[0] if len(parts) == 1 else node(tuple(parts))

    def _one(self) -> Expression:
        sign = self._peek()
        if sign is None or sign in "&|)":
            where = "at its end" if sign is None else f"before {quoted(sign)}"
            raise ValueError(f"an id is missing {where}")
        self._at += 1
        if sign != "(":
            return Name(sign)
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError(f"brackets are nested deeper than {DEEPEST}; write it more simply")
        found = self._any()
        self._depth -= 1
        if self._peek() != ")":
            raise ValueError("a bracket ( is not closed; add )")
        self._at += 1
        return found

    def _peek(self) -> str | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None


def _tokens(text: str) -> Iterator[str]:
    for sign in re.findall(r"[A-Za-z_][A-Za-z0-9_]*|[&|()](?![&|])|&&|\|\||\S", text):
        if sign.lower() in _NEGATIONS:
            raise ValueError(f"{sign!r} is nothing Airflow can wait for: an asset that has not changed; remove it")
        if sign.lower() in _WORDS:
            raise ValueError(f"{sign!r} is none of its signs; write {_WORDS[sign.lower()]!r}")
        if not re.fullmatch(r"[A-Za-z_]\w*|[&|()]", sign, re.ASCII):
            raise ValueError(f"{quoted(sign)} is neither an id nor one of & | ( )")
        yield sign
