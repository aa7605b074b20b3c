"""The dataset of SLUICEWAY_BIGQUERY_DATASET, through Google's own client: calls are tried again, errors named."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import IO, Any
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from google.api_core import exceptions as api
from google.api_core.retry import Retry
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import bigquery
from google.cloud.bigquery import DEFAULT_RETRY
from google.resumable_media import DataCorruption

from sluiceway.errors import SettingsError, SluicewayError, WarehouseError, WarehouseUnavailableError
from sluiceway.settings import load_settings
from sluiceway.sources.connections import Connection, Connections
from sluiceway.sources.services.api_client import LOCAL_HOSTS
from sluiceway.sources.services.google_credentials import account_of, google_credentials, google_extra
from sluiceway.tables.spec import DELETED_COLUMN, TableSpec

SCOPES = ("https://www.googleapis.com/auth/bigquery",)
RETRY_SECONDS = 120.0
"""How long a request that gets no answer, or 429 or 5xx, is tried again."""
UPLOAD_RETRIES = 6
"""How often a part of an upload is sent again; the waits double from a second."""

_FOR_LATER = frozenset(
    {"backendError", "internalError", "jobBackendError", "jobRateLimitExceeded", "quotaExceeded", "rateLimitExceeded"}
)
"""Reasons that may go away by themselves, with whatever status they come."""
_TRANSIENT = (api.TooManyRequests, api.ServerError, api.Unknown)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Dataset:
    """Where the rows of one table go."""

    spec: TableSpec
    project: str
    name: str
    connection: Connection

    @classmethod
    def of(cls, spec: TableSpec, connections: Connections) -> Dataset:
        """That of this deployment.

        :raises SettingsError: none is named, or its connection is not there.
        """
        settings = load_settings()
        if settings.bigquery_dataset is None:
            raise SettingsError(
                f'{spec.name}: its file says target = "bigquery", and no dataset is named: set '
                f"SLUICEWAY_BIGQUERY_DATASET to project.dataset."
            )
        project, _, name = settings.bigquery_dataset.partition(".")
        return cls(spec, project, name, connections(settings.bigquery_connection))

    @property
    def table(self) -> str:
        """The table's full name."""
        return f"{self.project}.{self.name}.{self.spec.name}"

    def staging_table(self, of: str) -> str:
        """The full name of the table that the rows of one try reach first.

        :param of: what tells the try from all others.
        """
        return f"{self.project}.{self.name}.etl_stage_{self.spec.name}_{_digest(of)}"

    @cached_property
    def _endpoint(self) -> str | None:
        found = google_extra(self.connection, "rest_endpoint")
        return str(found) if found is not None else None

    @cached_property
    def _credentials(self) -> tuple[Any, str | None]:
        if self._endpoint is not None and urlsplit(self._endpoint).hostname in LOCAL_HOSTS:
            # something on this machine that stands in for Google; without TLS no credentials travel
            return AnonymousCredentials(), google_extra(self.connection, "project")  # type: ignore[no-untyped-call]
        if self._endpoint is not None and urlsplit(self._endpoint).scheme != "https":
            raise SettingsError(
                f"{self._where}: connection {self.connection.conn_id!r}: the credentials would travel unencrypted to "
                f"its extra rest_endpoint; use https://"
            )
        return google_credentials(self.spec.name, self.connection, SCOPES)

    @cached_property
    def client(self) -> bigquery.Client:
        """Google's client.

        :raises SettingsError: the connection is wrong.
        """
        credentials, charged = self._credentials
        return bigquery.Client(
            project=charged or self.project,
            credentials=credentials,
            client_options={"api_endpoint": self._endpoint} if self._endpoint is not None else None,
        )

    @cached_property
    def location(self) -> str:
        """Where the dataset lies, and its jobs run.

        :raises SluicewayError: as named_errors.
        """
        with self.named_errors():
            return str(self.client.get_dataset(f"{self.project}.{self.name}", retry=self.retry).location)

    @property
    def retry(self) -> Retry:
        """Of a request: what Google says may be tried again, for so long."""
        return DEFAULT_RETRY.with_timeout(RETRY_SECONDS)

    @property
    def job_prefix(self) -> str:
        """How the ids of the table's jobs begin, of whatever load."""
        return f"sluiceway_{_digest(self.table)}_"

    def query(self, statement: str, parameters: Sequence[bigquery.ScalarQueryParameter] = ()) -> bigquery.QueryJob:
        """Run one statement to its end. A request whose answer is lost is sent again with the same job id: BigQuery
        refuses to run that twice, and is asked for the job that it has.

        :raises SluicewayError: as named_errors.
        """
        config = bigquery.QueryJobConfig(query_parameters=list(parameters), use_query_cache=False)
        with self.named_errors():
            job = self.client.query(
                statement,
                config,
                job_id_prefix=self.job_prefix,
                location=self.location,
                retry=self.retry,
                job_retry=None,
            )
            with self._ended(job):
                job.result(retry=self.retry, job_retry=None)
        return job

    def rows_of(self, statement: str) -> list[tuple[int, ...]]:
        """The rows of a SELECT of whole numbers."""
        job = self.query(statement)
        with self.named_errors():
            return [tuple(int(value) for value in row) for row in job.result(retry=self.retry, job_retry=None)]

    def load(self, file: IO[bytes], table: str, config: bigquery.LoadJobConfig) -> None:
        """Put a file into a table, in place of what it holds; as `query` where an answer is lost."""
        job_id = f"{self.job_prefix}{uuid4()}"
        with self.named_errors():
            try:
                job: Any = self.client.load_table_from_file(
                    file,
                    table,
                    rewind=True,
                    job_id=job_id,
                    location=self.location,
                    job_config=config,
                    num_retries=UPLOAD_RETRIES,
                )
            except api.Conflict:
                job = self.client.get_job(job_id, location=self.location, retry=self.retry)
            with self._ended(job):
                job.result(retry=self.retry)

    @contextmanager
    def _ended(self, job: Any) -> Iterator[None]:
        """Nothing goes on at Google that this process no longer waits for."""
        try:
            yield
        except BaseException:
            if job.state != "DONE":
                # the first error is the one to show
                with suppress(api.GoogleAPICallError, api.RetryError, requests.RequestException, GoogleAuthError):
                    job.cancel(retry=None)
            raise

    def await_earlier(self) -> None:
        """Wait for the jobs that a load of this table left running when its process was ended."""
        with self.named_errors():
            left = [
                job
                for state in ("pending", "running")
                for job in self.client.list_jobs(state_filter=state, retry=self.retry)
                if job.job_id.startswith(self.job_prefix)
            ]
            for job in left:
                log.info("%s: waiting for job %s of a load that was ended", self.spec.name, job.job_id)
                # how it has ended is no matter: this load brings the same rows, or newer ones
                with suppress(api.GoogleAPICallError):
                    job.result(retry=self.retry)

    def count_rows(self) -> int | None:
        """Live rows of the table; None where there is none."""
        with self.named_errors():
            try:
                self.client.get_table(self.table, retry=self.retry)
            except api.NotFound:
                return None
        live = f" WHERE t.`{DELETED_COLUMN}` IS NULL" if self.spec.on_missing == "mark" else ""
        ((count,),) = self.rows_of(f"SELECT COUNT(*) AS `live` FROM `{self.table}` AS t{live}")  # noqa: S608  # checked names
        return count

    @property
    def _where(self) -> str:
        return f"{self.spec.name}: BigQuery's dataset {self.project}.{self.name}"

    @contextmanager
    def named_errors(self) -> Iterator[None]:
        """What Google says, as one sentence that says what to do.

        :raises WarehouseUnavailableError: it may go away by itself.
        :raises SettingsError: the dataset is not there, or the credentials are refused.
        :raises WarehouseError: a person has to change something.
        """
        try:
            yield
        except api.GoogleAPICallError as error:
            raise self._named(error) from error
        except (api.RetryError, TransportError, requests.RequestException, DataCorruption) as error:
            raise WarehouseUnavailableError(f"{self._where} does not answer: {_first_line(error)}") from error
        except GoogleAuthError as error:
            raise SettingsError(
                f"{self._where}: Google refuses the credentials of connection {self.connection.conn_id!r}: "
                f"{_first_line(error)}"
            ) from error

    def _named(self, error: api.GoogleAPICallError) -> SluicewayError:
        said = " ".join(str(error.message).split())
        reasons = {each.get("reason") for each in error.errors if isinstance(each, dict)}
        if reasons & _FOR_LATER or isinstance(error, _TRANSIENT):
            return WarehouseUnavailableError(f"{self._where}: {said}; try again later")
        match error:
            case api.NotFound():
                return SettingsError(
                    f"{self._where}: {said}; create it (bq mk --dataset {self.project}:{self.name}), or correct "
                    f"SLUICEWAY_BIGQUERY_DATASET"
                )
            case api.Forbidden():
                return WarehouseError(
                    f"{self._where}: {said}; give {account_of(self._credentials[0])} the roles BigQuery Data Editor "
                    f"on the dataset and BigQuery Job User on project {self._credentials[1] or self.project}"
                )
            case api.Unauthorized():
                return SettingsError(f"{self._where}: {said}; correct connection {self.connection.conn_id!r}")
            case _ if "geog" in said.lower():
                return WarehouseError(
                    f'{self._where}: {said}; mend the shape at its source, or write invalid = "repair" in [geometry]'
                )
            case _:
                return WarehouseError(f"{self._where} refuses: {said}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
