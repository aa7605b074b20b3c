"""Registers Sluiceway's pages with Airflow's API server. No business code: every component imports this file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/sluiceway"


async def pages(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI app under /sluiceway; imported at its first request, because only the API server needs it."""
    from sluiceway.on_airflow.web.app import app

    await app(scope, receive, send)


class BesideThePages:
    """Answers addresses that begin like ours, and that Airflow's router leads past the app: one without the slash after
    the name, which would be Airflow's own page, and one with a newline, which a router's pattern does not match."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "")
        path = scope["path"].removeprefix(root) if scope["type"] == "http" else ""
        if not path.startswith(PREFIX) or (path.startswith(f"{PREFIX}/") and "\n" not in path):
            await self.app(scope, receive, send)
            return
        from sluiceway.on_airflow.web.app import app, lead_nowhere

        answer = app if path == PREFIX else lead_nowhere
        await answer({**scope, "app_root_path": root, "root_path": f"{root}{PREFIX}"}, receive, send)


class SluicewayPlugin(AirflowPlugin):
    """The pages under /sluiceway, and their entries in the menu."""

    name = "sluiceway"
    fastapi_apps: ClassVar = [{"app": pages, "url_prefix": PREFIX, "name": "Sluiceway"}]
    fastapi_root_middlewares: ClassVar = [{"middleware": BesideThePages, "name": "Sluiceway's addresses"}]
    # relative: the UI resolves it against the path of [api] base_url
    external_views: ClassVar = [
        # with a route it opens in Airflow's frame
        {
            "name": "Freshness",
            "href": "sluiceway/",
            "url_route": "freshness",
            "destination": "nav",
            "nav_top_level": True,
        },
        {"name": "Run reports", "href": "sluiceway/runs", "destination": "nav", "category": "browse"},
    ]
