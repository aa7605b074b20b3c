"""The params of runs: of master_etl, of flows that load tables, and of jobs. One definition for Airflow's form
(on_airflow/graphs/flows.py makes its Params of it) and for whoever starts a run. Knows no Airflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from sluiceway.config_files import together
from sluiceway.errors import ConfigError, nearest
from sluiceway.ids import MASTER
from sluiceway.settings import Settings, load_settings
from sluiceway.tables.files import as_text, deployed_names, needs, split_needs, table_files
from sluiceway.tables.needs import Needs, largest

if TYPE_CHECKING:
    from sluiceway.flows.files import Flow

TABLES = "tables"


@dataclass(frozen=True)
class RunParam:
    """One param of a run."""

    default: JsonValue
    title: str
    description: str
    rule: str
    """What a value must be, in words: `write ...`."""
    schema: Mapping[str, Any]
    """The same as JSON schema, by which Airflow judges a run when it is asked for."""
    examples: Sequence[str] = ()


OF_EVENTS: Mapping[str, RunParam] = {
    "trigger_id": RunParam(
        None, "Trigger", "Which trigger started it.", "a trigger's id", {"type": ["null", "string"]}
    ),
    "event": RunParam(
        None, "Event", "What the trigger saw; it fills this in.", "an object", {"type": ["null", "object"]}
    ),
    "events": RunParam(
        None, "Events", "What the trigger saw; it fills this in.", "a list", {"type": ["null", "array"]}
    ),
}
"""By which a run of a flow whose events are kept is told what happened."""


def run_params(flow: Flow | None, names: Sequence[str] = ()) -> dict[str, RunParam]:
    """The params of master_etl, or of a flow that loads tables of its own.

    :param names: the tables of which a run may name some; none: any.
    """
    own = list(flow.spec.tables) if flow else []
    each = {"type": "string", **({"enum": list(names)} if names else {})}
    return {
        "commit_sha": RunParam(
            None,
            "Commit",
            "Full SHA of the deployed commit, 40 hex digits; empty for a run by hand.",
            "40 hex digits in lower case",
            {"type": ["null", "string"], "pattern": "^[0-9a-f]{40}$"},
        ),
        "repository": RunParam(
            None,
            "Repository",
            "Whose commit it is: owner/name.",
            "owner/name",
            {"type": ["null", "string"], "pattern": "^[^/\\s]+(/[^/\\s]+)+$"},
        ),
        "actor": RunParam(
            None,
            "Actor",
            "Who deployed it.",
            "a text of at most 100 characters",
            {"type": ["null", "string"], "maxLength": 100},
        ),
        "ci_run_url": RunParam(
            None,
            "CI run",
            "The address of the CI run that deployed it.",
            "an address, http:// or https://",
            {"type": ["null", "string"], "pattern": "^https?://[^\\s]+$"},
        ),
        TABLES: RunParam(
            list(own),
            "Tables",
            "Load these only." if own else "Load these only; empty for all.",
            'a list of tables, ["a", "b"]' + (", at least one" if own else ""),
            {"type": "array", "minItems": 1 if own else 0, "items": each},
            names,
        ),
        "force": RunParam(
            False,
            "Force",
            "Load also tables whose source is unchanged since their last load.",
            "true or false",
            {"type": "boolean"},
        ),
        **(OF_EVENTS if flow and flow.takes_events else {}),
    }


def job_params(flow: Flow) -> dict[str, RunParam]:
    """The params of a job's run: which items somebody asks for."""
    return {
        "items": RunParam(
            [],
            "Items",
            "Work on these only, also where they are done, dead, or no part of the job's SELECT.",
            'a list of items, ["a", "b"]',
            {"type": "array", "items": {"type": "string", "minLength": 1}},
        ),
        "where": RunParam(
            None,
            "Where",
            "Also those that are done, where this SQL condition on the job's SELECT holds.",
            "a condition on the columns of the job's SELECT",
            {"type": ["null", "string"], "minLength": 1},
        ),
        "all": RunParam(
            False,
            "All",
            "Also all that are done and need not be asked again yet.",
            "true or false",
            {"type": "boolean"},
        ),
        **(OF_EVENTS if flow.takes_events else {}),
    }


def form_names(flow: Flow | None) -> list[str]:
    """The tables of which a form lets a run of master_etl, or of the flow, name some."""
    return list(flow.spec.tables) if flow and flow.spec.tables else deployed_names()


