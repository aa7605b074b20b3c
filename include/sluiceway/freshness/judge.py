"""What the facts come to: pure functions, which ask nothing and know no clock but the facts' own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import get_args

from sluiceway import amounts
from sluiceway.deploy.commit import Deployed, same
from sluiceway.freshness.facts import LedgerFacts, RunFacts, TableFacts
from sluiceway.freshness.model import EnvironmentVerdict, State, TableState, TableVerdict, Verdict
from sluiceway.ids import MASTER
from sluiceway.spans import GRACE, lasting

SHOWN = 3
"""Tables that a sentence names."""
NEVER_LOADED = TableFacts()
RED = frozenset({"failed", "abandoned"})
_OF_ALL: Mapping[TableState, State] = {
    "stale": "stale",
    "unknown": "unknown",
    "late": "behind",
    "no promise": "in step",
    "fresh": "in step",
}
NOTHING_PROMISED = (
    "Nothing is promised: no environment is named (SLUICEWAY_ENVIRONMENT) and no table's file says fresh_within, so "
    "nothing can be called fresh."
)


def judge_table(name: str, promise: timedelta | None, facts: LedgerFacts) -> TableVerdict:
    """How a table stands.

    :param promise: how old a good look may be; None: nothing is promised.
    """
    found = facts.tables.get(name, NEVER_LOADED)
    state, sentence = _table_state(name, promise, found, facts)
    return TableVerdict(
        table=name,
        state=state,
        sentence=sentence,
        fresh_within_s=promise.total_seconds() if promise is not None else None,
        looked_at=found.looked_at,
        data_from=found.data_from,
        rows=found.table_rows,
        commit=found.commit_sha,
        dag_id=found.dag_id,
        run_id=found.run_id,
    )


def _table_state(name: str, promise: timedelta | None, found: TableFacts, facts: LedgerFacts) -> tuple[TableState, str]:
    if found.looked_at is None:
        return "unknown", f"no green run has ever loaded it{_why(found)}{_goes_on(_coming(name, facts.open_runs))}"
    old = facts.at - found.looked_at
    looked = f"looked at {lasting(old)} ago"
    if promise is None:
        return "no promise", f"{looked}; its file promises nothing{_why(found)}"
    promised = f"{looked}, {lasting(promise)} are promised"
    if old <= promise:
        return "fresh", f"{promised}{_why(found)}"
    coming = _coming(name, facts.open_runs)
    # a run that has gone on for longer than the promise is nobody's hope: its process may be gone
    if coming is not None and facts.at - coming.began_at <= promise:
        return "late", f"{promised}{_goes_on(coming)}"
    if old <= promise * (1 + GRACE):
        return "late", f"{promised}, and its grace of {lasting(promise * GRACE)} is not over{_why(found)}"
    return "stale", f"{promised}{_why(found)}{_goes_on(coming)}"


def _goes_on(coming: RunFacts | None) -> str:
    return f"; {coming.dag_id}/{coming.run_id} is to load it" if coming is not None else ""


def _coming(name: str, runs: Iterable[RunFacts]) -> RunFacts | None:
    """The newest of the runs that go on that is to load the table; one of the master that has not planned loads all."""
    return next((run for run in runs if name in run.tables or (run.dag_id == MASTER and not run.tables)), None)


def _why(found: TableFacts) -> str:
    """What the newest try says, if it has renewed nothing."""
    last = found.last_try
    if last is None or (last.status != "failed" and last.run_status not in RED):
        return ""
    run = f"{last.dag_id}/{last.run_id}"
    if last.status == "failed":
        return f"; the last try failed in {run}: {' '.join((last.error or 'no error was told').split())}"
    return f"; {run} has come to it since and is {last.run_status}, which renews nothing"


def of_broken_file(name: str, said: str) -> TableVerdict:
    """A table whose promise cannot be read, or a ledger that cannot."""
    return TableVerdict(
        table=name,
        state="unknown",
        sentence=said,
        fresh_within_s=None,
        looked_at=None,
        data_from=None,
        rows=None,
        commit=None,
        dag_id=None,
        run_id=None,
    )


def judge_environment(
    name: str, data_within: timedelta, seen: Deployed | str, tables: Collection[str], facts: LedgerFacts | str
) -> EnvironmentVerdict:
    """How an environment stands.

    :param seen: what it serves, or why it could not be seen.
    :param tables: all that the deployment has.
    :param facts: the ledger's, or why it could not be read.
    """
    deployed = seen.commit if isinstance(seen, Deployed) else None
    since, data = None, None
    if isinstance(seen, str):
        state, sentence = _unknown(f"which commit is deployed cannot be seen: {seen}")
    elif isinstance(facts, str):
        state, sentence = _unknown(f"{seen.commit} is deployed, and what the tables hold cannot be read: {facts}")
    elif not tables:
        state, sentence = _unknown(f"{seen.commit} is deployed, and there is no table")
    else:
        state, sentence = _environment_state(seen.commit, data_within, tables, facts)
    if not isinstance(facts, str):
        since = facts.stint.first_seen_at if _is_noted(deployed, facts) and facts.stint is not None else None
        data = held_by_all(tables, facts)
    return EnvironmentVerdict(
        name=name,
        state=state,
        sentence=sentence,
        data_within_s=data_within.total_seconds(),
        deployed_commit=deployed,
        deployed_at=since,
        data_commit=data,
    )


def _unknown(sentence: str) -> tuple[State, str]:
    return "unknown", sentence


def belongs(table: TableFacts, commit: str) -> bool:
    """Whether a green run has loaded the table for the commit, and it holds no part of another's data since.

    A load that names no commit, as `sluiceway tables run` does, says nothing of it.
    """
    held, green = table.commit_sha, table.green_commit_sha
    return held is not None and green is not None and same(held, commit) and same(green, commit)


def others(tables: Iterable[str], commit: str, facts: LedgerFacts) -> list[str]:
    """The tables whose data does not belong to the commit, by name."""
    return sorted(name for name in tables if not belongs(facts.tables.get(name, NEVER_LOADED), commit))


def told(names: Sequence[str], facts: LedgerFacts) -> str:
    """The first of these tables, with what each holds."""
    shown = [f"{name} ({_held(facts.tables.get(name, NEVER_LOADED))})" for name in names[:SHOWN]]
    return ", ".join(shown) + (f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else "")


def _held(table: TableFacts) -> str:
    if table.commit_sha is None:
        return "of no commit" if table.data_from is not None else "never loaded"
    is_red = table.green_commit_sha is None or not same(table.green_commit_sha, table.commit_sha)
    return f"{table.commit_sha}, by a run that is not green" if is_red else table.commit_sha


def held_by_all(tables: Collection[str], facts: LedgerFacts) -> str | None:
    """The commit whose data all tables hold, the longest way in which it is written; None: there is none."""
    commits = {facts.tables.get(name, NEVER_LOADED).commit_sha or "" for name in tables}
    longest = max(commits, key=len, default="")
    is_one = bool(longest) and all(same(each, longest) for each in commits)
    return longest if is_one and not others(tables, longest, facts) else None


def newest_run_of(commit: str, runs: Iterable[RunFacts]) -> RunFacts | None:
    """The master's newest run for the commit."""
    return next((run for run in runs if run.dag_id == MASTER and run.commit and same(run.commit, commit)), None)


