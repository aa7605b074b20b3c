"""Google Pub/Sub's subscriber over real gRPC: messages are given again until they are acknowledged, and refusals.

Its clients find it by PUBSUB_EMULATOR_HOST, as they find Google's own emulator.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from google.protobuf import empty_pb2
from google.pubsub_v1.types import AcknowledgeRequest, PubsubMessage, PullRequest, PullResponse, ReceivedMessage

SERVICE = "google.pubsub.v1.Subscriber"


@dataclass
class PubSub:
    """One subscription, whatever name is asked for."""

    messages: dict[str, PubsubMessage] = field(default_factory=dict)
    """Those that nobody has acknowledged, by id."""
    given: list[str] = field(default_factory=list)
    """The ids of all that were given, in order."""
    refused: int = 0
    """So many acknowledgements are refused."""
    on_acknowledge: Callable[[], object] = lambda: None
    """Done before a message counts as acknowledged."""

    def __enter__(self) -> Self:
        self._ends = threading.Event()
        self._lock = threading.Lock()
        self._server = grpc.server(ThreadPoolExecutor(4))
        handlers = {
            "Pull": _unary(self._pull, PullRequest.deserialize, PullResponse.serialize),
            "Acknowledge": _unary(self._acknowledge, AcknowledgeRequest.deserialize, empty_pb2.Empty.SerializeToString),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._server.stop(None).wait()

    def publish(self, message_id: str, data: bytes, **attributes: str) -> None:
        """Give a message to whoever pulls next."""
        with self._lock:
            self.messages[message_id] = PubsubMessage(data=data, message_id=message_id, attributes=attributes)

    def _pull(self, request: Any, context: grpc.ServicerContext) -> PullResponse:
        # a request waits a while for the first message, as Google's does
        for _ in range(20):
            with self._lock:
                found = list(self.messages.items())[: request.max_messages]
                self.given += [message_id for message_id, _ in found]
            if found or not context.is_active() or self._ends.wait(0.05):
                break
        received = [ReceivedMessage(ack_id=f"ack-{number}", message=message) for number, message in found]
        return PullResponse(received_messages=received)

    def _acknowledge(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self.on_acknowledge()
        with self._lock:
            if self.refused:
                self.refused -= 1
                context.abort(grpc.StatusCode.PERMISSION_DENIED, "you may not consume")
            for ack_id in request.ack_ids:
                self.messages.pop(ack_id.removeprefix("ack-"), None)
        return empty_pb2.Empty()


def _unary(act: Callable[..., Any], read: Callable[..., Any], write: Callable[..., Any]) -> Any:
    return grpc.unary_unary_rpc_method_handler(act, request_deserializer=read, response_serializer=write)
