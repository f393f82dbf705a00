"""The way out: HTTP clients for canaries, names resolved where it can be timed."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextvars import ContextVar
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import anyio.lowlevel
import httpcore
import httpx

from prober.probing.again import Again
from prober.probing.certificates import Certificates
from prober.probing.goaway import Graceful
from prober.probing.httpx_seam import over
from prober.probing.proxy import proxy_for
from prober.providers.events import UnreadableError

# RFC 8305: the next address gets its turn when one has not answered for this long.
NEXT_ADDRESS_S = 0.25
KEPT_ALIVE = 64
# Of content-encoding: these pack nothing, whoever says them means the text.
UNPACKED = frozenset({"", "identity", "none", "utf-8", "utf8"})
NOT_KEPT = httpx.Limits(max_connections=None, max_keepalive_connections=0)
# Of a request that asks to be redirected.
MAX_REDIRECTS = 5

resolved: ContextVar[Callable[[], None] | None] = ContextVar("resolved", default=None)
"""Called in the canary's own task when its name has been resolved."""


class Resolver(httpcore.AsyncNetworkBackend):
    """httpcore's own backend, with the name resolved first: its trace cannot tell DNS from TCP."""

    def __init__(self) -> None:
        self._inner = Graceful(httpcore.AnyIOBackend())

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
        entries = await loop.getaddrinfo(host, port, type=1)  # SOCK_STREAM
        if (tell := resolved.get()) and not _is_address(host):
            tell()  # a literal address has no name that could have taken time
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in entries))

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


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return True


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
            won = [task for task in done if task.exception() is None]
            if won:
                running.update(won[1:])  # stood in the same moment; closed below
                return won[0].result()
            errors += [error for task in done if (error := task.exception())]
        raise errors[0]
    finally:
        for task in running:
            task.cancel()
        for ended in await asyncio.gather(*running, return_exceptions=True):
            if not isinstance(ended, BaseException):
                await ended.aclose()


def received(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes, byte for byte.

    Raises UnreadableError for an encoding, which nobody asked for: packed three times, a few bytes
    become gigabytes before anybody can count them.
    """
    encoding = response.headers.get("content-encoding", "").lower()
    if not {one.strip() for one in encoding.split(",")} <= UNPACKED:
        raise UnreadableError(f"encoded as {encoding[:40]}, which nobody asked for")
    return response.aiter_raw()


class _Through(httpx.AsyncHTTPTransport):
    """Through a proxy, and says so to whoever asked for it by the extension "through"."""

    def __init__(self, url: str, context: ssl.SSLContext, limits: httpx.Limits) -> None:
        tls = urlsplit(url).scheme == "https"
        proxy = httpx.Proxy(url, ssl_context=context if tls else None)
        super().__init__(verify=context, http2=True, limits=limits, proxy=proxy)
        port = proxy.url.port or (443 if tls else 80)
        self._place = f"{proxy.url.host}:{port}"  # without its user and password
        over(self, Graceful(httpcore.AnyIOBackend()))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if tell := request.extensions.get("through"):
            tell(self._place)
        return await super().handle_async_request(request)


class _Ways(httpx.AsyncBaseTransport):
    """Each request by the way that the environment wants for its host: straight, or a proxy.

    Args:
        environment: see `prober.probing.proxy`.
        certificates: takes when the certificate of each TLS server ends.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        limits: httpx.Limits,
        environment: Mapping[str, str],
        certificates: Certificates,
    ) -> None:
        self._context = context
        self._limits = limits
        self._environment = environment
        self._certificates = certificates
        self._ways: dict[str | None, httpx.AsyncBaseTransport] = {}
        self._chosen: dict[tuple[str, str, int | None], httpx.AsyncBaseTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        place = (url.scheme, url.host, url.port)
        way = self._chosen.get(place)
        if way is None:
            way = self._chosen[place] = self._way(proxy_for(str(url), self._environment))
        response = await way.handle_async_request(request)
        if url.scheme == "https":
            self._certificates.see(url.host, response.extensions.get("network_stream"))
        return response

    def _way(self, proxy: str | None) -> httpx.AsyncBaseTransport:
        def open_way(limits: httpx.Limits) -> httpx.AsyncHTTPTransport:
            if proxy is None:
                straight = httpx.AsyncHTTPTransport(verify=self._context, http2=True, limits=limits)
                return over(straight, Resolver())
            return _Through(proxy, self._context, limits)

        if proxy not in self._ways:
            self._ways[proxy] = Again(open_way(self._limits), lambda: open_way(NOT_KEPT))
        return self._ways[proxy]

    async def aclose(self) -> None:
        for way in self._ways.values():
            await way.aclose()


class Network:
    """What canaries are sent through: one client that keeps connections, or a new one each.

    Redirects are not followed unless a request asks for it, so that a key never changes hosts.

    Args:
        ca_file: certificates in PEM that are trusted besides the usual ones.
        environment: names the proxies; see `prober.probing.proxy`.

    Attributes:
        certificates: until when those of the servers are good that have answered.

    Raises:
        OSError, ssl.SSLError: the file cannot be read, or holds no certificate.
    """

    def __init__(self, ca_file: str = "", environment: Mapping[str, str] = os.environ) -> None:
        self._environment = dict(environment)
        self.certificates = Certificates()
        self._context = httpx.create_ssl_context()
        if ca_file:
            self._context.load_verify_locations(cafile=str(Path(ca_file).expanduser()))
        self.kept = self.client(KEPT_ALIVE)

    def client(self, kept_alive: int = 0) -> httpx.AsyncClient:
        """A client of its own; without kept connections the first request is a cold one."""
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=kept_alive)
        return httpx.AsyncClient(
            timeout=None,  # noqa: S113 -- each canary bounds itself by one deadline
            follow_redirects=False,
            max_redirects=MAX_REDIRECTS,
            transport=_Ways(self._context, limits, self._environment, self.certificates),
            trust_env=False,
            headers={"user-agent": "prober", "accept-encoding": "identity"},
        )

    async def wake(self) -> None:
        """Loads and starts what a first connection would, so that no canary pays for it."""
        await anyio.lowlevel.checkpoint()
        await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 9)

    async def __aenter__(self) -> Self:
        await self.wake()
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self.kept.aclose()
