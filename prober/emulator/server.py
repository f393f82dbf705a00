"""Serving: in the foreground for `prober emulate`, in a thread of its own for tests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, Thread
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from prober.emulator import control
from prober.emulator.apis import NAMES
from prober.emulator.app import build
from prober.emulator.rules import FaultRules
from prober.emulator.traffic import Log, RequestCounts

LOOPBACK = "127.0.0.1"
START_S = 10.0
STOP_S = 1.0


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator. Its methods take effect at once and may be called from any thread."""

    host: str
    port: int
    _rules: FaultRules = field(repr=False)
    _log: Log = field(repr=False)

    @property
    def url(self) -> str:
        """Without a slash or `/v1` at its end."""
        return _url(self.host, self.port)

    def base_url(self, api: str) -> str:
        """What an API's official SDK takes as its base URL, on a path of that API's own."""
        return base_url(self.url, api)

    def set_faults(self, api: str = "*", model: str | None = None, **faults: object) -> None:
        """Replaces what held for this API and model by the fields of `Faults`.

        Raises FaultsError for an unknown API or field, or a bad value.
        """
        control.set_faults(self._rules, {"api": api, "model": model, **faults})

    def reset(self) -> None:
        """Everything is healthy again, and the requests so far are forgotten."""
        self._rules.reset()
        self._log.reset()

    def requests(self) -> RequestCounts:
        return self._log.traffic()


def base_url(url: str, api: str) -> str:
    """`Emulator.base_url` for the emulator at `url`."""
    ends = {"openai": "/v1", "openai-responses": "/v1", "azure-openai": "/openai/v1"}
    return f"{url}/{api}{ends.get(api, '')}"


def run(port: int, host: str = LOOPBACK, *, announce: Callable[[str], None] | None = None) -> None:
    """Serves until SIGINT or SIGTERM; `announce` is told the URL once it listens.

    Port 0 takes a free one. Raises OSError with one line if the port cannot be had.
    """
    with _listening(host, port) as listener:
        server = _EmulatorServer(_config(FaultRules(NAMES), Log()))
        with suppress(KeyboardInterrupt):
            if announce:
                announce(_url(host, _port(listener)))
            server.run(sockets=[listener])


@contextmanager
def started(port: int = 0, host: str = LOOPBACK) -> Iterator[Emulator]:
    """An emulator in a thread of its own, for as long as the block lasts.

    Port 0 takes a free one. Raises OSError with one line if the port cannot be had.
    """
    rules, log = FaultRules(NAMES), Log()
    with _listening(host, port) as listener:
        server = _EmulatorServer(_config(rules, log))
        emulator = Emulator(host, _port(listener), rules, log)
        thread = Thread(target=server.run, args=([listener],), name="emulator", daemon=True)
        thread.start()
        try:
            if not server.ready.wait(START_S):
                raise RuntimeError(f"the emulator did not start within {START_S:g} s")
            yield emulator
        finally:
            server.stop()
            thread.join()


@asynccontextmanager
async def running(port: int = 0, host: str = LOOPBACK) -> AsyncIterator[Emulator]:
    """`started`, without blocking the caller's event loop."""
    manager = started(port, host)
    emulator = await asyncio.to_thread(manager.__enter__)
    try:
        yield emulator
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


class _Protocol(H11Protocol):
    """Leaves the transport where a handler finds it, to reset the connection; logs no access."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}
        self.access_log = False


class _EmulatorServer(uvicorn.Server):
    """Ends as soon as it is told to, whoever hangs or stalls in it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    def stop(self) -> None:
        """From any thread."""
        self.should_exit = True
        if self._loop:
            # Without a loop any more it has ended already.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._told.set)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.stop()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready.set()
        # A tick each second keeps the Date header right.
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)
        if tasks := self.server_state.tasks:
            await asyncio.wait(tasks, timeout=STOP_S)


def _config(rules: FaultRules, log: Log) -> uvicorn.Config:
    config = uvicorn.Config(
        build(rules, log),
        http=_Protocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=None,
        server_header=False,
    )
    # It imports modules, which would block the loop.
    config.load()
    return config


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens already: whoever is told the port can connect."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only a socket that names TCP gets its events sent without delay by asyncio.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        # The port of an emulator that just ended is free again.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(socket.SOMAXCONN)
        except OSError as error:
            raise OSError(
                f"cannot listen on {host} port {port}: {error.strerror}; choose another port, "
                "or 0 for any free one"
            ) from error
        yield listener


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
