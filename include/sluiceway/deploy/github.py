"""Tells GitHub what became of a commit: by a status of the commit, or by a status of its newest deployment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from sluiceway.deploy.commit import FULL, shortened
from sluiceway.deploy.spec import Environment, GitHub
from sluiceway.errors import ConfigError, SettingsError, StatusNotToldError
from sluiceway.http_headers import retry_after
from sluiceway.json_path import parse as parse_json
from sluiceway.ledger.commit_statuses import Outcome
from sluiceway.ledger.rows import RunStatus
from sluiceway.sources.connections import Connections, http_address, secret_headers
from sluiceway.sources.services.one_get import TRY_AGAIN, Answer, checked, send_once

API = "https://api.github.com"
WITHIN_S = 20.0
"""For all questions about one commit."""
MAX_BODY_BYTES = 4 << 20
LONGEST = 140
"""Characters of a description: GitHub refuses more."""
STATES: Mapping[str, Mapping[RunStatus, str]] = {
    "status": {
        "running": "pending",
        "success": "success",
        "failed": "failure",
        "superseded": "error",
        "abandoned": "error",
    },
    "deployment": {
        "running": "in_progress",
        "success": "success",
        "failed": "failure",
        "superseded": "inactive",
        "abandoned": "error",
    },
}
"""What GitHub calls the state of a run. It knows no grey for a status: a commit whose data never came is no success."""
MAY = {"status": "Commit statuses", "deployment": "Deployments"}
"""The permission that a token needs, as GitHub calls it."""


class _Answer(BaseModel):
    """What is read of an answer, among much else."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Status(_Answer):
    state: str
    description: str | None = None
    target_url: str | None = None
    context: str = ""

    def says(self, other: _Status) -> bool:
        """Whether it says the same; GitHub takes two spellings of a context for one."""
        return self.model_copy(update={"context": self.context.lower()}) == other.model_copy(
            update={"context": other.context.lower()}
        )


class _DeploymentStatus(_Answer):
    state: str
    description: str | None = None
    log_url: str | None = None


class _Combined(_Answer):
    statuses: tuple[_Status, ...]
    """The newest of each context."""


class _Deployment(_Answer):
    id: int


T = TypeVar("T")
_ANY: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
_COMBINED = TypeAdapter(_Combined)
_DEPLOYMENTS = TypeAdapter(tuple[_Deployment, ...])
_DEPLOYMENT_STATUSES = TypeAdapter(tuple[_DeploymentStatus, ...])


def tell(environment: Environment, outcome: Outcome, page: str | None, connections: Connections) -> None:
    """Have GitHub say of the commit what became of it, unless it says so already.

    :param environment: whose file has a table [github].
    :param page: the address of the run's page.
    :raises StatusNotToldError: it was not told; says what to do.
    """
    assert environment.github is not None
    teller = _Teller(environment.github, environment.name, connections)
    try:
        asyncio.run(teller.tell(outcome, page))
    except TimeoutError as error:
        raise StatusNotToldError(
            f"{teller.host} gave no whole answer within {WITHIN_S:g} s; is it up, and can this machine reach it?",
            of_all=True,
        ) from error
    except httpx.RequestError as error:
        said = teller.redact(str(error)) or type(error).__name__
        raise StatusNotToldError(f"{teller.host} does not answer: {said}", of_all=True) from error


