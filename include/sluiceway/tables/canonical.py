"""A table's file in one form: keys in the order of the docs, one space around =, and every comment where it belongs.

It reads with tomlkit, which keeps comments, and writes the lines itself. What a file says does not change: the order of
the columns and of what stands in a map is part of that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import tomlkit
from pydantic import BaseModel
from tomlkit.container import Container, OutOfOrderTableProxy
from tomlkit.items import AoT, Array, Comment, InlineTable, Item, Table, Whitespace

from sluiceway.tables.checks import Checks, ColumnChecks, Range, RowCheck
from sluiceway.tables.column import Column
from sluiceway.tables.paging import Paging
from sluiceway.tables.source_spec import SOURCE_KINDS, LocatedSource, SheetRows, TextValues
from sluiceway.tables.spec import Geometry, TableSpec

WIDTH = 120
SECTIONS = ("source", "columns", "geometry", "checks")
ROWS = ("checks", "rows")
"""The one array of tables."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_DIRECTIVE = "#:"
"""A comment that a program reads, such as the place of a schema, stands first."""


class NotFormattedError(ValueError):
    """What a file holds that has no canonical form, as it follows upon the file's name."""


@dataclass
class _Entry:
    """A key and its value, with the comments above and behind it."""

    key: str
    value: Item
    lead: list[str] = field(default_factory=list)
    """Lines above it; an empty one is a blank line."""
    comment: str = ""


@dataclass
class _Section:
    """What stands below a header."""

    path: tuple[str, ...] = ()
    entries: list[_Entry] = field(default_factory=list)
    below: dict[str, _Section] = field(default_factory=dict)
    rows: list[_Section] = field(default_factory=list)
    """What stands below each [[checks.rows]]."""
    lead: list[str] = field(default_factory=list)
    """Lines above the header."""
    comment: str = ""
    tail: list[str] = field(default_factory=list)
    """Lines below the last key."""

    def at(self, key: str) -> _Section:
        """The section below."""
        return self.below.setdefault(key, _Section((*self.path, key)))

    @property
    def is_plain(self) -> bool:
        """Whether it holds no comment and no section."""
        commented = self.lead or self.comment or any(self.tail) or any(any(each.lead) for each in self.entries)
        return not (commented or self.below or self.rows or any(each.comment for each in self.entries))


@dataclass
class _Reader:
    """Goes through a document from its top to its end."""

    top: _Section = field(default_factory=_Section)
    comments: list[str] = field(default_factory=list)
    head: list[str] = field(default_factory=list)
    """The comments at the top that belong to no key."""
    _pending: list[str] = field(default_factory=list)
    _place: _Section = field(init=False)

    def __post_init__(self) -> None:
        self._place = self.top

    def read(self, document: Container) -> None:
        """Read all of it."""
        self._walk(document, self.top)
        self._place.tail += self._pending

    def _walk(self, container: Container, section: _Section) -> None:
        for key, item in container.body:
            if isinstance(item, Whitespace):
                self._pending += [""] * ("\n" in item.as_string())
            elif isinstance(item, Comment):
                self._pending.append(self._seen(item))
            elif key is None:
                continue
            elif isinstance(item, AoT | OutOfOrderTableProxy):
                self._take_rows(section, key.key, item)
            elif isinstance(item, Table) and key.is_dotted() and (section.path or key.key not in SECTIONS):
                self._take_dotted(section, key.key, item)
            elif isinstance(item, Table):
                self._enter(item, section.at(key.key), is_header=not (key.is_dotted() or item.is_super_table()))
            else:
                self._take(section, key.key, item)

    def _take_rows(self, section: _Section, key: str, item: AoT | OutOfOrderTableProxy) -> None:
        path = (*section.path, key)
        if not isinstance(item, AoT) or path != ROWS:
            raise NotFormattedError(f"holds [[{'.'.join(path)}]], which is no part of a table's file")
        for each in item.body:
            section.rows.append(_Section(path))
            self._enter(each, section.rows[-1], is_header=True)

    def _enter(self, table: Table, section: _Section, *, is_header: bool) -> None:
        if is_header:
            above = self._above()
            self._place.tail += self._pending
            self._place, self._pending = section, []
            section.lead += above
            section.comment = self._seen(table) or section.comment
        self._walk(table.value, section)

    def _take(self, section: _Section, key: str, item: Item) -> None:
        if not (self.top.entries or self.top.below):
            self._take_head()
        lead, self._pending = self._pending, []
        if not section.path and key in SECTIONS and isinstance(item, InlineTable):
            below = section.at(key)
            below.lead += [each for each in lead if each]
            below.comment = self._seen(item)
            below.entries += [_Entry(name, value) for name, value in _flattened(item)]
        else:
            section.entries.append(_Entry(key, item, lead, self._seen(item)))

    def _take_dotted(self, section: _Section, key: str, table: Table) -> None:
        """`a.type = "text"`: one value in braces for all keys of a."""
        said = [self._seen(each) for each in _leaves(table)]
        entry = next((each for each in section.entries if each.key == key), None)
        if entry is None:
            self._take(section, key, tomlkit.inline_table())
            entry = section.entries[-1]
        entry.lead += [*filter(None, self._pending), *filter(None, said)]
        self._pending = []
        if not isinstance(entry.value, InlineTable):
            raise NotFormattedError(f"says {key} twice")
        _append(entry.value, _flattened(table))

    def _above(self) -> list[str]:
        """The comments that stand right above what comes next; they are pending no more."""
        if not (self.top.entries or self.top.below):
            self._take_head()
        at = len(self._pending)
        while at and self._pending[at - 1]:
            at -= 1
        found = self._pending[at:]
        del self._pending[at:]
        return found

    def _take_head(self) -> None:
        at = max((place for place, line in enumerate(self._pending, 1) if not line), default=0)
        while at < len(self._pending) and self._pending[at].startswith(_DIRECTIVE):
            at += 1
        self.head = self._pending[:at]
        del self._pending[:at]

    def _seen(self, item: Item) -> str:
        text = item.trivia.comment.strip()
        self.comments += [text] if text else []
        return text


