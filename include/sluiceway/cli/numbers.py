"""Numbers that options take, as people type them: one that cannot be is refused with the nearest that can."""

from __future__ import annotations

import re

from sluiceway.errors import ConfigError, quoted, shortened

MOST_SHOWN = 1_000_000
"""Rows of one list, for nobody reads more; without a bound PostgreSQL would refuse 20 digits in words of its own."""


def whole(name: str, given: str, *, least: int = 1, most: int = MOST_SHOWN) -> int:
    """Of the option of that name.

    :raises ConfigError: it is no whole number, or not from `least` to `most`.
    """
    return int(_checked(name, given, "[+-]?[0-9]+", "whole number", least, most))


def decimal(name: str, given: str, *, least: float, most: float) -> float:
    """The same of a number like 0.5."""
    return float(_checked(name, given, r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)", "number", least, most))


def _checked(name: str, given: str, form: str, kind: str, least: float, most: float) -> str:
    if re.fullmatch(form, given) is None:
        raise ConfigError(f"{name} {quoted(given)} is no {kind}; write one from {least} to {most}.")
    if float(given) < least:
        raise ConfigError(f"{name} {shortened(given)} is too small; the least is {least}.")
    if float(given) > most:
        raise ConfigError(f"{name} {shortened(given)} is too large; the most is {most}.")
    return given
