"""What a page shows can be typed in: commands and options exist, files are right, code compiles."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from dev.docs.cli import commands as known_commands
from dev.docs.cli import options
from dev.environment import ROOT
from sluiceway.alerts.spec import read_file as read_alerts_file
from sluiceway.deploy.spec import read_file
from sluiceway.flows.check import check
from sluiceway.freshness.faces import Faces, read_faces
from sluiceway.ledger.store import RunKey
from sluiceway.load.judged import wrong_checks
from sluiceway.tables.registry import read_spec
from tests.dev.docs.markdown import PAGES, Block, commands, every, in_sentences, words
from tests.flows.configured import CLI, configured, flow

FLOW_HEAD = 'flow_type = "tables"\ntables = ["us_state"]\n'
TABLE_HEAD = """\
description = "Cities"
key = "content"
[source]
kind = "csv"
uri = "city.csv"
"""
IN_THE_IMAGE = "from sluiceway.cli.app import app; app()"
"""What stands for the command where only the library is."""


def names(blocks: list[Block]) -> list[str]:
    return [block.name for block in blocks]


def typed(program: str) -> Iterator[tuple[str, list[str]]]:
    """Every command of a program on the pages, and where it stands."""
    for block in every("bash"):
        for found in commands(block):
            if found and Path(found[0]).name == program:
                yield block.name, found[1:]
            elif program == "sluiceway" and IN_THE_IMAGE in found:
                yield block.name, found[found.index(IN_THE_IMAGE) + 1 :]
    for page in PAGES:
        for text in in_sentences(page, program):
            yield str(page.relative_to(ROOT)), words(text)[1:]


def unknown(arguments: list[str]) -> str | None:
    """What of a `sluiceway` command does not exist."""
    while arguments and arguments[0] in {"--verbose", "-v", "--help"}:
        arguments = arguments[1:]
    known = known_commands()
    # in a sentence a word may stand for a group: `sluiceway runs`
    groups = {" ".join(name.split()[:count]) for name in known for count in range(1, len(name.split()))}
    if not arguments or " ".join(arguments) in groups:
        return None
    name = next((each for count in (3, 2, 1) if (each := " ".join(arguments[:count])) in known), None)
    if name is None:
        return " ".join(arguments[:2])
    own = {"--help", *options(known[name])}
    given = {word.split("=")[0] for word in arguments[len(name.split()) :] if re.match(r"--?[a-z]", word)}
    return ", ".join(sorted(given - own)) or None


def test_every_sluiceway_command_exists_with_its_options() -> None:
    found = list(typed("sluiceway"))
    assert len(found) > 60
    assert [(where, *arguments) for where, arguments in found if unknown(arguments)] == []


def test_the_library_alone_is_a_command_too() -> None:
    run = [sys.executable, "-c", IN_THE_IMAGE, "ledger", "migrate", "--help"]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert "--warehouse" in done.stdout
    assert [
        where
        for where, arguments in typed("sluiceway")
        if arguments[:2] == ["ledger", "migrate"] and "compose" in where
    ]


def test_a_command_or_an_option_that_does_not_exist_is_found() -> None:
    assert unknown(["tabels", "run"]) == "tabels run"
    assert unknown(["tables", "run", "city", "--forse"]) == "--forse"
    assert unknown(["trigger", "--commit", "X", "--build-id", "X"]) is None
    assert unknown(["runs"]) is None


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_every_make_target_exists_with_its_variables() -> None:
    variables = set(re.findall(r"^([A-Z_]+) \?=", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    found = [(where, arguments) for where, arguments in typed("make") if arguments]
    assert len(found) > 15
    for where, (target, *rest) in found:
        assert target in targets(), f"{where}: make {target}"
        assert {word.split("=")[0] for word in rest if "=" in word} <= variables, f"{where}: {rest}"


AIRFLOW = """
import json, sys
from airflow.cli.cli_parser import get_parser
parser = get_parser()
wrong = []
for arguments in json.load(sys.stdin):
    try:
        parser.parse_args(arguments)
    except SystemExit as error:
        if error.code:
            wrong.append(arguments)
json.dump(wrong, sys.stdout)
"""


def refused(arguments: list[list[str]], home: Path) -> list[list[str]]:
    """Those of Airflow's own command lines that its parser refuses."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AIRFLOW],
        input=json.dumps(arguments),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    wrong: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return wrong


