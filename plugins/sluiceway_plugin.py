"""Registers Sluiceway's pages with Airflow's API server. No business code: every component imports this file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping


async def pages(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """The ASGI app under /sluiceway; imported at its first request, because only the API server needs it."""
    from sluiceway.on_airflow.web.app import app

    await app(scope, receive, send)


class SluicewayPlugin(AirflowPlugin):
    """The pages under /sluiceway, and their entries in the menu."""

    name = "sluiceway"
    fastapi_apps: ClassVar = [{"app": pages, "url_prefix": "/sluiceway", "name": "Sluiceway"}]
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
