"""A draft of a table for each file, member, sheet, layer and table that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from sluiceway.errors import SluicewayError
from sluiceway.infer import naming
from sluiceway.infer.asked import Asked
from sluiceway.infer.infer import brought, infer_at
from sluiceway.infer.parts import parts_of
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.sources.place import Place
from sluiceway.tables.patterns import fixed_part

_SAYS_NOTHING = re.compile(r"(sheet|layer|table|tabelle|feuille|hoja)?_?\d*", re.IGNORECASE)
"""A name that a program has given."""


class Drafted(NamedTuple):
    """What came of one part."""

    table: str
    part: str
    """What to call it in messages."""
    draft: str | None
    wrong: str | None
    """Why there is no draft."""


def infer_each(
    asked: Asked, folder: Path | None = None, *, connections: Connections = from_environment
) -> Iterator[Drafted]:
    """The drafts, one after the other; a part that cannot be drafted hinders no other.

    :param folder: where they will stand.
    :raises SluicewayError: the file itself cannot be read.
    """
    taken: set[str] = set()
    with brought(asked, connections) as place:
        for uri, found in _files(asked, place):
            assert found.path is not None
            try:
                parts = parts_of(replace(asked, uri=uri), found.path, each=True)
            except SluicewayError as error:
                if not place.files:
                    raise
                yield Drafted(_table(asked, found.name, taken, alone=True), found.name, None, str(error))
                continue
            for one in parts:
                table = _table(one, found.name, taken, alone=len(parts) == 1)
                part = ", ".join([found.name, *filter(None, (one.member, one.sheet, one.layer, one.table))])
                out = None if folder is None else folder / f"{table}.toml"
                try:
                    draft = infer_at(one, found, table, out, connections=connections)
                except SluicewayError as error:
                    yield Drafted(table, part, None, str(error))
                else:
                    yield Drafted(table, part, draft, None)


def _files(asked: Asked, place: Place) -> Iterator[tuple[str, Place]]:
    """The uri of each file, and the file brought here until the next one is asked for."""
    if not place.files:
        yield asked.uri, place
    for file in place.files:
        with file.here() as path:
            yield fixed_part(asked.uri) + file.name, replace(place, name=file.name, path=path, files=())


def _table(one: Asked, file: str, taken: set[str], *, alone: bool) -> str:
    stem = PurePosixPath(file).name.partition(".")[0]
    part = one.layer or one.sheet or one.table or (PurePosixPath(one.member).stem if one.member else None)
    wanted = [stem if part is None or alone else part, f"{stem}_{part}" if part is not None else file.partition(".")[0]]
    if part is not None and not alone and _SAYS_NOTHING.fullmatch(part):
        wanted = wanted[1:]
    names = [naming.table_name(each) for each in wanted]
    found = next((name for name in names if name not in taken), None)
    number = 2
    while found is None:
        name = f"{names[-1]}_{number}"
        found, number = (name if name not in taken else None), number + 1
    taken.add(found)
    return found
