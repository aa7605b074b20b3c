"""The sensors of object stores, against moto's S3 server and the stand-in of Google Cloud Storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import google.auth
import pytest
from google.oauth2.credentials import Credentials
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

from sluiceway.errors import ConfigError, SourceMissingError, SourceUnavailableError, SourceUnreadableError
from sluiceway.flows.kinds import objects
from sluiceway.sources.connections import Connection
from sluiceway.sources.places import google_listing, listing, s3_listing, s3_store
from tests.flows.looks import Looks, trigger_of
from tests.stand_ins.file_server import FileServer
from tests.stand_ins.google_storage import TOKEN, GoogleStorage, Stored
from tests.stand_ins.web_service import Reply, WebService

Watch = Callable[..., Looks]


@pytest.fixture(autouse=True)
def _no_store_stays() -> Iterator[None]:
    yield
    listing._open.clear()


def seen(looks: Looks) -> set[tuple[str, str]]:
    return {(facts["event"], facts["name"]) for facts in looks.facts()}


# S3


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_endpoint: str) -> Iterator[Any]:
    """boto3's own client, with an empty bucket `own`."""
    client = boto3.client(
        "s3",
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="AKIAOWN",
        aws_secret_access_key="s3cret-key",
    )
    client.create_bucket(Bucket="own")
    yield client
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="own"):
        for found in page.get("Contents", []):
            client.delete_object(Bucket="own", Key=found["Key"])


def s3_connection(endpoint: str) -> Connection:
    extra = {"endpoint_url": endpoint, "region_name": "us-east-1"}
    return Connection(conn_id="own", conn_type="aws", login="AKIAOWN", password="s3cret-key", extra=extra)


@pytest.fixture
def watch(s3_endpoint: str) -> Watch:
    """A sensor of S3 that has looked once."""

    def make(**keys: Any) -> Looks:
        given = {"bucket": "own", "connection": "own", **keys}
        looks = Looks(trigger_of(sensor_type="s3", **given), lambda _: s3_connection(s3_endpoint))
        assert looks.events() == ()
        return looks

    return make


def test_objects_of_s3_that_come_change_and_go_are_events(s3: Any, watch: Watch) -> None:
    s3.put_object(Bucket="own", Key="old.csv", Body=b"1")
    s3.put_object(Bucket="own", Key="gone.csv", Body=b"1")
    s3.put_object(Bucket="own", Key="same.csv", Body=b"1")
    looks = watch()
    s3.put_object(Bucket="own", Key="old.csv", Body=b"12")
    s3.delete_object(Bucket="own", Key="gone.csv")
    s3.put_object(Bucket="own", Key="new.csv", Body=b"1")
    assert seen(looks) == {("modified", "old.csv"), ("deleted", "gone.csv"), ("created", "new.csv")}
    assert looks.events() == ()


def test_what_a_web_console_shows_as_a_folder_is_no_object(s3: Any, watch: Watch) -> None:
    looks = watch()
    s3.put_object(Bucket="own", Key="orders/", Body=b"")
    s3.put_object(Bucket="own", Key="orders/1.csv", Body=b"1")
    assert seen(looks) == {("created", "orders/1.csv")}


def test_events_of_objects_come_oldest_first_and_deletions_last() -> None:
    trigger = trigger_of(sensor_type="s3", bucket="own")
    first: Any = {"at": 1.0, "objects": {"gone": ["e", 1, "2024-05-01T00:00:00+00:00"]}}
    hours = {"c": 1, "a": 3, "b": 2}
    then: Any = {name: ["e", 1, f"2024-05-02T0{hour}:00:00+00:00"] for name, hour in hours.items()}
    look = trigger.compare({"at": 2.0, "objects": then}, trigger.compare(first, None).cursor)
    assert [event.facts["name"] for event in look.events] == ["c", "b", "a", "gone"]


def test_an_object_of_s3_has_its_facts(s3: Any, watch: Watch) -> None:
    looks = watch()
    put = s3.put_object(Bucket="own", Key="in/a b.csv", Body=b"12345")
    (facts,) = looks.facts()
    new = facts.pop("new")
    assert facts == {
        "event": "created",
        "path": "s3://own/in/a b.csv",
        "bucket": "own",
        "name": "in/a b.csv",
        "size": 5,
        "old": None,
    }
    assert (new["mark"], new["size"]) == (put["ETag"].strip('"'), 5)
    assert datetime.now(UTC) - datetime.fromisoformat(new["modified_at"]) < timedelta(minutes=1)


