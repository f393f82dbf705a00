"""Redis clients with the manners the flag needs: short waits, no retries of their own."""

from __future__ import annotations

from inspect import signature
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

SOCKET_TIMEOUT_S = 0.25

HOW = (
    "the URL of Redis cannot be read: write redis://[user:password@]host:6379/0, with special "
    "characters in user and password percent-encoded; or rediss://, unix://, "
    "redis+sentinel://host:26379/service, redis+cluster://host:6379"
)

# redis-py reads its own package's metadata from disk to name itself on every new connection.
_UNNAMED: dict[str, Any] = (
    {"driver_info": None}
    if "driver_info" in signature(redis.Redis).parameters
    else {"lib_name": None, "lib_version": None}
)


def connect(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.Redis:
    """A client for threads. `url` is redis://, rediss://, unix:// or redis[s]+sentinel://.

    Nothing is sent yet. Raises ValueError for a URL it cannot read.
    """
    options = _options(timeout_s) | {"retry": Retry(NoBackoff(), 0)}
    if not _is_sentinel(url):
        _check(url)
        return redis.Redis.from_url(url, **options)
    nodes, name, tls, login = _sentinel(url)
    options |= tls
    sentinel: Any = redis.sentinel.Sentinel(  # type: ignore[no-untyped-call]
        nodes, sentinel_kwargs=options, **options
    )
    client: redis.Redis = sentinel.master_for(name, **login)
    return client


def connect_async(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.asyncio.Redis:
    """The same for asyncio."""
    options = _options(timeout_s) | {"retry": AsyncRetry(NoBackoff(), 0)}
    if not _is_sentinel(url):
        _check(url)
        return redis.asyncio.Redis.from_url(url, **options)
    nodes, name, tls, login = _sentinel(url)
    options |= tls
    sentinel = redis.asyncio.sentinel.Sentinel(  # type: ignore[no-untyped-call]
        nodes, sentinel_kwargs=options, **options
    )
    client: redis.asyncio.Redis = sentinel.master_for(
        name, connection_pool_class=_SentinelPool, **login
    )
    return client


class _SentinelPool(redis.asyncio.sentinel.SentinelConnectionPool):
    """Closes its connections to the sentinels too; redis-py leaves them to the collector."""

    async def aclose(self) -> None:
        await super().aclose()
        for sentinel in self.sentinel_manager.sentinels:
            await sentinel.aclose()


def _options(timeout_s: float) -> dict[str, Any]:
    return {
        "decode_responses": True,
        # Bytes that are no text make a value malformed; they must not end a reader's worker.
        "encoding_errors": "replace",
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        **_UNNAMED,
    }


def _check(url: str) -> None:
    """Refuses what redis-py would: its own words may hold a piece of the password."""
    try:
        parse_url(url)  # type: ignore[no-untyped-call]
    except ValueError:
        raise ValueError(HOW) from None


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(HOW) from None


def _is_sentinel(url: str) -> bool:
    return url.startswith(("redis+sentinel://", "rediss+sentinel://"))


def _sentinel(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any], dict[str, Any]]:
    """redis+sentinel://[user:password@]host[:port][,host…]/service[?db=0] in its parts.

    The nodes, the service, the options of TLS (for sentinels and servers), the server's login.
    """
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")
    name = parts.path.strip("/")
    if not name or not place[2]:
        raise ValueError("write redis+sentinel://host:26379,host:26379/service-name")
    nodes = []
    for node in place[2].split(","):
        host, _, port = node.rpartition(":") if ":" in node else (node, "", "26379")
        nodes.append((host, _number(port)))
    asked = dict(parse_qsl(parts.query))
    login: dict[str, Any] = {"db": _number(asked["db"])} if "db" in asked else {}
    if place[0]:
        user, _, password = place[0].partition(":")
        login |= {"username": unquote(user) or None, "password": unquote(password) or None}
    tls: dict[str, Any] = {}
    if parts.scheme.startswith("rediss"):
        # redis-py knows which of its options are numbers and which are not.
        only = urlencode({key: value for key, value in asked.items() if key.startswith("ssl_")})
        read: Any = parse_url(f"rediss://host?{only}")  # type: ignore[no-untyped-call]
        tls = {key: value for key, value in read.items() if key.startswith("ssl_")} | {"ssl": True}
    return nodes, name, tls, login
