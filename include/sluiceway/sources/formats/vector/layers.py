"""Which layer of a file is meant, and what GDAL says of it before any feature is read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sluiceway.errors import EmptyExtractionError, SourceMissingError, listed, nearest
from sluiceway.sources.formats.vector import gdal
from sluiceway.sources.formats.vector.vector_files import VectorFile
from sluiceway.tables.source_spec import VectorSource


def read_info(path: Path, layer: str | None, encoding: str | None) -> Mapping[str, Any]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Measured")
        info: Mapping[str, Any] = gdal.core.read_info(path, layer=layer, encoding=encoding)
    return info


NO_DATA = frozenset({"layer_styles"})
"""A table that QGIS keeps its styles in; GDAL takes it for a layer."""


def layers_in(file: VectorFile) -> list[str]:
    """The names of all layers."""
    return [str(name) for name, _ in _listed_by_gdal(file)]


def shapes_in(file: VectorFile) -> list[str]:
    """The names of those that have a geometry."""
    return [str(name) for name, kind in _listed_by_gdal(file) if kind is not None]


def _listed_by_gdal(file: VectorFile) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Measured")
        return np.asarray(gdal.core.list_layers(file.path))


def layer_of(table: str, source: VectorSource, file: VectorFile) -> str:
    layers = layers_in(file)
    if source.layer in layers:
        return source.layer
    if not layers:
        raise EmptyExtractionError(f"{table}: {file.place} holds no layer, so the source gave no rows")
    if source.layer is not None:
        raise SourceMissingError(f"{file.place} has no layer {source.layer!r}{nearest(source.layer, layers)}")
    if len(layers) != 1:
        raise SourceMissingError(f"{file.place} holds {len(layers)} layers: {listed(layers)}; name one as source.layer")
    return layers[0]
