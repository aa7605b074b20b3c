"""What the web service reads: the materialized views under include/config/sql/, one file each.

A file is one SELECT whose first lines say `-- description: ...`, `-- group: ...`, `-- tables: a, b` and `-- key: a, b`.
How they come into the warehouse is in run/building.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from sluiceway.errors import ConfigError, UnknownTableError, nearest
from sluiceway.settings import Settings, load_settings
from sluiceway.sources.services.sql_code import NotOneSelectError, check_select, columns_of, tables_of
from sluiceway.tables import registry
from sluiceway.tables.files import table_files
from sluiceway.tables.spec import Name

_HEADER = re.compile(r"^--\s*(?P<key>\w+):\s*(?P<value>.*)$")
_KEYS = ("description", "group", "tables", "key")
_LISTS = ("tables", "key")
_WAITS_OR_SETS = r"pg_sleep\w*|nextval|setval|set_config|setseed"
"""Functions that `tables check` knows for what publishing would see in the warehouse: they do more than read."""


class View(BaseModel):
    """One materialized view."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    description: str
    group: Name = "warehouse"
    tables: tuple[Name, ...]
    """The tables it reads: it is refreshed once all of them are in the warehouse."""
    key: tuple[Name, ...] = ()
    """The columns that identify a row: so readers of it need not wait while it is refreshed. None: it has no such."""
    select: str

    def fingerprint(self) -> str:
        """Identifies the definition; kept as the view's comment."""
        return f"{self.description} {self.mark()}"

    def mark(self) -> str:
        """Identifies the SELECT; ends the comment."""
        return f"[{hashlib.sha256(self.select.encode()).hexdigest()[:16]}]"


def read_view(path: Path, *, judged: bool = True) -> View:
    """The view in one file; raises ConfigError that names the file and the header line.

    :param judged: whether its SELECT is looked at, too, which takes the parser.
    """
    header: dict[str, str] = {}
    lines = path.read_text(encoding="utf-8").splitlines()
    while lines and (match := _HEADER.match(lines[0])):
        if match["key"] not in _KEYS:
            raise ConfigError(f"{path}: {match['key']}: no such key{nearest(match['key'], _KEYS)}")
        header[match["key"]] = match["value"].strip()
        del lines[0]
    missing = {"description", "tables"} - set(header)
    if missing:
        raise ConfigError(f"{path}: the first lines must say `-- {sorted(missing)[0]}: ...`")
    if not any(line.strip() for line in lines):
        raise ConfigError(f"{path}: holds no SELECT below its first lines")
    try:
        view = View.model_validate(
            {
                "name": path.stem,
                **header,
                **{key: [name.strip() for name in header[key].split(",")] for key in _LISTS if key in header},
                "select": "\n".join(lines).strip().rstrip(";"),
            }
        )
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    if judged:
        _check_select(path, view)
    return view


def _check_select(path: Path, view: View) -> None:
    try:
        check_select(view.select, refused=_WAITS_OR_SETS)
    except NotOneSelectError as error:
        raise ConfigError(f"{path}: the SELECT {error}") from error
    known = columns_of(view.select)
    for column in view.key:
        if known is not None and column not in known:
            raise ConfigError(f"{path}: key: the SELECT gives no column {column!r}{nearest(column, known)}")


def deployed_views(settings: Settings | None = None, *, judged: bool = True) -> list[View]:
    """The views this deployment keeps, by file name: a view may read one whose name sorts before it.

    :param judged: as of `read_view`.
    """
    settings = settings or load_settings()
    views = [read_view(path, judged=judged) for path in sorted((settings.config_dir / "sql").glob("*.sql"))]
    return [view for view in views if settings.runs_group(view.group)]


def reads_elsewhere(view: View, settings: Settings | None = None) -> str | None:
    """What is wrong with a view that reads a table whose rows go to BigQuery; None: it reads none."""
    for table in view.tables:
        try:
            spec = registry.read_one(table, settings)
        except (ConfigError, UnknownTableError):
            # another view, or a table whose own check says what is wrong
            continue
        if spec.target != "postgresql":
            return f"{table} goes to BigQuery (target), and a view reads what stands in PostgreSQL"
    return None


def wrong_name(view: View, settings: Settings | None = None) -> str | None:
    """What is wrong with a view's name, or with those of the tables that it reads; None: nothing."""
    settings = settings or load_settings()
    tables = {path.stem for path in table_files(settings.config_dir)}
    if view.name in tables:
        return f"tables/{view.name}.toml makes a table {view.name!r}, and a view cannot have its name; rename the file"
    known = tables | {path.stem for path in (settings.config_dir / "sql").glob("*.sql")} - {view.name}
    for name in view.tables:
        if name not in known and name not in _shown_results(settings):
            return f"tables: there is no table or view {name!r}{nearest(name, known)}"
    for name in sorted(tables_of(view.select) & known - set(view.tables)):
        return f"tables: the SELECT reads {name!r}, which the line does not name; add it, or its loads publish no view"
    return None


@cache
def _shown_results(settings: Settings) -> frozenset[str]:
    """The views that jobs keep in schema public; of a job whose file is wrong `sluiceway jobs check` says so."""
    from sluiceway.jobs import files

    found: set[str] = set()
    for name in files.names(settings):
        with suppress(ConfigError):
            results = files.read(name, settings).results
            found |= {results.table} if results.public else set()
    return frozenset(found)


def unfed(views: Sequence[View], tables: Collection[str]) -> dict[View, str]:
    """The views that no run of this deployment publishes, each with the reason.

    :param tables: all that the deployment loads.
    """
    fed = fed_by(views, tables)
    known = {*tables, *(view.name for view in views)}
    found: dict[View, str] = {}
    for view in views:
        if view not in fed:
            missing = next((name for name in view.tables if name not in known), None)
            if missing is None:
                found[view] = f"it reads {view.tables[0]}, which no run publishes"
            else:
                hint = nearest(missing, known, listing=False)
                found[view] = f"it reads {missing}, and this deployment has no such table{hint}"
    return found


def fed_by(views: Iterable[View], tables: Collection[str]) -> dict[View, list[str]]:
    """The views that read one of these tables, or a view that does, in the order in which they can be refreshed.

    :returns: each with those of the tables that feed it.
    """
    fed: dict[View, list[str]] = {}
    feeding = {table: {table} for table in tables}
    for view in views:
        if found := set().union(*(feeding.get(name, set()) for name in view.tables)):
            fed[view] = sorted(found)
            feeding[view.name] = found
    return fed
