"""`expression` of a column: one value of PostgreSQL's SQL over the other columns of its row, judged word by word.

What is judged is what is sent: load/computed.py spells the tokens anew. Every word is a declared column, or one of the
lists here; there is none by which a text could ask a table, do anything, or give another value tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from sluiceway.errors import nearest, quoted

LONGEST = 10_000
"""Characters of an expression."""
LONGEST_PATTERN = 1_000
"""Characters of a pattern, which PostgreSQL compiles."""
WIDEST = 10_000
"""Characters to which a text may be filled up."""

FUNCTIONS = frozenset(
    {
        *("lower", "upper", "initcap", "btrim", "ltrim", "rtrim", "left", "right", "substr", "replace", "translate"),
        *("length", "char_length", "character_length", "octet_length", "strpos", "starts_with", "split_part"),
        *("reverse", "concat", "concat_ws", "lpad", "rpad", "ascii", "chr", "md5", "to_char", "to_number"),
        *("regexp_replace", "regexp_match", "abs", "round", "trunc", "ceil", "ceiling", "floor", "mod", "div", "sign"),
        *("sqrt", "cbrt", "ln", "log", "degrees", "radians", "sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
        *("make_date", "make_time", "make_timestamp", "make_timestamptz", "to_date", "to_timestamp"),
        *("date_part", "date_trunc", "isfinite", "num_nulls", "num_nonnulls"),
        *("jsonb_array_length", "jsonb_typeof", "jsonb_extract_path_text"),
    }
)
"""Functions of PostgreSQL whose value depends on their arguments alone, once the session's zone and styles are set."""
SPOKEN = frozenset(
    {"cast", "coalesce", "extract", "greatest", "least", "nullif", "position", "substring", "trim"},
)
"""These are PostgreSQL's grammar, which knows no schema."""
_MANY = "sees one row at a time, and {} needs many; make a view of it"
_TOMORROW = "which is another one tomorrow: a load would change rows that did not change"
_REFUSED = {
    r"sum|count|avg|min|max|\w+_agg|bool_and|bool_or|every|stddev\w*|var(iance|_\w+)|mode|percentile\w*": _MANY,
    r"row_number|rank|dense_rank|lag|lead|first_value|last_value|nth_value|ntile|cume_dist|percent_rank": _MANY,
    r"generate_\w+|unnest|regexp_split_to_table|regexp_matches|string_to_table|jsonb?_\w*(each|elem)\w*": (
        "gives one value for a row, and {} gives rows; make a view of it"
    ),
    r"now|random|gen_random_uuid|(clock|statement|transaction)_timestamp|timeofday|age": f"calls {{}}, {_TOMORROW}",
    r"st_\w+": "calls {}, and sees no geometry; make a view of it",
}
"""Functions that people try by patterns of their names, and why each is none of an expression's."""
_TYPES = frozenset(
    {
        *("text", "varchar", "smallint", "integer", "int", "int2", "int4", "int8", "bigint", "numeric", "decimal"),
        *("real", "float", "float4", "float8", "boolean", "bool", "date", "time", "timestamp", "timestamptz"),
        *("interval", "uuid", "jsonb", "json"),
    }
)
_LONG_TYPES = ("double precision", "character varying", "timestamp with time zone", "timestamp without time zone")
_LITERALS = frozenset({"date", "time", "timestamp", "timestamptz", "interval"})
"""Types that stand before a text: date '2020-01-31'."""
_RESERVED = frozenset(
    {
        *("and", "or", "not", "is", "null", "true", "false", "case", "when", "then", "else", "end", "between", "in"),
        *("like", "ilike", "distinct", "from", "for", "both", "leading", "trailing", "as", "symmetric"),
    }
)
"""Words of the grammar; a column that is called so is written in double quotes."""
_QUERIES = frozenset({"select", "with", "table", "values", "exists", "any", "all", "some", "array", "row"})
_MOMENTS = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_user", "session_user"}
)
_PARTS = frozenset(
    {
        *("century", "day", "decade", "dow", "doy", "epoch", "hour", "isodow", "isoyear", "julian", "microseconds"),
        *("millennium", "milliseconds", "minute", "month", "quarter", "second", "week", "year"),
    }
)
"""What EXTRACT takes of a moment."""
_PATTERN_OPERATORS = frozenset({"~", "~*", "!~", "!~*", "like", "ilike"})
_ENDS = ([("operator", ",")], [("operator", ")")])
"""What may stand behind an argument that is a text."""
_TODAY = re.compile(r"\s*(now|today|tomorrow|yesterday)\b.*", re.IGNORECASE | re.DOTALL)
_TEXTUAL = frozenset({"text", "varchar"})

