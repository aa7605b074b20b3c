"""A draft tried out on its source: what has to be allowed for it to load."""

from __future__ import annotations

import tomllib

from sluiceway.amounts import counted
from sluiceway.infer.asked import validated
from sluiceway.infer.draft import Draft, Entry
from sluiceway.infer.preview import Preview, preview_at
from sluiceway.sources.connections import Connections
from sluiceway.sources.place import Place
from sluiceway.tables.spec import TableSpec

MANY_ALIKE, MANY_ALIKE_SHARE = 10, 0.01
"""Of so many rows, and so great a share of all, that are alike in full, it is believed that they are meant."""


def try_out(
    draft: Draft,
    name: str,
    uri: str | None,
    place: Place,
    crs: str | None,
    connections: Connections,
    *,
    most: int | None = None,
) -> None:
    """Read the source by the draft, and propose what has to be allowed for it to load.

    :param uri: where the file is; None of what is none.
    :param crs: the geometry's, as the source says it.
    :param most: about how many rows to read; all of them if None.
    """
    data = tomllib.loads(draft.toml())
    if uri is not None:
        data["source"]["uri"] = uri
    geometry = data.get("geometry")
    if geometry is not None and crs is None and "source_crs" not in geometry:
        # not known yet; the rows can be counted all the same
        geometry["source_crs"] = "EPSG:4326"
        geometry["srid"] = 4326
    spec = validated(name, data)
    found = preview_at(spec, place, rows=0, limit=most, connections=connections)
    if spec.key == "content" and found.repeated and _are_kept(draft, found):
        found.repeated = 0
    rejects = found.rejected + found.repeated
    if not rejects:
        return
    if found.rejected == found.extracted:
        draft.notes.append(f"No row can be loaded by this draft: {found.rejects[0].reason[:200]}")
        return
    draft.checks["max_rejects"] = Entry(rejects, _why_rejects(found, spec))


def _are_kept(draft: Draft, found: Preview) -> bool:
    """Whether rows that are alike in full are kept: many are, as things without a number of their own are listed.

    A few are rather a mistake, and where each row stands twice, the whole file is.
    """
    alike = counted(found.repeated, "row is alike in full with another one", "rows are alike in full with others")
    of = f"{alike}, of {found.extracted:,}"
    if found.each_stands is not None:
        why = f"each row stands {found.each_stands} times, as if the file were written so often"
    elif found.repeated < MANY_ALIKE or found.repeated < MANY_ALIKE_SHARE * found.extracted:
        why = "so few are rather a mistake"
    else:
        draft.table["duplicates"] = Entry("keep", f'{of}, and all are kept; "reject" leaves one of each')
        return True
    draft.table["duplicates"] = Entry("reject", f'{of}: {why}; "keep" loads all of them')
    return False


def _read(found: Preview) -> str:
    return f"{'' if found.complete else 'the first '}{counted(found.extracted, 'row')}"


def _why_rejects(found: Preview, spec: TableSpec) -> str:
    reasons = []
    if found.rejected:
        first = found.rejects[0]
        reasons.append(
            f"{found.rejected:,} of {_read(found)} cannot be loaded, such as row "
            f"{first.row_number:,}: {first.reason[:200]}"
        )
    if found.repeated:
        what = "repeated in full by later ones" if spec.key == "content" else "with the key of a later one"
        example = found.repeated_example
        shown = f", such as rows {example[0]:,} and {example[1]:,}" if example else ""
        reasons.append(f"{counted(found.repeated, 'row')} {what}{shown}")
    return "; ".join(reasons)
