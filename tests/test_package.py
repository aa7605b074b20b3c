"""What a deployment ships: built for real, imported by an Airflow that sees nothing of the checkout, and named."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from dev import package
from dev.environment import ROOT
from dev.errors import PackageError
from dev.package import TARGETS, check

BUILD_ID = "0123456789abcdef0123456789abcdef01234567"
TABLES = {path.name for path in (ROOT / "include" / "config" / "tables").glob("*.toml")}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the built targets lie."""
    return tmp_path_factory.mktemp("dist")


@pytest.fixture(scope="module", params=sorted(TARGETS))
def built(request: pytest.FixtureRequest, dist: Path) -> tuple[str, Path]:
    """Each target, built and tried out: `package` raises when a DAG of it cannot be imported or lacks the tag."""
    return request.param, package.package(request.param, BUILD_ID, dist)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_every_target_is_built_and_tried_out(built: tuple[str, Path]) -> None:
    name, tree = built
    shared = {"dags", "plugins", "requirements.txt", "LICENSE"}
    wheel = f"sluiceway-0.1.0+{BUILD_ID}-py3-none-any.whl"
    own = {
        "composer": {wheel},
        "astro": {"include", "packages.txt", "airflow_settings.yaml", "Dockerfile", ".dockerignore"},
        "wheel": {wheel},
    }
    assert names(tree) == shared | own[name]


def test_every_target_ships_every_table_and_dag(built: tuple[str, Path]) -> None:
    name, tree = built
    dags = {path.name for path in (ROOT / "dags").glob("*.py")}
    assert dags <= names(tree / "dags")
    shipped = {
        "composer": lambda: names(tree / "dags" / "config" / "tables"),
        "astro": lambda: names(tree / "include" / "config" / "tables"),
        "wheel": lambda: {
            Path(member).name
            for member in zipfile.ZipFile(next(tree.glob("*.whl"))).namelist()
            if member.startswith("sluiceway/config/tables/")
        },
    }[name]()
    assert shipped == TABLES


def test_no_target_ships_compiled_code_or_what_git_ignores(built: tuple[str, Path]) -> None:
    _, tree = built
    assert [path for path in tree.rglob("*") if path.name == "__pycache__" or path.suffix == ".pyc"] == []
    assert list(tree.rglob("*.env")) == []


def test_the_licence_goes_wherever_the_library_goes(built: tuple[str, Path]) -> None:
    name, tree = built
    licence = (ROOT / "LICENSE").read_bytes()
    libraries = {"composer": "dags/sluiceway", "astro": "include/sluiceway", "wheel": "."}
    assert (tree / libraries[name] / "LICENSE").read_bytes() == licence
    for wheel in tree.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            held = [member for member in archive.namelist() if member.endswith("LICENSE")]
            assert held == [f"sluiceway-0.1.0+{BUILD_ID}.dist-info/licenses/LICENSE"]
            assert archive.read(held[0]) == licence


def test_building_stamps_the_copy_and_not_the_checkout(built: tuple[str, Path]) -> None:
    assert not (ROOT / "include" / "sluiceway" / "version.json").exists()


def test_the_requirements_of_composer_leave_alone_what_composer_brings(built: tuple[str, Path]) -> None:
    name, tree = built
    lines = (tree / "requirements.txt").read_text().splitlines()
    brought = [line for line in lines if line.startswith(("apache-airflow", "celery"))]
    if name == "composer":
        assert brought == []
        assert not any(line.startswith("#") for line in lines)
    if name == "astro":
        assert [re.split("[>=<]", line)[0] for line in brought] == [
            "apache-airflow-providers-google",
            "apache-airflow-providers-postgres",
        ]
    assert any(line.startswith("duckdb") for line in lines)


@pytest.fixture
def tree(dist: Path, tmp_path: Path) -> Path:
    """A copy of Composer's tree to break."""
    source = dist / "composer"
    if not source.exists():
        package.package("composer", BUILD_ID, dist)
    return Path(shutil.copytree(source, tmp_path / "composer"))


def test_whatever_is_wrong_with_a_package_is_noticed(tree: Path) -> None:
    # dev/ is importable in the checkout, and nowhere else
    (tree / "dags" / "lost.py").write_text("from airflow.sdk import DAG\nimport dev.stack\n", encoding="utf-8")
    (tree / "dags" / "plain.py").write_text(
        'from airflow.sdk import DAG\nwith DAG("plain", schedule=None): pass\n', encoding="utf-8"
    )
    (tree / "dags" / "sluiceway" / "version.json").write_text('{"build_id": "older"}', encoding="utf-8")
    (tree / "dags" / "config" / "tables" / "flight.toml").unlink()
    (tree / "plugins" / "sluiceway_plugin.py").unlink()
    with pytest.raises(PackageError) as refused:
        check("composer", tree, BUILD_ID)
    for sentence in (
        "lost.py: ModuleNotFoundError: No module named 'dev'",
        f"DAG plain has no tag 'build:{BUILD_ID}'",
        f"DAG master_etl has no tag 'build:{BUILD_ID}'",
        f"version.json says 'older' instead of '{BUILD_ID}'",
        "lacks the tables flight",
        "the plugin of the report pages is not registered",
    ):
        assert sentence in str(refused.value)


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dev.package", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "include")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["astr"], "there is no target 'astr'; did you mean 'astro'?"),
        ([""], "there is no target ''; known: astro, composer, wheel"),
        (["wheel", "--build-id", 'x"; rm'], "is no build id"),
        (["wheel", "--build-id", "x" * 81], "is no build id"),
    ],
)
def test_what_cannot_be_built_is_a_sentence(arguments: list[str], sentence: str) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert sentence in " ".join(done.stdout.split())


def test_the_image_is_the_airflow_of_the_lock() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = re.search(r"(?m)^apache-airflow==(\S+)", lock)
    image = re.search(r"(?m)^FROM apache/airflow:([\d.]+)-python(\S+)", (ROOT / "Dockerfile").read_text("utf-8"))
    assert locked and image
    assert image[1] == locked[1]
    assert image[2] in {"3.11", "3.12"}


def test_the_image_runs_as_nobody_special_and_only_with_a_build_id(tmp_path: Path) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"(?m)^USER (\S+)", dockerfile)[-1] == "50000"
    # the stamp, run by the shell that a build would use, in another folder
    library = tmp_path / "include" / "sluiceway"
    library.mkdir(parents=True)
    script = dockerfile.split("RUN test -n", 1)[1].split("&& install", 1)[0]
    stamp = f"test -n{script}".replace("/opt/airflow", str(tmp_path)).replace("\\\n", " ")
    for build_id, status in (("", 1), (BUILD_ID, 0)):
        done = subprocess.run(["sh", "-c", stamp], env={"BUILD_ID": build_id, "PATH": os.environ["PATH"]}, check=False)
        assert done.returncode == status
    assert json.loads((library / "version.json").read_text(encoding="utf-8")) == {"build_id": BUILD_ID}


def test_the_image_says_what_it_is_by_which_licence_and_of_which_build() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]+)"', dockerfile))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert labels == {
        "title": "Sluiceway",
        "description": project["description"],
        "licenses": project["license"],
        "version": project["version"],
        "revision": "${BUILD_ID}",
    }
    # what a build may see is a list: a file that is not on it fails the COPY
    seen = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    copied = re.findall(r"(?m)^COPY (\S+) (\S+)$", dockerfile)
    assert [source for source, _ in copied if f"!{source}" not in seen] == []
    assert ("LICENSE", "/opt/airflow/include/sluiceway/LICENSE") in copied
