"""What the tests of drafts share: a file that is drafted and loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluiceway.ledger.store import RunKey, TableRun
from sluiceway.load.table import load_table
from tests.infer.drafted import Drafted

Load = Callable[..., TableRun]


@pytest.fixture
def load(tmp_path: Path, warehouse_url: str, open_run: Callable[[str], RunKey]) -> Load:
    """Drafts and loads one file of `tmp_path` as table `drafted`."""

    def run(name: str, content: str | bytes | None = None, **asked: str) -> TableRun:
        if content is not None:
            (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        draft = Drafted(tmp_path / name, tmp_path / "drafted.toml", **asked)
        return load_table(draft.spec, warehouse_url, run=open_run("r1"))

    return run