_TOKEN = re.compile(
    r"""(?P<blank>\s+)
    |(?P<comment>--|/\*)
    |(?P<text>'(?:[^']|'')*')
    |(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    |(?P<name>"(?:[^"]|"")+"|[^\W\d]\w*)
    |(?P<operator>::|\|\||<=|>=|<>|!=|!~\*|!~|~\*|~|->>|->|\#>>|\#>|[-+*/%<>=(),\[\]])""",
    re.VERBOSE,
)

Kind = Literal["column", "function", "text", "plain"]


@dataclass(frozen=True)
class Token:
    """A piece of an expression."""

    kind: Kind
    value: str
    """A column's or a function's name, a text without its quotes, or else what is spelled as it is."""


@lru_cache(maxsize=512)
def parse(text: str, columns: tuple[tuple[str, str], ...]) -> tuple[Token, ...]:
    """The tokens of an expression.

    :param columns: the columns that it may see, each with the base of its type.
    :raises ValueError: what is wrong, as it follows upon the key's name.
    """
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST:,} characters; make a transform of it")
    if not text.strip():
        raise ValueError("is empty; write one value over the other columns, such as area_m2 / 10000")
    judge = _Judge(list(_pieces(text)), dict(columns))
    return tuple(judge.tokens())


def columns_of(tokens: Sequence[Token]) -> list[str]:
    """The columns that an expression reads, each once."""
    return list(dict.fromkeys(token.value for token in tokens if token.kind == "column"))


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            what = text[at]
            why = {
                "'": "a text that begins there has no end",
                ";": "it is one value, and no statement",
                "$": "a text stands in single quotes",
                "\\": "a text stands in single quotes",
                "^": "write x * x",
                ":": "the type of a value is written by ::, or as CAST(x AS type)",
            }.get(what, "PostgreSQL's operators over numbers, texts and dates are allowed")
            raise ValueError(f"has {what!r} at character {at + 1}: {why}")
        kind = str(found.lastgroup)
        if kind == "comment":
            raise ValueError(f"has a comment at character {at + 1}; write it behind # in the table's file")
        if kind != "blank":
            yield kind, found[0]
        at = found.end()


