"""What is to be said of a run that Airflow was asked about: reads no more of the ledger than that needs.

Who asks: the page and the list in the API server (on_airflow/web/airflow.py), `sluiceway runs` (cli/airflow_runs.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sluiceway.ledger.rows_seen import rows_seen
from sluiceway.ledger.store import Run
from sluiceway.ledger.warehouse import Session
from sluiceway.run.facts import Facts, facts_of
from sluiceway.run.reconcile import Seen, Truth, is_shown, reconcile
from sluiceway.run.verdict import judged_states

GOOD = frozenset({"success", "superseded"})


class Span(NamedTuple):
    """From when on a run's marks are of interest."""

    since: datetime
    cleared_since: datetime | None
    """A clear is undone by the verdict after it."""


def marks_wanted(run: Run, seen: Seen) -> Span | None:
    """From when on it matters what people did to the run; None: nothing that is to be said is about that."""
    if not is_shown(run, seen):
        return None
    begun = run.enqueued_at or run.started_at
    early = (run.note or "").startswith("Ended before its verdict") or "by hand" in (run.note or "")
    # of what was cleared and then marked before it began, a task that begins again sees no more than that it is good
    is_repeated = run.pending is not None
    if not early and not is_repeated and run.remark is None and _is_as_written(run, seen):
        return None
    if early or is_repeated or run.finished_at is None:
        return Span(begun, run.finished_at)
    return Span(run.finished_at, run.finished_at)


def truths_of(session: Session, runs: Iterable[tuple[Run, Seen]]) -> list[Truth]:
    """Reconcile each run with what Airflow shows of it; whoever had a hand in it is named."""
    runs = list(runs)
    rows = rows_seen(session, [run.key for run, _ in runs])
    return [_truth_of(session, run, seen, rows.get(run.key)) for run, seen in runs]


def _truth_of(session: Session, run: Run, seen: Seen, rows: str | None) -> Truth:
    is_judged_anew = (run.status == "running" and run.judged is not None) or (
        # what was never judged is another than any states
        seen.has_ended and (run.judged != judged_states(seen.tasks) or run.judged_rows != rows)
    )
    facts = facts_of(session, run) if is_judged_anew else Facts(run=run, rows_seen=run.judged_rows)
    return named(reconcile(facts, seen), seen)


def named(truth: Truth, seen: Seen) -> Truth:
    """The same, with the marks that it does not tell."""
    untold = [mark for mark in seen.marks if mark not in truth.text]
    if not untold:
        return truth
    remark = " ".join(filter(None, [truth.remark, f"By hand: {'; '.join(untold)}."]))
    return truth.model_copy(update={"remark": remark})


def _is_as_written(run: Run, seen: Seen) -> bool:
    if not seen.has_ended:
        return run.status == "running" or run.judged is None
    is_alike = run.judged == judged_states(seen.tasks) and (seen.state == "success") == (run.status in GOOD)
    return run.status != "running" and is_alike
