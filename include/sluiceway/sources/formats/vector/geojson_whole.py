"""GeoJSON that GDAL would not give as it stands, written anew: long whole numbers, and the features' own ids.

GDAL makes doubles of whole numbers above 2^53, where the column has a fraction or some negative ones, and of all above
2^63, so that neighbours become one. A number as id becomes the feature's number, which GDAL changes where two are the
same. A file that has neither is not touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

from sluiceway.sources.bounds import value_too_long
from sluiceway.sources.formats.json_records import BrokenJsonError, Document, DocumentText, LongJsonError, read_records
from sluiceway.sources.formats.texts import json_text
from sluiceway.sources.formats.vector.vector_files import HEAD_BYTES, VectorFile
from sluiceway.tables.source_spec import VectorSource
from sluiceway.tables.spec import TableSpec

ID, OTHER_ID = "id", "feature_id"
"""What the column of the features' ids is called, and what where a property of that name has other values."""
_SEPARATOR = "\x1e"
_LOOKED_AT = 20
_BLOCK_BYTES = 1 << 20
_LONGEST_NUMBER = 1 << 12
_LARGEST = 2**53
"""A double holds each one up to it."""
_DIGITS = re.compile(rb"[:\[,\s](-?[0-9]{16,})(?=[\s,\]}])")
_COLLECTION = re.compile(rb'"type"\s*:\s*"FeatureCollection"')
_ESRI = re.compile(rb'"type"\s*:\s*"Topology"|"esri(Geometry|FieldType)')


def whole(spec: TableSpec, source: VectorSource, file: VectorFile) -> VectorFile:
    """The same file, or one in its place that GDAL gives as it stands.

    :raises SourceTooLargeError: a feature is longer than source.max_value_bytes.
    """
    if file.format.name != "GeoJSON file":
        return file
    with file.path.open("rb") as opened:
        head = opened.read(HEAD_BYTES)
    if _ESRI.search(head):
        return file
    collection = _COLLECTION.search(head) is not None
    ids = _wants_ids(spec) and _has_ids(file, source.max_value_bytes, collection=collection)
    if not ids and not _has_long_numbers(file.path):
        return file
    writer = _Writer(ids=ids)
    target = file.path.with_suffix(".whole")
    try:
        while not writer.is_done:
            with file.path.open("rb") as given, target.open("w", encoding="utf-8") as to:
                writer.write(given, to, source.max_value_bytes, collection=collection)
    except LongJsonError as error:
        raise value_too_long(spec, file.place, "a feature") from error
    except (BrokenJsonError, ValueError, RecursionError):
        # GDAL says where it is broken
        target.unlink()
        return file
    target.replace(file.path)
    notes = (
        {"digits": f"{file.place}: whole numbers above 2^53 within its values became texts"} if writer.nested else {}
    )
    return replace(file, key=writer.key, digits=frozenset(writer.digits), notes=notes)


def _wants_ids(spec: TableSpec) -> bool:
    declared = {name for column in spec.columns for name in spec.source_names(column)}
    return spec.transform is not None or bool(declared & {ID, OTHER_ID})


def _has_ids(file: VectorFile, largest: int, *, collection: bool) -> bool:
    with (
        suppress(BrokenJsonError, ValueError, RecursionError),
        file.path.open("rb") as opened,
        closing(_features(opened, Document(), largest, collection=collection)) as features,
    ):
        return any(
            isinstance(feature, dict) and feature.get("id") is not None
            for feature in map(json.loads, islice(features, _LOOKED_AT))
        )
    return False


def _has_long_numbers(path: Path) -> bool:
    """Whether there seem to be some; a text may look like one."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            text = rest + block
            if any(abs(int(found[:_LONGEST_NUMBER])) > _LARGEST for found in _DIGITS.findall(text)):
                return True
            rest = text[-_LONGEST_NUMBER:]
    return False


def _features(stream: IO[bytes], document: Document, largest: int, *, collection: bool) -> Generator[str, None, None]:
    """The spelling of each: those of a collection, or one behind the other."""
    if collection:
        yield from (spelling for _, spelling in read_records(stream, document, records="features", largest=largest))
        return
    text = DocumentText(stream, "utf-8", largest)
    while first := text.peek():
        if first == _SEPARATOR:
            text.take(_SEPARATOR)
        else:
            yield text.value()[1]


@dataclass
class _Writer:
    """Writes a file anew."""

    ids: bool
    key: str | None = None
    """The column that the features' ids have become."""
    digits: set[str] = field(default_factory=set)
    """Columns in which a number became a text."""
    known: frozenset[str] = frozenset()
    """Those found when the file was last written: GDAL would spell 0.1 anew beside a text."""
    is_done: bool = False
    nested: bool = False
    """Whether one did inside of a list or an object."""

    def write(self, given: IO[bytes], to: IO[str], largest: int, *, collection: bool) -> None:
        self.known, self.is_done = frozenset(self.digits), True
        document, before = Document(), ""
        if collection:
            to.write('{"type": "FeatureCollection", "features": [\n')
        with closing(_features(given, document, largest, collection=collection)) as features:
            for spelling in features:
                to.write(before + self._feature(spelling))
                before = ",\n" if collection else "\n"
        if not collection:
            return
        to.write("\n]")
        for name, value in document.other.items():
            if name not in {"type", "features"}:
                to.write(f", {json.dumps(name)}: {json_text(value)}")
        to.write("}\n")

    def _feature(self, spelling: str) -> str:
        feature = json.loads(spelling)
        if not isinstance(feature, dict):
            return spelling.strip()
        properties = feature.get("properties")
        named = dict(properties) if isinstance(properties, dict) else {}
        for name, value in named.items():
            kept = str(value) if name in self.known and type(value) in {int, float} else _kept(value)
            if kept is not value:
                named[name] = kept
                if isinstance(kept, str):
                    self._long(name)
                self.nested |= not isinstance(kept, str)
        if self.ids and feature.get("id") is not None:
            named = self._with_id(named, feature.pop("id"))
        if named or isinstance(properties, dict):
            feature["properties"] = named
        return json.dumps(feature, ensure_ascii=False, allow_nan=False)

    def _long(self, name: str) -> None:
        self.digits.add(name)
        self.is_done &= name in self.known

    def _with_id(self, named: dict[str, Any], given: Any) -> dict[str, Any]:
        name = ID if ID not in named else OTHER_ID
        if name == OTHER_ID and str(named[ID]) == str(given):
            return named
        kept = _kept(given)
        if name in self.known or kept is not given:
            kept = str(given)
            self._long(name)
        self.key = name if self.key is None or name == OTHER_ID else self.key
        return {ID: kept, **named} if name == ID else {**named, OTHER_ID: kept}


def _kept(value: Any) -> Any:
    """The same, with whole numbers that no double holds as texts."""
    if isinstance(value, int) and abs(value) > _LARGEST:
        return str(value)
    if isinstance(value, dict):
        kept = {name: _kept(each) for name, each in value.items()}
        return kept if any(kept[name] is not value[name] for name in value) else value
    if isinstance(value, list):
        items = [_kept(each) for each in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value
