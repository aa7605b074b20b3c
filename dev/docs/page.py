"""A page of docs/ of which a part is written by this program, and the rest by hand."""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sluiceway.errors import ConfigError, nearest

DOCS = Path(__file__).parents[2] / "docs"

_MARK = re.compile(r"(<!-- written: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True)
class Page(ABC):
    """One page."""

    path: Path

    @abstractmethod
    def written(self, text: str) -> str:
        """The page with its parts anew; raises ConfigError when a mark names no part."""

    def write(self) -> None:
        """Write the file anew, and say whether it has changed."""
        before = self.path.read_text(encoding="utf-8")
        after = self.written(before)
        self.path.write_text(after, encoding="utf-8")
        name = self.path.relative_to(DOCS.parent)
        sys.stdout.write(f"{name} is {'up to date' if after == before else 'written anew'}.\n")


@dataclass(frozen=True)
class Parts(Page):
    """A page with parts between `<!-- written: NAME -->` and `<!-- end -->`.

    :param parts: what writes each.
    """

    parts: Mapping[str, Callable[[], str]]

    def written(self, text: str) -> str:
        """The page with its parts anew; raises ConfigError when a mark names no part."""
        return _MARK.sub(lambda mark: f"{mark[1]}\n{self._part(mark[2])}\n{mark[3]}", text)

    def _part(self, name: str) -> str:
        if name not in self.parts:
            raise ConfigError(f"{self.path.name}: {name!r} is no part{nearest(name, self.parts)}")
        return self.parts[name]()


def cell(text: str) -> str:
    """A text in a table: a bar ends the cell and < begins a tag, but not in code."""
    parts = re.split(r"(`[^`]*`)", text.replace("|", r"\|"))
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def code(text: str) -> str:
    """A text as code in a table."""
    shown = text.replace("|", r"\|")
    return f"`{shown}`"


def table(*rows: tuple[str, ...]) -> str:
    """A table; the first row is its head."""
    head, *rest = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, f"|{'---|' * len(rows[0])}", *rest]) + "\n"
