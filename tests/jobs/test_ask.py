"""Asking a service: whatever goes wrong is called what it is, and says whose fault it was."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from sluiceway.jobs import ask as asked
from sluiceway.jobs.ask import Asker
from sluiceway.jobs.definition import Service
from sluiceway.jobs.errors import JobSetupError, ServiceError, ServicePausedError
from tests.jobs.conftest import connected
from tests.stand_ins.faults import FAULTS
from tests.stand_ins.gbif import Gbif
from tests.stand_ins.web_service import Reply

Asking = Callable[..., Asker]
IUCN = Service(name="iucn", url="http://localhost:9", connection="iucn", needs=("token",), per_second=2)


def service(gbif: Gbif, **more: object) -> Service:
    return Service.model_validate({"name": "gbif", "url": gbif.uri, "per_second": 10, **more})


@pytest.mark.parametrize(
    ("fault", "sentence", "seconds"),
    [
        ("429", "gbif: GET / answers 429", 60),
        ("429 with Retry-After", "gbif: GET / answers 429 and asks to wait 7 s", 7),
        ("500", "gbif: GET / answers 500: {", None),
        ("time-out", "gbif: GET / does not answer: ", None),
        ("HTML with 200", "gbif: GET / answers 200 with no JSON: '<!DOCTYPE html>", None),
        ("cut JSON", "gbif: GET / answers 200 with no JSON: '{", None),
        ("broken off", "gbif: GET / does not answer: ", None),
        ("slow drip", "gbif: an answer has not ended after ", None),
    ],
)
def test_a_failure_of_the_service_is_its_own_and_says_how_long_to_wait(
    gbif: Gbif, asking: Asking, monkeypatch: pytest.MonkeyPatch, fault: str, sentence: str, seconds: float | None
) -> None:
    monkeypatch.setattr(asked, "TIMEOUT", httpx.Timeout(0.5))
    monkeypatch.setattr(asked, "DRIP_S", 0.3)
    gbif.faults.append(FAULTS[fault])
    with pytest.raises(ServiceError) as raised:
        asking(service(gbif)).get("/")
    assert str(raised.value).startswith(sentence)
    assert raised.value.service == "gbif"
    assert (raised.value.seconds if isinstance(raised.value, ServicePausedError) else None) == seconds


def test_an_answer_that_is_nested_without_end_is_none(gbif: Gbif, asking: Asking) -> None:
    gbif.faults.append(Reply(200, b"[" * 100_000 + b"]" * 100_000))
    with pytest.raises(ServiceError, match=r"gbif: GET / answers 200 with no JSON: '\[\[\["):
        asking(service(gbif)).get("/")


@pytest.mark.parametrize("status", [401, 403])
def test_whoever_is_refused_has_to_be_set_up(gbif: Gbif, asking: Asking, status: int) -> None:
    gbif.faults.append(Reply(status, {"error": "Unauthorized"}))
    with pytest.raises(JobSetupError, match=f"gbif: GET / answers {status}: .*Unauthorized.*; name a `connection` of"):
        asking(service(gbif)).get("/")


def test_each_service_of_a_job_is_asked_at_its_own_address_with_its_own_rate(gbif: Gbif) -> None:
    reserved = []

    def pace(of: Service, requests: int) -> float:
        reserved.append((of.name, requests))
        return 0.0

    other = service(gbif, name="other")
    asker = Asker(service(gbif), pace, connected(), others=(other,))
    asker.get("/first")
    asker.of("other").get("/second")
    assert asker.of("other") is asker.of("other")
    assert asker.of("gbif") is asker
    asker.close()
    assert reserved == [("gbif", 1), ("other", 1)]
    assert [each.path for each in gbif.requests] == ["/first", "/second"]


def test_a_service_that_the_job_does_not_name_is_refused_with_the_nearest(gbif: Gbif, asking: Asking) -> None:
    asker = asking(service(gbif), others=(IUCN,))
    with pytest.raises(JobSetupError, match=r"'iucnn' is no service of the job; did you mean 'iucn'\?"):
        asker.of("iucnn")


def test_another_service_whose_token_is_missing_is_an_error_when_it_is_wanted(gbif: Gbif, asking: Asking) -> None:
    without = connected(iucn={})
    asker = asking(service(gbif), without, others=(IUCN,))
    assert asker.get("/").status == 404
    with pytest.raises(JobSetupError, match="iucn: the connection 'iucn' holds no token; write it as its password"):
        asker.of("iucn")


def test_the_user_agent_names_the_operator(gbif: Gbif, asking: Asking) -> None:
    contact = connected(gbif={"extra": {"contact": "ops@example.org"}})
    asking(service(gbif, connection="gbif", needs=("contact",)), contact).get("/")
    assert gbif.requests[0].headers["user-agent"] == "Sluiceway/0.1.0 (ops@example.org)"
