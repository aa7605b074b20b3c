"""The type of each column, from all of its values: what the loader will cast without a reject, and no more than that.

A text that could be a number and is none, such as a code with leading zeros, stays a text. Where two readings of a date
are possible, it stays a text, and a remark says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product

import pyarrow as pa

from sluiceway.infer.values import SourceColumn, Values, literal
from sluiceway.load.cast import cast_of_text
from sluiceway.tables.source_spec import TextValues
from sluiceway.tables.spec import Column

LARGEST_INTEGER = 2**31 - 1
LARGEST_BIGINT = 2**63 - 1
MOST_NULL_TEXTS = 5
EXACT_DIGITS = 15
"""A double keeps so many digits of any number."""
HALF = 0.5

SURE_NULLS = ("", "NULL", "null", "Null", "N/A", "n/a", "#N/A", "NA", "NaN", "nan", r"\N", "(null)", "<null>", "<NA>")
"""Texts that stand for null wherever they stand among numbers or dates."""
LIKELY_NULLS = (
    *("-", "--", "---", ".", "..", "...", "?", "*", "n.a.", "N.A.", "n.d.", "nd", "ND", "None", "none", "nil"),
    *("missing", "Missing", "unknown", "Unknown", "not available", "Not Available", "#VALUE!", "#DIV/0!", "#REF!"),
)
"""Among numbers they stand for null; in a text they may be a value."""
_ALSO_VALUES = frozenset({"None", "none", "nil", "nd", "ND", "missing", "Missing", "unknown", "Unknown"})
"""In a text they may be meant."""
_CODES = "[A-Z]{2}"
"""NA is Namibia, and Sodium, among codes of two letters."""

_CODE_NAME = re.compile(
    r"(^|_)(zip|zipcode|zip_code|zip5|postal|postcode|postal_code|plz|phone|telephone|tel|fax|fips|geoid|ssn|isbn|ean|gtin)\d*(_|$)"
)
_DATE_NAME = re.compile(
    r"(^|_)(date|day|dat|datum|fecha|jour|dato|dag|giorno|dt|at|on|created|updated|modified|time|timestamp)(_|\d|$)"
)

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
_NUMBER_LIKE = (
    r"[+-]?[0-9][0-9., '\x{00a0}\x{202f}\x{2019}]*([eE][+-]?[0-9]{1,3})?|[+-]?[.,][0-9]+([eE][+-]?[0-9]{1,3})?"
)
_DATE_LIKE = r"(?i)\d{1,4}[-/. ]([a-z]{3,9}\.?|\d{1,2})[-/., ]+\d{1,4}.*|[a-z]{3,9}\.? \d{1,2},? \d{4}.*"
_DIGITS_DATE = r"\d{7,8}"
_UUID = r"\{?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?"
_ZONE = r".*[T ]\d{1,2}:\d{2}.*(Z|z|[+-]\d{2}(:?\d{2})?)"
_TRUE, _FALSE = ("true", "t", "yes", "y"), ("false", "f", "no", "n")

_DAYS = (
    *("%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%d %m %Y"),
    *("%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y"),
    *("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%B %d %Y", "%d-%b-%y", "%d/%b/%Y"),
)
_TIMES_OF_DAY = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S")
FORMATS = tuple(day + time for day, time in product(_DAYS, _TIMES_OF_DAY))
DIGIT_FORMATS = ("%Y%m%d", "%m%d%Y", "%d%m%Y")
_SHAPES = {
    "%Y": r"[0-9]{4}",
    "%y": r"[0-9]{2}",
    "%m": r"[0-9]{1,2}",
    "%d": r"[0-9]{1,2}",
    "%H": r"[0-9]{1,2}",
    "%I": r"[0-9]{1,2}",
    "%M": r"[0-9]{2}",
    "%S": r"[0-9]{2}",
    "%f": r"[0-9]{1,6}",
    "%p": r"[AaPp][Mm]",
    "%b": r"[A-Za-z]{3}",
    "%B": r"[A-Za-z]{3,9}",
}


@dataclass
class ColumnType:
    """What a column is to be in the warehouse."""

    type: str
    format: str | None = None
    remark: str | None = None
    """What a person has to decide about it."""
    nulls: int = 0
    """Rows without a value."""


@dataclass
class Types:
    """The types of all columns, and how their texts are to be read."""

    columns: dict[str, ColumnType] = field(default_factory=dict)
    """Column of the source -> its type; without those that cannot be loaded."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Column of the source -> why it cannot be loaded."""
    marks: TextValues = field(default_factory=TextValues)