def own_needs(flow: Flow | None) -> Needs:
    """What the flow's file asks of who loads its tables."""
    return Needs(flow.spec.queue, flow.spec.memory, flow.spec.cpu) if flow else Needs()


def groups_of(flow: Flow | None, *, by_limits: bool = False) -> dict[str, Needs]:
    """The groups of its tables, or of master_etl's, that ask for something else than the flow does, by name.

    :param by_limits: whether what they ask for beside a queue parts them too.
    """
    own, groups = own_needs(flow), {}
    for asked in needs(form_names(flow)):
        group = asked if by_limits else Needs(asked.queue)
        if group.name is not None and (needed := group.or_else(own)) != own:
            groups[group.name] = needed
    return dict(sorted(groups.items()))


def parts_needs(flow: Flow | None) -> Needs | None:
    """What is enough for each part of those that are loaded in parts; None: no table is."""
    own = own_needs(flow)
    split = [each.or_else(own) for each in split_needs(form_names(flow))]
    return largest(split) if split else None


def check_conf(flow_id: str, conf: Mapping[str, Any], settings: Settings | None = None) -> None:
    """See that a run of the flow would understand its conf. Of a DAG that somebody wrote the params are not known.

    :raises ConfigError: it would not: a sentence for each param, with the nearest name.
    """
    from sluiceway.flows.files import FOLDER, read_file

    config_dir = (settings or load_settings()).config_dir
    path = config_dir / FOLDER / f"{flow_id}.toml"
    flow = read_file(path) if path.is_file() else None
    known = known_params(flow_id, flow)
    if known is None:
        return
    if problems := list(_problems(known, _names(flow, config_dir), conf)):
        run = f"A run of {flow_id!r}"
        raise ConfigError(together(run, (f"{run}: {said}" for said in problems)))


def known_params(flow_id: str, flow: Flow | None) -> dict[str, RunParam] | None:
    """All params that runs of the flow have; None: a DAG that somebody wrote declares its own."""
    if flow and flow.spec.flow_type == "job":
        return job_params(flow)
    return run_params(flow) if flow_id == MASTER or (flow and flow.spec.flow_type == "tables") else None


def unknown_params(flow: Flow, params: Iterable[str]) -> Iterator[str]:
    """A sentence for each name that a trigger may not give a param of the flow's runs."""
    known = known_params(flow.id, flow)
    given = [name for name in known if name not in OF_EVENTS] if known is not None else []
    for name in params:
        if name in OF_EVENTS:
            yield f"the param {name!r} is filled in with the event itself; choose another name"
        elif known is not None and name not in given:
            yield f"runs of {flow.id!r} have no param {name!r}{nearest(name, given)}"


def wrong_params(flow: Flow, params: Mapping[str, JsonValue]) -> Iterator[str]:
    """What a value must be, for each param of the flow's runs whose value is none; no sentence repeats the value."""
    known = known_params(flow.id, flow) or {}
    names = _names(flow, load_settings().config_dir) if TABLES in params else []
    for name, value in params.items():
        if name in known and any(_problems({name: known[name]}, names, {name: value})):
            yield f"the param {name!r} must be {known[name].rule}" + (" of the flow" if name == TABLES else "")


def _names(flow: Flow | None, config_dir: Path) -> list[str]:
    # of all groups: which of them the deployment runs is known there, and Airflow refuses the others
    own = flow.spec.tables if flow else ()
    return list(own) or [as_text(each.stem) for each in table_files(config_dir)]


def _problems(known: Mapping[str, RunParam], names: Sequence[str], conf: Mapping[str, Any]) -> Iterator[str]:
    from jsonschema import Draft202012Validator

    for name, value in conf.items():
        if name not in known:
            yield f"there is no param {name!r}{nearest(name, known)}"
        elif name == TABLES and (unknown := _unknown(value, names)):
            yield from (f"param {name!r}: there is no table {each!r}{nearest(each, names)}" for each in unknown)
        elif not Draft202012Validator(known[name].schema).is_valid(value):
            yield f"param {name!r} = {value!r}: write {known[name].rule}"


def _unknown(value: Any, names: Sequence[str]) -> list[str]:
    """The texts of a list that name no table."""
    return [each for each in value if isinstance(each, str) and each not in names] if isinstance(value, list) else []
