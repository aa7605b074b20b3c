"""What a table's file says of one column: where its values come from, and what they become."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated, Self

from pydantic import Field, PositiveInt, StrictBool, StrictFloat, StrictInt, StrictStr, field_validator, model_validator

from sluiceway.amounts import counted
from sluiceway.errors import nearest
from sluiceway.tables.source_spec import Character, Frozen, TextValues

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr
"""A value as TOML writes it."""
SQL_TYPES = (
    "text",
    "varchar",
    "smallint",
    "integer",
    "bigint",
    "numeric",
    "real",
    "double precision",
    "boolean",
    "date",
    "timestamp",
    "timestamptz",
    "uuid",
    "jsonb",
)
NUMBERS = frozenset({"smallint", "integer", "bigint", "numeric", "real", "double precision"})
ALIASES = {
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float": "double precision",
    "float4": "real",
    "float8": "double precision",
    "decimal": "numeric",
    "bool": "boolean",
    "character varying": "varchar",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}
"""PostgreSQL's own other names of these types."""
_MEANT = {
    "string": "text",
    "str": "text",
    "char": "varchar",
    "character": "varchar",
    "double": "double precision",
    "number": "numeric",
    "datetime": "timestamp",
    "json": "jsonb",
    "guid": "uuid",
}
"""Names of other systems, which PostgreSQL does not know or takes for something else."""
_OF_A_SOURCE = (
    *("source", "format", "null", "strip", "remove", "accounting", "upper", "lower", "map", "scale", "default"),
)
"""Keys of a column that say where its values come from, and what becomes of them before the cast."""
_TYPE_PATTERN = re.compile(r"^(?P<base>[a-z][a-z0-9 ]*?)\s*(?:\((?P<args>\d+(?:\s*,\s*\d+)?)\))?$")


class SqlType(Frozen):
    """A column's type in the warehouse, such as `numeric(10,2)`: base name and arguments."""

    base: str
    args: tuple[int, ...] = ()

    @classmethod
    @cache
    def parse(cls, text: str) -> SqlType:
        """Parse `numeric(10, 2)`; raises ValueError that names the nearest known type."""
        match = _TYPE_PATTERN.match(text.strip().lower())
        base = match["base"] if match else text
        base = ALIASES.get(base, base)
        if base in _MEANT:
            raise ValueError(f"{text!r} is no column type Sluiceway loads; did you mean {_MEANT[base]!r}?")
        if match is None or base not in SQL_TYPES:
            raise ValueError(f"{text!r} is no column type Sluiceway loads{nearest(base, SQL_TYPES)}")
        args = tuple(int(part) for part in (match["args"] or "").split(",") if part.strip())
        limit = {"varchar": 1, "numeric": 2}.get(base, 0)
        if len(args) > limit:
            raise ValueError(f"{text!r} takes at most {counted(limit, 'number')} in brackets")
        if base == "numeric" and args and not (1 <= args[0] <= 38 and (len(args) == 1 or args[1] <= args[0])):
            raise ValueError(f"{text!r}: precision is 1 to 38 and scale at most the precision")
        return cls(base=base, args=args)

    def __str__(self) -> str:
        return self.base + (f"({','.join(map(str, self.args))})" if self.args else "")