def test_the_same_content_written_to_s3_again_is_no_event(s3: Any, watch: Watch) -> None:
    s3.put_object(Bucket="own", Key="a.csv", Body=b"1")
    looks = watch()
    before = looks.cursor
    s3.put_object(Bucket="own", Key="a.csv", Body=b"1")
    assert looks.events() == ()
    assert looks.cursor == before


@pytest.mark.parametrize("event_type", ["created", "modified", "deleted"])
def test_only_the_chosen_type_is_an_event(s3: Any, watch: Watch, event_type: str) -> None:
    looks, found = watch(event_type=event_type), []
    for body in (b"1", b"12", None):
        if body is None:
            s3.delete_object(Bucket="own", Key="a.csv")
        else:
            s3.put_object(Bucket="own", Key="a.csv", Body=body)
        found += [facts["event"] for facts in looks.facts()]
    assert found == [event_type]


def test_only_objects_behind_the_prefix_that_match_count(s3: Any, watch: Watch) -> None:
    looks = watch(prefix="in/", pattern="*.csv")
    for key in ("in/a.csv", "in/sub/b.csv", "in/c.txt", "d.csv", "inn/e.csv", "in/", "in/folder.csv/"):
        s3.put_object(Bucket="own", Key=key, Body=b"")
    assert seen(looks) == {("created", "in/a.csv"), ("created", "in/sub/b.csv")}


def test_all_pages_of_s3_are_read(s3: Any, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_listing, "PAGE", 7)
    looks = watch()
    for number in range(50):
        s3.put_object(Bucket="own", Key=f"{number}.csv", Body=b"1")
    assert len(looks.events()) == 50
    assert looks.events() == ()


STRANGE = ["a'; DROP TABLE x; --", 'b"$(id)`id`', "../../etc/passwd", "ünï 数 🌊", "c%20d+e&f=g", "[ab]*", "//j"]


@pytest.mark.parametrize("name", STRANGE)
def test_a_name_in_s3_is_taken_as_it_is(s3: Any, watch: Watch, name: str) -> None:
    looks, narrow = watch(), watch(prefix=name)
    s3.put_object(Bucket="own", Key=name, Body=b"1")
    s3.put_object(Bucket="own", Key="another", Body=b"1")
    assert seen(looks) == {("created", name), ("created", "another")}
    assert seen(narrow) == {("created", name)}


def test_a_bucket_that_is_gone_is_an_error_and_no_deletion(s3: Any, watch: Watch) -> None:
    s3.create_bucket(Bucket="brief")
    s3.put_object(Bucket="brief", Key="a.csv", Body=b"1")
    looks = watch(bucket="brief")
    s3.delete_object(Bucket="brief", Key="a.csv")
    s3.delete_bucket(Bucket="brief")
    with pytest.raises(SourceMissingError, match=r"^s3://brief/: there is no such bucket; check bucket$"):
        looks.events()


def test_a_store_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "RETRIES", 0)
    with FileServer() as gone:
        connection = s3_connection(gone.uri)
    looks = Looks(trigger_of(sensor_type="s3", bucket="own", connection="own"), lambda _: connection)
    with pytest.raises(SourceUnavailableError, match=r"^s3://own/: the store does not answer"):
        looks.events()


