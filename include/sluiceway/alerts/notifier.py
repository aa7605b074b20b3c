"""The class of a notifier by its name. Airflow is not asked: what is a notifier brings it along."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from sluiceway.errors import ConfigError, nearest


def can_be_found() -> bool:
    """Whether there is an Airflow here, without which there is no notifier."""
    return find_spec("airflow") is not None


def notifier_class(name: str) -> type[Any]:
    """The class of that name.

    :param name: `package.module.Notifier`.
    :raises ConfigError: it cannot be imported, or is no notifier of Airflow.
    """
    path, _, class_name = name.rpartition(".")
    module = _module(path)
    found: Any = getattr(module, class_name, None)
    if _is_notifier(found):
        notifier: type[Any] = found
        return notifier
    known = [each for each, value in vars(module).items() if _is_notifier(value)]
    if found is None:
        raise ConfigError(f"{path} has no {class_name}{nearest(class_name, known)}")
    raise ConfigError(f"{class_name} is no notifier of Airflow, a class of BaseNotifier{nearest(class_name, known)}")


def _module(path: str) -> ModuleType:
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(f"{error.name}.")):
            raise ConfigError(
                f"there is no module {error.name}; install its provider, or write the module that the class is in"
            ) from None
        raise ConfigError(f"{path} cannot be imported: {error}") from error
    except Exception as error:
        # a module may do anything while it is imported
        raise ConfigError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error


def _is_notifier(value: object) -> bool:
    return (
        inspect.isclass(value)
        and not inspect.isabstract(value)
        and any(
            each.__name__ == "BaseNotifier" and each.__module__.startswith("airflow.") for each in value.__mro__[1:]
        )
    )
