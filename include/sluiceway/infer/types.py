"""The type of each column, from all of its values: what the loader will cast without a reject, and no more than that.

A text that could be a number and is none, such as a code with leading zeros, stays a text. Where two readings of a date
are possible, it stays a text, and a remark says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from sluiceway.infer.money import amounts, amounts_by_own_marks
from sluiceway.infer.nearly import nearly
from sluiceway.infer.text_types import (
    CODES,
    DATE_LIKE,
    DIGITS_DATE,
    FALSE,
    HALF,
    LIKELY_NULLS,
    NUMBER_LIKE,
    SURE_NULLS,
    TRUE,
    UUID,
    ColumnType,
    Look,
    Question,
    boolean,
    date,
    document,
    integer_type,
    number,
    number_pattern,
)
from sluiceway.infer.values import SourceColumn, Values, literal
from sluiceway.tables.column import Column
from sluiceway.tables.source_spec import TextValues

MOST_NULL_TEXTS = 5
SHOWN = 3
"""Values in a remark."""


# what the loader's marks allow in a number, and no more: 1,5 is not 15 only because the comma separates thousands
_MARKS: tuple[tuple[str, str | None], ...] = (
    (".", None),
    (",", None),
    (".", ","),
    (",", "."),
    (",", "\u00a0"),
    (",", "\u202f"),
    (",", " "),
    (".", "\u00a0"),
    (".", "\u202f"),
    (".", " "),
    (".", "'"),
    (".", "\u2019"),
)


@dataclass
class Types:
    """The types of all columns, and how their texts are to be read."""

    columns: dict[str, ColumnType] = field(default_factory=dict)
    """Column of the source -> its type; without those that cannot be loaded."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Column of the source -> why it cannot be loaded."""
    marks: TextValues = field(default_factory=TextValues)


def find_types(
    values: Values,
    *,
    untyped: bool,
    null: tuple[str, ...],
    names: Mapping[str, str],
    said: Mapping[str, str] | None = None,
) -> Types:
    """The type of every column.

    :param untyped: whether the source has texts only, so that a text may stand for a number.
    :param said: column of the source -> its family as the source has it; texts of one of numbers or of times are
        what its characters were where they did not fit.
    :param null: the texts that mean null by default.
    :param names: column of the source -> name in the warehouse.
    """
    types = Types(marks=TextValues(null=null))
    said = said or {}
    texts, own = [], dict[str, tuple[str, ...]]()
    for column in values.columns.values():
        if column.family == "text":
            texts.append(column)
        else:
            _from_arrow(types, column, values)
    looks = {column.name: _look(values, column, null) for column in texts}
    spelled = [column for column in texts if untyped or said.get(column.name) == "number"]
    if spelled:
        numeric = [column for column in spelled if looks[column.name].numbers >= HALF]
        dated = [column for column in spelled if looks[column.name].dates >= HALF]
        types.marks = _marks(values, numeric, null)
        types.marks, own = _with_null_texts(values, texts, numeric, dated, types.marks)
        looks |= {
            column.name: _look(values, column, (*types.marks.null, *own.get(column.name, ())))
            for column in (*numeric, *dated)
        }
    for column in texts:
        nothing = own.get(column.name, ())
        marks = types.marks.model_copy(update={"null": (*types.marks.null, *nothing)})
        found = _from_text(values, column, looks[column.name], marks, names[column.name], untyped=column in spelled)
        if found.type == "text" and nothing:
            # it is no number after all, so that they may be values
            found = _from_text(
                values, column, looks[column.name], types.marks, names[column.name], untyped=column in spelled
            )
        elif nothing:
            found.null = nothing
        has_values = found.nulls < values.rows
        if has_values and found.type == "text" and (money := _amounts(values, column, types.marks)) is not None:
            money.nulls += found.nulls
            found = money
        if has_values and found.type == "text" and found.remark is None:
            found.remark = _misfits(values, column, said.get(column.name), types.marks)
            if found.remark is None and column in spelled:
                given = _given(column, types.marks.null)
                question = Question(values, column, types.marks, given, values.rows - found.nulls)
                found.remark = nearly(question, looks[column.name])
        types.columns[column.name] = found
    # in the order of the source
    types.columns = {name: types.columns[name] for name in values.columns if name in types.columns}
    return types


