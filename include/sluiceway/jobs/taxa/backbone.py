"""Which version of its data each source of taxa answers from; results of an older one are asked anew, spread over days.

A release of the Catalogue of Life XR gives about 2.3 % of its names another key, so names are matched again, by name.
Nothing is asked again here: results become due, and their own jobs ask.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sluiceway.jobs import recheck
from sluiceway.jobs.ask import Asker
from sluiceway.jobs.definition import Answer, Done, Failed, Results
from sluiceway.jobs.items import Item
from sluiceway.jobs.taxa import gbif, iucn
from sluiceway.ledger.warehouse import Session

log = logging.getLogger(__name__)

VERSIONS = Results(
    table="source_version",
    key="source",
    columns={"version": "text", "created": "text", "software": "text", "checked_at": "timestamptz"},
    comment="The version of its data that each source answers from; `software` is shown and nothing follows from it",
)


def check(batch: Sequence[Item], *, ask: Asker) -> Iterator[Answer]:
    """The version of each source; an item is the name of a source, which is that of its service.

    :raises ServiceError: a source fails, or does not say it.
    """
    for item in batch:
        if item.item not in _SOURCES:
            yield Failed(item.item, f"{item.item!r} is no source; known: {', '.join(_SOURCES)}")
            continue
        found = _SOURCES[item.item](ask.of(item.item))
        yield Done(item.item, found | {"checked_at": datetime.now(UTC)}, source_version=str(found["version"]))


def _of_gbif(ask: Asker) -> dict[str, Any]:
    return dict(gbif.release(ask)._asdict())


def _of_iucn(ask: Asker) -> dict[str, Any]:
    return {"version": iucn.red_list_version(ask)}


_SOURCES: Mapping[str, Callable[[Asker], dict[str, Any]]] = {gbif.GBIF.name: _of_gbif, iucn.IUCN.name: _of_iucn}


def make_older_due(session: Session, answers: Sequence[Done], *, jobs: Mapping[str, str], over: timedelta) -> None:
    """Let the results of jobs become due that came from an older version of their source.

    :param answers: of `check`.
    :param jobs: the job that asks a source, by the source.
    :param over: the time over which they are spread.
    """
    for answer in answers:
        version = str(answer.values["version"])
        if count := recheck.spread(session, jobs[answer.item], version=version, over=over):
            log.info("%s is now %s: %d results are asked anew within %s", answer.item, version, count, over)
