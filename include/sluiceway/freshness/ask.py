"""Asks for the verdict: reads the tables' files and the ledger, and asks the environment. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from sluiceway.deploy.commit import Deployed
from sluiceway.deploy.probe import probe_now
from sluiceway.deploy.spec import DATA_WITHIN, Environment
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

Look = Callable[[str | None], tuple[Tables, LedgerFacts | str]]
"""From the environment's name to the tables, and the ledger's facts of them or why there are none."""


class Unreadable(NamedTuple):
    """An environment whose file is wrong or missing."""

    name: str
    said: str


class Survey(NamedTuple):
    """The verdict, and the facts that it was spoken on: by whatever shows more than a verdict says."""

    verdict: Verdict
    facts: LedgerFacts | str
    """A sentence: why the ledger could not be read."""


def ask(
    url: str, environment: Environment | None, settings: Settings, connections: Connections = from_environment
) -> Verdict:
    """The verdict of this moment. What cannot be asked is unknown, with its sentence; nothing of that is raised.

    :param environment: None: no deployed commit is looked at.
    """

    def look(environment_name: str | None) -> tuple[Tables, LedgerFacts | str]:
        tables = registry.read_deployed(settings)
        return tables, facts_or_why(url, tables.names(), environment_name)

    return survey(look, environment, connections).verdict


def survey(look: Look, environment: Environment | Unreadable | None, connections: Connections) -> Survey:
    """As `ask`, of the tables that are looked at so, and with the facts."""
    # before the ledger: a deploy in between is then one that nobody has noted yet, and no run without a deploy
    seen = seen_now(environment, connections) if environment is not None else None
    tables, facts = look(environment.name if environment is not None else None)
    return Survey(verdict_of(tables, environment, seen, facts), facts)


def verdict_of(
    tables: Tables, environment: Environment | Unreadable | None, seen: Deployed | str | None, facts: LedgerFacts | str
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
        of_environment = judge_environment(environment.name, _data_within(environment), seen, names, facts)
    known = LedgerFacts(at=datetime.now(UTC), tables={}, runs=()) if isinstance(facts, str) else facts
    return judge(of_environment, verdicts, known)


def _data_within(environment: Environment | Unreadable) -> timedelta:
    return span(DATA_WITHIN if isinstance(environment, Unreadable) else environment.data_within)


def promise(spec: TableSpec) -> timedelta | None:
    """How old a good look at the table's source may be."""
    return span(spec.fresh_within) if spec.fresh_within is not None else None


def facts_or_why(url: str, names: list[str], environment: str | None = None) -> LedgerFacts | str:
    """The ledger's facts, or the sentence that says why there are none."""
    return read_or_why(partial(read, url, names, environment))


def read_or_why(reading: Callable[[], LedgerFacts]) -> LedgerFacts | str:
    """The same of any way to read them."""
    try:
        return reading()
    except (LedgerMissingError, SettingsError, WarehouseError, WarehouseUnavailableError) as error:
        return str(error)


def seen_now(environment: Environment | Unreadable, connections: Connections) -> Deployed | str:
    """What the environment serves, or the sentence that says why it could not be seen."""
    if isinstance(environment, Unreadable):
        return environment.said
    try:
        return probe_now(environment, connections)
    except (EndpointUnavailableError, NoCommitError, SettingsError) as error:
        return str(error)
