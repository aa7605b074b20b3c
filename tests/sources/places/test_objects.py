"""Objects in S3 and Google Cloud Storage: the whole object that was looked at is loaded, or nothing is."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import boto3
import gcsfs.retry
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from sluiceway.errors import (
    ConfigError,
    EmptyExtractionError,
    SettingsError,
    SourceMissingError,
    SourceTooLargeError,
    SourceUnavailableError,
    SourceUnreadableError,
)
from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from sluiceway.sources import several
from sluiceway.sources.connections import Connection
from sluiceway.sources.locate import check_exists
from sluiceway.sources.places import google_store, s3_store
from sluiceway.sources.places.s3_store import S3Store
from sluiceway.tables.spec import TableSpec
from tests.stand_ins.file_server import Fault, FileServer, Served
from tests.stand_ins.google_account import TOKEN, VIEWER, extra_of, new_key, public_key_of
from tests.stand_ins.google_storage import GoogleStorage, Stored, refusal
from tests.stand_ins.web_service import Reply

WriteSpec = Callable[..., TableSpec]
Query = Callable[..., list[tuple[object, ...]]]

TOML = """
description = "Cities"
key = "id"
columns = {{ id = "integer", name = "text" }}
[source]
kind = "csv"
uri = "{uri}"
"""
NAMED = 'connection = "own"\n'
ROWS = 3000
NEW = b"id,name\n" + b"".join(b"%d,new\n" % number for number in range(1, ROWS + 1))
OLD = NEW.replace(b"new", b"old")
WHOLE = [("new", ROWS)]
PART = 10_000


@pytest.fixture(autouse=True)
def _small_parts_and_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "PART_BYTES", PART)
    monkeypatch.setattr(google_store, "PART_BYTES", PART)
    # what gcsfs sleeps between two tries is a min() of seconds
    monkeypatch.setattr(gcsfs.retry, "min", lambda *_: 0.001, raising=False)


@dataclass
class Bucket:
    """Loads of one table."""

    write_spec: WriteSpec
    url: str
    open_run: Callable[[str], RunKey]
    query: Query
    connection: Connection | None = None
    _runs: list[str] = field(default_factory=list)

    def spec(self, uri: str, more: str = "") -> TableSpec:
        return self.write_spec("city", TOML.format(uri=uri) + more)

    def connections(self, conn_id: str) -> Connection:
        assert self.connection is not None
        return self.connection

    def load(self, uri: str, more: str = "", *, force: bool = False) -> TableRun:
        self._runs.append(f"r{len(self._runs) + 1}")
        return load_table(
            self.spec(uri, more),
            self.url,
            run=self.open_run(self._runs[-1]),
            force=force,
            connections=self.connections,
        )

    def rows(self) -> list[tuple[object, ...]]:
        return self.query("SELECT name, count(*) FROM city GROUP BY name")

    def is_untouched(self) -> bool:
        return self.query("SELECT to_regclass('city')") == [(None,)]


@pytest.fixture
def bucket(write_spec: WriteSpec, warehouse_url: str, open_run: Callable[[str], RunKey], query: Query) -> Bucket:
    return Bucket(write_spec, warehouse_url, open_run, query)


# S3

S3 = "s3://own/2024/city.csv"


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str, bucket: Bucket) -> Iterator[Any]:
    """boto3's own client, with the bucket `own` and a city in it."""
    bucket.connection = s3_connection(s3_endpoint)
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIAOWN",
        aws_secret_access_key="s3cret-key",
    )
    client.create_bucket(Bucket="own")
    client.put_object(Bucket="own", Key="2024/city.csv", Body=NEW)
    yield client
    for found in client.list_objects_v2(Bucket="own").get("Contents", []):
        client.delete_object(Bucket="own", Key=found["Key"])


def s3_connection(endpoint: str, **extra: str) -> Connection:
    return Connection(
        conn_id="own",
        conn_type="aws",
        login="AKIAOWN",
        password="s3cret-key",
        extra={"endpoint_url": endpoint, "region_name": "us-east-1", **extra},
    )


