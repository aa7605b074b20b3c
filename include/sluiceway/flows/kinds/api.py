"""The kind `api`: somebody posts to /sluiceway/hooks/<trigger_id>. web/webhooks.py receives, this says what counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue, StringConstraints, model_validator

from sluiceway.errors import SourceUnreadableError
from sluiceway.flows.connection import ConnectionId
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.trigger import Trigger, TriggerConfig, TriggerContext
from sluiceway.json_path import JsonPath, find

Provider = Literal["github", "standard", "generic"]
SIGNATURE_HEADERS = {"github": "X-Hub-Signature-256", "standard": "webhook-signature", "generic": "X-Signature-256"}
TIMESTAMP_HEADERS = {"github": None, "standard": "webhook-timestamp", "generic": "X-Timestamp"}
DELIVERY_HEADERS = {"github": "X-GitHub-Delivery", "standard": "webhook-id", "generic": "X-Delivery"}
STANDARD_WINDOW_S = 300
"""The most that the library of Standard Webhooks allows."""

Header = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")]
ParamName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class ApiConfig(TriggerConfig):
    """A start by a signed POST to /sluiceway/hooks/<id>."""

    type: Literal["api"] = Field(description="A signed request arrives.", examples=["api"])
    provider: Provider = Field(
        default="generic",
        description="Who sends: it decides the headers below where they are not set. `standard` is whoever keeps to "
        "Standard Webhooks: the connection's password is then `whsec_` and base64.",
        examples=["github"],
    )
    connection: ConnectionId = Field(
        description="The Airflow connection whose password is the secret that both sides share.",
        examples=["github_hook"],
    )
    previous_connection: ConnectionId | None = Field(
        default=None,
        description="The connection whose password is the secret before this one: it is accepted too, while the "
        "sender goes over to the new one. Once the connection is gone, so is the secret.",
        examples=["github_hook_before"],
    )
    signature_header: Header | None = Field(
        default=None,
        description="The header with the hex HMAC-SHA256, `sha256=` before it or not; of standard, with its `v1,` "
        "signatures. Default: `X-Hub-Signature-256` of github, `webhook-signature` of standard, `X-Signature-256` of "
        "others.",
        examples=["X-Acme-Signature"],
    )
    timestamp_header: Header | None = Field(
        default=None,
        description="The header with the time of sending in seconds since 1970; the signature is then of "
        "`<timestamp>.<body>`, of standard of `<id>.<timestamp>.<body>`. Default: none of github, which sends none, "
        "`webhook-timestamp` of standard, and `X-Timestamp` of others.",
        examples=["X-Acme-Timestamp"],
    )
    delivery_header: Header | None = Field(
        default=None,
        description="The header that names the delivery, so that a replayed one is refused. Default: "
        "`X-GitHub-Delivery` of github, `webhook-id` of standard, which must send it, `X-Delivery` of others; a "
        "request without it is known by its signature.",
        examples=["X-Acme-Delivery"],
    )
    window_s: int = Field(
        default=300,
        ge=1,
        le=86_400,
        description="How many seconds the time of sending may be from now; of standard at most 300.",
        examples=[60],
    )
    max_bytes: int = Field(
        default=1 << 20, ge=1, le=25 << 20, description="The largest body that is read.", examples=[65536]
    )
    per_minute: int = Field(
        default=60, ge=1, le=6000, description="How many requests a minute are let through.", examples=[10]
    )
    params: Mapping[ParamName, JsonPath] = Field(
        default={},
        description="Params of the run and where in the body each stands: keys and list indexes with dots between. A "
        "flow that loads tables, or is a job, has its own params and no others; a DAG in Python declares its own.",
        examples=[{"commit_sha": "deployment.sha"}],
    )
    only: Mapping[JsonPath, str] = Field(
        default={},
        description="Places in the body and the text that must stand there; another request is answered and starts "
        "nothing.",
        examples=[{"deployment_status.state": "success"}],
    )

    @model_validator(mode="after")
    def _window_of_its_provider(self) -> ApiConfig:
        if self.provider == "standard" and self.window_s > STANDARD_WINDOW_S:
            raise ValueError(f"window_s: Standard Webhooks allow {STANDARD_WINDOW_S} s at most; write less")
        return self


@TriggerRegistry.register_trigger("api")
class ApiTrigger(Trigger[ApiConfig]):
    """Who sent it is web/webhooks.py's to check; here, whether the body counts and what it says."""

    config_model = ApiConfig

    @property
    def signature_header(self) -> str:
        """The header with the signature."""
        return self.config.signature_header or SIGNATURE_HEADERS[self.config.provider]

    @property
    def timestamp_header(self) -> str | None:
        """The header with the time of sending, if it is sent."""
        return self.config.timestamp_header or TIMESTAMP_HEADERS[self.config.provider]

    @property
    def delivery_header(self) -> str:
        """The header that names the delivery."""
        return self.config.delivery_header or DELIVERY_HEADERS[self.config.provider]

    def should_trigger(self, context: TriggerContext) -> bool:
        """Whether the payload is one that counts; adds what it says to `context.params`. See Trigger.

        :raises SourceUnreadableError: a declared param is not in the payload.
        """
        if any(_text(find(context.payload, path)) != wanted for path, wanted in self.config.only.items()):
            return False
        context.params = {**context.params, **self.mapped(context.payload)}
        return True

    def mapped(self, payload: JsonValue) -> dict[str, JsonValue]:
        """The run's params out of a payload.

        :raises SourceUnreadableError: one is not there.
        """
        found = {name: find(payload, path) for name, path in self.config.params.items()}
        for name, value in found.items():
            if value is None:
                raise SourceUnreadableError(
                    f"Trigger {self.config.id!r}: the body has nothing at {self.config.params[name]!r}, which is to "
                    f"be the param {name!r}."
                )
        return found


def _text(value: JsonValue) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None
