"""A PostgreSQL cluster of this checkout's own, in `.local/pg`: private port, generated passwords.

It listens on 127.0.0.1 only, without a Unix socket: a socket's path has at most 107 bytes, a checkout's may have more.
"""

import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from dev import postgres
from dev.credentials import Credentials
from dev.errors import ClusterAccessError, ClusterStartError, ClusterVersionError, PostgresMissingError

log = logging.getLogger(__name__)

START_SECONDS = 30
STOP_SECONDS = 30
ROLES = ("airflow", "sluiceway_owner", "sluiceway_loader", "sluiceway_jobs", "sluiceway_reader")
# A development box: a crash may lose the last half second of commits, but never corrupts (fsync stays on).
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "synchronous_commit": "off",
    "timezone": "UTC",
}
ROLE_LIMITS = """
    ALTER ROLE sluiceway_owner SET idle_in_transaction_session_timeout = '10min';
    ALTER ROLE sluiceway_loader SET idle_in_transaction_session_timeout = '2h';
    ALTER ROLE sluiceway_jobs SET idle_in_transaction_session_timeout = '10min';
    ALTER ROLE sluiceway_reader SET idle_in_transaction_session_timeout = '1min';
    ALTER ROLE sluiceway_reader SET statement_timeout = '1min';
    REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
"""
# as docs/reference/ledger.md and deploy/create-roles.sh have it, which a test compares
WAREHOUSE_GRANTS = """
    CREATE EXTENSION IF NOT EXISTS postgis;
    REVOKE ALL ON DATABASE warehouse FROM PUBLIC;
    ALTER SCHEMA public OWNER TO sluiceway_owner;
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    GRANT CONNECT, TEMPORARY ON DATABASE warehouse TO sluiceway_loader, sluiceway_jobs;
    GRANT CONNECT ON DATABASE warehouse TO sluiceway_reader;
    GRANT USAGE, CREATE ON SCHEMA public TO sluiceway_loader;
    GRANT USAGE ON SCHEMA public TO sluiceway_reader;
    GRANT sluiceway_reader TO sluiceway_jobs;
    ALTER DEFAULT PRIVILEGES FOR ROLE sluiceway_loader IN SCHEMA public GRANT SELECT ON TABLES TO sluiceway_reader;
    ALTER DEFAULT PRIVILEGES FOR ROLE sluiceway_owner IN SCHEMA public GRANT SELECT ON TABLES TO sluiceway_reader;
    DO $$
    DECLARE it regprocedure;
    BEGIN
        -- everybody may call these, unless told otherwise: a large object is room that nobody sees, and who holds a
        -- lock of a load keeps that load from running
        FOR it IN SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
            AND proname ~ '^(lo_|loread|lowrite|pg_(try_)?advisory_(xact_)?lock)' LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', it);
            IF it::text ~ 'advisory' THEN
                EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO sluiceway_owner, sluiceway_loader, sluiceway_jobs', it);
            END IF;
        END LOOP;
    END $$;
"""


def free_port(preferred: int | None = None) -> int:
    """The preferred port if nobody holds it, else one that the system picks."""
    for candidate in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate or 0))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    raise ClusterStartError("no free TCP port on 127.0.0.1")


