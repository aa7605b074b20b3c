"""Whether the checks of values in a table's file fit its columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sluiceway.errors import nearest
from sluiceway.tables.checks import Checks, Rule
from sluiceway.tables.column import NUMBERS, Column
from sluiceway.tables.typed_values import typed

TIMES = frozenset({"date", "timestamp", "timestamptz"})
TEXTS = frozenset({"text", "varchar"})


def check_fit(
    checks: Checks, table: str, columns: Mapping[str, Column], key: Collection[str], geometry: str | None
) -> None:
    """See that each check names columns that are there, and asks of their values what these can be.

    :param key: the columns of the table's key; none where that is the content.
    :param geometry: the name of the geometry's column.
    :raises ValueError: the first that does not, as a sentence.
    """
    _check_names(checks, columns, geometry)
    for rule in checks.rules("accepted", "range", "pattern", "references", "unique"):
        for name in rule.columns:
            if name not in columns:
                raise ValueError(f"{rule.key}: {name!r} is no column of this table{nearest(name, columns)}")
        if rule.kind == "unique":
            _check_unique(rule, columns, key)
        elif rule.kind != "references":
            _check_values(rule, columns[rule.columns[0]])
        elif rule.value.partition(".")[0] == table:
            raise ValueError(f"{rule.key} = {rule.value!r}: names this very table; name a column of another one")


def _check_names(checks: Checks, columns: Mapping[str, Column], geometry: str | None) -> None:
    for name, each in checks.columns.items():
        if name not in columns and name != geometry:
            known = [*columns, *([geometry] if geometry else [])]
            raise ValueError(f"checks.columns.{name}: there is no such column{nearest(name, known)}")
        if name in columns and not columns[name].stored and each.null_share is not None:
            raise ValueError(
                f"checks.columns.{name}.null_share: the column is not stored; remove stored, or null_share"
            )
        if name == geometry and each.model_fields_set - {"null_share", "failing"}:
            raise ValueError(f"checks.columns.{name}: of a geometry null_share alone is checked; remove the rest")


def _check_unique(rule: Rule, columns: Mapping[str, Column], key: Collection[str]) -> None:
    for name in rule.columns:
        if not columns[name].stored:
            raise ValueError(f"{rule.key}: {name!r} is not stored, so that rows of two loads cannot be compared")
    if len(set(rule.columns)) != len(rule.columns):
        raise ValueError(f"{rule.key}: names a column twice")
    if set(rule.columns) == set(key):
        raise ValueError(f"{rule.key}: ({', '.join(rule.columns)}) is the key, which repeats in no table; remove it")


def _check_values(rule: Rule, column: Column) -> None:
    base = column.sql_type.base
    if rule.kind == "pattern":
        _check_pattern(rule, column)
        return
    if rule.kind == "range":
        if base not in NUMBERS | TIMES:
            raise ValueError(
                f"{rule.key}: is of numbers, days and moments, and the column is {column.type}; use accepted or pattern"
            )
        ends: dict[str, Any] = {}
        for end, value in rule.value:
            if value is not None:
                ends[end] = _typed(f"{rule.key}.{end}", value, column)
        if len(ends) == 2 and ends["least"] > ends["most"]:
            raise ValueError(f"{rule.key}: least = {rule.value.least} is above most = {rule.value.most}; swap them")
        return
    if base == "jsonb":
        raise ValueError(f"{rule.key}: documents are not compared, and the column is jsonb; remove it")
    for value in rule.value:
        _typed(rule.key, value, column)


def _check_pattern(rule: Rule, column: Column) -> None:
    if column.sql_type.base not in TEXTS:
        raise ValueError(f"{rule.key}: matches texts, and the column is {column.type}; use range or accepted")
    if column.expression is not None:
        raise ValueError(
            f"{rule.key}: PostgreSQL computes the column, and its patterns are of another kind; match the columns that "
            f"it is made of"
        )


def _typed(where: str, value: object, column: Column) -> object:
    try:
        return typed(value, column.sql_type)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
