"""Policies over every DAG file and over the library: what a review would have to look for, looked for here."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.environment import ROOT
from sluiceway.jobs.files import names
from tests.dags.airflow_process import Deployment

DAGS = ROOT / "dags"
LIBRARY = ROOT / "include" / "sluiceway"
DAG_FILES = sorted(path for path in DAGS.rglob("*.py") if "__pycache__" not in path.parts)
MODULES = sorted(path for path in LIBRARY.rglob("*.py") if "__pycache__" not in path.parts)
HEAVY = ("pandas", "geopandas", "pyarrow", "duckdb", "airflow.providers.google")
OF_FILES = {DAGS / f"{name}.py" for name in ("flows", "freshness_watch", "jobs", "tables")}
"""Their DAGs are named by files under include/config/; tests of their own look at them."""
MAX_LINES = 80
MAX_MODULE_LINES = 400

RUNS_ALWAYS = {
    ("master_etl", "sub.cleanup_staging"),
    ("master_etl", "sub.cleanup_history"),
    ("master_etl", "verdict"),
    *((job, "verdict") for job in names()),
}
"""The only tasks that run whatever happened before; a new one hides a failure unless the verdict sees it."""

# runs in a process of its own
LOOK = """
import json, sys, warnings
warnings.simplefilter("ignore")
warnings.filterwarnings("error", category=DeprecationWarning, module="(sluiceway|dags|unusual_prefix_)")
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
def policy(task):
    found = getattr(task, "retry_policy", None) or getattr(task, "partial_kwargs", {}).get("retry_policy")
    return found is not None
def described(task):
    return {
        "trigger_rule": str(getattr(task.trigger_rule, "value", task.trigger_rule)),
        "retries": task.retries,
        "retry_delay_s": task.retry_delay.total_seconds(),
        "retry_policy": policy(task),
        "owner": task.owner,
        "doc": task.doc_md or getattr(task, "partial_kwargs", {}).get("doc_md"),
        "pool": task.pool,
        "upstream": sorted(task.upstream_task_ids),
        "conn_id": getattr(task, "conn_id", None) or getattr(task, "partial_kwargs", {}).get("conn_id"),
    }
