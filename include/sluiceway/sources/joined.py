"""Several files, members, sheets, layers or tables as one source: one is open at a time, and its batches follow on.

What a reader gets is a spec of one file, without the columns that say where a row came from: these are added here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import cast

import pyarrow as pa

from sluiceway.amounts import counted
from sluiceway.errors import SchemaDriftError, SluicewayError, listed
from sluiceway.sources.bounds import bounded, check_columns
from sluiceway.sources.extraction import Extraction, Unreadable, family
from sluiceway.sources.hashing import size_of
from sluiceway.sources.local import file_name
from sluiceway.sources.place import Place, PlaceFile
from sluiceway.sources.rows_from import RowsFrom
from sluiceway.sources.units import Unit, units_of
from sluiceway.tables.origins import origin_columns, patterns_of
from sluiceway.tables.source_spec import LocatedSource
from sluiceway.tables.spec import TableSpec

Opener = Callable[[TableSpec, LocatedSource, Path], AbstractContextManager[Extraction]]
TYPED = frozenset({"parquet", "vector"})
"""Kinds whose columns have types of their own."""
SHOWN = 3
"""Names in a note."""


@contextmanager
def open_joined(spec: TableSpec, place: Place, reader: ModuleType, opener: Opener) -> Iterator[Extraction]:
    """Open all that the source stands for, as one; the first of it is open when this returns.

    :param reader: the module that reads files of this kind.
    :param opener: opens one.
    :raises SluicewayError: as open_source, with the name of the file.
    """
    outer = Extraction(columns={}, batches=iter(()))
    joined = _Joined(spec, place, reader, opener, outer)
    with closing(joined.batches()) as batches:
        next(batches, None)
        outer.batches = cast("Iterator[pa.RecordBatch]", batches)
        yield outer


class _Joined:
    def __init__(self, spec: TableSpec, place: Place, reader: ModuleType, opener: Opener, outer: Extraction) -> None:
        self._spec, self._place, self._reader, self._opener, self._outer = spec, place, reader, opener, outer
        self._source = cast("LocatedSource", spec.source)
        self._origins = origin_columns(spec.columns)
        columns = {name: column for name, column in spec.columns.items() if name not in self._origins}
        self._inner = spec.model_copy(update={"columns": columns})
        self._rows = 0
        """Of all units so far, those that cannot be read among them."""
        self._units = 0
        self._families: dict[str, tuple[str, str]] = {}
        """Column -> the family of its values, and where that was seen."""
        self._crs: tuple[str | None, str] | None = None
        self._empty: list[str] = []
        self._notes: dict[str, str] = {}
        self._noted: Counter[str] = Counter()
        self._base = 0
        """Rows of the units before this one."""
        self._columns: dict[str, str] = {}
        self._several = bool(patterns_of(self._source))
        if self._several:
            outer.rows_from = RowsFrom()
            outer.rows_from.counts_rows = spec.transform is None

    def batches(self) -> Generator[pa.RecordBatch | None, None, None]:
        """All rows; first of all None, once the first unit is open."""
        for file in self._place.files or (self._alone(),):
            with ExitStack() as stack:
                with self._named(file.name):
                    path = stack.enter_context(file.here())
                    units = units_of(self._inner, self._source, path, file.name, self._reader)
                for unit in units:
                    self._units += 1
                    yield from self._unit(unit, path)
        self._tell_empty()

    def _alone(self) -> PlaceFile:
        path = cast("Path", self._place.path)
        return PlaceFile(file_name(self._source.uri), "", 0, lambda: nullcontext(path))

    def _unit(self, unit: Unit, path: Path) -> Generator[pa.RecordBatch | None, None, None]:
        name = unit.name(with_file=bool(self._place.files))
        spec = self._inner.model_copy(update={"source": unit.source})
        rows = unreadable = 0
        with ExitStack() as stack:
            with self._named(name, unit):
                inner = stack.enter_context(self._opener(spec, unit.source, path))
                check_columns(spec, inner.columns, name)
            self._begin(unit, name, inner)
            if self._units == 1:
                yield None
            given = bounded(spec, inner, inner.batches, name, size_of(path)) if self._several else inner.batches
            while True:
                with self._named(name, unit):
                    batch = next(given, None)
                unreadable += self._take_unreadable(inner, name)
                if batch is None:
                    break
                rows += batch.num_rows
                self._check_families(batch, name)
                yield self._with_origins(batch, unit)
            self._end(inner, name, rows + unreadable)

    @contextmanager
    def _named(self, name: str, unit: Unit | None = None) -> Iterator[None]:
        """An error within it says which file it is about, also where the reader calls it otherwise."""
        try:
            yield
        except SluicewayError as error:
            said = str(error)
            hint = self._hint(unit) if isinstance(error, SchemaDriftError) else ""
            if not self._several or (name in said and not hint):
                raise
            where = "" if name in said else f" (in {name})"
            raise type(error)(f"{said}{where}{hint}") from error

    def _hint(self, unit: Unit | None) -> str:
        inside = {key: said for key, said in patterns_of(self._source).items() if key != "uri"}
        if unit is None or not inside:
            return ""
        key, said = next(reversed(inside.items()))
        return f"; source.{key} = {said!r} takes it for one of the table's, and a narrower pattern would not"

    def _begin(self, unit: Unit, name: str, inner: Extraction) -> None:
        outer = self._outer
        self._columns.update(inner.columns)
        outer.columns = inner.columns if self._units == 1 else self._columns
        if not self._several or outer.rows_from is None:
            outer.total_rows, outer.primary_key = inner.total_rows, inner.primary_key
            outer.row_numbers, outer.doubts = inner.row_numbers, inner.doubts
        else:
            outer.primary_key = None
            outer.rows_from.now = (name, unit.file)
            if self._spec.transform is None:
                outer.rows_from.begin(self._rows + 1, name, unit.file)
        self._base = self._rows
        self._check_crs(inner, name)

    def _end(self, inner: Extraction, name: str, rows: int) -> None:
        outer = self._outer
        self._rows = self._base + rows
        # JSON says its keys as they come
        self._columns.update(inner.columns)
        outer.columns = self._columns
        outer.straightened += inner.straightened
        if not rows:
            self._empty.append(name)
        for about, note in inner.notes.items():
            first = self._notes.setdefault(about, f"{name}: {note}" if self._several else note)
            self._noted[about] += 1
            others = f", and {counted(self._noted[about] - 1, 'other')} alike" if self._noted[about] > 1 else ""
            outer.notes[about] = first + others

    def _take_unreadable(self, inner: Extraction, name: str) -> int:
        """Hand them over, before the batch that follows them, under their numbers among all rows."""
        count = 0
        while inner.unreadable:
            found = inner.unreadable.pop(0)
            where = f" ({name}, row {found.row_number:,})" if self._several else ""
            number = self._base + found.row_number
            self._outer.unreadable.append(Unreadable(number, found.reason + where, found.text))
            count += 1
        if self._outer.rows_from is not None:
            self._outer.rows_from.unreadable += count
        return count

    def _with_origins(self, batch: pa.RecordBatch, unit: Unit) -> pa.RecordBatch:
        if not self._origins:
            return batch
        found = dict(zip(batch.schema.names, batch.columns, strict=True))
        added = {
            name if self._spec.transform is None else origin: pa.repeat(
                pa.scalar(unit.origins[origin], pa.string()), batch.num_rows
            )
            for name, origin in self._origins.items()
        }
        if self._spec.transform is None:
            found = {name: (added | found)[name] for name in (*self._spec.columns, *found)}
        else:
            found |= added
        return pa.RecordBatch.from_arrays(list(found.values()), names=list(found))

    def _check_families(self, batch: pa.RecordBatch, name: str) -> None:
        """A column that is a number in one file and a text in another would give 6001 here and 06001 there."""
        if not self._several or self._spec.source.kind not in TYPED or self._spec.transform is not None:
            return
        for column, values in zip(batch.schema.names, batch.columns, strict=True):
            if column not in self._inner.columns or values.null_count == len(values):
                continue
            kind = family(values.type)
            before, where = self._families.setdefault(column, (kind, name))
            if before != kind:
                raise SchemaDriftError(
                    f"{self._spec.name}: column {str(self._spec.source_names(column)[0])!r} holds {kind} in {name} and "
                    f"{before} in {where}; make them alike, or load them into two tables"
                )

    def _check_crs(self, inner: Extraction, name: str) -> None:
        geometry = self._spec.geometry
        if geometry is None:
            return
        if self._crs is None:
            self._crs, self._outer.crs = (inner.crs, name), inner.crs
            return
        before, where = self._crs
        if inner.crs != before and not _is_same_crs(inner.crs or geometry.source_crs, before or geometry.source_crs):
            raise SchemaDriftError(
                f"{self._spec.name}: {name} is in the CRS {_called(inner.crs)} and {where} in {_called(before)}; save "
                f"them in one, or load them into two tables"
            )

    def _tell_empty(self) -> None:
        if self._several and self._empty:
            shown = listed(self._empty, SHOWN)
            said = counted(len(self._empty), "of what was read holds", "of what were read hold")
            self._outer.notes["empty"] = f"{said} no rows: {shown}"


def _is_same_crs(one: str | None, other: str | None) -> bool:
    if one is None or other is None:
        return one == other
    from pyproj import CRS

    return bool(CRS(one) == CRS(other))


def _called(crs: str | None) -> str:
    if crs is None:
        return "that is not known"
    from pyproj import CRS

    found = CRS(crs)
    return ":".join(found.to_authority() or (found.name,))
