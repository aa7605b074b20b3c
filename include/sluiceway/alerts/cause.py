"""What one cause is. Pure.

Two failures have one cause when their errors say the same once what differs from place to place is left out: numbers,
times, ids, the last part of a path, the rows and the values that are shown, and the names of the table, the task, the
run and the DAG. So twenty tables that cannot reach one server, in one run or in twenty, have one cause, and a check
that other rows fail each day; another column that is missing is another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from sluiceway.run.facts import Facts
from sluiceway.run.reconcile import as_written
from sluiceway.run.report.causes import causes_of

_LOG = re.compile(r" ?\(log: \S+\)")
_ID = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,40}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_NAME = re.compile(r"(?<=/)[^/\s'\",;:]+(?=[\s'\",;:.]|$)")
_NUMBER = re.compile(r"\d[\d,._:]*")
_FAILING = re.compile(
    r"\d[\d,]* rows? fails? (checks\..*?): row \d.*?(?=; \d[\d,]* rows? fails? checks\.|\. Nothing was changed\.)"
)
"""Which rows fail a check, as load/failing.py shows them; the check remains."""
_VALUE = re.compile(
    r"""(?<=: )((['"]).*?(\2|\.\.\.)(?= (is no|fails) )|((?!: ).)+?(?= fails (references|unique|range|holds) ))"""
)
"""What stood in a rejected row; column and reason remain."""
_FILE = re.compile(r" \([^()]*, row \d[\d,]*\)")
"""In which of several files the row stood."""

_SOURCES = "pre.check_sources"
"""It says of sources what the loads of their tables say, too."""


class Cause(NamedTuple):
    """Why a part of a run is red."""

    key: str
    text: str
    table: str | None


def key_of(kind: str, text: str, names: Iterable[str] = ()) -> str:
    """The same for every error of one cause.

    :param kind: what has such causes.
    :param names: of the table, the task, the run and the DAG, which the text may hold.
    """
    plain = _LOG.sub("", text)
    for name in sorted(filter(None, names), key=len, reverse=True):
        plain = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "*", plain)
    plain = _FILE.sub("", _VALUE.sub("*", _FAILING.sub(r"rows fail \1", plain)))
    for pattern in (_ID, _NAME, _NUMBER):
        plain = pattern.sub("*", plain)
    return hashlib.sha256(f"{kind}\n{' '.join(plain.split())}".encode()).hexdigest()[:16]


def error_key(text: str, *names: str) -> str:
    """Of an error, `<type>: <what it said>`, of a load or of a task."""
    return key_of("error", text, names)


def of_run(facts: Facts) -> list[Cause]:
    """Why a red run is red: of each table and each task that has failed, or else what its verdict says."""
    run = facts.run
    found: list[Cause] = []
    truth = as_written(run)
    causes = causes_of(facts, truth, None)
    for each in facts.tables:
        said = each.error if each.status == "failed" else causes.tables[each.table_name].get("error")
        if said is not None:
            found.append(_cause(each.error_type, str(said), each.table_name, (each.table_name, *run.key)))
    for task in causes.tasks:
        if found and task.name == _SOURCES:
            continue
        found.append(_cause(task.error_type, task.error or "", None, (task.name, *run.key)))
    if not found:
        found.append(_cause(None, run.note or "no reason was told", None, run.key))
    return found


def _cause(error_type: str | None, said: str, table: str | None, names: tuple[str, ...]) -> Cause:
    text = " ".join((f"{error_type}: {said}" if error_type else said).split())
    return Cause(error_key(text, *names), text, table)
