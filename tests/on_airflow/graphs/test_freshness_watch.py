"""freshness_watch is red for as long as somebody does not know what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from sluiceway.alerts import watch
from sluiceway.alerts.notices import Untold
from sluiceway.alerts.tell import Told
from sluiceway.alerts.watch import Watched
from sluiceway.errors import NotToldError
from sluiceway.on_airflow.graphs import freshness_watch

NEXT = datetime(2026, 8, 3, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("error", "is_red"), [("on_call was not told: it answered 503", True), (None, False)], ids=["failed", "in hand"]
)
def test_it_is_red_while_what_could_not_be_sent_waits_for_its_next_try(
    monkeypatch: pytest.MonkeyPatch, error: str | None, is_red: bool
) -> None:
    waiting = (Untold("team", "on_call", 1, NEXT, error),)
    monkeypatch.setattr(watch, "watch", lambda *_: Watched(1, Told(), waiting, None))
    monkeypatch.setattr(freshness_watch, "surroundings", lambda _: None)
    monkeypatch.setattr(freshness_watch, "warehouse_url", lambda: "")
    monkeypatch.setattr(freshness_watch, "read_alerts", lambda: None)
    if not is_red:
        assert freshness_watch.look_and_tell(cast(Any, {})) == 0
        return
    with pytest.raises(NotToldError, match=r"1 incident waits to be told to team .* it answered 503"):
        freshness_watch.look_and_tell(cast(Any, {}))
