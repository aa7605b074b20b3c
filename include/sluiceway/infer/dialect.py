"""How a text is divided into lines of data and values: delimiter, quotes, header, what stands above and below.

Found in the beginning and the end of a text. A record between that does not follow it is unreadable, and counted.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sluiceway.amounts import counted
from sluiceway.errors import listed
from sluiceway.infer.footer import MOST_BELOW, count_filled, is_note, is_total, said_of_notes, said_of_total
from sluiceway.infer.labels import labels_below, said_of_above
from sluiceway.infer.ragged import said_of_ragged

DELIMITERS = (",", ";", "\t", "|")
"""Of two that fit equally well, the first."""
MOST_ABOVE = 50
"""Lines above the header; more of them are data of another shape."""
NO_QUOTE = "\x01"
"""A character that no text holds stands for none."""
WITHOUT_QUOTES = "no character at all: quotes stand within values, and do not enclose them"
_NEARLY_ALL = 0.95
FOLLOWS = 0.8
"""The share of records that must have the same number of values, for a delimiter to be believed."""

_NUMBER = re.compile(r"[+-]?(\d[\d ., '\u00a0\u202f]*|[.,]\d+)([eE][+-]?\d+)?%?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T]\d{1,2}:\d{2}.*)?")
_YEAR = re.compile(r"(1[89]|20|21)\d\d")
_SINGLE_QUOTED = re.compile(r"(?:^|[,;\t|])'[^'\n]*'(?=$|[,;\t|])", re.MULTILINE)
# a backslash and a quote within a value: not at its end, where it is the last character of a path
_ESCAPED_QUOTE = re.compile(r'[^\\]\\"(?![,;\t|\r\n])')


@dataclass(frozen=True)
class Dialect:
    """How delimited text is to be read. The fields are those of [source]."""

    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    comment: str | None = None
    header: bool = True
    skip_lines: int = 0
    skip_footer: int = 0
    skip_below: int = 0
    skip_spaces: bool = False
    width: int = 1
    """Values of a record."""
    names: tuple[str, ...] | None = None
    """What the header says; without one, nothing. It may be narrower or wider than the rest: then header is false."""
    remarks: dict[str, str] = field(default_factory=dict)
    """Key of [source] -> what a person has to decide about it."""
    terminated: bool = False
    """Whether the last line has an end: a text that is cut off hardly ever has."""


@dataclass(frozen=True)
class SheetShape:
    """What of a sheet or text is data."""

    header: bool
    above: int
    """Records above the header, or above the first record."""
    remark: str | None
    names: tuple[str, ...] | None
    """What the header says."""


@dataclass(frozen=True)
class _Reading:
    """A text, read with one delimiter and one kind of quotes."""

    delimiter: str
    quote: str
    escape: str | None
    spaces: bool
    """Whether blanks before a value are dropped."""
    records: list[list[str]]
    lines: list[int]
    """The line in which each record ends, from 1."""
    width: int
    share: float
    """Of records with `width` values, from the first such one to the notes below."""


def find_dialect(beginning: str, end: str, *, whole: bool) -> Dialect:
    """How the text is to be read.

    :param beginning: its first 256 KB or so.
    :param end: its last ones, from the begin of a line; empty when `beginning` is all of it.
    :param whole: whether `beginning` is the whole text.
    """
    comment = _comment(beginning)
    text = _without_comments(beginning, comment) if comment else beginning
    reading = max(_readings(text, whole=whole), key=_rank)
    terminated = (beginning if whole else end).endswith(("\n", "\r"))
    if reading.width == 1:
        return replace(_one_column(reading, text, comment), terminated=terminated)
    shape, below, labels = _shape(reading)
    names = tuple(reading.records[shape.above]) if shape.header else None
    fitting = _names_of_another_width(reading, shape) if shape.header else None
    above = shape.above + 1 if fitting is not None else shape.above
    above = reading.lines[above - 1] if above else 0
    remarks = said_of_above(reading.records[: shape.above]) | ({"header": shape.remark} if shape.remark else {})
    if reading.quote == NO_QUOTE:
        remarks["quote"] = WITHOUT_QUOTES
    remarks |= {"skip_below": labels} if labels else {}
    footer, remark = _footer(reading, text if whole else end)
    remarks |= {"skip_footer": remark} if remark else {}
    return Dialect(
        reading.delimiter,
        reading.quote,
        reading.escape,
        comment,
        shape.header and fitting is None,
        above + (_comments_above(beginning, comment, above) if above else 0),
        footer,
        below if fitting is None else 0,
        reading.spaces,
        reading.width,
        fitting or names,
        remarks,
        terminated,
    )


def _shape(reading: _Reading) -> tuple[SheetShape, int, str | None]:
    """Where the data begin, how many lines below the names are none, and a remark on these."""
    shape = sheet_shape(reading.records)
    rest = reading.records[shape.above :]
    if len(rest) < 2:
        return shape, 0, None
    one_line = reading.lines[shape.above] - (reading.lines[shape.above - 1] if shape.above else 0) == 1
    skipped, remark = labels_below(rest[0], rest[1:], _is_value)
    if skipped:
        # without that line the columns below are of one kind, which says more about the names
        header, doubt = _has_header([rest[0], *rest[2:]])
        if header and one_line:
            return SheetShape(True, shape.above, doubt, tuple(rest[0])), 1, remark
    return shape, 0, remark if shape.header and not skipped else None


def sheet_shape(records: Sequence[Sequence[str]]) -> SheetShape:
    """Where the data of some first records begin, and whether the first of them holds names."""
    width = _usual_width(records)
    above = 0
    if width > 1:
        # a title has one value, whatever the number of delimiters behind it
        full = next((n for n, record in enumerate(records) if count_filled(record) > max(1, width // 2)), 0)
        first = next((n for n, record in enumerate(records[full:], full) if len(record) == width), 0)
        if first > full and abs(len(records[first - 1]) - width) == 1 and not any(map(_is_value, records[first - 1])):
            # names without the delimiter that ends each record, or without one for the numbers of the rows
            first -= 1
        above = first if first <= MOST_ABOVE else 0
    rest = records[above:]
    header, remark = _has_header(rest)
    return SheetShape(header, above, remark, tuple(rest[0]) if header and rest else None)


def _names_of_another_width(reading: _Reading, shape: SheetShape) -> tuple[str, ...] | None:
    names, below = reading.records[shape.above], reading.records[shape.above + 1 :]
    missing = reading.width - len(names)
    if missing == 0 or not below:
        return None
    if missing == 1 and any(record[-1].strip() for record in below if len(record) == reading.width):
        # R writes the names of the rows without a name of their own
        return ("row_name", *names)
    return (*names, *[""] * missing)[: reading.width]


def _usual_width(records: Sequence[Sequence[str]]) -> int:
    widths = Counter(len(record) for record in records)
    return max(widths, key=lambda width: (widths[width], width)) if widths else 1


def _readings(text: str, *, whole: bool) -> list[_Reading]:
    quotes: list[tuple[str, str | None]] = [('"', None)]
    if _ESCAPED_QUOTE.search(text):
        quotes.append(('"', "\\"))
    if len(_SINGLE_QUOTED.findall(text[: 1 << 16])) > text[: 1 << 16].count("\n") // 2 > 0:
        quotes.append(("'", None))
    readings = []
    for delimiter in DELIMITERS:
        readings += [_read(text, delimiter, quote, escape, whole=whole) for quote, escape in quotes]
        if _is_spaced(text[: 1 << 16], delimiter):
            readings += [_read(text, delimiter, quote, escape, whole=whole, spaces=True) for quote, escape in quotes]
        if any(_swallows(reading) for reading in readings[-len(quotes) :]):
            readings.append(_read(text, delimiter, NO_QUOTE, None, whole=whole))
    return readings


def _swallows(reading: _Reading) -> bool:
    """Whether a value has line ends and delimiters within, as a stray quote makes one of whole lines."""
    return any("\n" in value and reading.delimiter in value for record in reading.records for value in record)


def _is_spaced(text: str, delimiter: str) -> bool:
    """Whether a quote stands behind a blank behind a delimiter, or nearly each delimiter has a blank behind it."""
    if f'{delimiter} "' in text:
        return True
    return delimiter in ",;" and text.count(delimiter + " ") > _NEARLY_ALL * text.count(delimiter) > 0


def _read(text: str, delimiter: str, quote: str, escape: str | None, *, whole: bool, spaces: bool = False) -> _Reading:
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader = csv.reader(
        _lines(text),
        delimiter=delimiter,
        quotechar=quote,
        escapechar=escape,
        doublequote=escape is None,
        skipinitialspace=spaces,
    )
    records, lines = [], []
    for record in reader:
        if record:
            records.append(record)
            lines.append(reader.line_num)
    if not whole and len(records) > 1:
        # cut in the middle
        records.pop()
        lines.pop()
    width = _usual_width(records)
    start = next((n for n, record in enumerate(records) if len(record) == width), 0)
    ends = len(records)
    # of few records the notes below are a large part
    while whole and ends > start + 1 and len(records) - ends < MOST_BELOW and _is_below(records[ends - 1], width):
        ends -= 1
    share = sum(len(record) == width for record in records[start:ends]) / max(1, ends - start)
    return _Reading(delimiter, quote, escape, spaces, records, lines, width, share)


def _lines(text: str) -> list[str]:
    # not splitlines, which also ends lines at form feeds and Unicode's separators
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", text)


def _rank(reading: _Reading) -> tuple[bool, bool, bool, float, bool, int, int, bool]:
    """Better readings rank higher: those that divide at all, without exceptions, into many values."""
    divides = reading.width > 1 and (reading.share >= FOLLOWS or len(reading.records) <= 2)
    if reading.quote == NO_QUOTE:
        # lines of a value in quotes have any number of delimiters; these are records
        divides = divides and reading.share == 1 and len(reading.records[0]) == reading.width
    # quotes that are left over within values are a sign that they were not read as quotes
    left = reading.quote != NO_QUOTE and sum(
        value.lstrip(" ")[:1] in {"'", '"'} for record in reading.records[:500] for value in record
    )
    order = -DELIMITERS.index(reading.delimiter)
    # where every number has a decimal comma, the comma divides all rows alike, but not the header
    from_first = bool(reading.records) and len(reading.records[0]) == reading.width
    # a rare ragged record must not make a delimiter lose against one that hardly ever occurs
    unquoted = divides and reading.quote == NO_QUOTE
    return divides, unquoted, not left, round(reading.share, 1), from_first, reading.width, order, reading.spaces


def _one_column(reading: _Reading, text: str, comment: str | None) -> Dialect:
    """One value per line: any delimiter that does not occur."""
    delimiter = next((each for each in DELIMITERS if each not in text), reading.delimiter)
    records = [[line.strip()] for line in _lines(text) if line.strip()]
    header, remark = _has_header(records)
    remarks = said_of_ragged(records, DELIMITERS) | ({"header": remark} if remark else {})
    return Dialect(delimiter, reading.quote, None, comment, header, width=1, remarks=remarks)


def _comment(text: str) -> str | None:
    """The character of comment lines, when they cannot be records, nor the header: "#id,name" can."""
    lines = [line.strip("\r\n") for line in _lines(text)]
    marked = [line for line in lines if line.startswith("#")]
    others = [line for line in lines if line.strip() and not line.startswith("#")]
    if not marked or not others:
        return None
    delimiter = max(DELIMITERS, key=lambda each: min(line.count(each) for line in others[:20]))
    width = Counter(line.count(delimiter) for line in others).most_common(1)[0][0]
    alike = [line for line in marked if width and line.count(delimiter) == width]
    if not alike:
        return "#"
    rest = list(csv.reader(others[:100], delimiter=delimiter))
    header, remark = _has_header(rest)
    named = header and remark is None
    return "#" if named and len(alike) < len(marked) else None


def _without_comments(text: str, comment: str) -> str:
    return "".join(line for line in _lines(text) if not line.startswith(comment))


def _comments_above(text: str, comment: str | None, above: int) -> int:
    """How many comment lines stand among the first lines, of which `above` are none."""
    if comment is None:
        return 0
    comments = 0
    for line in _lines(text):
        if line.startswith(comment):
            comments += 1
        elif above == 0:
            break
        else:
            above -= 1
    return comments


def _footer(reading: _Reading, end: str) -> tuple[int, str | None]:
    """How many records at the end are no data, and what a person has to decide about them."""
    records = [
        record
        for record in csv.reader(
            _lines(end),
            delimiter=reading.delimiter,
            quotechar=reading.quote,
            escapechar=reading.escape,
            doublequote=reading.escape is None,
            skipinitialspace=reading.spaces,
        )
        if record
    ]
    if len(records) < 3:
        return 0, None
    count = 0
    while count <= MOST_BELOW and count < len(records) - 2 and _is_below(records[-1 - count], reading.width):
        count += 1
    if count > MOST_BELOW:
        return 0, None
    rest = records[: len(records) - count]
    while count and not count_filled(rest[-1]) and len(rest) > 2:
        # a blank record sets the notes apart
        rest, count = rest[:-1], count + 1
    notes = [record for record in records[len(rest) :] if count_filled(record)]
    last = rest[-1]
    said = [said_of_notes(notes)] if notes else []
    if len(last) == reading.width and (total := said_of_total(rest, count)):
        said.append(total)
    elif not count and len(last) != reading.width and not end.endswith(("\n", "\r")):
        held = counted(len(last), "value")
        said.append(f"the last record has {held} instead of {reading.width}: the file may be cut off")
    return count, "; ".join(said) or None


def _is_below(record: Sequence[str], width: int) -> bool:
    """Whether a record has one text and nothing else, where others have more."""
    if count_filled(record) != 1 or width < 2:
        return False
    if len(record) == width:
        # a program of sheets gives each line as many values
        return is_note(record)
    # a short single value is what is left of a record that is cut off
    return bool(record[0].strip()) and (" " in record[0].strip() or is_total(record))


def _has_header(records: Sequence[Sequence[str]]) -> tuple[bool, str | None]:
    """Whether the first record holds names, and a remark where that is not sure."""
    if not records:
        return True, None
    first, below = records[0], records[1:500]
    if not below:
        return (not any(_is_value(value) for value in first)), None
    votes = 0.0
    for position, name in enumerate(first):
        values = [record[position].strip() for record in below if len(record) > position and record[position].strip()]
        votes += _vote(name.strip(), values)
    if votes == 0:
        return True, f"the first record is taken for names: {listed(first, 4)}; if it is data, set header = false"
    return votes > 0, None


def _vote(name: str, values: Sequence[str]) -> float:
    """What one column says: more than 0 for a header."""
    if not values:
        return 0.0
    typed = sum(_is_value(value) for value in values) / len(values)
    if typed >= 0.9:
        if not name:
            # an index column has no name
            return 0.0
        if not _is_value(name):
            return 2.0
        # years as names of columns of other numbers
        years = _YEAR.fullmatch(name) and not all(_YEAR.fullmatch(value) for value in values)
        return 0.5 if years else -2.0
    if not name:
        return -0.5
    if _is_value(name):
        return -0.5 if typed < 0.1 else -1.0
    if name in values:
        return -1.0
    lengths = {len(value) for value in values}
    if len(lengths) == 1 and len(values) > 3:
        return 1.0 if len(name) not in lengths else 0.0
    if len(set(values)) < len(values) / 2:
        # a category, and this is none of them
        return 0.5
    return 0.0


def _is_value(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text) or _DATE.fullmatch(text))
