"""What every route of ours answers whom, as docs/how-to/access.md shows it, and which doors of Airflow are open."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from fastapi.routing import APIRoute

from dev.docs.access import ASKERS, OPEN_DOORS, OURS, Route
from tests.on_airflow.web.conftest import PATIENT_S, logged_in


@pytest.fixture(scope="module")
def askers(server: str) -> Iterator[dict[str, httpx.Client]]:
    """A client of each who asks."""
    stranger, reader = logged_in(server, "stranger"), logged_in(server, "reader")
    with httpx.Client(base_url=server, timeout=PATIENT_S) as nobody:
        found = {"nobody": nobody, "stranger": next(stranger), "reader": next(reader)}
        for client in found.values():
            client.headers["Accept"] = "*/*"
        yield found


def test_every_route_of_the_app_stands_in_the_table() -> None:
    from sluiceway.on_airflow.web.app import app

    found = {(method, each.path) for each in app.routes if isinstance(each, APIRoute) for method in each.methods}
    assert found == {(route.method, route.path) for route in OURS}
    assert len(found) == len(app.routes) + sum(len(each.methods) - 1 for each in app.routes)  # type: ignore[attr-defined]


@pytest.mark.parametrize("who", ASKERS)
@pytest.mark.parametrize("route", OURS, ids=lambda each: f"{each.method} {each.path}")
def test_a_route_answers_what_the_page_says(route: Route, who: str, askers: dict[str, httpx.Client]) -> None:
    answer = askers[who].request(route.method, f"/sluiceway{route.asked or route.path}")
    assert answer.status_code == route.answers()[who], answer.text


@pytest.mark.parametrize("who", ASKERS)
@pytest.mark.parametrize("route", OPEN_DOORS, ids=lambda each: f"{each.method} {each.path}")
def test_a_door_of_airflows_own_is_as_open_as_the_page_says(
    route: Route, who: str, askers: dict[str, httpx.Client]
) -> None:
    answer = askers[who].request(route.method, route.path)
    assert answer.status_code == route.answers()[who], answer.text


def test_no_other_method_and_no_other_address_below_ours_answers_anything(server: str) -> None:
    for method in ("PUT", "DELETE", "PATCH", "POST"):
        assert httpx.request(method, f"{server}/sluiceway/runs").status_code == httpx.codes.METHOD_NOT_ALLOWED
    for path in ("docs", "redoc", "openapi.json", ".env"):
        assert httpx.get(f"{server}/sluiceway/{path}").status_code == httpx.codes.NOT_FOUND
