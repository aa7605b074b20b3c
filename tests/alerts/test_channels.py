"""Addresses: those that the page shows, those that a connection holds, and what of them is shown."""

from __future__ import annotations

import re
from typing import Any

import apprise
import pytest

from dev.environment import ROOT
from sluiceway.alerts.channels import addresses, channels_of, masked
from sluiceway.errors import SettingsError
from sluiceway.sources.connections import Connection

PAGE = (ROOT / "docs" / "how-to" / "alerts.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^\| [^|]+ \| `(\w+://[^`]+)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("address", SHOWN)
def test_apprise_takes_every_address_of_the_page(address: str) -> None:
    assert apprise.Apprise.instantiate(address) is not None


def test_the_page_shows_addresses() -> None:
    assert len(SHOWN) > 3


def held(extra: Any = None, password: str | None = None) -> list[str]:
    return addresses(Connection(conn_id="c", conn_type="apprise", password=password, extra=extra or {}))


@pytest.mark.parametrize(
    ("extra", "password", "found"),
    [
        ({"config": {"path": "a://1", "tag": "x"}}, None, ["a://1"]),
        ({"config": [{"path": "a://1"}, {"path": "b://2"}]}, None, ["a://1", "b://2"]),
        ({"config": '{"path": "a://1"}'}, None, ["a://1"]),
        ({"config": '[{"path": "a://1"}, {"path": "b://2"}]'}, None, ["a://1", "b://2"]),
        ({}, "a://1", ["a://1"]),
    ],
)
def test_a_connection_holds_addresses_as_airflows_provider_keeps_them_or_as_its_password(
    extra: Any, password: str | None, found: list[str]
) -> None:
    assert held(extra, password) == found


@pytest.mark.parametrize("extra", [{}, {"config": {}}, {"config": "{"}, {"config": [{"tag": "x"}]}, {"config": 1}])
def test_a_connection_without_an_address_is_refused(extra: Any) -> None:
    with pytest.raises(SettingsError, match="The connection 'c' holds no address of Apprise"):
        held(extra)


def test_each_address_is_a_channel_and_none_is_named_by_it() -> None:
    connection = Connection(
        conn_id="c", conn_type="apprise", extra={"config": [{"path": "a://1"}, {"path": "b://2"}, {"path": "a://3"}]}
    )
    assert [each.name for each in channels_of(connection)] == ["c", "c/2", "c/3"]


@pytest.mark.parametrize(
    "said",
    [
        "no answer from hooks.example.org for tok%2Fen",
        "no answer from hooks.example.org for tok/en",
        "401 for user with hunter22",
        "POST /services/T0001/B0002",
    ],
)
def test_no_part_of_an_address_is_shown(said: str) -> None:
    shown = masked(said, "slack://user:hunter22@hooks.example.org/services/T0001/B0002?key=tok%2Fen")
    assert "***" in shown
    assert not re.search(r"hunter22|T0001|B0002|tok|hooks|services", shown)
