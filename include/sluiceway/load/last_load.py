"""What the last good load of a table left, and whether it still stands."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from sluiceway.ledger import last_loads
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.store import TableRun
from sluiceway.ledger.warehouse import Session
from sluiceway.load.target import count_rows
from sluiceway.load.version import LOAD_VERSION
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    from sluiceway.load.bigquery.dataset import Dataset


def spec_hash(spec: TableSpec) -> str:
    """What decides which rows a source becomes: the table's file and the version of the code."""
    return hashlib.sha256(f"{spec.fingerprint()} {LOAD_VERSION}".encode()).hexdigest()


class LastLoad(NamedTuple):
    """The last good load of a table."""

    run: TableRun | None
    """The last good load."""
    intact: bool
    """Whether what it left still stands, and this very spec and code made it."""

    @property
    def known(self) -> str | None:
        """The fingerprint of a source that need not be loaded again."""
        return self.run.fingerprint if self.run is not None and self.intact else None


def last_load(spec: TableSpec, lock: Session, dataset: Dataset | None, *, force: bool) -> LastLoad:
    """What stands of it in the ledger and the warehouse.

    :param dataset: where the table's rows stand, if not in the warehouse.
    :param force: load again whatever stands.
    """
    check_revision(lock)
    last = last_loads.last_good_load(lock, spec.name)
    if force or last is None or last.spec_hash != spec_hash(spec):
        return LastLoad(last, intact=False)
    # a table emptied by hand is loaded again
    found = count_rows(lock, spec, dataset)
    return LastLoad(last, found is not None and found == last.table_rows)
