"""Whether what a source gave is good enough to be loaded, beside what the last load found."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from sluiceway.amounts import counted
from sluiceway.errors import EmptyExtractionError, SchemaDriftError, ShrunkExtractionError, listed
from sluiceway.ledger.store import TableRun
from sluiceway.tables.spec import TableSpec

log = logging.getLogger(__name__)


def check_drift(spec: TableSpec, columns: Mapping[str, str], before: Mapping[str, str]) -> None:
    """A declared column whose kind of value changed is an error.

    :param columns: the source's, with the kind of their values.
    :param before: the same at the last load of this very spec; empty if there was none.
    :raises SchemaDriftError: names each of them.
    """
    if not before:
        return
    declared = {str(source) for name in spec.given().columns for source in spec.source_names(name)}
    retyped = [
        f"column {name!r} held {before[name]} and now holds {kind}"
        for name, kind in columns.items()
        if name in declared and before.get(name, kind) != kind
    ]
    if retyped:
        raise SchemaDriftError(f"{spec.name}: {'; '.join(retyped)}. Adapt [columns] or the source.")
    added = sorted(set(columns) - set(before))
    if added:
        log.warning("%s: the source has new columns, which are not loaded: %s", spec.name, listed(added))


def check_extracted(spec: TableSpec, extracted: int, last: TableRun | None) -> None:
    """Check a load of the whole source.

    :raises EmptyExtractionError: it gave fewer rows than checks.min_rows.
    :raises ShrunkExtractionError: it gave far fewer than it held at the last good load.
    """
    if extracted < spec.checks.min_rows:
        found = f"only {counted(extracted, 'row')}" if extracted else "no rows"
        raise EmptyExtractionError(
            f"{spec.name}: the source gave {found}, checks.min_rows is {spec.checks.min_rows:,}. Nothing was changed."
        )
    held = held_by_source(last)
    if last is not None and extracted < spec.checks.least(held):
        raise ShrunkExtractionError(
            f"{spec.name}: the source gave {counted(extracted, 'row')} and {held:,} at the last good load "
            f"({last.key}), a fall of more than checks.max_shrink = {spec.checks.max_shrink:g}. Nothing was "
            f"changed. If that is right, raise max_shrink for one load."
        )


def check_taken_away(spec: TableSpec, gone: int, before: int) -> None:
    """Check what on_missing takes away.

    :param before: the table's live rows.
    :raises ShrunkExtractionError: it is more of them than checks.max_shrink allows.
    """
    if gone > spec.checks.most_gone(before):
        raise ShrunkExtractionError(
            f"{spec.name}: on_missing = {spec.on_missing!r} would take away {gone:,} of {counted(before, 'row')}, more "
            f"than checks.max_shrink = {spec.checks.max_shrink:g} allows. If that is right, raise max_shrink for one "
            f"load."
        )


def held_by_source(last: TableRun | None, *, extracted: int | None = None, inserted: int = 0) -> int:
    """How many rows the source held at a load: all that it gave, or what it held before and those that are new since.

    Not the rows of the warehouse table, which keeps those that the source no longer holds, and not what an increment
    gave, which says nothing about the rest.

    :param last: the good load before it.
    :param extracted: what it gave as a whole; None for an increment.
    :param inserted: what an increment brought that was not there.
    """
    if extracted is not None:
        return extracted
    return (last.source_rows or 0) + inserted if last is not None else inserted
