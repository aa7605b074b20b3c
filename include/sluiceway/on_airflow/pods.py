"""Where Airflow gives each task a pod of its own (KubernetesExecutor), a table's limits are its pod's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import get_parsing_context
from airflow.sdk.configuration import conf

from sluiceway.tables.limits import memory_bytes

if TYPE_CHECKING:
    from sluiceway.tables.needs import Needs

KUBERNETES = "KubernetesExecutor"
BESIDE_BYTES = 512 << 20
"""More than the load may have: for the processes of Airflow that watch over it, which then outlive it and say why."""


def gives_pods() -> bool:
    """Whether one of the configured executors does."""
    return any(_is_kubernetes(each) for each in _executors())


def arguments(needs: Needs) -> dict[str, Any]:
    """Of the tasks that load tables which need this: their queue, and where pods can be had for them, their pods.

    Where several executors are configured, those whose tables ask for memory or processors go to the one with pods.
    """
    queue = {"queue": needs.queue} if needs.queue else {}
    # a task's process needs to know neither, and has the executor's name of its own pod's template
    if needs[1:] == (None, None) or get_parsing_context().task_id is not None or not gives_pods():
        return queue
    executors = _executors()
    name = next(each for each in executors if _is_kubernetes(each))
    # by its alias, where it has one
    beside = {"executor": name.partition(":")[0]} if name != executors[0] else {}
    return {**queue, **beside, "executor_config": {"pod_override": _pod(needs)}}


def _executors() -> list[str]:
    """As they are configured, the default one first; not those of single teams."""
    of_all = str(conf.get("core", "executor", fallback="")).split(";")[0]
    return [each.strip() for each in of_all.strip("=").split(",")]


def _is_kubernetes(executor: str) -> bool:
    return executor.rpartition(":")[2].rpartition(".")[2] == KUBERNETES


def _pod(needs: Needs) -> object:
    # takes a second and much memory, and only that executor's machines have it
    from kubernetes.client import models

    sizes = {}
    if needs.memory is not None:
        sizes["memory"] = f"{(memory_bytes(needs.memory) + BESIDE_BYTES) >> 20}Mi"
    if needs.cpu is not None:
        sizes["cpu"] = f"{round(needs.cpu * 1000)}m"
    resources = models.V1ResourceRequirements(requests=dict(sizes), limits=dict(sizes))
    return models.V1Pod(spec=models.V1PodSpec(containers=[models.V1Container(name="base", resources=resources)]))
