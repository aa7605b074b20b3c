"""StepOperator: one function of the run's context as one task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from sluiceway.ledger.store import RunKey
from sluiceway.on_airflow import lineage
from sluiceway.on_airflow.recorded import recorded

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from sluiceway.on_airflow.lineage import Lineage


class StepOperator(BaseOperator):
    """Call a function with the run's context; what it returns is the task's result.

    As @task, without the rendering of arguments, which costs every task a call to the API server: half a second of
    a run of thirty short tasks.

    :param step: the function.
    """

    template_fields: Sequence[str] = ()

    def __init__(self, *, step: Callable[[Context], Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step

    def execute(self, context: Context) -> Any:
        """Return what the step returns; raises what it raises."""
        return self.step(context)


class RecordedStepOperator(StepOperator):
    """A step of a refresh: when it began, how it ended and why it failed stands in the ledger."""

    def execute(self, context: Context) -> Any:
        """Return what the step returns; raises what it raises, and what the ledger says when it cannot be written."""
        with recorded(context):
            return self.step(context)


class PublishOperator(RecordedStepOperator):
    """A step that publishes views, of which OpenLineage is told."""

    def get_openlineage_facets_on_start(self) -> Lineage:
        """Nothing: no view is published yet."""
        return lineage.of_publishing(None)

    def get_openlineage_facets_on_complete(self, task_instance: RuntimeTaskInstanceProtocol) -> Lineage:
        """The views that were published, and the tables that feed them."""
        return lineage.of_publishing(RunKey(task_instance.dag_id, task_instance.run_id))


def step(function: Callable[[Context], Any], **kwargs: Any) -> StepOperator:
    """The task of `function`, with its name and its docstring.

    :param kwargs: arguments of any operator: trigger_rule, retries, pool ...
    """
    return StepOperator(task_id=function.__name__, step=function, doc_md=inspect.getdoc(function), **kwargs)


def recorded_step(
    function: Callable[[Context], Any], *, operator: type[RecordedStepOperator] = RecordedStepOperator, **kwargs: Any
) -> RecordedStepOperator:
    """As `step`, for a task of a refresh."""
    return operator(task_id=function.__name__, step=function, doc_md=inspect.getdoc(function), **kwargs)