def _amounts(values: Values, column: SourceColumn, marks: TextValues) -> ColumnType | None:
    given = _given(column, marks.null)
    return amounts(values, column, marks, given) or amounts_by_own_marks(values, column, marks, given)


def _misfits(values: Values, column: SourceColumn, said: str | None, marks: TextValues) -> str | None:
    """What of a column that the source calls one of numbers or of dates is none."""
    if said not in {"number", "time"}:
        return None
    pattern = number_pattern(marks.decimal, marks.thousands) if said == "number" else r"\d{4}-\d{2}-\d{2}"
    where = f"{_given(column, marks.null)} AND NOT regexp_full_match(trim({column.sql}), {literal(pattern)})"
    found = values.counts(column.sql, where=where, limit=SHOWN)
    if not found:
        return None
    what = "numbers" if said == "number" else "dates"
    shown = ", ".join(repr(value[:30]) for value, _ in found)
    one = "number" if said == "number" else "date"
    return f"a column of {what} by its file, and some are no {one}, such as {shown}; declared as {one} they are rejects"


def _from_arrow(types: Types, column: SourceColumn, values: Values) -> None:
    """A column whose values have a type of their own."""
    filled = int(str(values.ask([f"count({column.sql})"])[0]))
    nulls = values.rows - filled
    kinds = [each for each in column.types.values() if not pa.types.is_null(each)]
    if column.family == "binary":
        types.left_out[column.name] = "its values are bytes"
        return
    if column.family == "number":
        found = _of_numbers(column, kinds, values)
    elif column.family == "boolean":
        found = "boolean"
    elif column.family == "time":
        found = _of_times(column, kinds, values)
    else:
        found = "jsonb"
    types.columns[column.name] = ColumnType(found, nulls=nulls)


def _of_numbers(column: SourceColumn, kinds: list[pa.DataType], values: Values) -> str:
    decimals = [kind for kind in kinds if pa.types.is_decimal(kind)]
    if decimals:
        widest = max(decimals, key=lambda kind: kind.precision)
        return (
            f"numeric({widest.precision},{widest.scale})" if widest.precision <= 38 and widest.scale >= 0 else "numeric"
        )
    if all(pa.types.is_integer(kind) for kind in kinds):
        low, high = values.ask([f"min({column.sql}::HUGEINT)", f"max({column.sql}::HUGEINT)"])
        return integer_type(low, high)
    return "double precision"


def _of_times(column: SourceColumn, kinds: list[pa.DataType], values: Values) -> str:
    if all(pa.types.is_date(kind) for kind in kinds):
        return "date"
    if not all(pa.types.is_timestamp(kind) or pa.types.is_date(kind) for kind in kinds):
        return "text"
    if any(pa.types.is_timestamp(kind) and kind.tz is not None for kind in kinds):
        return "timestamptz"
    timed = values.ask([f"count(*) FILTER ({column.sql} NOT LIKE '% 00:00:00' AND length({column.sql}) > 10)"])[0]
    return "timestamp" if timed or not values.rows else "date"


def _look(values: Values, column: SourceColumn, null: tuple[str, ...]) -> Look:
    text = f"trim({column.sql})"
    given = _given(column, null)
    booleans = ", ".join(map(literal, (*TRUE, *FALSE)))
    tests = [
        f"regexp_full_match({text}, {literal(NUMBER_LIKE)})",
        f"regexp_full_match({text}, {literal(DATE_LIKE)})",
        f"regexp_full_match({text}, {literal(UUID)})",
        f"regexp_full_match({text}, {literal('(?s)[{].*[}]|[[].*[]]')})",
        f"regexp_full_match({text}, {literal(DIGITS_DATE)})",
        f"lower({text}) IN ({booleans})",
    ]
    found = values.ask(["count(*)", *(f"count(*) FILTER ({test})" for test in tests)], where=given, sample=True)
    total, *shares = (int(str(each)) for each in found)
    filled = int(str(values.ask(["count(*)"], where=given)[0])) if values.are_sampled else total
    return Look(filled, *(share / total if total else 0.0 for share in shares))


def _given(column: SourceColumn, null: Iterable[str]) -> str:
    """The condition for a row to have a value."""
    listed = ", ".join(literal(text) for text in null)
    return f"{column.sql} IS NOT NULL" + (f" AND {column.sql} NOT IN ({listed})" if listed else "")