def find_types(values: Values, *, untyped: bool, null: tuple[str, ...], names: Mapping[str, str]) -> Types:
    """The type of every column.

    :param untyped: whether the source has texts only, so that a text may stand for a number.
    :param null: the texts that mean null by default.
    :param names: column of the source -> name in the warehouse.
    """
    types = Types(marks=TextValues(null=null))
    texts = []
    for column in values.columns.values():
        if column.family == "text":
            texts.append(column)
        else:
            _from_arrow(types, column, values)
    looks = {column.name: _look(values, column, null) for column in texts}
    if untyped:
        numeric = [column for column in texts if looks[column.name].numbers >= HALF]
        dated = [column for column in texts if looks[column.name].dates >= HALF]
        types.marks = _marks(values, numeric, null)
        types.marks = _with_null_texts(values, texts, numeric, dated, types.marks)
        looks |= {column.name: _look(values, column, types.marks.null) for column in (*numeric, *dated)}
    for column in texts:
        types.columns[column.name] = _from_text(
            values, column, looks[column.name], types.marks, names[column.name], untyped=untyped
        )
    # in the order of the source
    types.columns = {name: types.columns[name] for name in values.columns if name in types.columns}
    return types


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
        return _integer_type(low, high)
    return "double precision"


def _integer_type(low: object, high: object) -> str:
    largest = max(abs(int(str(low or 0))), abs(int(str(high or 0))))
    if largest <= LARGEST_INTEGER:
        return "integer"
    return "bigint" if largest <= LARGEST_BIGINT else "numeric"


def _of_times(column: SourceColumn, kinds: list[pa.DataType], values: Values) -> str:
    if all(pa.types.is_date(kind) for kind in kinds):
        return "date"
    if not all(pa.types.is_timestamp(kind) or pa.types.is_date(kind) for kind in kinds):
        return "text"
    if any(pa.types.is_timestamp(kind) and kind.tz is not None for kind in kinds):
        return "timestamptz"
    timed = values.ask([f"count(*) FILTER ({column.sql} NOT LIKE '% 00:00:00' AND length({column.sql}) > 10)"])[0]
    return "timestamp" if timed or not values.rows else "date"


@dataclass(frozen=True)
class _Look:
    """The first look at a column of texts, in a sample."""

    filled: int
    """Values, in all rows."""
    numbers: float
    """The share of values, in the sample, that look like a number."""
    dates: float
    uuids: float
    documents: float
    """That begin and end as a JSON object or array."""
    digits: float
    """That are the digits of a date."""
    booleans: float


def _look(values: Values, column: SourceColumn, null: tuple[str, ...]) -> _Look:
    text = f"trim({column.sql})"
    given = _given(column, null)
    booleans = ", ".join(map(literal, (*_TRUE, *_FALSE)))
    tests = [
        f"regexp_full_match({text}, {literal(_NUMBER_LIKE)})",
        f"regexp_full_match({text}, {literal(_DATE_LIKE)})",
        f"regexp_full_match({text}, {literal(_UUID)})",
        f"regexp_full_match({text}, {literal('(?s)[{].*[}]|[[].*[]]')})",
        f"regexp_full_match({text}, {literal(_DIGITS_DATE)})",
        f"lower({text}) IN ({booleans})",
    ]
    filled = values.ask(["count(*)"], where=given)[0]
    found = values.ask(["count(*)", *(f"count(*) FILTER ({test})" for test in tests)], where=given, sample=True)
    total, *shares = (int(str(each)) for each in found)
    return _Look(int(str(filled)), *(share / total if total else 0.0 for share in shares))


def _given(column: SourceColumn, null: Iterable[str]) -> str:
    """The condition for a row to have a value."""
    listed = ", ".join(literal(text) for text in null)
    return f"{column.sql} IS NOT NULL" + (f" AND {column.sql} NOT IN ({listed})" if listed else "")


def _number_pattern(decimal: str, thousands: str | None) -> str:
    """A number whose marks are these, where they may stand."""
    whole = "[0-9]+"
    if thousands is not None:
        whole = f"([0-9]+|[0-9]{{1,3}}([{thousands}][0-9]{{3}})+)"
    return f"[+-]?({whole}([{decimal}][0-9]*)?|[{decimal}][0-9]+)([eE][+-]?[0-9]{{1,3}})?"