json.dump({
    "errors": {str(key): str(value) for key, value in bag.import_errors.items()},
    "dags": {
        dag_id: {
            "file": dag.fileloc,
            "description": dag.description,
            "doc": dag.doc_md,
            "tags": sorted(dag.tags),
            "owner": dag.owner,
            "dagrun_timeout": dag.dagrun_timeout.total_seconds() if dag.dagrun_timeout else None,
            "max_active_runs": dag.max_active_runs,
            "leaves": sorted(task.task_id for task in dag.leaves),
            "judged": sorted(dag.get_task("verdict").upstream_task_ids) if dag.has_task("verdict") else [],
            "tasks": {task.task_id: described(task) for task in dag.tasks},
        }
        for dag_id, dag in bag.dags.items()
    },
}, sys.stdout)
"""

# in a process that has imported nothing before: what Airflow imports with a look at DAGs would be taken for known
IMPORT = """
import importlib.util, json, sys, warnings
warnings.simplefilter("ignore")
from airflow.sdk import DAG  # Airflow itself looks up what each provider is
before = set(sys.modules)
for number, path in enumerate(sys.argv[1:]):
    spec = importlib.util.spec_from_file_location(f"dag_{number}", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
json.dump(sorted(set(sys.modules) - before), sys.stdout)
"""


def run_python(code: str, arguments: list[str], environment: dict[str, str]) -> Any:
    """In a process that has imported nothing before."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def bag(airflow: Deployment) -> dict[str, Any]:
    """Every DAG as Airflow itself parses it."""
    found: dict[str, Any] = airflow.run(LOOK, str(DAGS))
    return found


def tasks(bag: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for dag_id, dag in bag["dags"].items():
        for task_id, task in dag["tasks"].items():
            yield dag_id, task_id, task


def test_there_are_dags_to_look_at(bag: dict[str, Any]) -> None:
    assert {"master_etl", "deploy_watch"} <= bag["dags"].keys()
    assert {Path(dag["file"]) for dag in bag["dags"].values()} | OF_FILES == set(DAG_FILES)


def test_every_dag_file_can_be_imported(bag: dict[str, Any]) -> None:
    assert bag["errors"] == {}


def test_a_dag_file_that_cannot_be_imported_is_noticed(tmp_path: Path, airflow: Deployment) -> None:
    (tmp_path / "broken.py").write_text("from airflow.sdk import DAG\nimport no_such_module\n", encoding="utf-8")
    assert "no_such_module" in str(airflow.run(LOOK, str(tmp_path))["errors"])


def swallowed(text: str) -> list[str]:
    """What Markdown takes for a tag of HTML and shows nobody: <sha> and its like outside of code."""
    without_code = re.sub(r"^~~~~\n.*?^~~~~$|`[^`]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"<[/!?A-Za-z][^>\n]*>", without_code)


def test_what_is_swallowed_is_found() -> None:
    assert swallowed("run id deploy__<sha> and `conf <sha>`; a < b and c > d") == ["<sha>"]
    assert swallowed("~~~~\n<sha>\n~~~~") == []


def test_airflow_shows_every_word_of_a_documentation(bag: dict[str, Any]) -> None:
    texts = {dag_id: dag["doc"] for dag_id, dag in bag["dags"].items()}
    texts |= {f"{dag_id}.{task_id}": task["doc"] for dag_id, task_id, task in tasks(bag)}
    assert sum(bool(text) for text in texts.values()) > len(bag["dags"])
    assert {name: found for name, text in texts.items() if (found := swallowed(text or ""))} == {}


def test_a_dag_is_named_by_its_file(bag: dict[str, Any]) -> None:
    written = {dag_id: Path(dag["file"]) for dag_id, dag in bag["dags"].items() if Path(dag["file"]) not in OF_FILES}
    assert {dag_id: path.stem for dag_id, path in written.items()} == {dag_id: dag_id for dag_id in written}


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_dag_file_is_a_table_of_contents(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("key", ["description", "tags", "dagrun_timeout"])
def test_every_dag_says_what_it_is_and_when_it_is_too_slow(bag: dict[str, Any], key: str) -> None:
    assert [dag_id for dag_id, dag in bag["dags"].items() if not dag[key]] == []


def test_every_dag_has_an_owner_who_is_not_airflows_default(bag: dict[str, Any]) -> None:
    assert [task for dag, task, found in tasks(bag) if found["owner"] in {"", "airflow"}] == []


def test_no_dag_runs_beside_itself(bag: dict[str, Any]) -> None:
    assert {dag["max_active_runs"] for dag in bag["dags"].values()} == {1}


def test_every_task_is_tried_again_by_the_policy_that_knows_which_errors_go_away(bag: dict[str, Any]) -> None:
    assert [(dag, task) for dag, task, found in tasks(bag) if not (found["retries"] and found["retry_policy"])] == []


def test_loads_and_the_final_tasks_have_retries_of_their_own_that_a_deployment_may_set(
    bag: dict[str, Any], airflow: Deployment
) -> None:
    def retries(found: dict[str, Any]) -> dict[str, tuple[int, float]]:
        tasks = found["dags"]["master_etl"]["tasks"]
        names = ("plan", "sub.load_table", "final.validate", "final.aggregate")
        return {name: (tasks[name]["retries"], tasks[name]["retry_delay_s"]) for name in names}

    final = {"final.validate": (1, 60.0), "final.aggregate": (1, 60.0)}
    assert retries(bag) == {"plan": (3, 20.0), "sub.load_table": (2, 10.0), **final}
    own = {"RETRIES": 5, "LOAD_RETRIES": 4, "LOAD_RETRY_DELAY_S": 7, "FINAL_RETRIES": 2, "FINAL_RETRY_DELAY_S": 8}
    changed = airflow.having(**{f"SLUICEWAY_{name}": str(value) for name, value in own.items()})
    final = {"final.validate": (2, 8.0), "final.aggregate": (2, 8.0)}
    assert retries(changed.run(LOOK, str(DAGS))) == {"plan": (5, 20.0), "sub.load_table": (4, 7.0), **final}


def test_the_verdict_is_the_only_leaf_of_the_master_dag(bag: dict[str, Any]) -> None:
    assert bag["dags"]["master_etl"]["leaves"] == ["verdict"]
    assert bag["dags"]["master_etl"]["tasks"]["verdict"]["trigger_rule"] == "all_done_setup_success"


def test_the_verdict_waits_for_every_task_over_an_arrow_of_its_own(bag: dict[str, Any]) -> None:
    """One between it and a task that runs again is good and stays so: the verdict would come too early."""
    assert sorted([*bag["dags"]["master_etl"]["judged"], "verdict"]) == sorted(bag["dags"]["master_etl"]["tasks"])


def test_only_the_known_tasks_run_whatever_happened_before(bag: dict[str, Any]) -> None:
    assert {(dag, task) for dag, task, found in tasks(bag) if found["trigger_rule"] != "all_success"} == RUNS_ALWAYS


def test_publishing_waits_for_the_loads_and_checks_themselves_whoever_marks_validate(bag: dict[str, Any]) -> None:
    upstream = set(bag["dags"]["master_etl"]["tasks"]["final.aggregate"]["upstream"])
    assert {"pre.check_sources", "pre.check_warehouse", "sub.load_table", "final.validate"} <= upstream


def test_every_connection_and_pool_of_a_task_stands_in_the_local_settings(bag: dict[str, Any]) -> None:
    declared = yaml.safe_load((ROOT / "airflow_settings.yaml").read_text(encoding="utf-8"))["airflow"]
    connections = {entry["conn_id"] for entry in declared["connections"]}
    pools = {entry["pool_name"] for entry in declared["pools"]} | {"default_pool"}
    assert {found["conn_id"] for *_, found in tasks(bag) if found["conn_id"]} <= connections
    assert {found["pool"] for *_, found in tasks(bag)} <= pools


def test_every_connection_and_pool_the_code_names_stands_in_the_local_settings() -> None:
    declared = yaml.safe_load((ROOT / "airflow_settings.yaml").read_text(encoding="utf-8"))["airflow"]
    connections, pools = set(), set()
    for path in [*DAG_FILES, *MODULES]:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id.endswith("CONN_ID") for target in node.targets
            ):
                connections.add(ast.literal_eval(node.value))
            if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
                (connections if str(node.arg).endswith("conn_id") else pools if node.arg == "pool" else set()).add(
                    node.value.value
                )
    assert "warehouse" in connections & pools
    assert connections <= {entry["conn_id"] for entry in declared["connections"]}
    assert pools <= {entry["pool_name"] for entry in declared["pools"]}


def loaded_by(paths: list[Path], airflow: Deployment) -> list[str]:
    modules = run_python(IMPORT, [str(path) for path in paths], airflow.environment)
    return [name for name in HEAVY if any(f"{module}.".startswith(f"{name}.") for module in modules)]


def test_importing_the_dags_loads_no_heavy_library(airflow: Deployment) -> None:
    assert loaded_by(DAG_FILES, airflow) == []


def test_a_dag_that_loads_a_heavy_library_is_noticed(tmp_path: Path, airflow: Deployment) -> None:
    lines = "import duckdb\nimport airflow.providers.google.version_compat\n"
    (tmp_path / "heavy.py").write_text(lines, encoding="utf-8")
    assert loaded_by([tmp_path / "heavy.py"], airflow) == ["duckdb", "airflow.providers.google"]


def imported(tree: ast.Module) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


def imports_airflow(tree: ast.Module) -> bool:
    return any(name.split(".")[0] == "airflow" for name in imported(tree))


def reads_environment(tree: ast.Module) -> bool:
    names = {"environ", "environb", "getenv", "putenv"}
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    from_os = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "os"
        for alias in node.names
    }
    return bool(names & (attributes | from_os))


def prints(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"print", "pprint"}
        for node in ast.walk(tree)
    )


def swallows(tree: ast.Module) -> bool:
    """Whether a handler of every exception, or suppress(Exception), keeps it to itself."""
    broad = {"Exception", "BaseException"}

    def is_broad(caught: ast.expr | None) -> bool:
        names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
        return any(name is None or (isinstance(name, ast.Name) and name.id in broad) for name in names)

    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            keeps = not any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            caught = [node.type] if keeps else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "suppress":
            caught = list(node.args)
        else:
            continue
        if any(is_broad(expression) for expression in caught):
            return True
    return False


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def offenders(paths: list[Path], offends: Any) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths if offends(parsed(path))]


