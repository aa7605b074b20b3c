"""What a table's file says of one column: where its values come from, and what they become."""

from __future__ import annotations

import re
from functools import cache

from pydantic import Field, PositiveInt, field_validator

from sluiceway.amounts import counted
from sluiceway.errors import nearest
from sluiceway.tables.source_spec import Frozen

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
_TYPE_PATTERN = re.compile(r"^(?P<base>[a-z ]+?)\s*(?:\((?P<args>\d+(?:\s*,\s*\d+)?)\))?$")


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
        description="Where it comes from: a column's name, its position from 1, or several names of which the first "
        "that the source has counts. Default: a column of the same name.",
        examples=["GEOID", 3, ["GEOID20", "GEOID10"]],
    )
    type: str = Field(description="The SQL type in the warehouse.", examples=["numeric(10,2)"])
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
    description: str | None = Field(
        default=None,
        description="What it holds, for people: shown on the table's page.",
        examples=["Residents on 1 April"],
    )

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        return str(SqlType.parse(value))

    @property
    def sql_type(self) -> SqlType:
        return SqlType.parse(self.type)


def column_from_shorthand(value: object) -> object:
    """`year = "integer"` is short for `year = { type = "integer" }`."""
    return {"type": value} if isinstance(value, str) else value
