"""`make package TARGET=composer|astro|wheel`: what a deployment ships, in dist/<target>, stamped and tried out.

What is built is only reported once every DAG in it was imported by an Airflow that sees nothing of this checkout, and
each DAG showed the build's tag.

Exit codes: 0 built; 1 what was built does not work; 2 the target or the build id is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.markup import escape

from dev.environment import ROOT
from dev.errors import PackageError
from sluiceway.deploy.build import BUILD_TAG
from sluiceway.errors import nearest

# a tag of a DAG has at most 100 characters, and the id also stands in the wheel's version
BUILD_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,79}")
LIBRARY = ROOT / "include" / "sluiceway"
CONFIG = ROOT / "include" / "config"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "version.json")
WORK = ROOT / ".local" / "package"
# the newest Astro Runtime seen with Airflow 3.3; its tag could not be looked up in a registry
ASTRO_RUNTIME = "astrocrpublic.azurecr.io/runtime:3.3-7"
OWNERLESS = "OWNER/sluiceway"
"""What stands in README.md and pyproject.toml for the repository, which each release knows by its own name."""
ASTRO_HOME = "/usr/local/airflow"
ASTRO_DOCKERFILE = f"""\
FROM {ASTRO_RUNTIME}

ENV PYTHONPATH={ASTRO_HOME}/include:{ASTRO_HOME} \\
    SLUICEWAY_REPORTS_DIR=/tmp/sluiceway-reports
"""
# what each platform brings itself, and in versions of its own
BROUGHT_BY_COMPOSER = re.compile(r"apache-airflow|celery")
BROUGHT_BY_ASTRO = re.compile(r"apache-airflow(?!-providers-(google|postgres))|celery")

console = Console(highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Target:
    """One way to deploy.

    :param build: fills an empty folder, given the build id
    :param python_path: what the platform puts on sys.path for that folder; `installed` holds the unpacked wheel
    """

    build: Callable[[Path, str], None]
    python_path: Callable[[Path, Path], list[Path]]


def composer(tree: Path, build_id: str) -> None:
    """dags/ and plugins/ for the environment's bucket: Composer has dags/ on sys.path and nothing else of ours."""
    _shared(tree)
    _library(tree / "dags" / "sluiceway", build_id)
    _licence(tree / "dags" / "sluiceway")
    _copy(CONFIG, tree / "dags" / "config")
    _requirements(tree / "requirements.txt", without=BROUGHT_BY_COMPOSER)
    _wheel(tree, build_id)


def astro(tree: Path, build_id: str) -> None:
    """An Astro project: `astro deploy` in the folder builds and ships it."""
    _shared(tree)
    _library(tree / "include" / "sluiceway", build_id)
    _licence(tree / "include" / "sluiceway")
    _copy(CONFIG, tree / "include" / "config")
    for name in ("packages.txt", "airflow_settings.yaml"):
        shutil.copy(ROOT / name, tree / name)
    _requirements(tree / "requirements.txt", without=BROUGHT_BY_ASTRO)
    (tree / "Dockerfile").write_text(ASTRO_DOCKERFILE, encoding="utf-8")
    (tree / ".dockerignore").write_text(".git\n.env\n**/__pycache__\n", encoding="utf-8")


def wheel(tree: Path, build_id: str, *, released_by: str | None = None) -> None:
    """The library and its config as one wheel, with the DAG files and the plugin that Airflow reads from folders."""
    _wheel(tree, build_id, released_by=released_by)
    _shared(tree)
    shutil.copy(ROOT / "requirements.txt", tree / "requirements.txt")


TARGETS = {
    "composer": Target(composer, lambda tree, _installed: [tree / "dags"]),
    "astro": Target(astro, lambda tree, _installed: _declared_python_path(tree)),
    "wheel": Target(wheel, lambda _tree, installed: [installed]),
}


def package(
    target: str, build_id: str, output: Path, *, name: str | None = None, released_by: str | None = None
) -> Path:
    """Build one target into output/<name>, which is made anew, and try it out.

    :param name: default: the target's.
    :param released_by: the repository, OWNER/NAME, whose tag the build id is: the wheel's version is the project's own,
        without the build id behind it, and its addresses lead to that repository.
    :raises PackageError: what was built does not work; it is left there to be looked at.
    """
    tree = output / (name or target)
    if tree.exists():
        shutil.rmtree(tree)
    tree.mkdir(parents=True)
    if released_by:
        wheel(tree, build_id, released_by=released_by)
    else:
        TARGETS[target].build(tree, build_id)
    check(target, tree, build_id)
    return tree


