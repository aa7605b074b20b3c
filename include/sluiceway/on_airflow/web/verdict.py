"""The verdict for the API server: one survey of a process, kept for two seconds, on which every face is drawn."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache, partial

from sluiceway.deploy.spec import Environment, read_environment
from sluiceway.errors import ConfigError, SettingsError, SluicewayError
from sluiceway.freshness import around, ask
from sluiceway.freshness.around import Around
from sluiceway.freshness.ask import Survey, Unreadable
from sluiceway.freshness.facts import LedgerFacts, read_in
from sluiceway.freshness.kept import Memory, Rendered, rendered
from sluiceway.ledger.kept import KeptConnection
from sluiceway.on_airflow.connections import connections
from sluiceway.on_airflow.web.connections import warehouse_url
from sluiceway.settings import load_settings
from sluiceway.tables.kept import KeptTables
from sluiceway.tables.registry import Tables

log = logging.getLogger(__name__)
memory = Memory()
"""Of this process. Whatever the faces ask the ledger goes through its threads: so many are their connections."""


async def survey() -> Survey:
    """How the data stands: of this moment, or of at most two seconds ago. Raises nothing that the ledger may say."""
    return await memory.get("survey", _survey)


def survey_now() -> Survey:
    """As `survey`, for a page that is made in a thread of its own."""
    return memory.soon("survey", _survey).result()


def around_soon() -> Future[Around]:
    """What stands around the verdict, kept as that is; or that it will be there, while the verdict is made."""
    return memory.soon("around", _around)


async def drawn(name: str, draw: Callable[[Survey], bytes]) -> Rendered:
    """What a face answers with, drawn once of a survey, by another thread than the event loop's.

    :param name: tells what is drawn from all else that is.
    """
    found = await survey()
    # by the survey's moment: bytes of an older one must not be answered with
    return await memory.get((name, found.verdict.computed_at), partial(_drawn, draw, found))


def _drawn(draw: Callable[[Survey], bytes], found: Survey) -> Rendered:
    return rendered(draw(found))


def _survey() -> Survey:
    return ask.survey(_look, _environment(), connections)


def _around() -> Around:
    try:
        names = _tables().read_deployed().names()
        return _pages().ask(lambda session: around.read_in(session, names))
    except SluicewayError as error:
        # the verdict says so itself
        log.error("What stands around the verdict cannot be read: %s", error)
        return Around()


def _look(environment: str | None) -> tuple[Tables, LedgerFacts | str]:
    # the ledger is asked while the files are looked at: a thousand take them as long as it. Of a table that came or
    # went since the last survey it is asked again
    known = _tables().names()
    asked = _ledger().thread.submit(_read, known, environment)
    tables = _tables().read_deployed()
    names, facts = tables.names(), asked.result()
    if names != known:
        facts = _ledger().thread.submit(_read, names, environment).result()
    return tables, facts


def _read(names: list[str], environment: str | None) -> LedgerFacts | str:
    return ask.read_or_why(
        lambda: _ledger().ask(lambda session: read_in(session, names, environment)),
    )


@cache
def _ledger() -> KeptConnection:
    """Of surveys, of which there is one at a time."""
    return KeptConnection(warehouse_url, name="sluiceway freshness", is_snapshot=True)


@cache
def _pages() -> KeptConnection:
    """Of what pages show beside it."""
    return KeptConnection(warehouse_url, name="sluiceway pages", is_snapshot=True)


def _environment() -> Environment | Unreadable | None:
    name = load_settings().environment
    if name is None:
        return None
    try:
        return read_environment(name)
    except (ConfigError, SettingsError) as error:
        return Unreadable(name, str(error))


@cache
def _tables() -> KeptTables:
    return KeptTables(load_settings())
