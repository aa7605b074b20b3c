"""SQL that somebody wrote into a file, as far as it can be judged before a database sees it."""

from __future__ import annotations

import re

READING = frozenset({"select", "with", "values"})
"""What a statement that only reads begins with."""

_NO_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|(\$\w*\$).*?\1", re.DOTALL)


def code_of(text: str) -> str:
    """Without comments, quoted text, and semicolons at its end: another one in it begins a second statement."""
    return _NO_CODE.sub(" ", text).strip().rstrip("; \n")


def first_word(code: str) -> str:
    """In lower case, behind parentheses."""
    found = re.match(r"\(*\s*(\w*)", code)
    return found[1].lower() if found else ""
