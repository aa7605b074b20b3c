"""BigQuery's REST API v2 over real HTTP, as google-cloud-bigquery speaks it: tables, resumable uploads and jobs.

It holds the rows of the Parquet that it is sent, and runs the few statements that Sluiceway sends (bigquery_sql.py).
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from tests.stand_ins.bigquery_sql import Done, SqlError, Table, check_rows, run
from tests.stand_ins.web_service import Reply, Request, WebService

BASE = "/bigquery/v2"
PARQUET: dict[str, Callable[[pa.DataType], bool]] = {
    "STRING": pa.types.is_string,
    "INTEGER": pa.types.is_int64,
    "FLOAT": pa.types.is_float64,
    "BOOLEAN": pa.types.is_boolean,
    "DATE": pa.types.is_date32,
    "DATETIME": lambda kind: pa.types.is_timestamp(kind) and kind.tz is None,
    "TIMESTAMP": lambda kind: pa.types.is_timestamp(kind) and kind.tz is not None,
    "NUMERIC": pa.types.is_decimal128,
    "BIGNUMERIC": pa.types.is_decimal128,
    "BYTES": pa.types.is_binary,
}
"""Which Parquet a column of a load job takes."""


def refusal(code: int, reason: str, message: str) -> Reply:
    """An error as Google words it."""
    errors = [{"message": message, "domain": "global", "reason": reason}]
    return Reply(code, {"error": {"code": code, "message": message, "errors": errors}})


@dataclass
class Job:
    """A job on its way."""

    resource: dict[str, Any]
    work: Callable[[], Done]
    looks: int
    """How often it is asked after until it is done."""
    done: Done | None = None
    error: dict[str, str] | None = None

    @property
    def is_done(self) -> bool:
        return self.done is not None or self.error is not None


@dataclass
class BigQuery(WebService):
    """One project with one dataset."""

    answer: object = None  # type: ignore[assignment]  # set below
    project: str = "own"
    dataset: str = "warehouse"
    tables: dict[str, Table] = field(default_factory=dict)
    """By full name, project.dataset.table."""
    jobs: dict[str, Job] = field(default_factory=dict)
    job_looks: int = 0
    """How often each new job is asked after until it is done."""
    job_errors: list[dict[str, str] | None] = field(default_factory=list)
    """What the next jobs end with instead of being run; None is no error."""
    refuses: dict[str, Reply] = field(default_factory=dict)
    """`METHOD pattern` of requests -> what they are answered."""
    lost: list[str] = field(default_factory=list)
    """`METHOD pattern` of requests that are done and whose answer is lost, once each."""
    most_running: int = 0
    """The most jobs that were on their way at the same time."""
    statements: list[str] = field(default_factory=list)
    _uploads: dict[str, Any] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.answer = self._answer

    def _answer(self, request: Request) -> Reply:
        for pattern, refused in self.refuses.items():
            if _fits(pattern, request):
                return refused
        reply = self._routed(request)
        for each in self.lost:
            if _fits(each, request):
                self.lost.remove(each)
                if reply.status == 204:
                    # nothing follows its headers that could break off
                    return refusal(503, "backendError", "lost")
                reply.breaks_off = True
                break
        return reply

    def _routed(self, request: Request) -> Reply:
        path, method = unquote(request.path), request.method
        here = f"/projects/{self.project}"
        if path == f"/upload{BASE}{here}/jobs":
            return self._upload(request)
        path = path.removeprefix(BASE)
        if path.startswith(f"{here}/datasets/"):
            name, _, rest = path.removeprefix(f"{here}/datasets/").partition("/")
            if name != self.dataset:
                return refusal(404, "notFound", f"Not found: Dataset {self.project}:{name}")
            return self._in_dataset(request, rest)
        if path == f"{here}/jobs":
            return self._insert(json.loads(request.body)) if method == "POST" else self._list(request)
        found = re.fullmatch(rf"{here}/(jobs|queries)/([^/]+)(/cancel)?", path)
        if found is None:
            return refusal(404, "notFound", f"Not found: {method} {path}")
        if found[2] not in self.jobs:
            return refusal(404, "notFound", f"Not found: Job {self.project}:{found[2]}")
        job = self.jobs[found[2]]
        if found[3]:
            if not job.is_done:
                job.error = {"reason": "stopped", "message": "Job execution was cancelled: User requested cancellation"}
            return Reply(body={"job": self._shown(job)})
        self._looked_at(job)
        return self._results(job) if found[1] == "queries" else Reply(body=self._shown(job))

    def _in_dataset(self, request: Request, rest: str) -> Reply:
        reference = {"projectId": self.project, "datasetId": self.dataset}
        if not rest:
            return Reply(body={"kind": "bigquery#dataset", "datasetReference": reference, "location": "EU"})
        if rest == "tables":
            resource = json.loads(request.body)
            name = resource["tableReference"]["tableId"]
            if self._full(name) in self.tables:
                return refusal(409, "duplicate", f"Already Exists: Table {self.project}:{self.dataset}.{name}")
            self.tables[self._full(name)] = Table(resource)
            return Reply(body=resource)
        name = self._full(rest.removeprefix("tables/"))
        if name not in self.tables:
            return refusal(404, "notFound", f"Not found: Table {name.replace('.', ':', 1)}")
        table = self.tables[name]
        if request.method == "DELETE":
            del self.tables[name]
            return Reply(204, b"")
        if request.method == "PATCH":
            self._patch(table, json.loads(request.body))
        return Reply(body=table.resource | {"numRows": str(len(table.rows))})

    def _patch(self, table: Table, change: dict[str, Any]) -> None:
        before = table.fields
        table.resource |= change
        for name in table.fields.keys() - before.keys():
            for row in table.rows:
                row[name] = None

    def _full(self, name: str) -> str:
        return f"{self.project}.{self.dataset}.{name}"

    def _upload(self, request: Request) -> Reply:
        """A resumable upload: what it is for, then the file in parts."""
        if request.method == "POST":
            number = str(next(self._numbers))
            self._uploads[number] = (json.loads(request.body), bytearray(), None)
            return Reply(body={}, headers={"Location": f"{self.uri}{request.path}?upload_id={number}"})
        resource, content, reply = self._uploads[request.params["upload_id"]]
        if reply is not None:
            # the whole file is there: the answer was lost, and is asked for again
            return Reply(reply.status, reply.body)
        found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", request.headers["content-range"])
        assert found, request.headers["content-range"]
        del content[int(found[1]) :]
        content += request.body.encode(errors="surrogateescape")
        if found[3] == "*" or int(found[3]) > len(content):
            return Reply(308, b"", {"Range": f"bytes=0-{len(content) - 1}"})
        reply = self._insert(resource, bytes(content))
        self._uploads[request.params["upload_id"]] = (resource, content, reply)
        return Reply(reply.status, reply.body)

    def _insert(self, resource: dict[str, Any], content: bytes | None = None) -> Reply:
        job_id = resource["jobReference"]["jobId"]
        if job_id in self.jobs:
            return refusal(409, "duplicate", f"Already Exists: Job {self.project}:EU.{job_id}")
        configuration = resource["configuration"]
        job = Job(resource, lambda: self._work(configuration, content), self.job_looks)
        self.jobs[job_id] = job
        self.most_running = max(self.most_running, sum(not each.is_done for each in self.jobs.values()))
        error = self.job_errors.pop(0) if self.job_errors else None
        if error is not None:
            job.error = error
        elif not job.looks:
            self._finish(job)
        return Reply(body=self._shown(job))

    def _looked_at(self, job: Job) -> None:
        if not job.is_done:
            job.looks -= 1
            if job.looks <= 0:
                self._finish(job)

    def _finish(self, job: Job) -> None:
        with self._taking:
            try:
                job.done = job.work()
            except SqlError as error:
                job.error = {"reason": "invalidQuery", "message": str(error)}

    def _work(self, configuration: dict[str, Any], content: bytes | None) -> Done:
        if "load" in configuration:
            assert content is not None
            return self._load(configuration["load"], content)
        query = configuration["query"]
        assert query["useLegacySql"] is False
        self.statements.append(query["query"])
        given = {each["name"]: each["parameterValue"]["value"] for each in query.get("queryParameters", [])}
        return run(query["query"], self.tables, given)

    def _load(self, load: dict[str, Any], content: bytes) -> Done:
        assert load["sourceFormat"] == "PARQUET"
        assert load["writeDisposition"] == "WRITE_TRUNCATE"
        assert load["createDisposition"] == "CREATE_NEVER"
        name = self._full(load["destinationTable"]["tableId"])
        if name not in self.tables:
            raise SqlError(f"Not found: Table {name.replace('.', ':', 1)}")
        table = self.tables[name]
        table.resource["schema"] = load["schema"]
        rows: list[dict[str, Any]] = []
        with pq.ParquetFile(io.BytesIO(content)) as file:
            kinds = {each.name: each.type for each in file.schema_arrow}
            for each in table.fields.values():
                if each["name"] not in kinds or not PARQUET[each["type"]](kinds[each["name"]]):
                    raise SqlError(f"Provided Schema does not match: {each['name']} is {kinds.get(each['name'])}")
            for batch in file.iter_batches():
                rows += batch.to_pylist()
        check_rows(table.fields, rows)
        table.rows = rows
        return Done("LOAD", inserted=len(rows))

    def _list(self, request: Request) -> Reply:
        wanted = request.params.get("stateFilter", "").upper()
        jobs = [self._shown(job) for job in self.jobs.values()]
        return Reply(body={"kind": "bigquery#jobList", "jobs": [j for j in jobs if j["status"]["state"] == wanted]})

    def _shown(self, job: Job) -> dict[str, Any]:
        status: dict[str, Any] = {"state": "DONE" if job.is_done else "RUNNING"}
        if job.error is not None:
            status |= {"errorResult": job.error, "errors": [job.error]}
        statistics: dict[str, Any] = {"creationTime": "1790000000000"}
        if job.done is not None and job.done.kind != "LOAD":
            statistics["query"] = {"statementType": job.done.kind, **_changed(job.done)}
        identity = {"kind": "bigquery#job", "id": f"{self.project}:EU.{job.resource['jobReference']['jobId']}"}
        reference = job.resource["jobReference"] | {"location": "EU"}
        return job.resource | identity | {"jobReference": reference, "status": status, "statistics": statistics}

    def _results(self, job: Job) -> Reply:
        if job.error is not None:
            return refusal(400, job.error["reason"], job.error["message"])
        found = {"kind": "bigquery#getQueryResultsResponse", "jobReference": job.resource["jobReference"]}
        if job.done is None:
            return Reply(body=found | {"jobComplete": False})
        fields = [{"name": name, "type": "INTEGER", "mode": "NULLABLE"} for name in job.done.columns]
        rows = [{"f": [{"v": str(value)} for value in row]} for row in job.done.rows]
        found |= {"jobComplete": True, "totalRows": str(len(rows)), "rows": rows}
        if job.done.kind == "MERGE":
            return Reply(body=found | {"numDmlAffectedRows": _changed(job.done)["numDmlAffectedRows"]})
        return Reply(body=found | {"schema": {"fields": fields}})

    def rows(self, table: str, columns: Iterable[str] = ()) -> list[tuple[Any, ...]]:
        """What a table holds, in an order of its own; a geography as WKB."""
        names = list(columns)
        found = self.tables[self._full(table)].rows
        return sorted((tuple(getattr(row[n], "wkb", row[n]) for n in names or row) for row in found), key=str)

    @property
    def left_over(self) -> list[str]:
        """The staging tables that are still there."""
        return [name for name in self.tables if ".etl_stage_" in name]


def _fits(pattern: str, request: Request) -> bool:
    method, _, path = pattern.partition(" ")
    return method == request.method and re.search(path, request.path) is not None


def _changed(done: Done) -> dict[str, Any]:
    if done.kind != "MERGE":
        return {}
    counts = {"insertedRowCount": done.inserted, "updatedRowCount": done.updated, "deletedRowCount": done.deleted}
    return {
        "dmlStats": {name: str(value) for name, value in counts.items()},
        "numDmlAffectedRows": str(sum(counts.values())),
    }
