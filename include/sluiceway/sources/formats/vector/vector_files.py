"""Which file GDAL is given: one data set alone in a folder of its own, after a look at its first bytes.

GDAL opens more than a hundred formats by their content. Some of them (VRT, WFS, GDALG) only point to other files and
services, and some drivers write beside what they read. So a file is linked or unpacked into an empty folder with
nothing but its own parts, and must begin as its format does.
"""

from __future__ import annotations

import codecs
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from xml.parsers import expat

from sluiceway.errors import SourceMissingError, SourceUnreadableError, listed, nearest, quoted, said_by, shortened
from sluiceway.sources.formats.archive import check_archive, member_of, open_bytes, unpacking
from sluiceway.sources.formats.vector import mapinfo
from sluiceway.sources.formats.vector.codec import codec_named
from sluiceway.tables.source_spec import VectorSource

HEAD_BYTES = 1 << 16
_BLOCK_BYTES = 1 << 20
_POINTERS = (
    b"<OGRVRTDataSource",
    b"<VRTDataset",
    b"<OGRWFSDataSource",
    b"<OGRCSWDataSource",
    b"WFS_Capabilities",
    b"<GDAL_WMS",
    b"gdal_streamed_alg",
)
"""By which GDAL knows files that only name other files, services or commands."""
_ZIP_HEADS = (b"PK\x03\x04", b"PK\x05\x06")


