"""What a run is red for, table by table and task by task, so that its sentence need not say it again. Pure."""

from __future__ import annotations

from typing import Any, NamedTuple

from sluiceway.ids import VERDICT_TASK
from sluiceway.ledger.rows import CLI
from sluiceway.ledger.tasks import TaskRun
from sluiceway.run.facts import Facts
from sluiceway.run.local_sentence import UNTOLD
from sluiceway.run.reconcile import Truth
from sluiceway.run.report.model import TaskReport
from sluiceway.run.verdict import States, bad_tables, loads_of, newest_loads, said, why, why_silent


class Causes(NamedTuple):
    """What there is to say of each."""

    tables: dict[str, dict[str, Any]]
    """By table, fields of its TableReport."""
    tasks: tuple[TaskReport, ...]
    quoted: tuple[str, ...]
    """The parts of a verdict's sentence that say the same."""


def causes_of(facts: Facts, truth: Truth, states: States | None) -> Causes:
    """Of a run and what is to be said of it.

    :param states: of its tasks, as Airflow shows them now; None: as its verdict saw them.
    """
    states = states or truth.judged or {}
    is_open = truth.status == "running"
    loads = newest_loads(facts)
    tables: dict[str, dict[str, Any]] = {}
    quoted = []
    for each in facts.tables:
        task = loads.get(each.table_name)
        tables[each.table_name] = {"log_url": task.log_url if task else None}
        if each.status == "failed":
            quoted.append(f" ({each.error_type}: {each.error})")
        elif each.status == "planned" and not is_open:
            # a run of the command line has no tasks of which to tell what became
            silent = UNTOLD if facts.run.dag_id == CLI else why_silent(task)
            quoted.append(f" ({silent})")
            tables[each.table_name]["error"] = _without_log(silent, task)
    told = bad_tables(facts)
    tries = {task.name: task for task in facts.tasks if task.table_name is None or task.table_name not in told}
    tasks = []
    for name in sorted((tries.keys() | states.keys()) - loads_of(facts, told, states) - {VERDICT_TASK}):
        task = tries.get(name)
        if _is_bad(task, states, name, is_open=is_open):
            quoted.append(f": {why(task, facts)}")
            tasks.append(_task_report(name, states.get(name), task, facts))
    return Causes(tables, tuple(tasks), tuple(quoted))


def _is_bad(task: TaskRun | None, states: States, name: str, *, is_open: bool) -> bool:
    if not states:
        # a try without an end was killed only when it does not go on
        return task is not None and (task.error is not None or (task.was_killed and not is_open))
    if states.get(name) == "success":
        return task is not None and said(task) is not None and not is_open
    return states.get(name) == "failed"


def _task_report(name: str, state: str | None, task: TaskRun | None, facts: Facts) -> TaskReport:
    if task is not None and task.error is not None:
        told, kind = task.error, task.error_type
    else:
        told, kind = _without_log(why(task, facts), task), None
    return TaskReport(name=name, state=state, error_type=kind, error=told, log_url=task.log_url if task else None)


def _without_log(sentence: str, task: TaskRun | None) -> str:
    return sentence.removesuffix(f" (log: {task.log_url})") if task else sentence
