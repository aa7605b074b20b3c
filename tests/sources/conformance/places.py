"""Where a file of any kind may lie: each place serves a file as it is, and breaks off in its middle when told to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import boto3
import gcsfs.retry

from sluiceway.sources.connections import Connection
from sluiceway.sources.places import google_store, https, s3_store
from tests.sources.conformance.kind import Bench, Served
from tests.stand_ins.file_server import Fault, FileServer
from tests.stand_ins.file_server import Served as Answered
from tests.stand_ins.google_storage import GoogleStorage, Stored
from tests.stand_ins.web_service import Reply

Place = Callable[[Bench, Served], Served]

MANY = 100
"""Answers that break off: more than anything tries."""


def _named(served: Served, uri: str, connection: Connection | None = None) -> Served:
    """The same declaration with another address."""
    own = {"connection": "own"} if connection is not None else {}
    connections = (lambda conn_id: connection) if connection is not None else served.connections
    return Served({**served.source, "uri": uri, **own}, uri, connections)


def _path(served: Served) -> Path:
    return Path(served.source["uri"])


def on_this_machine(bench: Bench, served: Served) -> Served:
    """By file://."""
    return _named(served, _path(served).as_uri())


def behind_http(bench: Bench, served: Served, faults: list[Fault | None] | None = None) -> Served:
    """By the module that reads https:// as well."""
    bench.patch.setattr(https, "FIRST_WAIT_S", 0.001)
    path = _path(served)
    files = {f"/2024/{path.name}": Answered(path.read_bytes())}
    server = bench.until_the_end.enter_context(FileServer(files, faults or []))
    return _named(served, f"{server.uri}/2024/{path.name}")


def behind_http_broken(bench: Bench, served: Served) -> Served:
    # a try that got further than all before would begin a new row of tries
    half = Fault(drops_after=_path(served).stat().st_size // 2)
    return behind_http(bench, served, [half, *[Fault(drops_after=0)] * MANY])


def in_gs(bench: Bench, served: Served) -> Served:
    return _in_gs(bench, served)[1]


def in_gs_broken(bench: Bench, served: Served) -> Served:
    storage, found = _in_gs(bench, served)
    # what gcsfs sleeps between two tries is a min() of seconds
    bench.patch.setattr(gcsfs.retry, "min", lambda *_: 0.001, raising=False)
    size = _path(served).stat().st_size
    bench.patch.setattr(google_store, "PART_BYTES", size // 2 + 1)
    content = _path(served).read_bytes()
    # the description and the first part come, the second part does not
    storage.faults = [None, None, *[Reply(206, content[size // 2 + 1 :], breaks_off=True)] * MANY]
    return found


def _in_gs(bench: Bench, served: Served) -> tuple[GoogleStorage, Served]:
    path = _path(served)
    objects = {f"own/2024/{path.name}": Stored(path.read_bytes())}
    storage = bench.until_the_end.enter_context(GoogleStorage(objects=objects))
    bench.patch.setenv("STORAGE_EMULATOR_HOST", storage.uri)
    return storage, _named(served, f"gs://own/2024/{path.name}")


def in_s3(bench: Bench, served: Served) -> Served:
    connection = _s3(bench.s3_endpoint())
    client = boto3.client(
        "s3",
        endpoint_url=bench.s3_endpoint(),
        region_name="us-east-1",
        aws_access_key_id=connection.login,
        aws_secret_access_key=connection.password,
    )
    client.create_bucket(Bucket="own")
    client.put_object(Bucket="own", Key=f"2024/{_path(served).name}", Body=_path(served).read_bytes())
    return _named(served, f"s3://own/2024/{_path(served).name}", connection)


def in_s3_broken(bench: Bench, served: Served) -> Served:
    bench.patch.setattr(s3_store, "RETRIES", 0)
    path = _path(served)
    files = {f"/own/2024/{path.name}": Answered(path.read_bytes())}
    fault = Fault(drops_after=path.stat().st_size // 2)
    server = bench.until_the_end.enter_context(FileServer(files, [fault] * MANY))
    return _named(served, f"s3://own/2024/{path.name}", _s3(server.uri))


def _s3(endpoint: str) -> Connection:
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    return Connection(conn_id="own", conn_type="aws", login="AKIAOWN", password="s3cret-key", extra=extra)


PLACES: Mapping[str, Place] = {"file": on_this_machine, "https": behind_http, "gs": in_gs, "s3": in_s3}
"""Scheme -> puts a file of this machine there, and says how it is declared then."""
BROKEN: Mapping[str, Place] = {"https": behind_http_broken, "gs": in_gs_broken, "s3": in_s3_broken}
"""The same, and every answer breaks off in the middle of the file."""
