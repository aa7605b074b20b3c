"""Which parts of a file are meant: the sheets, layers, tables and members that fit what is asked, or all of them."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sluiceway.errors import EmptyExtractionError, SourceMissingError, nearest
from sluiceway.infer.asked import Asked, provisional
from sluiceway.infer.recognise import MOST_BYTES, likely_members, recognise
from sluiceway.sources.formats.archive import check_archive
from sluiceway.sources.formats.sqlite import tables_in
from sluiceway.tables.patterns import fitting, is_pattern
from sluiceway.tables.source_spec import ExcelSource, VectorSource

ALL = "*"
_KEYS = {"excel": "sheet", "vector": "layer", "sqlite": "table"}


def parts_of(asked: Asked, path: Path, *, each: bool) -> list[Asked]:
    """What is asked, of each part of a file by itself, in the order in which they are read.

    :param each: also where nothing is said of parts.
    :raises EmptyExtractionError: no part fits.
    :raises SluicewayError: the file cannot be read.
    """
    member = asked.member
    members: Sequence[str | None] = [member]
    if is_pattern(member) or (each and member is None and _is_archive(path)):
        names = _members(path, every=member is not None)
        members = fitting(member, names) if member is not None else names
        if not members:
            raise EmptyExtractionError(f"{path.name}: no member fits {member!r}{nearest(str(member), names)}")
    found = []
    for one in members:
        found += _inner(replace(asked, member=one), path, each=each)
    return found


def _is_archive(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "xl/workbook.xml" not in archive.namelist()


def _members(path: Path, *, every: bool) -> list[str]:
    """Those of an archive that could be a table, or all."""
    from sluiceway.sources.formats.vector.vector import members_in_vector

    files = check_archive(path, MOST_BYTES)
    sets = members_in_vector(VectorSource(kind="vector", uri=str(path)), path)
    if every:
        return [*files, *(name for name in sets if name not in files)]
    if not files:
        raise SourceMissingError(f"{path.name} holds no file")
    return sorted({*sets} or likely_members(files)) if sets else likely_members(files)


def _inner(asked: Asked, path: Path, *, each: bool) -> list[Asked]:
    said = {key: getattr(asked, key) for key in _KEYS.values()}
    if not each and not any(is_pattern(name) for name in said.values()):
        return [asked]
    kind = asked.kind or recognise(path, asked.member).kind
    key = _KEYS.get(kind)
    if key is None:
        return [asked]
    pattern = said[key] or ALL
    names = _names(kind, asked, path) if is_pattern(pattern) else [pattern]
    plain = {name.replace("/", "\0"): name for name in names}
    found = [plain[name] for name in fitting(pattern.replace("/", "\0"), plain)] if is_pattern(pattern) else names
    if not found and names:
        raise EmptyExtractionError(f"{path.name}: no {key} fits {pattern!r}{nearest(pattern, names)}")
    if len(names) == 1 and said[key] is None:
        # as without --all: the only one need not be named
        return [replace(asked, table=names[0]) if kind == "sqlite" else asked]
    return [replace(asked, **{key: name}) for name in found]


def _names(kind: str, asked: Asked, path: Path) -> list[str]:
    if kind == "sqlite":
        return tables_in(path)
    keys = {"kind": kind} | ({"member": asked.member} if asked.member is not None else {})
    spec = provisional("parts", keys, str(path), geometry=False)
    if isinstance(spec.source, ExcelSource):
        from sluiceway.sources.formats.excel import parts_in_excel

        return parts_in_excel(spec, spec.source, path)
    from sluiceway.sources.formats.vector.vector import parts_in_vector

    assert isinstance(spec.source, VectorSource)
    return parts_in_vector(spec, spec.source, path)
