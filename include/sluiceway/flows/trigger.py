"""Trigger: what may start a flow, and the one check of it that watchers, poll mode and `triggers test` share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sluiceway.events import Event, Look
from sluiceway.ids import SCHEDULED_RUNS, triggered_runs
from sluiceway.sources.connections import Connections, from_environment

ID = r"^[A-Za-z][A-Za-z0-9_]{0,99}$"


class TriggerType(StrEnum):
    """By what a flow is started."""

    CLI = "cli"
    SCHEDULE = "schedule"
    SENSOR = "sensor"
    FLOW = "flow"
    API = "api"


class TriggerConfig(BaseModel):
    """What every trigger declares. Descriptions and examples of the keys make docs/reference/flows.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(
        pattern=ID,
        description="Its name, unique among the flow's triggers; `when` and the runs it starts carry it.",
        examples=["orders_changed"],
    )
    type: str = Field(description="What kind of trigger it is.", examples=["sensor"])
    flow_id: str = Field(
        pattern=ID,
        description="The flow it starts. A flow's file need not say it: the file's own.",
        examples=["orders"],
    )
    enabled: bool = Field(
        default=True,
        strict=True,
        description="False: it starts nothing and nobody looks; a cli trigger refuses and says why.",
        examples=[False],
    )
    description: str = Field(
        default="",
        description="What it waits for, for people; a disabled trigger gives it as its reason.",
        examples=["New orders of the shop"],
    )

    @property
    def run_prefix(self) -> str:
        """How the ids of the runs begin that this trigger starts by name."""
        return SCHEDULED_RUNS if self.type == TriggerType.SCHEDULE else triggered_runs(self.type, self.id)


class SensorConfig(TriggerConfig):
    """What every sensor declares."""

    type: Literal["sensor"] = Field(description="Looks at a place outside of Airflow.", examples=["sensor"])
    sensor_type: str = Field(description="What it looks at.", examples=["database"])
    poll_s: float = Field(
        default=30,
        ge=1,
        le=86_400,
        description="Seconds between two looks; after an error the waits double, up to a minute or to this, if it "
        "is longer.",
        examples=[60],
    )
    coalesce: bool = Field(
        default=True,
        strict=True,
        description="One run for all events that came since the last one; false: one run per event.",
        examples=[False],
    )
    mode: Literal["triggerer", "poll"] = Field(
        default="triggerer",
        description="Who looks: Airflow's triggerer, or a DAG on a schedule of at least a minute (where there is no "
        "triggerer, as on Cloud Composer).",
        examples=["poll"],
    )


@dataclass
class TriggerContext:
    """What a check is given, and what it found."""

    cursor: JsonValue = None
    """Up to where events are known; None before the first look, which makes no event of what is there already."""
    connections: Connections = from_environment
    params: Mapping[str, Any] = field(default_factory=dict)
    """For the run's conf."""
    payload: JsonValue = None
    """What a webhook was sent; an api trigger checks it and maps it to params."""
    batch_id: str | None = None
    """Names the run: the same id twice is one run."""
    events: tuple[Event, ...] = ()
    """What should_trigger found."""
    again_s: float | None = None
    """As Look's: something is there that has not come to rest."""


@dataclass(frozen=True)
class TriggerResult:
    """What became of one attempt to start a flow."""

    success: bool
    trigger_id: str
    flow_id: str
    message: str
    run_id: str | None = None


C = TypeVar("C", bound=TriggerConfig)


class Trigger(ABC, Generic[C]):
    """One declared trigger. A kind of trigger is a subclass with its model of the configuration as `config_model`."""

    config_model: ClassVar[type[TriggerConfig]]

    def __init__(self, config: C) -> None:
        self.config = config

    @property
    def trigger_type(self) -> TriggerType:
        """Its type."""
        return TriggerType(self.config.type)

    @abstractmethod
    def should_trigger(self, context: TriggerContext) -> bool:
        """Whether the flow is to be started now; fills `context.events` and moves `context.cursor`.

        :raises SluicewayError: the watched place cannot be seen.
        """

    def refusal(self) -> str:
        """Why a disabled trigger starts nothing."""
        reason = f": {self.config.description}" if self.config.description else ""
        return (
            f"Trigger {self.config.id!r} of flow {self.config.flow_id!r} is disabled (enabled = false){reason}. "
            f"Enable it in the flow's file."
        )


class SensorTrigger(Trigger[C]):
    """A trigger that looks at a place outside. Its look is in two steps, so that siblings may share the first."""

    config: C

    def place(self) -> str:
        """What `observe` depends on, as text: triggers of one kind with the same place share an observation."""
        return self.config.model_dump_json()

    @abstractmethod
    def observe(self, connections: Connections, cursor: JsonValue) -> JsonValue:
        """What the place holds now. Blocks; called in a thread. A kind whose siblings share it leaves `cursor` alone.

        :raises SluicewayError: the place cannot be seen.
        """

    @abstractmethod
    def compare(self, observation: JsonValue, cursor: JsonValue) -> Look:
        """The events between cursor and observation. Quick, and without any input or output."""

    def warning(self, cursor: JsonValue) -> str | None:
        """What the last look noticed that is no error and that somebody should know, out of the cursor it left."""
        return None

    def should_trigger(self, context: TriggerContext) -> bool:
        """Look once; see Trigger."""
        look = self.compare(self.observe(context.connections, context.cursor), context.cursor)
        context.events, context.cursor, context.again_s = look.events, look.cursor, look.again_s
        return bool(look.events)
