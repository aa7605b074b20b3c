"""The job that `make demo` shows after its tables: names of birds matched against a stand-in for GBIF."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql
from rich.console import Console
from rich.markup import escape

from dev.stack import Stack
from sluiceway.errors import AirflowApiError
from sluiceway.ledger import store
from sluiceway.ledger.warehouse import connect
from sluiceway.rest.airflow_api import AirflowApi
from tests.stand_ins.gbif import MATCH, Gbif, found, key_of, nothing, usage
from tests.stand_ins.web_service import Reply, Request

JOB = "resolve_taxa"
NAMES = 200
POLL_S = 0.5
FINISHED = frozenset({"success", "failed"})
NOT_FOUND = 404
LONG_AGO = "2020-01-01T00:00:00Z"
"""Before any time at which the job's schedule would begin a run: the demo's own comes first."""


@dataclass
class FussyGbif(Gbif):
    """GBIF, but names that it refuses to read become dead letters, and one may be either of two birds."""

    refused: Collection[str] = ()
    doubtful: str = ""

    def _answer(self, request: Request) -> Reply:
        name = request.params.get("scientificName", "")
        if name in self.refused:
            return Reply(400, {"message": f"the stand-in does not read {name!r}"})
        if name == self.doubtful and request.path == MATCH:
            both = [found("EXACT", usage(name, key_of(f"{name} {number}")), confidence=104) for number in (1, 2)]
            return Reply(200, nothing(alternatives=both))
        return super()._answer(request)


def show(stack: Stack, api: AirflowApi, console: Console) -> str:
    """Match the first names against the stand-in; returns the id of the job's run."""
    with connect(stack.warehouse_url) as session:
        rows = session.execute(
            sql.SQL("SELECT DISTINCT scientific_name FROM bird_banding_species ORDER BY 1 LIMIT {}").format(
                sql.Literal(NAMES)
            )
        )
    names = [name for (name,) in rows]
    # one name a request, as GBIF answers where it takes no batches: a name that it refuses is then seen
    with (
        FussyGbif(batches=405, refused=names[60:62], doubtful=names[0]) as gbif,
        _connection(api, gbif.uri),
        _switched_on(api),
    ):
        run_id = f"demo__{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        body = {"dag_run_id": run_id, "logical_date": None, "run_after": LONG_AGO}
        api.post(f"dags/{JOB}/dagRuns", {**body, "conf": {"items": names}})
        console.print(f"\n{JOB}: {len(names)} names are asked of a stand-in for GBIF at {gbif.uri} ...")
        api.patch(f"dags/{JOB}", {"is_paused": False})
        while api.run(JOB, run_id)["state"] not in FINISHED:
            time.sleep(POLL_S)
    with connect(stack.warehouse_url) as session:
        (run,) = store.runs(session, dag_id=JOB, run_id=run_id)
    console.print(escape(run.note or "no verdict was spoken"))
    return run_id


@contextmanager
def _connection(api: AirflowApi, address: str) -> Iterator[None]:
    """Airflow's connection `gbif` leads to the stand-in for as long as the block lasts."""
    body = {"connection_id": "gbif", "conn_type": "http", "host": address}
    try:
        before = api.get("connections/gbif")
    except AirflowApiError as error:
        if error.status != NOT_FOUND:
            raise
        before = None
        api.post("connections", body)
    else:
        api.patch("connections/gbif?update_mask=host", body)
    try:
        yield
    finally:
        if before is None:
            api.delete("connections/gbif")
        else:
            api.patch("connections/gbif?update_mask=host", {**body, "host": before["host"]})


@contextmanager
def _switched_on(api: AirflowApi) -> Iterator[None]:
    """What the job's schedule begins meanwhile is not left behind."""
    before = bool(api.get(f"dags/{JOB}")["is_paused"])
    try:
        yield
    finally:
        if before:
            api.patch(f"dags/{JOB}", {"is_paused": True})
            for run in api.get(f"dags/{JOB}/dagRuns", state="queued")["dag_runs"]:
                api.delete(f"dags/{JOB}/dagRuns/{run['dag_run_id']}")
