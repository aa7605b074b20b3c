"""What the shell offers after a Tab, asked for as bash does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dev.environment import ROOT
from sluiceway.cli import complete
from sluiceway.cli.app import app
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from tests.flows.configured import CLI, NIGHTLY, configured, flow

Offers = Callable[[str], set[str]]
Setting = Callable[..., None]


def asked(line: str) -> dict[str, str]:
    """The environment in which bash asks for what may follow a line."""
    words = line.split(" ")
    return {
        "_SLUICEWAY_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }


@pytest.fixture
def offers(tmp_path: Path, setting: Setting) -> Offers:
    """What is offered in a deployment of two flows and a table."""
    folder = configured(tmp_path, orders=flow(CLI, NIGHTLY), idle=flow(CLI)).config_dir
    (folder / "tables").mkdir(exist_ok=True)
    (folder / "tables" / "us_state.toml").write_text("broken")
    setting(config_dir=folder)

    def offers(line: str) -> set[str]:
        result = CliRunner().invoke(app, [], prog_name="sluiceway", env=asked(line))
        assert result.stderr == ""
        return set(result.stdout.split())

    return offers


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sluiceway tables run us_s", {"us_state"}),
        ("sluiceway tables preview us_s", {"us_state"}),
        ("sluiceway triggers show ", {"idle", "orders"}),
        ("sluiceway triggers test o", {"orders"}),
        ("sluiceway triggers show orders ", {"manual", "nightly"}),
        ("sluiceway triggers show nothing ", set()),
        ("sluiceway trigger --flow-id id", {"idle"}),
        ("sluiceway trigger --flow-id orders --trigger-id n", {"nightly"}),
        ("sluiceway runs show ", set()),
    ],
)
def test_names_are_offered_from_the_files(offers: Offers, line: str, offered: set[str]) -> None:
    assert offers(line) == offered


def test_the_newest_runs_of_the_ledger_are_offered(offers: Offers, setting: Setting, warehouse_url: str) -> None:
    with connect(warehouse_url) as session:
        for key in (RunKey("master_etl", "deploy__1"), RunKey("shop", "cli__1")):
            store.open_run(session, key, None, "manual")
    line = f"sluiceway runs show --warehouse {warehouse_url} "
    assert offers(line) == {"deploy__1", "cli__1"}
    setting(warehouse_url=warehouse_url)
    assert offers("sluiceway runs retry d") == {"deploy__1"}
    assert offers("sluiceway runs show --dag shop ") == {"cli__1"}


@pytest.mark.parametrize("url", ["postgresql://127.0.0.1:1/none", "nonsense"])
def test_a_warehouse_that_is_not_there_offers_nothing(offers: Offers, setting: Setting, url: str) -> None:
    setting(warehouse_url=url)
    assert offers("sluiceway runs show ") == set()


def test_a_warehouse_that_does_not_answer_is_not_waited_for_as_long_as_a_command_waits(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        took = {}
        for name, url in (("refused", "postgresql://127.0.0.1:1/none"), ("silent", _url(silent))):
            began = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-c", "from sluiceway.cli.app import app; app(prog_name='sluiceway')"],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(ROOT / "include"),
                    "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX", str(ROOT / ".local" / "pycache")),
                    "SLUICEWAY_ENV_FILE": str(tmp_path / "none.env"),
                    "SLUICEWAY_WAREHOUSE_URL": url,
                    **asked("sluiceway runs show "),
                },
            )
            took[name] = time.monotonic() - began
            assert (done.stdout.strip(), done.stderr) == ("", "")
    assert complete.WITHIN_S < 1
    # a busy machine may take seconds for the same; without the limit these are the ten of a connection
    assert took["silent"] - took["refused"] < 8


def _url(server: socket.socket) -> str:
    return f"postgresql://127.0.0.1:{server.getsockname()[1]}/none"