class Column(Frozen):
    """One column of the warehouse table and where its values come from."""

    source: PositiveInt | str | tuple[str, ...] | None = Field(
        default=None,
        description="Where it comes from: a column's name, its position from 1, a path into an object, or several of "
        "them of which the first that the source has counts; or where the row came from: `$file`, `$member`, `$sheet`, "
        "`$layer`, `$table`. Default: a column of the same name.",
        examples=["GEOID", 3, "meta.color", ["GEOID20", "GEOID10"], "$file"],
    )
    type: str = Field(description="The SQL type in the warehouse.", examples=["numeric(10,2)"])
    expression: str | None = Field(
        default=None,
        description="One value of PostgreSQL's SQL over the other columns of this table, in place of a source.",
        examples=["first_name || ' ' || last_name"],
    )
    stored: bool = Field(
        default=True,
        description="Whether it stands in the warehouse; false for a column that is there for expressions alone.",
        examples=[False],
    )
    required: bool = Field(
        default=False,
        description="A row whose value is null is a reject. Key columns are always required.",
        examples=[True],
    )
    format: str | None = Field(
        default=None,
        description="The strptime format of a date or timestamp in text, such as %m/%d/%Y.",
        examples=["%m/%d/%Y"],
    )
    null: tuple[str, ...] = Field(
        default=(),
        description="Texts that mean null in this column, besides those of source.null.",
        examples=[["NA", "-"]],
    )
    strip: bool = Field(
        default=False,
        description="Blanks around a text are dropped; what is one of source.null then, is null.",
        examples=[True],
    )
    remove: str | None = Field(
        default=None,
        min_length=1,
        description="Characters to drop wherever they stand, such as those of `$1,234` and `12 %`.",
        examples=["$,"],
    )
    decimal: Character | None = Field(
        default=None,
        description="The decimal mark of this column, where it has another one than source.decimal says.",
        examples=[","],
    )
    thousands: Character | None = Field(
        default=None,
        description="The separator of thousands of this column, where it has another one than source.thousands says.",
        examples=["."],
    )
    accounting: bool = Field(
        default=False,
        description="A number in parentheses, or with its minus behind it, is negative, as accountants write it: "
        "`(1,234.50)`, `1,234.50-`.",
        examples=[True],
    )
    upper: bool = Field(default=False, description="Letters become capitals.", examples=[True])
    lower: bool = Field(default=False, description="Letters become small ones.", examples=[True])
    map: dict[str, Scalar] = Field(
        default={},
        description="What a text stands for, once it is stripped and its letters are changed; one that is not named "
        "stays as it is.",
        examples=[{"Y": True, "N": False}],
    )
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="A number is multiplied by it, without a rounding: 0.01 for percent.", examples=[0.01]
    )
    default: Scalar | None = Field(
        default=None, description="What stands where the source has null.", examples=["unknown"]
    )
    description: str | None = Field(
        default=None,
        description="What it holds, for people: shown on the table's page.",
        examples=["Residents on 1 April"],
    )

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        return str(SqlType.parse(value))

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        for key in _OF_A_SOURCE if self.expression is not None else ():
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key}: is for values of the source; the expression says what becomes of its own")
        return self

    @model_validator(mode="after")
    def _one_case(self) -> Self:
        if self.upper and self.lower:
            raise ValueError("upper and lower exclude each other")
        if self.scale is not None and self.sql_type.base not in NUMBERS:
            raise ValueError(f"scale: multiplies numbers, and the column is {self.type}")
        for key in ("accounting", "decimal", "thousands"):
            if getattr(self, key) and self.sql_type.base not in NUMBERS:
                raise ValueError(f"{key}: says how numbers are written, and the column is {self.type}")
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError(f"thousands and decimal are both {self.decimal!r}; one of them must differ")
        return self

    def marks(self, source: TextValues) -> TextValues:
        """How its numbers are written.

        :param source: how those of the others are.
        """
        if self.decimal is None and self.thousands is None:
            return source
        decimal = self.decimal or source.decimal
        thousands = self.thousands or (source.thousands if source.thousands != decimal else None)
        if decimal == thousands:
            decimal = "." if thousands == "," else ","
        return source.model_copy(update={"decimal": decimal, "thousands": thousands})

    @property
    def is_tidied(self) -> bool:
        """Whether its values are texts that are worked on before they are cast."""
        return bool(
            self.strip
            or self.remove
            or self.accounting
            or self.upper
            or self.lower
            or self.map
            or self.scale is not None
            or self.default is not None
        )

    @property
    def sql_type(self) -> SqlType:
        return SqlType.parse(self.type)


def column_from_shorthand(value: object) -> object:
    """`year = "integer"` is short for `year = { type = "integer" }`."""
    return {"type": value} if isinstance(value, str) else value
