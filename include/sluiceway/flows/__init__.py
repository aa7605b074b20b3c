"""What starts a flow, declared in include/config/flows/<dag_id>.toml. Knows no Airflow; operators/ and triggers/ do."""

from sluiceway.flows.registry import TriggerRegistry
from sluiceway.flows.service import TriggerService
from sluiceway.flows.trigger import Trigger, TriggerContext, TriggerResult, TriggerType

__all__ = ["Trigger", "TriggerContext", "TriggerRegistry", "TriggerResult", "TriggerService", "TriggerType"]
