"""Several files, or parts of one, described as one table: they must be read alike, and what differs is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from sluiceway.amounts import counted
from sluiceway.errors import ConfigError, EmptyExtractionError, SourceUnreadableError, listed
from sluiceway.infer.asked import SHEETS, Asked, Source, source_of
from sluiceway.infer.parts import parts_of
from sluiceway.sources.place import Place
from sluiceway.tables.origins import FILE
from sluiceway.tables.patterns import is_pattern

SHOWN = 3
_PARTS = ("member", "sheet", "layer", "table")
_BLOCK_BYTES = 1 << 20


def patterns_in(asked: Asked, place: Place) -> dict[str, str]:
    """Which origins a row has, and what stands for several of each: $file -> the uri."""
    said = {f"${key}": getattr(asked, key) for key in _PARTS if is_pattern(getattr(asked, key))}
    return ({FILE: asked.uri} if place.files else {}) | said


def source_together(asked: Asked, place: Place, columns_of: Callable[[Source, Path], Mapping[str, str]]) -> Source:
    """How all of them are read, by the first one; which columns some lack is in `not_everywhere`.

    :param columns_of: the columns of one of them, where its header does not say them.
    :raises SourceUnreadableError: one is of another kind, or written in another way.
    :raises EmptyExtractionError: none of them holds anything.
    """
    together = _Together(patterns_in(asked, place))
    for name, path, one in _each(asked, place):
        try:
            found = source_of(one, path)
        except EmptyExtractionError:
            continue
        held = _header(found)
        together.add(found, name, path, list(columns_of(found, path)) if held is None else held)
    if together.first is None:
        raise EmptyExtractionError(f"{place.name} is empty: none of what fits holds a record.")
    return together.described(together.first)


def _header(found: Source) -> list[str] | None:
    """The names of a sheet's columns; None where the reader says them."""
    if found.keys["kind"] not in SHEETS:
        return None
    if not found.keys.get("header", True):
        return []
    # by the names in each header, for their order may be another one in each
    found.reading = {}
    counts = Counter(found.names or ())
    return [each for each in found.names or () if each and counts[each] == 1]


class _Together:
    """What is known of all of them so far."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self.first: Source | None = None
        self._patterns = patterns
        self._names: list[str] = []
        self._holds: dict[str, set[str]] = {}
        """Column -> in which it is."""
        self._is_ascii = False
        """Whether the first one is."""

    def add(self, found: Source, name: str, path: Path, columns: list[str]) -> None:
        """Take one more.

        :raises ConfigError: what is asked of it, such as a sheet, its kind has not.
        :raises SourceUnreadableError: it is read otherwise than the first one.
        """
        for key in self._patterns:
            if key != FILE and key[1:] not in found.keys:
                raise ConfigError(f"--{key[1:]}: a source of kind {found.keys['kind']} has none; leave it out")
        if self.first is None:
            self.first, self._is_ascii = found, _is_ascii(found, path)
        else:
            self._agree(self.first, found, name, path)
        for column in columns:
            self._holds.setdefault(column, set()).add(name)
        self._names.append(name)

    def described(self, first: Source) -> Source:
        """All of them, as one source."""
        for column, holding in self._holds.items():
            if lacking := [name for name in self._names if name not in holding]:
                shown = listed(lacking, SHOWN)
                several = f"{len(lacking):,} of {len(self._names):,} lack it, "
                first.not_everywhere[column] = f"{several}{shown}" if len(lacking) > 1 else f"{shown} lacks it"
        first.keys |= {key[1:]: said for key, said in self._patterns.items() if key != FILE}
        first.origins = tuple(self._patterns)
        what = next(iter(self._patterns))[1:] if len(self._patterns) == 1 else "part"
        count = counted(len(self._names), what)
        first.notes.insert(0, f"{count} in one table, by name: from {self._names[0]} to {self._names[-1]}.")
        return first

    def _agree(self, first: Source, found: Source, name: str, path: Path) -> None:
        before, ours, theirs = self._names[0], dict(first.keys), dict(found.keys)
        for key in self._patterns:
            ours.pop(key[1:], None)
            theirs.pop(key[1:], None)
        encodings = ours.pop("encoding", None), theirs.pop("encoding", None)
        if ours != theirs:
            key = next(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
            raise SourceUnreadableError(
                f"{name} is read otherwise than {before}: {key} = {_said(theirs, key)} and {_said(ours, key)}; make "
                f"them alike, or draft a table for each with --all"
            )
        if encodings[0] == encodings[1] or _is_ascii(found, path):
            return
        if not self._is_ascii:
            raise SourceUnreadableError(
                f"{name} is in {encodings[1] or 'UTF-8'} and {before} in {encodings[0] or 'UTF-8'}; save them in one "
                f"encoding, or draft a table for each with --all"
            )
        # plain letters are the same in every encoding that a text may be in
        self._is_ascii = False
        first.keys["encoding"] = encodings[1]
        first.remarks |= {key: said for key, said in found.remarks.items() if key == "encoding"}


def _said(keys: Mapping[str, object], key: str) -> str:
    return repr(keys[key]) if key in keys else "nothing"


def _each(asked: Asked, place: Place) -> Iterator[tuple[str, Path, Asked]]:
    if not place.files and place.path is not None:
        for one in parts_of(asked, place.path, each=False):
            yield _called(place.name, one, asked), place.path, one
    for file in place.files:
        with file.here() as path:
            for one in parts_of(asked, path, each=False):
                yield _called(file.name, one, asked), path, one


def _called(file: str, one: Asked, asked: Asked) -> str:
    inside = [f"{key} {getattr(one, key)}" for key in _PARTS if getattr(one, key) != getattr(asked, key)]
    return ", ".join([file, *inside])


def _is_ascii(found: Source, path: Path) -> bool:
    if found.keys["kind"] != "csv" or found.keys.get("encoding") is not None:
        return False
    from sluiceway.infer.recognise import MOST_BYTES
    from sluiceway.sources.formats.archive import open_bytes

    with open_bytes(path, found.keys.get("member"), MOST_BYTES) as stream:
        return all(block.isascii() for block in iter(lambda: stream.read(_BLOCK_BYTES), b""))
