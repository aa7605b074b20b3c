"""Whether an address can be that of a warehouse, before anything is connected. No part of a password is ever shown."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from sluiceway.errors import SettingsError

SCHEMES = ("postgresql", "postgres")
"""libpq knows both."""
FORM = "write postgresql://USER@HOST:5432/DATABASE"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_FILE = re.compile(r"[~./].*|.*\.(toml|db|sqlite3?|gpkg|duckdb|csv|env)", re.DOTALL)
_NO_CODE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?", re.DOTALL)
_HIGHEST_PORT = 65_535


def checked(url: str, named: str) -> str:
    """The address as it is.

    :param named: what named it, an option or a variable; the sentence begins with it.
    :raises SettingsError: what is wrong with it.
    """
    problem = _problem(url)
    if problem is not None:
        raise SettingsError(f"{named}: {problem}; {FORM}.")
    return url


def _problem(url: str) -> str | None:
    if not url.strip():
        return "the address of the warehouse is empty"
    if re.search(r"\s", url):
        return "the address holds a space or a line break, which stands in it as %20 or not at all"
    scheme, separator, rest = url.partition("://")
    if not separator:
        return (
            "that is a file, and the warehouse a database of PostgreSQL"
            if _FILE.fullmatch(url)
            else ("the address has no scheme")
        )
    if scheme not in SCHEMES:
        return _wrong_scheme(scheme)
    main, _, query = rest.partition("?")
    authority, _, database = main.partition("/")
    if "@" in database or "@" in query.partition("=")[0]:
        return "the password holds a / or a ?, which stand in an address as %2F and %3F"
    user, _, hosts = authority.rpartition("@")
    if "@" in user:
        return "the password holds an @, which stands in an address as %40"
    if _NO_CODE.search(url):
        return "the address holds a % that begins no code, and stands in it as %25"
    if not all(map(_is_host, hosts.split(","))):
        return f"the port is no number from 1 to {_HIGHEST_PORT}"
    if not database and not {"dbname", "service"} & {*parse_qs(query)}:
        return "the address names no database"
    return None


def _wrong_scheme(scheme: str) -> str:
    if not _SCHEME.fullmatch(scheme):
        return "the address has no scheme"
    if scheme.lower().partition("+")[0] in SCHEMES:
        return f"{scheme}:// is how SQLAlchemy writes it"
    return f"{scheme}:// is no database of PostgreSQL"


def _is_host(text: str) -> bool:
    found = _HOST.fullmatch(text)
    if found is None:
        return False
    port = found["port"]
    return not port or (port.isascii() and port.isdecimal() and 1 <= int(port) <= _HIGHEST_PORT)
