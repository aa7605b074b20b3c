"""Which of a source's files a load reads: all, or where that gives the same rows only those that are new or changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sluiceway.amounts import counted
from sluiceway.errors import listed
from sluiceway.ledger import loaded_files
from sluiceway.ledger.loaded_files import LoadedFile
from sluiceway.ledger.warehouse import Session
from sluiceway.load.last_load import LastLoad
from sluiceway.sources.place import Place
from sluiceway.tables.origins import is_file_itself
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    from sluiceway.sources.extraction import Extraction

log = logging.getLogger(__name__)

SHOWN = 3


@dataclass(frozen=True)
class FilesRead:
    """What a load reads of a place, and what it need not read again."""

    place: Place
    """With the files that are read."""
    is_whole: bool = True
    """Whether that is all there is."""
    kept: Mapping[str, LoadedFile] = field(default_factory=dict)
    """The other files, whose rows the table holds."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """As those of an Extraction."""

    @property
    def rows_kept(self) -> int:
        """How many rows the other files gave when they were read."""
        return sum(each.rows for each in self.kept.values())

    def remember(self, session: Session, spec: TableSpec, extraction: Extraction, extracted: int) -> None:
        """Write down for the next load which files the table holds; a file that was written to meanwhile is none.

        :param extracted: how many rows were read.
        """
        if not self.place.files and self.is_whole:
            return
        rows = extraction.rows_from.rows(extracted) if extraction.rows_from is not None else {}
        read = {
            each.name: LoadedFile(each.fingerprint, rows.get(each.name, 0))
            for each in self.place.files
            if each.stands()
        }
        loaded_files.write(session, spec.name, {**self.kept, **read})


def files_read(spec: TableSpec, session: Session, place: Place, last: LastLoad) -> FilesRead:
    """Decide it: what is in the table afterwards is what a load of all files would leave there.

    With on_missing = "keep" a row stays until another one of its key comes. So files can be left out whose rows stand
    in the table, unless they would win over a row that is read now.
    """
    if not place.files or not last.intact or spec.on_missing != "keep":
        return FilesRead(place)
    if _asks_all_files(spec):
        return FilesRead(place)
    known = loaded_files.read(session, spec.name)
    new = [at for at, each in enumerate(place.files) if each.name not in known]
    changed = [
        at
        for at, each in enumerate(place.files)
        if each.name in known and known[each.name].fingerprint != each.fingerprint
    ]
    gone = sorted(known.keys() - {each.name for each in place.files})
    if _is_each_by_itself(spec):
        chosen = sorted([*new, *changed])
    elif changed or gone or not new:
        # a row that was of a file which holds it no longer may be that of an earlier one now
        return FilesRead(place)
    else:
        # of a key that stands in two files the last one wins
        chosen = list(range(new[0], len(place.files)))
    if len(chosen) == len(place.files):
        return FilesRead(place)
    files = tuple(place.files[at] for at in chosen)
    left = set(range(len(place.files))).difference(chosen)
    kept = {place.files[at].name: known[place.files[at].name] for at in sorted(left)}
    if files:
        of = counted(len(place.files), "file")
        log.info("%s: %d of %s read, the rows of the others stand", spec.name, len(files), of)
    return FilesRead(replace(place, files=files), is_whole=False, kept=kept, notes=_of_gone(gone))


def _asks_all_files(spec: TableSpec) -> bool:
    """Whether what becomes of a row depends on rows of other files, in whichever order the files came."""
    if spec.target != "postgresql" and spec.checks.ask_of_the_whole():
        # the rows of the other files are not here
        return True
    # of rows that are alike the last one is loaded, and the others come back when it is gone
    return any(spec.checks.rules("unique")) or (spec.duplicates == "keep" and not _is_each_by_itself(spec))


def _is_each_by_itself(spec: TableSpec) -> bool:
    """Whether no row of one file can take the place of another file's.

    Rows of the same content are one row, whichever file it is of; only where alike ones are kept they are counted.
    """
    says_file = {name for name, column in spec.columns.items() if is_file_itself(column)}
    if spec.key == "content":
        return spec.duplicates == "reject" or bool(says_file)
    return not says_file.isdisjoint(spec.key)


def _of_gone(names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    shown = listed(names, SHOWN)
    what = counted(len(names), "file of the last load is", "files of the last load are")
    return {"gone": f'{what} no longer there, and their rows stay (on_missing = "keep"): {shown}'}
