"""What starts a flow, declared in include/config/flows/<dag_id>.toml. Knows no Airflow; on_airflow/ does."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sluiceway.flows.registry import TriggerRegistry
    from sluiceway.flows.service import TriggerService
    from sluiceway.flows.trigger import Trigger, TriggerContext, TriggerResult, TriggerType

__all__ = ["Trigger", "TriggerContext", "TriggerRegistry", "TriggerResult", "TriggerService", "TriggerType"]

_MODULES = {"TriggerRegistry": "registry", "TriggerService": "service"}


def __getattr__(name: str) -> Any:
    # imported when it is asked for: commands that start no flow need not wait for its models
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'trigger')}"), name)
