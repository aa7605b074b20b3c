"""Whether a shapefile is whole. GDAL gives null for the shapes behind a cut, and says nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sluiceway.errors import SourceUnreadableError

_HEADER_BYTES = 100


def check_whole(path: Path) -> None:
    """Raises SourceUnreadableError when the .shx knows of shapes that the .shp at `path` is too short for.

    The header's own length is not asked: programs write wrong ones into files that are whole.
    """
    index = next((part for part in path.parent.glob(f"{path.stem}.*") if part.suffix.lower() == ".shx"), None)
    if index is None:
        return
    records = np.fromfile(index, dtype=">i4", offset=_HEADER_BYTES)
    # offset and length of each shape in 16-bit words; its own header of 8 bytes comes on top
    offsets, lengths = records[: len(records) // 2 * 2].reshape(-1, 2).T.astype(np.int64)
    ends = (offsets + lengths) * 2 + 8
    size = path.stat().st_size
    missing = int((ends > size).sum())
    if missing:
        raise SourceUnreadableError(
            f"{path.name} is cut off: it has {size:,} bytes, and {missing:,} of its {len(ends):,} shapes lie behind "
            f"them or reach beyond; fetch it again"
        )
