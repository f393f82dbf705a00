"""Reader and AsyncReader: what an application holds. `primary()` is a memory read, always.

A worker (a thread or a task) listens on the routes' channels, reads `state` on every
(re)subscription and after each message, and polls it besides. When Redis is away the last known
provider stands; before anything is known, the default.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Self

from redis.exceptions import RedisError

from switch.belief import Belief, Reading, Source
from switch.connect import connect, connect_async
from switch.flag import (
    DEFAULT_NAMESPACE,
    Keys,
    MalformedFlagError,
    decode_changed,
    decode_flag,
)

log = logging.getLogger("switch")

POLL_S = 5.0
# A thousand readers hear one message; they must not all ask in the same millisecond.
READ_BACK_WITHIN_S = 0.5
RETRY_S = (0.2, 2.0)
_LISTEN_S = 0.25

OnChange = Callable[[str, str, str], None]
OnUnsupported = Callable[[str, str], None]

__all__ = ["AsyncReader", "NotReadyError", "Reader", "Reading", "Source", "UnknownRouteError"]


class UnknownRouteError(LookupError):
    """The application asks for a route it did not name when it built the reader."""


class NotReadyError(LookupError):
    """Nothing is known of the route yet, and it has no default."""


class _Routes:
    """The part both readers share: what is believed, what is served, when to ask again."""

    def __init__(
        self,
        default: Mapping[str, str] | None,
        routes: Iterable[str],
        supported: Mapping[str, Collection[str]] | None,
        namespace: str,
        poll_s: float,
        on_change: OnChange | None,
        on_unsupported: OnUnsupported | None,
    ) -> None:
        default, supported = default or {}, supported or {}
        names = list(dict.fromkeys([*default, *routes, *supported]))
        if not names:
            raise ValueError('name a route: default={"chat": "anthropic"} or routes=["chat"]')
        self.keys = {name: Keys(name, namespace) for name in names}
        self.by_channel = {keys.changed: name for name, keys in self.keys.items()}
        self.beliefs = {
            name: Belief(name, default.get(name, ""), supported.get(name, ())) for name in names
        }
        self.poll_s = poll_s
        self._on_change, self._on_unsupported = on_change, on_unsupported
        self._told_unsupported: dict[str, str] = {}
        self._forced = {
            name: os.environ[variable]
            for name in names
            if os.environ.get(variable := f"PROBER_FORCE_{name.upper().replace('-', '_')}")
        }
        # What primary() reads. Only whole strings are ever assigned into it.
        self.served: dict[str, str] = {}
        self._due: dict[str, float] = dict.fromkeys(names, 0.0)
        self._settle(time.monotonic(), first=True)

    def _settle(self, now_s: float, *, first: bool = False) -> None:
        for name, belief in self.beliefs.items():
            provider = self._forced.get(name) or belief.served(now_s)
            before = self.served.get(name, "")
            if provider and provider != before:
                self.served[name] = provider
                if not first:
                    self._call(self._on_change, name, before, provider)
            told = self._told_unsupported.get(name, "")
            if belief.unsupported != told:
                self._told_unsupported[name] = belief.unsupported
                if belief.unsupported:
                    self._call(self._on_unsupported, name, belief.unsupported)

    @staticmethod
    def _call(callback: Callable[..., None] | None, *args: str) -> None:
        if callback is None:
            return
        try:
            callback(*args)
        except Exception:
            log.exception("a callback of the flag reader failed")

    def primary(self, route: str) -> str:
        try:
            return self.served[route]
        except KeyError:
            raise self._missing(route) from None

    def _missing(self, route: str) -> LookupError:
        if route in self.beliefs:
            return NotReadyError(f"route {route!r} has no flag yet and no default was given")
        near = difflib.get_close_matches(route, self.beliefs, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(self.beliefs)}"
        return UnknownRouteError(f"route {route!r} is not one of this reader's{hint}")

    def flag(self, route: str) -> Reading:
        if route not in self.beliefs:
            raise self._missing(route)
        reading = self.beliefs[route].reading(time.monotonic(), self.poll_s)
        if route in self._forced:
            return Reading(
                self._forced[route], reading.epoch, "forced by the environment", Source.FORCED,
                reading.read_age_s, reading.checked_age_s, reading.stale,
            )  # fmt: skip
        return reading

    # -- what the workers do ------------------------------------------------------------

    def due(self, now_s: float) -> list[str]:
        return [name for name, at_s in self._due.items() if at_s <= now_s]

    def wait_s(self, now_s: float) -> float:
        """How long nothing has to be asked, as far as one listen may take."""
        return max(0.0, min(_LISTEN_S, min(self._due.values()) - now_s))

    def ask_now(self) -> None:
        self._due = dict.fromkeys(self._due, 0.0)

    def took(
        self, name: str, state: Mapping[str, str], candidates: Mapping[str, str] | None = None
    ) -> None:
        now_s = time.monotonic()
        self.beliefs[name].saw_candidates(candidates or ())
        try:
            flag = decode_flag(name, state)
        except MalformedFlagError as error:
            log.warning("%s; keeping %s", error, self.served.get(name, "nothing"))
            flag = None
        self.beliefs[name].saw_state(flag, now_s)
        self._due[name] = now_s + self.poll_s * random.uniform(0.8, 1.2)  # noqa: S311
        self._settle(now_s)

    def heard(self, message: Mapping[str, Any] | None) -> None:
        now_s = time.monotonic()
        if message and message.get("type") == "message":
            name = self.by_channel.get(message["channel"], "")
            said = decode_changed(message["data"])
            if name and said and self.beliefs[name].heard(*said, now_s):
                soon = now_s + random.uniform(0, READ_BACK_WITHIN_S)  # noqa: S311
                self._due[name] = min(self._due[name], soon)
        self._settle(now_s)

    @property
    def ready(self) -> bool:
        return all(belief.flag is not None for belief in self.beliefs.values())


class Reader:
    """The flag for threaded applications; one per process, shared by all threads.

    Args:
        url: redis://, rediss://, unix:// or redis+sentinel://. Needs GET, HGETALL, SUBSCRIBE.
        default: route -> provider served before anything is known.
        routes: further routes, without a default.
        supported: route -> the providers this build can call; any other name is not served.
        on_change: called with (route, from, to) from the worker; it cannot break the reader.
        on_unsupported: called with (route, provider).

    The constructor never blocks and never raises for a Redis that is away.
    """

    def __init__(
        self,
        url: str,
        default: Mapping[str, str] | None = None,
        *,
        routes: Iterable[str] = (),
        supported: Mapping[str, Collection[str]] | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        poll_s: float = POLL_S,
        on_change: OnChange | None = None,
        on_unsupported: OnUnsupported | None = None,
    ) -> None:
        self._routes = _Routes(
            default, routes, supported, namespace, poll_s, on_change, on_unsupported
        )
        self._url = url
        self._closed = False
        self._start()
        # A prefork server loads the application first: neither thread nor socket survives that.
        mine = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _restart(mine()))

    def _start(self) -> None:
        self._client: Any = connect(self._url)
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._worker = threading.Thread(target=self._run, name="prober-reader", daemon=True)
        self._worker.start()

    def primary(self, route: str) -> str:
        """The provider to call now. Raises UnknownRouteError, or NotReadyError."""
        return self._routes.primary(route)

    def flag(self, route: str) -> Reading:
        """The same with epoch, reason, source and ages. Raises UnknownRouteError."""
        return self._routes.flag(route)

    def wait_ready(self, seconds: float) -> bool:
        """Waits until every route has been read from Redis; False when that took too long."""
        return self._ready.wait(seconds)

    def read_once(self) -> None:
        """Reads every route now, in the calling thread. Raises RedisError."""
        for name, keys in self._routes.keys.items():
            self._routes.took(name, *self._read(keys))

    def _read(self, keys: Keys) -> list[dict[str, str]]:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.state)
            pipe.hgetall(keys.candidates)
            said: list[dict[str, str]] = pipe.execute()
            return said

    def close(self) -> None:
        self._closed = True
        self._stopping.set()
        self._worker.join(timeout=2)
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._client.pubsub() as pubsub:
                    pubsub.subscribe(*self._routes.by_channel)
                    self._routes.ask_now()
                    while not self._stopping.is_set():
                        self._ask()
                        wait_s = self._routes.wait_s(time.monotonic())
                        self._routes.heard(pubsub.get_message(timeout=wait_s))
            except (RedisError, OSError) as error:
                log.debug("Redis cannot be read: %s", error)
                self._routes.heard(None)
                self._stopping.wait(random.uniform(*RETRY_S))  # noqa: S311

    def _ask(self) -> None:
        for name in self._routes.due(time.monotonic()):
            self._routes.took(name, *self._read(self._routes.keys[name]))
        if not self._ready.is_set() and self._routes.ready:
            self._ready.set()


def _restart(reader: Reader | None) -> None:
    if reader is not None and not reader._closed:
        reader._start()


class AsyncReader:
    """The same for asyncio. Use it as `async with AsyncReader(url, {...}) as reader`."""

    def __init__(
        self,
        url: str,
        default: Mapping[str, str] | None = None,
        *,
        routes: Iterable[str] = (),
        supported: Mapping[str, Collection[str]] | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        poll_s: float = POLL_S,
        on_change: OnChange | None = None,
        on_unsupported: OnUnsupported | None = None,
    ) -> None:
        self._routes = _Routes(
            default, routes, supported, namespace, poll_s, on_change, on_unsupported
        )
        self._client: Any = connect_async(url)
        self._ready = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._closing = False

    def primary(self, route: str) -> str:
        """The provider to call now. Raises UnknownRouteError, or NotReadyError."""
        return self._routes.primary(route)

    def flag(self, route: str) -> Reading:
        """The same with epoch, reason, source and ages. Raises UnknownRouteError."""
        return self._routes.flag(route)

    async def wait_ready(self, seconds: float) -> bool:
        """Waits until every route has been read from Redis; False when that took too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return False
        return True

    async def read_once(self) -> None:
        """Reads every route now. Raises RedisError."""
        for name, keys in self._routes.keys.items():
            self._routes.took(name, *await self._read(keys))

    async def _read(self, keys: Keys) -> list[dict[str, str]]:
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.hgetall(keys.state)
            pipe.hgetall(keys.candidates)
            said: list[dict[str, str]] = await pipe.execute()
            return said

    def start(self) -> None:
        """Starts listening. Never blocks."""
        if self._worker is None:
            self._worker = asyncio.create_task(self._run(), name="prober-reader")

    async def close(self) -> None:
        # The flag besides: redis-py can swallow a cancellation.
        self._closing = True
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self) -> None:
        while not self._closing:
            try:
                async with self._client.pubsub() as pubsub:
                    await pubsub.subscribe(*self._routes.by_channel)
                    self._routes.ask_now()
                    while not self._closing:
                        await self._ask()
                        wait_s = self._routes.wait_s(time.monotonic())
                        self._routes.heard(await pubsub.get_message(timeout=wait_s))
            except (RedisError, OSError) as error:
                log.debug("Redis cannot be read: %s", error)
                self._routes.heard(None)
                if not self._closing:
                    await asyncio.sleep(random.uniform(*RETRY_S))  # noqa: S311

    async def _ask(self) -> None:
        for name in self._routes.due(time.monotonic()):
            self._routes.took(name, *await self._read(self._routes.keys[name]))
        if not self._ready.is_set() and self._routes.ready:
            self._ready.set()
