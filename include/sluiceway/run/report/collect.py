"""Fills a RunReport from the ledger and PostGIS, in the caller's transaction."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import sql

from sluiceway.errors import SluicewayError
from sluiceway.jobs import letters, status
from sluiceway.jobs.letters import Chosen
from sluiceway.ledger import store
from sluiceway.ledger.store import CLI, PLANNED_TRY, RunKey, is_of
from sluiceway.ledger.warehouse import Session
from sluiceway.run.facts import facts_of
from sluiceway.run.local_sentence import of_command_line
from sluiceway.run.reconcile import Seen, as_written, reconcile
from sluiceway.run.report.causes import causes_of
from sluiceway.run.report.maps import draw_maps
from sluiceway.run.report.model import (
    JobReport,
    RejectGroup,
    RejectSample,
    RunReport,
    TableMap,
    TableReport,
    WithheldView,
    headline,
    in_order,
    total,
)
from sluiceway.run.truth import named
from sluiceway.tables.spec import TableSpec

MAX_GROUPS = 20
"""Per table: what a person reads; a reason that differs in every row would fill the page."""
MAX_SAMPLES = 3
MAX_LETTERS = 10
"""Dead letters, and items that wait, of each job."""
MAX_VALUES = 24
MAX_VALUE_LENGTH = 80


class UnknownRunError(SluicewayError):
    """The ledger holds no run of that id."""


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_VALUE_LENGTH else f"{text[: MAX_VALUE_LENGTH - 1]}…"


def _sample(row_number: int | None, row: Mapping[str, Any] | str) -> RejectSample:
    # the bulk session hands jsonb over as text, psycopg as a dict
    values = json.loads(row) if isinstance(row, str) else row
    return RejectSample(
        row_number=row_number,
        values=tuple((name, _shown(value)) for name, value in list(values.items())[:MAX_VALUES]),
    )


# "'x' is no integer" and "is repeated by row 17" are one kind each: values and numbers stand in the sample rows. What a
# check asks, behind "fails", is of the kind: a page without its bounds would not say what is wrong. To look behind
# costs as much again and more, 40 s for a million rejects, so only where there is such a word
_VALUE = r"'.*?('|\.\.\.)"
_NUMBER = "[0-9]+([-.:][0-9]+)*"
_ASKED = " fails (accepted|range|pattern|references|unique|holds) "
_KIND = sql.SQL(
    "CASE WHEN reason ~ {asked} THEN regexp_replace(regexp_replace(regexp_replace("
    "reason, 'row [0-9]+', 'row …', 'g'), {not_asked} || {value}, '…', 'g'), {not_asked} || {number}, '…', 'g') "
    "ELSE regexp_replace(regexp_replace(reason, {value}, '…', 'g'), {number}, '…', 'g') END"
).format(
    asked=sql.Literal(_ASKED),
    value=sql.Literal(_VALUE),
    number=sql.Literal(_NUMBER),
    not_asked=sql.Literal(f"(?<!{_ASKED}[^;]*)"),
)


def reject_groups(session: Session, results: Sequence[store.TableRun]) -> dict[str, tuple[RejectGroup, ...]]:
    """Every table's rejects by reason, the most frequent first: those of the try that stands."""
    if not results:
        return {}
    tries = sql.SQL(" OR ").join(map(is_of, results))
    rows = session.execute(
        sql.SQL(
            'SELECT table_name, reason, column_name, n, row_number, "row" FROM ('
            "SELECT *, dense_rank() OVER (PARTITION BY table_name ORDER BY n DESC, reason, column_name) AS place FROM ("
            "SELECT *, count(*) OVER (PARTITION BY table_name, reason, column_name) AS n, "
            "row_number() OVER (PARTITION BY table_name, reason, column_name ORDER BY row_number, id) AS i "
            'FROM (SELECT id, table_name, column_name, row_number, "row", {} AS reason '
            "FROM etl.reject WHERE {}) told) counted WHERE i <= {}) ranked WHERE place <= {} "
            "ORDER BY table_name, place, i"
        ).format(_KIND, tries, sql.Literal(MAX_SAMPLES), sql.Literal(MAX_GROUPS))
    )
    samples: dict[tuple[str, str, str | None, int], list[RejectSample]] = {}
    for table, reason, column, count, number, row in rows:
        samples.setdefault((table, reason, column, count), []).append(_sample(number, row))
    groups: dict[str, list[RejectGroup]] = {}
    for (table, reason, column, count), found in samples.items():
        groups.setdefault(table, []).append(
            RejectGroup(reason=reason, column_name=column, count=count, samples=tuple(found))
        )
    return {table: tuple(found) for table, found in groups.items()}


