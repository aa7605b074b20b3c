"""What is wrong with the flows together, beyond each file: `sluiceway triggers check`. Needs no Airflow and no data."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from sluiceway.errors import ConfigError, nearest
from sluiceway.flows.files import FOLDER, Flow, flow_files, read_file
from sluiceway.flows.kinds.flow import FlowConfig
from sluiceway.settings import Settings, load_settings
from sluiceway.tables.files import table_files

OWN_DAGS = ("__events", "__poll")
"""How the DAGs end that a flow brings with it."""
TASKS = (
    "deploy_gate",
    "plan",
    "pre.check_sources",
    "pre.check_warehouse",
    "sub.load_table",
    "sub.cleanup_staging",
    "sub.cleanup_history",
    "final.validate",
    "final.aggregate",
    "final.report",
    "verdict",
)
"""Of the master's graph, which flows of type tables go through too; a test holds them to the DAG's."""
MASTER = "master_etl"

_DAG_ID = re.compile(r"""\bdag_id\s*=\s*["']([^"']+)["']""")


def check(paths: Sequence[Path] | None = None, settings: Settings | None = None) -> list[str]:
    """A sentence for each problem of the flows' files.

    :param paths: only of these files; they are seen among all others.
    """
    settings = settings or load_settings()
    known = flow_files(settings.config_dir)
    chosen = [path.resolve() for path in paths] if paths is not None else None
    flows: dict[Path, Flow] = {}
    problems: list[tuple[Path, str]] = []
    for path in dict.fromkeys([*known, *(paths or [])]):
        try:
            flows[path] = read_file(path)
        except ConfigError as error:
            problems.append((path, str(error)))
    # a file that is wrong is a flow all the same: nobody who follows it made a mistake
    ids = {path.stem for path in [*known, *flows]}
    tables = [path.stem for path in table_files(settings.config_dir)]
    dags = python_dags(settings.config_dir)
    for path, flow in flows.items():
        problems += [(path, f"{path}: {said}") for said in _problems(flow, ids, tables, dags)]
    problems += _cycles(flows)
    return [said for path, said in problems if chosen is None or path.resolve() in chosen]


def python_dags(config_dir: Path) -> set[str] | None:
    """Ids of the DAGs that are written in Python; None where they do not lie beside the configuration."""
    folder = config_dir.parent.parent / "dags"
    if not folder.is_dir():
        return None
    return {found for path in folder.glob("*.py") for found in _DAG_ID.findall(path.read_text(encoding="utf-8"))}


def _problems(flow: Flow, ids: Collection[str], tables: Collection[str], dags: Collection[str] | None) -> Iterator[str]:
    for table in dict.fromkeys(flow.spec.tables):
        if table not in tables:
            yield f"tables: there is no table {table!r}{nearest(table, tables)}"
        if flow.spec.tables.count(table) > 1:
            yield f"tables: {table!r} stands there twice; remove one"
    if dags is not None:
        yield from _dag_problems(flow, dags)
    for end in OWN_DAGS:
        if flow.id.endswith(end) and flow.id.removesuffix(end) in ids:
            yield f"id = {flow.id!r}: the flow {flow.id.removesuffix(end)!r} has a DAG of this id; rename the file"
    for trigger in flow.triggers.values():
        if isinstance(trigger.config, FlowConfig):
            yield from _source_problems(trigger.config, ids)


def _dag_problems(flow: Flow, dags: Collection[str]) -> Iterator[str]:
    if flow.spec.flow_type == "dag" and flow.id not in dags:
        yield f'flow_type = "dag": no file under dags/ has dag_id = "{flow.id}"{nearest(flow.id, dags)}'
    if flow.spec.flow_type != "dag" and flow.id in dags:
        yield (
            f'flow_type = "{flow.spec.flow_type}": a DAG of this id is written in Python; rename the file, or '
            f'write flow_type = "dag"'
        )


def _source_problems(config: FlowConfig, ids: Collection[str]) -> Iterator[str]:
    source, task = config.source_flow_id, config.source_task_id
    if source not in ids:
        yield (
            f"triggers.{config.id}.source_flow_id = {source!r}: there is no {FOLDER}/{source}.toml"
            f"{nearest(source, ids)}"
        )
    elif task is not None and source == MASTER and task not in TASKS:
        yield f"triggers.{config.id}.source_task_id = {task!r}: {source!r} has no such task{nearest(task, TASKS)}"


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
