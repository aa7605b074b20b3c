"""A picture of each taxon: Wikidata knows which, Wikimedia Commons its address, its licence and whose it is.

Both ask that whoever sends requests says how to reach them
(https://foundation.wikimedia.org/wiki/Policy:Wikimedia_Foundation_User-Agent_Policy): without a contact no request goes
out. Addresses of pictures are taken from Commons and never built: it serves a few widths alone, and they change.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from sluiceway.jobs.ask import Asker, Reply
from sluiceway.jobs.definition import Answer, Done, Failed, Results, Service
from sluiceway.jobs.items import Item

CATALOGUE_OF_LIFE, OLD_GBIF = "P10585", "P846"
"""Wikidata's properties for a taxon's key."""
WIDTH = 330
"""Of a thumbnail, in pixels: one of those that Commons serves (20, 40, 60, 120, 250, 330, 500, 960 ...)."""
FILES_AT_ONCE = 20
"""Commons takes 50, but their names may be too long for one address."""
MAX_LAG_S = 5
LAG_S = 5.0
"""How long to wait for a database of theirs that lags, where they do not say it."""
LONGEST_KEY = 6
"""Of the Catalogue of Life, whose keys hold no 0, no 1 and no vowel."""
NO_IMAGE_AGAIN = timedelta(days=180)
_PAUSING = frozenset({"maxlag", "ratelimited", "readonly"})
WIKIDATA = Service(
    name="wikidata", url="https://query.wikidata.org", connection="wikimedia", needs=("contact",), per_second=1
)
COMMONS = Service(
    name="commons", url="https://commons.wikimedia.org", connection="wikimedia", needs=("contact",), per_second=2
)
IMAGES = Results(
    table="taxon_image",
    key="taxon_key",
    columns={
        "state": "text",
        "wikidata_id": "text",
        "file_name": "text",
        "thumbnail_url": "text",
        "image_url": "text",
        "page_url": "text",
        "mime_type": "text",
        "license": "text",
        "license_url": "text",
        "author": "text",
    },
    comment="Pictures of Wikimedia Commons; each has a licence of its own: show author, license and page_url with it.",
)


def thumbnails(batch: Sequence[Item], *, ask: Asker) -> Iterator[Answer]:
    """The picture of each taxon; an item is its key in the Catalogue of Life, or an old one of GBIF's backbone.

    :raises ServiceError: Wikidata or Commons fails, or wants to be left alone.
    """
    keys = [each.item for each in batch if each.item.isascii() and each.item.isalnum()]
    for each in batch:
        if each.item not in keys:
            yield Failed(each.item, f"{each.item!r} is no key of a taxon")
    pictures = _pictures(keys, ask) if keys else {}
    names = sorted({name for _, name in pictures.values()})
    files: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(names), FILES_AT_ONCE):
        files |= _files(names[start : start + FILES_AT_ONCE], ask.of(COMMONS.name))
    for key in keys:
        wikidata_id, name = pictures.get(key, (None, None))
        found = files.get(name) if name else None
        if found is None:
            yield Done(key, {"state": "no_image", "wikidata_id": wikidata_id}, again_in=NO_IMAGE_AGAIN)
        else:
            yield Done(key, _values(found) | {"wikidata_id": wikidata_id, "file_name": name})


def property_of(key: str) -> str:
    """Wikidata's property that holds such a key."""
    is_old = key.isdecimal() and (len(key) > LONGEST_KEY or bool({"0", "1"} & set(key)))
    return OLD_GBIF if is_old else CATALOGUE_OF_LIFE


