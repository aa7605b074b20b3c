"""Delimited text: plain, gzip, or one member of a zip; with or without a header.

The dialect is the spec's, never guessed: a sniffer that looks at the first lines takes a file whose first
quote stands in line 53,384 for one without quotes and loses 5,208 rows of it (measured on `population`).
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv

from sluiceway.errors import ConfigError, SchemaDriftError, SourceMissingError, SourceUnreadableError, nearest
from sluiceway.sources.extraction import Extraction, Unreadable, chosen_columns
from sluiceway.tables.source_spec import CsvSource
from sluiceway.tables.spec import TableSpec

BLOCK_BYTES = 2 << 20
"""Read at once; a record must fit. About 10,000 rows of a table with 20 columns."""

csv.field_size_limit(BLOCK_BYTES)

_READ_ERRORS = (csv.Error, OSError, EOFError, zipfile.BadZipFile, zlib.error, LookupError)


@contextmanager
def open_csv(spec: TableSpec, source: CsvSource, path: Path) -> Iterator[Extraction]:
    """Open delimited text; all columns come as text, the spec's `null` texts as null."""
    place = path.name
    if spec.geometry is not None:
        raise ConfigError(f"{spec.name}: geometry: delimited text has none yet; remove [geometry], or use kind vector")
    with _named_errors(spec, place):
        first, header_lines, has_rows = _head(source, path)
    positions = _positions(spec, source, first, place)
    names = first if source.header else [str(number) for number in range(1, len(first) + 1)]
    extraction = Extraction(columns=dict.fromkeys(names, "text"), batches=iter(()))
    if not has_rows:
        yield extraction
        return
    with _open_bytes(source, path) as stream:
        skipped = header_lines if source.header else 0
        batches = _batches(spec, source, stream, positions, len(first), skipped, extraction, place)
        extraction.batches = batches
        with closing(batches):  # stops Arrow's read-ahead
            yield extraction


@contextmanager
def _named_errors(spec: TableSpec, place: str) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise SourceUnreadableError(f"{spec.name}: {place} cannot be read: {error}; declare source.encoding") from error
    except _READ_ERRORS as error:
        raise SourceUnreadableError(f"{spec.name}: {place} cannot be read: {error}") from error


@contextmanager
def _open_bytes(source: CsvSource, path: Path) -> Iterator[IO[bytes] | pa.NativeFile]:
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(_member(source, archive, path)) as member:
            yield member
    elif suffix == ".gz":
        with pa.CompressedInputStream(str(path), "gzip") as stream:
            yield stream
    else:
        with pa.OSFile(str(path)) as stream:
            yield stream


def _member(source: CsvSource, archive: zipfile.ZipFile, path: Path) -> str:
    files = [name for name in archive.namelist() if not name.endswith("/")]
    if source.member is None and len(files) == 1:
        return files[0]
    if source.member in files:
        return str(source.member)
    if source.member is None:
        raise SourceMissingError(
            f"{path.name} holds {len(files)} files: {', '.join(files[:12])}; name one as source.member"
        )
    raise SourceMissingError(f"{path.name} has no member {source.member!r}{nearest(source.member, files)}")


def _head(source: CsvSource, path: Path) -> tuple[list[str], int, bool]:
    """The first record, how many lines the header takes, and whether a data row follows."""
    encoding = "utf-8-sig" if (source.encoding or "utf-8").lower() in {"utf-8", "utf8"} else source.encoding
    with (
        _open_bytes(source, path) as stream,
        io.TextIOWrapper(stream, encoding=encoding, newline="") as text,
    ):
        reader = csv.reader(text, delimiter=source.delimiter, quotechar=source.quote)
        first = next((record for record in reader if record), [])
        header_lines = reader.line_num
        has_rows = bool(first) if not source.header else next(reader, None) is not None
    return first, header_lines, has_rows


def _positions(spec: TableSpec, source: CsvSource, first: list[str], place: str) -> dict[str, int]:
    """Target column -> position from 0."""
    if source.header:
        chosen = chosen_columns(spec, first, place) if first else {}
        for name in chosen.values():
            if first.count(name) > 1:
                raise SchemaDriftError(f"{spec.name}: {place}: the header holds column {name!r} twice")
        return {target: first.index(name) for target, name in chosen.items()}
    positions = {target: int(spec.source_names(target)[0]) - 1 for target in spec.columns}
    for target, position in positions.items():
        if first and position >= len(first):
            raise SchemaDriftError(
                f"{spec.name}: {place}: column {target!r} is declared at position {position + 1}, "
                f"the file has {len(first)} columns"
            )
    return positions


def _batches(
    spec: TableSpec,
    source: CsvSource,
    stream: IO[bytes] | pa.NativeFile,
    positions: dict[str, int],
    width: int,
    skipped: int,
    extraction: Extraction,
    place: str,
) -> Generator[pa.RecordBatch, None, None]:
    seen = 0

    def keep_unreadable(row: pa.csv.InvalidRow) -> str:
        number = (row.number or seen + 1) - skipped
        extraction.unreadable.append(
            Unreadable(number, f"has {row.actual_columns} columns instead of {row.expected_columns}", row.text)
        )
        return "skip"

    wanted = {str(position): pa.string() for position in positions.values()}
    try:
        with pa.csv.open_csv(
            stream,
            # one thread: the row numbers of unreadable records are known, and the other core is PostgreSQL's
            read_options=pa.csv.ReadOptions(
                use_threads=False,
                block_size=BLOCK_BYTES,
                skip_rows=skipped,
                column_names=[str(number) for number in range(width)],
                encoding=source.encoding or "utf8",
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=source.delimiter,
                quote_char=source.quote,
                newlines_in_values=True,
                invalid_row_handler=keep_unreadable,
            ),
            convert_options=pa.csv.ConvertOptions(
                include_columns=list(wanted),
                column_types=wanted,
                strings_can_be_null=True,
                null_values=list(source.null),
            ),
        ) as reader:
            for batch in reader:
                seen += batch.num_rows
                if batch.num_rows:
                    columns = [batch.column(str(position)) for position in positions.values()]
                    yield pa.RecordBatch.from_arrays(columns, names=list(positions))
    except _READ_ERRORS as error:
        raise SourceUnreadableError(f"{spec.name}: {place} cannot be read after row {seen}: {error}") from error
    except pa.ArrowInvalid as error:
        hint = "; declare source.encoding" if "UTF8" in str(error) else ""
        raise SourceUnreadableError(f"{spec.name}: {place} cannot be read after row {seen}: {error}{hint}") from error
