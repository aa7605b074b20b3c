"""What is to be said of a run of `sluiceway tables run`: no verdict judges it, and a good one has no sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from sluiceway.ledger.rows import TableRun
from sluiceway.run.reconcile import Truth

GONE = (
    "Its process is gone without a word (killed, or its machine went down): `sluiceway runs list` closes the run, and "
    "says what has become of its table."
)
UNTOLD = "its process has written nothing of it"
"""Of a table, where the run is over."""


def of_command_line(truth: Truth, tables: Sequence[TableRun], *, is_gone: bool) -> Truth:
    """The same with a sentence, which for such a run is that of its one table.

    :param is_gone: nobody is at work on a run that is open.
    """
    if truth.sentence:
        return truth
    if truth.status == "running" and is_gone:
        return truth.model_copy(update={"status": "abandoned", "sentence": GONE})
    if truth.status == "running":
        return truth.model_copy(update={"sentence": "The table is being loaded."})
    return truth.model_copy(update={"sentence": " ".join(map(_said, tables)) or None})


def _said(table: TableRun) -> str:
    if table.status == "unchanged":
        return "The source is unchanged since its last load: nothing was loaded."
    if table.status != "loaded":
        return f"The table was not loaded: {table.error or 'nobody wrote down why'}"
    rows = "row" if table.extracted == 1 else "rows"
    return (
        f"The table was loaded: {table.extracted:,} {rows} read, {table.inserted:,} inserted, "
        f"{table.updated:,} updated, {table.deleted:,} deleted, {table.rejected:,} rejected."
    )
