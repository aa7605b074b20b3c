"""AlertsSpec: who is told of what. include/config/alerts.toml, which a deployment may leave out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from sluiceway.config_files import Words, read_toml, sentences, together, without_secrets
from sluiceway.errors import ConfigError, nearest
from sluiceway.flows.connection import ConnectionId, holds_secret
from sluiceway.settings import Settings, load_settings
from sluiceway.spans import check_span, span

FILE = "alerts.toml"
Kind = Literal["red", "stale", "waiting", "blind", "dead_letters"]
"""What can be told of."""
NAME = r"^[A-Za-z][A-Za-z0-9_-]{0,49}$"
CLASS = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"
_INLINE = "an address may hold a secret: put it into an Airflow connection, and write that connection's id here"
PLACEHOLDERS = frozenset({"subject", "body"})
"""What an argument of a notifier may say in braces."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Alert(_Frozen):
    """One who is told."""

    name: str = Field(description="Not a key: the table's name.", pattern=NAME)
    tell_of: tuple[Kind, ...] = Field(
        description="`red`: a run ended red; `stale`: a table or the environment breaks its promise; `waiting`: a run "
        "of master_etl does not begin; `blind`: a sensor, a trigger or the watch of deploys cannot see; "
        "`dead_letters`: items of a job have died. Of each, what has recovered is told, too.",
        examples=[["red", "stale"]],
    )
    connection: ConnectionId | None = Field(
        default=None,
        description="The Airflow connection that holds the Apprise address to send to. Needed, unless there is a "
        "`notifier`.",
        examples=["on_call"],
    )
    notifier: str | None = Field(
        default=None,
        pattern=CLASS,
        description="A notifier of Airflow by its class, instead of a connection. Only Airflow can tell by it.",
        examples=["airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier"],
    )
    arguments: Mapping[str, JsonValue] = Field(
        default={},
        description="What the notifier is made with; `{subject}` and `{body}` stand for the message.",
        examples=[{"slack_webhook_conn_id": "slack", "text": "{subject}\n{body}"}],
    )
    tables: tuple[str, ...] = Field(
        default=(),
        description="Only of what concerns one of these tables, `*` for any letters; with `dags`, of either.",
        examples=[["landiq_crop", "us_*"]],
    )
    dags: tuple[str, ...] = Field(
        default=(),
        description="Only of what concerns one of these DAGs: its runs, its triggers, its items.",
        examples=[["master_etl"]],
    )
    after: Annotated[str, AfterValidator(check_span)] | None = Field(
        default=None, description="Only of what has lasted so long.", examples=["10min"]
    )
    remind_every: Annotated[str, AfterValidator(check_span)] | None = Field(
        default=None,
        description="Tell again, at this distance, of what lasts and nobody has acknowledged.",
        examples=["4h"],
    )

    @model_validator(mode="after")
    def _tells_by_one_way(self) -> Self:
        if not self.tell_of:
            raise ValueError(f"tell_of is empty; write some of {', '.join(get_args(Kind))}")
        if (self.connection is None) == (self.notifier is None):
            raise ValueError("needs either a connection, which holds an Apprise address, or a notifier; write one")
        if self.notifier is None and self.arguments:
            raise ValueError("arguments are a notifier's; with a connection, remove them")
        said = "".join(_texts(self.arguments))
        if self.notifier is not None and not any(f"{{{name}}}" in said for name in PLACEHOLDERS):
            raise ValueError("no argument of the notifier says {subject} or {body}, so it would tell nothing")
        if key := next((key for key, value in _pairs(self.arguments) if holds_secret(key, value)), None):
            raise ValueError(f"arguments.{key} holds a secret; name the Airflow connection that holds it instead")
        return self

    @property
    def patience(self) -> timedelta:
        """How long something must have lasted."""
        return span(self.after) if self.after is not None else timedelta(0)

    @property
    def reminder(self) -> timedelta | None:
        """How long until it is told again; None: never."""
        return span(self.remind_every) if self.remind_every is not None else None

    def concerns(self, kinds: Collection[str], tables: Collection[str], dags: Collection[str]) -> bool:
        """Whether the alert is to tell of what has these kinds, and is about these tables and DAGs."""
        if not set(kinds) & set(self.tell_of):
            return False
        if not self.tables and not self.dags:
            return True
        return _any_matches(self.tables, tables) or _any_matches(self.dags, dags)


