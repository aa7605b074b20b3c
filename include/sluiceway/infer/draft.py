"""A table file as text: keys in the order of the docs, and a comment wherever a person has to decide."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sluiceway.infer.key import Key
from sluiceway.tables.canonical import canonical

WIDTH = 120
"""A longer comment stands above its line."""
_SCHEMAS = ("docs/reference/table.schema.json", "table.schema.json")
_BARE = re.compile("[A-Za-z0-9_-]+")


@dataclass
class Entry:
    """A value and what a person has to know about it."""

    value: Any
    remark: str | None = None


@dataclass
class Draft:
    """What a table file is to say."""

    schema: str | None = None
    """Where an editor finds the JSON Schema of such a file, as seen from it."""
    notes: list[str] = field(default_factory=list)
    """Comments at its top."""
    table: dict[str, Entry] = field(default_factory=dict)
    source: dict[str, Entry] = field(default_factory=dict)
    source_notes: list[str] = field(default_factory=list)
    """Comments below [source]."""
    columns: dict[str, Entry] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    """Comments below [columns]."""
    geometry: dict[str, Entry] = field(default_factory=dict)
    geometry_notes: list[str] = field(default_factory=list)
    """Comments below [geometry], or in its place."""
    checks: dict[str, Entry] = field(default_factory=dict)

    def toml(self) -> str:
        """The file, in the form of `sluiceway tables fmt`."""
        return canonical(self._text())

    def _text(self) -> str:
        schema = [f"#:schema {self.schema}", ""] if self.schema is not None else []
        parts = [schema + _comments(self.notes) + _entries(self.table)]
        parts += [["[source]", *_entries(self.source), *_comments(self.source_notes)]]
        parts += [["[columns]", *_entries(self.columns), *_comments(self.left_out)]]
        if self.geometry:
            parts += [["[geometry]", *_entries(self.geometry), *_comments(self.geometry_notes)]]
        elif self.geometry_notes:
            parts += [_comments(self.geometry_notes)]
        if self.checks:
            parts += [["[checks]", *_entries(self.checks)]]
        return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def schema_of(out: Path | None) -> str | None:
    """The schema of table files that this project, or a folder above the file, has; as seen from the file.

    No public address is written: of which release an editor would then see the keys, nobody could say.
    """
    for folder in out.resolve().parents if out is not None else ():
        for place in _SCHEMAS:
            if (folder / place).is_file():
                return Path(os.path.relpath(folder / place, out.resolve().parent)).as_posix() if out else None
        if (folder / ".git").exists():
            break
    return None


def _entries(entries: dict[str, Entry]) -> list[str]:
    lines = []
    for key, entry in entries.items():
        line = f"{key} = {toml_value(entry.value)}"
        if entry.remark is None:
            lines.append(line)
        elif len(line) + len(entry.remark) + 4 <= WIDTH and "\n" not in entry.remark:
            lines.append(f"{line}  # {_plain(entry.remark)}")
        else:
            lines += [*_comments([entry.remark]), line]
    return lines


def _comments(remarks: Iterable[str]) -> list[str]:
    lines = []
    for remark in remarks:
        line = "#"
        for word in _plain(remark).split(" "):
            if len(line) + len(word) + 1 > WIDTH and line != "#":
                lines.append(line)
                line = "#"
            line += f" {word}"
        lines.append(line)
    return lines


def _plain(text: str) -> str:
    """Text that a comment may hold: no line ends and no control characters."""
    return "".join(char if char.isprintable() else " " for char in text)


def toml_value(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(str(key))} = {toml_value(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(each) for each in value)}]"
    # JSON's escapes are TOML's, but for the one control character that JSON leaves as it is
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml_value(name)


def key_entry(key: Key, names: dict[str, str], where: str = "this file") -> Entry:
    targets = [names[column] for column in key.columns]
    if not targets:
        remark = key.remark or "no column, and no two of the likely ones, identify a row: the whole row does"
        return Entry("content", remark)
    remark = key.remark or f"unique in {where}; is it by its meaning?"
    return Entry(targets[0] if len(targets) == 1 else targets, remark)
