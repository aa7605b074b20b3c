"""From PostgreSQL's staging table into BigQuery: a load job into a staging table there, then one MERGE.

All of the table's rows change in that one statement or none does, and the same rows again change nothing: a try that
was ended anywhere is made good by the next one. BigQuery itself never ran this SQL: docs/how-to/bigquery.md.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from google.api_core import exceptions as api
from google.cloud import bigquery
from google.cloud.bigquery.table import PrimaryKey, TableConstraints
from psycopg import sql

from sluiceway.errors import SluicewayError, TargetMismatchError, WarehouseError
from sluiceway.ledger.store import RunKey
from sluiceway.load.bigquery.dataset import Dataset
from sluiceway.load.bigquery.shape import nullable, shown, staging_fields, table_fields, value_columns
from sluiceway.load.bigquery.staged import write_staged
from sluiceway.load.checks import check_taken_away
from sluiceway.load.merge import Merged
from sluiceway.load.session import BulkSession
from sluiceway.tables.spec import DELETED_COLUMN, RUN_COLUMN, TableSpec
from sluiceway.tables.targets import REJECTED_COLUMN

log = logging.getLogger(__name__)

STAGING_LASTS = timedelta(days=1)
"""So long BigQuery keeps a staging table that nobody has dropped."""
STIR_SECONDS = 60.0
"""So often PostgreSQL hears of a session that waits for BigQuery: cleanup_staging ends those that are silent."""


def merge_into(
    dataset: Dataset,
    session: BulkSession,
    run: RunKey,
    try_number: int,
    *,
    check_turn: Callable[[], None],
    rejects: int,
    without_key: int,
) -> Merged:
    """As load.merge.merge, in BigQuery; what it has done stands whatever becomes of the session's transaction.

    :param check_turn: raises when another load may have its turn already.
    :raises TargetMismatchError: a column or the key has another shape; nothing is changed then.
    :raises ShrunkExtractionError: on_missing would take away more rows than checks.max_shrink allows.
    :raises SluicewayError: as Dataset.named_errors; nothing is changed then, or the same rows again change nothing.
    """
    spec, staging = dataset.spec, dataset.staging_table(f"{run} {try_number}")
    takes_away = spec.on_missing != "keep" and not without_key
    dataset.await_earlier()
    _ensure_table(dataset)
    try:
        _stage(dataset, session, staging, with_rejects=takes_away and rejects > 0)
        with _stirred(session):
            gone = _missing(dataset, staging) if takes_away else 0
            check_turn()
            job = dataset.query(
                merge_statement(spec, dataset.table, staging, takes_away=takes_away),
                [bigquery.ScalarQueryParameter("run", "STRING", str(run))],
            )
            table_rows = dataset.count_rows()
    finally:
        _drop(dataset, staging)
    done = job.dml_stats
    if done is None or table_rows is None:
        raise WarehouseError(f"{spec.name}: BigQuery does not say what job {job.job_id} has done to {dataset.table}")
    marked = gone if spec.on_missing == "mark" else 0
    return Merged(
        inserted=done.inserted_row_count,
        updated=done.updated_row_count - marked,
        deleted=done.deleted_row_count + marked,
        table_rows=table_rows,
    )


def merge_statement(spec: TableSpec, table: str, staging: str, *, takes_away: bool) -> str:
    """The one statement that writes the table; its parameter @run is the run."""
    columns = value_columns(spec)
    values = [name for name in columns if name not in spec.key_columns]
    differs = [_differs(spec, name) for name in values]
    set_values = [f"`{name}` = s.`{name}`" for name in values]
    if spec.on_missing == "mark":
        differs.append(f"t.`{DELETED_COLUMN}` IS NOT NULL")
        set_values.append(f"`{DELETED_COLUMN}` = NULL")
    staged = ", ".join([*(_staged(spec, name) for name in columns), f"`{REJECTED_COLUMN}`"])
    parts = [
        f"MERGE INTO `{table}` AS t",
        f"USING (SELECT {staged} FROM `{staging}`) AS s",  # noqa: S608  # checked names
        f"ON {_same_key(spec)}",
    ]
    if differs:
        parts += [
            f"WHEN MATCHED AND NOT s.`{REJECTED_COLUMN}` AND ({' OR '.join(differs)})",
            f"THEN UPDATE SET {', '.join([*set_values, f'`{RUN_COLUMN}` = @run'])}",
        ]
    parts += [
        f"WHEN NOT MATCHED BY TARGET AND NOT s.`{REJECTED_COLUMN}`",
        f"THEN INSERT ({', '.join(f'`{name}`' for name in [*columns, RUN_COLUMN])})",
        f"VALUES ({', '.join([*(f's.`{name}`' for name in columns), '@run'])})",
    ]
    if takes_away and spec.on_missing == "delete":
        parts.append("WHEN NOT MATCHED BY SOURCE THEN DELETE")
    elif takes_away:
        parts += [
            f"WHEN NOT MATCHED BY SOURCE AND t.`{DELETED_COLUMN}` IS NULL",
            f"THEN UPDATE SET `{DELETED_COLUMN}` = CURRENT_TIMESTAMP(), `{RUN_COLUMN}` = @run",
        ]
    return "\n".join(parts)


def _is_geometry(spec: TableSpec, name: str) -> bool:
    return spec.geometry is not None and name == spec.geometry.column


def _staged(spec: TableSpec, name: str) -> str:
    return f"ST_GEOGFROMWKB(`{name}`) AS `{name}`" if _is_geometry(spec, name) else f"`{name}`"


def _differs(spec: TableSpec, name: str) -> str:
    # geographies cannot be compared, their bytes can
    old, new = (f"ST_ASBINARY({side}.`{name}`)" if _is_geometry(spec, name) else f"{side}.`{name}`" for side in "ts")
    return f"{old} IS DISTINCT FROM {new}"


def _same_key(spec: TableSpec) -> str:
    return " AND ".join(f"t.`{name}` = s.`{name}`" for name in spec.key_columns)


def _missing(dataset: Dataset, staging: str) -> int:
    """How many rows the statement will take away: once it has run nothing brings them back."""
    spec = dataset.spec
    live = f" WHERE t.`{DELETED_COLUMN}` IS NULL" if spec.on_missing == "mark" else ""
    ((before, gone),) = dataset.rows_of(
        f"SELECT COUNT(*) AS `live`, COUNTIF(s.`{REJECTED_COLUMN}` IS NULL) AS `missing` "  # noqa: S608  # checked names
        f"FROM `{dataset.table}` AS t LEFT JOIN `{staging}` AS s ON {_same_key(spec)}{live}"
    )
    check_taken_away(spec, gone, before)
    return gone


def _ensure_table(dataset: Dataset) -> None:
    """Make the table, or add the columns that its file has gained.

    :raises TargetMismatchError: a column or the key has another shape.
    """
    spec, fields = dataset.spec, table_fields(dataset.spec)
    with dataset.named_errors():
        try:
            found = dataset.client.get_table(dataset.table, retry=dataset.retry)
        except api.NotFound:
            new = bigquery.Table(dataset.table, fields)
            new.description = spec.description
            # BigQuery holds nobody to it; it says to readers, and to the next load, what identifies a row
            new.table_constraints = TableConstraints(PrimaryKey(list(spec.key_columns)), None)
            dataset.client.create_table(new, exists_ok=True, retry=dataset.retry)
            return
    _check_shape(dataset, found, fields)
    there = {field.name for field in found.schema}
    if gained := [field for field in fields if field.name not in there]:
        found.schema = [*found.schema, *map(nullable, gained)]
        with dataset.named_errors():
            dataset.client.update_table(found, ["schema"], retry=dataset.retry)


def _check_shape(dataset: Dataset, found: bigquery.Table, fields: Sequence[bigquery.SchemaField]) -> None:
    spec = dataset.spec
    there = {field.name: shown(field) for field in found.schema}
    for field in fields:
        if there.get(field.name, shown(field)) != shown(field):
            raise TargetMismatchError(
                f"{spec.name}: column {field.name!r} is {there[field.name]} in BigQuery and {shown(field)} in the "
                f"spec; ALTER it, or drop {dataset.table} and load it anew."
            )
    constraints = found.table_constraints
    key = constraints.primary_key.columns if constraints is not None and constraints.primary_key is not None else []
    if set(key) != set(spec.key_columns):
        raise TargetMismatchError(
            f"{spec.name}: the key is ({', '.join(key)}) in BigQuery and ({', '.join(spec.key_columns)}) in the spec; "
            f"drop {dataset.table} and load it anew."
        )


def _stage(dataset: Dataset, session: BulkSession, staging: str, *, with_rejects: bool) -> None:
    """Fill the staging table; as a file on the disk first, for an upload that breaks off begins a part of it again."""
    fields = staging_fields(dataset.spec)
    with tempfile.TemporaryFile(prefix="sluiceway-bigquery-") as file:
        write_staged(session, dataset.spec, file, with_rejects=with_rejects)
        table = bigquery.Table(staging, fields)
        table.expires = datetime.now(UTC) + STAGING_LASTS
        config = bigquery.LoadJobConfig(
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE,
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            schema=fields,
        )
        with _stirred(session):
            with dataset.named_errors():
                dataset.client.create_table(table, exists_ok=True, retry=dataset.retry)
            dataset.load(file, staging, config)


def _drop(dataset: Dataset, staging: str) -> None:
    try:
        with dataset.named_errors():
            dataset.client.delete_table(staging, not_found_ok=True, retry=dataset.retry)
    except SluicewayError as error:
        # no failure of the load: BigQuery drops it by itself
        log.warning("%s: the staging table %s is left for a day: %s", dataset.spec.name, staging, error)


@contextmanager
def _stirred(session: BulkSession) -> Iterator[None]:
    """PostgreSQL hears of the session every minute, which is idle in its transaction while BigQuery works.

    Within the block nothing else may use it.
    """
    ended = threading.Event()

    def stir() -> None:
        while not ended.wait(STIR_SECONDS):
            try:
                session.execute(sql.SQL("SELECT 1 AS here"))
            except SluicewayError:
                # whoever uses the session next hears it too
                return

    thread = threading.Thread(target=stir, name="stir", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
