"""What holds for every file that is fetched, wherever it comes from."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from sluiceway.errors import SourceUnreadableError
from sluiceway.tables.source_spec import LocatedSource

_LONGEST_NAME = 60
"""Characters; a file system takes 255 bytes."""


def check_size(source: LocatedSource, name: str, size: int | None) -> None:
    """Raises SourceUnreadableError when `size` bytes are more than source.max_bytes; None is not known yet."""
    if size is not None and size > source.max_bytes:
        raise SourceUnreadableError(
            f"{name}: the file has {size:,} bytes or more and source.max_bytes allows {source.max_bytes:,}; "
            f"raise it if right"
        )


def check_sha256(source: LocatedSource, name: str, digest: str) -> None:
    """Raises SourceUnreadableError when `digest` is not what source.sha256 declares."""
    if source.sha256 is not None and digest != source.sha256:
        raise SourceUnreadableError(
            f"{name}: the file's sha256 is {digest} and source.sha256 declares {source.sha256}; adapt it if the file "
            f"was meant to change"
        )


def sha256_of(path: Path) -> str:
    """64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(name: str) -> str:
    """`name` as a name in a folder of our own, with its ending: readers go by it."""
    return re.sub(r"[^\w.+-]", "_", name)[-_LONGEST_NAME:].lstrip(".") or "file"
