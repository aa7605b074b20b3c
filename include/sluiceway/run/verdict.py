"""What colour a run gets, and the sentence that says why. A pure function of the ledger and Airflow's task states."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from sluiceway.amounts import counted
from sluiceway.ids import (
    ENQUEUE_TASK,
    FOLLOWERS_GROUP,
    LOADING_TASK,
    MERGING_TASK,
    OPENING_TASK,
    PART_TASK,
    PARTS_TASK,
    PLANNING_TASK,
    PUBLISHING_TASK,
    QUEUE,
    SPLIT_TABLES_TASK,
    VERDICT_TASK,
    of_group,
)
from sluiceway.ledger.store import Run, RunStatus, TableRun
from sluiceway.ledger.tasks import TaskRun
from sluiceway.run import job_verdict
from sluiceway.run.facts import Facts

GOOD = frozenset({"success", "removed"})
"""The only good ends. "skipped" is good in a run that had nothing to do and in no other; "removed" is a mapped task
that a second plan no longer made."""
FAILED = frozenset({"failed", "upstream_failed"})
UNRECORDED = frozenset({OPENING_TASK})
"""It says nothing of itself in the ledger but opens the run's row."""
_LOAD = re.compile(rf"{re.escape(LOADING_TASK)}(?:_(?P<queue>{QUEUE}))?")
"""A loading task without a map index."""
_LISTED_BY = {PART_TASK: PARTS_TASK, MERGING_TASK: SPLIT_TABLES_TASK}
"""The tasks that load tables in parts -> what lists that for them."""
UNFINISHED_SHOWN = 5
CHANGED_ROWS = ("inserted", "updated", "deleted")

States = Mapping[str, str | None]
"""Task id, with `_<map index>` for a mapped task, and the state that Airflow has for it."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Verdict(_Frozen):
    """The run's colour and why."""

    status: RunStatus
    sentence: str


def judged_states(states: States) -> dict[str, str | None]:
    """The states of the tasks that a verdict is about."""
    return {
        task: state
        for task, state in states.items()
        if task != VERDICT_TASK and not task.startswith(f"{FOLLOWERS_GROUP}.")
    }


def judge(facts: Facts, states: States) -> Verdict:
    """Green only when every planned table was loaded or unchanged, every task has ended well, and what was loaded is
    published.

    :param states: of the tasks that are judged, as `judged_states` gives them.
    """
    if facts.run.outcome is not None:
        return _judge_nothing_to_do(facts, states)
    if facts.asked or ENQUEUE_TASK in states:
        return _judge_job(facts, states)
    problems = [*_table_problems(facts), *_task_problems(facts, states)]
    if not problems:
        problems = _publishing_problems(facts, states)
    if problems:
        told = [*map(_ended, problems), *_published(facts, states), *_dropped(facts), *_by_hand(facts, states)]
        return Verdict(status="failed", sentence=" ".join(told))
    return Verdict(
        status="success",
        sentence=" ".join([_counts(facts.tables), *_withheld(facts), *_dropped(facts), *_by_hand(facts, states)]),
    )


def _ended(sentence: str) -> str:
    """It with its full stop; a question has its own mark."""
    return sentence if sentence.endswith((".", "?")) else f"{sentence}."


def _judge_nothing_to_do(facts: Facts, states: States) -> Verdict:
    """Nothing was to be done: so no task may have failed, and none may have loaded."""
    problems = _failures(facts, states) + _unfinished(states)
    loads = (LOADING_TASK, PART_TASK, MERGING_TASK)
    ran = sorted(task for task, state in states.items() if task.startswith(loads) and state == "success")
    problems += [f"{task} ran" for task in ran]
    note = facts.run.outcome_note or ""
    if problems:
        return Verdict(status="failed", sentence=f"In a run that had nothing to load: {'; '.join(problems)}. {note}")
    return Verdict(status="superseded" if facts.run.outcome == "superseded" else "success", sentence=note)


def _judge_job(facts: Facts, states: States) -> Verdict:
    """Green only when every task has ended well, no item died, and nothing was left undone because a service failed."""
    problems = [*_failures(facts, states), *_unfinished(states)]
    if not problems and (rest := sorted(task for task, state in states.items() if state in FAILED | {"skipped"})):
        problems.append(f"did not run: {', '.join(rest)}")
    if not problems and not facts.asked:
        state = states.get(ENQUEUE_TASK)
        problems.append(f"{ENQUEUE_TASK} is {state} in Airflow, set by hand, and has enqueued nothing")
    problems += job_verdict.problems_of(facts.lanes)
    counts = job_verdict.counts_of(facts.asked, facts.lanes)
    if problems:
        return Verdict(status="failed", sentence=" ".join([*map(_ended, problems), counts]))
    return Verdict(status="success", sentence=" ".join([counts, *_by_hand(facts, states)]))


