"""One master, two replicas and three Sentinels that soon find another master."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests.faults.scene import KEYS
from tests.support.stage import until
from tests.switch.redis_nodes import free_port, running, wait_up

DOWN_AFTER_MS = 500
REPLICATING = "repl"


@dataclass
class Group:
    """Servers 0 to 2, of which 0 begins as the master; `master` is who is it by now."""

    folder: Path
    ports: list[int]
    sentinels: list[int]
    _stack: contextlib.ExitStack
    _processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    master: int = 0

    @property
    def url(self) -> str:
        nodes = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://{nodes}/flags"

    def client(self) -> redis.Redis:
        return self.at(self.master)

    def at(self, number: int) -> redis.Redis:
        return redis.Redis(port=self.ports[number], decode_responses=True)

    @property
    def replicas(self) -> list[int]:
        return [number for number in range(len(self.ports)) if number != self.master]

    def start(self, number: int) -> None:
        """With what it has on disk, if anything."""
        follows = ("--replicaof", "127.0.0.1", str(self.ports[0])) if number else ()
        home = self.folder / str(number)
        home.mkdir(exist_ok=True)
        self._processes[number] = self._stack.enter_context(
            running(
                *("--port", str(self.ports[number]), "--bind", "127.0.0.1", *follows),
                *("--dir", str(home), "--save", "", "--repl-diskless-sync-delay", "0"),
                # Replicas come as a user of their own, so that they alone can be shut out.
                *("--user", REPLICATING, "on", ">secret", "+@all", "~*", "&*"),
                *("--masteruser", REPLICATING, "--masterauth", "secret"),
            )
        )
        wait_up(self.ports[number])

    def kill(self, *numbers: int) -> None:
        for number in numbers:
            self._processes[number].kill()
        for number in numbers:
            self._processes[number].wait()

    def freeze(self, *numbers: int) -> None:
        for number in numbers:
            os.kill(self._processes[number].pid, signal.SIGSTOP)

    def thaw(self, *numbers: int) -> None:
        for number in numbers:
            os.kill(self._processes[number].pid, signal.SIGCONT)

    def shut_replicas_out(self) -> None:
        """They keep what they have, and get no more."""
        with self.client() as client:
            client.execute_command("ACL", "SETUSER", REPLICATING, "off")
            client.execute_command("CLIENT", "KILL", "TYPE", "replica")

    def caught_up(self) -> bool:
        """The replicas have the flag as the master has it."""
        found = []
        for number in (self.master, *self.replicas):
            with self.at(number) as client:
                found.append(client.hmget(KEYS.state, "epoch", "decision_id"))
        return found[0][0] is not None and all(one == found[0] for one in found)

    def replicas_seen(self) -> bool:
        """Every Sentinel would take any of them for a master."""
        flags = set()
        for port in self.sentinels:
            with redis.Redis(port=port, decode_responses=True) as client:
                flags |= {one["flags"] for one in client.sentinel_slaves("flags")}
        return flags == {"slave"}

    async def until_promoted(self) -> None:
        """Another one is the master now; the tests go by that one from here on."""
        was = self.master

        def promoted() -> bool:
            for number in self.replicas:
                with self.at(number) as client:
                    if client.role()[0] == "master":
                        self.master = number
            return self.master != was

        await until(promoted, "Sentinel has promoted a replica")


@contextlib.contextmanager
def group(folder: Path) -> Iterator[Group]:
    with contextlib.ExitStack() as stack:
        ports, sentinels = [[free_port() for _ in range(3)] for _ in range(2)]
        made = Group(folder, ports, sentinels, stack)
        for number in range(3):
            made.start(number)
        for number, port in enumerate(sentinels):
            conf = folder / f"sentinel{number}.conf"
            conf.write_text(_sentinel(folder, number, ports, sentinels), "ascii")
            stack.enter_context(running(str(conf), "--sentinel"))
            wait_up(port)
        yield made


def _sentinel(folder: Path, number: int, ports: list[int], sentinels: list[int]) -> str:
    """They are told of each other and of the replicas: nobody waits until they have met."""
    lines = [
        f"port {sentinels[number]}",
        "bind 127.0.0.1",
        f"dir {folder}",
        f"sentinel myid {_id(number)}",
        f"sentinel monitor flags 127.0.0.1 {ports[0]} 2",
        f"sentinel down-after-milliseconds flags {DOWN_AFTER_MS}",
        "sentinel failover-timeout flags 3000",
        *(f"sentinel known-replica flags 127.0.0.1 {port}" for port in ports[1:]),
        *(
            f"sentinel known-sentinel flags 127.0.0.1 {port} {_id(other)}"
            for other, port in enumerate(sentinels)
            if other != number
        ),
    ]
    return "\n".join(lines) + "\n"


def _id(number: int) -> str:
    return f"{number + 1:040x}"