def outside_of_airflow(paths: list[Path]) -> list[Path]:
    wings = {LIBRARY / "on_airflow", LIBRARY / "triggers"}
    return [path for path in paths if not wings & {*path.parents}]


def test_only_one_wing_imports_airflow() -> None:
    paths = outside_of_airflow(MODULES)
    assert len(paths) > 150
    # its next times must be the ones that Airflow will count
    assert offenders(paths, imports_airflow) == ["include/sluiceway/flows/cron.py"]


def test_sources_know_no_loader() -> None:
    paths = [path for path in MODULES if path.relative_to(LIBRARY).parts[0] == "sources"]
    assert len(paths) > 35
    assert offenders(paths, lambda tree: any(name.startswith("sluiceway.load") for name in imported(tree))) == []


def test_no_file_of_the_library_is_too_long_to_read() -> None:
    long = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    found = [path.relative_to(ROOT).as_posix() for path, lines in long.items() if lines > MAX_MODULE_LINES]
    assert found == ["include/sluiceway/deploy/trigger.py"]  # one file of the standard library, which users copy


def test_only_the_settings_read_the_environment() -> None:
    alone = "include/sluiceway/deploy/trigger.py"  # runs on a CI runner, without this library
    assert offenders(MODULES, reads_environment) == [alone, "include/sluiceway/settings.py"]
    assert offenders(DAG_FILES, reads_environment) == []


