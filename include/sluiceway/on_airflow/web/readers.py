"""Who may read a face: whoever sends a token of that face, a user of Airflow who may see the page, or anybody.

A token goes into the header alone. One in an address would end in the logs of every proxy on its way.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Literal

from airflow.api_fastapi.app import get_auth_manager
from fastapi import HTTPException, Request

from sluiceway.errors import ConfigError, FaceRefusedError, SluicewayError
from sluiceway.freshness.faces import Faces, read_faces
from sluiceway.freshness.kept import Memory
from sluiceway.ledger.face_tokens import PREFIX, Face, KnownToken, known_tokens, opened_by
from sluiceway.ledger.kept import KeptConnection
from sluiceway.on_airflow.web import astray
from sluiceway.on_airflow.web.connections import warehouse_url
from sluiceway.on_airflow.web.limit import Limit
from sluiceway.on_airflow.web.threads import AGAIN_S, page_threads
from sluiceway.on_airflow.web.users import user_of
from sluiceway.on_airflow.web.verdict import memory
from sluiceway.settings import load_settings

Reader = Literal["token", "user", "anybody"]
KNOWN_S = 900.0
"""So long tokens are known to a process whose ledger does not answer: also one that is revoked meanwhile."""
ANEW_S = 0.25
"""A token that is not among them may be new: after this time they are read anew, once for all who send such a one."""
CREATE = "`sluiceway access token create`"

log = logging.getLogger(__name__)


class Readers:
    """Who may read which face, for one process."""

    def __init__(
        self,
        kept: Memory,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._kept, self._clock, self._sleep = kept, clock, sleep
        self._limits: dict[Face, Limit] = {"status": Limit(), "badge": Limit(), "metrics": Limit()}
        self._tokens: tuple[float, tuple[KnownToken, ...]] | None = None
        self._complained: str | None = None
        self._ledger = KeptConnection(warehouse_url, name="sluiceway tokens", is_snapshot=True)

    async def check(self, request: Request, face: Face) -> Reader:
        """See that whoever asks may read the face.

        :raises FaceRefusedError: it is refused; says which answer that is.
        """
        if wrong := astray.wrong_at_a_face(request):
            raise _unauthorized(wrong)
        sent = request.headers.get("authorization")
        if sent is not None:
            scheme, _, credentials = sent.partition(" ")
            token = credentials.strip()
            if scheme.lower() == "bearer" and token.startswith(PREFIX):
                return await self._check_token(token, face)
            return await self._check_user(request)
        if request.cookies:
            try:
                return await self._check_user(request)
            except FaceRefusedError:
                # a session that has ended takes from nobody what anybody may read
                if not (await self._faces()).of(face).public:
                    raise
        return await self._check_anybody(request, face)

    async def _check_token(self, token: str, face: Face) -> Reader:
        known = await self._known()
        if known is None:
            raise FaceRefusedError(
                "The ledger, which knows the tokens, does not answer.",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
                headers={"Retry-After": str(AGAIN_S)},
            )
        opened = opened_by(token, known)
        if opened is None:
            await self._sleep(ANEW_S)
            opened = opened_by(token, await self._known(seconds=ANEW_S) or ())
        if opened is None:
            raise _unauthorized(f"Nobody made this token, or it is revoked: {CREATE} makes one.")
        if face not in opened:
            raise FaceRefusedError(
                f"This token opens {', '.join(sorted(opened))} and not {face}.", status=HTTPStatus.FORBIDDEN
            )
        return "token"

    async def _known(self, *, seconds: float | None = None) -> tuple[KnownToken, ...] | None:
        """The tokens that open something; None: nobody knows.

        :param seconds: read no longer ago than this.
        """
        try:
            self._tokens = await self._kept.get("tokens", self._read_tokens, seconds=seconds)
        except SluicewayError as error:
            self._complain(f"The tokens cannot be read: {error}")
        if self._tokens is None or self._clock() - self._tokens[0] > KNOWN_S:
            return None
        return self._tokens[1]

    def _read_tokens(self) -> tuple[float, tuple[KnownToken, ...]]:
        return self._clock(), self._ledger.ask(known_tokens)

    async def _check_user(self, request: Request) -> Reader:
        """As Airflow's own pages take who asks: by the header, else by the session's cookie."""
        try:
            user = await user_of(request)
        except HTTPException as error:
            raise _unauthorized(str(error.detail)) from None
        if not await page_threads.run(may_see, user):
            raise FaceRefusedError("You may read the runs of no DAG.", status=HTTPStatus.FORBIDDEN)
        return "user"

    async def _check_anybody(self, request: Request, face: Face) -> Reader:
        access = (await self._faces()).of(face)
        if not access.public:
            raise _unauthorized(f"Send a token of this face as `Authorization: Bearer`: {CREATE} makes one.")
        # behind a proxy that Airflow is told to trust (--proxy-headers) it is the one that the proxy names
        host = request.client.host if request.client is not None else None
        if wait := self._limits[face].wait_s(host, access.per_minute):
            often = "Once a minute" if access.per_minute == 1 else f"{access.per_minute} times a minute"
            raise FaceRefusedError(
                f"{often} without a token.",
                status=HTTPStatus.TOO_MANY_REQUESTS,
                headers={"Retry-After": str(math.ceil(wait))},
            )
        return "anybody"

    async def _faces(self) -> Faces:
        try:
            return await self._kept.get("faces", lambda: read_faces(load_settings().config_dir))
        except ConfigError as error:
            self._complain(f"Every face is closed to whoever has no token: {error}")
            return Faces()

    def _complain(self, sentence: str) -> None:
        """Once, not for everybody who asks."""
        if sentence != self._complained:
            log.error("%s", sentence)
        self._complained = sentence


def may_see(user: object) -> bool:
    """Whether a user may see how the data stands: whoever may read the runs of some DAG."""
    return get_auth_manager().is_authorized_dag(method="GET", user=user)


def _unauthorized(detail: str) -> FaceRefusedError:
    return FaceRefusedError(detail, status=HTTPStatus.UNAUTHORIZED, headers=astray.HEADERS)


readers = Readers(memory)
