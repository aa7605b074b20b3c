"""TriggerService and enqueue: starts flows from code and from the command line, through Airflow's REST API."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote
from uuid import uuid4

from pydantic_core import from_json

from sluiceway.config_files import parse_toml
from sluiceway.errors import AirflowApiError, ConfigError, nearest, said_by
from sluiceway.flows.params import check_conf
from sluiceway.flows.trigger import Trigger, TriggerConfig, TriggerContext, TriggerResult, TriggerType
from sluiceway.ids import triggered_runs
from sluiceway.settings import load_settings

if TYPE_CHECKING:
    from sluiceway.flows.files import Flow
    from sluiceway.rest.airflow_api import AirflowApi

BATCH_ID = re.compile(r"[A-Za-z0-9_.~:+-]{1,120}")
"""What Airflow lets a run id hold."""
UNDECLARED = "cli"
"""The id of the trigger by which a flow that declares no cli trigger is started by hand."""
_NO_DAG = "Airflow has no DAG {0!r}: it is not deployed yet, or its file has an import error, which Airflow shows."
REFUSALS = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})


class Order(NamedTuple):
    """What is posted to Airflow."""

    path: str
    """Below the API server's address."""
    body: dict[str, Any]


class TriggerService:
    """Starts flows: those of include/config/flows/, and those given to it here."""

    def __init__(self) -> None:
        self._loaded: dict[str, Flow] = {}

    def load_triggers_from_flow(self, definition: Mapping[str, Any] | str | Path) -> list[Trigger[Any]]:
        """The triggers of a flow's definition; trigger_flow knows the flow from then on.

        :param definition: a dict with the keys of docs/reference/flows.md, the same as TOML, or a TOML file's path.
        :raises ConfigError: it is wrong; a sentence per problem.
        """
        from sluiceway.flows.files import flow_of, read_file

        if isinstance(definition, Path):
            flow = read_file(definition)
        else:
            if isinstance(definition, str):
                try:
                    definition = parse_toml(definition)
                except ValueError as error:
                    raise ConfigError(f"The flow's definition is not valid TOML: {said_by(error)}.") from error
            flow = flow_of(definition)
        self._loaded[flow.id] = flow
        return list(flow.triggers.values())

    def trigger_flow(
        self,
        flow_id: str,
        trigger_type: TriggerType | str | None = None,
        trigger_id: str | None = None,
        context: TriggerContext | None = None,
    ) -> TriggerResult:
        """Start a flow once, in the name of one of its triggers.

        :param trigger_type: of the trigger, when there is one of that type; default: cli.
        :param trigger_id: that trigger.
        :param context: params for the run, and a batch id under which it is started only once.
        :returns: what became of it; no success when the trigger is disabled or Airflow refuses.
        :raises ConfigError: there is no such flow or trigger; names the nearest.
        :raises AirflowUnreachableError: Airflow does not answer.
        """
        return activate(self.find(flow_id, trigger_type, trigger_id), context or TriggerContext())

    def find(
        self, flow_id: str, trigger_type: TriggerType | str | None = None, trigger_id: str | None = None
    ) -> Trigger[Any]:
        """The trigger that trigger_flow uses; see there."""
        from sluiceway.flows.files import read_flow

        flow = self._loaded.get(flow_id) or read_flow(flow_id)
        wanted = _type(trigger_type) if trigger_type is not None else None
        if trigger_id is not None:
            trigger = flow.trigger(trigger_id)
            if wanted not in (None, trigger.trigger_type):
                raise ConfigError(f"Trigger {trigger_id!r} of flow {flow_id!r} is {trigger.trigger_type}, not {wanted}")
            return trigger
        wanted = wanted or TriggerType.CLI
        found = [trigger for trigger in flow.triggers.values() if trigger.trigger_type == wanted]
        if not found and wanted == TriggerType.CLI:
            return _undeclared(flow_id)
        if len(found) != 1:
            ids = ", ".join(trigger.config.id for trigger in found) or "none"
            raise ConfigError(f"Flow {flow_id!r} has {len(found)} triggers of type {wanted} ({ids}): say which one")
        return found[0]


def _type(name: str) -> TriggerType:
    try:
        return TriggerType(name)
    except ValueError:
        raise ConfigError(
            f"There is no type of trigger {name!r}{nearest(name, [each.value for each in TriggerType])}"
        ) from None


