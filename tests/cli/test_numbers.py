"""A number, a time or an incident that cannot be is refused in one sentence of ours, with the nearest that can."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dev.cluster import Cluster
from sluiceway.cli.app import app
from sluiceway.infer.preview import LOOKED_AT
from sluiceway.jobs import rate
from sluiceway.ledger.warehouse import connect
from tests.cli.commands import callbacks
from tests.flows.configured import CLI, NIGHTLY, configured, flow

Run = Callable[..., Result]
Setting = Callable[..., None]

HUGE = "9" * 20
LIMITS = [
    (("alerts", "list", "--limit"), 1, 1_000_000),
    (("dead-letters", "list", "--limit"), 1, 1_000_000),
    (("runs", "list", "--limit"), 1, 1_000_000),
    (("tables", "preview", "city", "--rows"), 0, LOOKED_AT),
    (("triggers", "next", "orders", "-n"), 1, 1_000),
    (("jobs", "pause", "gbif", "--hours"), 0.01, 87_600),
]
SPEC = 'description = "x"\nkey = "id"\nsource = { kind = "csv", uri = "city.csv" }\ncolumns = { id = "integer" }\n'


@pytest.fixture
def run(tmp_path: Path, setting: Setting, postgres: Cluster, database: str, warehouse_url: str) -> Run:
    """Runs one command on a deployment with a table, a flow, and a service that jobs ask."""
    folder = configured(tmp_path, orders=flow(CLI, NIGHTLY)).config_dir
    (folder / "tables" / "city.toml").write_text(SPEC)
    (folder / "tables" / "city.csv").write_text("id\n1\n2\n")
    jobs_url = postgres.url("sluiceway_jobs", database)
    setting(config_dir=folder, warehouse_url=warehouse_url, jobs_url=jobs_url)
    with connect(jobs_url) as session:
        rate.pause(session, "gbif", seconds=1, reason="a test")
    return lambda *arguments: CliRunner().invoke(app, arguments)


@pytest.mark.parametrize(("command", "least", "most"), LIMITS, ids=[" ".join(command) for command, _, _ in LIMITS])
def test_a_number_that_cannot_be_is_refused_with_the_nearest_that_can(
    run: Run, command: tuple[str, ...], least: float, most: int
) -> None:
    name = command[-1]
    kind = "number" if name == "--hours" else "whole number"
    for given, said in (
        (HUGE, f"{HUGE} is too large; the most is {most}."),
        (str(most + 1), f"{most + 1} is too large; the most is {most}."),
        ("-1", f"-1 is too small; the least is {least}."),
        ("many", f"'many' is no {kind}; write one from {least} to {most}."),
        ("nan", f"'nan' is no {kind}; write one from {least} to {most}."),
        ("", f"'' is no {kind}; write one from {least} to {most}."),
    ):
        refused = run(*command, given)
        assert (refused.exit_code, refused.stdout, refused.stderr) == (2, "", f"error: {name} {said}\n")
    assert run(*command, "0").exit_code == (0 if least == 0 else 2)
    for number in (least, most):
        good = run(*command, str(number))
        assert good.exit_code == 0, good.output


@pytest.mark.parametrize(
    "command",
    [
        ("alerts", "snooze", "1", "--for"),
        ("dead-letters", "list", "--older-than"),
        ("dead-letters", "replay", "--older-than"),
        ("dead-letters", "export", "--older-than"),
        ("status", "--wait", "--commit", "1f0c2ab", "--timeout"),
    ],
    ids=" ".join,
)
def test_a_time_that_cannot_be_is_refused_by_its_option(run: Run, command: tuple[str, ...]) -> None:
    for given, said in (
        ("x", "'x' is no time; write a number with s, m, h or d, such as 30m, 6h or 2d."),
        ("999999999d", "999999999d is too long; the longest is 3650d."),
    ):
        refused = run(*command, given)
        assert (refused.exit_code, refused.stdout, refused.stderr) == (2, "", f"error: {command[-1]} {said}\n")


@pytest.mark.parametrize("command", [("acknowledge",), ("snooze", "--for", "1h")], ids=" ".join)
def test_what_is_no_incidents_number_is_refused_in_a_sentence(run: Run, command: tuple[str, ...]) -> None:
    for given in ("x", "1.5", HUGE):
        refused = run("alerts", *command, given)
        said = f"error: ID '{given}' is no incident's number; `sluiceway alerts list` has those there are.\n"
        assert (refused.exit_code, refused.stdout, refused.stderr) == (2, "", said)
    assert run("alerts", *command, "7").stderr == "error: There is no incident 7; open are: none.\n"


def test_no_command_leaves_a_number_to_the_words_of_a_library() -> None:
    numbers = [
        f"{' '.join(words)} {parameter.name}"
        for words, function in callbacks().items()
        for parameter in inspect.signature(function).parameters.values()
        if re.search(r"\b(int|float)\b", str((*get_args(parameter.annotation), parameter.annotation)[0]))
    ]
    assert numbers == []