def test_an_object_of_s3_loads(bucket: Bucket, s3: Any) -> None:
    result = bucket.load(S3, NAMED)
    assert (result.extracted, result.bytes) == (ROWS, len(NEW))
    assert bucket.rows() == WHOLE


def test_an_unchanged_object_of_s3_is_not_fetched(bucket: Bucket, s3: Any) -> None:
    bucket.load(S3, NAMED)
    again = bucket.load(S3, NAMED)
    assert (again.status, again.table_rows) == ("unchanged", ROWS)
    assert bucket.load(S3, NAMED, force=True).unchanged == ROWS


def test_a_changed_object_of_s3_is_loaded(bucket: Bucket, s3: Any) -> None:
    s3.put_object(Bucket="own", Key="2024/city.csv", Body=OLD)
    bucket.load(S3, NAMED)
    s3.put_object(Bucket="own", Key="2024/city.csv", Body=NEW)
    assert bucket.load(S3, NAMED).updated == ROWS
    assert bucket.rows() == WHOLE


@pytest.mark.parametrize("uri", ["s3://own/2024/none.csv", "s3://none/city.csv", "s3://own/2024"])
def test_an_object_that_is_not_in_s3_is_missing(bucket: Bucket, s3: Any, uri: str) -> None:
    with pytest.raises(SourceMissingError, match=rf"^{uri}: there is no such object; check source\.uri"):
        bucket.load(uri, NAMED)
    with pytest.raises(SourceMissingError):
        check_exists(bucket.spec(uri, NAMED).source, bucket.connections)
    assert bucket.is_untouched()


def test_an_object_that_is_in_s3_is_found(bucket: Bucket, s3: Any) -> None:
    check_exists(bucket.spec(S3, NAMED).source, bucket.connections)


def test_an_object_of_s3_that_is_larger_than_allowed_is_not_fetched(bucket: Bucket, s3: Any) -> None:
    with pytest.raises(SourceUnreadableError, match=rf"has {len(NEW):,} bytes or more and source\.max_bytes allows 9"):
        bucket.load(S3, NAMED + "max_bytes = 9\n")
    assert bucket.is_untouched()


def test_an_object_of_s3_with_another_checksum_is_refused(bucket: Bucket, s3: Any) -> None:
    with pytest.raises(SourceUnreadableError, match=rf"the file's sha256 is {sha256(NEW).hexdigest()}"):
        bucket.load(S3, NAMED + f'sha256 = "{"0" * 64}"\n')
    assert bucket.is_untouched()


def test_an_object_that_s3_stores_packed_is_unpacked(bucket: Bucket, s3: Any) -> None:
    s3.put_object(Bucket="own", Key="2024/city.csv", Body=gzip.compress(NEW), ContentEncoding="gzip")
    assert bucket.load(S3, NAMED).extracted == ROWS


def test_a_gz_in_s3_loads(bucket: Bucket, s3: Any) -> None:
    s3.put_object(Bucket="own", Key="city ü.csv.gz", Body=gzip.compress(NEW))
    assert bucket.load("s3://own/city ü.csv.gz", NAMED).extracted == ROWS


@pytest.mark.parametrize("uri", ["s3://own", "s3://own/", "s3:///city.csv", "gs://own/"])
def test_a_uri_without_an_object_is_wrong(bucket: Bucket, uri: str) -> None:
    with pytest.raises(ConfigError, match="names no object"):
        bucket.load(uri)


def test_a_name_that_no_bucket_can_have_is_wrong(bucket: Bucket, s3: Any) -> None:
    with pytest.raises(ConfigError, match=r"is no name of an object: .*Invalid bucket name"):
        bucket.load("s3://Not A Bucket/city.csv", NAMED)


def test_a_role_of_a_connection_is_not_ignored(bucket: Bucket) -> None:
    bucket.connection = s3_connection("https://s3.example.invalid", role_arn="arn:aws:iam::1:role/loader")
    with pytest.raises(SettingsError, match=r"roles \(role_arn\) are not taken on"):
        bucket.load(S3, NAMED)