def _table_report(
    result: store.TableRun, spec: TableSpec | None, rejects: tuple[RejectGroup, ...], drawn: TableMap | None
) -> TableReport:
    return TableReport(
        name=result.table_name,
        description=spec.description if spec else "Not in the configuration of now, or its file is wrong.",
        source_bytes=result.bytes,
        rejects=rejects,
        map=drawn,
        **{
            field: getattr(result, field)
            for field in (
                "status", "extracted", "inserted", "updated", "unchanged", "deleted", "rejected", "repaired",
                "table_rows", "seconds", "peak_rss_bytes", "error_type", "error", "note",
            )
        },
    )  # fmt: skip


def _job_reports(session: Session, *, own: str | None) -> tuple[JobReport, ...]:
    """How jobs stand now.

    :param own: the one job whose run it is; None: a run of tables, beside which all are shown.
    """
    found = []
    for each in status.jobs(session, only=own):
        dead = letters.find(session, Chosen(job=each.job, state="dead"), limit=MAX_LETTERS)
        waiting = letters.find(session, Chosen(job=each.job, state="waiting"), limit=MAX_LETTERS)
        found.append(JobReport(status=each, is_own=own is not None, dead=tuple(dead), waiting=tuple(waiting)))
    return tuple(found)


def collect(
    session: Session,
    key: RunKey,
    specs: Mapping[str, TableSpec],
    *,
    seen: Seen | None = None,
    maps: Mapping[str, TableMap] | None = None,
    is_gone: bool = False,
) -> RunReport:
    """The report of one run as the ledger tells it now.

    Call it once the run's row is closed: before that the verdict reads "running".

    :param specs: the tables' specs by name; a table without one keeps its numbers and has no map.
    :param seen: the run as Airflow shows it now, to be compared with; None: the ledger's word stands.
    :param maps: by table, in place of drawing them, which takes seconds.
    :param is_gone: the process of a run of `sluiceway tables run` that is open does not live any more.
    :raises UnknownRunError: the ledger holds no such run.
    """
    run = store.run(session, key)
    if run is None:
        raise UnknownRunError(f"The ledger holds no run {key}; `sluiceway runs list` shows the newest.")
    facts = facts_of(session, run)
    is_local = key.dag_id == CLI
    truth = named(reconcile(facts, seen), seen) if seen else as_written(run)
    if is_local:
        truth = of_command_line(truth, facts.tables, is_gone=is_gone)
    causes = causes_of(facts, truth, seen.tasks if seen else None)
    rejects = reject_groups(session, facts.tables)
    if maps is None:
        maps = draw_maps(session, [specs[r.table_name] for r in facts.tables if r.table_name in specs])
    tries = Counter(each.table_name for each in store.table_tries(session, key) if each.try_number > PLANNED_TRY)
    tables = in_order(
        _table_report(r, specs.get(r.table_name), rejects.get(r.table_name, ()), maps.get(r.table_name)).model_copy(
            update={"tries": tries[r.table_name] or 1, **causes.tables.get(r.table_name, {})}
        )
        for r in facts.tables
    )
    return RunReport(
        verdict=headline(truth, tables, causes.quoted),
        note=truth.sentence,
        remark=truth.remark,
        tables=tables,
        tasks=causes.tasks,
        published_at=run.published_at,
        published=tuple(each.view_name for each in facts.publications if each.withheld is None),
        withheld=tuple(
            WithheldView(name=each.view_name, reason=each.withheld) for each in facts.publications if each.withheld
        ),
        services=tuple(status.services(session)) if not is_local else (),
        jobs=_job_reports(session, own=facts.asked[0].job if facts.asked else None) if not is_local else (),
        totals=total(tables),
        finished_at=None if truth.status == "running" else run.finished_at,
        compared_at=datetime.now(UTC) if seen else None,
        **run.model_dump(include={"dag_id", "run_id", "commit_sha", "deployed_sha", "trigger_kind", "started_at"}),
    )
