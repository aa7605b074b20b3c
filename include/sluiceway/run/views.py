"""What the web service reads: the materialized views under include/config/sql/, one file each, refreshed at the end.

A file is one SELECT whose first lines say `-- description: ...`, `-- group: ...` and `-- tables: a, b`. All views
of a run are refreshed in one transaction, so that readers see either the old state or the new one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from psycopg import sql
from pydantic import BaseModel, ConfigDict

from sluiceway.errors import ConfigError, nearest
from sluiceway.ledger.warehouse import Session
from sluiceway.settings import Settings, load_settings
from sluiceway.tables.spec import Name

_HEADER = re.compile(r"^--\s*(?P<key>\w+):\s*(?P<value>.*)$")
_KEYS = ("description", "group", "tables")


class View(BaseModel):
    """One materialized view."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    description: str
    group: Name = "warehouse"
    tables: tuple[Name, ...]
    """The tables it reads: it is refreshed once all of them are in the warehouse."""
    select: str

    def fingerprint(self) -> str:
        """Identifies the definition; kept as the view's comment."""
        return f"{self.description} [{hashlib.sha256(self.select.encode()).hexdigest()[:16]}]"


def read_view(path: Path) -> View:
    """The view in one file; raises ConfigError that names the file and the header line."""
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
        return View.model_validate(
            {
                "name": path.stem,
                **header,
                "tables": [name.strip() for name in header["tables"].split(",")],
                "select": "\n".join(lines).strip().rstrip(";"),
            }
        )
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error


def deployed_views(settings: Settings | None = None) -> list[View]:
    """The views this deployment keeps, by file name: a view may read one whose name sorts before it."""
    settings = settings or load_settings()
    views = [read_view(path) for path in sorted((settings.config_dir / "sql").glob("*.sql"))]
    return [view for view in views if settings.runs_group(view.group)]


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


def refresh(session: Session, view: View) -> None:
    """Create the view, or refresh it; what it reads must stand in the warehouse."""
    name = sql.Identifier("public", view.name)
    found = session.execute(
        sql.SQL("SELECT obj_description(to_regclass({})) AS comment").format(sql.Literal(name.as_string(None)))
    )[0][0]
    if found == view.fingerprint():
        session.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(name))
        return
    session.execute(sql.SQL("DROP MATERIALIZED VIEW IF EXISTS {} CASCADE").format(name))
    # the SELECT is the deployment's own code, like its DAG files
    session.execute(sql.SQL("CREATE MATERIALIZED VIEW {} AS {}").format(name, sql.SQL(view.select)))
    session.execute(sql.SQL("COMMENT ON MATERIALIZED VIEW {} IS {}").format(name, sql.Literal(view.fingerprint())))


def exists(session: Session, table: str) -> bool:
    """Whether a table or a view of that name stands in the warehouse."""
    name = sql.Literal(sql.Identifier("public", table).as_string(None))
    return bool(session.execute(sql.SQL("SELECT to_regclass({}) IS NOT NULL AS found").format(name))[0][0])