def _is_noted(commit: str | None, facts: LedgerFacts) -> bool:
    return commit is not None and facts.stint is not None and same(facts.stint.commit_sha, commit)


def _is_of_this_deploy(run: RunFacts, commit: str, facts: LedgerFacts) -> bool:
    """Whether the run ended since the commit is deployed: after a rollback, one of the time before says nothing."""
    stint = facts.stint
    if stint is None or not _is_noted(commit, facts) or stint.other_seen_at is None or run.finished_at is None:
        return True
    return run.finished_at > stint.other_seen_at


def _environment_state(
    commit: str, data_within: timedelta, tables: Collection[str], facts: LedgerFacts
) -> tuple[State, str]:
    behind = others(tables, commit, facts)
    count = f"all {len(tables):,} tables" if len(tables) > 1 else "its one table"
    stint = facts.stint
    # of a commit that no look has noted, the deploy came after the last look that saw another
    since = None if stint is None else stint.first_seen_at if _is_noted(commit, facts) else stint.last_seen_at
    old = facts.at - since if since is not None else None
    when = f"{lasting(old)} ago" if old is not None and _is_noted(commit, facts) else None
    deployed = f"deployed {commit}" + (f", {when}" if when else "")
    if not behind:
        oldest = min(each for name in tables if (each := facts.tables[name].looked_at) is not None)
        return "in step", f"{deployed}; data {commit}, {count}, each looked at since {oldest:%Y-%m-%d %H:%M} UTC"
    run = newest_run_of(commit, facts.runs)
    held = f"{deployed}; {hold_other_data(len(behind), len(tables))}: {told(behind, facts)}"
    if run is not None and run.status in RED and _is_of_this_deploy(run, commit, facts):
        return "stale", f"{held}. Its run {run.run_id} is {run.status}: {run.note or 'no reason was told'}"
    became = f"Its run {run.run_id} is {run.status}" if run is not None else "No run of it has begun"
    if old is not None and old <= data_within:
        return "behind", f"{held}. {became}; {lasting(data_within)} are promised"
    if old is None and run is not None and run.status == "running" and facts.at - run.began_at <= data_within:
        return "behind", f"{held}. {became}"
    over = f"the {lasting(data_within)} that are promised are over" if when else "nobody has noted when"
    return "stale", f"{held}. {became}, and {over}" + ("" if when else " it was deployed")