def test_a_connection_that_was_changed_counts_at_once(s3: Any, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = watch()
    with FileServer(secret={"X-Never": "sent"}) as refusing:
        looks.connections = lambda _: s3_connection(refusing.uri)
        with pytest.raises(SourceMissingError, match=r"^s3://own/: may not be listed; check the connection 'own'$"):
            looks.events()


def test_more_objects_than_can_be_kept_are_an_error(s3: Any, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MOST_OBJECTS", 3)
    looks = watch()
    for number in range(3):
        s3.put_object(Bucket="own", Key=str(number), Body=b"1")
    assert len(looks.facts()) == 3
    s3.put_object(Bucket="own", Key="3", Body=b"1")
    with pytest.raises(SourceUnreadableError, match=r"^s3://own/: there are more than 3 objects; narrow prefix$"):
        looks.events()


@pytest.mark.parametrize(
    "odd",
    [
        "<LastModified>11476-08-15T20:53:20.000Z</LastModified><ETag>a</ETag><Size>1</Size>",
        "<LastModified>-0001-01-01T00:00:00Z</LastModified><ETag>a</ETag><Size>1</Size>",
        "<LastModified>yesterday</LastModified><ETag>a</ETag><Size>1</Size>",
        "<LastModified>300000000000</LastModified><ETag>a</ETag><Size>1</Size>",
        "<LastModified></LastModified><ETag>a</ETag><Size>1</Size>",
        "<ETag>a</ETag><Size>1</Size>",
        "<LastModified>2024-05-01T00:00:00Z</LastModified><Size>1</Size>",
        "<LastModified>2024-05-01T00:00:00Z</LastModified><ETag>a</ETag>",
    ],
)
def test_an_object_of_which_a_store_says_odd_things_hides_no_others(odd: str) -> None:
    def page(*contents: str) -> Reply:
        told = "".join(f"<Contents>{each}</Contents>" for each in contents)
        answer = f"<ListBucketResult><IsTruncated>false</IsTruncated>{told}</ListBucketResult>"
        return Reply(200, answer.encode(), {"Content-Type": "application/xml"})

    good = "<Key>a.csv</Key><LastModified>2024-05-01T00:00:00Z</LastModified><ETag>b</ETag><Size>2</Size>"
    with WebService(answer=lambda _: reply) as store:
        connection = s3_connection(store.uri)
        looks = Looks(trigger_of(sensor_type="s3", bucket="own", connection="own"), lambda _: connection)
        reply = page()
        assert looks.events() == ()
        reply = page(f"<Key>odd.csv</Key>{odd}", good)
        assert seen(looks) == {("created", "odd.csv"), ("created", "a.csv")}
        assert looks.events() == ()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"<html><p>Log in</p></html>", "the store's listing cannot be read"),
        (b"", "the store's listing cannot be read"),
        (b"<ListBucketResult><Contents><Size>many</Size></Contents></ListBucketResult>", "listing cannot be read"),
        (
            b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>"
            b"</ListBucketResult>",
            "the store's listing does not end after 3 pages; narrow prefix",
        ),
    ],
)
def test_a_listing_that_is_none_or_never_ends_is_an_error(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, said: str
) -> None:
    monkeypatch.setattr(s3_listing, "MOST_PAGES", 3)
    monkeypatch.setattr(listing, "MOST_PAGES", 3)
    with WebService(answer=lambda _: Reply(200, answer, {"Content-Type": "text/html"})) as store:
        connection = s3_connection(store.uri)
        looks = Looks(trigger_of(sensor_type="s3", bucket="own", connection="own"), lambda _: connection)
        with pytest.raises(SourceUnreadableError, match=rf"^s3://own/: .*{said}"):
            looks.events()
        assert len(store.requests) <= 3


@pytest.mark.parametrize("bucket", ["own/other", "../own", "own?x=1", "own bucket", "Own", "a", "own'--"])
def test_a_name_that_no_bucket_has_is_refused(bucket: str) -> None:
    for kind in ("s3", "gcs"):
        with pytest.raises(ConfigError, match="bucket"):
            trigger_of(sensor_type=kind, bucket=bucket)


def test_siblings_of_one_prefix_share_a_listing() -> None:
    one = trigger_of(id="a", sensor_type="s3", bucket="own", pattern="*.csv", event_type="created")
    two = trigger_of(id="b", sensor_type="s3", bucket="own", pattern="*.txt", poll_s=5)
    other = trigger_of(sensor_type="s3", bucket="own", prefix="in/")
    assert one.place() == two.place() != other.place()


def test_another_pattern_begins_anew(s3: Any, watch: Watch) -> None:
    s3.put_object(Bucket="own", Key="a.txt", Body=b"1")
    looks = watch(pattern="*.csv")
    looks.trigger = trigger_of(sensor_type="s3", bucket="own", connection="own", pattern="*.txt")
    assert looks.events() == ()


# Google Cloud Storage


@pytest.fixture
def google_storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleStorage]:
    """A bucket `own` that only its viewer may list; this machine's credentials are the viewer's."""
    credentials = Credentials(TOKEN, expiry=datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1))  # type: ignore[no-untyped-call]
    monkeypatch.setattr(google.auth, "default", lambda scopes: (credentials, "own"))
    with GoogleStorage(buckets={"own"}, private=True) as running:
        yield running