def _pictures(keys: Sequence[str], ask: Asker) -> dict[str, tuple[str, str]]:
    """Wikidata's item and the name of the file, by key; of several the item that is there for longer."""
    asked = " ".join(f'("{key}" wdt:{property_of(key)})' for key in keys)
    query = f"SELECT ?key ?item ?image WHERE {{ VALUES (?key ?of) {{ {asked} }} ?item ?of ?key; wdt:P18 ?image. }}"
    reply = ask.get("/sparql", {"query": query, "format": "json"})
    document = reply.document if isinstance(reply.document, dict) else {}
    rows = (document.get("results") or {}).get("bindings")
    if reply.status >= 400 or not isinstance(rows, list):
        raise ask.fails(f"/sparql answers {reply.status} with no rows: {str(reply.document)[:200]}")
    found = []
    for row in rows:
        wikidata_id = row["item"]["value"].rpartition("/")[2]
        # RDF writes a file as http://commons.wikimedia.org/wiki/Special:FilePath/<its name, encoded>
        name = unquote(row["image"]["value"].rpartition("/")[2]).replace("_", " ")
        found.append((int(wikidata_id.lstrip("Q")), name, row["key"]["value"], wikidata_id))
    return {key: (wikidata_id, name) for _, name, key, wikidata_id in sorted(found, reverse=True)}


def _files(names: Sequence[str], ask: Asker) -> dict[str, Mapping[str, Any]]:
    """What Commons knows of files, by the name that was asked; those that it no longer has are left out."""
    params: dict[str, str | int | bool] = {
        "action": "query",
        "format": "json",
        "formatversion": 2,
        "redirects": 1,
        "maxlag": MAX_LAG_S,
        "prop": "imageinfo",
        "iiprop": "url|mime|extmetadata",
        "iiextmetadatafilter": "LicenseShortName|LicenseUrl|UsageTerms|Artist",
        "iiurlwidth": WIDTH,
        "titles": "|".join(f"File:{name}" for name in names),
    }
    asked = {f"File:{name}": {name} for name in names}
    found: dict[str, Mapping[str, Any]] = {}
    left = set(names)
    more: Mapping[str, Any] = {}
    for _ in names:
        document = _document(ask.get("/w/api.php", params | dict(more)), ask)
        query = document.get("query") or {}
        for change in [*(query.get("normalized") or []), *(query.get("redirects") or [])]:
            asked.setdefault(change["to"], set()).update(asked.get(change["from"], set()))
        for page in query.get("pages") or []:
            if info := page.get("imageinfo"):
                found |= dict.fromkeys(asked.get(page["title"], set()), info[0])
            if info or page.get("missing") or page.get("invalid"):
                left -= asked.get(page["title"], set())
        more = document.get("continue") or {}
        # it also goes on with the older versions of a file, which nobody wants
        if not more or not left:
            break
    if left:
        raise ask.fails(f"/w/api.php says nothing of {min(left)!r}, neither what it is nor that it is missing")
    return found


def _document(reply: Reply, ask: Asker) -> Mapping[str, Any]:
    """Raises ServiceError for what is none, and ServicePausedError where they want to be left alone."""
    document = reply.document if isinstance(reply.document, dict) else {}
    error = document.get("error")
    if error and error.get("code") in _PAUSING:
        waits = (reply.retry_after_s, error.get("lag"), LAG_S)
        seconds = next(float(each) for each in waits if each is not None)
        raise ask.fails(f"{error['code']}: {error.get('info', '')}", seconds=seconds)
    if reply.status >= 400 or error or not document:
        raise ask.fails(f"/w/api.php answers {reply.status}: {str(error or reply.document)[:200]}")
    return document


def _values(info: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: each.get("value") for name, each in (info.get("extmetadata") or {}).items()}
    return {
        "state": "image",
        "thumbnail_url": info.get("thumburl"),
        "image_url": info.get("url"),
        "page_url": info.get("descriptionurl"),
        "mime_type": info.get("mime"),
        "license": said.get("LicenseShortName") or said.get("UsageTerms"),
        "license_url": said.get("LicenseUrl"),
        "author": _text(said.get("Artist")),
    }


def _text(markup: str | None) -> str | None:
    """What a reader sees of HTML; authors are written with links."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split()) or None if markup else None
