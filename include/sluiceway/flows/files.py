"""Reads include/config/flows/: one file per flow, the file's stem is the flow's id. Knows no Airflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from sluiceway.config_files import read_toml, sentences, together, without_secrets
from sluiceway.errors import ConfigError, nearest
from sluiceway.flows import when
from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.spec import FlowSpec
from sluiceway.flows.trigger import Trigger, TriggerType
from sluiceway.flows.words import words_of
from sluiceway.settings import Settings, load_settings

FOLDER = "flows"
LEDGERED = frozenset({TriggerType.SENSOR, TriggerType.API})
"""Types of triggers whose events stand in the ledger until a run takes them."""


@dataclass(frozen=True)
class Flow:
    """A flow and what starts it."""

    spec: FlowSpec
    triggers: Mapping[str, Trigger[Any]]
    when: when.Expression | None
    """None: any of the triggers."""

    @property
    def id(self) -> str:
        """Its id, and its DAG's."""
        return self.spec.id

    @property
    def takes_events(self) -> bool:
        """Whether its runs take events out of the ledger."""
        return any(each.config.enabled and each.trigger_type in LEDGERED for each in self.triggers.values())

    def trigger(self, trigger_id: str) -> Trigger[Any]:
        """The trigger of that id.

        :raises ConfigError: there is none; names the nearest.
        """
        if trigger_id not in self.triggers:
            raise ConfigError(f"Flow {self.id!r} has no trigger {trigger_id!r}{nearest(trigger_id, self.triggers)}")
        return self.triggers[trigger_id]


def flow_files(config_dir: Path) -> list[Path]:
    """Every flow's file, by name."""
    return sorted((config_dir / FOLDER).glob("*.toml"))


def read_flow(flow_id: str, settings: Settings | None = None) -> Flow:
    """The flow of that id; reads no other file.

    :raises ConfigError: there is no such file, or it is wrong; a sentence per problem.
    """
    folder = (settings or load_settings()).config_dir
    paths = {path.stem: path for path in flow_files(folder)}
    if flow_id not in paths:
        raise ConfigError(f"There is no {folder / FOLDER / flow_id}.toml{nearest(flow_id, paths)}")
    return read_file(paths[flow_id])


def read_flows(settings: Settings | None = None) -> dict[str, Flow]:
    """Every flow under include/config/flows/; raises ConfigError with every problem of every file."""
    flows: dict[str, Flow] = {}
    problems: list[str] = []
    for path in flow_files((settings or load_settings()).config_dir):
        try:
            flows[path.stem] = read_file(path)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return flows


def read_file(path: Path) -> Flow:
    """The flow of one file; raises ConfigError with a sentence per problem."""
    data = read_toml(path)
    if data.setdefault("id", path.stem) != path.stem:
        said = f"{path}: id = {data['id']!r}: a flow is named by its file, {path.stem!r}; remove the key"
        raise ConfigError(without_secrets(said))
    return flow_of(data, str(path))


def flow_of(definition: Mapping[str, Any], where: str | None = None) -> Flow:
    """The flow of a definition, a file's or a dict with the same keys.

    :param where: what the sentences begin with; default: the flow's id.
    :raises ConfigError: it is wrong; a sentence per problem.
    """
    data = dict(definition)
    where = where or f"flow {data.get('id')!r}"
    problems: list[str] = []
    declared = data.pop("triggers", [])
    if not (isinstance(declared, list | tuple) and all(isinstance(each, Mapping) for each in declared)):
        problems.append(f"{where}: triggers: is no list of tables; begin each one with [[triggers]]")
        declared = []
    triggers: dict[str, Trigger[Any]] = {}
    for number, each in enumerate(declared, 1):
        try:
            trigger = _trigger({"flow_id": data.get("id"), **each}, where, number)
        except ConfigError as error:
            problems.append(str(error))
            continue
        if trigger.config.flow_id != data.get("id"):
            problems.append(
                f"{where}: triggers.{trigger.config.id}.flow_id = {trigger.config.flow_id!r}: this is the flow "
                f"{data.get('id')!r}; remove the key"
            )
        if trigger.config.id in triggers:
            problems.append(f"{where}: triggers.{trigger.config.id}: two triggers have this id; rename one")
        triggers[trigger.config.id] = trigger
    try:
        spec = FlowSpec.model_validate({**data, "triggers": tuple(each.config for each in triggers.values())})
    except pydantic.ValidationError as error:
        problems += sentences(where, error.errors(), words_of(FlowSpec))
    if problems:
        raise ConfigError(together(where, problems))
    return Flow(spec, triggers, _when(spec, triggers, where))


def _trigger(definition: Mapping[str, Any], where: str, number: int) -> Trigger[Any]:
    """One trigger; raises ConfigError with a sentence per problem."""
    name = definition.get("id")
    prefix = f"triggers.{name if isinstance(name, str) and name else number}."
    return TriggerRegistry.create_trigger(definition, where=where, prefix=prefix)


def _when(spec: FlowSpec, triggers: Mapping[str, Trigger[Any]], where: str) -> when.Expression | None:
    """The parsed `when`; raises ConfigError for what Airflow cannot express."""
    if spec.when is None:
        return None
    try:
        expression = when.parse(spec.when)
        when.check(expression, triggers)
    except ValueError as error:
        raise ConfigError(without_secrets(f"{where}: when = {spec.when!r}: {error}")) from None
    return expression
