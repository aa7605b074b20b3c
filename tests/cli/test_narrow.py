"""On a screen of any width, and in a pipe, every id that a command shows is whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dev.environment import ROOT
from sluiceway.ledger import store
from sluiceway.ledger.store import RunKey
from sluiceway.ledger.warehouse import connect
from tests.cli.terminal import written_to_a_terminal
from tests.flows.configured import CLI, NIGHTLY, configured, flow

SHA = "0123456789abcdef0123456789abcdef01234567"
RUN = RunKey("master_etl", f"deploy__{SHA}__12")
LONG = RunKey("orders_of_a_shop_with_a_long_name", f"scheduled__2026-08-03T00:00:00+00:00__{'x' * 60}")
TABLE = "county_subdivision_of_the_united_states"
FLOW = "orders_of_a_shop_with_a_long_name"
SENTENCE = "One table of one failed, for the source gave no rows, and nothing of it was written; see its log."
COMMANDS = """
import sys
from sluiceway.cli.app import app
for words in sys.argv[1:]:
    app(words.split(), prog_name="sluiceway", standalone_mode=False)
"""
SHOWN = {
    "tables list --all": [TABLE],
    "runs list": [RUN.run_id, LONG.run_id, LONG.dag_id],
    f"runs show {RUN.run_id}": [str(RUN), SHA, TABLE],
    f"runs show {LONG.run_id}": [str(LONG)],
    "status": [TABLE],
    "triggers list": [FLOW, "nightly"],
    f"triggers show {FLOW}": [FLOW, "nightly"],
}


@pytest.fixture
def env(tmp_path: Path, warehouse_url: str) -> dict[str, str]:
    """A deployment with long names, and a ledger with long ids."""
    with connect(warehouse_url) as session:
        for key in (RUN, LONG):
            store.open_run(session, key, SHA, "manual")
            store.plan_tables(session, key, [TABLE])
            store.close_run(session, key, "success", SENTENCE, {})
    folder = configured(tmp_path, **{FLOW: flow(CLI, NIGHTLY)}).config_dir
    spec = 'description = "Parts of counties, as the Census Bureau draws them"\nkey = ["state_code", "county_code"]\n'
    spec += '[source]\nkind = "csv"\nuri = "x.csv"\n[columns]\nstate_code = "text"\ncounty_code = "text"\n'
    (folder / "tables" / f"{TABLE}.toml").write_text(spec)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "include"),
        "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX", str(ROOT / ".local" / "pycache")),
        "SLUICEWAY_ENV_FILE": str(tmp_path / "none.env"),
        "SLUICEWAY_CONFIG_DIR": str(folder),
        "SLUICEWAY_WAREHOUSE_URL": warehouse_url,
        "TERM": "xterm",
    }


def on_a_screen(width: int, env: dict[str, str]) -> str:
    """What the commands write to a terminal of that width, without its colours."""
    written = written_to_a_terminal([sys.executable, "-c", COMMANDS, *SHOWN], env, width=width)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)


def in_a_pipe(env: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-c", COMMANDS, *SHOWN], capture_output=True, text=True, check=True, env=env)
    return done.stdout


@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_screen_ids_are_whole_and_where_they_do_not_fit_each_value_has_a_line(
    env: dict[str, str], width: int
) -> None:
    shown = on_a_screen(width, env)
    for command, ids in SHOWN.items():
        for each in ids:
            assert each in shown, command
    assert f"\nrun: {RUN.run_id}\n" in shown
    assert f"\nnote: {SENTENCE}\n" in shown


def test_in_a_pipe_ids_are_whole_and_each_record_has_a_line(env: dict[str, str]) -> None:
    shown = in_a_pipe(env)
    for command, ids in SHOWN.items():
        for each in ids:
            assert each in shown, command
    (run,) = [line for line in shown.splitlines() if line.startswith("master_etl ") and RUN.run_id in line]
    assert run.endswith(SENTENCE)


def test_prose_is_folded_where_that_leaves_the_ids_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    from sluiceway.cli import records

    screen = Console(width=60, force_terminal=True, color_system=None, record=True, soft_wrap=True)
    monkeypatch.setattr(records, "out", screen)
    records.print_records(("run", "note"), [("deploy__0123456789", "[red] " + SENTENCE)], prose={"note"})
    lines = screen.export_text().splitlines()
    assert lines[1].startswith("deploy__0123456789  [red] One table") and len(lines) > 3
    assert all(len(line) <= 60 for line in lines)
