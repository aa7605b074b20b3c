"""FlowSpec: one TOML file per flow, parsed once at the edge. Does not read files (files.py does)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializeAsAny, field_validator, model_validator

from sluiceway.flows.trigger import ID, TriggerConfig
from sluiceway.tables.files import check_queue
from sluiceway.tables.limits import check_cpu, check_memory

CLI = "cli"
"""What stands for the DAG of runs that are none of Airflow's: store.CLI, here without the ledger."""
FlowType = Literal["tables", "job", "dag"]
STANDARD = "standard"
"""What others call a flow of which nothing else is said."""


class FlowSpec(BaseModel):
    """What a flow is and what starts it. Descriptions and examples of the keys make docs/reference/flows.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(
        pattern=ID,
        description="The id of the flow and of its DAG: the file's name without .toml, which need not be repeated. "
        "`cli` is taken: the ledger calls runs of `sluiceway tables run` so.",
        examples=["orders"],
    )
    flow_type: FlowType = Field(
        default="dag",
        description="What runs: its own list of `tables`, the `job` of include/config/jobs/<id>.py, or a `dag` that "
        "is written in Python, to which the file adds triggers. With `standard`, or nothing: `tables` where it lists "
        "tables, else `dag`.",
        examples=["tables"],
    )
    description: str = Field(
        default="", description="What the flow is for, for people.", examples=["The orders of the shop"]
    )
    owner: str = Field(default="data-platform", description="Who answers for it.", examples=["sales"])
    tags: tuple[str, ...] = Field(
        default=(), description="By what it is found in Airflow, beside its own.", examples=[["shop"]]
    )
    tables: tuple[str, ...] = Field(
        default=(),
        description="The tables it loads: names of files under include/config/tables/. Only for `tables`.",
        examples=[["us_state", "us_county"]],
    )
    queue: Annotated[str, AfterValidator(check_queue)] | None = Field(
        default=None,
        description="The queue of the workers that load its tables, or work on its items, unless a table's file says "
        "another. Default: Airflow's own.",
        examples=["heavy"],
    )
    memory: Annotated[str, AfterValidator(check_memory)] | None = Field(
        default=None,
        description="The most memory that the load of each of its tables may have, unless the table's file says "
        "another. Default: as much as the worker has.",
        examples=["4GiB"],
    )
    cpu: Annotated[float, AfterValidator(check_cpu)] | None = Field(
        default=None,
        description="The same of processors, as in a table's file.",
        examples=[2],
    )
    lanes: int = Field(
        default=1,
        ge=1,
        le=32,
        description="How many processes work on its items at once, each with one connection. Only for `job`.",
        examples=[2],
    )
    when: str | None = Field(
        default=None,
        description="Which triggers must have fired for a run: their ids with `&`, `|` and brackets. Default: any "
        "of them.",
        examples=["(orders_changed & stock_changed) | manual"],
    )
    triggers: tuple[SerializeAsAny[TriggerConfig], ...] = Field(
        default=(), description="What starts it; see the kinds.", examples=[]
    )

    @model_validator(mode="before")
    @classmethod
    def _standard(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("flow_type", STANDARD) == STANDARD:
            return {**data, "flow_type": "tables" if data.get("tables") else "dag"}
        return data

    @field_validator("id")
    @classmethod
    def _no_name_of_the_ledger(cls, value: str) -> str:
        if value == CLI:
            raise ValueError("the ledger calls runs of `sluiceway tables run` so; rename the file")
        return value

    @model_validator(mode="after")
    def _tables_of_its_type(self) -> FlowSpec:
        if self.flow_type == "tables" and not self.tables:
            raise ValueError('flow_type = "tables" needs `tables`, the list of what it loads; add it')
        if self.flow_type != "tables" and self.tables:
            raise ValueError(
                f'tables: a flow of type "{self.flow_type}" loads none; remove it, or flow_type = "tables"'
            )
        if self.flow_type == "job" and (named := {"memory", "cpu"} & self.model_fields_set):
            raise ValueError(f"{min(named)}: only loads of tables are limited, and a job has none; remove it")
        if self.flow_type != "job" and "lanes" in self.model_fields_set:
            raise ValueError(f'lanes: a flow of type "{self.flow_type}" has none; remove it, or flow_type = "job"')
        return self
