"""How a trigger names what it connects to: by an Airflow connection, or by an engine without a password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator

from sluiceway.sources.connections import Connection

_ID = re.compile(r"^[A-Za-z0-9_.-]{1,250}$")
_SECRET = re.compile(r"passw(or)?d|^pwd$|secret|token|api_?key|private_?key|credential", re.IGNORECASE)
_WITH_USER = re.compile(r"://[^/@\s]*@")
_LOGIN, _SCHEMA = ("login", "user", "username"), ("schema", "database", "dbname")


def check_id(value: str) -> str:
    """The id; raises ValueError for what is none."""
    if not _ID.match(value):
        # never the value itself: it may be an address with a password
        raise ValueError("is no connection's id; define the connection in Airflow and write its id, never an address")
    return value


ConnectionId = Annotated[str, AfterValidator(check_id)]


INLINE = (
    "a password does not belong into a flow's definition; put it into an Airflow connection, and write "
    'connection = "<its id>"'
)


def holds_secret(key: str, value: object) -> bool:
    """Whether a key and its value are nothing to be shown or written into a file."""
    return bool(_SECRET.search(key)) or (isinstance(value, str) and bool(_WITH_USER.search(value)))


class EngineConfig(BaseModel):
    """A database by its address. What is secret lives in an Airflow connection or in the driver's own files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]*$",
        description="The kind of database, as Airflow's connections name it.",
        examples=["postgres"],
    )
    config: Mapping[str, JsonValue] = Field(
        default={},
        description="host, port, user, database and the driver's options. No password: that is refused.",
        examples=[{"host": "db.example.org", "user": "reader", "database": "shop"}],
    )

    @field_validator("config")
    @classmethod
    def _no_secret(cls, value: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        if key := _secret_key(dict(value)):
            raise ValueError(f"{key}: {INLINE}")
        return value

    def as_connection(self) -> Connection:
        """What an Airflow connection with the same address would hold."""
        rest: dict[str, Any] = dict(self.config)

        def take(names: tuple[str, ...]) -> Any:
            return next((rest.pop(name) for name in names if name in rest), None)

        return Connection(
            conn_id=f"engine_{self.name}",
            conn_type="postgres" if self.name == "postgresql" else self.name,
            host=take(("host",)),
            port=take(("port",)),
            login=take(_LOGIN),
            schema=take(_SCHEMA),
            extra=rest,
        )


def _secret_key(value: JsonValue, key: str = "") -> str | None:
    """The key under which a secret stands, however deep."""
    if holds_secret(key, value):
        return key
    if isinstance(value, Mapping):
        return next((found for name, each in value.items() if (found := _secret_key(each, name))), None)
    if isinstance(value, list):
        return next((found for each in value if (found := _secret_key(each, key))), None)
    return None
