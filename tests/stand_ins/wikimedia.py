"""Wikidata's SPARQL endpoint and the API of Wikimedia Commons, at one address, as they were recorded."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.stand_ins.faults import serve
from tests.stand_ins.web_service import Reply, Request, WebService

WIDTHS = (20, 40, 60, 120, 250, 330, 500, 960, 1280, 1920, 3840)
MOST = 50
"""Titles of one request."""
UPLOAD = "https://upload.wikimedia.org/wikipedia/commons"
ARTIST = '<a href="//commons.wikimedia.org/wiki/User:Jo" title="User:Jo">Jo &amp; Ann</a> from <b>Bonn</b>'
_ASKED = re.compile(r'\("([^"]+)" wdt:(P\d+)\)')


def maxlag(lag: float | None = 5.6, *, retry_after: int | None = None) -> Reply:
    """A database of theirs lags: an error with 200."""
    error: dict[str, Any] = {"code": "maxlag", "info": "Waiting for db1183: 5.6 seconds lagged.", "host": "db1183"}
    error |= {} if lag is None else {"lag": lag}
    return Reply(200, {"error": error}, {} if retry_after is None else {"Retry-After": str(retry_after)})


@dataclass
class Wikimedia(WebService):
    """Both services; a key has a picture of its own unless `pictures` says otherwise."""

    answer: Callable[[Request], Reply] = field(init=False)
    pictures: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)
    """By property and key: Wikidata's items and the names of their files."""
    gone: set[str] = field(default_factory=set)
    """Files that Commons has no longer."""
    moved: dict[str, str] = field(default_factory=dict)
    """Files that have another name now."""
    at_once: int = MOST
    """Files that one answer tells of; it goes on with the others."""

    def __post_init__(self) -> None:
        self.answer = self._answer

    def _answer(self, request: Request) -> Reply:
        if request.path == "/sparql":
            return Reply(200, self._rows(request.params["query"]), {"Content-Type": "application/sparql-results+json"})
        if request.path == "/w/api.php" and request.params.get("prop") == "imageinfo":
            return self._info(request.params)
        return Reply(404, b"<html><body>Not Found</body></html>", {"Content-Type": "text/html"})

    def _rows(self, query: str) -> dict[str, Any]:
        rows = []
        for key, of in _ASKED.findall(query):
            for item, name in self.pictures.get((of, key), []):
                image = f"http://commons.wikimedia.org/wiki/Special:FilePath/{quote(name)}"
                rows.append(
                    {
                        "key": {"type": "literal", "value": key},
                        "item": {"type": "uri", "value": f"http://www.wikidata.org/entity/{item}"},
                        "image": {"type": "uri", "value": image},
                    }
                )
        return {"head": {"vars": ["key", "item", "image"]}, "results": {"bindings": rows}}

    def _info(self, params: dict[str, str]) -> Reply:
        titles = params["titles"].split("|")
        width = int(params["iiurlwidth"])
        if len(titles) > MOST:
            return Reply(200, {"error": {"code": "toomanyvalues", "info": "Too many values supplied."}})
        if width not in WIDTHS:
            return Reply(400, {"error": {"code": "badwidth", "info": f"{width} is no step"}})
        renamed = {title: title[:5] + title[5:6].upper() + title[6:] for title in titles}
        normalized = [{"fromencoded": False, "from": a, "to": b} for a, b in renamed.items() if a != b]
        redirects = [
            {"from": title, "to": f"File:{self.moved[title[5:]]}"}
            for title in renamed.values()
            if title[5:] in self.moved
        ]
        last = {each["from"]: each["to"] for each in redirects}
        final = [last.get(title, title) for title in renamed.values()]
        start = int(params.get("iistart", "0"))
        pages = [self._page(title, width, start <= at < start + self.at_once) for at, title in enumerate(final)]
        query = {"normalized": normalized, "redirects": redirects, "pages": pages}
        # it says so too when only older versions of a file are left
        more = {"continue": {"iistart": str(start + self.at_once), "continue": "||"}}
        return Reply(200, more | {"query": {name: each for name, each in query.items() if each}})

    def _page(self, title: str, width: int, is_told: bool) -> dict[str, Any]:
        name = title.removeprefix("File:")
        if name in self.gone:
            return {"ns": 6, "title": title, "missing": True}
        page: dict[str, Any] = {"pageid": len(name), "ns": 6, "title": title, "imagerepository": "local"}
        if not is_told:
            return page
        path = quote(name.replace(" ", "_"))
        info = {
            "thumburl": f"{UPLOAD}/thumb/c/c0/{path}/{width}px-{path}",
            "thumbwidth": width,
            "thumbheight": 248,
            "url": f"{UPLOAD}/c/c0/{path}",
            "descriptionurl": f"https://commons.wikimedia.org/wiki/File:{path}",
            "mime": "image/jpeg",
            "extmetadata": {
                "LicenseShortName": {"value": "CC BY-SA 4.0", "source": "commons-desc-page", "hidden": ""},
                "LicenseUrl": {
                    "value": "https://creativecommons.org/licenses/by-sa/4.0",
                    "source": "commons-desc-page",
                },
                "UsageTerms": {"value": "Creative Commons Attribution-Share Alike 4.0"},
                "Artist": {"value": ARTIST, "source": "commons-desc-page"},
            },
        }
        return page | {"imageinfo": [info]}


if __name__ == "__main__":
    serve(Wikimedia())
