"""Publishing: the last step of a run that changes what the web service reads."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from psycopg import sql

from sluiceway.ledger import changes, last_loads, publications, row_locks, store
from sluiceway.ledger.publications import Publication
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session, connect
from sluiceway.run import building, standing, views
from sluiceway.run.views import View
from sluiceway.settings import load_settings
from sluiceway.tables import files

log = logging.getLogger(__name__)


class Published(NamedTuple):
    """The views that a run has published, by name, in the order in which they were refreshed."""

    views: list[str]
    changed: list[str]
    """Those of them that may hold something else than when somebody was last told of them."""


def aggregate(url: str, run: RunKey) -> Published:
    """Publish: refresh the views that the run's tables feed, all in one transaction.

    A view that also reads a table whose newest load failed, of whatever run, stays as it is, and the ledger says why.
    """
    with connect(url) as session:
        # two DAGs that publish one view would both create it
        row_locks.take(session, "publish", before=[sql.SQL("hashtext('sluiceway.publish')")])
        # a load writes its rows and its row of the ledger at once: each view is refreshed with these at least
        seen = [each for each in store.table_tries(session, run) if each.status in {"loaded", "unchanged"}]
        loaded = {each.table_name for each in store.table_runs(session, run)}
        deployed = views.deployed_views()
        fed = views.fed_by(deployed, loaded)
        unfed = views.unfed(deployed, {*loaded, *files.deployed_names()})
        edited = building.edited(session, fed)
        withheld = _withheld(session, list(fed), edited) | {view.name: why for view, why in unfed.items()}
        for name, why in withheld.items():
            log.warning("The view %s is not published: %s", name, why)
        published = [view for view in fed if view.name not in withheld]
        changed = _changed(session, deployed, published, edited)
        built = building.build(session, published)
        became = [
            Publication(view_name=view.name, tables=tuple(tables), withheld=withheld.get(view.name))
            for view, tables in {**fed, **dict.fromkeys(unfed, ())}.items()
        ]
        publications.record(session, run, became, seen)
        # last of all: from here to the commit who reads a view that was built anew must wait
        building.show(session, built)
    return Published([view.name for view in published], [view.name for view in published if view.name in changed])


def _changed(
    session: Session, deployed: Sequence[View], published: Sequence[View], edited: Collection[str]
) -> set[str]:
    """Those that were edited, that nobody was told of, and that read what has changed since then, also through others.

    What no load writes, a job's results, may have changed: the ledger does not know when.
    """
    read = {table for view in deployed for table in view.tables} - {view.name for view in deployed}
    feeding = views.fed_by(deployed, read)
    unknown = read - {path.stem for path in files.table_files(load_settings().config_dir)}
    loaded_at, told_at = changes.loaded_at(session, read), changes.told_at(session)
    changed: set[str] = set()
    for view in published:
        told = told_at.get(view.name)
        if (
            told is None
            or view.name in edited
            or not changed.isdisjoint(view.tables)
            or not unknown.isdisjoint(feeding[view])
            or any(loaded_at.get(table, told) > told for table in feeding[view])
        ):
            changed.add(view.name)
    return changed


def _withheld(session: Session, fed: Sequence[View], edited: Mapping[str, Collection[str]]) -> dict[str, str]:
    """The views that stay as they are, each with the reason."""
    withheld: dict[str, str] = {}
    # one that stays may keep another from being made anew, and that one those that read it
    while True:
        more = {
            view.name: why
            for view in fed
            if view.name not in withheld and (why := _why_withheld(session, view, fed, withheld, edited)) is not None
        }
        if not more:
            return withheld
        withheld |= more


def _why_withheld(
    session: Session,
    view: View,
    fed: Sequence[View],
    withheld: Mapping[str, str],
    edited: Mapping[str, Collection[str]],
) -> str | None:
    """What is wrong with what the view reads, or with what reads it and would go with it; None: nothing."""
    published = {each.name for each in fed} - withheld.keys()
    if (elsewhere := views.reads_elsewhere(view)) is not None:
        return elsewhere
    for table in view.tables:
        if table in withheld:
            return f"it reads {table}, which was not published"
        if table not in published and not standing.exists(session, table):
            return f"{table} is not in the warehouse"
        last = last_loads.last_try(session, table)
        if last is not None and last.status == "failed":
            return f"{table} failed in {last.key}"
    for reader in sorted(edited.get(view.name, ())):
        if (name := reader.removeprefix("public.")) in withheld:
            return f"its file was edited, and {name}, which reads it, was not published"
    return None
