"""Delimited text: plain, .gz, .zst, or one member of a zip; with or without a header.

The dialect is the spec's, never guessed: a sniffer that looks at the first lines takes a file whose first
quote stands in line 53,384 for one without quotes and loses 5,208 rows of it (measured on `population`).
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from sluiceway.amounts import counted
from sluiceway.errors import ConfigError, SourceTooLargeError, SourceUnreadableError, said_by
from sluiceway.sources.bounds import check_columns, value_too_long
from sluiceway.sources.extraction import Extraction, Unreadable
from sluiceway.sources.footer import doubts
from sluiceway.sources.formats.archive import open_bytes
from sluiceway.sources.formats.csv_text import CsvText
from sluiceway.sources.formats.header import check_width, column_names, declared_positions
from sluiceway.tables.source_spec import CsvSource
from sluiceway.tables.spec import TableSpec

BLOCK_BYTES = 1 << 20
"""Read at once; about 5,000 rows of a table with 20 columns."""
HOPELESS = 10_000
"""So many records at the start, and all of another width than the first one, are no rejects but another dialect."""
SHOWN = 10_000
"""Characters of an unreadable record that are kept."""

_READ_ERRORS = (csv.Error, OSError)


@contextmanager
def open_csv(spec: TableSpec, source: CsvSource, path: Path) -> Iterator[Extraction]:
    """Open delimited text; all columns come as text, the spec's `null` texts as null."""
    place = path.name
    with _named_errors(spec, place):
        first = _first_record(spec, source, path)
    check_columns(spec, first, place)
    names = column_names(first, header=source.header)
    extraction = Extraction(columns=dict.fromkeys(names, "text"), batches=iter(()))
    if not first:
        yield extraction
        return
    positions = declared_positions(spec, first, place, header=source.header)
    check_width(spec, positions, len(first), place)
    unreadable: list[Unreadable] = [] if source.skip_footer else extraction.unreadable
    batches = _Reader(spec, source, path, positions, len(first), unreadable).batches()
    if source.skip_footer:
        batches = _without_footer(batches, unreadable, source.skip_footer, extraction)
    extraction.batches = batches
    with closing(batches):  # stops Arrow's read-ahead
        yield extraction


@contextmanager
def _named_errors(spec: TableSpec, place: str) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{spec.name}: {error}") from error
    except _READ_ERRORS as error:
        raise SourceUnreadableError(f"{spec.name}: {place} cannot be read: {said_by(error)}") from error


def _first_record(spec: TableSpec, source: CsvSource, path: Path) -> list[str]:
    """The header or the first row; empty if there is none."""
    with open_bytes(path, source.member, source.max_bytes) as stream:
        text = CsvText(stream, source)
        with io.TextIOWrapper(io.BufferedReader(text), encoding="utf-8", newline="") as lines:
            given = _lines(spec, lines, path.name)
            reader = csv.reader(given, delimiter=source.delimiter, quotechar=source.quote, escapechar=source.escape)
            records = (record for record in reader if record)
            first = next(records, [])
            if text.broken is not None and next(records, None) is None:
                raise SourceUnreadableError(
                    f"{spec.name}: {path.name} cannot be read: in its first record, {text.broken}"
                )
    return first


def _lines(spec: TableSpec, text: io.TextIOWrapper, place: str) -> Iterator[str]:
    """The lines of the first record and of what stands above it, all together no longer than a record may be."""
    left = spec.source.max_value_bytes
    csv.field_size_limit(left)
    while line := text.readline(left + 1):
        left -= len(line)
        if left < 0:
            raise value_too_long(spec, place, "its first record")
        yield line


class _RecordTooLongError(Exception):
    """A record is longer than a block."""


