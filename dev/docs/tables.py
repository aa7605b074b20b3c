"""The tables of keys in docs/reference/tables.md, from the models of a table's file."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from dev.docs.keys import Document
from dev.docs.page import DOCS
from sluiceway.tables import checks, column, paging, source_spec, spec, typed_values

MODELS: Mapping[str, type[BaseModel]] = {
    "TableSpec": spec.TableSpec,
    "Column": column.Column,
    "Geometry": spec.Geometry,
    "Checks": checks.Checks,
    "ColumnChecks": checks.ColumnChecks,
    "Range": checks.Range,
    "RowCheck": checks.RowCheck,
    "LocatedSource": source_spec.LocatedSource,
    "Bounded": source_spec.Bounded,
    "SheetRows": source_spec.SheetRows,
    "TextValues": source_spec.TextValues,
    **{model.__name__: model for model in source_spec.SOURCE_KINDS.values()},
    "Paging": paging.Paging,
}
TABLES = Document(
    path=DOCS / "reference" / "tables.md",
    models=MODELS,
    sections=frozenset(
        {
            *("TableSpec.source", "TableSpec.columns", "TableSpec.geometry", "TableSpec.checks"),
            *("Checks.columns", "Checks.rows", "HttpJsonSource.paging"),
        }
    ),
    no_keys=frozenset({"name", "transform", "written_uri", "kind"}),
    named={spec.check_name: "name", typed_values.check_written: "value"},
)
