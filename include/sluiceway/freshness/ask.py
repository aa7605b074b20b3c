"""Asks for the verdict: reads the tables' files and the ledger, and asks the environment. Writes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sluiceway.deploy.commit import Deployed
from sluiceway.deploy.probe import probe_now
from sluiceway.deploy.spec import Environment
from sluiceway.errors import (
    EndpointUnavailableError,
    LedgerMissingError,
    NoCommitError,
    SettingsError,
    WarehouseError,
    WarehouseUnavailableError,
)
from sluiceway.freshness.facts import LedgerFacts, read
from sluiceway.freshness.judge import judge, judge_environment, judge_table, of_broken_file
from sluiceway.freshness.model import Verdict
from sluiceway.settings import Settings
from sluiceway.sources.connections import Connections, from_environment
from sluiceway.spans import span
from sluiceway.tables import registry
from sluiceway.tables.registry import Tables
from sluiceway.tables.spec import TableSpec


def ask(
    url: str, environment: Environment | None, settings: Settings, connections: Connections = from_environment
) -> Verdict:
    """The verdict of this moment. What cannot be asked is unknown, with its sentence; nothing of that is raised.

    :param environment: None: no deployed commit is looked at.
    """
    tables = registry.read_deployed(settings)
    seen = seen_now(environment, connections) if environment is not None else None
    facts = facts_or_why(url, tables.names(), environment.name if environment is not None else None)
    return verdict_of(tables, environment, seen, facts)


def verdict_of(
    tables: Tables, environment: Environment | None, seen: Deployed | str | None, facts: LedgerFacts | str
) -> Verdict:
    """What the facts come to for these tables.

    :param seen: what the environment serves, or why it could not be seen; None where there is none.
    """
    names = tables.names()
    verdicts = [
        of_broken_file(name, facts) if isinstance(facts, str) else judge_table(name, promise(spec), facts)
        for name, spec in tables.right.items()
    ]
    verdicts += [of_broken_file(name, said) for name, said in tables.wrong.items()]
    of_environment = None
    if environment is not None and seen is not None:
        of_environment = judge_environment(environment.name, span(environment.data_within), seen, names, facts)
    known = LedgerFacts(at=datetime.now(UTC), tables={}, runs=()) if isinstance(facts, str) else facts
    return judge(of_environment, verdicts, known)


def promise(spec: TableSpec) -> timedelta | None:
    """How old a good look at the table's source may be."""
    return span(spec.fresh_within) if spec.fresh_within is not None else None


def facts_or_why(url: str, names: list[str], environment: str | None = None) -> LedgerFacts | str:
    """The ledger's facts, or the sentence that says why there are none."""
    try:
        return read(url, names, environment)
    except (LedgerMissingError, WarehouseError, WarehouseUnavailableError) as error:
        return str(error)


def seen_now(environment: Environment, connections: Connections) -> Deployed | str:
    """What the environment serves, or the sentence that says why it could not be seen."""
    try:
        return probe_now(environment, connections)
    except (EndpointUnavailableError, NoCommitError, SettingsError) as error:
        return str(error)
