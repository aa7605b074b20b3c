"""What people did to a run, read from Airflow's audit log: who marked or cleared which task. Pure.

Airflow writes an entry before it decides whether the request is allowed, so that one which was refused stands there
too. An entry counts only when what it asked for is what Airflow shows, and, where that is known, when what it is about
has changed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from sluiceway.ids import VERDICT_TASK
from sluiceway.json_path import parse as parse_json
from sluiceway.ledger.store import RunKey
from sluiceway.run.verdict import States

EVENTS = (
    "patch_task_instance",
    "patch_task_group_instances",
    "bulk_task_instances",
    "post_clear_task_instances",
    "clear_dag_run",
    "clear_dag_runs",
    "patch_dag_run",
    "bulk_dag_runs",
)
"""Names of 3.3.2's entries: those of the functions behind the REST paths."""
ANY = "~"
"""Stands for every DAG, or every run, in a REST path."""
SHOWN = 10


class Entry(BaseModel):
    """One entry of the audit log."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str
    at: datetime
    owner: str | None
    dag_id: str | None
    run_id: str | None
    task_id: str | None = None
    extra: str | None = None
    """JSON: what was sent."""

    @property
    def sent(self) -> dict[str, Any]:
        """What was sent, as far as it is kept."""
        try:
            found = parse_json(self.extra or "{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


class Shown(NamedTuple):
    """A run as Airflow shows it, as far as marks are checked against it."""

    state: str | None
    tasks: States
    changed_at: Mapping[str, datetime] = {}
    """When each task changed last, by name; empty where that is not known."""
    began_at: Mapping[str, datetime] = {}
    """When each task began last; what began after a mark is no longer as it was marked."""


class _Act(NamedTuple):
    """One thing that was asked for."""

    subject: str
    task_id: str | None
    """None: the whole run. A group's id ends in a dot."""
    map_index: int | None
    state: str | None
    """None: it was cleared."""
    more: str = ""


def marks_of(
    entries: Iterable[Entry], key: RunKey, shown: Shown, *, since: datetime, cleared_since: datetime | None
) -> tuple[str, ...]:
    """What people did to the run, the oldest first, as sentences without a full stop.

    :param since: of marks.
    :param cleared_since: of what was cleared; None: that is not told.
    """
    newest: dict[tuple[str, bool], tuple[_Act, Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.at):
        for act in _acts(entry, key):
            begin = since if act.state is not None else cleared_since
            if begin is not None and entry.at > begin and _took_effect(act, entry, shown):
                newest[act.subject, act.state is None] = act, entry
    found = sorted(newest.values(), key=lambda each: each[1].at)
    return tuple(_sentence(act, entry, since) for act, entry in found[-SHOWN:])


def _sentence(act: _Act, entry: Entry, since: datetime) -> str:
    at = entry.at.astimezone(UTC)
    day = "" if at.date() == since.astimezone(UTC).date() else f"{at:%Y-%m-%d} "
    did = f"marked {act.state}" if act.state else "cleared"
    return f"{act.subject} {did}{act.more} by {entry.owner or 'somebody'} at {day}{at:%H:%M:%S} UTC"


def _took_effect(act: _Act, entry: Entry, shown: Shown) -> bool:
    if act.task_id is None:
        # Airflow ends a run as success that was marked failed before its first task began: it skipped its verdict, too
        was_skipped = act.state == "failed" and shown.tasks.get(VERDICT_TASK) == "skipped"
        return act.state is None or act.state == shown.state or was_skipped
    tasks = [name for name in shown.tasks if _is_about(act, name)]
    if act.state is not None:
        tasks = [
            name
            for name in tasks
            if shown.tasks[name] == act.state and (name not in shown.began_at or shown.began_at[name] <= entry.at)
        ]
    return any(name not in shown.changed_at or shown.changed_at[name] >= entry.at for name in tasks)


def _is_about(act: _Act, name: str) -> bool:
    assert act.task_id is not None
    if act.map_index is not None:
        return name == f"{act.task_id}_{act.map_index}"
    if act.task_id.endswith("."):
        return name.startswith(act.task_id)
    stem, _, index = name.rpartition("_")
    return name == act.task_id or (stem == act.task_id and index.isdigit())


def _acts(entry: Entry, key: RunKey) -> Iterator[_Act]:
    """What the entry asks for of this run; nothing where it is about another."""
    sent = entry.sent
    if entry.event in {"bulk_task_instances", "bulk_dag_runs"}:
        for entity in _updated(sent):
            if _names(entry, entity, key):
                yield from _marked(entity.get("task_id"), entity, entity.get("new_state", entity.get("state")))
    elif entry.event == "clear_dag_runs":
        if any(_names(entry, run, key) for run in _dicts(sent.get("dag_runs"))):
            yield _cleared_run(sent)
    elif _names(entry, {}, key):
        yield from _acts_on_one(entry, sent)


def _acts_on_one(entry: Entry, sent: Mapping[str, Any]) -> Iterator[_Act]:
    match entry.event:
        case "clear_dag_run":
            yield _cleared_run(sent)
        case "post_clear_task_instances":
            yield from _cleared(sent)
        case "patch_task_group_instances":
            yield from _marked(f"{sent.get('group_id')}.", sent, sent.get("new_state"))
        case "patch_task_instance":
            yield from _marked(entry.task_id, sent, sent.get("new_state"))
        case "patch_dag_run":
            yield from _marked(None, sent, sent.get("state"))


def _updated(sent: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for action in _dicts(sent.get("actions")):
        if action.get("action") == "update":
            yield from _dicts(action.get("entities"))


def _dicts(found: object) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _names(entry: Entry, entity: Mapping[str, Any], key: RunKey) -> bool:
    dag_id = entry.dag_id if entry.dag_id not in {None, ANY} else entity.get("dag_id")
    run_id = entry.run_id if entry.run_id not in {None, ANY} else entity.get("dag_run_id")
    return (dag_id, run_id) == key


def _marked(task_id: str | None, sent: Mapping[str, Any], state: object) -> Iterator[_Act]:
    if isinstance(state, str):
        index = _index(sent.get("map_index"))
        yield _Act(_subject(task_id, index), task_id, index, state.lower(), _more(sent))


def _cleared(sent: Mapping[str, Any]) -> Iterator[_Act]:
    named = sent.get("task_ids")
    if not isinstance(named, list):
        yield _cleared_run(sent)
        return
    for each in named:
        task_id, index = each if isinstance(each, list) and len(each) == 2 else (each, None)
        if isinstance(task_id, str):
            yield _Act(_subject(task_id, _index(index)), task_id, _index(index), None, _more(sent))


def _cleared_run(sent: Mapping[str, Any]) -> _Act:
    return _Act("its failed tasks" if sent.get("only_failed") else "the run", None, None, None)


def _subject(task_id: str | None, index: int | None) -> str:
    if task_id is None:
        return "the run"
    name = f"the group {task_id[:-1]}" if task_id.endswith(".") else task_id
    return name if index is None else f"{name}[{index}]"


def _index(value: object) -> int | None:
    if isinstance(value, int | str) and str(value).isdigit():
        return int(value)
    return None


def _more(sent: Mapping[str, Any]) -> str:
    sides = [
        side for name, side in (("upstream", "before"), ("downstream", "after")) if sent.get(f"include_{name}") is True
    ]
    return f" with what comes {' and '.join(sides)} it" if sides else ""
