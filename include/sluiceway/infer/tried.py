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


def try_out(draft: Draft, name: str, uri: str, place: Place, crs: str | None, connections: Connections) -> None:
    """Read the source by the draft, and propose what has to be allowed for it to load.

    :param crs: the geometry's, as the source says it.
    """
    data = tomllib.loads(draft.toml())
    data["source"]["uri"] = uri
    geometry = data.get("geometry")
    if geometry is not None and crs is None and "source_crs" not in geometry:
        # not known yet; the rows can be counted all the same
        geometry["source_crs"] = "EPSG:4326"
        geometry["srid"] = 4326
    spec = validated(name, data)
    found = preview_at(spec, place, rows=0, limit=None, connections=connections)
    rejects = found.rejected + found.repeated
    if not rejects:
        return
    if found.rejected == found.extracted:
        draft.notes.append(f"No row can be loaded by this draft: {found.rejects[0].reason[:200]}")
        return
    draft.checks["max_rejects"] = Entry(rejects, _why_rejects(found, spec))


def _why_rejects(found: Preview, spec: TableSpec) -> str:
    reasons = []
    if found.rejected:
        first = found.rejects[0]
        reasons.append(
            f"{found.rejected:,} of {counted(found.extracted, 'row')} cannot be loaded, such as row "
            f"{first.row_number:,}: {first.reason[:200]}"
        )
    if found.repeated:
        what = "repeated in full by later ones" if spec.key == "content" else "with the key of a later one"
        example = found.repeated_example
        shown = f", such as rows {example[0]:,} and {example[1]:,}" if example else ""
        reasons.append(f"{counted(found.repeated, 'row')} {what}{shown}")
    return "; ".join(reasons)
