"""Reports and specs for the tests, with only what a test is about spelled out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sluiceway.ledger.store import RunStatus
from sluiceway.run.reconcile import Truth
from sluiceway.run.report.model import RunReport, TableReport, headline, in_order, total
from sluiceway.tables.spec import TableSpec

STARTED = datetime(2026, 8, 3, 14, 2, 9, tzinfo=UTC)


def a_table(name: str = "us_county", **fields: Any) -> TableReport:
    """A loaded table of 3,233 new rows unless told otherwise."""
    loaded = {"description": "Counties.", "status": "loaded", "extracted": 3233, "inserted": 3233, "seconds": 1.5}
    return TableReport.model_validate({"name": name, **loaded, **fields})


def a_report(*tables: TableReport, status: RunStatus = "success", **fields: Any) -> RunReport:
    """A closed run of `tables`."""
    rows = in_order(tables)
    run: dict[str, Any] = {
        "run_id": "deploy__9f3c2a7",
        "dag_id": "master_etl",
        "commit_sha": "9f3c2a71b4e86d0c5a1f7e2b8d94c06f3a5e1b72",
        "deployed_sha": "9f3c2a71b4e86d0c5a1f7e2b8d94c06f3a5e1b72",
        "trigger_kind": "deploy",
        "started_at": STARTED,
        "finished_at": STARTED + timedelta(seconds=8),
        "note": "1 of 1 table loaded." if status == "success" else None,
    } | fields
    truth = Truth(status=status, sentence=run["note"])
    return RunReport(verdict=headline(truth, rows), tables=rows, totals=total(rows), **run)


def a_spec(name: str, geometry: str | None = "Point") -> TableSpec:
    """A table of one column and a geometry."""
    return TableSpec.model_validate(
        {
            "name": name,
            "description": f"What {name} is.",
            "source": {"kind": "vector", "uri": "x.shp"},
            "key": "id",
            "columns": {"id": "integer"},
            "geometry": {"type": geometry} if geometry else None,
        }
    )
