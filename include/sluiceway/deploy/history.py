"""What is written down of the commits that an environment serves: deploy/stints.py by the warehouse's URL."""

from __future__ import annotations

from sluiceway.deploy import stints
from sluiceway.deploy.commit import Sighting
from sluiceway.deploy.stints import Loads, Stint
from sluiceway.ledger.revision import check_revision
from sluiceway.ledger.warehouse import connect
from sluiceway.tables.files import deployed_names


def write_sighting(url: str, environment: str, seen: Sighting) -> Stint:
    """Write down what a look has seen; the newest stint, as `stints.note` tells it."""
    with connect(url) as session:
        return stints.note(session, environment, seen)


def current_stint(url: str, environment: str) -> Stint | None:
    """Since when the environment serves what it serves, as far as anybody has looked."""
    with connect(url) as session:
        return stints.current(session, environment)


def has_returned(url: str, stint: Stint) -> bool:
    """Whether the environment served the commit before, and another one since."""
    with connect(url) as session:
        return stints.has_returned(session, stint)


def loads_of(url: str, dag_id: str, commit: str) -> Loads:
    """What the ledger knows of the commit's loads into all tables of this deployment.

    :raises LedgerMissingError: the warehouse has no ledger of this version.
    """
    with connect(url) as session:
        check_revision(session)
        return stints.loads(session, dag_id, commit, tables=len(deployed_names()))


def ask_for_run(url: str, stint: Stint, run_id: str) -> None:
    """Note which run the watch starts for the stint."""
    with connect(url) as session:
        stints.ask_for_run(session, stint, run_id)


def settle(url: str, stint: Stint) -> None:
    """Note that the stint needs nothing more."""
    with connect(url) as session:
        stints.settle(session, stint)
