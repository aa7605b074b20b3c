"""The Cloud Run probe over real gRPC, against a server that speaks the library's own messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
import pytest
from google.cloud.run_v2 import types

from sluiceway.deploy.commit import Deployed
from sluiceway.deploy.probe import probe_now
from sluiceway.deploy.spec import CloudRunEnvironment
from sluiceway.errors import EndpointUnavailableError, NoCommitError, SettingsError
from sluiceway.sources.connections import Connection
from tests.stand_ins.cloud_run import SERVICE, CloudRun, revision

OLD, NEW = "a" * 40, "b" * 40
Ask = Callable[..., Deployed]


@pytest.fixture
def google() -> Iterator[CloudRun]:
    with CloudRun(
        revisions=[
            revision("shop-1", labels={"commit": OLD}, GIT_SHA=OLD, image=f"r/shop:{OLD[:12]}"),
            revision("shop-2", labels={"commit": NEW}, GIT_SHA=NEW, image=f"r/shop:{NEW}@sha256:{'0' * 64}"),
        ],
        traffic={"shop-1": 10, "shop-2": 90},
        latest="shop-2",
    ) as running:
        yield running


@pytest.fixture
def ask(google: CloudRun) -> Ask:
    def ask(commit_from: str = "label:commit", **keys: object) -> Deployed:
        values = {"project": "p", "region": "us-west1", "service": "shop", "request_timeout_s": 5, **keys}
        spec = CloudRunEnvironment.model_validate(
            {"kind": "cloud_run", "name": "staging", "connection": "g", "commit_from": commit_from, **values}
        )
        extra = {"endpoint": google.endpoint}
        return probe_now(spec, lambda c: Connection(conn_id=c, conn_type="google_cloud_platform", extra=extra))

    return ask


@pytest.mark.parametrize("commit_from", ["label:commit", "env:GIT_SHA", "image_tag"])
def test_the_revision_with_the_most_traffic_says_its_commit(ask: Ask, google: CloudRun, commit_from: str) -> None:
    found = ask(commit_from)
    assert found.commit == NEW
    assert "revision shop-2 with 90 % of the traffic" in found.place
    assert google.requests == [SERVICE, f"{SERVICE}/revisions/shop-2"]


def test_traffic_to_the_latest_is_traffic_to_the_latest_ready_revision(ask: Ask, google: CloudRun) -> None:
    google.traffic = {"": 100}
    assert ask().commit == NEW
    google.latest = "shop-1"
    assert ask().commit == OLD


def test_a_newer_revision_without_traffic_does_not_count(ask: Ask, google: CloudRun) -> None:
    google.traffic = {"shop-1": 100, "shop-2": 0}
    assert ask().commit == OLD


def test_a_service_without_traffic_is_named(ask: Ask, google: CloudRun) -> None:
    google.traffic = {}
    with pytest.raises(NoCommitError, match=r"Cloud Run service 'shop' \(p, us-west1\): no revision takes traffic"):
        ask()


def test_a_revision_that_is_not_ready_is_named(ask: Ask, google: CloudRun) -> None:
    google.revisions[1].conditions[0].state = types.Condition.State.CONDITION_FAILED
    google.revisions[1].conditions[0].message = "The user-provided container failed to start"
    with pytest.raises(NoCommitError, match=r"shop-2.* is not ready: The user-provided container failed to start"):
        ask()


@pytest.mark.parametrize(
    ("commit_from", "message"),
    [
        ("label:comit", r"no label 'comit'; did you mean 'commit'\?"),
        ("env:GIT_SHE", r"no variable 'GIT_SHE'; did you mean 'GIT_SHA'\?"),
    ],
)
def test_a_commit_that_is_not_there_names_the_nearest(ask: Ask, commit_from: str, message: str) -> None:
    with pytest.raises(NoCommitError, match=message):
        ask(commit_from)


def test_an_image_without_a_tag_is_shown(ask: Ask, google: CloudRun) -> None:
    google.revisions[1].containers[0].image = "localhost:5000/shop@sha256:00"
    with pytest.raises(NoCommitError, match=r"runs the image 'localhost:5000/shop@sha256:00', which has no tag"):
        ask("image_tag")


def test_a_tag_that_is_no_commit_is_shown(ask: Ask, google: CloudRun) -> None:
    google.revisions[1].containers[0].image = "r/shop:latest"
    with pytest.raises(NoCommitError, match="says 'latest'"):
        ask("image_tag")


def test_a_service_that_is_not_there_is_permanent(ask: Ask) -> None:
    with pytest.raises(NoCommitError, match=r"Google refuses: .*services/shup.*roles/run.viewer"):
        ask(service="shup")


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL])
def test_later_is_transient(ask: Ask, google: CloudRun, code: grpc.StatusCode) -> None:
    google.refusal = (code, "try again")
    with pytest.raises(EndpointUnavailableError, match="does not answer"):
        ask()


def test_no_permission_is_permanent(ask: Ask, google: CloudRun) -> None:
    google.refusal = (grpc.StatusCode.PERMISSION_DENIED, "Permission 'run.services.get' denied")
    with pytest.raises(NoCommitError, match=r"run.services.get.*roles/run.viewer"):
        ask()


def test_a_google_that_is_slow_is_given_up(ask: Ask, google: CloudRun) -> None:
    google.slow_s = 1.5
    with pytest.raises(EndpointUnavailableError):
        ask(request_timeout_s=0.2)


def test_a_connection_without_credentials_is_named() -> None:
    spec = CloudRunEnvironment(
        kind="cloud_run", name="staging", project="p", region="r", service="s", connection="g", commit_from="image_tag"
    )
    bad = {"keyfile_dict": '{"type": "user"}'}
    with pytest.raises(SettingsError, match="environment 'staging': connection 'g'"):
        probe_now(spec, lambda c: Connection(conn_id=c, conn_type="google_cloud_platform", extra=bad))