def test_nothing_is_printed() -> None:
    assert offenders([*MODULES, *DAG_FILES], prints) == []


def test_no_error_is_swallowed() -> None:
    assert offenders([*MODULES, *DAG_FILES], swallows) == []


@pytest.mark.parametrize(
    ("offends", "code"),
    [
        (imports_airflow, "def f():\n    from airflow.sdk import DAG\n"),
        (imports_airflow, "import airflow.models as m\n"),
        (reads_environment, "import os as o\nx = o.environ['A']\n"),
        (reads_environment, "from os import environ\n"),
        (reads_environment, "import os\nos.getenv('A')\n"),
        (prints, "print('x')\n"),
        (swallows, "try:\n    f()\nexcept:\n    pass\n"),
        (swallows, "try:\n    f()\nexcept Exception as e:\n    log(e)\n"),
        (swallows, "try:\n    f()\nexcept (ValueError, BaseException):\n    pass\n"),
        (swallows, "with suppress(Exception):\n    f()\n"),
    ],
)
def test_an_offence_is_noticed(offends: Any, code: str) -> None:
    assert offends(ast.parse(code))


@pytest.mark.parametrize(
    ("offends", "code"),
    [
        (imports_airflow, "from sluiceway.rest.airflow_api import AirflowApi\n"),
        (prints, "console.print('x')\n"),
        (swallows, "try:\n    f()\nexcept BaseException:\n    undo()\n    raise\n"),
        (swallows, "try:\n    f()\nexcept ValueError:\n    pass\n"),
    ],
)
def test_what_is_no_offence_is_let_through(offends: Any, code: str) -> None:
    assert not offends(ast.parse(code))


def test_a_run_that_takes_too_long_is_ended_within_a_day(bag: dict[str, Any]) -> None:
    assert all(dag["dagrun_timeout"] <= timedelta(days=1).total_seconds() for dag in bag["dags"].values())


@pytest.mark.parametrize(
    ("said", "tasks"),
    [
        ("", {"compare_runs"}),
        (
            '[github]\nkind = "status"\nrepository = "shop/web"\nconnection = "github"\n',
            {"compare_runs", "tell_commits"},
        ),
        ('[github]\nkind = "status"\n', {"compare_runs", "tell_commits"}),
    ],
    ids=["nothing", "whom to tell", "something wrong"],
)
def test_run_watch_tells_of_commits_where_the_environment_says_whom(
    airflow: Deployment, tmp_path: Path, said: str, tasks: set[str]
) -> None:
    (tmp_path / "environments").mkdir()
    file = tmp_path / "environments" / "staging.toml"
    file.write_text(f'kind = "http"\nurl = "https://staging.example/version"\n{said}')
    there = airflow.having(
        SLUICEWAY_CONFIG_DIR=str(tmp_path), SLUICEWAY_ENVIRONMENT="staging", SLUICEWAY_DEPLOY_WATCH="off"
    )
    found = there.run(LOOK, str(DAGS / "run_watch.py"))
    assert found["errors"] == {}
    assert found["dags"]["run_watch"]["tasks"].keys() == tasks
