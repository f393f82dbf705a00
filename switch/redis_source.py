"""The commands a reader sends, HGETALL and SUBSCRIBE, wherever its routes live.

A Redis Cluster answers MOVED with the right node, and that is all the map a reader needs: no
CLUSTER command, so no further permission. Messages reach every node, so any will do to listen.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from redis.exceptions import ClusterDownError, MovedError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from switch.connect import HOW, connect, connect_async
from switch.flag import Candidate, Flag, Keys, MalformedFlagError, decode_candidates, decode_flag

log = logging.getLogger("switch")

# A slot that moves twice while we ask is possible; more is a cluster that does not agree.
MOVES = 4
LOST = (RedisConnectionError, RedisTimeoutError, ClusterDownError, OSError)

RouteRead = tuple[Flag | None, tuple[Candidate, ...]]


class Nodes:
    """Which node to ask for which route. Pure; a node is its URL."""

    def __init__(self, url: str) -> None:
        self._entries = entries(url)
        self._at: dict[str, str] = {}

    @property
    def any(self) -> str:
        return self._entries[0]

    def of(self, route: str) -> str:
        return self._at.get(route, self.any)

    def moved(self, route: str, host: str, port: int) -> None:
        self._at[route] = at(self.of(route), host, port)

    def lost(self, node: str) -> None:
        """It does not answer: its routes are asked for elsewhere."""
        self._at = {route: where for route, where in self._at.items() if where != node}
        if node == self.any:
            self._entries = [*self._entries[1:], node]


def entries(url: str) -> list[str]:
    """redis+cluster://[user:password@]host:port,host:port as one URL a node; any other as it is.

    Raises ValueError.
    """
    if not url or not isinstance(url, str):
        raise ValueError(f"the URL of Redis is {url!r}: is its environment variable set?")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(HOW) from None
    if parts.scheme not in ("redis+cluster", "rediss+cluster"):
        return [url]
    login, _, hosts = parts.netloc.rpartition("@")
    if not hosts:
        raise ValueError("write redis+cluster://host:6379,host:6379")
    scheme = parts.scheme.removesuffix("+cluster")
    before = f"{login}@" if login else ""
    places = [before + host for host in hosts.split(",") if host]
    return [urlunsplit((scheme, place, "", parts.query, "")) for place in places]


def at(url: str, host: str, port: int) -> str:
    """The same URL on another node. A cluster without names says an empty host: the same one."""
    parts = urlsplit(url)
    login, at_sign, _ = parts.netloc.rpartition("@")
    host = host or parts.hostname or ""
    place = f"[{host}]" if ":" in host else host
    return urlunsplit(parts._replace(netloc=f"{login}{at_sign}{place}:{port}"))


class _Decoder:
    """Answers to values. Warns of a malformed flag when it is new, not at every poll."""

    def __init__(self) -> None:
        self._told: dict[Keys, str] = {}

    def known(self, keys: Keys, reply: list[Any]) -> RouteRead:
        state, candidates = reply
        return self._flag(keys, state), (
            decode_candidates(candidates) if isinstance(candidates, Mapping) else ()
        )

    def _flag(self, keys: Keys, state: Mapping[str, str]) -> Flag | None:
        try:
            flag = decode_flag(keys.route, state)
        except MalformedFlagError as error:
            if self._told.get(keys) != str(error):
                log.warning("%s; keeping what is known", error)
            self._told[keys] = str(error)
            return None
        self._told.pop(keys, None)
        return flag


class Link:
    """For threads; may be used by several at once."""

    def __init__(self, url: str) -> None:
        self._nodes = Nodes(url)
        self._decoder = _Decoder()
        # Made here, so that a URL nobody can read is refused at once.
        self._clients: dict[str, Any] = {self._nodes.any: connect(self._nodes.any)}

    def read(self, keys: Keys) -> RouteRead:
        """Raises RedisError or OSError."""
        commands = ("HGETALL", keys.state), ("HGETALL", keys.candidates)
        return self._decoder.known(keys, self._send(keys, *commands))

    def add(self, keys: Keys, fields: Mapping[str, str], maxlen: int) -> None:
        """One entry for the stream of reports. Raises RedisError or OSError."""
        entry = [part for pair in fields.items() for part in pair]
        self._send(keys, ("XADD", keys.reports, "MAXLEN", "~", maxlen, "*", *entry))

    def _send(self, keys: Keys, *commands: Sequence[Any]) -> list[Any]:
        """The answers in one round trip; an error of any but the first command among them."""
        for _ in range(MOVES):
            node = self._nodes.of(keys.route)
            try:
                with self._client(node).pipeline(transaction=False) as pipe:
                    for command in commands:
                        pipe.execute_command(*command)
                    reply: list[Any] = pipe.execute(raise_on_error=False)
                if isinstance(reply[0], Exception):
                    raise reply[0]
                return reply
            except MovedError as moved:
                self._nodes.moved(keys.route, moved.host, moved.port)
            except LOST:
                self._nodes.lost(node)
                raise
        raise RedisError(f"the cluster does not agree where route {keys.route!r} is")

    def pubsub(self) -> Any:
        return self._client(self._nodes.any).pubsub()

    def _client(self, node: str) -> Any:
        if node not in self._clients:
            self._clients[node] = connect(node)
        return self._clients[node]

    def close(self) -> None:
        for client in list(self._clients.values()):
            with contextlib.suppress(RedisError, OSError):
                client.close()


class AsyncLink:
    """The same for asyncio."""

    def __init__(self, url: str) -> None:
        self._nodes = Nodes(url)
        self._decoder = _Decoder()
        self._clients: dict[str, Any] = {self._nodes.any: connect_async(self._nodes.any)}

    async def read(self, keys: Keys) -> RouteRead:
        """Raises RedisError or OSError."""
        commands = ("HGETALL", keys.state), ("HGETALL", keys.candidates)
        return self._decoder.known(keys, await self._send(keys, *commands))

    async def add(self, keys: Keys, fields: Mapping[str, str], maxlen: int) -> None:
        """One entry for the stream of reports. Raises RedisError or OSError."""
        entry = [part for pair in fields.items() for part in pair]
        await self._send(keys, ("XADD", keys.reports, "MAXLEN", "~", maxlen, "*", *entry))

    async def _send(self, keys: Keys, *commands: Sequence[Any]) -> list[Any]:
        """The answers in one round trip; an error of any but the first command among them."""
        for _ in range(MOVES):
            node = self._nodes.of(keys.route)
            try:
                async with self._client(node).pipeline(transaction=False) as pipe:
                    for command in commands:
                        pipe.execute_command(*command)
                    reply: list[Any] = await pipe.execute(raise_on_error=False)
                if isinstance(reply[0], Exception):
                    raise reply[0]
                return reply
            except MovedError as moved:
                self._nodes.moved(keys.route, moved.host, moved.port)
            except LOST:
                self._nodes.lost(node)
                raise
        raise RedisError(f"the cluster does not agree where route {keys.route!r} is")

    def pubsub(self) -> Any:
        return self._client(self._nodes.any).pubsub()

    def _client(self, node: str) -> Any:
        if node not in self._clients:
            self._clients[node] = connect_async(node)
        return self._clients[node]

    async def close(self) -> None:
        for client in list(self._clients.values()):
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()
