"""StepOperator: one function of the run's context as one task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


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


def step(function: Callable[[Context], Any], **kwargs: Any) -> StepOperator:
    """The task of `function`, with its name and its docstring.

    :param kwargs: arguments of any operator: trigger_rule, retries, pool ...
    """
    return StepOperator(task_id=function.__name__, step=function, doc_md=inspect.getdoc(function), **kwargs)
