"""What kind of file this is: by what it begins with, and by its name where that does not say enough."""

from __future__ import annotations

import re
import zipfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sluiceway.errors import EmptyExtractionError, SourceMissingError, SourceUnreadableError, listed, nearest
from sluiceway.infer.json_shape import check_no_error, find_records, is_vector
from sluiceway.json_path import parse as parse_json
from sluiceway.sources.formats import office, sqlite
from sluiceway.sources.formats.archive import open_bytes, unpacking
from sluiceway.sources.formats.json_survey import survey
from sluiceway.sources.formats.vector.mapinfo import begins_as_mif, begins_as_tab

HEAD_BYTES = 1 << 16
VALUE_CHARACTERS = 16 << 20
"""The default of source.max_value_bytes."""
MOST_BYTES = 8 * 2**30
"""The default of source.max_bytes."""

VECTOR_ENDINGS = frozenset(
    {".shp", ".gpkg", ".geojson", ".geojsonl", ".geojsons", ".fgb", ".gml", ".kml", ".gdb", ".dbf", ".shz", ".topojson"}
)
MAPINFO_ENDINGS = frozenset({".mif", ".tab"})
TEXT_ENDINGS = frozenset({".csv", ".tsv", ".txt", ".tab", ".psv", ".dat"})
JSON_ENDINGS = frozenset({".json", ".ndjson", ".jsonl"})
_GEOJSON = re.compile(rb'"type"\s*:\s*"(FeatureCollection|Feature)"')
_OLD = "an old Excel or Word file (.xls, .doc); save it as .xlsx"
_FOREIGN = (
    (office.OLE, _OLD),
    (b"%PDF", "a PDF"),
    (b"Rar!", "a RAR archive; unpack it"),
    (b"7z\xbc\xaf", "a 7-Zip archive; unpack it"),
    (b"BZh", "compressed with bzip2; unpack it, or use gzip"),
    (b"\xfd7zXZ", "compressed with xz; unpack it, or use gzip"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"ARROW1", "an Arrow file; save it as Parquet"),
    (b"Obj\x01", "an Avro file; save it as Parquet"),
    (b"ORC", "an ORC file; save it as Parquet"),
)


@dataclass(frozen=True)
class Recognised:
    """The kind of source, and what else of [source] the file itself says."""

    kind: str
    member: str | None = None
    layout: str = "array"
    """Of JSON: array or lines."""
    records: str | None = None
    """Of JSON: where the array stands."""
    remark: str | None = None
    """What a person should know of that."""


def recognise(path: Path, member: str | None = None) -> Recognised:
    """Say what the file is.

    :param member: the file inside a zip.
    :raises EmptyExtractionError: it holds nothing.
    :raises SourceMissingError: it is a zip of several files that could be meant.
    :raises SourceUnreadableError: it is nothing that Sluiceway reads.
    """
    if path.is_dir():
        return Recognised("vector")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise EmptyExtractionError(f"{path.name} is empty: it has no bytes.")
    if head.startswith(office.OLE):
        raise SourceUnreadableError(f"{path.name} {office.what_is(path, otherwise='is ' + _OLD)}")
    if head.startswith(b"PK"):
        return _in_zip(path, member)
    if head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        return _by_head(path.name, path, None, _unpacked(path, None))
    return _by_head(path.name, path, None, head)


def _unpacked(path: Path, member: str | None) -> bytes:
    with unpacking(f"{path.name} cannot be unpacked"), open_bytes(path, member, MOST_BYTES) as stream:
        return stream.read(HEAD_BYTES)


def _by_head(name: str, path: Path, member: str | None, head: bytes) -> Recognised:
    _check_foreign(name, head)
    if head.startswith(b"SQLite format 3\0"):
        return _database(name, path)
    if head.startswith(b"PAR1"):
        return Recognised("parquet")
    ending = PurePosixPath(name.lower().removesuffix(".gz").removesuffix(".zst")).suffix
    if _is_mapinfo(ending, head):
        return Recognised("vector", member)
    if head[:3] == b"fgb" or (ending in VECTOR_ENDINGS and not _is_json(head)):
        return Recognised("vector")
    if _is_json(head):
        return _json(name, path, member, head)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _xml(name, head)
    if not head.strip(b" \t\r\n\xef\xbb\xbf"):
        raise EmptyExtractionError(f"{name} is empty: it has no text.")
    return Recognised("csv", member)


def _check_foreign(name: str, head: bytes) -> None:
    for begin, what in _FOREIGN:
        if head.startswith(begin):
            raise SourceUnreadableError(f"{name} is {what}")
    if head[257:262] == b"ustar":
        raise SourceUnreadableError(f"{name} is a tar archive; unpack it")


def _is_mapinfo(ending: str, head: bytes) -> bool:
    return ending in MAPINFO_ENDINGS and (begins_as_mif(head) or begins_as_tab(head))


