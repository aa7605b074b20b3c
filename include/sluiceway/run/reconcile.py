"""Compares what the ledger says of a run with what Airflow shows now: a run can be changed after its verdict.

Pure. Who asks Airflow: on_airflow/graphs/run_watch.py, the page (on_airflow/web/), `sluiceway runs` (cli/).
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from sluiceway.ids import VERDICT_TASK
from sluiceway.ledger.store import Run, RunStatus
from sluiceway.run.facts import Facts
from sluiceway.run.verdict import judge, judged_states

ENDED = frozenset({"success", "failed"})
CHANGES_SHOWN = 10
CUT_OFF = "cut off"
SHOWN = "Airflow shows the run as "
WROTE_SINCE = "A task that went on after the verdict has written into the ledger since."


class Seen(BaseModel):
    """A run as Airflow shows it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: str | None
    """None: Airflow has no such run."""
    tasks: dict[str, str | None] = {}
    """State by task id, with `_<map index>` for a mapped task."""
    enqueued_at: datetime | None = None
    """When it was first enqueued, by which it is told from a run that had its id before; None: nobody knows."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    marks: tuple[str, ...] = ()
    """What people did to the run since its verdict, as sentences without a full stop; empty where nobody can say."""

    @property
    def has_ended(self) -> bool:
        """Whether Airflow will do no more for the run by itself."""
        return self.state in ENDED


class Truth(BaseModel):
    """What is to be said of a run now."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: RunStatus
    sentence: str | None
    remark: str | None = None
    judged: dict[str, str | None] | None = None
    judged_rows: str | None = None

    @property
    def text(self) -> str:
        """Sentence and remark."""
        return " ".join(part for part in (self.sentence, self.remark) if part)


def as_written(run: Run) -> Truth:
    """What the ledger says, where Airflow cannot be asked."""
    return Truth(
        status=run.status, sentence=run.note, remark=run.remark, judged=run.judged, judged_rows=run.judged_rows
    )


def reconcile(facts: Facts, seen: Seen) -> Truth:
    """What is to be said of the run, by the ledger's facts and Airflow's states of now."""
    run = facts.run
    if not is_shown(run, seen):
        return without_airflow(facts)
    if not seen.has_ended:
        return _going_on(run, seen)
    if run.status == "running" and run.judged is None:
        return _never_judged(facts, seen)
    return _changed(facts, seen)


def is_shown(run: Run, seen: Seen) -> bool:
    """Whether Airflow has this run, and not none, or one that has its id since it was deleted."""
    return seen.state is not None and run.may_be_enqueued_at(seen.enqueued_at)


def without_airflow(facts: Facts) -> Truth:
    """What is to be said of a run that Airflow has no more: nothing else becomes of it."""
    run = facts.run
    if run.status != "running":
        return as_written(run)
    if run.judged is None:
        return Truth(status="abandoned", sentence="Ended before its verdict: Airflow has no such run any more.")
    # what begins again takes away what was judged before
    found = judge(facts, run.judged)
    return Truth(
        status=found.status,
        sentence=found.sentence,
        remark="A part of it was cleared, and the run deleted in Airflow before that began.",
        judged=run.judged,
        judged_rows=run.judged_rows,
    )


def _going_on(run: Run, seen: Seen) -> Truth:
    """A run whose tasks are as its verdict saw them is about to end; otherwise a part of it runs again."""
    if run.status == "running" or run.judged is None or judged_states(seen.tasks) == run.judged:
        return as_written(run)
    sentence = f"A part of the run runs again{_who(seen)}. It was judged {run.status} before: {run.note}"
    return Truth(status="running", sentence=sentence, judged=run.judged, judged_rows=run.judged_rows)


def _never_judged(facts: Facts, seen: Seen) -> Truth:
    """Airflow is done with a run that has no verdict: its time was over, or its verdict was killed or set by hand."""
    states = judged_states(seen.tasks)
    # what Airflow skipped because the run was over is not what a run may skip
    found = judge(facts, {task: CUT_OFF if state == "skipped" else state for task, state in states.items()})
    verdict = seen.tasks.get(VERDICT_TASK)
    if verdict == "skipped" and seen.state == "failed":
        after = f" after {_span(seen)}" if _span(seen) else ""
        cause = f"timed out{after}" if not seen.marks else f"ended by hand{_who(seen)}"
    else:
        cause = f"its verdict is {verdict or 'not there'} in Airflow and was never spoken{_who(seen)}"
    truth = Truth(
        status="failed",
        sentence=f"Ended before its verdict: {cause}. {found.sentence}",
        judged=states,
        judged_rows=facts.rows_seen,
    )
    return _shown_otherwise(truth, seen)


def _changed(facts: Facts, seen: Seen) -> Truth:
    """The verdict again, if a task is not as it was then, or has written into the ledger since."""
    run, states = facts.run, judged_states(seen.tasks)
    truth = as_written(run)
    wrote_since = facts.rows_seen != run.judged_rows
    if run.judged is not None and (states != run.judged or run.status == "running" or wrote_since):
        changes = [
            f"{task} {run.judged.get(task) or 'not there'} -> {states.get(task) or 'not there'}"
            for task in sorted(states.keys() | run.judged.keys())
            if states.get(task) != run.judged.get(task)
        ]
        more = f" and {len(changes) - CHANGES_SHOWN} more" if len(changes) > CHANGES_SHOWN else ""
        told = f"Changed after its verdict{_who(seen)}: {', '.join(changes[:CHANGES_SHOWN])}{more}."
        found = judge(facts, states)
        if changes:
            remark: str | None = told
        elif run.status == "running":
            remark = None
        else:
            remark = WROTE_SINCE
        truth = Truth(
            status=found.status, sentence=found.sentence, remark=remark, judged=states, judged_rows=facts.rows_seen
        )
    return _shown_otherwise(truth, seen)


def _shown_otherwise(truth: Truth, seen: Seen) -> Truth:
    """The same, with what Airflow shows of the whole run: that is seen anew each time, whatever was noted before."""
    noted = [(truth.remark or "").partition(SHOWN)[0].strip()]
    if (truth.status in {"success", "superseded"}) != (seen.state == "success"):
        noted.append(f"{SHOWN}{seen.state}, which no DAG can change once it has ended{_who(seen)}.")
    return truth.model_copy(update={"remark": " ".join(filter(None, noted)) or None})


def _who(seen: Seen) -> str:
    return f" ({'; '.join(seen.marks)})" if seen.marks else ""


def _span(seen: Seen) -> str | None:
    if seen.started_at is None or seen.ended_at is None:
        return None
    seconds = round((seen.ended_at - seen.started_at).total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