def _begins_as_json(head: bytes) -> bool:
    return head.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n\x1e")[:1] in {b"{", b"["}


def _begins_as_xml(head: bytes) -> bool:
    return head.lstrip(b" \t\r\n\xef\xbb\xbf\xff\xfe\0")[:1] == b"<"


def _begins_with(*magic: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magic)


@dataclass(frozen=True)
class Format:
    """A format that is read."""

    name: str
    drivers: tuple[str, ...]
    """GDAL's drivers that may open it."""
    begins: Callable[[bytes], bool]
    parts: tuple[str, ...] = ()
    """Endings of the files that belong to it; a .cpg is read here and not by GDAL, which knows few of its spellings."""
    text: bool = False
    one_layer: bool = False


_MEMOS = (".dbt", ".fpt")
_SHAPEFILE = Format(
    *("shapefile", ("ESRI Shapefile",), _begins_with(b"\0\0\x27\x0a")),
    parts=(".shx", ".dbf", ".prj", *_MEMOS),
    one_layer=True,
)
_DBASE = Format("dBase file", ("ESRI Shapefile",), lambda head: len(head) > 32, _MEMOS, one_layer=True)
_GEOPACKAGE = Format("GeoPackage", ("GPKG",), _begins_with(b"SQLite format 3\0"))
_FLATGEOBUF = Format("FlatGeobuf file", ("FlatGeobuf",), _begins_with(b"fgb\x03fgb"), one_layer=True)
_GEOJSON = Format("GeoJSON file", ("GeoJSON", "GeoJSONSeq", "ESRIJSON", "TopoJSON"), _begins_as_json, text=True)
_GML = Format("GML file", ("GML",), _begins_as_xml, (".xsd",), text=True)
_KML = Format("KML file", ("LIBKML", "KML"), _begins_as_xml, text=True)
_MIF = Format("MapInfo file", ("MapInfo File",), mapinfo.begins_as_mif, (".mid",), text=True, one_layer=True)
_TAB = Format(
    "MapInfo file",
    ("MapInfo File",),
    mapinfo.begins_as_tab,
    (".dat", ".map", ".id", ".ind"),
    text=True,
    one_layer=True,
)
_FILE_GDB = Format("FileGDB", ("OpenFileGDB",), lambda head: True)

_FORMATS = {
    ".shp": _SHAPEFILE,
    ".gpkg": _GEOPACKAGE,
    ".fgb": _FLATGEOBUF,
    ".geojson": _GEOJSON,
    ".geojsonl": _GEOJSON,
    ".geojsons": _GEOJSON,
    ".geojsonseq": _GEOJSON,
    ".ndjson": _GEOJSON,
    ".jsonl": _GEOJSON,
    ".topojson": _GEOJSON,
    ".gml": _GML,
    ".kml": _KML,
    ".json": _GEOJSON,
    ".dbf": _DBASE,
    ".mif": _MIF,
    ".tab": _TAB,
    ".xml": _GML,
}
_OFTEN_BESIDE = frozenset({".json", ".dbf", ".xml", ".tab"})
"""In an archive these are looked at only where there is nothing else, or by name."""
_BY_CONTENT = ((".shp", _SHAPEFILE), (".gpkg", _GEOPACKAGE), (".fgb", _FLATGEOBUF), (".geojson", _GEOJSON))
KINDS = "shapefile, GeoPackage, GeoJSON, FlatGeobuf, FileGDB, MapInfo, GML and KML"


@dataclass(frozen=True)
class VectorFile:
    """A data set that GDAL may open."""

    path: Path
    format: Format
    place: str
    """What to call it in messages."""
    cpg: str | None = None
    """What the shapefile says of its encoding."""
    key: str | None = None
    """The column of the features' own ids, where they have become one."""
    digits: frozenset[str] = frozenset()
    """Columns of numbers that stand as texts, for they have too many digits."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What a person should know of how it was written anew."""


@contextmanager
def laid_out(table: str, source: VectorSource, path: Path) -> Iterator[VectorFile]:
    """The data set of `path` in a folder of its own, which is gone afterwards.

    :raises SourceMissingError: the archive has no such member, or several and none is named.
    :raises SourceUnreadableError: the file is none of the known formats, or points elsewhere; the archive is broken.
    """
    with tempfile.TemporaryDirectory(prefix="sluiceway-vector-") as name:
        folder = Path(name)
        if path.is_dir():
            found = _folder(table, source, path, folder)
        elif path.suffix.lower() in {".zip", ".kmz"} or _head(path, 4) in _ZIP_HEADS:
            found = _unpacked(table, source, path, folder)
        elif path.suffix.lower() in {".gz", ".zst", ".zstd"} and source.member is None:
            found = _inflated(table, source, path, folder)
        elif source.member is not None:
            raise SourceMissingError(f"{path.name} is no .zip; remove source.member = {source.member!r}")
        else:
            found = _linked(table, path, folder)
        if found.format is _GEOJSON:
            _make_utf8(table, found, source.encoding)
        _check(table, found)
        yield found


def _head(path: Path, size: int = HEAD_BYTES) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _plain(stem: str) -> str:
    # pyogrio takes what follows a ! for a member of an archive
    return stem.replace("!", "_")


def _linked(table: str, path: Path, folder: Path) -> VectorFile:
    suffix, form = path.suffix.lower(), _FORMATS.get(path.suffix.lower())
    if form is None:
        suffix, form = _by_content(table, path)
    target = folder / (_plain(path.stem) + suffix)
    target.symlink_to(path.resolve())
    # also PARK.DBF beside park.shp, as programs of Windows leave it; the same spelling comes last and wins
    like = [entry for entry in path.parent.iterdir() if entry.stem.casefold() == path.stem.casefold()]
    beside = {entry.suffix.lower(): entry for entry in sorted(like, key=lambda entry: entry.stem == path.stem)}
    for part in form.parts:
        if part in beside:
            target.with_suffix(part).symlink_to(beside[part].resolve())
    cpg = _cpg(beside[".cpg"].read_bytes()) if ".cpg" in beside and target.suffix in {".shp", ".dbf"} else None
    return VectorFile(target, form, path.name, cpg)


def _folder(table: str, source: VectorSource, path: Path, folder: Path) -> VectorFile:
    """A FileGDB as it comes. What is a link in it may lead anywhere."""
    if source.member is not None:
        raise SourceMissingError(f"{path.name} is no .zip; remove source.member = {source.member!r}")
    target = folder / f"{_plain(path.stem)}.gdb"
    target.mkdir()
    for entry in path.iterdir():
        if entry.is_file() and not entry.is_symlink():
            (target / entry.name).symlink_to(entry.resolve())
    if not any(target.glob("*.gdbtable")):
        raise SourceUnreadableError(
            f"{table}: {path.name} cannot be read: the folder is no FileGDB, it has no .gdbtable"
        )
    return VectorFile(target, _FILE_GDB, path.name)


def _inflated(table: str, source: VectorSource, path: Path, folder: Path) -> VectorFile:
    """One file that was compressed alone."""
    name = _plain(path.stem)
    target = folder / f"{PurePosixPath(name).stem}{PurePosixPath(name).suffix.lower()}"
    with open_bytes(path, None, source.max_bytes) as content, target.open("wb") as file:
        shutil.copyfileobj(content, file, _BLOCK_BYTES)
    form = _FORMATS.get(target.suffix)
    if form is None:
        suffix, form = _by_content(table, target)
        target = target.rename(target.with_suffix(suffix))
    return VectorFile(target, form, path.name)


def _by_content(table: str, path: Path) -> tuple[str, Format]:
    head = _head(path)
    for suffix, form in _BY_CONTENT:
        if form.begins(head):
            return suffix, form
    if _begins_as_xml(head):
        return (".kml", _KML) if b"<kml" in head else (".gml", _GML)
    raise SourceUnreadableError(f"{table}: {path.name} is no vector file that is read: {KINDS}")


def _cpg(content: bytes) -> str | None:
    return content.decode("ascii", "replace").strip("\0 \t\r\n\"'") or None


def _unpacked(table: str, source: VectorSource, path: Path, folder: Path) -> VectorFile:
    files = check_archive(path, source.max_bytes)
    sets = data_sets(files, path)
    chosen = _choose(table, source, path, files, sets)
    form = sets.get(chosen) or _FORMATS[PurePosixPath(chosen).suffix.lower()]
    place = f"{path.name}, {shortened(chosen)}"
    with zipfile.ZipFile(path) as archive:
        if form is _FILE_GDB:
            target = folder / f"{_plain(PurePosixPath(chosen).stem or path.stem)}.gdb"
            target.mkdir()
            inside = [name for name in files if PurePosixPath(name).parent == PurePosixPath(chosen)]
            members = {name: target / PurePosixPath(name).name for name in inside}
            cpg = None
        else:
            whole = PurePosixPath(chosen)
            target = folder / (_plain(whole.stem) + whole.suffix.lower())
            beside = {
                PurePosixPath(name).suffix.lower(): name
                for name in files
                if PurePosixPath(name).parent == whole.parent
                and PurePosixPath(name).stem.casefold() == whole.stem.casefold()
            }
            members = {chosen: target} | {
                beside[part]: target.with_suffix(part) for part in form.parts if part in beside
            }
            cpg = None
            if ".cpg" in beside:
                with unpacking(f"{table}: {path.name} cannot be read: {beside['.cpg']} cannot be unpacked"):
                    cpg = _cpg(archive.read(beside[".cpg"]))
        for name, to in members.items():
            _extract(table, archive, name, to, path.name)
    return VectorFile(target, form, place, cpg)


def data_sets(files: list[str], path: Path) -> dict[str, Format]:
    """The data sets of an archive by the name of their main file or folder."""
    found: dict[str, Format] = {}
    for name in files:
        inner = PurePosixPath(name)
        if inner.suffix.lower() == ".gdbtable":
            # a FileGDB that was packed without its folder lies at the archive's own level
            found[str(inner.parent) if inner.parent.name else "."] = _FILE_GDB
        elif inner.suffix.lower() in _FORMATS and inner.suffix.lower() not in _OFTEN_BESIDE:
            found[name] = _FORMATS[inner.suffix.lower()]
    if path.suffix.lower() == ".kmz" and "doc.kml" in found:
        return {"doc.kml": _KML}
    others = [name for name in files if PurePosixPath(name).suffix.lower() in _OFTEN_BESIDE - {".xml"}]
    return found or {name: _FORMATS[PurePosixPath(name).suffix.lower()] for name in others}


def _choose(table: str, source: VectorSource, path: Path, files: list[str], sets: dict[str, Format]) -> str:
    named = source.member.rstrip("/") if source.member is not None else None
    if named is not None and named not in sets and named in files:
        if PurePosixPath(named).suffix.lower() in _FORMATS:
            return named
        raise SourceUnreadableError(
            f"{table}: {path.name}: member {named!r} is no vector file{nearest(named, sets)}; {KINDS} are read"
        )
    if not sets:
        held = listed(files) or "nothing"
        raise SourceMissingError(f"{path.name} holds no vector file; it holds {held}")
    if named is None and len(sets) > 1:
        # GDAL calls each shapefile of a folder a layer
        alike = [name for name in sets if PurePosixPath(name).stem == source.layer]
        named = alike[0] if len(alike) == 1 else None
    return member_of(path, named, list(sets))


def _extract(table: str, archive: zipfile.ZipFile, name: str, to: Path, place: str) -> None:
    # unpacked and not read in place: GDAL checks no checksum, and unpacks anew for each step back
    said = f"{table}: {place} cannot be read: {shortened(name)} cannot be unpacked"
    with unpacking(said), archive.open(name) as packed, to.open("wb") as file:
        shutil.copyfileobj(packed, file, _BLOCK_BYTES)


def _check(table: str, found: VectorFile) -> None:
    if found.format is _FILE_GDB:
        _check_tables(table, found)
        return
    head = _head(found.path)
    if pointer := next((each for each in _POINTERS if found.format.text and each in head), None):
        raise SourceUnreadableError(
            f"{table}: {found.place} cannot be read: it only points to other data ({pointer.decode().strip('<')}); "
            f"name that data itself"
        )
    if not found.format.begins(head):
        raise SourceUnreadableError(
            f"{table}: {found.place} cannot be read: it does not begin as a {found.format.name} does"
        )
    if found.format in (_GML, _KML):
        _check_xml(table, found)
    elif found.format in (_MIF, _TAB):
        mapinfo.check(table, found.place, found.path)
    if found.format is _SHAPEFILE and not found.path.with_suffix(".shx").exists():
        raise SourceUnreadableError(
            f"{table}: {found.place} cannot be read: there is no .shx beside it; a shapefile is .shp, .shx and .dbf"
        )


def _check_tables(table: str, found: VectorFile) -> None:
    """Without its .gdbtablx GDAL guesses where the rows of a table stand, and may find deleted ones."""
    for rows in found.path.glob("*.gdbtable"):
        if not rows.with_suffix(".gdbtablx").exists():
            raise SourceUnreadableError(
                f"{table}: {found.place} cannot be read: there is no {rows.stem}.gdbtablx beside {rows.name}"
            )


def _check_xml(table: str, found: VectorFile) -> None:
    """GDAL ends a GML that breaks off as if it were empty; and a document type may name other files.

    The root is looked at because GDAL knows some documents that point to others by it.
    """

    def check_root(name: str, *_: object) -> None:
        parser.StartElementHandler = None
        root = name.rpartition(":")[2]
        if root.endswith("Capabilities") or (found.format is _KML) != (root == "kml"):
            raise SourceUnreadableError(
                f"{table}: {found.place} cannot be read: it is no {found.format.name} but a document {quoted(root)}"
            )

    def refuse(name: str, *_: object) -> None:
        raise SourceUnreadableError(
            f"{table}: {found.place} cannot be read: it declares a document type ({shortened(name)}), which may name "
            f"other files"
        )

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = check_root
    try:
        with found.path.open("rb") as file:
            parser.ParseFile(file)
    except (expat.ExpatError, LookupError, ValueError) as error:  # an encoding that it does not know, or cannot take
        raise SourceUnreadableError(f"{table}: {found.place} cannot be read: no whole XML: {said_by(error)}") from error


def _make_utf8(table: str, found: VectorFile, encoding: str | None) -> None:
    """GDAL takes every GeoJSON for UTF-8, and behind a byte order mark it reads the first of several features only."""
    codec = codec_named(encoding) if encoding is not None else "utf-8"
    if codec is None:
        raise SourceUnreadableError(f"{table}: source.encoding: {encoding!r} is no encoding; cp1252 is one")
    with found.path.open("rb") as file:
        marked = codec == "utf-8" and file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
    recoded = found.path.with_suffix(".utf-8")
    if marked:
        with found.path.open("rb") as file, recoded.open("wb") as target:
            file.seek(len(codecs.BOM_UTF8))
            shutil.copyfileobj(file, target, _BLOCK_BYTES)
    elif codec != "utf-8":
        try:
            with (
                found.path.open(encoding=codec, newline="") as given,
                recoded.open("w", encoding="utf-8", newline="") as to,
            ):
                shutil.copyfileobj(given, to, _BLOCK_BYTES)
        except UnicodeError as error:
            raise SourceUnreadableError(
                f"{table}: {found.place} cannot be read as source.encoding = {encoding!r}: {said_by(error)}; "
                f"declare another"
            ) from error
    else:
        return
    recoded.replace(found.path)


def count_records(path: Path) -> int:
    """How many records a GeoJSON text sequence holds: one a line, or each behind a record separator."""
    with path.open("rb") as file:
        if file.read(1) == b"\x1e":
            return 1 + sum(block.count(b"\x1e") for block in iter(lambda: file.read(_BLOCK_BYTES), b""))
        file.seek(0)
        return sum(1 for line in file if line.strip())