@pytest.fixture
def watch_google(google_storage: GoogleStorage) -> Watch:
    """A sensor of Google's that has looked once."""

    def make(**keys: Any) -> Looks:
        connection = Connection(
            conn_id="own", conn_type="google_cloud_platform", extra={"endpoint": google_storage.uri}
        )
        looks = Looks(trigger_of(sensor_type="gcs", bucket="own", connection="own", **keys), lambda _: connection)
        assert looks.events() == ()
        return looks

    return make


def test_objects_of_google_that_come_change_and_go_are_events(
    google_storage: GoogleStorage, watch_google: Watch
) -> None:
    google_storage.objects |= {"own/old.csv": Stored(b"1"), "own/gone.csv": Stored(b"1")}
    looks = watch_google()
    google_storage.objects |= {"own/old.csv": Stored(b"12", 1700000000000002), "own/new.csv": Stored(b"123")}
    del google_storage.objects["own/gone.csv"]
    facts = {each["name"]: each for each in looks.facts()}
    assert {name: each["event"] for name, each in facts.items()} == {
        "old.csv": "modified",
        "gone.csv": "deleted",
        "new.csv": "created",
    }
    assert facts["old.csv"]["path"] == "gs://own/old.csv"
    assert [facts["old.csv"][key]["mark"] for key in ("old", "new")] == ["1700000000000001", "1700000000000002"]
    assert looks.events() == ()


def test_the_same_content_written_to_google_again_is_an_event(
    google_storage: GoogleStorage, watch_google: Watch
) -> None:
    google_storage.objects["own/a.csv"] = Stored(b"1")
    looks = watch_google()
    google_storage.objects["own/a.csv"] = Stored(b"1", 1700000000000002)
    assert seen(looks) == {("modified", "a.csv")}


def test_all_pages_of_google_are_read(google_storage: GoogleStorage, watch_google: Watch) -> None:
    looks = watch_google(prefix="in/")
    google_storage.longest_page = 7
    google_storage.objects |= {f"own/in/{number}": Stored(b"1") for number in range(50)}
    assert len(looks.events()) == 50


@pytest.mark.parametrize("name", [*STRANGE, "h\ni"])
def test_a_name_of_google_is_taken_as_it_is(google_storage: GoogleStorage, watch_google: Watch, name: str) -> None:
    looks = watch_google(prefix=name)
    google_storage.objects |= {f"own/{name}": Stored(b"1"), "own/another": Stored(b"1")}
    assert seen(looks) == {("created", name)}


def test_a_bucket_of_google_that_is_gone_is_an_error(google_storage: GoogleStorage, watch_google: Watch) -> None:
    google_storage.objects["own/a.csv"] = Stored(b"1")
    looks = watch_google()
    google_storage.buckets.clear()
    with pytest.raises(SourceMissingError, match=r"^gs://own/: there is no such bucket; check bucket$"):
        looks.events()


def test_a_bucket_of_google_that_may_not_be_listed_is_an_error(
    google_storage: GoogleStorage, watch_google: Watch
) -> None:
    looks = watch_google()
    google_storage.viewer = "somebody else"
    with pytest.raises(SourceMissingError, match=r"^gs://own/: may not be listed; let .* as Storage Object Viewer$"):
        looks.events()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"items": [{"name": "a", "size": "1", "generation": "1"}]}, "the store's listing cannot be read: it lacks 't"),
        ({"items": [{"name": "a", "size": "?", "generation": "1", "timeCreated": "x"}]}, "listing cannot be read"),
        ({"items": 7}, "listing cannot be read"),
        ([], "listing cannot be read"),
        ({"nextPageToken": "x"}, "the store's listing does not end after 3 pages; narrow prefix"),
    ],
)
def test_a_listing_of_google_that_is_none_or_never_ends_is_an_error(
    google_storage: GoogleStorage, watch_google: Watch, monkeypatch: pytest.MonkeyPatch, answer: object, said: str
) -> None:
    monkeypatch.setattr(google_listing, "MOST_PAGES", 3)
    monkeypatch.setattr(listing, "MOST_PAGES", 3)
    looks = watch_google()
    google_storage.answer = lambda _: Reply(200, answer)
    with pytest.raises(SourceUnreadableError, match=rf"^gs://own/: .*{said}"):
        looks.events()