def _marks(values: Values, numeric: list[SourceColumn], null: tuple[str, ...]) -> TextValues:
    """The decimal mark and the separator of thousands by which most columns are numbers."""
    best: tuple[int, tuple[str, str | None]] = (-1, _MARKS[0])
    nothing = ", ".join(literal(text) for text in (*SURE_NULLS, *LIKELY_NULLS))
    for decimal, thousands in _MARKS:
        count = 0
        for column in numeric:
            text = f"trim({column.sql})"
            matches = f"regexp_full_match({text}, {literal(number_pattern(decimal, thousands))})"
            others = values.ask([f"count(*) FILTER (NOT {matches} AND {text} NOT IN ({nothing}))"])[0]
            count += not others
        if count > best[0]:
            best = (count, (decimal, thousands))
        if count == len(numeric):
            break
    decimal, thousands = best[1]
    if (decimal, thousands) == (",", None) and _all_grouped(values, numeric, null):
        # 23,288 twice over: every comma stands before three digits
        decimal, thousands = ".", ","
    return TextValues(null=null, decimal=decimal, thousands=thousands)


def _all_grouped(values: Values, numeric: list[SourceColumn], null: tuple[str, ...]) -> bool:
    for column in numeric:
        text = f"trim({column.sql})"
        odd = f"contains({text}, ',') AND NOT regexp_full_match({text}, '[+-]?[1-9][0-9]{{0,2}},[0-9]{{3}}')"
        if values.ask([f"count(*) FILTER ({odd})"], where=_given(column, null))[0]:
            return False
    return True


def _with_null_texts(
    values: Values,
    texts: list[SourceColumn],
    numeric: list[SourceColumn],
    dated: list[SourceColumn],
    marks: TextValues,
) -> tuple[TextValues, dict[str, tuple[str, ...]]]:
    """With the texts that stand for null in columns of numbers or dates.

    :returns: those of all columns, and by column of the source those that may be values in another one.
    """
    known = frozenset({*SURE_NULLS, *LIKELY_NULLS})
    found: dict[str, None] = {}
    of_column: dict[str, list[str]] = {}
    number = literal(number_pattern(marks.decimal, marks.thousands))
    typed = []
    for column in {column.name: column for column in (*numeric, *dated)}.values():
        text = f"trim({column.sql})"
        odd = f"NOT regexp_full_match({text}, {number}) AND NOT regexp_full_match({text}, {literal(DATE_LIKE)})"
        where = f"{_given(column, marks.null)} AND {odd}"
        others = [value for value, _ in values.counts(column.sql, where=where, limit=MOST_NULL_TEXTS + 1)]
        if len(others) <= MOST_NULL_TEXTS and all(other.strip() in known for other in others):
            typed.append(column)
            of_column[column.name] = others
            found |= dict.fromkeys(others)
    elsewhere = [column for column in texts if column not in typed]
    for value in list(found):
        if any(_is_value_in(values, column, value) for column in elsewhere):
            del found[value]
    own = {name: tuple(value for value in others if value not in found) for name, others in of_column.items()}
    return marks.model_copy(update={"null": tuple(dict.fromkeys((*marks.null, *found)))}), own


def _is_value_in(values: Values, column: SourceColumn, text: str) -> bool:
    """Whether `text`, which stands for null among numbers, may be a value of this column of texts."""
    if text in SURE_NULLS and text != "NA":
        return False
    codes = f"regexp_full_match({column.sql}, {literal(CODES)})"
    said, filled, like = (
        int(str(each))
        for each in values.ask(
            [f"count(*) FILTER ({column.sql} = {literal(text)})", f"count({column.sql})", f"count(*) FILTER ({codes})"]
        )
    )
    return bool(said) and (text != "NA" or like >= HALF * filled)


def _from_text(
    values: Values, column: SourceColumn, look: Look, marks: TextValues, name: str, *, untyped: bool
) -> ColumnType:
    given = _given(column, marks.null)
    filled = int(str(values.ask(["count(*)"], where=given)[0]))
    nulls = values.rows - filled
    found = None
    if filled:
        question = Question(values, column, marks, given, filled)
        found = date(question, look, name)
        if found is None and look.uuids == 1 and question.casts(Column(type="uuid")):
            found = ColumnType("uuid")
        if found is None and untyped:
            found = boolean(question, look) or number(question, look, name) or document(question, look)
    elif values.rows:
        found = ColumnType("text", remark="has no value in any row")
    found = found or ColumnType("text")
    found.nulls = nulls
    return found
