"""TriggerRegistry: which kinds of trigger there are; others come by decorator or as entry points sluiceway.triggers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from pydantic import ValidationError

from sluiceway.config_files import sentences, together, without_secrets
from sluiceway.errors import ConfigError, nearest, quoted
from sluiceway.flows.trigger import SensorTrigger, Trigger, TriggerType
from sluiceway.flows.words import words_of

ENTRY_POINTS = "sluiceway.triggers"
_OWN = {
    "cli": "cli",
    "schedule": "schedule",
    "flow": "flow",
    "api": "api",
    "sensor.file": "file",
    "sensor.directory": "directory",
    "sensor.gcs": "objects",
    "sensor.s3": "objects",
    "sensor.database": "database",
    "sensor.http": "http",
    "sensor.deployment": "deployment",
    "sensor.queue": "queue",
}
"""Kinds and the module of kinds/ that registers them; imported when a file declares one."""

T = TypeVar("T", bound=type[Trigger[Any]])
_registered: dict[str, type[Trigger[Any]]] = {}


class TriggerRegistry:
    """The kinds, by name: `cli`, `schedule`, `flow`, `api`, `sensor.<sensor_type>`."""

    @staticmethod
    def register_trigger(kind: str) -> Callable[[T], T]:
        """Decorator of a class that is a kind of trigger.

        :param kind: `sensor.<sensor_type>`; Airflow gives no other type of trigger a way to start a flow.
        :raises ConfigError: it is no such name, or another class has it.
        """
        if not (kind in _OWN or (kind.startswith("sensor.") and kind.removeprefix("sensor.").isidentifier())):
            raise ConfigError(f"The kind of trigger {kind!r} must be named sensor.<sensor_type>, such as sensor.queue.")

        def register(cls: T) -> T:
            known = _registered.setdefault(kind, cls)
            if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
                raise ConfigError(f"Two classes are the kind of trigger {kind!r}: {known!r} and {cls!r}; rename one.")
            _registered[kind] = cls
            return cls

        return register

    @staticmethod
    def kinds() -> list[str]:
        """Every kind's name."""
        return sorted({*_OWN, *_registered, *_installed()})

    @staticmethod
    def own_kinds() -> list[str]:
        """The names of those that come with the project."""
        return list(_OWN)

    @staticmethod
    def is_own(kind: str) -> bool:
        """Whether it comes with the project; asking for the others reads the lists of all installed packages."""
        return kind in _OWN

    @staticmethod
    def kind_of(config: Mapping[str, Any]) -> str:
        """The kind that a definition names."""
        return f"sensor.{config.get('sensor_type')}" if config.get("type") == "sensor" else str(config.get("type"))

    @classmethod
    def find(cls, kind: str) -> type[Trigger[Any]]:
        """The class of a kind.

        :raises ConfigError: there is no such kind; names the nearest.
        """
        if kind not in _registered:
            if kind in _OWN:
                import_module(f"sluiceway.flows.kinds.{_OWN[kind]}")
            elif kind in _installed():
                cls.register_trigger(kind)(_load(_installed()[kind]))
            else:
                raise ConfigError(f"There is no kind of trigger {kind!r}{nearest(kind, cls.kinds())}")
        return _registered[kind]

    @classmethod
    def create_trigger(cls, config: Mapping[str, Any], *, where: str | None = None, prefix: str = "") -> Trigger[Any]:
        """The trigger that a definition declares: the keys of docs/reference/flows.md, from TOML or as a dict.

        :param where: what the sentences begin with; default: the trigger's id.
        :param prefix: what stands before every key.
        :raises ConfigError: it is wrong; a sentence per problem.
        """
        where = where or f"trigger {config.get('id')!r}"
        if problem := _kind_problem(config):
            raise ConfigError(without_secrets(f"{where}: {prefix}{problem}"))
        found = cls.find(cls.kind_of(config))
        try:
            return found(found.config_model.model_validate(dict(config)))
        except ValidationError as error:
            words = words_of(found.config_model)
            # what pydantic says shows values, which may be secrets, to whoever reads a log
            raise ConfigError(together(where, sentences(where, error.errors(), words, prefix=prefix))) from None


def _kind_problem(definition: Mapping[str, Any]) -> str | None:
    """What is wrong with `type` and `sensor_type`, if anything."""
    if TriggerRegistry.is_own(TriggerRegistry.kind_of(definition)):
        return None
    types = [each.value for each in TriggerType]
    sensors = [kind.removeprefix("sensor.") for kind in TriggerRegistry.kinds() if kind.startswith("sensor.")]
    for key, known in (("type", types), ("sensor_type", sensors)):
        if key == "sensor_type" and definition.get("type") != TriggerType.SENSOR:
            return None
        if key not in definition:
            return f"{key}: is missing; write one of {', '.join(known)}"
        if (value := definition[key]) not in known:
            hint = nearest(value, known, listing=False) if isinstance(value, str) else ""
            return f"{key} = {quoted(value)}: is not one of {', '.join(known)}{hint}"
    return None


def _load(point: EntryPoint) -> type[SensorTrigger[Any]]:
    package = f"the package {point.dist.name}" if point.dist is not None else "a package"
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"The kind of trigger {point.name!r} of {package} cannot be loaded from {point.value}: {error}. "
            f"Repair or remove the package."
        ) from error
    if not (isinstance(found, type) and issubclass(found, SensorTrigger)):
        raise ConfigError(
            f"The kind {point.name!r} of {package}: {point.value} is no trigger of a sensor (SensorTrigger)."
        )
    return found


@cache
def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}
