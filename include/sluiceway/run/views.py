"""What the web service reads: the materialized views under include/config/sql/, one file each, refreshed at the end.

A file is one SELECT whose first lines say `-- description: ...`, `-- group: ...` and `-- tables: a, b`. All views
of a run are refreshed in one transaction, so that readers see either the old state or the new one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from psycopg import sql
from pydantic import BaseModel, ConfigDict

from sluiceway.errors import ConfigError, UnknownTableError, ViewInUseError, nearest
from sluiceway.ledger.warehouse import Session
from sluiceway.settings import Settings, load_settings
from sluiceway.tables import registry
from sluiceway.tables.spec import Name

_HEADER = re.compile(r"^--\s*(?P<key>\w+):\s*(?P<value>.*)$")
_KEYS = ("description", "group", "tables")
# a view is read by the rule that another one is
_READERS = """
    WITH RECURSIVE reader (oid) AS (
        SELECT to_regclass({0})::oid
        UNION
        SELECT rule.ev_class FROM reader
            JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = reader.oid
                AND d.classid = 'pg_rewrite'::regclass
            JOIN pg_rewrite rule ON rule.oid = d.objid
    )
    SELECT n.nspname || '.' || c.relname FROM reader JOIN pg_class c USING (oid)
        JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid <> to_regclass({0})
"""


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


def edited(session: Session, views: Iterable[View]) -> dict[str, frozenset[str]]:
    """The views that stand in the warehouse with another definition than their file's.

    :returns: by name, with what reads each there, also through others: `schema.name`.
    """
    return {view.name: _readers(session, view) for view in views if _comment(session, view) != view.fingerprint()}


def publish(session: Session, views: Sequence[View]) -> None:
    """Create each view, or refresh it, in this order; what they read beyond each other must stand in the warehouse.

    A view that was edited is dropped first, with those among the views that read it.

    :raises ViewInUseError: something else reads it, which a drop would take away.
    """
    kept = {f"public.{view.name}": view for view in views}
    dropped: dict[str, None] = {}
    for name, readers in edited(session, views).items():
        if others := sorted(readers - kept.keys()):
            raise ViewInUseError(
                f"The view {name} was edited, and {others[0]} reads it, which this run does not publish: to make "
                f"{name} anew would take it away. Drop {others[0]}, or write it as a file of sql/ whose line "
                f"`-- tables:` names {name}."
            )
        dropped |= dict.fromkeys(sorted({f"public.{name}", *readers}))
    if standing := [kept[name].name for name in dropped if exists(session, kept[name].name)]:
        names = sql.SQL(", ").join(sql.Identifier("public", name) for name in standing)
        session.execute(sql.SQL("DROP MATERIALIZED VIEW {}").format(names))
    for view in views:
        _refresh(session, view)


def _refresh(session: Session, view: View) -> None:
    name = sql.Identifier("public", view.name)
    if exists(session, view.name):
        session.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(name))
        return
    # the SELECT is the deployment's own code, like its DAG files
    session.execute(sql.SQL("CREATE MATERIALIZED VIEW {} AS {}").format(name, sql.SQL(view.select)))
    session.execute(sql.SQL("COMMENT ON MATERIALIZED VIEW {} IS {}").format(name, sql.Literal(view.fingerprint())))


def _comment(session: Session, view: View) -> str | None:
    """That of what stands under the view's name; of what does not stand, the comment that it would have."""
    name = sql.Literal(sql.Identifier("public", view.name).as_string(None))
    stands, comment = session.execute(
        sql.SQL("SELECT to_regclass({0}) IS NOT NULL, obj_description(to_regclass({0}))").format(name)
    )[0]
    return comment if stands else view.fingerprint()


def _readers(session: Session, view: View) -> frozenset[str]:
    name = sql.Literal(sql.Identifier("public", view.name).as_string(None))
    return frozenset(row[0] for row in session.execute(sql.SQL(_READERS).format(name)))


def exists(session: Session, table: str) -> bool:
    """Whether a table or a view of that name stands in the warehouse."""
    name = sql.Literal(sql.Identifier("public", table).as_string(None))
    return bool(session.execute(sql.SQL("SELECT to_regclass({}) IS NOT NULL AS found").format(name))[0][0])
