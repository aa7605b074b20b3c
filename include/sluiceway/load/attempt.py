"""One try at a table: whose it is, its number, how far it has come, and the row that it leaves in the ledger."""

from __future__ import annotations

import logging
import resource
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from sluiceway.errors import SluicewayError
from sluiceway.ledger import last_loads, store
from sluiceway.ledger.rejects import Reject, write_rejects
from sluiceway.ledger.store import RunKey, TableRun, TableStatus
from sluiceway.ledger.warehouse import Session, connect

log = logging.getLogger(__name__)


def peak_rss_bytes() -> int:
    """Largest resident set of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass
class Attempt:
    """One try: whose it is, and how far it has come, for the ledger row of one that fails."""

    run: RunKey
    at_least: int
    """The try that Airflow counts."""
    numbered: int | None = None
    started: float = field(default_factory=time.monotonic)
    extracted: int = 0
    rejected: int = 0
    sample: list[Reject] = field(default_factory=list)
    peak: int | None = None
    """The most resident memory that the load had, where another process than this one did it."""
    is_written: bool = False
    """Whether its row stands in a transaction that may have been committed."""

    def number(self, session: Session, table: str) -> int:
        """The try's number, found at its first use; in the table's turn, so that no other can have it."""
        if self.numbered is None:
            self.numbered = store.next_try(session, self.run, table, at_least=self.at_least)
        return self.numbered

    @property
    def try_number(self) -> int:
        """The same, once it is found."""
        return self.at_least if self.numbered is None else self.numbered

    def result(self, table: str, status: TableStatus, **values: Any) -> TableRun:
        """The try's row."""
        return TableRun(
            dag_id=self.run.dag_id,
            run_id=self.run.run_id,
            table_name=table,
            try_number=self.try_number,
            status=status,
            seconds=time.monotonic() - self.started,
            peak_rss_bytes=peak_rss_bytes() if self.peak is None else self.peak,
            worker=socket.gethostname(),
            **values,
        )

    def record_failure(self, url: str, table: str, error: SluicewayError) -> None:
        """Write the failure in a transaction of its own: the table's is rolled back."""
        result = self.result(
            table,
            "failed",
            extracted=self.extracted,
            rejected=self.rejected,
            error_type=type(error).__name__,
            error=str(error),
        )
        try:
            with connect(url) as ledger:
                if self.is_written and last_loads.is_loaded(ledger, result):
                    log.warning("%s: the load was committed although its end was not heard", table)
                    return
                number = self.number(ledger, table)
                store.begin_table(ledger, self.run, table, number)
                store.write_table_run(ledger, result.model_copy(update={"try_number": number}))
                write_rejects(ledger, self.run, table, number, self.sample)
        except SluicewayError:
            # the first error is the one to show; the verdict sees a table that never reported
            log.exception("%s: the failure could not be written into the ledger", table)
