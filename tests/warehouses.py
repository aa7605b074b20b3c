"""Copies of the empty warehouse that tests use one after another: a new one for each would be half of their time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from psycopg import sql

from dev.cluster import Cluster

OURS = "nspname !~ '^pg_' AND nspname <> 'information_schema'"
NEW = f"""
    SELECT statement FROM (
        SELECT 1 AS turn, format('DROP EXTENSION IF EXISTS %%I CASCADE', extname) AS statement
        FROM pg_extension WHERE oid > %(mark)s
        UNION ALL SELECT 2, format('DROP SCHEMA IF EXISTS %%I CASCADE', nspname)
        FROM pg_namespace WHERE oid > %(mark)s AND {OURS}
        UNION ALL SELECT CASE relkind WHEN 'S' THEN 4 ELSE 3 END, format(
            'DROP %%s IF EXISTS %%s CASCADE',
            CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
                WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
            c.oid::regclass
        ) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE c.oid > %(mark)s AND n.oid <= %(mark)s AND {OURS} AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        UNION ALL SELECT 5, format('DROP ROUTINE IF EXISTS %%s CASCADE', p.oid::regprocedure)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
        WHERE p.oid > %(mark)s AND n.oid <= %(mark)s AND {OURS}
        UNION ALL SELECT 6, format('DROP TYPE IF EXISTS %%s CASCADE', t.oid::regtype)
        FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
        WHERE t.oid > %(mark)s AND n.oid <= %(mark)s AND {OURS} AND typtype IN ('d', 'e', 'r')
    ) every ORDER BY turn
"""
"""Statements that drop what came after the copy was made; of a PostgreSQL's objects the newer have the higher oids."""
OTHERS_ENDED = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), %s)
"""
"""Ends all sessions but this and another; a row for each that goes on."""
ASKER = "asker"
"""What the sessions are called in which tests ask."""
EMPTIED = """
    SELECT CASE relkind WHEN 'S' THEN format('SELECT setval(%L, 1, false)', oid::regclass)
        ELSE format('DELETE FROM %s', oid::regclass) END
    FROM pg_class WHERE relnamespace IN ('etl'::regnamespace, 'etl_jobs'::regnamespace) AND relkind IN ('r', 'S')
        AND relname NOT IN ('alembic_version', 'compatible')
"""
"""Statements that take every row out of the ledger: a TRUNCATE writes all files anew and takes ten times as long."""
FINGERPRINT = f"""
    SELECT md5(string_agg(line, chr(10) ORDER BY line)) FROM (
        SELECT concat_ws('|', c.oid, relname, relkind, relowner, relacl, relrowsecurity, reloptions) AS line
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE {OURS}
        UNION ALL SELECT concat_ws('|', attrelid, attnum, a.xmin)
        FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_namespace n ON n.oid = relnamespace WHERE {OURS}
        UNION ALL SELECT concat_ws('|', nspname, nspowner, nspacl) FROM pg_namespace WHERE {OURS}
        UNION ALL SELECT concat_ws('|', oid, xmin) FROM pg_constraint
        UNION ALL SELECT concat_ws('|', oid, xmin) FROM pg_trigger
        UNION ALL SELECT concat_ws('|', oid, xmin) FROM pg_attrdef
        UNION ALL SELECT concat_ws('|', oid, xmin) FROM pg_proc WHERE pronamespace <> 'pg_catalog'::regnamespace
        UNION ALL SELECT concat_ws('|', extname, extversion) FROM pg_extension
        UNION ALL SELECT concat_ws('|', defaclrole, defaclnamespace, defaclobjtype, defaclacl) FROM pg_default_acl
        UNION ALL SELECT concat_ws('|', datdba, datacl, datconnlimit)
        FROM pg_database WHERE datname = current_database()
        UNION ALL SELECT concat_ws('|', s.setrole, s.setconfig) FROM pg_db_role_setting s
        JOIN pg_database d ON d.oid = setdatabase WHERE datname = current_database()
        UNION ALL SELECT version_num FROM etl.alembic_version
        UNION ALL SELECT count(*)::text FROM spatial_ref_sys
    ) every