def _table_problems(facts: Facts) -> list[str]:
    count = len(facts.tables)
    failed = [each for each in facts.tables if each.status == "failed"]
    silent = [each.table_name for each in facts.tables if each.status == "planned"]
    loads = newest_loads(facts)
    problems = []
    if failed:
        told = "; ".join(f"{each.table_name} ({each.error_type}: {each.error})" for each in failed)
        problems.append(f"{len(failed)} of {counted(count, 'table')} failed: {told}")
    if silent:
        told = "; ".join(f"{name} ({why_silent(loads.get(name))})" for name in silent)
        problems.append(f"{len(silent)} of {counted(count, 'table')} never reported: {told}")
    return problems


def newest_loads(facts: Facts) -> dict[str, TaskRun]:
    """The task that loads each table, by the table: after a second plan another map index may."""
    begun = sorted(facts.tasks, key=lambda task: task.started_at.timestamp() if task.started_at else 0)
    return {task.table_name: task for task in begun if task.table_name is not None}


def why_silent(task: TaskRun | None) -> str:
    """Why a table has not reported, by the task that loads it."""
    if task is None:
        return "its task never began"
    return said(task) or "its task ended and reported nothing"


def _task_problems(facts: Facts, states: States) -> list[str]:
    """What is wrong beyond the tables that failed or are silent, which stand for their tasks."""
    told = bad_tables(facts)
    stand_for = loads_of(facts, told, states)
    rest = {task: state for task, state in states.items() if task not in stand_for}
    problems = [*_failures(facts, rest), *_unfinished(rest)]
    skipped = sorted(task for task, state in rest.items() if state == "skipped" and not _had_no_table(task, states))
    if skipped and not problems and not told:
        problems.append(f"skipped: {', '.join(skipped)}")
    if not problems and not facts.tables:
        problems.append("no table was planned")
    if not problems and not told and (bad := sorted(task for task, state in rest.items() if state in FAILED)):
        problems.append(f"failed tasks: {', '.join(bad)}")
    return problems


def _had_no_table(task: str, states: States) -> bool:
    """Whether it is a loading task whose plan has ended well and had no table of that queue, or no part of one."""
    if task in _LISTED_BY:
        return states.get(_LISTED_BY[task]) == "success"
    load = _LOAD.fullmatch(task)
    return load is not None and states.get(of_group(PLANNING_TASK, load["queue"])) == "success"


def _failures(facts: Facts, states: States) -> list[str]:
    """The tasks that failed themselves, each with what it said; one that waited for another in vain says nothing."""
    tries = {task.name: task for task in facts.tasks}
    return [f"{task} failed: {why(tries.get(task), facts)}" for task in sorted(states) if states[task] == "failed"]


def bad_tables(facts: Facts) -> set[str]:
    """The tables that failed or are silent, which stand for the tasks that load them."""
    return {each.table_name for each in facts.tables if each.status in {"failed", "planned"}}


def loads_of(facts: Facts, tables: Collection[str], states: Iterable[str]) -> set[str]:
    """The names of the tasks that load these tables.

    The release before did not write down which load was whose: all that it ran stand for its tables.
    """
    loads = {task.name: task.table_name for task in facts.tasks if task.table_name is not None}
    found = {name for name, table in loads.items() if table in tables}
    if tables and facts.run.is_of_before:
        found |= {name for name in states if name.startswith(f"{LOADING_TASK}_") and name not in loads}
    return found


def why(task: TaskRun | None, facts: Facts) -> str:
    """Why a task failed.

    :param task: its newest try, None where the ledger knows none.
    """
    if task is None and facts.run.is_of_before:
        return "Airflow's log of it says why (the release that ran it wrote no errors of tasks down)"
    if task is None:
        return (
            "it never began (no worker of its queue took it in time, for which see `sluiceway workers`; its process "
            "did not start; or it was marked so by hand. Airflow's log of it may know)"
        )
    return said(task) or f"marked so by hand, or its worker was lost after it had ended well{_log(task)}"


def said(task: TaskRun) -> str | None:
    """What a task's newest try left behind; None: it ended well."""
    if task.error is not None:
        return f"{task.error_type}: {' '.join(task.error.split())}{_log(task)}"
    if task.was_killed:
        began = f" that began {task.started_at:%Y-%m-%d %H:%M:%S} UTC" if task.started_at else ""
        return (
            f"killed: its process{began} ended without a word (out of memory, a crash, a lost machine, or ended by "
            f"hand){_log(task)}"
        )
    return None