def _database(name: str, path: Path) -> Recognised:
    with path.open("rb") as file:
        packed = not file.read(16).startswith(b"SQLite")
    if not packed:
        return Recognised("vector" if _is_geopackage(path) else "sqlite")
    if ".gpkg" in PurePosixPath(name.lower()).suffixes:
        return Recognised("vector")
    raise SourceUnreadableError(f"{name} is a compressed SQLite file; unpack it")


def _is_geopackage(path: Path) -> bool:
    try:
        with closing(sqlite.connect(path)) as connection:
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'gpkg_contents'").fetchone()
    except sqlite.ERRORS as error:
        raise SourceUnreadableError(f"{path.name} cannot be read: {sqlite.why(error)}") from error
    return found is not None


def _is_json(head: bytes) -> bool:
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")[:1] in {b"{", b"["}


def _json(name: str, path: Path, member: str | None, head: bytes) -> Recognised:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if _GEOJSON.search(text):
        return Recognised("vector")
    if text.startswith(b"["):
        return Recognised("json", member)
    first, _, rest = text.partition(b"\n")
    one_line = _is_object(first)
    if one_line and _is_json(rest):
        return Recognised("json", member, layout="lines")
    with unpacking(f"{path.name} cannot be unpacked"), open_bytes(path, member, MOST_BYTES) as stream:
        found = survey(stream, largest=VALUE_CHARACTERS)
    check_no_error(name, found)
    if is_vector(found):
        return Recognised("vector", member)
    records = find_records(name, found)
    if records is not None:
        return Recognised("json", member, records=records.path, remark=records.remark)
    if one_line:
        # an object in one line, and no other: its only record, as it holds no array of objects
        return Recognised("json", member, layout="lines")
    raise SourceUnreadableError(
        f"{name} begins with an object that holds no array of objects"
        f"{f', as far as it can be read: {found.broken}' if found.broken else ''}; write the table file by hand, with "
        f"source.records"
    )


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except ValueError:
        return False


def _xml(name: str, head: bytes) -> Recognised:
    start = head[:4096].lower()
    if b"<html" in start or b"<!doctype html" in start:
        raise SourceUnreadableError(f"{name} is a web page (HTML) and no data: open its address in a browser")
    if b"opengis.net/gml" in start or b"opengis.net/kml" in start or b"<kml" in start:
        return Recognised("vector")
    raise SourceUnreadableError(f"{name} is XML, of which only GML and KML are read")


def _in_zip(path: Path, member: str | None) -> Recognised:
    with unpacking(f"{path.name} is no readable .zip"), zipfile.ZipFile(path) as archive:
        names = [each for each in archive.namelist() if not each.startswith("__MACOSX/")]
        what = office.what_in(archive)
    if what is not None:
        raise SourceUnreadableError(f"{path.name} {what}")
    if "xl/workbook.xml" in names:
        return Recognised("excel")
    if "mimetype" in names and "content.xml" in names:
        raise SourceUnreadableError(f"{path.name} is an OpenDocument file; save it as .xlsx")
    files = [each for each in names if not each.endswith("/")]
    if member is not None:
        if member not in files and not any(each.startswith(member.rstrip("/") + "/") for each in files):
            raise SourceMissingError(f"{path.name} has no member {member!r}{nearest(member, files)}")
        return _member(path, member, named=True)
    if any(_is_vector(each) or _is_table_of_mapinfo(each, files) for each in files):
        return Recognised("vector")
    chosen = likely_members(files)
    if len(chosen) != 1:
        shown = listed(chosen or files)
        what = "no file that could be a table" if not chosen else f"{len(chosen)} files that could be meant"
        raise SourceMissingError(f"{path.name} holds {what}: {shown}; name one with --member")
    return _member(path, chosen[0], named=len(files) > 1)


def _is_vector(name: str) -> bool:
    parts = PurePosixPath(name.lower())
    return parts.suffix in VECTOR_ENDINGS - {".dbf"} | {".mif"} or any(part.endswith(".gdb") for part in parts.parts)


def _is_table_of_mapinfo(name: str, files: list[str]) -> bool:
    path = PurePosixPath(name)
    return (
        path.suffix.lower() == ".tab" and {str(path.with_suffix(each)) for each in (".map", ".MAP")} & {*files} != set()
    )


def likely_members(files: list[str]) -> list[str]:
    """The files of a zip that could be the table: notes beside it end in .txt."""
    if len(files) == 1:
        return files
    endings = (TEXT_ENDINGS | JSON_ENDINGS | {".parquet", ".xlsx"}) - {".txt"}
    chosen = [each for each in files if PurePosixPath(each.lower()).suffix in endings]
    return chosen or [each for each in files if each.lower().endswith(".txt")]


def _member(path: Path, member: str, *, named: bool) -> Recognised:
    if _is_vector(member):
        return Recognised("vector", member)
    head = _unpacked(path, member)
    if head.startswith(b"PAR1"):
        raise SourceUnreadableError(f"{path.name} is a .zip of Parquet ({member}), which is read unpacked; unpack it")
    return _by_head(PurePosixPath(member).name, path, member if named else None, head)
