"""What holds for every file that is fetched, wherever it comes from."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from sluiceway.errors import SourceUnreadableError
from sluiceway.sources.formats.archive import open_bytes
from sluiceway.tables.source_spec import LocatedSource

_GZIP_MAGIC = b"\x1f\x8b"
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


def unpacked_as_sent(source: LocatedSource, shown: str, name: str, path: Path) -> Path:
    """The file without the gzip that its Content-Encoding tells of.

    Many servers say so of every .gz and send it as it is: that one keeps its content.

    :param shown: the file's address, for messages.
    :param name: its own name.
    :raises SourceUnreadableError: the gzip is broken or cut off, or unpacks to more than source.max_bytes.
    """
    with path.open("rb") as file:
        if file.read(len(_GZIP_MAGIC)) != _GZIP_MAGIC:
            return path
    packed = path.rename(path.with_name("packed.gz"))
    try:
        with open_bytes(packed, None, source.max_bytes, once=True) as content:
            begins = content.read(len(_GZIP_MAGIC))
            if name.lower().endswith(".gz") and begins != _GZIP_MAGIC:
                return packed
            with path.open("wb") as file:
                file.write(begins)
                shutil.copyfileobj(content, file, 1 << 18)
    except SourceUnreadableError as error:
        raise SourceUnreadableError(f"{shown}: it comes packed by gzip, and {error}") from error
    packed.unlink()
    return path


def safe_name(name: str) -> str:
    """`name` as a name in a folder of our own, with its ending: readers go by it."""
    return re.sub(r"[^\w.+-]", "_", name)[-_LONGEST_NAME:].lstrip(".") or "file"
