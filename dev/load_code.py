"""Whether the code that decides what a load makes of a source was changed, and whether a person has decided about it.

Tables whose source is unchanged are loaded once more after LOAD_VERSION was raised, and only then. The record beside
the tests holds a hash per file over its syntax tree: without docstrings, comments, positions and paths.

    python -m dev.load_code        after LOAD_VERSION was raised
    python -m dev.load_code same   when the same source and table file give the same rows and rejects as before
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dev.environment import ROOT
from sluiceway.load.version import LOAD_VERSION

PACKAGE = ROOT / "include" / "sluiceway"
FOLDERS = ("load", "sources", "tables")
RECORD = ROOT / "tests" / "load" / "load_code.json"
ABOUT = Path("load/version.py")
"""Decides nothing itself."""


class Decided(NamedTuple):
    """What the record holds."""

    version: int
    files: dict[str, str]


def decided(record: Path = RECORD) -> Decided:
    """The version and the files of the last decision."""
    return Decided(**json.loads(record.read_text(encoding="utf-8")))


def hashes(package: Path = PACKAGE) -> dict[str, str]:
    """The hash of every file that decides, by its path in the package."""
    paths = sorted(path for folder in FOLDERS for path in (package / folder).rglob("*.py"))
    return {
        path.relative_to(package).as_posix(): hash_of(path.read_text(encoding="utf-8"))
        for path in paths
        if path.relative_to(package) != ABOUT
    }


def hash_of(code: str) -> str:
    """Of the syntax tree of a file: equal for two that do the same by the same statements."""
    return hashlib.sha256("".join(_spelled(ast.parse(code))).encode()).hexdigest()[:16]


def _spelled(node: Any) -> Iterator[str]:
    # not ast.dump: later Pythons know of more fields, which are empty
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(_without_docstring(node)):
            if value is not None and value != [] and name != "kind":
                yield f" {name}="
                yield from _spelled(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for each in node:
            yield from _spelled(each)
            yield ","
        yield "]"
    else:
        yield repr(node)


def _without_docstring(node: ast.AST) -> ast.AST:
    """Without any text that stands by itself: the docstrings of attributes are such too."""
    body = getattr(node, "body", None)
    if isinstance(body, list):
        node.body = [each for each in body if not _is_text(each)] or [ast.Pass()]  # type: ignore[attr-defined]
    return node


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def undecided(found: dict[str, str], record: Decided, version: int = LOAD_VERSION) -> str | None:
    """What to do, in sentences; None when all was decided."""
    moved = sorted(name for name in {*found, *record.files} if found.get(name) != record.files.get(name))
    if not moved and version == record.version:
        return None
    if version != record.version:
        return f"LOAD_VERSION is {version} and {record.version} is recorded. Record it: python -m dev.load_code"
    return (
        f"Code that decides what a load makes of a source was changed: {', '.join(moved)}. Does the same source, with "
        f"the same table file, give the same rows and rejects as before? If so: python -m dev.load_code same. If not, "
        f"raise LOAD_VERSION in include/sluiceway/load/version.py (every table is loaded once more then), and: "
        f"python -m dev.load_code"
    )


def main(arguments: list[str]) -> int:
    """Record a decision; 1 when there is none."""
    found, record = hashes(), decided()
    if arguments not in ([], ["same"]) or (not arguments and record.version == LOAD_VERSION):
        sys.stderr.write(f"{undecided(found, record) or 'Nothing is undecided.'}\n")
        return 1 if undecided(found, record) else 0
    text = json.dumps(Decided(LOAD_VERSION, found)._asdict(), indent=2)
    RECORD.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
