"""Brings schema `etl` to the version this code needs (Alembic), and grants it to the roles that exist.

Run as the role that owns the warehouse. The loader may write the ledger and never change its shape; rights.py says what
each role may.
"""

from __future__ import annotations

import logging
from pathlib import Path

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from sluiceway.errors import WarehouseError, WarehouseUnavailableError
from sluiceway.ledger.rights import grants
from sluiceway.ledger.warehouse import place

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _take_turn(connection: sqlalchemy.Connection) -> None:
    """Have two migrations of one warehouse come one after the other."""
    is_there = "SELECT to_regclass('etl.alembic_version') IS NOT NULL"
    if not connection.exec_driver_sql(is_there).scalar():
        # there is nothing yet that a reader could not lock, nor a reader who was granted anything
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('sluiceway.ledger.migrate'))")
    if connection.exec_driver_sql(is_there).scalar():
        connection.exec_driver_sql("LOCK TABLE etl.alembic_version IN SHARE ROW EXCLUSIVE MODE")


def migrate(url: str) -> str:
    """Upgrade the ledger behind `url` to the newest revision and return that revision.

    :param url: postgresql:// URL of a role that may create schemas in the warehouse.
    :raises WarehouseUnavailableError: the server does not answer.
    """
    # libpq reads the address, as for every other statement: SQLAlchemy knows fewer of its forms
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    config = _config()
    try:
        with engine.begin() as connection:
            _take_turn(connection)
            if not connection.exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'postgis'").first():
                connection.exec_driver_sql("CREATE EXTENSION postgis")
            connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS etl")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.exec_driver_sql(grants())
    except sqlalchemy.exc.OperationalError as error:
        raise WarehouseUnavailableError(f"The warehouse at {place(url)} does not answer: {error.orig}") from error
    except sqlalchemy.exc.DBAPIError as error:
        raise WarehouseError(
            f"The ledger cannot be migrated at {place(url)}: {str(error.orig).splitlines()[0]}. Migrate as the role "
            f"that owns the database (SLUICEWAY_OWNER_URL), with PostGIS installed on the server."
        ) from error
    finally:
        engine.dispose()
    head = ScriptDirectory.from_config(config).get_current_head()
    log.info("The ledger is at revision %s", head)
    return str(head)
