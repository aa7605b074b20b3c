"""A condition over one row that somebody wrote into a table's file: judged, and spelled anew from what was judged.

Only what is known to read nothing but the row, and to do nothing, may stand in it: each kind of the parser's nodes that
may is named here, and all others are refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from sluiceway.errors import nearest, shortened
from sluiceway.sources.services.sql_code import POSTGRES, TOO_DEEP, NotOneSelectError, condition_tree
from sluiceway.tables.expression import FUNCTIONS

if TYPE_CHECKING:
    from sqlglot import exp

AN_EXAMPLE = "such as ends_at >= begins_at"
_PARTS = re.compile(
    r"Add|AtTimeZone|Between|Boolean|Column|DPipe|DataType|DataTypeParam|Div|EQ|Escape|GT|GTE|ILike|Identifier|In|IntDiv"
    r"|Interval|Is|LT|LTE|Like|Literal|Mod|Mul|NEQ|Neg|Not|Null|NullSafeEQ|NullSafeNEQ|Paren|Sub|Tuple|Var"
)
_CALLS = re.compile(
    r"Abs|And|Case|Cast|Ceil|Coalesce|Concat|CurrentDate|CurrentTimestamp|Extract|Floor|Greatest|If|Initcap|Least|Left"
    r"|Length|Lower|Nullif|Or|Pow|Right|Round|Sign|SplitPart|Sqrt|StDistance|StPoint|StartsWith|StrPosition|Substring"
    r"|TimeFromParts|TimestampFromParts|TimestampTrunc|Trim|Trunc|Upper"
)
"""The parser's names of what a row's condition may be made of, and may call."""
_FUNCTIONS = re.compile(
    r"age|isfinite|make_date|num_nonnulls|num_nulls|octet_length|st_(area|centroid|contains|coveredby|covers|dwithin"
    r"|endpoint|geometrytype|intersects|isclosed|isempty|issimple|isvalid|length|makeenvelope|npoints|numgeometries"
    r"|numpoints|perimeter|setsrid|srid|startpoint|within|[xy](max|min)?|z)"
)
"""Functions that it does not know by a name of its own."""
_ARGUMENTS_MATTER = frozenset({"regexp_replace", "regexp_match", "lpad", "rpad", "substring"})
"""Of these tables/expression.py judges what they are given."""
_TYPES = re.compile(
    r"text|varchar|smallint|int|bigint|decimal|float|double|boolean|date|timestamp|timestamptz|interval|uuid"
)
"""To which a value may be cast there."""


class RowCondition(NamedTuple):
    """A condition over one row, as PostgreSQL is asked it."""

    sql: str
    """Spelled anew from what was judged, each column in quotes."""
    columns: tuple[str, ...]
    """Those that it names, each once."""


def row_condition(text: str, columns: Collection[str]) -> RowCondition:
    """A condition of PostgreSQL that a row's own columns decide: it calls nothing that asks for, or does, more.

    :param columns: those of the row.
    :raises NotOneSelectError: it is no such condition, and why.
    """
    from sqlglot import exp

    condition = condition_tree(text)
    if condition is None:
        raise NotOneSelectError(f"is empty; write a condition {AN_EXAMPLE}")
    named: dict[str, None] = {}
    for node in condition.walk(bfs=False):
        _check_part(node)
        if isinstance(node, exp.Column):
            named[_column(node, columns)] = None
    if not isinstance(
        condition, exp.Predicate | exp.Connector | exp.Not | exp.Paren | exp.Column | exp.Func | exp.Escape
    ):
        raise NotOneSelectError("is no condition; write one that is true or false, such as ends_at >= begins_at")
    if not named:
        raise NotOneSelectError("names no column of the table")
    for column in condition.find_all(exp.Column):
        column.set("this", exp.to_identifier(_folded(column.this), quoted=True))
    try:
        spelled = condition.sql(POSTGRES, comments=False)
    except RecursionError as error:
        raise NotOneSelectError(f"is no condition that can be read: {TOO_DEEP}") from error
    return RowCondition(spelled, tuple(named))


def _check_part(node: exp.Expr) -> None:
    from sqlglot import exp

    kind = type(node).__name__
    if isinstance(node, exp.Query | exp.Exists):
        raise NotOneSelectError("holds a SELECT; a row is judged by its own columns alone")
    if isinstance(node, exp.RegexpLike | exp.RegexpILike | exp.SimilarTo):
        raise NotOneSelectError("matches a regular expression; write that as the pattern of [checks.columns.<column>]")
    if isinstance(node, exp.Func):
        name = str(node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
        computes = name in FUNCTIONS - _ARGUMENTS_MATTER
        if not computes and not _FUNCTIONS.fullmatch(name) and not _CALLS.fullmatch(kind):
            raise NotOneSelectError(f"calls {name}, {_why_not(node)}")
    elif not _PARTS.fullmatch(kind):
        raise NotOneSelectError(f"holds {shortened(node.sql(POSTGRES))!r}, which no check can have")
    if isinstance(node, exp.DataType) and not _TYPES.fullmatch(node.this.value.lower()):
        raise NotOneSelectError(f"casts to {node.sql(POSTGRES)}, to which no check can")


def _why_not(call: exp.Func) -> str:
    from sqlglot import exp

    if isinstance(call, exp.AggFunc):
        return "which needs many rows, and a condition sees one"
    return (
        "which is none of the functions that a check may call; compute it in a column of its own, by expression and "
        "stored = false"
    )


def _column(node: exp.Column, columns: Collection[str]) -> str:
    name = _folded(node.this)
    if len(node.parts) > 1:
        raise NotOneSelectError(f"names {node.sql(POSTGRES)}; write a column's name alone")
    if name not in columns:
        raise NotOneSelectError(f"names {name!r}, which is no column of this table{nearest(name, columns)}")
    return name


def _folded(name: exp.Expr) -> str:
    """As PostgreSQL reads it."""
    return str(name.name) if name.args.get("quoted") else str(name.name).lower()
