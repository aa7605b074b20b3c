"""What a person should know of a load that is good."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from sluiceway.amounts import counted
from sluiceway.tables.spec import TableSpec

log = logging.getLogger(__name__)


def note(spec: TableSpec, notes: Mapping[str, str], without_key: int = 0) -> str | None:
    """The sentences of a load, which are logged too; None where there are none.

    :param notes: of its source, by a word for what each is about.
    :param without_key: how many rejects there are whose key cannot be read.
    """
    said = list(notes.values())
    if spec.on_missing != "keep" and without_key:
        said.append(
            f"the key of {counted(without_key, 'reject')} cannot be read, and any row may be one of "
            f"them: no row was taken away (on_missing = {spec.on_missing!r})"
        )
    for each in said:
        log.warning("%s: %s", spec.name, each)
    return "; ".join(said) or None
