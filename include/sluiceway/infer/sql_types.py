"""The types of other databases, as columns of the warehouse: what each says of its own values."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa

from sluiceway.infer.service import Shape, known_srid
from sluiceway.infer.text_types import ColumnType
from sluiceway.sources.services.sql import family_of_type
from sluiceway.tables.column import SqlType

MOST_DIGITS = 38
"""Of a numeric(p,s) that is declared; one without them has as many as there are."""
BYTES = "its values are bytes"

_PRECISION = re.compile(r"^(timestamp|time)\(\d\)")
_CHARACTER = re.compile(r"^(?:character|char)\((\d+)\)$")
_SHAPE = re.compile(r"^(?:\w+\.|\"[^\"]*\"\.)?(?:geometry|geography)(?:\((\w+)(?:,(\d+))?\))?$")
_SHAPE_TYPES = {
    each.casefold(): each
    for each in ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "Geometry")
}
_PLAIN: tuple[tuple[type[Any], str], ...] = (
    (sa.Boolean, "boolean"),
    (sa.Uuid, "uuid"),
    (sa.JSON, "jsonb"),
    (sa.ARRAY, "jsonb"),
    (sa.Enum, "text"),
    (sa.Date, "date"),
    (sa.REAL, "real"),
    (sa.Float, "double precision"),
    (sa.Text, "text"),
)
"""Before the classes that these are kinds of."""
_KEPT = frozenset({"json", "jsonb"})
_AS_IT_IS = frozenset({"money"})
"""Its values tell more than its name does."""


def of_postgres(shown: str, kind: str, category: str) -> ColumnType | str | None:
    """The type of a column of PostgreSQL.

    :param shown: as format_type() writes it, such as `numeric(10,2)`.
    :param kind: pg_type.typtype: e of an enumeration, c of a composite, b of a plain type.
    :param category: pg_type.typcategory: A of an array.
    :returns: None where its values have to tell; a sentence where it cannot be loaded.
    """
    if category == "A":
        return ColumnType("jsonb", remark=f"an array ({shown}), as JSON")
    if shown == "bytea":
        return BYTES
    if shown in _KEPT:
        return ColumnType("jsonb")
    if shown in _AS_IT_IS:
        return None
    if kind == "b":
        plain = _PRECISION.sub(r"\1", shown)
        if (found := _CHARACTER.match(plain)) is not None:
            return ColumnType(f"varchar({found[1]})")
        if plain.startswith("numeric"):
            return ColumnType(_numeric_of(plain))
        try:
            return ColumnType(str(SqlType.parse(plain)))
        except ValueError:
            pass
        if plain == "oid":
            return ColumnType("bigint")
    return ColumnType("text")


def _numeric_of(shown: str) -> str:
    try:
        return str(SqlType.parse(shown))
    except ValueError:
        # more digits than are declared here, or a scale below 0
        return "numeric"


def shape_of_postgis(column: str, shown: str) -> Shape | None:
    """The geometry that a column of type geometry or geography holds; None of another type."""
    found = _SHAPE.match(shown)
    if found is None:
        return None
    geography = "geography" in shown.partition("(")[0]
    said = (found[1] or "").casefold()
    plain = re.sub("z?m?$", "", said)
    dimensions = "XY" + said.removeprefix(plain).upper()
    srid = int(found[2]) if found[2] else 4326 if geography else 0
    return Shape(column, _SHAPE_TYPES.get(plain), known_srid(srid) if srid else None, dimensions)


def of_sqlalchemy(kind: sa.types.TypeEngine[Any]) -> ColumnType | str | None:
    """The type of a column of any database, as SQLAlchemy has read it from its catalogue.

    :returns: None where its values have to tell; a sentence where it cannot be loaded.
    """
    if family_of_type(kind) == "binary":
        return BYTES
    for each, type_ in _PLAIN:
        if isinstance(kind, each):
            return ColumnType(type_)
    if isinstance(kind, sa.DateTime):
        return ColumnType("timestamptz" if is_zoned(kind) else "timestamp")
    if isinstance(kind, sa.Numeric):
        # Oracle's NUMBER is an Integer too
        return ColumnType(_numeric(kind.precision, kind.scale))
    if isinstance(kind, sa.Integer):
        return ColumnType(_integer(kind))
    if isinstance(kind, sa.String):
        return ColumnType(f"varchar({kind.length})" if kind.length else "text")
    return None


def is_zoned(kind: sa.DateTime) -> bool:
    """Whether its values name a point in time, and not what a clock on a wall shows."""
    # MySQL's TIMESTAMP is one, which its session shows in UTC
    return bool(kind.timezone) or type(kind).__name__ == "DATETIMEOFFSET" or _is_of_mysql(kind, "TIMESTAMP")


def _is_of_mysql(kind: sa.types.TypeEngine[Any], name: str) -> bool:
    return type(kind).__name__ == name and "mysql" in type(kind).__module__


def _integer(kind: sa.Integer) -> str:
    name, unsigned = type(kind).__name__, bool(getattr(kind, "unsigned", False))
    if isinstance(kind, sa.BigInteger):
        return "numeric(20)" if unsigned else "bigint"
    if isinstance(kind, sa.SmallInteger) or name == "TINYINT":
        return "integer" if unsigned and name != "TINYINT" else "smallint"
    return "bigint" if unsigned and name != "MEDIUMINT" else "integer"


def _numeric(precision: int | None, scale: int | None) -> str:
    if precision is None or not 0 < precision <= MOST_DIGITS or not 0 <= (scale or 0) <= precision:
        return "numeric"
    return f"numeric({precision},{scale})" if scale else f"numeric({precision})"
