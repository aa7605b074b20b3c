"""What a test ends is the load alone, and no other process that happens to have a port of the same number."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack

from tests.integration.waiting_load import client_of

CONNECT = """
import socket, sys
own, server = map(int, sys.argv[1:])
with socket.socket() as client:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("127.0.0.1", own))
    client.connect(("127.0.0.1", server))
    print("connected", flush=True)
    sys.stdin.read()
"""


def test_the_client_of_one_server_is_not_that_of_another_from_the_same_port() -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        first, second = (server.getsockname()[1] for server in servers)
        client = stack.enter_context(socket.socket())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("127.0.0.1", 0))
        own = client.getsockname()[1]
        client.connect(("127.0.0.1", first))
        other = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", CONNECT, str(own), str(second)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert other.stdout is not None and other.stdout.readline() == "connected\n"
        assert (client_of(own, first), client_of(own, second)) == (os.getpid(), other.pid)
        other.communicate("")
    assert client_of(own, second) is None
