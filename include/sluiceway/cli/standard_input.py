"""`-` in place of a file: what another program hands over by the standard input, kept in a private file meanwhile."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

import typer

from sluiceway.errors import ConfigError, EmptyExtractionError, SourceTooLargeError, nearest

STDIN = "-"
NAME = "standard_input"
MOST_BYTES = 8 * 2**30
"""The default of source.max_bytes."""
FILE_KINDS = ("csv", "json", "parquet", "excel", "sqlite", "vector")
_BLOCK_BYTES = 1 << 20
_ENDINGS = ((b"\x1f\x8b", ".gz"), (b"\x28\xb5\x2f\xfd", ".zst"), (b"PK", ".zip"))
"""By which readers know that something is packed."""

KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind", metavar="KIND", help=f"What the data is, if not what it looks like: {', '.join(FILE_KINDS)}."
    ),
]
NameOption = Annotated[
    str | None, typer.Option("--name", metavar="TABLE", help="The table's name, of data that has no file like those.")
]


def check_kind(kind: str | None) -> None:
    """Raises ConfigError unless it is one of files."""
    if kind is not None and kind not in FILE_KINDS:
        raise ConfigError(f"--kind: {kind!r} is no kind of file{nearest(kind, FILE_KINDS)}")


@contextmanager
def spooled(most: int = MOST_BYTES) -> Iterator[Path]:
    """All of the standard input, in a file that only this user may read and that is gone afterwards.

    :param most: bytes that it may have.
    :raises ConfigError: nothing is handed over, but somebody sits there.
    :raises EmptyExtractionError: it has no bytes.
    :raises SourceTooLargeError: it has more.
    """
    from sluiceway.sources.local import own_folder

    if sys.stdin.isatty():
        raise ConfigError("-: stands for the standard input, and no program writes to it: cat FILE | sluiceway ... -")
    with tempfile.TemporaryDirectory(prefix="sluiceway-") as name, own_folder(Path(name)):
        path = Path(name) / NAME
        with path.open("wb") as file:
            head = _copied(sys.stdin.buffer, file, most)
        ending = next((ending for begin, ending in _ENDINGS if head.startswith(begin)), "")
        yield path.rename(path.with_name(NAME + ending))


def _copied(given: IO[bytes], file: IO[bytes], most: int) -> bytes:
    """Its first bytes."""
    head, size = b"", 0
    while block := given.read(_BLOCK_BYTES):
        head, size = head or block[:8], size + len(block)
        if size > most:
            raise SourceTooLargeError(
                f"The standard input has more than the {most:,} bytes that source.max_bytes allows; raise it if right"
            )
        file.write(block)
    if not size:
        raise EmptyExtractionError("The standard input is empty: it has no bytes.")
    return head


@contextmanager
def given(uri: str) -> Iterator[tuple[str, str | None]]:
    """Where the data lies, and how it was named, where that is not its uri."""
    if uri != STDIN:
        yield uri, None
        return
    with spooled() as path:
        yield str(path), STDIN
