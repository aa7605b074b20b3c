"""What a job's file says: which items are due, how a batch becomes answers, where results go, and its limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from sluiceway import __version__
from sluiceway.errors import SettingsError, nearest
from sluiceway.jobs.errors import BrokenWorkError, JobSetupError
from sluiceway.jobs.items import Item
from sluiceway.ledger.warehouse import Session
from sluiceway.sources.connections import Connections, http_address
from sluiceway.tables.spec import Name

Type = Literal["text", "integer", "bigint", "double precision", "boolean", "timestamptz", "jsonb"]
PYTHON: Mapping[Type, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "bigint": (int,),
    "double precision": (float, int),
    "boolean": (bool,),
    "timestamptz": (datetime,),
    "jsonb": (dict, list, str, int, float, bool),
}
"""What a value of each type is in Python; None is NULL."""
OWN_TABLES = frozenset({"item", "rate", "request", "decision", "lane"})
"""Of schema etl_jobs, which no job's results may be called."""
WRITTEN_AT = "written_at"
"""The column of each table of results that says when."""
DECADES = timedelta(days=36_500)
"""Until an item is asked anew that need not be."""
Duration = Annotated[timedelta, Field(gt=timedelta(0))]


@dataclass(frozen=True)
class Done:
    """An item's result."""

    item: str
    values: Mapping[str, Any] = field(default_factory=dict)
    """By column."""
    again_in: timedelta | None = None
    """When it is to be asked anew, where that is not the job's `recheck_after`."""
    source_version: str | None = None
    """Of the source's data that it came from: when another one is out, the item is asked anew."""


@dataclass(frozen=True)
class Waiting:
    """An item that a person must decide."""

    item: str
    why: str
    values: Mapping[str, Any] = field(default_factory=dict)
    """What is known so far, by column."""


@dataclass(frozen=True)
class Failed:
    """An item that no further try makes good: it is dead at once."""

    item: str
    why: str


Answer = Done | Waiting | Failed


def check_answer(answer: object) -> None:
    """Raises BrokenWorkError for what a job's function gives that is no answer."""
    if not isinstance(answer, Done | Waiting | Failed):
        given = f"{type(answer).__name__} {str(answer)[:60]!r}"
        raise BrokenWorkError(f"the job's function gave {given}, and must give Done, Waiting or Failed")
    wrong = not isinstance(answer.item, str) and f"item is {type(answer.item).__name__} and must be text"
    if isinstance(answer, Done | Waiting) and not isinstance(answer.values, Mapping):
        wrong = f"values are {type(answer.values).__name__} and must be a mapping of columns"
    if isinstance(answer, Done) and not isinstance(answer.again_in, timedelta | None):
        wrong = f"again_in is {type(answer.again_in).__name__} and must be a timedelta"
    if wrong:
        raise BrokenWorkError(f"{answer.item}: the answer's {wrong}")


class Contact(NamedTuple):
    """How a service is asked."""

    url: str | None
    headers: Mapping[str, str]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Results(_Frozen):
    """The table of a job's results in schema etl_jobs: a row per item."""

    table: Name
    columns: dict[Name, Type] = Field(min_length=1)
    key: Name = "item"
    """The column that holds the item."""
    comment: str | None = None
    """What a reader of the table must know, such as the terms of the service."""
    public: tuple[Name, ...] = ()
    """The columns, beside the key, that the view of the same name in schema public shows; none: no view."""

    @field_validator("table")
    @classmethod
    def _no_table_of_the_schema(cls, value: str) -> str:
        if value in OWN_TABLES:
            raise ValueError(f"{value!r} is a table of etl_jobs itself; give it another name")
        return value

    @model_validator(mode="after")
    def _public_columns_are_declared(self) -> Results:
        for name in (self.key, WRITTEN_AT):
            if name in self.columns:
                raise ValueError(f"columns: {name!r} is there in every table of results; give the column another name")
        for name in self.public:
            if name not in self.columns:
                raise ValueError(f"public: there is no column {name!r}{nearest(name, self.columns)}")
        return self


class Service(_Frozen):
    """Somebody else's web service, which all lanes of all jobs ask together."""

    name: Name
    url: str
    """Its base, where its connection names none."""
    connection: Name | None = None
    """Of its token, its address or the operator's contact."""
    needs: tuple[Literal["token", "contact"], ...] = ()
    """What the connection must hold."""
    per_second: PositiveFloat
    """Requests, of all processes together."""
    at_once: PositiveInt = 1
    """Requests of one lane at a time."""

    def connect(self, connections: Connections) -> Contact:
        """What its connection holds: address, token as password, `contact` among its extras.

        :raises JobSetupError: something that the service needs is not there.
        """
        try:
            found = connections(self.connection or "")
        except SettingsError as error:
            if self.needs:
                raise JobSetupError(f"{self.name}: {error}") from error
            return Contact(None, {})
        contact = found.extra.get("contact")
        held = {"token": found.password, "contact": contact}
        if missing := [name for name in self.needs if not held[name]]:
            where = "its password" if missing[0] == "token" else "`contact` among its extras"
            raise JobSetupError(
                f"{self.name}: the connection {self.connection!r} holds no {missing[0]}; write it as {where}"
            )
        headers = {"Authorization": found.password} if "token" in self.needs and found.password else {}
        if contact:
            headers["User-Agent"] = f"Sluiceway/{__version__} ({contact})"
        return Contact(http_address(found), headers)


class Job(_Frozen):
    """One job."""

    due: str
    """A SELECT on the warehouse: `item` (text) and whatever else the work needs of it, which is its input."""
    key: Callable[[str], str] | None = None
    """Makes one item of several spellings of it, before items are compared; see due.find. ValueError: it is none."""
    needs_results: tuple[Results, ...] = ()
    """Tables of other jobs that `due` reads: made when they are not there yet, and then empty."""
    work: Callable[..., Iterable[Answer]]
    """Called with the items of a batch, and with what asks the service if the job names one."""
    results: Results
    then: Callable[[Session, Sequence[Done]], None] | None = None
    """Called with results in the transaction that writes them."""
    service: Service | None = None
    others: tuple[Service, ...] = ()
    """Further services that the work asks: `ask.of(name)`. Each has its own rate and its own pause."""
    batch: PositiveInt = 100
    attempts: PositiveInt = 5
    """Of an item that fails alone; then it is dead."""
    lapses: PositiveInt = 3
    """Processes that an item may outlive; then it is dead."""
    back_off: Duration = timedelta(minutes=1)
    """After the first attempt that failed; doubled by each."""
    recheck_after: Duration | None = None
    """When a result is asked anew; None: when the input changes."""
    batch_seconds: PositiveFloat = 300
    """A batch that takes longer hangs; what a killed process held is taken back half a minute after it."""
    lane_seconds: PositiveFloat = 3600
    """A lane ends after it, and the next run goes on."""
    decide: Callable[[Item, str, Mapping[str, Any]], Done] | None = None
    """What a person's key makes of an item that waits, with what is known of it so far; ValueError: not that key."""

    @property
    def services(self) -> tuple[Service, ...]:
        """All that it asks."""
        return (self.service, *self.others) if self.service else ()

    @model_validator(mode="after")
    def _each_service_once(self) -> Job:
        if self.others and self.service is None:
            raise ValueError("others: there is no `service` beside which they could stand; name the first one there")
        names = [each.name for each in self.services]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"others: {twice[0]!r} is there twice; the name of a service is its rate")
        return self


Work = Callable[[Sequence[Item]], Iterable[Answer]]
