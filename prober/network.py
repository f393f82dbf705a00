"""The way out: HTTP clients for canaries, names resolved where it can be timed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self
from urllib.request import getproxies

import httpcore
import httpx

# RFC 8305: the next address gets its turn when one has not answered for this long.
NEXT_ADDRESS_S = 0.25
KEPT_ALIVE = 64

resolved: ContextVar[Callable[[], None] | None] = ContextVar("resolved", default=None)
"""Called in the canary's own task when its name has been resolved."""


class Resolver(httpcore.AsyncNetworkBackend):
    """httpcore's own backend, with the name resolved first: its trace cannot tell DNS from TCP."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises socket.gaierror for a name that cannot be resolved, else httpcore's errors."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=1)  # SOCK_STREAM
        if tell := resolved.get():
            tell()
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))

        def connect(address: str) -> asyncio.Task[httpcore.AsyncNetworkStream]:
            return asyncio.create_task(
                self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            )

        if len(addresses) == 1:
            return await self._inner.connect_tcp(
                addresses[0], port, timeout, local_address, socket_options
            )
        return await _first_of(addresses, connect)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return await self._inner.connect_unix_socket(path, timeout, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def _first_of(
    addresses: list[str], connect: Callable[[str], asyncio.Task[httpcore.AsyncNetworkStream]]
) -> httpcore.AsyncNetworkStream:
    """The first connection that stands; each address gets a start before the next one tries."""
    running: set[asyncio.Task[httpcore.AsyncNetworkStream]] = set()
    errors: list[BaseException] = []
    waiting = list(addresses)
    try:
        while waiting or running:
            if waiting:
                running.add(connect(waiting.pop(0)))
            done, running = await asyncio.wait(
                running,
                timeout=NEXT_ADDRESS_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                if (error := task.exception()) is None:
                    return task.result()
                errors.append(error)
        raise errors[0]
    finally:
        for task in running:
            task.cancel()
        for ended in await asyncio.gather(*running, return_exceptions=True):
            if not isinstance(ended, BaseException):
                await ended.aclose()


class _Direct(httpx.AsyncHTTPTransport):
    """httpx's transport over our resolver. Its pool has no public setting for the backend."""

    def __init__(self, context: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(verify=context, http2=True, limits=limits)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            http1=True,
            http2=True,
            network_backend=Resolver(),
        )


class Network:
    """What canaries are sent through: one client that keeps connections, or a new one each.

    Redirects are never followed, so that a key never changes hosts. The proxies of the
    environment are honoured (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY).

    Args:
        ca_file: certificates in PEM that are trusted besides the usual ones.

    Raises:
        OSError, ssl.SSLError: the file cannot be read, or holds no certificate.
    """

    def __init__(self, ca_file: str = "") -> None:
        self._context = httpx.create_ssl_context()
        if ca_file:
            self._context.load_verify_locations(cafile=str(Path(ca_file).expanduser()))
        self.kept = self.client(KEPT_ALIVE)

    def client(self, kept_alive: int = 0) -> httpx.AsyncClient:
        """A client of its own; without kept connections the first request is a cold one."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=kept_alive)
        # httpx forgets the proxies of the environment where a transport is given outright; as a
        # mount it stands below them.
        direct = not getproxies().get("all")
        return httpx.AsyncClient(
            verify=self._context,
            http2=True,
            timeout=None,  # noqa: S113 -- each canary bounds itself by one deadline
            follow_redirects=False,
            limits=limits,
            mounts={"all://": _Direct(self._context, limits)} if direct else None,
            headers={"user-agent": "prober", "accept-encoding": "identity"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self.kept.aclose()
