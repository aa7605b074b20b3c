"""[source.paging] of a table's file: how an API hands out its records in parts."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator


class Paging(BaseModel):
    """How an API hands out its records in parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["page", "offset", "cursor", "link"] = Field(
        description="page: a page number; offset: a record number; cursor: a token from the last answer; link: the "
        "Link header's rel=next.",
        examples=["cursor"],
    )
    param: str | None = Field(
        default=None, description="The query parameter of the page, offset or cursor.", examples=["page"]
    )
    first: NonNegativeInt = Field(
        default=1, description="The first page's number; an offset begins at 0.", examples=[0]
    )
    size_param: str | None = Field(
        default=None, description="The query parameter of the page's size.", examples=["limit"]
    )
    size: PositiveInt | None = Field(default=None, description="Records per page to ask for.", examples=[1000])
    next: str | None = Field(
        default=None,
        description="Where the next cursor stands in the answer: keys joined by dots; null or absent ends.",
        examples=["meta.next"],
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type != "link" and self.param is None:
            raise ValueError(f"type {self.type!r} needs param, the query parameter that carries it")
        if self.type == "cursor" and self.next is None:
            raise ValueError("type 'cursor' needs next, where the answer holds the next cursor")
        if self.type == "offset" and self.size is None:
            raise ValueError("type 'offset' needs size, by which the offset grows")
        return self