def deployed() -> list[list[str]]:
    """The arguments of every `airflow` that a file of deploy/ runs."""
    found = []
    for path in (ROOT / "deploy").rglob("*.*"):
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        found += re.findall(r"ExecStart=\S+/airflow (.*)", text)
        found += re.findall(r"\bairflow ((?:pools|db|jobs) [^'\n]*)", text)
        found += re.findall(r"(?m)^    command: ((?!>|postgres)[\w-]+(?: \w+)?)$", text)
    assert "celery worker" in found
    return [shlex.split(line.replace("$$", "$")) for line in found]


def test_airflows_own_parser_takes_every_airflow_command(tmp_path: Path) -> None:
    found = [arguments for _, arguments in typed("airflow") if arguments]
    # docker compose run --rm airflow-cli airflow ..., kubectl exec ... -- airflow ...
    found += [
        line[at + 2 :]
        for block in every("bash")
        for line in commands(block)
        for at in range(len(line) - 1)
        if line[at] in {"airflow-cli", "--"} and line[at + 1] == "airflow"
    ]
    found += [word[5:].split() for _, line in typed("make") for word in line if word.startswith("ARGS=dags")]
    found += deployed()
    assert len(found) > 15
    typo = ["dags", "lst"]
    assert refused([*found, typo], tmp_path) == [typo]


TRIED_ELSEWHERE = {"add-a-source.md"}
"""A page whose files need a kind that only its own test installs."""
TOML = [block for block in every("toml") if block.page.name not in TRIED_ELSEWHERE]
TABLES = [block for block in TOML if re.search(r"^\[source\]$", block.text, re.MULTILINE)]
COLUMNS = [block for block in TOML if re.match(r"\w+ = \{ source = ", block.text)]
ENVIRONMENTS = [block for block in TOML if re.search(r'^kind = "(http|cloud_run)"$', block.text, re.M)]
ALERTS = [block for block in TOML if "[alerts." in block.text]
KIND = [block for block in TOML if "[project]" in block.text or "heartbeat" in block.text if block not in ALERTS]
"""The kind of trigger that tests/flows/test_new_kind.py installs."""
FLOWS = [block for block in TOML if "[[triggers]]" in block.text and block not in KIND]

FACES = [block for block in TOML if re.search(r"^public = ", block.text, re.MULTILINE)]


def test_every_example_of_a_file_is_tried() -> None:
    tried = [*TABLES, *COLUMNS, *ENVIRONMENTS, *ALERTS, *KIND, *FLOWS, *FACES]
    assert len(tried) == len(set(tried))
    assert sorted(names(TOML)) == sorted(names(tried))
    assert TABLES and COLUMNS and ENVIRONMENTS and FLOWS