def _undeclared(flow_id: str) -> Trigger[Any]:
    from sluiceway.flows.kinds.cli import CliConfig, CliTrigger

    return CliTrigger(CliConfig(id=UNDECLARED, type="cli", flow_id=flow_id))


def params_of(given: Iterable[str]) -> dict[str, Any]:
    """Params as a command line gives them: K=V, where V is JSON or else text.

    :raises ConfigError: one has no name, or comes twice.
    """
    params: dict[str, Any] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not (name and equals):
            raise ConfigError(f"--param {each!r}: write NAME=VALUE")
        if name in params:
            raise ConfigError(f"--param {name!r} is given twice")
        params[name] = _value(value)
    return params


def _value(text: str) -> Any:
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError:
        return text
    # a commit such as 12e3456 reads as a number without end
    return text if isinstance(value, float) and math.isinf(value) else value


def order(config: TriggerConfig, context: TriggerContext) -> Order:
    """What enqueue posts.

    :raises ConfigError: the batch id or a param cannot be sent, or the flow's run would not understand a param.
    """
    if context.batch_id is not None and not BATCH_ID.fullmatch(context.batch_id):
        raise ConfigError(
            f"Batch id {context.batch_id!r}: write 1 to 120 letters, digits or _ . ~ : + -, for it names the run."
        )
    conf = dict(context.params)
    if context.events:
        conf["trigger_id"] = config.id
        conf["events"] = [dict(event.facts) for event in context.events]
    try:
        json.dumps(conf, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"The params of {config.flow_id!r} are no JSON: {error}.") from error
    check_conf(config.flow_id, conf)
    batch = context.batch_id or f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}__{uuid4().hex[:6]}"
    return Order(
        f"dags/{quote(config.flow_id, safe='')}/dagRuns",
        {
            "dag_run_id": f"{triggered_runs(config.type, config.id)}{batch}",
            "logical_date": None,
            "conf": conf,
            "note": f"Started by the trigger {config.id} ({config.type})",
        },
    )


def activate(trigger: Trigger[Any], context: TriggerContext) -> TriggerResult:
    """Start the trigger's flow as `enqueue` does. A disabled trigger starts nothing and says why."""
    if not trigger.config.enabled:
        return TriggerResult(False, trigger.config.id, trigger.config.flow_id, trigger.refusal())
    return enqueue(trigger.config, context)


def enqueue(config: TriggerConfig, context: TriggerContext) -> TriggerResult:
    """Start the flow's run, unless it is there already.

    :raises ConfigError: see `order`.
    :raises SettingsError: no Airflow is named.
    :raises AirflowUnreachableError: Airflow does not answer.
    :raises AirflowApiError: Airflow does not let us in, or breaks.
    """
    from sluiceway.rest.airflow_api import AirflowApi

    wanted = order(config, context)
    with AirflowApi.from_settings(load_settings()) as api:
        try:
            success, message = _post(api, config.flow_id, wanted)
        except AirflowApiError as error:
            if error.status not in REFUSALS:
                raise
            sentence = _NO_DAG.format(config.flow_id) if error.status == HTTPStatus.NOT_FOUND else str(error)
            return TriggerResult(False, config.id, config.flow_id, sentence)
    return TriggerResult(success, config.id, config.flow_id, message, wanted.body["dag_run_id"] if success else None)


def _post(api: AirflowApi, flow_id: str, wanted: Order) -> tuple[bool, str]:
    run_id = wanted.body["dag_run_id"]
    dag = api.get(wanted.path.removesuffix("/dagRuns"))
    if dag["is_paused"]:
        return False, f"The DAG {flow_id!r} is paused: a run would wait for ever. Unpause it, and try again."
    if dag["has_import_errors"]:
        return False, f"The DAG {flow_id!r} has an import error: Airflow's start page shows it."
    if dag["is_stale"]:
        return False, f"The DAG {flow_id!r} is stale: its file is gone, or does not define it any more."
    try:
        api.post(wanted.path, wanted.body)
    except AirflowApiError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise
        state = api.run(flow_id, run_id)["state"]
        return True, f"{run_id} already enqueued, {state}"
    return True, f"{run_id} enqueued"
