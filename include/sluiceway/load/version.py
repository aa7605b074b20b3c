"""The version of what a load makes of a source, raised by a person."""

from __future__ import annotations

LOAD_VERSION = 3
"""Raise it with a change of this folder, sources or tables after which the same source and table file give other rows
or other rejects: every table is loaded once more then. tests/load/test_version.py asks for the decision."""
