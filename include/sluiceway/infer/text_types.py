"""Which type the texts of a column spell, a guess per kind."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from sluiceway.amounts import counted
from sluiceway.infer.codes import is_code
from sluiceway.infer.values import SourceColumn, Values, literal
from sluiceway.load.cast import cast_of_text
from sluiceway.tables.column import Column
from sluiceway.tables.source_spec import TextValues

SURE_NULLS = ("", "NULL", "null", "Null", "N/A", "n/a", "#N/A", "NA", "NaN", "nan", r"\N", "(null)", "<null>", "<NA>")
"""Texts that stand for null wherever they stand among numbers or dates."""
LIKELY_NULLS = (
    *("-", "--", "---", ".", "..", "...", "?", "*", "n.a.", "N.A.", "n.d.", "nd", "ND", "None", "none", "nil"),
    *("missing", "Missing", "unknown", "Unknown", "not available", "Not Available", "#VALUE!", "#DIV/0!", "#REF!"),
)
"""Among numbers they stand for null; in a text they may be a value."""
NOTHING = frozenset({*SURE_NULLS, *LIKELY_NULLS})
TRUE, FALSE = ("true", "t", "yes", "y"), ("false", "f", "no", "n")
CODES = "[A-Z]{2}"
"""NA is Namibia, and Sodium, among codes of two letters."""
_DATE_NAME = re.compile(
    r"(^|_)(date|day|dat|datum|fecha|jour|dato|dag|giorno|dt|at|on|created|updated|modified|time|timestamp)(_|\d|$)"
)
NUMBER_LIKE = (
    r"[+-]?[0-9][0-9., '\x{00a0}\x{202f}\x{2019}]*([eE][+-]?[0-9]{1,3})?|[+-]?[.,][0-9]+([eE][+-]?[0-9]{1,3})?"
)
DATE_LIKE = r"(?i)\d{1,4}[-/. ]([a-z]{3,9}\.?|\d{1,2})[-/., ]+\d{1,4}.*|[a-z]{3,9}\.? \d{1,2},? \d{4}.*"
DIGITS_DATE = r"\d{7,8}"
UUID = (
    r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|"
    r"\{[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}"
)
"""32 digits alone are a checksum, more often than not, and would get dashes."""
_ZONE = r".*[T ]\d{1,2}:\d{2}.*(Z|z|[+-]\d{2}(:?\d{2})?)"
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
LARGEST_INTEGER = 2**31 - 1
LARGEST_BIGINT = 2**63 - 1
EXACT_DIGITS = 15
"""A double keeps so many digits of any number."""
HALF = 0.5
ONE_OF = 20
"""So many values may have one that is odd."""


@dataclass
class ColumnType:
    """What a column is to be in the warehouse."""

    type: str
    format: str | None = None
    remark: str | None = None
    """What a person has to decide about it."""
    nulls: int = 0
    """Rows without a value."""
    null: tuple[str, ...] = ()
    """Texts that mean null in this column alone."""
    remove: str | None = None
    """Characters to drop."""
    accounting: bool = False
    """Whether negative numbers are written as accountants do."""
    decimal: str | None = None
    thousands: str | None = None
    """How its numbers are written, where those of the other columns are not."""


@dataclass(frozen=True)
class Question:
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

    def odd_ones(self, test: str, what: str) -> str | None:
        """The sentence of those that fail a test in SQL, where they are at most one of ONE_OF; else None."""
        others = f"{self.given} AND NOT coalesce({test}, false)"
        count = int(str(self.values.ask([f"count(*) FILTER ({others})"])[0]))
        if not count or count * ONE_OF > self.filled:
            return None
        commonest = self.values.counts(self.column.sql, where=others, limit=3)
        shown = ", ".join(repr(value[:30]) for value, _ in commonest)
        of = f"of {counted(self.filled, 'value')}"
        return f"{counted(count, f'{of} is', f'{of} are')} no {what}, such as {shown}"


def boolean(question: Question, look: Look) -> ColumnType | None:
    if look.booleans < 1:
        return None
    words = {word for word, _ in question.values.counts(f"lower(trim({question.column.sql}))", where=question.given)}
    both = bool(words & {*TRUE}) and bool(words & {*FALSE})
    if words <= {*TRUE, *FALSE} and (both or words <= {"true", "false"}):
        return ColumnType("boolean")
    return None


def number(question: Question, look: Look, name: str) -> ColumnType | None:
    if look.numbers < HALF:
        return None
    pattern = number_pattern(question.marks.decimal, question.marks.thousands)
    if question.matches(pattern) < question.filled:
        test = f"regexp_full_match(trim({question.column.sql}), {literal(pattern)})"
        told = question.odd_ones(test, "number")
        return ColumnType("text", remark=told) if told is not None else None
    if question.matches(r"[+-]?0[0-9].*"):
        return ColumnType("text", remark="a code: some values have leading zeros")
    if question.matches(r"\+.*"):
        return ColumnType("text", remark="some values begin with +")
    whole = Column(type="bigint")
    marks = question.marks
    if not question.matches(f".*([{marks.decimal}]|[eE]).*"):
        if is_code(name, question.column.name):
            return ColumnType("text", remark="a code by its name; if it is a number, declare integer")
        if not question.casts(whole):
            return ColumnType("text", remark="some values are larger than a bigint; numeric takes them")
        cast = cast_of_text(question.column.sql, whole, marks)
        low, high = question.values.ask([f"min({cast})", f"max({cast})"], where=question.given)
        return ColumnType(integer_type(low, high), remark=_grouping_remark(question))
    return _fraction(question)


def _grouping_remark(question: Question) -> str | None:
    mark = question.marks.thousands
    if mark not in {",", "."} or question.matches(f".*[{mark}][0-9]{{3}}[{mark}].*"):
        return None
    if question.matches(f".*[{mark}].*"):
        return f"the {mark!r} is read as separator of thousands (source.thousands), not as decimal mark"
    return None


def _fraction(question: Question) -> ColumnType | None:
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


def document(question: Question, look: Look) -> ColumnType | None:
    if look.documents == 1 and question.casts(Column(type="jsonb")):
        return ColumnType("jsonb")
    return None


def date(question: Question, look: Look, name: str) -> ColumnType | None:
    if look.dates == 1:
        return _iso(question) or _formatted(question, FORMATS)
    if look.digits == 1 and _DATE_NAME.search(name):
        found = _formatted(question, DIGIT_FORMATS)
        if found is not None and found.format is not None:
            found.remark = "a date by its name; if it is a number, declare integer"
            return found
    return None


def _iso(question: Question) -> ColumnType | None:
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


def _formatted(question: Question, formats: Iterable[str]) -> ColumnType | None:
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


def integer_type(low: object, high: object) -> str:
    largest = max(abs(int(str(low or 0))), abs(int(str(high or 0))))
    if largest <= LARGEST_INTEGER:
        return "integer"
    return "bigint" if largest <= LARGEST_BIGINT else "numeric"


@dataclass(frozen=True)
class Look:
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


def number_pattern(decimal: str, thousands: str | None) -> str:
    """A number whose marks are these, where they may stand."""
    whole = "[0-9]+"
    if thousands is not None:
        whole = f"([0-9]+|[0-9]{{1,3}}([{thousands}][0-9]{{3}})+)"
    return f"[+-]?({whole}([{decimal}][0-9]*)?|[{decimal}][0-9]+)([eE][+-]?[0-9]{{1,3}})?"
