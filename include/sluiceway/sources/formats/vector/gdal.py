"""GDAL's bindings (pyogrio) without pandas, which they import only to know its version: 0.6 s and 60 MB a task."""

from __future__ import annotations

import sys
from importlib import import_module, metadata
from types import ModuleType

import pyarrow  # noqa: F401  # what else pyogrio asks for is imported before the stand-ins are there
import pyproj  # noqa: F401
import shapely  # noqa: F401


def _bindings() -> tuple[ModuleType, ...]:
    """pyogrio's modules, to which pandas and geopandas were there, and had the versions they have."""
    stand_ins = {}
    for name in ("pandas", "geopandas"):
        if name not in sys.modules:
            stand_ins[name] = ModuleType(name)
            stand_ins[name].__dict__["__version__"] = metadata.version(name)
    sys.modules.update(stand_ins)
    try:
        return tuple(import_module(f"pyogrio.{name}") for name in ("core", "errors", "raw"))
    finally:
        for name in stand_ins:
            del sys.modules[name]


core, errors, raw = _bindings()
