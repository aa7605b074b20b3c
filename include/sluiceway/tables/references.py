"""Whether the tables and columns to which a table's checks refer are there, as far as files can tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sluiceway.errors import nearest
from sluiceway.tables.column import NUMBERS, Column
from sluiceway.tables.fitting import TEXTS, TIMES
from sluiceway.tables.spec import TableSpec


def wrong_references(spec: TableSpec, tables: Mapping[str, TableSpec], broken: Collection[str] = ()) -> list[str]:
    """What is wrong with the tables and columns to which a table refers, a sentence each.

    :param tables: all that the deployment has a file of.
    :param broken: those whose file is wrong: nothing is said of them here.
    """
    found = []
    for rule in spec.checks.rules("references"):
        table, _, column = rule.value.partition(".")
        if table not in broken and (said := _wrong_reference(spec, rule.columns[0], tables, table, column)):
            found.append(f"{rule.key} = {rule.value!r}: {said}")
    return found


def _wrong_reference(
    spec: TableSpec, name: str, tables: Mapping[str, TableSpec], table: str, column: str
) -> str | None:
    other = tables.get(table)
    if other is None:
        return f"there is no table {table!r}{nearest(table, set(tables) - {spec.name})}"
    if other.target != "postgresql":
        return f"{table} goes to BigQuery (target), and a check looks into PostgreSQL; remove it"
    if column not in other.columns:
        return f"{table} has no column {column!r}{nearest(column, other.columns)}"
    own, its = spec.columns[name], other.columns[column]
    if _family(own) != _family(its):
        return f"{column} is {its.type} and {name} is {own.type}, which are not compared; give both one type"
    return None


def _family(column: Column) -> str:
    base = column.sql_type.base
    families = {"number": NUMBERS, "time": TIMES, "text": TEXTS}
    return next((name for name, bases in families.items() if base in bases), base)
