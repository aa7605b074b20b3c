"""Arrow without pandas, which pyarrow looks for at the first array it makes of a list: half a second and 40 MB a task.

Where pandas is wanted, for a transform, pyarrow's to_pandas looks for it once more and finds it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

import pyarrow as pa


class _NoPandas(MetaPathFinder):
    """Comes before all other finders and finds no pandas."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def leave_pandas_out() -> None:
    """Let pyarrow look for pandas while it cannot be imported; no matter where it is imported already."""
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(finder)


def use_little_memory() -> None:
    """What a process does before it loads anything: no pandas, and an allocator that gives back what it needs no more.

    Arrow's own keeps 30 to 40 MB, and is no faster here.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    leave_pandas_out()