@pytest.mark.parametrize("block", TABLES, ids=names(TABLES))
def test_a_table_is_a_right_file(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "penguin.toml"
    path.write_text(block.text, encoding="utf-8")
    spec = read_spec(path)
    assert spec.columns
    assert wrong_checks(spec) == []


@pytest.mark.parametrize("block", COLUMNS, ids=names(COLUMNS))
def test_columns_are_right_ones(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "city.toml"
    head = TABLE_HEAD + ("header = false\n" if re.search(r"source = \d", block.text) else "")
    path.write_text(f"{head}[columns]\n{block.text}", encoding="utf-8")
    assert set(read_spec(path).columns) == set(tomllib.loads(block.text))


@pytest.mark.parametrize("block", ENVIRONMENTS, ids=names(ENVIRONMENTS))
def test_an_environment_is_a_right_file(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "staging.toml"
    path.write_text(block.text, encoding="utf-8")
    assert read_file(path).kind == tomllib.loads(block.text)["kind"]


@pytest.mark.parametrize("block", ALERTS, ids=names(ALERTS))
def test_alerts_are_a_right_file(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(block.text, encoding="utf-8")
    assert set(read_alerts_file(path).alerts) == set(tomllib.loads(block.text)["alerts"])


@pytest.mark.parametrize("block", FLOWS, ids=names(FLOWS))
def test_a_flow_is_a_right_file(block: Block, tmp_path: Path) -> None:
    whole = block.text if block.text.startswith("flow_type") else FLOW_HEAD + block.text
    assert check(settings=configured(tmp_path, shop=whole, master_etl=flow(CLI))) == []


@pytest.mark.parametrize("block", FACES, ids=names(FACES))
def test_who_may_read_a_face_is_a_right_file(block: Block, tmp_path: Path) -> None:
    (tmp_path / "faces.toml").write_text(block.text, encoding="utf-8")
    assert read_faces(tmp_path) == Faces.model_validate(tomllib.loads(block.text)) != Faces()


PYTHON = every("python")


@pytest.mark.parametrize("block", PYTHON, ids=names(PYTHON))
def test_python_is_python(block: Block) -> None:
    text = block.text
    if re.match(r"(# .*\n)? {4}", text):
        # a part of a function
        text = re.sub(r"^(# .*\n)?", r"\1if True:\n", text, count=1)
    assert ast.parse(text).body


YAML = every("yaml")


@pytest.mark.parametrize("block", YAML, ids=names(YAML))
def test_yaml_is_yaml(block: Block) -> None:
    assert yaml.safe_load(block.text)


def test_a_shell_can_read_every_command() -> None:
    for block in every("bash"):
        done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block.name}: {done.stderr}"


def test_every_variable_of_a_page_is_a_setting() -> None:
    from dev.docs.settings import variables

    known = {*variables(), "SLUICEWAY_ENV_FILE"}
    for page in PAGES:
        found = set(re.findall(r"\bSLUICEWAY_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")))
        assert found <= known, f"{page.relative_to(ROOT)}: {sorted(found - known)}"


def test_the_values_of_the_page_become_what_it_says(tmp_path: Path) -> None:
    from sluiceway.infer.preview import preview

    page = "add-a-table.md"
    (sheet,) = [block for block in every("text") if block.text.startswith("Agency,")]
    (columns,) = [block for block in COLUMNS if page in block.name and "scale = " in block.text]
    (tmp_path / "city.csv").write_text(sheet.text, encoding="utf-8")
    table = tmp_path / "city.toml"
    table.write_text(f"{TABLE_HEAD}[columns]\n{columns.text}", encoding="utf-8")
    rows = preview(read_spec(table), rows=10).rows
    found = [[str(value).lower() if value in {True, False} else str(value) for value in row.values()] for row in rows]
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    shown = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| 0")]
    assert found == shown


def test_the_expressions_of_the_page_become_what_it_says(
    tmp_path: Path,
    warehouse_url: str,
    open_run: Callable[[str], RunKey],
    query: Callable[..., list[tuple[object, ...]]],
) -> None:
    from sluiceway.load.table import load_table

    page = "add-a-table.md"
    (sheet,) = [block for block in every("text") if block.text.startswith("Permit,")]
    (columns,) = [block for block in COLUMNS if page in block.name and "expression = " in block.text]
    (tmp_path / "city.csv").write_text(sheet.text, encoding="utf-8")
    table = tmp_path / "city.toml"
    table.write_text(f"checks = {{ max_rejects = 1 }}\n{TABLE_HEAD}[columns]\n{columns.text}", encoding="utf-8")
    spec = read_spec(table)
    load_table(spec, warehouse_url, run=open_run("r1"))
    names = ", ".join(f"coalesce({name}::text, '')" for name in spec.stored_columns)
    found = [list(row) for row in query(f"SELECT {names} FROM city ORDER BY permit")]
    text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    shown = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| 10")]
    assert found == shown
    ((reason,),) = query("SELECT reason FROM etl.reject")
    assert f"Permit 1024 is a reject: `{reason}`" in text


def test_the_transform_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    from sluiceway.infer.preview import preview

    (code,) = [block for block in PYTHON if "def transform(" in block.text]
    for folder in ("tables", "transforms"):
        (tmp_path / folder).mkdir()
    (tmp_path / "transforms" / "city.py").write_text(code.text, encoding="utf-8")
    columns = 'columns = { country = "text", population_k = "double precision" }\n'
    table = tmp_path / "tables" / "city.toml"
    table.write_text(columns + TABLE_HEAD.replace("city.csv", "../city.csv"), encoding="utf-8")
    (tmp_path / "city.csv").write_text("country,population\nDE,83000\n,5\nFR,68000\n", encoding="utf-8")
    rows = preview(read_spec(table), rows=10).rows
    assert [(row["country"], row["population_k"]) for row in rows] == [("DE", 83.0), ("FR", 68.0)]