@pytest.fixture
def wire(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server that answers as S3 does to HEAD and GET, shows what it was asked, and fails on demand."""
    with FileServer({"/own/2024/city.csv": Served(NEW)}) as server:
        bucket.connection = s3_connection(server.uri, aws_session_token="s3cret-token")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.uri)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAAMBIENT")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret-ambient")
        yield server


def test_without_a_connection_s3_is_asked_by_nobody(bucket: Bucket, wire: FileServer) -> None:
    assert bucket.load(S3).extracted == ROWS
    assert [request for request in wire.asked if "authorization" in request.headers] == []


def test_with_a_connection_s3_is_asked_by_its_key(bucket: Bucket, wire: FileServer) -> None:
    assert bucket.load(S3, NAMED).extracted == ROWS
    assert {request.headers["authorization"].split("/")[0] for request in wire.asked} == {
        "AWS4-HMAC-SHA256 Credential=AKIAOWN"
    }


def test_a_connection_without_a_key_uses_that_of_the_machine(bucket: Bucket, wire: FileServer) -> None:
    bucket.connection = Connection(conn_id="own", conn_type="aws", extra={"region_name": "eu-west-1"})
    assert bucket.load(S3, NAMED).extracted == ROWS
    assert wire.asked[0].headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAAMBIENT/")


@pytest.mark.parametrize(
    ("more", "hint"),
    [("", r"name a connection that may read it as source\.connection"), (NAMED, "check the connection 'own'")],
)
def test_an_object_of_s3_that_may_not_be_read_is_missing(
    bucket: Bucket, wire: FileServer, more: str, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    wire.secret = {"X-Never": "sent"}
    with pytest.raises(SourceMissingError, match=rf"^{S3}: may not be read; {hint}$") as raised:
        bucket.load(S3, more)
    assert bucket.is_untouched()
    for secret in ("s3cret-key", "s3cret-token", "s3cret-ambient"):
        assert secret not in caplog.text + str(raised.value) + str(raised.value.__cause__)


def test_an_object_of_s3_that_breaks_off_for_a_while_loads(bucket: Bucket, wire: FileServer) -> None:
    wire.faults = [Fault(drops_after=100), None, Fault(503), Fault(silent=True)]
    assert bucket.load(S3, NAMED).extracted == ROWS
    assert bucket.rows() == WHOLE


@pytest.mark.parametrize("fault", [Fault(drops_after=100), Fault(503), Fault(silent=True)])
def test_an_object_of_s3_that_breaks_off_again_and_again_is_not_loaded(
    bucket: Bucket, wire: FileServer, fault: Fault, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setattr(s3_store, "RETRIES", 0)
    wire.faults = [None, *[fault] * 100]
    with pytest.raises(SourceUnavailableError, match=rf"^{S3}: the store does not answer \(") as raised:
        bucket.load(S3, NAMED)
    assert bucket.is_untouched()
    for secret in ("s3cret-key", "s3cret-token", "s3cret-ambient"):
        assert secret not in caplog.text + str(raised.value)


@pytest.mark.parametrize("after", [0, 1], ids=["before its first part", "between two parts"])
def test_an_object_of_s3_that_changes_while_it_is_read_is_not_loaded(
    bucket: Bucket, wire: FileServer, after: int
) -> None:
    served = wire.files["/own/2024/city.csv"]
    assert isinstance(served, Served)
    served.content = OLD

    def change() -> None:
        served.content = NEW

    if after:
        wire.faults = [Fault(then=change)]
    else:
        wire.after_head = [change]
    with pytest.raises(SourceUnavailableError, match=rf"^{S3}: changed while it was read; try again later"):
        bucket.load(S3, NAMED)
    assert bucket.is_untouched()


def test_no_s3_at_all_is_unavailable(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "RETRIES", 0)
    with FileServer() as gone:
        bucket.connection = s3_connection(gone.uri)
    with pytest.raises(SourceUnavailableError, match="the store does not answer"):
        bucket.load(S3, NAMED)


# Google Cloud Storage

GS = "gs://own/2024/city.csv"


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return new_key()


@pytest.fixture
def google(bucket: Bucket, private_key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleStorage]:
    with GoogleStorage(objects={"own/2024/city.csv": Stored(NEW)}, public_key=public_key_of(private_key)) as storage:
        bucket.connection = google_connection(storage, private_key)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage.uri)
        yield storage


def google_connection(storage: GoogleStorage, key: rsa.RSAPrivateKey, account: str = VIEWER) -> Connection:
    return Connection(conn_id="own", conn_type="google_cloud_platform", extra=extra_of(storage, key, account))


def test_a_public_object_of_google_loads_without_any_credentials(bucket: Bucket, google: GoogleStorage) -> None:
    result = bucket.load(GS)
    assert (result.extracted, result.bytes) == (ROWS, len(NEW))
    assert bucket.rows() == WHOLE
    assert [request for request in google.requests if "authorization" in request.headers] == []


def test_a_private_object_of_google_loads_with_the_token_of_its_connection(
    bucket: Bucket, google: GoogleStorage
) -> None:
    google.objects["own/2024/city.csv"].public = False
    assert bucket.load(GS, NAMED).extracted == ROWS
    assert {request.headers.get("authorization") for request in google.requests[1:]} == {f"Bearer {TOKEN}"}


def test_every_part_of_an_object_of_google_names_its_generation(bucket: Bucket, google: GoogleStorage) -> None:
    bucket.load(GS)
    parts = [request for request in google.requests if request.path.startswith("/download")]
    assert [request.headers["range"] for request in parts] == [
        "bytes=0-9999",
        "bytes=10000-19999",
        f"bytes=20000-{len(NEW) - 1}",
    ]
    assert {request.params["generation"] for request in parts} == {"1700000000000001"}


def test_an_unchanged_object_of_google_is_not_fetched(bucket: Bucket, google: GoogleStorage) -> None:
    bucket.load(GS)
    google.requests.clear()
    assert bucket.load(GS).status == "unchanged"
    assert [request.path for request in google.requests] == ["/storage/v1/b/own/o/2024%2Fcity.csv"]
    assert bucket.load(GS, force=True).unchanged == ROWS


def test_a_changed_object_of_google_is_loaded(bucket: Bucket, google: GoogleStorage) -> None:
    google.objects["own/2024/city.csv"] = Stored(OLD)
    bucket.load(GS)
    google.objects["own/2024/city.csv"] = Stored(NEW, generation=1700000000000002)
    assert bucket.load(GS).updated == ROWS
    assert bucket.rows() == WHOLE


@pytest.mark.parametrize("more", ["", NAMED])
def test_an_object_that_is_not_at_google_is_missing(bucket: Bucket, google: GoogleStorage, more: str) -> None:
    google.objects.clear()
    with pytest.raises(SourceMissingError, match=rf"^{GS}: there is no such object; check source\.uri"):
        bucket.load(GS, more)
    with pytest.raises(SourceMissingError):
        check_exists(bucket.spec(GS, more).source, bucket.connections)
    assert bucket.is_untouched()


def test_a_private_object_of_google_without_a_connection_asks_for_one(bucket: Bucket, google: GoogleStorage) -> None:
    google.objects["own/2024/city.csv"].public = False
    with pytest.raises(SourceMissingError, match=r"may not be read; name a connection that may read it as source\.c"):
        bucket.load(GS)
    assert bucket.is_untouched()


def test_an_object_of_google_that_may_not_be_read_names_the_account(
    bucket: Bucket, google: GoogleStorage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    google.objects["own/2024/city.csv"].public = False
    google.viewer = "somebody else"
    with pytest.raises(SourceMissingError, match=rf"let {VIEWER} \(connection 'own'\) read it") as raised:
        bucket.load(GS, NAMED)
    assert bucket.is_untouched()
    for secret in (TOKEN, "PRIVATE KEY"):
        assert secret not in caplog.text + str(raised.value) + str(raised.value.__cause__)


def test_credentials_that_google_refuses_are_named_at_once(
    bucket: Bucket, google: GoogleStorage, private_key: rsa.RSAPrivateKey
) -> None:
    bucket.connection = google_connection(google, private_key, account="gone@own.iam.gserviceaccount.com")
    with pytest.raises(SettingsError, match=r"Google refuses the credentials of connection 'own'.*account not found"):
        bucket.load(GS, NAMED)
    assert len(google.requests) == 1


def test_a_token_does_not_travel_unencrypted(bucket: Bucket, google: GoogleStorage) -> None:
    assert bucket.connection is not None
    extra = {**bucket.connection.extra, "endpoint": "http://storage.example.invalid"}
    bucket.connection = bucket.connection.model_copy(update={"extra": extra})
    with pytest.raises(SettingsError, match=r"a token would travel to http://storage\.example\.invalid unencrypted"):
        bucket.load(GS, NAMED)


def test_an_object_of_google_that_is_larger_than_allowed_is_not_fetched(bucket: Bucket, google: GoogleStorage) -> None:
    with pytest.raises(SourceUnreadableError, match=rf"has {len(NEW):,} bytes or more and source\.max_bytes allows 9"):
        bucket.load(GS, "max_bytes = 9\n")
    assert len(google.requests) == 1
    assert bucket.is_untouched()


def test_an_object_that_google_stores_packed_is_unpacked(bucket: Bucket, google: GoogleStorage) -> None:
    packed = gzip.compress(b"id,name\n" + b"".join(b"%d,%d\n" % (n, n * 7919) for n in range(1, ROWS + 1)))
    assert len(packed) > PART
    google.objects["own/2024/city.csv"] = Stored(packed, encoding="gzip")
    assert bucket.load(GS).extracted == ROWS


def test_an_object_of_google_without_a_byte_has_no_parts(bucket: Bucket, google: GoogleStorage) -> None:
    google.objects["own/2024/city.csv"] = Stored(b"")
    with pytest.raises(EmptyExtractionError):
        bucket.load(GS)
    assert len(google.requests) == 1


@pytest.mark.parametrize("after", [0, 2], ids=["before its first part", "between two parts"])
def test_an_object_of_google_that_changes_while_it_is_read_is_not_loaded(
    bucket: Bucket, google: GoogleStorage, after: int
) -> None:
    google.objects["own/2024/city.csv"] = Stored(OLD)

    def change() -> None:
        google.objects["own/2024/city.csv"] = Stored(NEW, generation=1700000000000002)

    if after:
        google.after_parts = {after: change}
    else:
        google.after_look = [change]
    with pytest.raises(SourceUnavailableError, match=rf"^{GS}: changed while it was read; try again later"):
        bucket.load(GS)
    assert bucket.is_untouched()


BREAKS = Reply(206, NEW[:PART], breaks_off=True)
SHORT = Reply(206, NEW[: PART - 1])
BUSY = refusal(503, "Backend Error")


def test_an_object_of_google_that_breaks_off_for_a_while_loads(bucket: Bucket, google: GoogleStorage) -> None:
    google.faults = [BUSY, None, BREAKS, refusal(429, "Slow down"), None, BREAKS]
    bucket.load(GS)
    assert bucket.rows() == WHOLE


@pytest.mark.parametrize("fault", [BREAKS, SHORT, BUSY], ids=["breaks off", "a short part", "busy"])
def test_an_object_of_google_that_breaks_off_again_and_again_is_not_loaded(
    bucket: Bucket, google: GoogleStorage, fault: Reply
) -> None:
    google.faults = [None, *[fault] * 20]
    with pytest.raises(SourceUnavailableError, match=rf"^{GS}: the store "):
        bucket.load(GS)
    assert bucket.is_untouched()


def test_no_google_at_all_is_unavailable(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with GoogleStorage() as gone:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gone.uri)
    with pytest.raises(SourceUnavailableError, match="the store does not answer"):
        bucket.load(GS)


# Several


def test_objects_of_s3_that_fit_are_one_source_and_only_new_ones_are_fetched(
    bucket: Bucket, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in (("b/2.csv", b"id,name\n2,two\n"), ("b/1.csv", b"id,name\n1,one\n"), ("b/x.txt", b"-")):
        s3.put_object(Bucket="own", Key=f"many/{name}", Body=content)
    s3.put_object(Bucket="own", Key="many/folder/", Body=b"")
    uri = "s3://own/many/**/*.csv"
    check_exists(bucket.spec(uri, NAMED).source, bucket.connections)
    result = bucket.load(uri, NAMED)
    assert (result.extracted, bucket.query("SELECT id, name FROM city ORDER BY 1")) == (2, [(1, "one"), (2, "two")])
    assert bucket.load(uri, NAMED).status == "unchanged"
    fetched = []
    real = S3Store.parts
    monkeypatch.setattr(S3Store, "parts", lambda self, found: fetched.append(self._key) or real(self, found))
    s3.put_object(Bucket="own", Key="many/c/10.csv", Body=b"id,name\n3,three\n")
    result = bucket.load(uri, NAMED)
    assert (result.extracted, result.table_rows, fetched) == (1, 3, ["many/c/10.csv"])


def test_a_pattern_that_no_object_of_s3_fits_names_what_is_there(bucket: Bucket, s3: Any) -> None:
    with pytest.raises(EmptyExtractionError, match=r"s3://own/2024/\*\.parquet: no file fits.*'?city\.csv"):
        bucket.load("s3://own/2024/*.parquet", NAMED)
    with pytest.raises(SourceMissingError, match="there is no such bucket"):
        bucket.load("s3://none/*.csv", NAMED)
    with pytest.raises(ConfigError, match=r"names no bucket; s3://<bucket>/<folder>/\*\.csv does"):
        bucket.load("s3://*/city.csv", NAMED)


def test_an_object_that_changes_after_it_was_listed_is_not_loaded(
    bucket: Bucket, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = S3Store.look

    def look(self: S3Store) -> Any:
        s3.put_object(Bucket="own", Key="2024/city.csv", Body=OLD)
        return real(self)

    monkeypatch.setattr(S3Store, "look", look)
    with pytest.raises(SourceUnavailableError, match=rf"^{S3}: changed since it was listed; try again later"):
        bucket.load("s3://own/2024/*.csv", NAMED)
    assert bucket.is_untouched()


def test_objects_of_google_that_fit_are_one_source(bucket: Bucket, google: GoogleStorage) -> None:
    google.buckets.add("own")
    google.objects["own/2024/town.csv"] = Stored(b"id,name\n9000,new\n")
    result = bucket.load("gs://own/2024/*.csv", NAMED)
    assert (result.extracted, bucket.load("gs://own/2024/*.csv", NAMED).status) == (ROWS + 1, "unchanged")


def test_no_more_objects_are_looked_at_or_read_than_a_pattern_may_stand_for(
    bucket: Bucket, google: GoogleStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    google.buckets.add("own")
    for name in ("a.csv", "b.csv", "c.txt"):
        google.objects[f"own/many/{name}"] = Stored(b"id,name\n1,one\n")
    with pytest.raises(SourceTooLargeError, match=r"more than 1 files fit, as source\.max_files allows"):
        check_exists(bucket.spec("gs://own/many/*.csv", NAMED + "max_files = 1\n").source, bucket.connections)
    monkeypatch.setattr(several, "MOST_SEEN", 3)
    check_exists(bucket.spec("gs://own/many/*.csv", NAMED).source, bucket.connections)
    monkeypatch.setattr(several, "MOST_SEEN", 2)
    with pytest.raises(SourceTooLargeError, match=r"^gs://own/many/\*\.csv: more than 2 objects begin so"):
        check_exists(bucket.spec("gs://own/many/*.csv", NAMED).source, bucket.connections)