def canonical(text: str) -> str:
    """The same file in its one form.

    :raises NotFormattedError: it holds what is no part of a table's file.
    :raises ValueError: it is no TOML.
    """
    reader = _read(text)
    source = reader.top.below.get("source", _Section())
    kind = next((each.value for each in source.entries if each.key == "kind"), None)
    lines = _lines(reader.top, _order(TableSpec), is_loose=False)
    blocks = [[*_tidied([*reader.head, ""]), *lines]] if lines else [_tidied(reader.head)]
    for name in sorted(reader.top.below, key=lambda each: SECTIONS.index(each) if each in SECTIONS else len(SECTIONS)):
        blocks += _blocks(reader.top.below[name], str(kind) if kind is not None else None)
    written = "\n\n".join("\n".join(block).strip("\n") for block in blocks if any(block)) + "\n"
    if sorted(_read(written).comments) != sorted(reader.comments):
        raise NotFormattedError("has a comment at a place where this would lose it")
    return written


def _read(text: str) -> _Reader:
    reader = _Reader()
    reader.read(tomlkit.parse(text.replace("\r\n", "\n")))
    return reader


def _order(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(model.model_fields)


def _order_of(path: tuple[str, ...], kind: str | None = None) -> tuple[str, ...]:
    """The keys that stand at a place of the file in their order; none where each has its own.

    :param kind: that of the source.
    """
    match path:
        case ("source",):
            return source_order(kind)
        case ("source", "paging"):
            return _order(Paging)
        case ("columns", _):
            return _order(Column)
        case ("geometry",):
            return _order(Geometry)
        case ("checks",):
            return _order(Checks)
        case ("checks", "columns", _):
            return _order(ColumnChecks)
        case ("checks", "columns", _, "range"):
            return _order(Range)
        case ("checks", "rows"):
            return _order(RowCheck)
        case _:
            return ()


def source_order(kind: str | None) -> tuple[str, ...]:
    """The keys of [source]: the kind, where it is, what it has alone, how values are read, how much it may be."""
    model = SOURCE_KINDS.get(kind or "")
    if model is None:
        return ()
    wings = [each for each in (LocatedSource, model, SheetRows, TextValues) if issubclass(model, each)]
    named = [name for each in wings for name in each.__annotations__ if name in model.model_fields]
    keys = dict.fromkeys(["kind", *named, *model.model_fields])
    return tuple(sorted(keys, key=lambda each: each.startswith("max_")))


def _blocks(section: _Section, kind: str | None = None) -> Iterator[list[str]]:
    """The section, and those below it that stay by themselves."""
    is_columns = section.path == ("columns",)
    own = _inlined(section, is_columns=is_columns)
    name = ".".join(map(_key, section.path))
    header = (f"[[{name}]]" if section.path == ROWS else f"[{name}]") + (
        f"  {section.comment}" if section.comment else ""
    )
    lines = [*_tidied(section.lead), header, *_lines(section, _order_of(section.path, kind), is_loose=is_columns)]
    if lines != [header] or section.comment or (len(own) == len(section.below) and not section.rows):
        yield lines
    for below in (*(each for each in section.below.values() if each not in own), *section.rows):
        yield from _blocks(below)


def _inlined(section: _Section, *, is_columns: bool) -> list[_Section]:
    """Have sections below become values in braces, where they fit on a line."""
    if section.path[0] == "checks" and len(section.path) <= len(ROWS):
        # [checks.columns.state] is how a person looks for it
        return []
    small = [each for each in section.below.values() if each.is_plain and _fits(each)]
    if is_columns and len(small) < len(section.below):
        # those in braces would come to stand before the others, and the order of the columns is what is loaded
        return []
    for each in small:
        table = tomlkit.inline_table()
        _append(table, ((entry.key, entry.value) for entry in each.entries))
        section.entries.append(_Entry(each.path[-1], table))
    return small


def _fits(section: _Section) -> bool:
    inside = ", ".join(f"{_key(each.key)} = {_value(each.value, 0)}" for each in section.entries)
    return "\n" not in inside and len(f"{_key(section.path[-1])} = {{ {inside} }}") <= WIDTH


def _lines(section: _Section, order: Sequence[str], *, is_loose: bool) -> list[str]:
    """The keys of a section and their comments.

    :param is_loose: whether blank lines between keys are kept.
    """
    places = {name: place for place, name in enumerate(order)}
    # what has no place keeps that behind all others, and columns keep theirs
    entries = sorted(section.entries, key=lambda each: places.get(each.key, len(places)))
    lines: list[str] = []
    for entry in entries:
        lead = entry.lead if is_loose or any(entry.lead) else []
        lines += lead
        start = f"{_key(entry.key)} = "
        value = _value(entry.value, len(start), _order_of((*section.path, entry.key)))
        lines.append(f"{start}{value}" + (f"  {entry.comment}" if entry.comment else ""))
    return _tidied([*lines, *section.tail])


def _tidied(lines: Sequence[str]) -> list[str]:
    """No blank line at the top, and no two of them together; one at the end stays, where something follows."""
    kept: list[str] = []
    for line in lines:
        if line or (kept and kept[-1]):
            kept.append(line.rstrip())
    return kept


def _value(item: Item, start: int, order: Sequence[str] = ()) -> str:
    """A value as it is written, its own spelling kept.

    :param start: how many characters stand before it.
    """
    if isinstance(item, InlineTable):
        return _braces(_flattened(item), order)
    if isinstance(item, Array):
        return _array(item, start)
    return item.as_string().strip()


def _leaves(table: Table) -> Iterator[Item]:
    """The values in tables within each other."""
    for key, item in table.value.body:
        if isinstance(item, Table):
            yield from _leaves(item)
        elif key is not None:
            yield item


def _flattened(table: InlineTable | Table) -> Iterator[tuple[str, Item]]:
    """Its keys; of dotted ones, which make tables within, the table."""
    found: dict[str, Item] = {}
    for key, item in table.value.body:
        if key is not None and isinstance(item, Table):
            inner = found.setdefault(key.key, tomlkit.inline_table())
            if isinstance(inner, InlineTable):
                _append(inner, _flattened(item))
        elif key is not None:
            found[key.key] = item
    yield from found.items()


def _append(table: InlineTable, pairs: Iterable[tuple[str, Item]]) -> None:
    for name, value in pairs:
        within = table.get(name)
        if isinstance(within, InlineTable) and isinstance(value, InlineTable):
            _append(within, _flattened(value))
        else:
            table.append(name, value)


def _braces(pairs: Iterable[tuple[str, Item]], order: Sequence[str]) -> str:
    places = {name: place for place, name in enumerate(order)}
    listed = sorted(pairs, key=lambda each: places.get(each[0], len(places)))
    inside = ", ".join(f"{_key(name)} = {_value(value, 0)}" for name, value in listed)
    return f"{{ {inside} }}" if inside else "{}"


def _array(array: Array, start: int) -> str:
    """On one line where it fits; an array with comments stays as it is."""
    written = array.as_string().strip()
    if "\n" in written and "#" in written:
        return "\n".join(line.rstrip() for line in written.split("\n"))
    values = [_value(each, 0) for each in array.value if isinstance(each, Item)]
    line = f"[{', '.join(values)}]"
    # within braces a value has one line
    if not start or start + len(line) <= WIDTH or not values:
        return line
    return "\n".join(["[", *(f"    {each}," for each in values), "]"])


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")
