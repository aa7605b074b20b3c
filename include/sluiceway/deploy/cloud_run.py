"""Asks Cloud Run which revision of a service takes its traffic, and that revision for its commit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sluiceway.deploy.commit import Deployed, parse, shortened
from sluiceway.deploy.spec import CloudRunEnvironment
from sluiceway.errors import EndpointUnavailableError, NoCommitError, SettingsError, nearest
from sluiceway.sources.connections import Connections
from sluiceway.sources.services.api_client import LOCAL_HOSTS

if TYPE_CHECKING:
    from google.cloud.run_v2.types import Revision, Service

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


async def probe_cloud_run(spec: CloudRunEnvironment, connections: Connections) -> Deployed:
    """The commit of the ready revision that takes most of the traffic.

    :raises EndpointUnavailableError: Google does not answer in time, or says "later".
    :raises NoCommitError: there is no such service, no ready revision, or no commit on it.
    :raises SettingsError: the connection has no usable credentials.
    """
    # grpc and the library take half a second: nobody who asks another kind of environment pays for it
    from google.api_core import exceptions as api
    from google.auth.exceptions import GoogleAuthError

    service = f"projects/{spec.project}/locations/{spec.region}/services/{spec.service}"
    place = f"Cloud Run service {spec.service!r} ({spec.project}, {spec.region})"
    transports = await asyncio.to_thread(_credentials, spec, connections)
    try:
        async with asyncio.timeout(spec.request_timeout_s):
            return await _ask(spec, service, place, transports)
    except TimeoutError as error:
        raise EndpointUnavailableError(
            f"{place} gave no whole answer within {spec.request_timeout_s:g} s (request_timeout_s)"
        ) from error
    except (api.NotFound, api.Forbidden, api.Unauthenticated, api.BadRequest) as error:
        raise NoCommitError(
            f"{place}: Google refuses: {error.message}; check project, region and service, and whether the account of "
            f"connection {spec.connection!r} has roles/run.viewer"
        ) from error
    except (api.GoogleAPICallError, api.RetryError) as error:
        raise EndpointUnavailableError(f"{place}: Google does not answer: {error}") from error
    except GoogleAuthError as error:
        raise EndpointUnavailableError(f"{place}: no token for connection {spec.connection!r}: {error}") from error


def _credentials(spec: CloudRunEnvironment, connections: Connections) -> dict[str, Any]:
    """What the library's clients are made with."""
    from sluiceway.sources.services.google_credentials import google_credentials, google_extra

    connection = connections(spec.connection)
    endpoint = google_extra(connection, "endpoint")
    if endpoint is not None and str(endpoint).rpartition(":")[0].strip("[]") in LOCAL_HOSTS:
        # something on this machine that stands in for Google; without TLS no credentials travel
        return {"local": str(endpoint)}
    credentials, _ = google_credentials(f"environment {spec.name!r}", connection, SCOPES)
    options = {"api_endpoint": str(endpoint)} if endpoint is not None else {}
    return {"credentials": credentials, "client_options": options}


async def _ask(spec: CloudRunEnvironment, service_name: str, place: str, how: dict[str, Any]) -> Deployed:
    from google.cloud.run_v2 import RevisionsAsyncClient, ServicesAsyncClient
    from google.cloud.run_v2.services.revisions.transports import RevisionsGrpcAsyncIOTransport
    from google.cloud.run_v2.services.services.transports import ServicesGrpcAsyncIOTransport

    if "local" in how:
        from grpc import aio  # type: ignore[import-untyped]

        services = ServicesAsyncClient(
            transport=ServicesGrpcAsyncIOTransport(channel=aio.insecure_channel(how["local"]))
        )
        revisions = RevisionsAsyncClient(
            transport=RevisionsGrpcAsyncIOTransport(channel=aio.insecure_channel(how["local"]))
        )
    else:
        services, revisions = ServicesAsyncClient(**how), RevisionsAsyncClient(**how)
    try:
        # the watch and the gate have their own patience: no retries of the library in between
        found = await services.get_service(name=service_name, retry=None, timeout=spec.request_timeout_s)
        name, percent = _serving(found, place)
        revision = await revisions.get_revision(
            name=f"{service_name}/revisions/{name}", retry=None, timeout=spec.request_timeout_s
        )
    finally:
        await services.transport.close()  # type: ignore[no-untyped-call]
        await revisions.transport.close()  # type: ignore[no-untyped-call]
    where = f"{place}, revision {name}" + (f" with {percent} % of the traffic" if percent < 100 else "")
    _check_ready(revision, where)
    return parse(_written(spec.commit_from, revision, where), f"{where}, {spec.commit_from}")


def _serving(service: Service, place: str) -> tuple[str, int]:
    """The revision that takes most of the traffic, and its percent. A tag's target without traffic does not count."""
    shares: dict[str, int] = {}
    for target in service.traffic_statuses:
        # a target "latest" names no revision
        name = (target.revision or service.latest_ready_revision).rpartition("/")[2]
        if name and target.percent:
            shares[name] = shares.get(name, 0) + target.percent
    if not shares:
        raise NoCommitError(f"{place}: no revision takes traffic yet; deploy one")
    newest = service.latest_ready_revision.rpartition("/")[2]
    return max(shares.items(), key=lambda share: (share[1], share[0] == newest))


def _check_ready(revision: Revision, where: str) -> None:
    from google.cloud.run_v2.types import Condition

    for condition in revision.conditions:
        if condition.type_ == "Ready" and condition.state != Condition.State.CONDITION_SUCCEEDED:
            raise NoCommitError(f"{where} is not ready: {condition.message or condition.state.name}")


def _written(commit_from: str, revision: Revision, where: str) -> str:
    kind, _, name = commit_from.partition(":")
    if kind == "label":
        if name not in revision.labels:
            raise NoCommitError(f"{where} has no label {name!r}{nearest(name, revision.labels)}")
        return revision.labels[name]
    if kind == "env":
        variables = {each.name: each.value for container in reversed(revision.containers) for each in container.env}
        if name not in variables:
            raise NoCommitError(f"{where} has no variable {name!r}{nearest(name, variables)}")
        return variables[name]
    images = [container.image for container in revision.containers]
    if not images:
        raise SettingsError(f"{where} has no container")
    _, colon, tag = images[0].partition("@")[0].rpartition("/")[2].partition(":")
    if not colon:
        raise NoCommitError(
            f"{where} runs the image {shortened(images[0])}, which has no tag; deploy it by tag, or use a label"
        )
    return tag
