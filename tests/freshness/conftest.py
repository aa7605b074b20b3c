from __future__ import annotations

from typing import Any

import pytest

from sluiceway.ledger.warehouse import PsycopgSession, Statement
from tests.freshness.ledgered import RUNS, TABLES, fill


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement that a session runs."""
    seen: list[str] = []
    execute = PsycopgSession.execute

    def noted(self: PsycopgSession, query: Statement) -> list[tuple[Any, ...]]:
        seen.append(query.as_string(None))
        return execute(self, query)

    monkeypatch.setattr(PsycopgSession, "execute", noted)
    return seen


@pytest.fixture
def filled(warehouse_url: str, owner_url: str) -> str:
    """A ledger of 1,000 tables with 200 runs of history, the newest of which goes on."""
    fill(owner_url, tables=TABLES, runs=RUNS)
    return warehouse_url