def _marks(values: Values, numeric: list[SourceColumn], null: tuple[str, ...]) -> TextValues:
    """The decimal mark and the separator of thousands by which most columns are numbers."""
    best: tuple[int, tuple[str, str | None]] = (-1, _MARKS[0])
    nothing = ", ".join(literal(text) for text in (*SURE_NULLS, *LIKELY_NULLS))
    for decimal, thousands in _MARKS:
        count = 0
        for column in numeric:
            text = f"trim({column.sql})"
            matches = f"regexp_full_match({text}, {literal(_number_pattern(decimal, thousands))})"
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
) -> TextValues:
    """With the texts that stand for null in columns of numbers or dates, where they are no values elsewhere."""
    known = frozenset({*SURE_NULLS, *LIKELY_NULLS})
    found: dict[str, None] = {}
    number = literal(_number_pattern(marks.decimal, marks.thousands))
    typed = []
    for column in {column.name: column for column in (*numeric, *dated)}.values():
        text = f"trim({column.sql})"
        odd = f"NOT regexp_full_match({text}, {number}) AND NOT regexp_full_match({text}, {literal(_DATE_LIKE)})"
        where = f"{_given(column, marks.null)} AND {odd}"
        others = [value for value, _ in values.counts(column.sql, where=where, limit=MOST_NULL_TEXTS + 1)]
        if len(others) <= MOST_NULL_TEXTS and all(other.strip() in known for other in others):
            typed.append(column)
            found |= dict.fromkeys(others)
    elsewhere = [column for column in texts if column not in typed]
    for value in list(found):
        if any(_is_value_in(values, column, value) for column in elsewhere):
            del found[value]
    return marks.model_copy(update={"null": tuple(dict.fromkeys((*marks.null, *found)))})


def _is_value_in(values: Values, column: SourceColumn, text: str) -> bool:
    """Whether `text`, which stands for null among numbers, may be a value of this column of texts."""
    if text not in _ALSO_VALUES and text != "NA":
        return False
    codes = f"regexp_full_match({column.sql}, {literal(_CODES)})"
    said, filled, like = (
        int(str(each))
        for each in values.ask(
            [f"count(*) FILTER ({column.sql} = {literal(text)})", f"count({column.sql})", f"count(*) FILTER ({codes})"]
        )
    )
    return bool(said) and (text in _ALSO_VALUES or like >= HALF * filled)


def _from_text(
    values: Values, column: SourceColumn, look: _Look, marks: TextValues, name: str, *, untyped: bool
) -> ColumnType:
    given = _given(column, marks.null)
    filled = int(str(values.ask(["count(*)"], where=given)[0]))
    nulls = values.rows - filled
    found = None
    if filled:
        question = _Question(values, column, marks, given, filled)
        found = _date(question, look, name)
        if found is None and look.uuids == 1 and question.casts(Column(type="uuid")):
            found = ColumnType("uuid")
        if found is None and untyped:
            found = _boolean(question, look) or _number(question, look, name) or _document(question, look)
    elif values.rows:
        found = ColumnType("text", remark="has no value in any row")
    found = found or ColumnType("text")
    found.nulls = nulls
    return found


@dataclass(frozen=True)
class _Question:
    """Asks about all values of one column."""

    values: Values
    column: SourceColumn
    marks: TextValues
    given: str
    filled: int

    def casts(self, column: Column) -> bool:
        """Whether the loader casts every value."""
        cast = cast_of_text(self.column.sql, column, self.marks)
        return not self.values.ask([f"count(*) FILTER (({cast}) IS NULL)"], where=self.given)[0]

    def matches(self, pattern: str) -> int:
        """How many values look like this."""
        test = f"regexp_full_match(trim({self.column.sql}), {literal(pattern)})"
        return int(str(self.values.ask([f"count(*) FILTER ({test})"], where=self.given)[0]))

    def others(self, pattern: str) -> list[tuple[str, int]]:
        """The commonest values that do not look like this."""
        test = f"NOT regexp_full_match(trim({self.column.sql}), {literal(pattern)})"
        return self.values.counts(self.column.sql, where=f"{self.given} AND {test}", limit=3)


def _boolean(question: _Question, look: _Look) -> ColumnType | None:
    if look.booleans < 1:
        return None
    words = {word for word, _ in question.values.counts(f"lower(trim({question.column.sql}))", where=question.given)}
    both = bool(words & {*_TRUE}) and bool(words & {*_FALSE})
    if words <= {*_TRUE, *_FALSE} and (both or words <= {"true", "false"}):
        return ColumnType("boolean")
    return None