def judge(environment: EnvironmentVerdict | None, tables: Sequence[TableVerdict], facts: LedgerFacts) -> Verdict:
    """All of it: as bad as the worst part."""
    order = {state: rank for rank, state in enumerate(get_args(TableState))}
    ranked = sorted(tables, key=lambda each: (order[each.state], each.looked_at or facts.at, each.table))
    states: list[State] = [_OF_ALL[each.state] for each in tables] or ["unknown"]
    if environment is not None:
        states.append(environment.state)
    said = [counted(tables)]
    if environment is not None:
        # a run's own sentence, which may be its end, has its full stop
        said.insert(0, f"{environment.name} is {environment.state}: {environment.sentence.removesuffix('.')}.")
    if environment is None and all(each.state == "no promise" for each in tables):
        states, said = ["unknown"], [*said, NOTHING_PROMISED]
    return Verdict(
        computed_at=facts.at,
        state=min(states, key=get_args(State).index),
        sentence=" ".join(said),
        environment=environment,
        tables=tuple(ranked),
    )


def hold_other_data(behind: int, tables: int) -> str:
    """`1 of 20 tables holds other data`."""
    of = f"of {amounts.counted(tables, 'table')}"
    return amounts.counted(behind, f"{of} holds other data", f"{of} hold other data")


def counted(tables: Sequence[TableVerdict], *, names: bool = True) -> str:
    """How many tables are in which state, the first of the bad ones by name."""
    if not tables:
        return "There is no table."
    by_state = {state: sorted(each.table for each in tables if each.state == state) for state in get_args(TableState)}
    parts = []
    for state, found in by_state.items():
        if found and names and state in {"stale", "unknown", "late"}:
            more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
            parts.append(f"{len(found):,} {state} ({', '.join(found[:SHOWN])}{more})")
        elif found:
            parts.append(f"{len(found):,} {'without a promise' if state == 'no promise' else state}")
    return f"Of {amounts.counted(len(tables), 'table')}: {', '.join(parts)}."
