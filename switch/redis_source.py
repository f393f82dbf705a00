"""The commands a reader sends, HGETALL and SUBSCRIBE, wherever its routes live.

A Redis Cluster answers MOVED with the right node, and that is all the map a reader needs: no
CLUSTER command, so no further permission. Messages reach every node, so any will do to listen.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit, urlunsplit

import redis
import redis.asyncio
from redis.exceptions import ClusterDownError, MovedError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from switch.connect import HOW, connect, connect_async
from switch.flag import Candidate, Flag, Keys, MalformedFlagError, decode_candidates, decode_flag

log = logging.getLogger("switch")

# A slot that moves twice while we ask is possible; more is a cluster that does not agree.
MOVES = 4
LOST = (RedisConnectionError, RedisTimeoutError, ClusterDownError, OSError)

T = TypeVar("T")

RouteRead = tuple[Flag | None, tuple[Candidate, ...]]
RoundTrip = Generator[Any, list[Any], T]


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


Client = TypeVar("Client")


class _Source(Generic[Client]):
    """What both kinds do, but for the one call that waits.

    A round trip is a generator: it yields a pipeline to be executed, is sent the replies, or thrown
    the error, and returns what Redis said.
    """

    def __init__(self, url: str, connect: Callable[[str], Client]) -> None:
        self._nodes = Nodes(url)
        self._connect = connect
        # Made here, so that a URL nobody can read is refused at once.
        self._clients: dict[str, Client] = {self._nodes.any: connect(self._nodes.any)}
        self._malformed: dict[Keys, str] = {}

    def pubsub(self) -> Any:
        client: Any = self._client(self._nodes.any)
        return client.pubsub()

    def _client(self, node: str) -> Client:
        if node not in self._clients:
            self._clients[node] = self._connect(node)
        return self._clients[node]

    def _reading(self, keys: Keys) -> RoundTrip[RouteRead]:
        state, candidates = yield from self._asking(
            keys, ("HGETALL", keys.state), ("HGETALL", keys.candidates)
        )
        return self._flag(keys, state), (
            decode_candidates(candidates) if isinstance(candidates, Mapping) else ()
        )

    def _adding(self, keys: Keys, fields: Mapping[str, str], maxlen: int) -> RoundTrip[None]:
        entry = [part for pair in fields.items() for part in pair]
        yield from self._asking(keys, ("XADD", keys.reports, "MAXLEN", "~", maxlen, "*", *entry))

    def _asking(self, keys: Keys, *commands: Sequence[Any]) -> RoundTrip[list[Any]]:
        """The replies in one round trip; an error of any but the first command among them."""
        for _ in range(MOVES):
            node = self._nodes.of(keys.route)
            client: Any = self._client(node)
            pipe = client.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            try:
                replies = yield pipe
                if isinstance(replies[0], Exception):
                    raise replies[0]
                return replies
            except MovedError as moved:
                self._nodes.moved(keys.route, moved.host, moved.port)
            except LOST:
                self._nodes.lost(node)
                raise
        raise RedisError(f"the cluster does not agree where route {keys.route!r} is")

    def _flag(self, keys: Keys, state: Mapping[str, str]) -> Flag | None:
        """None for a malformed one, with a warning when that is new, not at every poll."""
        try:
            flag = decode_flag(keys.route, state)
        except MalformedFlagError as error:
            if self._malformed.get(keys) != str(error):
                log.warning("%s; keeping what is known", error)
            self._malformed[keys] = str(error)
            return None
        self._malformed.pop(keys, None)
        return flag


class RedisSource(_Source[redis.Redis]):
    """For threads; may be used by several at once. `read` and `add` raise RedisError or OSError."""

    def __init__(self, url: str) -> None:
        super().__init__(url, connect)

    def read(self, keys: Keys) -> RouteRead:
        return self._run(self._reading(keys))

    def add(self, keys: Keys, fields: Mapping[str, str], maxlen: int) -> None:
        """One entry for the stream of reports."""
        self._run(self._adding(keys, fields, maxlen))

    def _run(self, trip: RoundTrip[T]) -> T:
        try:
            pipe = next(trip)
            while True:
                try:
                    replies = pipe.execute(raise_on_error=False)
                except Exception as error:
                    pipe = trip.throw(error)
                else:
                    pipe = trip.send(replies)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    def close(self) -> None:
        for client in list(self._clients.values()):
            with contextlib.suppress(RedisError, OSError):
                client.close()


class AsyncRedisSource(_Source[redis.asyncio.Redis]):
    """The same for asyncio."""

    def __init__(self, url: str) -> None:
        super().__init__(url, connect_async)

    async def read(self, keys: Keys) -> RouteRead:
        return await self._run(self._reading(keys))

    async def add(self, keys: Keys, fields: Mapping[str, str], maxlen: int) -> None:
        """One entry for the stream of reports."""
        await self._run(self._adding(keys, fields, maxlen))

    async def _run(self, trip: RoundTrip[T]) -> T:
        try:
            pipe = next(trip)
            while True:
                try:
                    replies = await pipe.execute(raise_on_error=False)
                except Exception as error:
                    pipe = trip.throw(error)
                else:
                    pipe = trip.send(replies)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    async def close(self) -> None:
        for client in list(self._clients.values()):
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()
