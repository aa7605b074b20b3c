"""What is wrong with the flows together, beyond each file: `sluiceway triggers check`. Needs no Airflow and no data."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sluiceway.deploy.spec import read_file as read_environment_file
from sluiceway.errors import ConfigError, nearest
from sluiceway.flows.files import FOLDER, Flow, flow_files, read_file
from sluiceway.flows.kinds.api import ApiConfig
from sluiceway.flows.kinds.deployment import DeploymentConfig
from sluiceway.flows.kinds.flow import FlowConfig
from sluiceway.flows.params import form_names, groups_of, unknown_params
from sluiceway.ids import LOADING_TASK, MASTER, PLANNING_TASK, SPLIT_TASKS, of_group
from sluiceway.jobs import files
from sluiceway.settings import Settings, load_settings
from sluiceway.tables.files import any_split, table_files

OWN_DAGS = re.compile(r"^(?P<flow>.+?)__(events|poll|broken|.+__clock)$")
"""The DAGs that dags/flows.py makes beside a flow's."""
TASKS = (
    "opened",
    "deploy_gate",
    PLANNING_TASK,
    "pre.check_sources",
    "pre.check_warehouse",
    LOADING_TASK,
    "sub.cleanup_staging",
    "sub.cleanup_history",
    "final.validate",
    "final.aggregate",
    "verdict",
)
"""Of the master's graph, which flows of type tables go through too; a test holds them to the DAG's."""
JOB_TASKS = ("opened", "enqueue", "work", "verdict")
"""Of a job's graph; a test holds them to the DAG's."""
TAKE_EVENTS = "take_events"
"""Where a flow has triggers whose events are kept, it is the second task."""
ENVIRONMENTS = "environments"

_DAG_ID = re.compile(r"""\bdag_id\s*=\s*["']([^"']+)["']""")


@dataclass(frozen=True)
class _Known:
    """What a flow may name."""

    flows: Mapping[str, Flow | None]
    """None: its file is wrong, so that no more than its name is known."""
    tables: Collection[str]
    environments: Collection[str]
    jobs: Collection[str]
    dags: Mapping[str, str] | None
    """The text of the Python file of each DAG; None where dags/ does not lie beside the configuration."""


def check(paths: Sequence[Path] | None = None, settings: Settings | None = None) -> list[str]:
    """A sentence for each problem of the flows' files; see `problems_of`."""
    return [said for _, said in problems_of(paths, settings)]


def problems_of(paths: Sequence[Path] | None = None, settings: Settings | None = None) -> list[tuple[Path, str]]:
    """Each problem of the flows' and the environments' files, with the file; a file that cannot be read has its
    sentences in one.

    :param paths: only of these files; they are seen among all others.
    """
    settings = settings or load_settings()
    chosen = None if paths is None else {path.resolve() for path in paths}
    flows: dict[Path, Flow] = {}
    wrong: set[str] = set()
    problems: list[tuple[Path, str]] = []
    files_there = dict.fromkeys(path.resolve() for path in [*all_files(settings.config_dir), *(paths or [])])
    for path in files_there:
        if path.parent.name == ENVIRONMENTS:
            problems += _environment_file(path)
            continue
        try:
            flows[path] = read_file(path)
        except ConfigError as error:
            wrong.add(path.stem)
            problems.append((path, str(error)))
    known = _Known(
        # whoever follows a flow whose file is wrong has made no mistake
        {**dict.fromkeys(wrong), **{flow.id: flow for flow in flows.values()}},
        [path.stem for path in table_files(settings.config_dir)],
        [path.stem for path in (settings.config_dir / ENVIRONMENTS).glob("*.toml")],
        files.names(settings),
        _python_dags(settings.config_dir.parent.parent / "dags"),
    )
    for path, flow in flows.items():
        problems += [(path, f"{path}: {said}") for said in _problems(flow, known)]
    problems += _cycles(flows)
    return [(path, said) for path, said in problems if chosen is None or path in chosen]


def all_files(config_dir: Path) -> list[Path]:
    """The files of flows and environments, by name."""
    return [*flow_files(config_dir), *sorted((config_dir / ENVIRONMENTS).glob("*.toml"))]


def _environment_file(path: Path) -> list[tuple[Path, str]]:
    try:
        read_environment_file(path)
    except ConfigError as error:
        return [(path, str(error))]
    return []


def _python_dags(folder: Path) -> dict[str, str] | None:
    if not folder.is_dir():
        return None
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))]
    return {dag_id: text for text in texts for dag_id in _DAG_ID.findall(text)}


