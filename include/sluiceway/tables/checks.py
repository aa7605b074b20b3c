"""`[checks]` of a table's file: the bounds of a load, and the checks of its values."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from fractions import Fraction
from math import ceil
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, field_validator, model_validator

from sluiceway.errors import shortened
from sluiceway.tables.source_spec import Frozen
from sluiceway.tables.typed_values import Written

Kind = Literal["accepted", "range", "pattern", "references", "unique", "holds"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BOUNDS = frozenset({"min_rows", "max_shrink", "max_rejects"})
"""What says of no row whether it may be loaded."""
_REFERENCE = re.compile(r"(?P<table>[a-z_][a-z0-9_]*)\.(?P<column>[a-z_][a-z0-9_]*)")
_Failing = Annotated[
    Literal["reject", "fail"],
    Field(
        description="What a row that fails is: a reject, which max_rejects allows or not, or the end of the load.",
        examples=["fail"],
    ),
]


class Rule(NamedTuple):
    """One check of values: one kind of one key of the file."""

    where: str
    """The key under which it stands: `checks.columns.state`."""
    kind: Kind
    columns: tuple[str, ...]
    """Those that it names; none of `holds`, which only the parser knows."""
    value: Any
    """What the file says of it: the accepted values, the Range, a text, or the columns of `unique`."""
    fails_table: bool

    @property
    def key(self) -> str:
        """Its place in the file: `checks.columns.state.accepted`."""
        return f"{self.where}.{self.kind}"

    @property
    def told(self) -> str:
        """What it asks: `accepted (CA, NV)`."""
        match self.kind:
            case "accepted" | "unique":
                # as TOML has it: true
                shown = ", ".join(str(each).lower() if isinstance(each, bool) else str(each) for each in self.value)
            case "range":
                shown = ", ".join(f"{end} {each}" for end, each in self.value if each is not None)
            case _:
                return f"{self.kind} {shortened(self.value)}"
        return f"{self.kind} ({shortened(shown)})"


def _check_reference(text: str) -> str:
    if not _REFERENCE.fullmatch(text):
        raise ValueError("names no column of a table; write table.column, such as airport.iata")
    return text


def _names(value: object) -> object:
    return (value,) if isinstance(value, str) else value


_Names = Annotated[tuple[str, ...], BeforeValidator(_names, json_schema_input_type=str | tuple[str, ...])]


class Range(Frozen):
    """Between which values a column's must lie; both ends are allowed."""

    least: Written | None = Field(
        default=None, description="The smallest number, or the first day or moment.", examples=[0]
    )
    most: Written | None = Field(
        default=None, description="The largest number, or the last day or moment.", examples=[360]
    )

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.least is None and self.most is None:
            raise ValueError("holds neither least nor most; write one of them")
        return self


class ColumnChecks(Frozen):
    """What the values of one column must be; null passes all of it but `null_share`."""

    accepted: tuple[Written, ...] | None = Field(
        default=None, min_length=1, description="The values that there are.", examples=[["CA", "NV"]]
    )
    range: Range | None = Field(
        default=None,
        description="The least and the most: of numbers, days and moments.",
        examples=[{"least": 0, "most": 360}],
    )
    pattern: str | None = Field(
        default=None,
        min_length=1,
        description="A regular expression (RE2's) that a text must match in full.",
        examples=["[A-Z]{3}"],
    )
    references: Annotated[str, AfterValidator(_check_reference)] | None = Field(
        default=None,
        description="table.column of the warehouse: the values must stand there.",
        examples=["airport.iata"],
    )
    unique: bool = Field(default=False, description="Whether no value may stand in two rows.", examples=[True])
    null_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The largest share of nulls among the rows that are loaded; more fail the table.",
        examples=[0.05],
    )
    failing: _Failing = "reject"

    @model_validator(mode="after")
    def _checks_something(self) -> Self:
        if not any((self.accepted, self.range, self.pattern, self.references, self.unique)):
            if self.null_share is None:
                raise ValueError(
                    "checks nothing; write accepted, range, pattern, references, unique or null_share, or remove it"
                )
            if "failing" in self.model_fields_set and self.failing == "reject":
                raise ValueError('failing: null_share is of no row, so that none can be a reject; write "fail"')
        return self


