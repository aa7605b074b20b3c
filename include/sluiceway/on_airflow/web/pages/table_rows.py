"""The rows of the page of freshness: a verdict's tables as they are asked for. Pure, and quick for a thousand."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, get_args
from urllib.parse import urlencode

from sluiceway.errors import LONGEST_NAME, shortened
from sluiceway.freshness.around import LastLoads
from sluiceway.freshness.model import TableState, TableVerdict, Verdict
from sluiceway.ledger.rows import CLI
from sluiceway.spans import lasting

STATES = get_args(TableState)
SORTS = ("worst", "table", "age", "rows", "rejects")
SPARK_WIDTH, SPARK_HEIGHT = 60, 16
"""Of the drawing of a trend, in units of its own."""


class Asked(NamedTuple):
    """What the address asks for."""

    state: str
    """One of STATES; empty: all."""
    sort: str
    q: str
    """A part of a table's name; empty: all."""

    @classmethod
    def parse(cls, *, state: str, sort: str, q: str) -> Asked:
        """Of the address's parameters.

        :raises ValueError: it names a state or an order that does not exist; names the nearest.
        """
        for name, value, known in (("state", state, STATES), ("sort", sort, SORTS)):
            if value and value not in known:
                near = difflib.get_close_matches(value[:LONGEST_NAME], known, n=1, cutoff=0.5)
                hint = f"; did you mean {near[0]}?" if near else f": there are {', '.join(known)}."
                raise ValueError(f"There is no {name} {shortened(value)!r}{hint}")
        return cls(state, sort or SORTS[0], q.strip())

    def address(self, **changed: str) -> str:
        """The query part that asks for the same but for what is changed."""
        wanted = {**self._asdict(), **changed}
        told = {name: value for name, value in wanted.items() if value and (name, value) != ("sort", SORTS[0])}
        return f"?{urlencode(told)}" if told else "?"


class TableLoads(NamedTuple):
    """What a line says of its table's loads: the same until the next one comes."""

    data_from: datetime | None
    rows: int | None
    history: tuple[int, ...]
    """Rows that each of the last loads left, the oldest first."""
    last: LastLoads | None
    """Its newest try; None: there is none, or the reader may not know of it."""
    is_hidden: bool
    """There is one of which the reader may not know."""

    @property
    def change(self) -> int:
        """Rows that the last load brought or took."""
        return self.history[-1] - self.history[-2] if len(self.history) > 1 else 0

    @property
    def trend(self) -> str:
        """The points of its drawing; empty: there is nothing to draw."""
        return points(self.history)


class TableRow(NamedTuple):
    """One table as a line of the page."""

    table: TableVerdict
    age: str
    """How long ago it was looked at; empty: never."""
    promise: str
    share: float
    """How much of its promise is used up, in units of 100, at most 100."""
    loads: TableLoads
    told: str | None
    """What else there is to say."""


class Tables(NamedTuple):
    """What is shown of all."""

    rows: list[TableRow]
    total: int
    counts: dict[str, int]
    """Of all tables, by state, the worst first."""
    sentence: str | None
    """What is to be said of every one, and therefore once."""


def shown(verdict: Verdict, loads: Mapping[str, LastLoads], readable: Collection[str], asked: Asked) -> Tables:
    """The tables that are asked for, in their order.

    :param readable: the DAGs whose runs the reader may read.
    """
    counts = Counter(each.state for each in verdict.tables)
    common = _common(verdict.tables)
    wanted = [
        each
        for each in verdict.tables
        if asked.state in {"", each.state} and asked.q.casefold() in each.table.casefold()
    ]
    known = {CLI, *readable}
    rows = [_row(each, verdict.computed_at, loads.get(each.table), known, common) for each in wanted]
    if (key := _KEYS.get(asked.sort)) is not None:
        rows.sort(key=key)
    return Tables(rows, len(verdict.tables), {state: counts[state] for state in STATES if counts[state]}, common)


_KEYS: dict[str, Callable[[TableRow], Any]] = {
    "table": lambda row: row.table.table,
    # the oldest first, and before it what nobody has ever looked at
    "age": lambda row: (row.table.looked_at is not None, row.table.looked_at or 0, row.table.table),
    "rows": lambda row: (-(row.table.rows or 0), row.table.table),
    "rejects": lambda row: (-(row.loads.last.rejected if row.loads.last else 0), row.table.table),
}


def _common(tables: Sequence[TableVerdict]) -> str | None:
    """The sentence of all tables, if it is one: a ledger that does not answer."""
    said = {(each.state, each.sentence) for each in tables}
    return tables[0].sentence if len(tables) > 1 and len(said) == 1 and tables[0].state == "unknown" else None


def _row(
    table: TableVerdict, at: datetime, last: LastLoads | None, readable: Collection[str], common: str | None
) -> TableRow:
    old = at - table.looked_at if table.looked_at is not None else None
    promise = table.fresh_within_s
    is_hidden = last is not None and last.dag_id not in readable
    history = last.rows if last is not None else ()
    return TableRow(
        table=table,
        age=lasting(old) if old is not None else "",
        promise=lasting(timedelta(seconds=promise)) if promise is not None else "",
        share=round(min(old.total_seconds() / promise, 1) * 100) if promise and old is not None else 0,
        loads=TableLoads(table.data_from, table.rows, history, None if is_hidden else last, is_hidden),
        told=None if is_hidden else _told(table, last, common),
    )


def _told(table: TableVerdict, last: LastLoads | None, common: str | None) -> str | None:
    if table.state == "unknown":
        return table.sentence if table.sentence != common else None
    if last is None or last.status != "failed":
        return None
    return last.error or "It failed without a message; its log says more."


def points(rows: Sequence[int]) -> str:
    """The points of a polyline over the counts, the oldest at the left, between the least and the most of them."""
    if len(rows) < 2:
        return ""
    least, most = min(rows), max(rows)
    height, step = SPARK_HEIGHT - 4, (SPARK_WIDTH - 4) / (len(rows) - 1)
    if least == most:
        return f"2,{SPARK_HEIGHT // 2} {SPARK_WIDTH - 2},{SPARK_HEIGHT // 2}"
    return " ".join(
        f"{2 + step * place:.0f},{2 + height * (most - count) / (most - least):.0f}" for place, count in enumerate(rows)
    )