def _log(task: TaskRun) -> str:
    return f" (log: {task.log_url})" if task.log_url else ""


def _unfinished(states: States) -> list[str]:
    found = sorted(task for task, state in states.items() if state not in GOOD | FAILED | {"skipped"})
    if not found:
        return []
    shown = [f"{task} ({states[task] or 'not begun'})" for task in found[:UNFINISHED_SHOWN]]
    more = f" and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
    return [f"not finished: {', '.join(shown)}{more}"]


def _late(facts: Facts) -> list[str]:
    """Of a run that has published: tables of which a try has changed rows that no publishing has seen.

    A table that a publishing has seen, and that feeds no view, has nothing to be published. Of a run that the release
    before published nobody knows which do.
    """
    feeding = {table for publication in facts.publications for table in publication.tables}
    seen = {each.table_name for each in facts.tries if each.published_at is not None}
    late = {
        each.table_name
        for each in facts.tries
        if each.status == "loaded" and each.published_at is None and any(getattr(each, count) for count in CHANGED_ROWS)
    }
    is_unknown = facts.run.is_of_before and not facts.publications
    return sorted(name for name in late if is_unknown or name in feeding or name not in seen)


def _publishing_problems(facts: Facts, states: States) -> list[str]:
    """Publishing is a fact of the ledger: a task's state can be set by hand."""
    if facts.run.published_at is None:
        state = states.get(PUBLISHING_TASK)
        if _may_have_published(facts, states):
            return [
                f"{PUBLISHING_TASK} ran under a release that did not write down what it published; "
                f"clear {PUBLISHING_TASK} to publish again"
            ]
        return [f"{PUBLISHING_TASK} is {state or 'not there'} in Airflow, set by hand, and has not published"]
    if late := _late(facts):
        tables = ", ".join(late)
        return [
            f"loaded again after the run had published: {tables}; clear {PUBLISHING_TASK} to publish what they hold"
        ]
    return []


def _may_have_published(facts: Facts, states: States) -> bool:
    """Whether the release before ran the publishing that Airflow calls good: the ledger knows nothing of it."""
    known = {task.name for task in facts.tasks}
    return facts.run.is_of_before and states.get(PUBLISHING_TASK) == "success" and PUBLISHING_TASK not in known


def _published(facts: Facts, states: States) -> list[str]:
    """What is published, as a sentence or two."""
    if facts.run.published_at is None:
        return [] if _may_have_published(facts, states) else ["Nothing was published."]
    if facts.publications and all(each.withheld for each in facts.publications):
        said = "No view was published."
    elif late := _late(facts):
        said = f"What was loaded before {', '.join(late)} is published."
    else:
        said = "What was loaded is published."
    return [said, *_withheld(facts)]


def _counts(runs: Sequence[TableRun]) -> str:
    loaded = [each for each in runs if each.status == "loaded"]
    return (
        f"{len(loaded)} of {counted(len(runs), 'table')} loaded, {len(runs) - len(loaded)} unchanged since their last "
        f"load: {counted(sum(each.inserted for each in loaded), 'row')} inserted, "
        f"{sum(each.updated for each in loaded):,} updated, {sum(each.unchanged for each in loaded):,} unchanged, "
        f"{sum(each.rejected for each in loaded):,} rejected."
    )


def _withheld(facts: Facts) -> list[str]:
    return [f"{each.view_name} was not published: {each.withheld}." for each in facts.publications if each.withheld]


def _dropped(facts: Facts) -> list[str]:
    """Tables that failed before a second plan of the run no longer named them."""
    kept = {each.table_name for each in facts.tables}
    dropped = sorted({each.table_name for each in facts.tries} - kept)
    return [f"No longer planned: {', '.join(dropped)}, which had failed or never reported before."] if dropped else []


def _by_hand(facts: Facts, states: States) -> list[str]:
    """Tasks that Airflow calls good and that did not end well, or never began, or not again: a person decided so."""
    marked = [
        task.name
        for task in facts.tasks
        if states.get(task.name) == "success" and (said(task) is not None or _was_to_begin_again(task, facts.run))
    ]
    if not facts.run.is_of_before:
        known = {task.name for task in facts.tasks} | UNRECORDED
        marked += [task for task, state in states.items() if state == "success" and task not in known]
    return [f"Marked success by hand: {', '.join(sorted(marked))}."] if marked else []


def _was_to_begin_again(task: TaskRun, run: Run) -> bool:
    """Whether it had still to begin when the run was opened last, and has not."""
    if run.opened_at is None or task.started_at is None:
        return False
    return task.name in (run.pending or ()) and task.started_at < run.opened_at
