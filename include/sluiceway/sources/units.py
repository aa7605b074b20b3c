"""What each file of a source is read as: one thing, or each member, sheet, layer or table of it that fits a pattern."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from sluiceway.errors import EmptyExtractionError, SourceMissingError, SourceTooLargeError, nearest, shortened
from sluiceway.tables.origins import FILE, inner_key
from sluiceway.tables.patterns import fitting, is_pattern
from sluiceway.tables.source_spec import LocatedSource
from sluiceway.tables.spec import TableSpec


@dataclass(frozen=True)
class Unit:
    """One thing that a reader opens."""

    source: LocatedSource
    """What it is called in the file, without a pattern."""
    origins: Mapping[str, str]
    """What columns say of where its rows come from, such as $file."""
    file: str
    """The name of its file."""

    def name(self, *, with_file: bool) -> str:
        """What to call it in messages."""
        inside = [f"{key[1:]} {said}" for key, said in self.origins.items() if key != FILE]
        return ", ".join([self.file, *inside] if with_file or not inside else inside)


def units_of(spec: TableSpec, source: LocatedSource, path: Path, file: str, reader: ModuleType) -> list[Unit]:
    """Everything in one file that the source's patterns stand for, in the order in which it is read.

    :param file: what to call it.
    :param reader: the module that reads files of this kind.
    :raises EmptyExtractionError: nothing in it fits a pattern; names the nearest.
    :raises SourceMissingError: a member is asked for, and the file is no .zip.
    :raises SourceTooLargeError: more than source.max_files things fit.
    :raises SluicewayError: as open_source of a file that cannot be read.
    """
    members: Sequence[str | None] = [source.member]
    if source.member is not None and is_pattern(source.member):
        members = _fitting(source, "member", source.member, _members_in(source, path, reader), file)
    units = []
    for member in members:
        one = source.model_copy(update={"member": member})
        origins = {FILE: file} | ({"$member": member} if member is not None else {})
        key = inner_key(source)
        part = getattr(source, key) if key is not None else None
        if key is None or part is None:
            units.append(Unit(one, origins, file))
            continue
        parts = [part]
        if is_pattern(part):
            list_parts: Callable[..., list[str]] = getattr(reader, f"parts_in_{spec.source.kind}")
            place = f"{file}, {shortened(member)}" if member is not None else file
            parts = _fitting(source, key, part, list_parts(spec, one, path), place)
        units += [Unit(one.model_copy(update={key: each}), origins | {f"${key}": each}, file) for each in parts]
        if len(units) > source.max_files:
            raise _too_many(source, len(units), file)
    return units


def _members_in(source: LocatedSource, path: Path, reader: ModuleType) -> list[str]:
    if path.suffix.lower() != ".zip":
        raise SourceMissingError(f"{path.name} is no .zip; remove source.member = {source.member!r}")
    if hasattr(reader, "members_in_vector"):
        found: list[str] = reader.members_in_vector(source, path)
        return found
    from sluiceway.sources.formats.archive import check_archive

    return check_archive(path, source.max_bytes)


def _fitting(source: LocatedSource, key: str, pattern: str, names: list[str], place: str) -> list[str]:
    if key == "member":
        found = fitting(pattern, names)
    else:
        # a / in the name of a layer leads into no folder
        plain = {name.replace("/", "\0"): name for name in names}
        found = [plain[each] for each in fitting(pattern.replace("/", "\0"), plain)]
    if not found:
        raise EmptyExtractionError(
            f"{place}: no {key} fits source.{key} = {pattern!r}, so the source gave no rows{nearest(pattern, names)}"
        )
    if len(found) > source.max_files:
        raise _too_many(source, len(found), place)
    return found


def _too_many(source: LocatedSource, count: int, place: str) -> SourceTooLargeError:
    return SourceTooLargeError(
        f"{place}: {count:,} parts of it fit, and source.max_files allows {source.max_files:,}; narrow the pattern, or "
        f"raise it if right"
    )