def check(name: str, tree: Path, build_id: str) -> None:
    """Import every DAG of a built tree in an Airflow of its own; raises PackageError for whatever is wrong."""
    with _scratch() as scratch:
        wheels = sorted(tree.glob("*.whl"))
        if wheels:
            run([*_uv(), "install", "--no-deps", "--target", str(scratch / "installed"), str(wheels[0])])
        paths = TARGETS[name].python_path(tree, scratch / "installed")
        found = Found.model_validate_json(
            run(
                [str(clean_python()), "-P", "-c", LOOK, str(tree / "dags")],
                environment={
                    **{key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG", "TZ")},
                    "AIRFLOW_HOME": str(scratch / "airflow"),
                    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                    "AIRFLOW__CORE__PLUGINS_FOLDER": str(tree / "plugins"),
                    "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
                    "PYTHONPATH": os.pathsep.join(map(str, paths)),
                    "PYTHONPYCACHEPREFIX": str(WORK / "pycache"),  # compiled once, and not into the tree
                    "TMPDIR": str(scratch),
                },
                folder=scratch,
            ).splitlines()[-1]
        )
        for folder in (tree, scratch):
            shutil.rmtree(WORK / "pycache" / folder.resolve().relative_to("/"), ignore_errors=True)
        _judge(found, tree, scratch, build_id)


class Found(BaseModel):
    """What Airflow and the library found in a tree."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    errors: dict[str, str]
    tags: dict[str, list[str]]
    plugins: list[str]
    library: str
    config: str
    tables: list[str]
    build: str | None
    path: list[str]


# in the clean environment: what Airflow and the library find in a tree
LOOK = """
import json, sys, warnings
warnings.simplefilter("ignore")
from airflow.dag_processing.dagbag import DagBag
from airflow.plugins_manager import get_plugin_info
bag = DagBag(sys.argv[1])
import sluiceway
from sluiceway.deploy.build import build_id
from sluiceway.settings import load_settings
from sluiceway.tables import registry
import sluiceway.cli.app, sluiceway.on_airflow.web.app
json.dump({
    "errors": {str(key): str(value) for key, value in bag.import_errors.items()},
    "tags": {dag_id: sorted(dag.tags) for dag_id, dag in bag.dags.items()},
    "plugins": [plugin["name"] for plugin in get_plugin_info()],
    "library": sluiceway.__file__,
    "config": str(load_settings().config_dir),
    "tables": sorted(registry.read_all()),
    "build": build_id(),
    "path": sys.path,
}, sys.stdout)
"""


def _judge(found: Found, tree: Path, scratch: Path, build_id: str) -> None:
    """Everything was found, all of it in the tree, and all of this build."""
    tag = f"{BUILD_TAG}{build_id}"
    problems = [f"{path}: {text.strip().splitlines()[-1]}" for path, text in found.errors.items()]
    if "master_etl" not in found.tags:
        problems.append("there is no DAG master_etl")
    problems += [f"DAG {dag_id} has no tag {tag!r}" for dag_id, held in found.tags.items() if tag not in held]
    if found.build != build_id:
        problems.append(f"version.json says {found.build!r} instead of {build_id!r}")
    if missing := {path.stem for path in (CONFIG / "tables").glob("*.toml")} - set(found.tables):
        problems.append(f"{found.config} lacks the tables {', '.join(sorted(missing))}")
    if "sluiceway" not in found.plugins:
        problems.append("the plugin of the report pages is not registered")
    ours = (tree.resolve(), scratch.resolve())
    for what, path in (("library", found.library), ("config", found.config)):
        if not _inside(path, ours):
            problems.append(f"the {what} was found outside the package, at {path}")
    environment = clean_python().parent.parent.resolve()
    for entry in found.path:
        if _inside(entry, (ROOT,)) and not _inside(entry, (*ours, environment)):
            problems.append(f"{entry} is on sys.path, so the package was not tried out alone")
    if problems:
        raise PackageError(f"{tree} does not work: {'; '.join(problems)}")


def _inside(path: str, folders: tuple[Path, ...]) -> bool:
    return any(Path(path).resolve().is_relative_to(folder) for folder in folders)


def clean_python() -> Path:
    """The interpreter of an environment that holds requirements.lock and nothing else; made once per lock."""
    environment = WORK / "venv"
    python = environment / "bin" / "python"
    stamp = environment / ".lock"
    lock = ROOT / "requirements.lock"
    if not stamp.is_file() or stamp.read_bytes() != lock.read_bytes():
        uv = str(Path(sys.executable).parent / "uv")
        run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)])
        run([*_uv(), "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(lock)])
        shutil.copy(lock, stamp)
    return python


def _uv() -> list[str]:
    return [str(Path(sys.executable).parent / "uv"), "pip"]


def _declared_python_path(tree: Path) -> list[Path]:
    """PYTHONPATH as the tree's own Dockerfile sets it, with the tree in the place of the image's folder."""
    text = (tree / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"PYTHONPATH=(\S+)", text)
    assert found
    return [Path(part.replace(ASTRO_HOME, str(tree), 1)) for part in found[1].split(":")]


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=LEFT_OUT)


def _shared(tree: Path) -> None:
    """What every target has."""
    for name in ("dags", "plugins"):
        _copy(ROOT / name, tree / name)
    _licence(tree)


def _licence(folder: Path) -> None:
    shutil.copy(ROOT / "LICENSE", folder / "LICENSE")


def _library(target: Path, build_id: str) -> None:
    _copy(LIBRARY, target)
    (target / "version.json").write_text(json.dumps({"build_id": build_id}) + "\n", encoding="utf-8")


def _requirements(target: Path, *, without: re.Pattern[str]) -> None:
    """requirements.txt without what the platform brings, and without comments, which gcloud does not take."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line and not line.startswith("#") and not without.match(line)]
    target.write_text("\n".join(kept) + "\n", encoding="utf-8")


def _wheel(folder: Path, build_id: str, *, released_by: str | None = None) -> None:
    """The wheel, built from a copy: the stamp and the config go inside the package, the checkout stays as it is."""
    with _scratch() as scratch:
        project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        local = "" if released_by else "+" + re.sub(r"[^0-9a-z]+", ".", build_id.lower()).strip(".")
        stamped, changed = re.subn(r'(?m)^(version = "[^"+]+)"$', rf'\g<1>{local}"', project, count=1)
        assert changed == 1
        if released_by:
            stamped, readme = stamped.replace(OWNERLESS, released_by), _placed(readme, released_by, build_id)
        _licence(scratch)
        (scratch / "README.md").write_text(readme, encoding="utf-8")
        (scratch / "pyproject.toml").write_text(stamped, encoding="utf-8")
        _library(scratch / "include" / "sluiceway", build_id)
        _copy(CONFIG, scratch / "include" / "sluiceway" / "config")
        run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder.resolve())], folder=scratch)


