"""Cloud Run's Admin API v2 over real gRPC, with the library's own messages: GetService and GetRevision."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from google.cloud.run_v2 import types

SERVICE = "projects/p/locations/us-west1/services/shop"


def revision(
    name: str, *, image: str = "us-docker.pkg.dev/p/r/shop", labels: dict[str, str] | None = None, **env: str
) -> types.Revision:
    """A ready revision with one container."""
    return types.Revision(
        name=f"{SERVICE}/revisions/{name}",
        labels=labels or {},
        containers=[
            types.Container(image=image, env=[types.EnvVar(name=each, value=value) for each, value in env.items()])
        ],
        conditions=[types.Condition(type_="Ready", state=types.Condition.State.CONDITION_SUCCEEDED)],
    )


@dataclass
class CloudRun:
    """One service with its revisions."""

    revisions: list[types.Revision] = field(default_factory=list)
    traffic: dict[str, int] = field(default_factory=dict)
    """Percent by revision; the name "" is the target `latest`."""
    latest: str = ""
    refusal: tuple[grpc.StatusCode, str] | None = None
    slow_s: float = 0.0
    requests: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = grpc.server(ThreadPoolExecutor(2))
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.endpoint = f"127.0.0.1:{port}"
        for service, method, answer, request, reply in (
            ("Services", "GetService", self._service, types.GetServiceRequest, types.Service),
            ("Revisions", "GetRevision", self._revision, types.GetRevisionRequest, types.Revision),
        ):
            handler = grpc.unary_unary_rpc_method_handler(answer, request.deserialize, reply.serialize)
            name = f"google.cloud.run.v2.{service}"
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {method: handler}),))
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait()

    def _service(self, request: types.GetServiceRequest, context: Any) -> types.Service:
        self.requests.append(request.name)
        time.sleep(self.slow_s)
        if self.refusal is not None:
            context.abort(*self.refusal)
        if request.name != SERVICE:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Resource '{request.name}' of kind 'SERVICE' does not exist.")
        kinds = types.TrafficTargetAllocationType
        return types.Service(
            name=SERVICE,
            latest_ready_revision=f"{SERVICE}/revisions/{self.latest}" if self.latest else "",
            traffic_statuses=[
                types.TrafficTargetStatus(
                    type_=kinds.TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION
                    if name
                    else kinds.TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST,
                    revision=name,
                    percent=percent,
                )
                for name, percent in self.traffic.items()
            ],
        )

    def _revision(self, request: types.GetRevisionRequest, context: Any) -> types.Revision:
        self.requests.append(request.name)
        for each in self.revisions:
            if each.name == request.name:
                return each
        return context.abort(grpc.StatusCode.NOT_FOUND, f"Revision {request.name} does not exist.")