"""
"""Of all that a test may have changed and `NEW` does not drop: a changed copy is not used again. An entry of a catalog
that was changed has another xmin, the transaction that wrote it."""


class Warehouses:
    """The copies of a cluster's database `warehouse`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._clean: list[str] = []
        # one a copy: a third of the time of cleaning one would be the connection, another what it has to learn first
        self._cleaners: dict[str, psycopg.Connection[tuple[object, ...]]] = {}
        self._askers: dict[str, psycopg.Connection[tuple[object, ...]]] = {}
        self._fingerprint = ""
        with self._connect("warehouse") as connection:
            catalogs = ("pg_class", "pg_proc", "pg_type", "pg_namespace", "pg_extension", "pg_constraint", "pg_rewrite")
            highest = " UNION ALL ".join(f"SELECT max(oid) FROM {each}" for each in catalogs)
            (self._mark,) = connection.execute(f"SELECT max(max::bigint) FROM ({highest}) every").fetchone() or (0,)

    @contextmanager
    def lend(self) -> Iterator[str]:
        """The name of a copy that is as new."""
        name = self._clean.pop() if self._clean else self._create()
        try:
            yield name
        finally:
            if self._cleaned(name):
                self._clean.append(name)
            else:
                self._drop(name)

    def asker(self, name: str) -> psycopg.Connection[tuple[object, ...]]:
        """A connection to a lent copy as the role that loads, for whatever a test wants to know or to do there.

        It stays open from test to test: a new one for each question would be a third of a small test's time.
        """
        if name not in self._askers or self._askers[name].closed:
            url = self._cluster.url("sluiceway_loader", name)
            # what it had prepared for one test would not fit the tables of the next
            self._askers[name] = psycopg.connect(url, autocommit=True, prepare_threshold=None, application_name=ASKER)
        return self._askers[name]

    def drop_all(self) -> None:
        """Those that nobody has."""
        while self._clean:
            self._drop(self._clean.pop())

    def _create(self) -> str:
        name = f"test_{uuid4().hex[:12]}"
        with self._connect("postgres") as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE warehouse OWNER sluiceway_owner").format(sql.Identifier(name))
            )
        self._cleaners[name] = self._connect(name)
        if not self._fingerprint:
            self._fingerprint = self._look(self._cleaners[name])
        return name

    def _drop(self, name: str) -> None:
        for connections in (self._cleaners, self._askers):
            if connection := connections.pop(name, None):
                connection.close()
        with self._connect("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _cleaned(self, name: str) -> bool:
        """Whether it is as new now."""
        connection, asker = self._cleaners[name], self._askers.get(name)
        try:
            if asker and not asker.closed:
                asker.execute("DISCARD ALL")
            spared = asker.info.backend_pid if asker else 0
            deadline = time.monotonic() + 5
            # PostgreSQL's own wait for their end looks ten times a second, and most are about to end
            while connection.execute(OTHERS_ENDED, [spared]).fetchall():
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.005)
            for (statement,) in connection.execute(NEW, {"mark": self._mark}).fetchall():
                connection.execute(str(statement))
            emptied = [str(statement) for (statement,) in connection.execute(EMPTIED)]
            # neither foreign keys nor triggers matter when all of it goes
            connection.execute("; ".join(["SET session_replication_role = replica", *emptied]))
            return self._look(connection) == self._fingerprint
        except psycopg.Error:
            # a test may have taken anything away: a new copy stands in for it
            return False

    @staticmethod
    def _look(connection: psycopg.Connection[tuple[object, ...]]) -> str:
        (found,) = connection.execute(FINGERPRINT).fetchone() or ("",)
        return str(found)

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self._cluster.url("postgres", database), autocommit=True)