@dataclass
class Cluster:
    """One cluster in one folder.

    :param folder: holds `data`, and the server's log
    :param credentials: where the roles' passwords are
    :param warehouse: also make the warehouse database, with PostGIS
    :param settings: of the server, over `SETTINGS`
    :param networks: from which it lets clients in beside 127.0.0.1, such as `10.0.0.0/24`
    """

    folder: Path
    credentials: Credentials
    warehouse: bool = True
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    networks: Sequence[str] = ()
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log_file(self) -> Path:
        return self.folder / "server.log"

    @property
    def pid(self) -> int | None:
        """The postmaster's pid if this object started it."""
        return self._process.pid if self._process else None

    def url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{self.credentials.password(role)}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, or use the one that already runs on this data folder. Creates what is missing."""
        server = self._server()
        if not (self.data / "PG_VERSION").exists():
            self._create(server)
        if running := self.running():
            self.port = running.port
        else:
            self._launch(server)
        self._prepare()

    def stop(self) -> None:
        """A fast shutdown of the server that this object started; one that ran before is left alone."""
        if not self._process:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("PostgreSQL did not stop within %s s; stopping it at once", STOP_SECONDS)
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        self._process = None

    def running(self) -> "Running | None":
        """The live postmaster of this data folder; a pid file left behind by kill -9 counts as none."""
        return Running.read(self.data)

    def _server(self) -> postgres.Server:
        version_file = self.data / "PG_VERSION"
        if not version_file.exists():
            return postgres.find(postgis=self.warehouse)
        major = int(version_file.read_text())
        try:
            return postgres.find(postgis=self.warehouse, major=major)
        except PostgresMissingError as error:
            have = ", ".join(str(server.major) for server in postgres.installed()) or "none"
            raise ClusterVersionError(
                f"{self.data} was made by PostgreSQL {major}, and this machine has {have}: "
                f"install PostgreSQL {major}{' with PostGIS' if self.warehouse else ''}, "
                "or run make clean, which throws the local data away."
            ) from error

    def _create(self, server: postgres.Server) -> None:
        account = _server_account()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711 if account else 0o700)
        if self.data.exists():  # an initdb that was interrupted
            shutil.rmtree(self.data)
        self.data.mkdir(mode=0o700)
        # the server's user has to read the password: a file of its own for the moment of initdb
        password_file = self.folder / "initdb-password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.credentials.password("postgres"))
        if account:
            for path in (self.data, password_file):
                os.chown(path, account.pw_uid, account.pw_gid)
        options = ["-D", str(self.data), "-U", "postgres", "--pwfile", str(password_file), "-A", "scram-sha-256"]
        options += ["-E", "UTF8", "--locale=C", "--no-instructions", "--no-sync"]
        try:
            done = subprocess.run(
                [*self._as_account(), str(server.bin / "initdb"), *options],
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                env=self._environment(),
            )
        finally:
            password_file.unlink()
        if done.returncode:
            shutil.rmtree(self.data)
            raise ClusterStartError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")

    def _launch(self, server: postgres.Server) -> None:
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        with (self.data / "pg_hba.conf").open("a", encoding="utf-8") as access:
            access.writelines(f"host all all {network} scram-sha-256\n" for network in self.networks)
        last_port = self.folder / "port"
        preferred = int(last_port.read_text()) if last_port.exists() else None
        for _attempt in range(5):  # another process may take the port between the look and the start
            self.port = free_port(preferred)
            options = [
                part
                for key, value in (SETTINGS | {**self.settings, "port": str(self.port)}).items()
                for part in ("-c", f"{key}={value}")
            ]
            with self.log_file.open("w") as server_log:
                self._process = subprocess.Popen(
                    [*self._as_account("--pdeathsig", "INT"), server.bin / "postgres", "-D", self.data, *options],
                    stdin=subprocess.DEVNULL,
                    stdout=server_log,
                    stderr=subprocess.STDOUT,
                    process_group=0,  # Ctrl-C in a terminal is for the supervisor, which stops it in order
                    cwd="/",
                    env=self._environment(),
                )
            if self._wait_until_ready():
                last_port.write_text(str(self.port))
                return
            preferred = None
        raise ClusterStartError(f"PostgreSQL did not start. Its log {self.log_file} ends:\n{self._log_tail()}")

    def _wait_until_ready(self) -> bool:
        """False when the server gave up because the port was taken."""
        assert self._process
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                if "Address already in use" in self.log_file.read_text():
                    return False
                break
            try:
                with self._connect("postgres"):
                    return True
            except psycopg.OperationalError:
                time.sleep(0.05)
        self.stop()
        raise ClusterStartError(f"PostgreSQL did not start. Its log {self.log_file} ends:\n{self._log_tail()}")

    def _prepare(self) -> None:
        """Roles, databases and rights; safe to repeat, and finishes what an interrupted start began."""
        databases = {"airflow": "airflow"} | ({"warehouse": "sluiceway_owner"} if self.warehouse else {})
        with self._connect("postgres") as connection:
            roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for role in ("postgres", *ROLES):
                verb = "ALTER" if role in roles else "CREATE"
                # the server, and what it logs of a statement, never has the password itself
                password = self.credentials.password(role).encode()
                verifier = connection.pgconn.encrypt_password(password, role.encode(), b"scram-sha-256").decode()
                connection.execute(
                    sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(sql.SQL(verb), sql.Identifier(role), verifier)
                )
            existing = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for database, owner in databases.items():
                if database not in existing:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {} OWNER {}").format(*map(sql.Identifier, (database, owner)))
                    )
                    connection.execute(
                        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
                    )
            connection.execute(ROLE_LIMITS)
        if self.warehouse and not self._warehouse_ready():
            with self._connect("warehouse") as connection:
                connection.execute(WAREHOUSE_GRANTS)

    def _warehouse_ready(self) -> bool:
        with self._connect("warehouse") as connection:
            query = """
                SELECT has_schema_privilege('sluiceway_reader', 'public', 'usage')
                    AND NOT has_function_privilege('sluiceway_reader', 'lo_create(oid)', 'execute')
                FROM pg_extension WHERE extname = 'postgis'
            """
            return connection.execute(query).fetchone() == (True,)

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url("postgres", database), autocommit=True, connect_timeout=5)

    def _as_account(self, *options: str) -> list[str]:
        """The prefix that runs a server program: not as root, which PostgreSQL refuses, and ended with its parent."""
        account = _server_account()
        if not account and not (options and shutil.which("setpriv")):
            return []
        if not account:
            return ["setpriv", *options]
        if not shutil.which("setpriv"):
            raise ClusterAccessError(
                "PostgreSQL refuses to run as root, and setpriv is missing: install util-linux, or use another user."
            )
        drop = ["setpriv", "--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--init-groups"]
        # in a folder like /root (mode 700) that user may only look because root lends it the right to search folders
        for capabilities in ([], ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]):
            prefix = [*drop, *capabilities]
            if subprocess.run([*prefix, "ls", self.data], capture_output=True, check=False, cwd="/").returncode == 0:
                return [*prefix, *options]
        raise ClusterAccessError(
            f"PostgreSQL refuses to run as root, and the user {account.pw_name} cannot enter {self.folder}: "
            "move the checkout to a folder that other users may enter, or work as another user."
        )

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key in ("PATH", "TZ")}
        return {**kept, "LC_ALL": "C", **self.environment}

    def _log_tail(self) -> str:
        return "\n".join(self.log_file.read_text().splitlines()[-10:])


@dataclass(frozen=True)
class Running:
    """What a data folder's postmaster.pid says, once it is proved true."""

    pid: int
    port: int

    @classmethod
    def read(cls, data: Path) -> "Running | None":
        pid_file = data / "postmaster.pid"
        if not pid_file.exists():
            return None
        lines = pid_file.read_text().splitlines()
        if len(lines) < 4:
            return None
        try:
            process = psutil.Process(int(lines[0]))
            # the pid may belong to somebody else by now: it has to be a postgres that was given this very folder
            if process.status() == psutil.STATUS_ZOMBIE or str(data) not in process.cmdline():
                return None
        except psutil.NoSuchProcess:
            return None
        return cls(pid=int(lines[0]), port=int(lines[3]))


def _server_account() -> pwd.struct_passwd | None:
    """As root, the user to run PostgreSQL as; otherwise None: the current one."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]
