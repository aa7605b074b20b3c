"""Where a table's rows go: PostgreSQL, or BigQuery, which can not hold all that PostgreSQL can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

Target = Literal["postgresql", "bigquery"]

WGS_84 = 4326
REJECTED_COLUMN = "etl_rejected"
"""Ours: of the BigQuery staging table."""
_TAKEN = ("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier", "_change_")
"""How no column of BigQuery may begin."""


def refused_by_bigquery(types: Mapping[str, str], srid: int = WGS_84, dimensions: str = "XY") -> Iterator[str]:
    """A sentence for each thing of a table's file that a BigQuery table can not be.

    :param types: its columns with their types.
    :param srid: of its geometry, and its dimensions.
    """
    for name, type_ in types.items():
        if name == REJECTED_COLUMN or name.startswith(_TAKEN):
            yield f"columns.{name}: BigQuery's tables have no column of this name; choose another target name"
        if type_ == "numeric":
            yield (
                f"columns.{name}.type: a number without a size is PostgreSQL's alone; BigQuery needs one, such as "
                f"numeric(38,9)"
            )
    if srid != WGS_84:
        yield (
            f"geometry.srid: BigQuery holds longitudes and latitudes alone; write {WGS_84} instead of "
            f"{srid}, or remove the key"
        )
    if dimensions != "XY":
        yield "geometry.dimensions: BigQuery holds neither heights nor measures; remove the key"
