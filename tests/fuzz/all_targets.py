"""Every target, by its name."""

from __future__ import annotations

from tests.fuzz import answers, files, languages
from tests.fuzz.target import TARGETS

__all__ = ["TARGETS", "answers", "files", "languages"]
