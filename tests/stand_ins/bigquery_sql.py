"""The few statements of BigQuery's SQL that Sluiceway sends, run on rows in memory; every other one is refused.

It is no BigQuery: what the real one would make of these statements, it does not show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import shapely

Row = dict[str, Any]
Scope = Mapping[str, Row | None]
"""Alias -> row of it; None: none matches, and each column is null."""
Value = Callable[[Scope], Any]
_TOKEN = re.compile(r"\s*(?:(`[^`]+`)|(@?\w+)|([(),.=*]))")


class SqlError(Exception):
    """What BigQuery would say."""


@dataclass(frozen=True)
class Geography:
    """A value of type GEOGRAPHY."""

    wkb: bytes


@dataclass
class Table:
    """Its resource of the REST API, and its rows."""

    resource: dict[str, Any]
    rows: list[Row] = field(default_factory=list)

    @property
    def fields(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.resource["schema"]["fields"]}


@dataclass
class Done:
    """What a statement has done."""

    kind: str
    columns: list[str] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    inserted: int = 0
    updated: int = 0
    deleted: int = 0


def run(statement: str, tables: Mapping[str, Table], parameters: Mapping[str, Any]) -> Done:
    """Run one statement; all of it or nothing.

    :raises SqlError: it is none that Sluiceway sends, or it cannot be run on these rows.
    """
    return _Parser(statement, tables, parameters).statement()


@dataclass
class _Parser:
    text: str
    tables: Mapping[str, Table]
    parameters: Mapping[str, Any]

    def __post_init__(self) -> None:
        self.tokens: list[str] = []
        place = 0
        while place < len(self.text.rstrip()):
            found = _TOKEN.match(self.text, place)
            if found is None:
                raise SqlError(f"Syntax error: Illegal input character at {self.text[place : place + 20]!r}")
            self.tokens.append(found[0].strip())
            place = found.end()

    def peek(self, *words: str) -> bool:
        return self.tokens[: len(words)] == list(words)

    def accept(self, *words: str) -> bool:
        found = self.peek(*words)
        if found:
            del self.tokens[: len(words)]
        return found

    def expect(self, *words: str) -> None:
        if not self.accept(*words):
            raise SqlError(f"Syntax error: Expected {' '.join(words)} but got {' '.join(self.tokens[:3]) or 'the end'}")

    def name(self) -> str:
        if not self.tokens or not self.tokens[0].startswith("`"):
            raise SqlError(f"Syntax error: Expected a name but got {' '.join(self.tokens[:3]) or 'the end'}")
        return self.tokens.pop(0).strip("`")

    def table(self) -> Table:
        name = self.name()
        if name not in self.tables:
            raise SqlError(f"Not found: Table {name.replace('.', ':', 1)} was not found in location EU")
        return self.tables[name]

    def statement(self) -> Done:
        done = self.merge() if self.accept("MERGE", "INTO") else self.count()
        if self.tokens:
            raise SqlError(f"Syntax error: Unexpected {self.tokens[0]}")
        return done

    def count(self) -> Done:
        self.expect("SELECT")
        names: list[str] = []
        counted: list[Value] = []
        while True:
            if self.accept("COUNT", "(", "*", ")"):
                counted.append(lambda _scope: True)
            else:
                self.expect("COUNTIF", "(")
                counted.append(self.condition())
                self.expect(")")
            self.expect("AS")
            names.append(self.name())
            if not self.accept(","):
                break
        self.expect("FROM")
        scopes: list[Scope] = [{"t": row} for row in self.table().rows]
        self.expect("AS", "t")
        if self.accept("LEFT", "JOIN"):
            other = self.table()
            self.expect("AS", "s", "ON")
            keys = self.same_key()
            found = _by_key(other.rows, keys)
            scopes = [{"t": row["t"], "s": each} for row in scopes for each in found.get(_key(row["t"], keys), [None])]
        if self.accept("WHERE"):
            is_wanted = self.condition()
            scopes = [scope for scope in scopes if is_wanted(scope) is True]
        return Done("SELECT", names, [[sum(value(scope) is True for scope in scopes) for value in counted]])

    def merge(self) -> Done:
        target = self.table()
        self.expect("AS", "t", "USING", "(", "SELECT")
        source = self.selected()
        self.expect(")", "AS", "s", "ON")
        keys = self.same_key()
        matched = missing = None
        if self.accept("WHEN", "MATCHED", "AND"):
            is_changed = self.condition()
            self.expect("THEN", "UPDATE", "SET")
            matched = (is_changed, self.assignments())
        self.expect("WHEN", "NOT", "MATCHED", "BY", "TARGET", "AND")
        is_new = self.condition()
        self.expect("THEN", "INSERT", "(")
        names = self.several(self.name)
        self.expect(")", "VALUES", "(")
        unmatched = self.several(self.value)
        self.expect(")")
        if self.accept("WHEN", "NOT", "MATCHED", "BY", "SOURCE"):
            is_gone: Value = self.condition() if self.accept("AND") else lambda _scope: True
            self.expect("THEN")
            missing = (is_gone, None if self.accept("DELETE") else self.marked())
        if self.tokens:
            raise SqlError(f"Syntax error: Unexpected {self.tokens[0]}")
        return _merged(target, source, keys, matched, (is_new, dict(zip(names, unmatched, strict=True))), missing)

    def marked(self) -> dict[str, Value]:
        self.expect("UPDATE", "SET")
        return self.assignments()

    def selected(self) -> list[Row]:
        """The rows of a sub-select of columns, some of them made geographies."""
        columns: list[tuple[str, Value]] = []
        while not self.accept("FROM"):
            value = self.value()
            columns.append((self.name() if self.accept("AS") else getattr(value, "column"), value))  # noqa: B009
            self.accept(",")
        return [{name: value({"": row}) for name, value in columns} for row in self.table().rows]

    def same_key(self) -> list[str]:
        """`t.a = s.a AND t.b = s.b`: its columns."""
        keys = []
        while True:
            self.expect("t", ".")
            keys.append(self.name())
            self.expect("=", "s", ".", f"`{keys[-1]}`")
            if not self.accept("AND"):
                return keys

    def several(self, part: Callable[[], Any]) -> list[Any]:
        found = [part()]
        while self.accept(","):
            found.append(part())
        return found

    def assignments(self) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while True:
            name = self.name()
            self.expect("=")
            found[name] = self.value()
            if not self.accept(","):
                return found

    def condition(self) -> Value:
        parts = self.joined(self.conjunction, "OR")
        return lambda scope: _any([part(scope) for part in parts])

    def conjunction(self) -> Value:
        parts = self.joined(self.negation, "AND")
        return lambda scope: _not(_any([_not(part(scope)) for part in parts]))

    def joined(self, part: Callable[[], Value], word: str) -> Sequence[Value]:
        found = [part()]
        while self.accept(word):
            found.append(part())
        return found

    def negation(self) -> Value:
        if self.accept("NOT"):
            inner = self.negation()
            return lambda scope: _not(inner(scope))
        if self.accept("("):
            inner = self.condition()
            self.expect(")")
            return inner
        left = self.value()
        if not self.accept("IS"):
            return left
        is_negated = self.accept("NOT")
        if self.accept("NULL"):
            return lambda scope: (left(scope) is None) != is_negated
        self.expect("DISTINCT", "FROM")
        right = self.value()
        return lambda scope: _distinct(left(scope), right(scope)) != is_negated

    def value(self) -> Value:
        if self.accept("NULL"):
            return lambda _scope: None
        if self.accept("CURRENT_TIMESTAMP", "(", ")"):
            now = datetime.now(UTC)
            return lambda _scope: now
        for function, meaning in (("ST_GEOGFROMWKB", _geography), ("ST_ASBINARY", _bytes)):
            if self.accept(function, "("):
                inner = self.value()
                self.expect(")")
                return lambda scope: meaning(inner(scope))  # returned at once
        if self.tokens and self.tokens[0].startswith("@"):
            name = self.tokens.pop(0)[1:]
            if name not in self.parameters:
                raise SqlError(f"Query parameter '{name}' not found")
            return lambda _scope: self.parameters[name]
        alias = ""
        if self.peek("t", ".") or self.peek("s", "."):
            alias = self.tokens[0]
            del self.tokens[:2]
        return _Column(alias, self.name())


Branch = tuple[Value, dict[str, Value]]
"""When, and what each column is set to."""


def _merged(
    target: Table,
    source: Sequence[Row],
    keys: Sequence[str],
    matched: Branch | None,
    new: Branch,
    missing: tuple[Value, dict[str, Value] | None] | None,
) -> Done:
    """The rows of a MERGE; None to set is to delete."""
    done, rows, by_key, seen = Done("MERGE"), [], _by_key(source, keys), set()
    for row in target.rows:
        key = _key(row, keys)
        found = by_key.get(key, [])
        scope: Scope = {"t": row, "s": found[0] if found else None}
        if found:
            seen.add(key)
            if matched is not None and matched[0](scope) is True:
                if len(found) > 1:
                    raise SqlError("UPDATE/MERGE must match at most one source row for each target row")
                row = row | {name: value(scope) for name, value in matched[1].items()}
                done.updated += 1
        elif missing is not None and missing[0](scope) is True:
            if missing[1] is None:
                done.deleted += 1
                continue
            row = row | {name: value(scope) for name, value in missing[1].items()}
            done.updated += 1
        rows.append(row)
    for row in source:
        scope = {"t": None, "s": row}
        if _key(row, keys) not in seen and new[0](scope) is True:
            rows.append(dict.fromkeys(target.fields) | {name: value(scope) for name, value in new[1].items()})
            done.inserted += 1
    check_rows(target.fields, rows)
    target.rows = rows
    return done


@dataclass(frozen=True)
class _Column:
    alias: str
    column: str

    def __call__(self, scope: Scope) -> Any:
        row = scope[self.alias]
        if row is None:
            return None
        if self.column not in row:
            raise SqlError(f"Unrecognized name: {self.column}")
        return row[self.column]


def check_rows(fields: Mapping[str, Mapping[str, Any]], rows: Sequence[Row]) -> None:
    """Raises SqlError for a null in a required column, and for a column that is not there."""
    for row in rows:
        for name, value in row.items():
            if name not in fields:
                raise SqlError(f"Column {name} is not present in table")
            if value is None and fields[name].get("mode") == "REQUIRED":
                raise SqlError(f"Required field {name} cannot be null")


def _key(row: Row | None, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple((row or {}).get(name) for name in keys)


def _by_key(rows: Sequence[Row], keys: Sequence[str]) -> dict[tuple[Any, ...], list[Any]]:
    found: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        # null equals nothing
        if None not in (key := _key(row, keys)):
            found.setdefault(key, []).append(row)
    return found


def _any(values: Sequence[bool | None]) -> bool | None:
    if True in values:
        return True
    return None if None in values else False


def _not(value: bool | None) -> bool | None:  # a value of SQL
    return None if value is None else not value


def _distinct(left: Any, right: Any) -> bool:
    if isinstance(left, Geography) or isinstance(right, Geography):
        raise SqlError("Equality is not defined for arguments of type GEOGRAPHY")
    return bool(left != right)


def _geography(wkb: bytes | None) -> Geography | None:
    if wkb is None:
        return None
    shape = shapely.from_wkb(wkb)
    if not shapely.is_valid(shape):
        raise SqlError(f"ST_GeogFromWKB failed: Invalid polygon loop: {shapely.is_valid_reason(shape)}")
    _, south, _, north = shapely.bounds(shape)
    if south < -90 or north > 90:
        raise SqlError("ST_GeogFromWKB failed: Latitude must be between -90 and 90 degrees")
    return Geography(wkb)


def _bytes(value: Geography | None) -> bytes | None:
    return None if value is None else value.wkb
