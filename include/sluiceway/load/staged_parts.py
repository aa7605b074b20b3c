"""Where the rows of a part wait for the other parts, and how all of them come into one load.

A part's rows lie in an unlogged table of its own, which the load hangs into its staging table: no row is copied again.
Neither survives the crash of a server, so they are counted before they are believed.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg import sql

from sluiceway.errors import PartsError, SchemaDriftError, SourceUnreadableError
from sluiceway.ledger import parts as ledger_parts
from sluiceway.ledger.parts import TablePart
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session
from sluiceway.load.last_load import spec_hash
from sluiceway.load.stage_table import PARTS_SCHEMA, StageName, create_stage, short_name, stage_table
from sluiceway.sources.piece import Piece
from sluiceway.sources.place import Place
from sluiceway.tables.spec import TableSpec

if TYPE_CHECKING:
    from sluiceway.load.staging import Staged
    from sluiceway.sources.extraction import Extraction

log = logging.getLogger(__name__)

AGAIN = "clear sub.plan_parts, with what comes after it, to begin anew"
LOCK_TIMEOUT = "10s"
SHOWN = 5


def stage_of(part: TablePart) -> StageName:
    """The table of its rows."""
    run = hashlib.sha256(str(part.key).encode()).hexdigest()[:8]
    return StageName(PARTS_SCHEMA, short_name(f"{part.table_name}_{run}_{part.part}"))


def rejects_of(part: TablePart) -> StageName:
    """The table of its rejects, as a RejectSpool holds them."""
    return StageName(PARTS_SCHEMA, short_name(f"{stage_of(part).name}_rejects"))


def drop_stages(session: Session, parts: Sequence[TablePart]) -> None:
    """Drop the tables of parts that nobody needs."""
    for part in parts:
        session.execute(
            sql.SQL("DROP TABLE IF EXISTS {}, {}").format(stage_of(part).identifier, rejects_of(part).identifier)
        )


def is_staged(session: Session, part: TablePart) -> bool:
    """Whether its rows and rejects lie there, as many as it had."""
    if part.status != "staged":
        return False
    tables = [(stage_of(part), part.staged), *([(rejects_of(part), part.rejected)] if part.rejected else [])]
    return all(_count(session, table) == count for table, count in tables)


def _count(session: Session, table: StageName) -> int | None:
    name = table.identifier
    found = session.execute(
        sql.SQL("SELECT to_regclass({}) IS NOT NULL AS found").format(sql.Literal(name.as_string(None)))
    )
    return int(session.execute(sql.SQL("SELECT count(*) AS n FROM {}").format(name))[0][0]) if found[0][0] else None


def drop_left(session: Session) -> list[str]:
    """Drop the tables of parts that no open run needs: of runs that were killed, or failed and were not repeated.

    :returns: their names.
    """
    needed = {table.name for part in ledger_parts.needed(session) for table in (stage_of(part), rejects_of(part))}
    rows = session.execute(
        sql.SQL(
            "SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = {} AND c.relkind = 'r' AND pg_has_role(c.relowner, 'USAGE') ORDER BY 1"
        ).format(sql.Literal(PARTS_SCHEMA))
    )
    left = [str(row[0]) for row in rows if row[0] not in needed]
    if left:
        # a load that still reads one of them will not be through for long
        session.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_TIMEOUT)))
    for name in left:
        session.execute(sql.SQL("DROP TABLE IF EXISTS {} CASCADE").format(sql.Identifier(PARTS_SCHEMA, name)))
    return left


@dataclass
class PartsRejects:
    """The rejects of all parts, as the load takes those of a RejectSpool."""

    spec: TableSpec
    parts: Sequence[TablePart]

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(part.rejected for part in self.parts)

    @property
    def without_key(self) -> int:
        """Of how many the key cannot be read."""
        return sum(part.without_key for part in self.parts)

    def hand_over(self, session: Session, table: str) -> None:
        """Bring all of them into a new temporary table, in the order of the source."""
        each = (sql.SQL("SELECT * FROM {}").format(rejects_of(part).identifier) for part in self.parts if part.rejected)
        session.execute(
            sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT * FROM ({}) every ORDER BY row_number").format(
                sql.Identifier(table), sql.SQL(" UNION ALL ").join(each)
            )
        )

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class StagedParts:
    """The parts that a run has planned for a table, before its load takes them for its source."""

    spec: TableSpec
    parts: tuple[TablePart, ...]

    @classmethod
    def read(cls, session: Session, run: RunKey, spec: TableSpec) -> StagedParts | None:
        """Those of a run's table; None where none are planned, so that it is loaded in one."""
        found = tuple(ledger_parts.of_table(session, run, spec.name))
        return cls(spec, found) if found else None

    @property
    def fingerprint(self) -> str | None:
        """Of the source when the parts were planned."""
        return self.parts[0].fingerprint

    @property
    def are_merged(self) -> bool:
        """Whether the run has loaded the table from them before."""
        return all(part.status == "merged" for part in self.parts)

    def check(self, session: Session, place: Place) -> None:
        """See that all of them are there, and of the source as it is and the table's file as it is.

        :raises PartsError: a part failed, or never ended; or what lies there is no longer what they were read from.
        """
        name = self.spec.name
        if failed := [part for part in self.parts if part.status == "failed"]:
            told = "; ".join(f"{_which(part)} failed ({part.error_type}: {part.error})" for part in failed[:SHOWN])
            more = f"; and {len(failed) - SHOWN:,} more" if len(failed) > SHOWN else ""
            raise PartsError(f"{name}: {told}{more}. Nothing was changed.")
        if missing := [part for part in self.parts if not is_staged(session, part)]:
            told = "; ".join(f"{_which(part)} {_why_missing(part)}" for part in missing[:SHOWN])
            more = f"; and {len(missing) - SHOWN:,} more" if len(missing) > SHOWN else ""
            raise PartsError(f"{name}: {told}{more}. Nothing was changed; {AGAIN}.")
        if any(part.spec_hash != spec_hash(self.spec) for part in self.parts):
            raise PartsError(f"{name}: the table's file was changed since its parts were planned; {AGAIN}.")
        if place.fingerprint is None or any(part.fingerprint != place.fingerprint for part in self.parts):
            # with what was read before, this load might undo one that has seen the newer source
            raise PartsError(f"{name}: {place.name} is no longer what its parts were planned from; {AGAIN}.")

    @contextmanager
    def opened(self) -> Iterator[Extraction]:
        """The source as the parts have found it, of which there is nothing left to read."""
        from sluiceway.sources.extraction import Extraction

        yield Extraction(columns=(self.parts[0].found or {}).get("columns", {}), batches=iter(()))

    def rejects(self) -> PartsRejects:
        """Their rejects."""
        return PartsRejects(self.spec, self.parts)

    def stage(self, session: Session) -> Staged:
        """Make the load's staging table of theirs.

        :raises SchemaDriftError: a column holds no value of its declared type, or no shape a measure.
        :raises SourceUnreadableError: the source's texts are in another encoding.
        """
        from sluiceway.load.cast import check_types
        from sluiceway.load.failing import Failing
        from sluiceway.load.staging import Staged

        staged = Staged()
        create_stage(session, self.spec)
        for part in self.parts:
            found = part.found or {}
            staged.extracted += part.extracted
            staged.staged += part.staged
            staged.repaired += part.repaired
            staged.values += Counter(found["values"])
            staged.failures += Counter(found["failures"])
            # a part of an older version says nothing of it
            if "failing" in found:
                staged.failing.add_all(Failing.of(found["failing"]))
            session.execute(
                sql.SQL("ALTER TABLE {} INHERIT {}").format(stage_of(part).identifier, stage_table(self.spec))
            )
        self._check_doubts()
        check_types(self.spec, staged.values, staged.failures)
        return staged

    def _check_doubts(self) -> None:
        """What no part alone could know of the whole source."""
        doubts = [(part.found or {}).get("doubts", {}) for part in self.parts]
        for about in sorted({name for each in doubts for name in each}):
            said = [each[about] for each in doubts if about in each]
            if None not in said:
                raise (SourceUnreadableError if about == "encoding" else SchemaDriftError)(said[0])

    def done(self, session: Session) -> None:
        """Let go of what the load has taken in: the tables of rows go with its staging table."""
        drop_stages(session, self.parts)
        ledger_parts.merged(session, self.parts[0].key, self.spec.name)


def _which(part: TablePart) -> str:
    return f"part {part.part} of {part.parts} ({Piece.model_validate(part.piece)})"


def _why_missing(part: TablePart) -> str:
    if part.status == "merged":
        return "is merged already"
    if part.status == "staged":
        return "is gone from the warehouse (its server crashed, or its rows were dropped with an older run)"
    if part.started_at is None:
        return "was never begun"
    return f"was begun on {part.worker} at {part.started_at:%Y-%m-%d %H:%M:%S} UTC and never ended"
