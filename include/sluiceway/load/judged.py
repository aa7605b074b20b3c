"""What is wrong with the checks of values in a table's file, as far as it can be told without a row of the source.

A pattern and a condition are judged by what a table's file alone is too small to import: RE2, and a parser of SQL.
"""

from __future__ import annotations

from collections.abc import Callable

from sluiceway.errors import ConfigError
from sluiceway.tables.checks import Rule
from sluiceway.tables.spec import TableSpec


def wrong_checks(spec: TableSpec) -> list[str]:
    """A sentence for each pattern that is none, and each condition that is none of the row's columns."""
    found = []
    if any(spec.checks.rules("pattern")):
        from sluiceway.load.value_checks import pattern_of

        found += [said for rule in spec.checks.rules("pattern") if (said := _said(spec, pattern_of, rule))]
    if any(spec.checks.rules("holds")):
        from sluiceway.load.failing_rows import condition_of

        found += [said for rule in spec.checks.rules("holds") if (said := _said(spec, condition_of, rule))]
    return found


def _said(spec: TableSpec, judge: Callable[[TableSpec, Rule], object], rule: Rule) -> str | None:
    try:
        judge(spec, rule)
    except ConfigError as error:
        # whoever reads it knows the file
        return str(error).removeprefix(f"{spec.name}: ")
    return None