@dataclass
class _Reader:
    """Reads the rows of one file."""

    spec: TableSpec
    source: CsvSource
    path: Path
    positions: dict[str, int]
    width: int
    unreadable: list[Unreadable]
    delivered: int = 0
    """Rows handed over so far."""
    last_unreadable: int = 0
    """The number of the last record that was reported as unreadable."""

    def batches(self) -> Generator[pa.RecordBatch, None, None]:
        """All rows, in the columns of the spec."""
        for block_bytes in (BLOCK_BYTES, max(BLOCK_BYTES, self.source.max_value_bytes)):
            try:
                with closing(self._in_blocks(block_bytes)) as batches:
                    yield from batches
            except _RecordTooLongError:
                continue
            return
        raise SourceTooLargeError(
            f"{self.spec.name}: {self.path.name} cannot be read: after row "
            f"{max(self.delivered, self.last_unreadable):,}, a record is longer than source.max_value_bytes = "
            f"{self.source.max_value_bytes:,}; perhaps a quote is opened there and never closed"
        )

    def _in_blocks(self, block_bytes: int) -> Generator[pa.RecordBatch, None, None]:
        """The rows that were not delivered yet."""
        # the header is read as a row, and dropped: it may take several lines, and its width is that of the rows
        header = int(self.source.header)
        rows = refused = 0
        first_row = header

        def keep_unreadable(record: pa.csv.InvalidRow) -> str:
            nonlocal refused, first_row
            refused += 1
            number = int(record.number) - header
            if number == 0:
                first_row = 0
            elif number > self.last_unreadable:
                reason = f"has {counted(record.actual_columns, 'column')} instead of {record.expected_columns}"
                self.last_unreadable = number
                # PostgreSQL has no character 0
                self.unreadable.append(Unreadable(number, reason, record.text[:SHOWN].replace("\0", "\\0")))
            return "skip"

        with (
            self._arrow_errors(),
            open_bytes(self.path, self.source.member, self.source.max_bytes) as stream,
            CsvText(stream, self.source) as text,
            self._open(text, block_bytes, keep_unreadable) as reader,
        ):
            for batch in reader:
                known = min(max(first_row + self.delivered - rows, 0), batch.num_rows)
                rows += batch.num_rows
                if rows <= header and refused >= HOPELESS:
                    raise self._broken(
                        f"{refused:,} records do not have as many columns as the first one; see source.delimiter "
                        f"and source.skip_lines"
                    )
                for part in _slices(self._chosen(batch.slice(known))):
                    self.delivered += part.num_rows
                    yield part
        if text.broken is not None:
            number = rows + refused - header
            raise self._broken(f"in {f'row {number:,}' if number > 0 else 'its header'}, {text.broken}")

    @contextmanager
    def _arrow_errors(self) -> Iterator[None]:
        try:
            yield
        except _READ_ERRORS as error:
            raise self._broken(f"after row {self.delivered:,}, {said_by(error)}") from error
        except pa.ArrowInvalid as error:
            if "straddling object" in str(error):
                raise _RecordTooLongError from error
            raise self._broken(f"after row {self.delivered:,}, {said_by(error)}") from error

    def _open(
        self, text: CsvText, block_bytes: int, keep_unreadable: Callable[[pa.csv.InvalidRow], str]
    ) -> pa.csv.CSVStreamingReader:
        wanted = {str(position): pa.string() for position in self.positions.values()}
        return pa.csv.open_csv(
            text,
            # one thread: the row numbers of unreadable records are known, and the other core is PostgreSQL's
            read_options=pa.csv.ReadOptions(
                use_threads=False,
                block_size=block_bytes,
                column_names=[str(number) for number in range(self.width)],
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=self.source.delimiter,
                quote_char=self.source.quote,
                escape_char=self.source.escape or False,
                newlines_in_values=True,
                invalid_row_handler=keep_unreadable,
            ),
            convert_options=pa.csv.ConvertOptions(
                include_columns=list(wanted),
                column_types=wanted,
                check_utf8=False,  # CsvText has
                strings_can_be_null=True,
                null_values=list(self.source.null),
            ),
        )

    def _chosen(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [batch.column(str(position)) for position in self.positions.values()]
        return pa.RecordBatch.from_arrays(columns, names=list(self.positions))

    def _broken(self, what: str) -> SourceUnreadableError:
        return SourceUnreadableError(f"{self.spec.name}: {self.path.name} cannot be read: {what}")


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows in parts of about two blocks at most; most batches are one."""
    rows = max(1, batch.num_rows * 2 * BLOCK_BYTES // max(batch.nbytes, 2 * BLOCK_BYTES))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _without_footer(
    batches: Iterator[pa.RecordBatch], found: list[Unreadable], footer: int, extraction: Extraction
) -> Generator[pa.RecordBatch, None, None]:
    """The batches without the last `footer` records, some of which may be among the unreadable ones of `found`."""
    held: deque[pa.RecordBatch] = deque()
    rows = waiting = reported = 0

    def report(last_number: int) -> None:
        nonlocal reported
        while found and found[0].row_number <= last_number:
            reported += 1
            extraction.unreadable.append(found.pop(0))

    for batch in batches:
        held.append(batch)
        rows += batch.num_rows
        waiting += batch.num_rows
        while waiting - held[0].num_rows >= footer:
            waiting -= held[0].num_rows
            report(rows + reported + len(found) - footer)
            yield held.popleft()
    last_number = rows + reported + len(found) - footer
    report(last_number)
    waiting -= footer - len(found)
    left_out: list[tuple[object, ...]] = []
    for batch in held:
        good = batch.slice(0, max(0, waiting))
        waiting -= good.num_rows
        left_out += zip(*(column.to_pylist() for column in batch.slice(good.num_rows).columns), strict=True)
        if good.num_rows:
            yield good
    extraction.notes |= doubts(left_out, max(map(len, left_out), default=0))