class AlertsSpec(_Frozen):
    """The file."""

    heartbeat: ConnectionId | None = Field(
        default=None,
        description="The Airflow connection that holds the address of a dead man's switch, which `sluiceway alerts "
        "run` and freshness_watch ask after each good look.",
        examples=["dead_mans_switch"],
    )
    alerts: Mapping[str, Alert] = Field(default={}, description="By name.")

    def tells_of(self, kind: Kind) -> bool:
        """Whether anybody is told of it."""
        return any(kind in alert.tell_of for alert in self.alerts.values())


def _any_matches(patterns: Collection[str], names: Collection[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def _texts(value: Any) -> Iterator[str]:
    """Every text in an argument, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _pairs(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with its value, however deep; of a list the values by the list's key."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _pairs(each, str(name))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _pairs(each, key)
    else:
        yield key, value


def _keys(place: tuple[str, ...]) -> list[str]:
    if len(place) == 1:
        return list(AlertsSpec.model_fields)
    return [name for name in Alert.model_fields if name != "name"]


def _secret(key: str, value: Any) -> str | None:
    return _INLINE if "://" in str(value) or holds_secret(key, value) else None


_WORDS = Words(
    keys=_keys,
    patterns={
        NAME: "is no name; write letters, digits, _ and -, beginning with a letter",
        CLASS: "is no class; write its module and its name, such as package.module.Notifier",
    },
    other_names={
        **dict.fromkeys(("url", "apprise_url", "conn_id", "apprise_conn_id", "to", "channel"), "connection"),
        **dict.fromkeys(("on", "events", "kinds", "tell", "of", "when"), "tell_of"),
        **dict.fromkeys(("remind", "remind_after", "repeat", "repeat_every", "every"), "remind_every"),
        **dict.fromkeys(("dag_ids", "dag_id", "flows"), "dags"),
        "alert": "alerts",
    },
    secret=_secret,
)


def path_of(settings: Settings | None = None) -> Path:
    """Where the file is, if there is one."""
    return (settings or load_settings()).config_dir / FILE


def read_alerts(settings: Settings | None = None) -> AlertsSpec:
    """Who is told of what; nobody, where there is no file.

    :raises ConfigError: the file is wrong; a sentence per problem.
    """
    path = path_of(settings)
    return read_file(path) if path.exists() else AlertsSpec()


def read_file(path: Path) -> AlertsSpec:
    """The same of one file; raises ConfigError with a sentence per problem."""
    data = read_toml(path)
    alerts = data.get("alerts", {})
    if not isinstance(alerts, dict) or not all(isinstance(each, dict) for each in alerts.values()):
        raise ConfigError(f"{path}: alerts: each alert is a table of its own; write [alerts.NAME]")
    if named := next((name for name, each in alerts.items() if "name" in each), None):
        raise ConfigError(f"{path}: alerts.{named}.name: an alert is named by its table; remove the key")
    try:
        named_alerts = {name: {"name": name, **each} for name, each in alerts.items()}
        return AlertsSpec.model_validate({**data, **({"alerts": named_alerts} if alerts else {})})
    except ValidationError as error:
        # what pydantic says shows values, which may be secrets, to whoever reads a log
        raise ConfigError(together(path, sentences(path, error.errors(), _WORDS))) from None


def names_unknown(path: Path, spec: AlertsSpec, tables: Collection[str], dags: Collection[str]) -> list[str]:
    """A sentence for each filter that nothing of this deployment can match.

    :param tables: all that have a file.
    :param dags: all flows, and the DAGs of the bundle.
    """
    found = []
    for alert in spec.alerts.values():
        for key, patterns, known in (("tables", alert.tables, tables), ("dags", alert.dags, dags)):
            found += [
                without_secrets(
                    f"{path}: alerts.{alert.name}.{key} = {pattern!r}: matches none{nearest(pattern, known)}"
                )
                for pattern in patterns
                if not _any_matches([pattern], known)
            ]
    return found