class RowCheck(Frozen):
    """What a row must be as a whole, or beside the others."""

    unique: Annotated[tuple[str, ...], BeforeValidator(_names, json_schema_input_type=str | tuple[str, ...])] | None = (
        Field(
            default=None,
            min_length=1,
            description="Columns of which no two rows may have the same values.",
            examples=[["country", "year"]],
        )
    )
    holds: str | None = Field(
        default=None,
        min_length=1,
        description="A condition in SQL over the row's columns; a row of which it is false fails.",
        examples=["ends_at >= begins_at"],
    )
    failing: _Failing = "reject"

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.unique is None) == (self.holds is None):
            raise ValueError("must say one of unique and holds; a second check is a [[checks.rows]] of its own")
        return self


class Checks(Frozen):
    """When a load that read something is still not good, and which rows are."""

    min_rows: PositiveInt = Field(default=1, description="Fewer extracted rows fail the table.", examples=[300])
    max_shrink: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Largest share by which the row count may fall below the last good load.",
        examples=[0.05],
    )
    max_rejects: int | float = Field(
        default=0,
        description="Most rows that may be rejects: a count such as 10, or a share such as 0.01.",
        examples=[10, 0.01],
    )
    columns: dict[str, ColumnChecks] = Field(default={}, description="Target name -> what its values must be.")
    rows: tuple[RowCheck, ...] = Field(default=(), description="What a row must be as a whole, or beside the others.")

    @field_validator("max_rejects", mode="before")
    @classmethod
    def _count_or_share(cls, value: object) -> object:
        is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        if not is_count and not (isinstance(value, float) and 0 <= value <= 1):
            raise ValueError("must be a count of rows such as 10, or a share from 0.0 to 1.0 such as 0.01")
        return value

    def rules(self, *kinds: Kind) -> Iterator[Rule]:
        """The checks of values of these kinds as the file has them; first those that fail the table."""
        found = [rule for rule in self._rules() if rule.kind in kinds]
        yield from sorted(found, key=lambda rule: not rule.fails_table)

    def _rules(self) -> Iterator[Rule]:
        of_column: tuple[Kind, ...] = ("accepted", "range", "pattern", "references", "unique")
        for name, column in self.columns.items():
            for kind in of_column:
                if value := getattr(column, kind):
                    asked = (name,) if kind == "unique" else value
                    yield Rule(f"checks.columns.{name}", kind, (name,), asked, column.failing == "fail")
        for number, row in enumerate(self.rows):
            where, fails_table = f"checks.rows.{number}", row.failing == "fail"
            if row.unique is not None:
                yield Rule(where, "unique", row.unique, row.unique, fails_table)
            if row.holds is not None:
                yield Rule(where, "holds", (), row.holds, fails_table)

    def of(self, columns: Container[str]) -> Self:
        """Those that name these columns alone; conditions stay, for only the parser knows what they name."""
        named = {name: each for name, each in self.columns.items() if name in columns}
        rows = tuple(row for row in self.rows if all(name in columns for name in row.unique or ()))
        return self.model_copy(update={"columns": named, "rows": rows})

    def null_shares(self) -> dict[str, float]:
        """The largest share of nulls that a column may have."""
        return {name: each.null_share for name, each in self.columns.items() if each.null_share is not None}

    def need_every_row(self) -> bool:
        """Whether a row that stands as the last load left it must be looked at all the same, for another one's sake."""
        return bool(self.null_shares()) or any(self.rules("references", "unique", "holds"))

    def ask_of_the_whole(self) -> bool:
        """Whether some say something of all rows together, of which an increment is but a part."""
        return bool(self.null_shares()) or any(self.rules("unique"))

    def rejects_allowed(self, extracted: int) -> int:
        """How many of `extracted` rows may be rejects."""
        limit = self.max_rejects
        return limit if isinstance(limit, int) else int(_exactly(limit) * extracted)

    def least(self, held: int) -> int:
        """How many rows a source must give that held so many."""
        return ceil(held * (1 - _exactly(self.max_shrink)))

    def most_gone(self, before: int) -> int:
        """How many of `before` rows may be taken away."""
        return int(before * _exactly(self.max_shrink))

    def nulls_allowed(self, column: str, rows: int) -> int:
        """How many of `rows` may have null in a column that has a `null_share`."""
        return int(rows * _exactly(self.null_shares()[column]))


def _exactly(share: float) -> Fraction:
    """What is written: 0.29 of 100 rows is 29, and a little less as a double."""
    return Fraction(repr(share))
