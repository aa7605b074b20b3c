"""The checks that a value answers by itself, of a whole batch at once beside the cast: accepted, range, pattern."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluiceway.errors import ConfigError, quoted, said_by
from sluiceway.load.cast import Caster, Reasons, decimal_of
from sluiceway.load.cast import quoted as quoted_name
from sluiceway.load.failing import LONGEST, SHOWN, Failing
from sluiceway.load.reject_spool import of_python
from sluiceway.sources.selection import Numbers
from sluiceway.tables.checks import Rule
from sluiceway.tables.column import Column
from sluiceway.tables.spec import TableSpec
from sluiceway.tables.typed_values import typed

Passes = Callable[[pa.Array], pa.Array]
"""Values of a column -> whether each passes; null, or anything, for null."""


@dataclass(frozen=True)
class _Check:
    rule: Rule
    column: str
    kind: Column
    passes: Passes


class ValueChecks:
    """Those of one table."""

    def __init__(self, spec: TableSpec) -> None:
        """Make them.

        :raises ConfigError: a pattern is none of RE2's.
        """
        rules = spec.checks.rules("accepted", "range", "pattern")
        self._checks = [
            _Check(rule, name, spec.columns[name], _passes(spec, rule, spec.columns[name]))
            for rule in rules
            for name in rule.columns
        ]

    def __bool__(self) -> bool:
        return bool(self._checks)

    def look(self, batch: pa.RecordBatch, numbers: Numbers, caster: Caster, reasons: Reasons, failing: Failing) -> None:
        """Add a reason for each value that fails, and count those that end the load.

        :param batch: in wire types, as Caster.cast returns it; what could not be cast is null, and passes.
        :param numbers: the rows' numbers in the source.
        :param reasons: by index of the row; it is added to.
        """
        for check in self._checks:
            values = _compared(batch, check, caster)
            bad = pc.and_kleene(pc.invert(check.passes(values)), pc.is_valid(values))
            if not pc.any(bad, min_count=0).as_py():
                continue
            indices = np.flatnonzero(bad.to_numpy(zero_copy_only=False))
            for index in indices:
                said = f"{_shown(values, int(index))} fails {check.rule.told}"
                reasons.setdefault(int(index), []).append((check.column, said))
            if check.rule.fails_table:
                first = ((int(numbers[index]), _shown(values, int(index))) for index in indices[:SHOWN])
                failing.add(check.rule.key, len(indices), first)


def _compared(batch: pa.RecordBatch, check: _Check, caster: Caster) -> pa.Array:
    """The values as they are compared: a number of a bounded size travels as a text, and is rounded as it will be."""
    values, kind = batch.column(check.column), check.kind.sql_type
    if kind.base == "numeric" and kind.args:
        made = {check.column: decimal_of(quoted_name(check.column), kind)}
        return caster.by_duckdb(batch.select([check.column]), made)[check.column]
    return values


def _shown(values: pa.Array, index: int) -> str:
    value = of_python(values, index)
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value, LONGEST) if isinstance(value, str) and pa.types.is_string(values.type) else str(value)


def _passes(spec: TableSpec, rule: Rule, column: Column) -> Passes:
    kind = column.sql_type
    if rule.kind == "pattern":
        pattern = pattern_of(spec, rule)
        return lambda values: pc.match_substring_regex(values, pattern)
    if rule.kind == "accepted":
        accepted = [typed(value, kind) for value in rule.value]
        if kind.base == "numeric" and not kind.args:
            exact = frozenset(accepted)
            return lambda values: _each(values, lambda number: number in exact)
        return lambda values: pc.is_in(values, value_set=pa.array(accepted, values.type))
    least, most = (None if end is None else typed(end, kind) for end in (rule.value.least, rule.value.most))
    if kind.base == "numeric" and not kind.args:
        return lambda values: _each(values, lambda number: _between(number, least, most))
    return lambda values: _in_range(values, least, most)


def _in_range(values: pa.Array, least: Any, most: Any) -> pa.Array:
    found = pc.is_valid(values)
    if least is not None:
        found = pc.and_kleene(found, pc.greater_equal(values, pa.scalar(least, values.type)))
    if most is not None:
        found = pc.and_kleene(found, pc.less_equal(values, pa.scalar(most, values.type)))
    return found


def _each(values: pa.Array, passes: Callable[[Decimal], bool]) -> pa.Array:
    """Of numbers without a bound, which travel as texts, one by one: no type of Arrow holds all of them."""
    return pa.array(
        [None if text is None else passes(Decimal(text.strip())) for text in values.to_pylist()], pa.bool_()
    )


def _between(number: Decimal, least: Any, most: Any) -> bool:
    if number.is_nan():
        return False
    return (least is None or number >= least) and (most is None or number <= most)


def pattern_of(spec: TableSpec, rule: Rule) -> str:
    """What a text must match in full, as RE2 takes it: in a time that grows with the text alone, whatever the text.

    :raises ConfigError: it is no regular expression of RE2.
    """
    whole = rf"\A(?:{rule.value})\z"
    # Arrow looks at no pattern before it has a text; alone, it may not reach beyond the brackets
    text = pa.array([""], pa.string())
    for pattern in (rule.value, whole):
        try:
            pc.match_substring_regex(text, pattern)
        except pa.ArrowInvalid as error:
            said = said_by(error).removeprefix("Invalid regular expression: ")
            raise ConfigError(
                f"{spec.name}: {rule.key} = {quoted(rule.value)}: is no regular expression of RE2: {said}; it has "
                f"neither look-arounds nor back-references"
            ) from error
    return whole
