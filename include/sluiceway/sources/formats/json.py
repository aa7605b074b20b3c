"""JSON files: an array of objects, anywhere in the document, or one object per line. All values come as text.

A number keeps its spelling (1.10, and integers of any length), an object or array inside a record is its JSON, a key
that a record lacks is null. Of a key that stands twice in one object the last value counts, as in PostgreSQL.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from sluiceway.amounts import counted
from sluiceway.errors import (
    ConfigError,
    SourceMissingError,
    SourceTooLargeError,
    SourceUnreadableError,
    nearest,
    said_by,
)
from sluiceway.sources.bounds import check_columns, value_too_long
from sluiceway.sources.extraction import Extraction, Unreadable, declared_columns, geometry_columns
from sluiceway.sources.formats.archive import open_bytes
from sluiceway.sources.formats.json_records import (
    BrokenJsonError,
    DeepJsonError,
    Document,
    LongJsonError,
    check_deep,
    check_many,
    read_records,
)
from sluiceway.sources.formats.json_survey import one_page
from sluiceway.sources.formats.nested import Nested
from sluiceway.sources.formats.texts import Number, json_text, text_array
from sluiceway.tables.source_spec import JsonSource
from sluiceway.tables.spec import TableSpec

BATCH_BYTES = 1 << 20
"""Of JSON; parsed it takes ten times as much."""
SAMPLE_RECORDS = 5_000
"""A file without an object among so many records is another kind of file."""
CHUNK_BYTES = 1 << 20
SHOWN = 1_000
"""Characters of an unreadable record that are kept."""

_BLANK = b" \t\r\n"
_DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=str, strict=False)


@contextmanager
def open_json(spec: TableSpec, source: JsonSource, path: Path) -> Iterator[Extraction]:
    """Open the file: its first records are read here and say which columns there are."""
    if source.layout == "lines" and source.records is not None:
        raise ConfigError(f'{spec.name}: source.records: stands for an array; layout = "lines" has none')
    _check_start(spec, source, path)
    reader = _Reader(spec, source, path)
    with closing(reader.batches()) as batches:
        # the first batch is made here, for the columns
        first = list(islice(batches, 1))
        yield Extraction(
            columns=reader.keys, batches=_chained(first, batches), unreadable=reader.unreadable, notes=reader.notes
        )


def _chained(first: list[pa.RecordBatch], rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while first:
        yield first.pop()
    yield from rest


def _check_start(spec: TableSpec, source: JsonSource, path: Path) -> None:
    """Raises SourceUnreadableError when the first character already says that this is another layout."""
    with _named_errors(spec, path), open_bytes(path, source.member, source.max_bytes) as stream:
        start = stream.read(4096)
        while start and not start.strip(_BLANK):
            start = stream.read(4096)
    place = f"{spec.name}: {path.name}"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceUnreadableError(f"{place} is UTF-16; JSON is UTF-8: save it anew")
    first = start.removeprefix(codecs.BOM_UTF8).lstrip(_BLANK)[:1]
    if source.layout == "lines":
        if first == b"[":
            raise SourceUnreadableError(f'{place} begins with an array; declare source.layout = "array"')
    elif source.records is not None:
        if first == b"[":
            raise SourceUnreadableError(f"{place} is an array itself; remove source.records")
    elif first == b"{":
        if b'"FeatureCollection"' in start:
            raise SourceUnreadableError(f'{place} is GeoJSON; declare source.kind = "vector"')
        raise SourceUnreadableError(
            f'{place} begins with an object, no array; declare source.layout = "lines" if each line is one, or '
            f"source.records, where the array stands"
        )


@contextmanager
def _named_errors(spec: TableSpec, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceUnreadableError(f"{spec.name}: {path.name} cannot be read: {said_by(error)}") from error


@dataclass
class _Reader:
    """Reads the records of one file."""

    spec: TableSpec
    source: JsonSource
    path: Path
    keys: dict[str, str] = field(default_factory=dict)
    """Every key seen so far, and every declared path, with its family."""
    unreadable: list[Unreadable] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    number: int = 0
    """Of the last record that was read."""
    _found: dict[str, str] = field(default_factory=dict)
    """Column of a batch -> key."""

    def __post_init__(self) -> None:
        self._nested = Nested(self.spec)

    def batches(self) -> Generator[pa.RecordBatch, None, None]:
        """The records, batch by batch.

        :raises SchemaDriftError: no record has a declared key; a file of several batches says so at its end.
        """
        rows: list[dict[str, Any]] = []
        size = 0
        with _named_errors(self.spec, self.path), closing(self._objects()) as objects:
            for record, length in objects:
                rows.append(record)
                self.keys.update(dict.fromkeys([*record, *self._nested.found_in(record)], "text"))
                check_columns(self.spec, self.keys, self.path.name)
                size += length
                if size >= BATCH_BYTES:
                    yield self._batch(rows)
                    rows, size = [], 0
        if self.keys:
            self._check_keys()
        elif self.number:
            raise self._no_objects()
        if rows:
            yield self._batch(rows)

    def _objects(self) -> Generator[tuple[dict[str, Any], int], None, None]:
        """The records that are objects, and how many characters each takes."""
        records = self._lines() if self.source.layout == "lines" else self._elements()
        with closing(records):
            for record, spelling in records:
                self.number += 1
                reason = record.reason if isinstance(record, _Broken) else _why_not(record, spelling)
                if reason is None:
                    yield record, len(spelling)
                    continue
                self.unreadable.append(Unreadable(self.number, reason, spelling[:SHOWN].replace("\0", "\\0")))
                if not self.keys and self.number >= SAMPLE_RECORDS:
                    raise self._no_objects()

    def _elements(self) -> Generator[tuple[Any, str], None, None]:
        document = Document()
        path = self.source.records
        try:
            with open_bytes(self.path, self.source.member, self.source.max_bytes) as stream:
                yield from read_records(stream, document, records=path, largest=self.source.max_value_bytes)
        except LongJsonError as error:
            raise self._too_large(f"after record {self.number:,}, {error}") from error
        except BrokenJsonError as error:
            raise self._broken(f"after record {self.number:,}, {error}") from error
        if not document.found:
            hint = nearest(path, document.keys) if path is not None else ""
            where = f" at source.records = {path!r}" if path is not None else ""
            raise SourceMissingError(f"{self.spec.name}: {self.path.name} holds no array{where}{hint}")
        if (why := one_page(document.other, self.number)) is not None:
            self.notes["page"] = f"{self.path.name} seems to be one page of several: {why}"

    def _lines(self) -> Generator[tuple[Any, str], None, None]:
        with open_bytes(self.path, self.source.member, self.source.max_bytes) as stream:
            for line in self._split(stream):
                try:
                    text = line.decode()
                    if len(line) > CHUNK_BYTES:
                        check_many(text, self.source.max_value_bytes)
                    record = _DECODER.decode(text)
                    check_deep(record, text)
                    yield record, text
                except UnicodeDecodeError as error:
                    yield _Broken(f"is no UTF-8: byte 0x{line[error.start]:02x}"), line.decode(errors="replace")
                except json.JSONDecodeError as error:
                    yield _Broken(f"is no JSON: {error.msg} at character {error.pos + 1}"), text
                except LongJsonError as error:
                    raise self._too_large(f"after record {self.number:,}, {error}") from error
                except (DeepJsonError, RecursionError):
                    yield _Broken("is nested too deeply"), text

    def _split(self, stream: IO[bytes]) -> Iterator[bytes]:
        """The lines that are not blank."""
        rest, at_start = b"", True
        while chunk := stream.read(CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if at_start and lines:
                lines[0], at_start = lines[0].removeprefix(codecs.BOM_UTF8), False
            yield from filter(None, (line.strip(_BLANK) for line in lines))
            if len(rest) > self.source.max_value_bytes:
                raise value_too_long(self.spec, self.path.name, f"record {self.number + 1:,}")
        last = (rest.removeprefix(codecs.BOM_UTF8) if at_start else rest).strip(_BLANK)
        if last:
            yield last

    def _too_large(self, what: str) -> SourceTooLargeError:
        return SourceTooLargeError(
            f"{self.spec.name}: {self.path.name}: {what}, and source.max_value_bytes allows "
            f"{self.source.max_value_bytes:,}; raise it if right"
        )

    def _batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        columns = self._columns()
        arrays = []
        for target, key in columns.items():
            column = self.spec.columns.get(target)
            as_json = column is not None and self.spec.transform is None and column.sql_type.base == "jsonb"
            spell = _json_or_none if as_json else _text
            arrays.append(text_array([spell(self._nested.value(row, key)) for row in rows]))
        return pa.RecordBatch.from_arrays(arrays, names=list(columns))

    def _columns(self) -> dict[str, str]:
        """Column of a batch -> key. A declared key that no record had so far is null; a transform gets all."""
        geometry = self.spec.geometry.source_columns if self.spec.geometry is not None else {}
        if self.spec.transform is not None:
            return {key: key for key in self.keys if key not in geometry.values()} | geometry
        for target in self.spec.columns:
            names = [str(name) for name in self.spec.source_names(target)]
            if self._found.get(target) not in self.keys:
                self._found[target] = next((name for name in names if name in self.keys), names[0])
        return self._found | geometry

    def _check_keys(self) -> None:
        if self.spec.transform is None:
            declared_columns(self.spec, self.keys, self.path.name, self._nested.known)
        geometry_columns(self.spec, self.keys, self.path.name)

    def _no_objects(self) -> SourceUnreadableError:
        why = f"; the first one {self.unreadable[0].reason}" if self.unreadable else ""
        return self._broken(f"none of its {counted(self.number, 'record')} is a JSON object{why}")

    def _broken(self, what: str) -> SourceUnreadableError:
        return SourceUnreadableError(f"{self.spec.name}: {self.path.name} cannot be read: {what}")


@dataclass(frozen=True)
class _Broken:
    """In place of a record that is no JSON."""

    reason: str


def _why_not(record: Any, spelling: str) -> str | None:
    """Why this is no record, if it is none."""
    if not isinstance(record, dict):
        return "is no JSON object"
    # JSON can spell half a surrogate pair, which no text of a database can hold
    if "\\u" in spelling and not _is_text(json_text(record)):
        return "holds half a character"
    return None


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json_text(value)


def _json_or_none(value: Any) -> str | None:
    return None if value is None else json_text(value)
