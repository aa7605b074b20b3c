"""A table file as text: keys in the order of the docs, and a comment wherever a person has to decide."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sluiceway.infer.key import Key

WIDTH = 120
"""A longer comment stands above its line."""


@dataclass
class Entry:
    """A value and what a person has to know about it."""

    value: Any
    remark: str | None = None


@dataclass
class Draft:
    """What a table file is to say."""

    notes: list[str] = field(default_factory=list)
    """Comments at its top."""
    table: dict[str, Entry] = field(default_factory=dict)
    source: dict[str, Entry] = field(default_factory=dict)
    columns: dict[str, Entry] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    """Comments below [columns]."""
    geometry: dict[str, Entry] = field(default_factory=dict)
    geometry_notes: list[str] = field(default_factory=list)
    """Comments below [geometry], or in its place."""
    checks: dict[str, Entry] = field(default_factory=dict)

    def toml(self) -> str:
        """The file."""
        parts = [_comments(self.notes) + _entries(self.table)]
        parts += [["[source]", *_entries(self.source)]]
        parts += [["[columns]", *_entries(self.columns), *_comments(self.left_out)]]
        if self.geometry:
            parts += [["[geometry]", *_entries(self.geometry), *_comments(self.geometry_notes)]]
        elif self.geometry_notes:
            parts += [_comments(self.geometry_notes)]
        if self.checks:
            parts += [["[checks]", *_entries(self.checks)]]
        return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


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
        inside = ", ".join(f"{key} = {toml_value(each)}" for key, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_value(each) for each in value)}]"
    # JSON's escapes are TOML's, but for the one control character that JSON leaves as it is
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def key_entry(key: Key, names: dict[str, str], where: str = "this file") -> Entry:
    targets = [names[column] for column in key.columns]
    if not targets:
        remark = key.remark or "no column, and no two of the likely ones, identify a row: the whole row does"
        return Entry("content", remark)
    remark = key.remark or f"unique in {where}; is it by its meaning?"
    return Entry(targets[0] if len(targets) == 1 else targets, remark)