def _problems(flow: Flow, known: _Known) -> Iterator[str]:
    for table in dict.fromkeys(flow.spec.tables):
        if table not in known.tables:
            yield f"tables: there is no table {table!r}{nearest(table, known.tables)}"
        if flow.spec.tables.count(table) > 1:
            yield f"tables: {table!r} stands there twice; remove one"
    if known.dags is not None:
        yield from _dag_problems(flow, known, known.dags)
    own = OWN_DAGS.match(flow.id)
    if own and own["flow"] in known.flows:
        yield f"id = {flow.id!r}: the flow {own['flow']!r} may have a DAG of this id; rename the file"
    for trigger in flow.triggers.values():
        if isinstance(trigger.config, FlowConfig):
            yield from _source_problems(trigger.config, known)
        if isinstance(trigger.config, ApiConfig):
            said = unknown_params(flow, trigger.config.params)
            yield from (f"triggers.{trigger.config.id}.params: {each}" for each in said)
        if isinstance(trigger.config, DeploymentConfig):
            yield from _environment_problems(trigger.config, known.environments)


def _dag_problems(flow: Flow, known: _Known, dags: Mapping[str, str]) -> Iterator[str]:
    kind = flow.spec.flow_type
    if kind == "tables":
        if flow.id in dags:
            yield 'flow_type = "tables": a DAG of this id is written in Python; rename the file, or write "dag"'
    elif kind == "job":
        if flow.id in dags:
            yield 'flow_type = "job": a DAG of this id is written in Python; rename the file, or write "dag"'
        elif flow.id not in known.jobs:
            yield f'flow_type = "job": there is no jobs/{flow.id}.py beside flows/{nearest(flow.id, known.jobs)}'
    elif flow.id not in dags:
        yield f'flow_type = "{kind}": no file under dags/ has dag_id = "{flow.id}"{nearest(flow.id, dags)}'
    elif not re.search(rf"""\bdeclared\(\s*["']{flow.id}["']""", dags[flow.id]):
        yield (
            f'flow_type = "{kind}": the DAG {flow.id!r} does not read this file; give it '
            f'schedule=flows.schedule_of(flows.declared("{flow.id}")), as dags/master_etl.py does'
        )


def _environment_problems(config: DeploymentConfig, environments: Collection[str]) -> Iterator[str]:
    name = config.environment
    if name not in environments:
        hint = nearest(name, environments)
        yield f"triggers.{config.id}.environment = {name!r}: there is no {ENVIRONMENTS}/{name}.toml{hint}"


def _source_problems(config: FlowConfig, known: _Known) -> Iterator[str]:
    source_id, task = config.source_flow_id, config.source_task_id
    where = f"triggers.{config.id}."
    if source_id not in known.flows:
        hint = nearest(source_id, known.flows)
        yield f"{where}source_flow_id = {source_id!r}: there is no {FOLDER}/{source_id}.toml{hint}"
    elif task is not None and (source := known.flows[source_id]) is not None:
        tasks = _tasks(source)
        if tasks is not None and task not in tasks:
            yield f"{where}source_task_id = {task!r}: {source_id!r} has no such task{nearest(task, tasks)}"


def _tasks(flow: Flow) -> tuple[str, ...] | None:
    """The tasks of a flow's DAG; None where only its Python knows them."""
    if flow.spec.flow_type == "job":
        return (TAKE_EVENTS, *JOB_TASKS) if flow.takes_events else JOB_TASKS
    if flow.spec.flow_type != "tables" and flow.id != MASTER:
        return None
    tasks = (*TASKS, *(of_group(task, each) for each in groups_of(flow) for task in (PLANNING_TASK, LOADING_TASK)))
    tasks += SPLIT_TASKS if any_split(form_names(flow)) else ()
    return (TAKE_EVENTS, *tasks) if flow.takes_events else tasks


def _cycles(flows: Mapping[Path, Flow]) -> Iterator[tuple[Path, str]]:
    """Each circle of flows that follow each other, at the first of its files."""
    follows = {
        flow.id: {
            trigger.config.source_flow_id: trigger.config
            for trigger in flow.triggers.values()
            if isinstance(trigger.config, FlowConfig) and trigger.config.enabled
        }
        for flow in flows.values()
    }
    paths = {flow.id: path for path, flow in flows.items()}
    seen: set[frozenset[str]] = set()
    for begin in follows:
        circle = _way_back(follows, begin)
        if circle is None or frozenset(circle) in seen:
            continue
        seen.add(frozenset(circle))
        config = follows[begin][circle[1]]
        way = " <- ".join(circle)
        yield (
            paths[begin],
            f"{paths[begin]}: triggers.{config.id}.source_flow_id = {config.source_flow_id!r}: the flows start each "
            f"other for ever: {way}; remove one of these triggers",
        )


def _way_back(follows: Mapping[str, Collection[str]], begin: str) -> list[str] | None:
    """The shortest way from a flow over what it follows back to itself."""
    ways = [[begin]]
    reached: set[str] = set()
    for way in ways:
        for source in follows.get(way[-1], ()):
            if source == begin:
                return [*way, begin]
            if source not in reached:
                reached.add(source)
                ways.append([*way, source])
    return None