def _placed(readme: str, repository: str, tag: str) -> str:
    """README.md as an index shows it, where a link into the checkout would lead nowhere."""
    root = f"https://github.com/{repository}"
    readme = re.sub(r"(!\[[^\]]*\]\()(?!https?://|#)", rf"\1{root}/raw/{tag}/", readme)
    readme = re.sub(r"((?<!!)\[[^\]]*\]\()(?!https?://|#)", rf"\1{root}/blob/{tag}/", readme)
    return readme.replace(OWNERLESS, repository)


@contextmanager
def _scratch() -> Iterator[Path]:
    WORK.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK, prefix="scratch-") as folder:
        yield Path(folder)


def run(command: list[str], *, folder: Path = ROOT, environment: Mapping[str, str] | None = None) -> str:
    """What the command prints; raises PackageError with the end of what it says when it fails."""
    # the certificates of the machine, as make setup uses them
    variables = environment or {**os.environ, "UV_SYSTEM_CERTS": "true", "UV_NO_PROGRESS": "true"}
    done = subprocess.run(command, cwd=folder, env=dict(variables), capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise PackageError(f"{Path(command[0]).name} {' '.join(command[1:3])} failed:\n{tail}")
    return done.stdout


def head() -> str:
    """The build id when none is given: HEAD, marked where the files are not those of HEAD."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackageError("this is no git checkout, so the build has no name: make package TARGET=... BUILD_ID=...")
    changes = subprocess.run(
        ["git", "status", "--porcelain", "dags", "include", "plugins"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="make package", description="Build what a deployment ships.")
    parser.add_argument("target", help=", ".join(TARGETS))
    parser.add_argument("--build-id", default="")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    given = parser.parse_args(arguments)
    try:
        if given.target not in TARGETS:
            console.print(
                f"[red]error:[/] TARGET: there is no target {escape(repr(given.target))}"
                f"{nearest(given.target, TARGETS)}"
            )
            return 2
        build_id = given.build_id or head()
        if not BUILD_ID.fullmatch(build_id):
            console.print(
                f"[red]error:[/] BUILD_ID: {escape(repr(build_id))} is no build id; give up to 80 letters, digits, "
                "dots, dashes and underscores, a commit's SHA for instance"
            )
            return 2
        tree = package(given.target, build_id, given.output.resolve())
    except PackageError as error:
        console.print(f"[red]error:[/] {escape(str(error))}")
        return 1
    console.print(f"Build {build_id} is in {tree}: every DAG in it was imported and shows {BUILD_TAG}{build_id}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