class _Teller:
    """One repository, asked with one token."""

    def __init__(self, spec: GitHub, name: str, connections: Connections) -> None:
        self.spec = spec
        self.context = spec.context or f"sluiceway/{name}"
        self.environment = spec.environment or name
        self._where = f"{name}: github: "
        try:
            found = connections(spec.connection)
            self._secrets = secret_headers(found)
            if "Authorization" not in self._secrets:
                raise SettingsError(f"The connection {spec.connection!r} holds no token: write one as its password.")
            self._api = (http_address(found) or API).rstrip("/")
            self.host = checked(self._api, spec.connection, self._where).host
        except (SettingsError, ConfigError) as error:
            raise StatusNotToldError(str(error), of_all=True) from error

    async def tell(self, outcome: Outcome, page: str | None) -> None:
        if len(outcome.commit_sha) != FULL:
            raise StatusNotToldError(
                f"GitHub knows a commit by all its {FULL} digits, and the run has {outcome.commit_sha!r}: have CI name "
                f"all of them",
                of_all=False,
            )
        async with asyncio.timeout(WITHIN_S):
            if self.spec.kind == "status":
                await self._tell_status(outcome, page)
            else:
                await self._tell_deployment(outcome, page)

    async def _tell_status(self, outcome: Outcome, page: str | None) -> None:
        said = _Status(
            state=STATES["status"][outcome.state],
            target_url=page,
            description=outcome.description[:LONGEST],
            context=self.context,
        )
        found = await self._send(_COMBINED, "GET", f"commits/{outcome.commit_sha}/status", {"per_page": 100})
        if not any(each.says(said) for each in found.statuses):
            await self._send(_ANY, "POST", f"statuses/{outcome.commit_sha}", document=said.model_dump())

    async def _tell_deployment(self, outcome: Outcome, page: str | None) -> None:
        named: Mapping[str, str | int] = {"sha": outcome.commit_sha, "environment": self.environment, "per_page": 1}
        deployments = await self._send(_DEPLOYMENTS, "GET", "deployments", named)
        if not deployments:
            raise StatusNotToldError(
                f"{self.spec.repository} has no deployment of {outcome.commit_sha} to {self.environment!r} of which it "
                f"could be told: correct `environment`, or let the deploy make one",
                of_all=False,
            )
        statuses = f"deployments/{deployments[0].id}/statuses"
        said = _DeploymentStatus(
            state=STATES["deployment"][outcome.state], description=outcome.description[:LONGEST], log_url=page or ""
        )
        newest = await self._send(_DEPLOYMENT_STATUSES, "GET", statuses, {"per_page": 1})
        if newest[:1] != (said,):
            # which older deployments are over is for those to say who deploy
            await self._send(_ANY, "POST", statuses, document={**said.model_dump(), "auto_inactive": False})

    async def _send(
        self,
        kind: TypeAdapter[T],
        method: Literal["GET", "POST"],
        path: str,
        params: Mapping[str, str | int] | None = None,
        document: Mapping[str, JsonValue] | None = None,
    ) -> T:
        """The answer's document; raises StatusNotToldError for any answer but 200 and 201."""
        url = httpx.URL(f"{self._api}/repos/{quote(self.spec.repository)}/{path}", params=params)
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", **self._secrets}
        answer = await send_once(method, url, headers, timeout_s=WITHIN_S, max_bytes=MAX_BODY_BYTES, document=document)
        if answer.status not in {httpx.codes.OK, httpx.codes.CREATED}:
            raise self._refusal(answer)
        try:
            return kind.validate_json(answer.body)
        except ValidationError:
            raise StatusNotToldError(
                f"{self.host} answers {answer.said}, and not as GitHub does: {self._words(answer)}; see the host of "
                f"the connection {self.spec.connection!r}",
                of_all=True,
            ) from None

    def _refusal(self, answer: Answer) -> StatusNotToldError:
        """Why it says no, and what to do."""
        spec, named = self.spec, f"the connection {self.spec.connection!r}"
        said = f"{self.host} answers {answer.said} ({self._words(answer)})"
        wait = _asked_to_wait(answer)
        if answer.status in {403, 429} and wait is not None:
            return StatusNotToldError(
                f"{said}: the token of {named} has no request left for {wait:,.0f} s; give Sluiceway one of its own",
                of_all=True,
                wait_s=wait,
            )
        if answer.status in TRY_AGAIN:
            return StatusNotToldError(said, of_all=True, wait_s=wait or 0)
        if answer.status == httpx.codes.UNAUTHORIZED:
            hint = f"the token of {named} is wrong or has expired; write a new one as its password"
        elif answer.status == httpx.codes.FORBIDDEN:
            hint = f"give the token of {named} the permission to write {MAY[spec.kind]!r} of {spec.repository}"
        elif answer.status == httpx.codes.NOT_FOUND:
            hint = f"correct `repository`, or let the token of {named} see {spec.repository}"
        elif answer.leads_to is not None:
            hint = f"{spec.repository} has moved; write its new name as `repository`"
        else:
            return StatusNotToldError(f"{said}; is the commit in {spec.repository}?", of_all=False)
        return StatusNotToldError(f"{said}; {hint}", of_all=True)

    def _words(self, answer: Answer) -> str:
        """What GitHub says, in a line: its message and the errors beside it."""
        text = self.redact(answer.body.decode(errors="replace"))
        try:
            document = parse_json(text)
            errors = document.get("errors") or []
            told = [document["message"], *(each if isinstance(each, str) else each.get("message") for each in errors)]
        except (ValueError, KeyError, AttributeError, TypeError):
            return shortened(text)
        return "; ".join(str(each) for each in told if each)

    def redact(self, text: str) -> str:
        """`text` without the token."""
        for secret in self._secrets.values():
            for spelling in (secret, secret.partition(" ")[2]):
                text = text.replace(spelling, "***") if spelling else text
        return text


def _asked_to_wait(answer: Answer) -> float | None:
    """Seconds until GitHub may be asked again; None: it is not the number of requests that it minds."""
    asked = retry_after(answer.headers.get("retry-after"))
    if asked is not None:
        return asked
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        return max(0.0, float(reset) - time.time())
    return None