class _Judge:
    """Goes through the pieces once."""

    def __init__(self, pieces: list[tuple[str, str]], columns: Mapping[str, str]) -> None:
        self._pieces = pieces
        self._columns = columns
        self._at = 0
        self._depth: list[str] = []

    def tokens(self) -> Iterator[Token]:
        while self._at < len(self._pieces):
            kind, text = self._pieces[self._at]
            if kind == "name":
                yield from self._name(text)
            elif kind == "text":
                yield self._text(text)
            else:
                if kind == "operator":
                    self._check_operator(text)
                self._at += 1
                yield Token("plain", text)
                if text == "::":
                    yield from self._type()
        if self._depth:
            raise ValueError(f"has no end to its {self._depth[-1]!r}")

    def _ahead(self, offset: int = 0) -> str:
        """A piece, in small letters where it is a word of the grammar; empty behind the end."""
        place = self._at + offset
        kind, text = self._pieces[place] if 0 <= place < len(self._pieces) else ("", "")
        return text if kind == "text" or text.startswith('"') else text.lower()

    def _kind_ahead(self, offset: int = 0) -> str:
        place = self._at + offset
        return self._pieces[place][0] if 0 <= place < len(self._pieces) else ""

    def _check_operator(self, text: str) -> None:
        if text in "([":
            self._depth.append(text)
        elif text in ")]":
            if not self._depth or self._depth.pop() != {")": "(", "]": "["}[text]:
                raise ValueError(f"has a {text!r} that nothing begins")
        elif text == "," and not self._depth:
            raise ValueError("holds several values, with a comma between them; it must be one")
        if text in _PATTERN_OPERATORS:
            self._check_pattern(self._at + 1, text)

    def _text(self, text: str) -> Token:
        self._at += 1
        value = text[1:-1].replace("''", "'")
        if "\0" in value:
            raise ValueError("has a text with the character 0, which PostgreSQL's texts cannot hold")
        cast = self._ahead() == "::" or self._ahead(-2) in _LITERALS or self._ahead() == "as"
        if cast and _TODAY.fullmatch(value):
            raise ValueError(f"has {value!r} for a moment, {_TOMORROW}")
        return Token("text", value)

    def _name(self, text: str) -> Iterator[Token]:
        word = self._ahead()
        if text.startswith('"'):
            yield self._column(text[1:-1].replace('""', '"'))
        elif word == "at" and (self._ahead(1), self._ahead(2)) == ("time", "zone"):
            self._at += 3
            yield Token("plain", "AT TIME ZONE")
        elif word in _RESERVED:
            if word in _PATTERN_OPERATORS:
                self._check_pattern(self._at + 1, word)
            self._at += 1
            yield Token("plain", word.upper())
            if word == "as":
                yield from self._type()
        elif word in _LITERALS and self._kind_ahead(1) == "text":
            self._at += 1
            yield Token("plain", word)
        elif word == "escape" and self._kind_ahead(1) == "text" and self._kind_ahead(-1) == "text":
            self._at += 1
            yield Token("plain", "ESCAPE")
        elif self._ahead(1) == "(":
            yield from self._function(word)
        else:
            yield self._column(word)

    def _column(self, name: str) -> Token:
        if name not in self._columns:
            self._refuse_word(name)
            raise ValueError(
                f"reads {quoted(name)}, which is no other column of [columns]{nearest(name, self._columns)}"
            )
        self._at += 1
        return Token("column", name)

    @staticmethod
    def _refuse_word(name: str) -> None:
        if name in _QUERIES:
            raise ValueError(f"holds {name.upper()}: it sees one row, and asks no table; make a view of it")
        if name in {"over", "filter", "within"}:
            raise ValueError(f"holds {name.upper()}: it sees one row at a time; make a view of it")
        if name in _MOMENTS:
            raise ValueError(f"reads {name}, {_TOMORROW}")

    def _function(self, name: str) -> Iterator[Token]:
        if name not in FUNCTIONS | SPOKEN:
            self._refuse_word(name)
            for pattern, why in _REFUSED.items():
                if re.fullmatch(pattern, name):
                    raise ValueError(why.format(name))
            raise ValueError(
                f"calls {quoted(name)}, which is none of the functions that docs/reference/tables.md lists"
                f"{nearest(name, FUNCTIONS | SPOKEN, listing=False)}"
            )
        self._check_arguments(name)
        self._at += 1
        yield Token("function" if name in FUNCTIONS else "plain", name)
        if name == "extract":
            part = self._ahead(1)
            if part not in _PARTS or self._ahead(2) != "from":
                raise ValueError(f"takes {part!r} of a moment{nearest(part, _PARTS)}")
            self._check_operator("(")
            self._at += 2
            yield from (Token("plain", "("), Token("plain", part))

    def _check_arguments(self, name: str) -> None:
        """What an argument could do to the server: patterns out of the data, and texts without end."""
        second = self._second(self._at + 1)
        kind, text = self._pieces[second] if second is not None else ("", "")
        if name.startswith("regexp_"):
            self._check_pattern(second, name)
        elif name in {"lpad", "rpad"} and not (kind == "number" and text.isdigit() and int(text) <= WIDEST):
            raise ValueError(f"fills a text up by {name} to {text or 'nothing'!r}; write a number up to {WIDEST:,}")
        elif name == "substring" and second is not None:
            if kind == "text":
                self._check_pattern(second, name)
            elif kind == "name" and self._columns.get(text.strip('"').lower()) in _TEXTUAL:
                raise ValueError(f"takes the pattern of substring from column {text!r}; write it in single quotes")

    def _second(self, bracket: int) -> int | None:
        """Where the second argument of a function begins, whose bracket stands there."""
        depth = 0
        for place in range(bracket, len(self._pieces)):
            kind, text = self._pieces[place]
            if kind == "operator" and text in "([":
                depth += 1
            elif kind == "operator" and text in ")]":
                depth -= 1
                if depth == 0:
                    return None
            elif depth == 1 and (text == "," or (kind == "name" and text.lower() == "from")):
                return place + 1
        return None

    def _check_pattern(self, place: int | None, word: str) -> None:
        """A pattern is a text, and refers to no bracket before it: its cost grows with the length of a value alone."""
        kind, text = self._pieces[place] if place is not None and place < len(self._pieces) else ("", "")
        whole = word in _PATTERN_OPERATORS or (place is not None and self._pieces[place + 1 :][:1] in _ENDS)
        if kind != "text" or not whole:
            raise ValueError(f"gives {word.upper() if word.islower() else word} no pattern in single quotes")
        if len(text) > LONGEST_PATTERN:
            raise ValueError(f"has a pattern of more than {LONGEST_PATTERN:,} characters")
        if word not in {"like", "ilike"} and re.search(r"(?<!\\)(?:\\\\)*\\[1-9]", text):
            raise ValueError(f"has a pattern {quoted(text)} that refers back (\\1): a value could keep the server busy")

    def _type(self) -> Iterator[Token]:
        """What stands behind :: or AS."""
        words = [self._ahead(offset) for offset in range(4)]
        for long in _LONG_TYPES:
            parts = long.split()
            if words[: len(parts)] == parts:
                self._at += len(parts)
                yield Token("plain", long)
                return
        if words[0] not in _TYPES:
            raise ValueError(f"has {words[0]!r} where a type should stand{nearest(words[0], _TYPES)}")
        self._at += 1
        yield Token("plain", words[0])