def _number(question: _Question, look: _Look, name: str) -> ColumnType | None:
    if look.numbers < HALF:
        return None
    pattern = _number_pattern(question.marks.decimal, question.marks.thousands)
    others = question.others(pattern)
    if others:
        odd = question.filled - question.matches(pattern)
        if odd * 20 <= question.filled:
            shown = ", ".join(repr(value[:30]) for value, _ in others)
            return ColumnType("text", remark=f"{odd:,} of {question.filled:,} values are no number, such as {shown}")
        return None
    if question.matches(r"[+-]?0[0-9].*"):
        return ColumnType("text", remark="a code: some values have leading zeros")
    if question.matches(r"\+.*"):
        return ColumnType("text", remark="some values begin with +")
    whole = Column(type="bigint")
    marks = question.marks
    if not question.matches(f".*([{marks.decimal}]|[eE]).*"):
        if _CODE_NAME.search(name):
            return ColumnType("text", remark="a code by its name; if it is a number, declare integer")
        if not question.casts(whole):
            return ColumnType("text", remark="some values are larger than a bigint; numeric takes them")
        cast = cast_of_text(question.column.sql, whole, marks)
        low, high = question.values.ask([f"min({cast})", f"max({cast})"], where=question.given)
        return ColumnType(_integer_type(low, high), remark=_grouping_remark(question))
    return _fraction(question)


def _grouping_remark(question: _Question) -> str | None:
    mark = question.marks.thousands
    if mark not in {",", "."} or question.matches(f".*[{mark}][0-9]{{3}}[{mark}].*"):
        return None
    if question.matches(f".*[{mark}].*"):
        return f"the {mark!r} is read as separator of thousands (source.thousands), not as decimal mark"
    return None


def _fraction(question: _Question) -> ColumnType | None:
    """A number with a fraction: exact where all have the same few decimals, as amounts of money do."""
    marks, text = question.marks, f"trim({question.column.sql})"
    decimals = f"length(split_part({text}, {literal(marks.decimal)}, 2))"
    digits = f"length(ltrim(regexp_replace(regexp_replace({text}, '[eE].*', ''), '[^0-9]', '', 'g'), '0'))"
    few, many, most = question.values.ask(
        [f"min({decimals})", f"max({decimals})", f"max({digits})"], where=question.given
    )
    exponents = question.matches(".*[eE].*")
    exact = not exponents and (int(str(most)) > EXACT_DIGITS + 2 or (few == many and 1 <= int(str(many)) <= 4))
    found = "numeric" if exact else "double precision"
    return ColumnType(found) if question.casts(Column(type=found)) else None


def _document(question: _Question, look: _Look) -> ColumnType | None:
    if look.documents == 1 and question.casts(Column(type="jsonb")):
        return ColumnType("jsonb")
    return None


def _date(question: _Question, look: _Look, name: str) -> ColumnType | None:
    if look.dates == 1:
        return _iso(question) or _formatted(question, FORMATS)
    if look.digits == 1 and _DATE_NAME.search(name):
        found = _formatted(question, DIGIT_FORMATS)
        if found is not None and found.format is not None:
            found.remark = "a date by its name; if it is a number, declare integer"
            return found
    return None


def _iso(question: _Question) -> ColumnType | None:
    if question.casts(Column(type="date")):
        return ColumnType("date")
    zoned = question.matches(_ZONE)
    if zoned == question.filled and question.casts(Column(type="timestamptz")):
        return ColumnType("timestamptz")
    if not question.casts(Column(type="timestamp")):
        return None
    if zoned:
        return ColumnType(
            "text", remark=f"{zoned:,} of {question.filled:,} times name their zone; timestamptz reads the rest as UTC"
        )
    return ColumnType("timestamp", remark="the times name no zone; if they are in UTC, declare timestamptz")


def _formatted(question: _Question, formats: Iterable[str]) -> ColumnType | None:
    fitting = []
    for format_ in formats:
        if question.matches(_shape(format_)) < question.filled:
            continue
        timed = "%H" in format_ or "%I" in format_
        for type_ in ("date", "timestamp") if timed else ("date",):
            if question.casts(Column(type=type_, format=format_)):
                fitting.append((format_, type_))
                break
    if not fitting:
        return None
    if len({format_ for format_, _ in fitting}) > 1:
        listed = " or ".join(format_ for format_, _ in fitting[:3])
        what = "a timestamp" if fitting[0][1] == "timestamp" else "a date"
        return ColumnType("text", remark=f"{what}, and every value can be read as {listed}: declare the right format")
    format_, type_ = fitting[0]
    remark = "two digits of a year: 68 is 2068, 69 is 1969" if "%y" in format_ else None
    if type_ == "timestamp":
        remark = "the times name no zone; if they are in UTC, declare timestamptz"
    return ColumnType(type_, format_, remark)


def _shape(format_: str) -> str:
    """What a text in this format looks like."""
    parts = re.split(r"(%[A-Za-z])", format_)
    if format_ in DIGIT_FORMATS:
        return "".join({"%Y": "[0-9]{4}"}.get(part, "[0-9]{2}") for part in parts if part)
    return "".join(_SHAPES[part] if part in _SHAPES else re.escape(part) for part in parts if part)
