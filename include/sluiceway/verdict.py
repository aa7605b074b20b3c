"""What colour a run gets, and the sentence that says why. A pure function of the ledger and the task states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from sluiceway.ledger.store import RunStatus, TableRun

GOOD_TASK_STATES = frozenset({"success", "running", "queued", "scheduled", None})
"""States a task may be in while the verdict is spoken. "skipped" is not among them: only a superseded run skips."""

PUBLISHING_TASK = "final.aggregate"


class Verdict(BaseModel):
    """The run's colour and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: RunStatus
    sentence: str


def judge(
    table_runs: Iterable[TableRun], task_states: Mapping[str, str | None], *, superseded: str | None = None
) -> Verdict:
    """Green only when every planned table was loaded or unchanged and no task failed.

    :param task_states: task id (with `_<map index>` for a mapped task) -> state, without the judging task.
    :param superseded: what the ledger notes of a run that the gate closed as superseded; None for any other. Skipped
        tasks are good in such a run and in no other.
    """
    if superseded is not None:
        return _judge_superseded(task_states, superseded)
    runs = sorted(table_runs, key=lambda run: run.table_name)
    failed = [run for run in runs if run.status == "failed"]
    silent = [run.table_name for run in runs if run.status == "planned"]
    bad_tasks = sorted(task for task, state in task_states.items() if state not in GOOD_TASK_STATES)
    problems = []
    if failed:
        problems.append(
            f"{len(failed)} of {len(runs)} tables failed: "
            + "; ".join(f"{run.table_name} ({run.error_type}: {run.error})" for run in failed)
        )
    if silent:
        problems.append(f"{len(silent)} of {len(runs)} tables never reported: {', '.join(silent)}")
    if not runs:
        problems.append("no table was planned")
    others = [f"{task} ({task_states[task]})" for task in bad_tasks if "load_table" not in task]
    causes = [task for task in others if "(upstream_failed)" not in task]
    if causes:
        problems.append(f"failed tasks: {', '.join(causes)}")
    elif bad_tasks and not problems:
        problems.append(f"failed tasks: {', '.join(bad_tasks)}")
    if problems:
        published = task_states.get(PUBLISHING_TASK) == "success"
        end = "What was loaded is published." if published else "Nothing was published."
        return Verdict(status="failed", sentence=". ".join(problems) + f". {end}")
    loaded = [run for run in runs if run.status == "loaded"]
    counts = (
        f"{sum(run.inserted for run in loaded):,} rows inserted, {sum(run.updated for run in loaded):,} updated, "
        f"{sum(run.unchanged for run in loaded):,} unchanged, {sum(run.rejected for run in loaded):,} rejected"
    )
    return Verdict(
        status="success",
        sentence=f"{len(loaded)} of {len(runs)} tables loaded, {len(runs) - len(loaded)} unchanged since their last "
        f"load: {counts}.",
    )


def _judge_superseded(task_states: Mapping[str, str | None], note: str) -> Verdict:
    """Nothing was to be done: so no task may have failed, and none behind the gate may have run."""
    good = GOOD_TASK_STATES | {"skipped"}
    bad = sorted(task for task, state in task_states.items() if state not in good)
    ran = sorted(task for task, state in task_states.items() if "load_table" in task and state == "success")
    if bad or ran:
        told = [f"{task} ({task_states[task]})" for task in bad] + [f"{task} (ran)" for task in ran]
        return Verdict(status="failed", sentence=f"failed tasks in a superseded run: {', '.join(told)}. {note}")
    return Verdict(status="superseded", sentence=note)
