"""The checks of values that PostgreSQL answers, of the rows that are staged: holds, references, unique, null_share.

A row that fails becomes a reject as one that repeats a key does, and stands in REJECTED too: it is still in the source,
so that on_missing takes its row in the warehouse for no missing one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from sluiceway.amounts import counted
from sluiceway.errors import CheckFailedError, ConfigError, WarehouseError
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import Session
from sluiceway.load.computed import compute
from sluiceway.load.failing import SHOWN, Failing
from sluiceway.load.failing_rows import (
    any_repeated,
    column_of,
    failing_alone,
    repeated,
    rows_of_table,
    staged_rows,
    standing,
)
from sluiceway.load.rejected import REJECTED, key_as_json, of_file, reject_duplicates
from sluiceway.load.session import INTERNAL_ERROR
from sluiceway.load.stage_table import (
    KEY_PREFIX,
    NOT_OF_THE_ROW,
    ROW_NUMBER,
    BeginAnewError,
    stage_table,
)
from sluiceway.sources.rows_from import RowsFrom
from sluiceway.tables.checks import Rule
from sluiceway.tables.spec import TableSpec

_TEXTS = frozenset({"text", "varchar"})
_REFUSED = "42"
"""SQLSTATE class of what PostgreSQL does not understand: a text compared with a number."""


class FailingRowsError(BeginAnewError):
    """Only a staging table tells which rows fail a check."""

    def __init__(self) -> None:
        super().__init__("rows fail a check; they are staged, to tell which")


@dataclass
class Lost:
    """Staged rows that became rejects. Counts of rows."""

    repeated: int = 0
    """Those that repeat a key."""
    alone: int = 0
    """Those that cannot be computed, or fail a check."""
    without_key: int = 0
    """Those among the latter by which no row of the table is known."""

    @property
    def count(self) -> int:
        """All of them."""
        return self.repeated + self.alone


def reject_staged(
    session: Session,
    spec: TableSpec,
    run: RunKey,
    try_number: int,
    failing: Failing,
    *,
    increment: bool,
    rows_from: RowsFrom | None = None,
) -> Lost:
    """Make rejects of staged rows: those that fail by themselves, that repeat a key, and that repeat other values.

    Columns of an expression are computed first.

    :param failing: counts those that end the load, too.
    :param increment: the source has other rows, which are in the table.
    :param rows_from: of several files, which of them a row is of.
    :raises NotAsRememberedError: of a row that repeats a key only the key was staged.
    :raises ReferenceMissingError: a table to which a check refers is not there yet.
    :raises ConfigError: PostgreSQL does not take an expression, or a condition.
    :raises CheckFailedError: PostgreSQL cannot compute a condition for a row; or a column has too many nulls.
    """
    computed = compute(session, spec, run, try_number, rows_from)
    lost = Lost(alone=computed.count, without_key=computed.without_key)
    # of several files it makes a table
    asks = bool(spec.checks.columns or spec.checks.rows)
    file = of_file(session, rows_from if asks else None, "failing", "number")
    checks = _Rejecting(session, spec, run, try_number, lost, failing, file)
    in_batches = list(spec.given().checks.rules("accepted", "range"))
    for rule in spec.checks.rules("accepted", "range", "holds", "references"):
        if rule not in in_batches:
            checks.reject(rule, failing_alone(session, spec, rule, staged_rows(spec)))
    lost.repeated = reject_duplicates(session, spec, run, try_number, rows_from)
    for rule in spec.checks.rules("unique"):
        checks.reject(rule, repeated(spec, rule))
        if increment:
            checks.reject(rule, standing(spec, rule))
    if not increment:
        check_null_shares(session, spec, staged_rows(spec))
    return lost


def check_new(session: Session, spec: TableSpec) -> None:
    """See that the rows which a first load has copied into the table itself pass.

    :raises FailingRowsError: a row does not.
    :raises CheckFailedError: a column has too many nulls.
    """
    rows = rows_of_table(spec)
    for rule in spec.checks.rules("holds", "references", "unique"):
        if rule.kind == "unique":
            found = any_repeated(rule, rows)
        else:
            found = sql.SQL("SELECT 1 AS found FROM ({}) f LIMIT 1").format(failing_alone(session, spec, rule, rows))
        with _judging(spec, rule):
            if session.execute(found):
                raise FailingRowsError
    check_null_shares(session, spec, rows)


def check_null_shares(session: Session, spec: TableSpec, rows: sql.Composed | None = None) -> None:
    """Raises CheckFailedError when a column has more nulls than its `null_share` allows.

    :param rows: the rows that count; default: those of the table.
    """
    shares = spec.checks.null_shares()
    if not shares:
        return
    counts = session.execute(
        sql.SQL("SELECT count(*) AS rows, {} FROM ({}) v").format(
            sql.SQL(", ").join(
                sql.SQL("count(*) FILTER (WHERE v.{} IS NULL) AS {}").format(
                    sql.Identifier(name), sql.Identifier(f"n{number}")
                )
                for number, name in enumerate(shares)
            ),
            rows or rows_of_table(spec),
        )
    )[0]
    if said := nulls_beyond(spec, int(counts[0]), dict(zip(shares, map(int, counts[1:]), strict=True))):
        raise CheckFailedError(f"{spec.name}: {'; '.join(said)}. Nothing was changed. Mend the source, or raise it.")


def nulls_beyond(spec: TableSpec, rows: int, nulls: Mapping[str, int]) -> list[str]:
    """Of which columns more rows than `null_share` allows have null, in words.

    :param nulls: how many of `rows` have.
    """
    return [
        f"{name} is null in {nulls[name]:,} of {counted(rows, 'row')}, and checks.columns.{name}.null_share = "
        f"{share:g} allows {spec.checks.nulls_allowed(name, rows):,}"
        for name, share in spec.checks.null_shares().items()
        if nulls[name] > spec.checks.nulls_allowed(name, rows)
    ]


@contextmanager
def _judging(spec: TableSpec, rule: Rule) -> Iterator[None]:
    """Turns what PostgreSQL says of a check into a sentence about it."""
    try:
        yield
    except WarehouseError as error:
        said = str(error).rpartition("ERROR:")[2].strip()
        where = f"{spec.name}: {rule.where}.{rule.told}"
        # of what goes wrong while rows are computed the driver does not hand over PostgreSQL's own code
        if rule.kind == "holds" and error.sqlstate == INTERNAL_ERROR:
            raise CheckFailedError(
                f"{where} cannot be computed for every row: {said}. Nothing was changed. Write it so that it can, such "
                f"as a / nullif(b, 0), or CASE WHEN ... END."
            ) from error
        if (error.sqlstate or "").startswith(_REFUSED):
            raise ConfigError(f"{where}: PostgreSQL refuses it: {said}. Nothing was changed.") from error
        raise


@dataclass
class _Rejecting:
    """Makes rejects of the staged rows of one load."""

    session: Session
    spec: TableSpec
    run: RunKey
    try_number: int
    lost: Lost
    failing: Failing
    file: sql.Composable
    """SQL for what a reason says of the row's file."""

    def reject(self, rule: Rule, failing: sql.Composed) -> None:
        """Make rejects of the rows that `failing` selects: number, value, and what is said besides."""
        spec = self.spec
        # of a content nobody knows which row it would have been
        key = [] if spec.key == "content" else [f"{KEY_PREFIX}{number}" for number in range(len(spec.key_columns))]
        self._ensure_rejected(key)
        shown = f"{rule.columns[0]}: " if len(rule.columns) == 1 else ""
        statement = sql.SQL(
            """
            WITH failing AS MATERIALIZED ({failing}), lost AS (
                DELETE FROM {stage} s USING failing WHERE s.{number} = failing.number
                RETURNING failing.number, failing.value,
                          {shown} || failing.value || {fails} || failing.said || {file} AS reason,
                          to_jsonb(s.*) - {own} AS "row", {key_json} AS key{key_values}
            ), kept AS (
                INSERT INTO etl.reject
                    (dag_id, run_id, table_name, try_number, row_number, column_name, reason, "row", key)
                SELECT {dag_id}, {run_id}, {table}, {try_number}, number, {column}, reason, "row", key FROM lost
            ), handed AS (
                INSERT INTO {rejected} (row_number, column_name, reason, "row"{key})
                SELECT number, {column}, reason, "row"::text{key} FROM lost
            )
            SELECT count(*) OVER () AS count, number, value FROM lost ORDER BY number LIMIT {most}
            """
        ).format(
            failing=failing,
            stage=stage_table(spec),
            number=sql.Identifier(ROW_NUMBER),
            shown=sql.Literal(shown),
            fails=sql.Literal(f" fails {rule.told}"),
            file=self.file,
            own=NOT_OF_THE_ROW,
            key_json=key_as_json(spec, lambda name: sql.Identifier("s", name)),
            key_values=_each_after_a_comma(
                sql.SQL("s.{}::text AS {}").format(sql.Identifier(name), sql.Identifier(as_text))
                for name, as_text in zip(spec.key_columns, key, strict=False)
            ),
            dag_id=sql.Literal(self.run.dag_id),
            run_id=sql.Literal(self.run.run_id),
            table=sql.Literal(spec.name),
            try_number=sql.Literal(self.try_number),
            column=sql.Literal(column_of(spec, rule)),
            rejected=sql.Identifier(REJECTED),
            key=_each_after_a_comma(map(sql.Identifier, key)),
            most=sql.Literal(SHOWN),
        )
        with _judging(spec, rule):
            first = self.session.execute(statement)
        if not first:
            return
        count = int(first[0][0])
        self.lost.alone += count
        self.lost.without_key += 0 if key else count
        if rule.fails_table:
            self.failing.add(rule.key, count, ((int(number), str(value)) for _, number, value in first))

    def _ensure_rejected(self, key: Sequence[str]) -> None:
        """Make REJECTED as a RejectSpool does, where nothing stands in it yet."""
        self.session.execute(
            sql.SQL(
                "CREATE TEMPORARY TABLE IF NOT EXISTS {} (row_number bigint, column_name text, reason text, "
                '"row" text{}) ON COMMIT DROP'
            ).format(
                sql.Identifier(REJECTED),
                _each_after_a_comma(sql.SQL("{} text").format(sql.Identifier(name)) for name in key),
            )
        )


def _each_after_a_comma(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.Composed([each for part in parts for each in (sql.SQL(", "), part)])
