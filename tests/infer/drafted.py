"""Drafts table files as `sluiceway tables infer` does, beside the files they describe."""

from __future__ import annotations

import gzip
import io
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from sluiceway.infer.asked import Asked
from sluiceway.infer.infer import infer, write
from sluiceway.tables.registry import read_spec
from sluiceway.tables.spec import TableSpec


class Drafted:
    """The draft for one file."""

    def __init__(self, path: Path, out: Path, **asked: str) -> None:
        self.out = out
        self.text = infer(Asked(str(path), **asked), out)
        write(self.text, out)
        self.data: dict[str, Any] = tomllib.loads(self.text)

    @property
    def spec(self) -> TableSpec:
        return read_spec(self.out)

    @property
    def types(self) -> dict[str, str]:
        return {name: column.type for name, column in self.spec.columns.items()}

    @property
    def source(self) -> dict[str, Any]:
        """[source] without what every one has."""
        return {key: value for key, value in self.data["source"].items() if key not in {"kind", "uri"}}

    def comment(self, key: str) -> str:
        """What the draft says about a key: behind it, or in the lines above."""
        lines = self.text.splitlines()
        at = next(n for n, line in enumerate(lines) if line.startswith(f"{key} = "))
        above = []
        while at - 1 - len(above) >= 0 and lines[at - 1 - len(above)].startswith("# "):
            above.append(lines[at - 1 - len(above)][2:])
        return " ".join([*reversed(above), lines[at].partition("  # ")[2]]).strip()


def drafted(folder: Path, name: str, content: str | bytes, **asked: str) -> Drafted:
    """The draft for a new file of this content."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Drafted(path, folder / "drafted.toml", **asked)


def zipped(**members: bytes) -> bytes:
    """A .zip; in the names, __ stands for a dot."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def gzipped(content: str) -> bytes:
    return gzip.compress(content.encode())
