"""The tables of keys in docs/reference/tables.md, from the models of a table's file: python -m dev.docs.tables."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from dev.docs.keys import DOCS, Document
from sluiceway.tables import source_spec, spec

MODELS: Mapping[str, type[BaseModel]] = {
    "TableSpec": spec.TableSpec,
    "Column": spec.Column,
    "Geometry": spec.Geometry,
    "Checks": spec.Checks,
    "LocatedSource": source_spec.LocatedSource,
    "SheetRows": source_spec.SheetRows,
    "TextValues": source_spec.TextValues,
    **{model.__name__: model for model in source_spec.SOURCE_KINDS.values()},
    "Paging": source_spec.Paging,
}
TABLES = Document(
    path=DOCS / "reference" / "tables.md",
    models=MODELS,
    sections=frozenset({"source", "columns", "geometry", "checks", "paging"}),
    no_keys=frozenset({"name", "transform", "written_uri", "kind"}),
    named={spec.check_name: "name"},
)

if __name__ == "__main__":
    TABLES.write()
