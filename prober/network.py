"""The way out: HTTP clients for canaries, names resolved where it can be timed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextvars import ContextVar
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self
from urllib.request import getproxies

import anyio.lowlevel
import httpcore
import httpx

from prober.providers.base import UnreadableError

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
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnreadableError(f"encoded as {encoding[:40]}, which nobody asked for")
    return response.aiter_raw()


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


class _Through(httpx.AsyncHTTPTransport):
    """Through a proxy, and says so to whoever asked for it by the extension "through"."""

    def __init__(self, url: str, context: ssl.SSLContext, limits: httpx.Limits) -> None:
        proxy = httpx.Proxy(url)
        super().__init__(verify=context, http2=True, limits=limits, proxy=proxy)
        port = proxy.url.port or (443 if proxy.url.scheme == "https" else 80)
        self._place = f"{proxy.url.host}:{port}"  # without its user and password

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if tell := request.extensions.get("through"):
            tell(self._place)
        return await super().handle_async_request(request)


def proxy_problems(environment: Mapping[str, str]) -> list[str]:
    """One line for each proxy of the environment that nothing can be sent through."""
    found = []
    for pattern, url in proxies(environment).items():
        if url is None:
            continue
        try:
            _Through(url, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), httpx.Limits())
        except ImportError:
            wanted = 'needs more for a SOCKS proxy: pip install "httpx[socks]", or unset it'
        except (ValueError, httpx.InvalidURL):
            wanted = "is no proxy that can be used; write http://host:port, or unset it"
        else:
            continue
        # Not the URL itself: it may hold a password.
        found.append(f"[network]: {pattern.partition('://')[0].upper()}_PROXY {wanted}")
    return found


def proxies(environment: Mapping[str, str]) -> dict[str, str | None]:
    """httpx's patterns of URLs, each with the proxy they go through; None: straight.

    `environment` is what urllib's getproxies() gives. A name in NO_PROXY stands for its
    subdomains too, "*" for everything.
    """
    straight = [host for host in environment.get("no", "").replace(",", " ").split() if host]
    if "*" in straight:
        return {}
    found: dict[str, str | None] = {}
    for scheme in ("http", "https", "all"):
        if url := environment.get(scheme):
            found[f"{scheme}://"] = url if "://" in url else f"http://{url}"
    return {**found, **{_pattern(host): None for host in straight}} if found else {}


def _pattern(host: str) -> str:
    if "://" in host:
        return host
    host = host.partition("/")[0]  # of a network only its own address
    try:
        version = ip_address(host).version
    except ValueError:
        return f"all://{host}" if host.lower() == "localhost" else f"all://*{host}"
    return f"all://[{host}]" if version == 6 else f"all://{host}"


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
        # httpx forgets the proxies of the environment where a transport is given outright, and
        # takes one of its own for NO_PROXY where none is.
        through: dict[str, httpx.AsyncBaseTransport | None] = {
            pattern: None if url is None else _Through(url, self._context, limits)
            for pattern, url in proxies(getproxies()).items()
        }
        return httpx.AsyncClient(
            timeout=None,  # noqa: S113 -- each canary bounds itself by one deadline
            follow_redirects=False,
            transport=_Direct(self._context, limits),
            mounts=through,
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
