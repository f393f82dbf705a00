"""One subscription and one command connection for all AsyncReaders of a loop and a URL.

A process that builds a reader per tenant or per request handler must not open a thousand
connections, and a flip must not be parsed a thousand times.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from redis.exceptions import RedisError

from switch.cached_flag import STALE_POLLS
from switch.flag import Keys, decode_changed
from switch.flag_cache import FlagCache, warn
from switch.log_once import DEAF, REFUSALS, UNREAD, LogOnce
from switch.poll_schedule import POLL_S, Ear, PollSchedule
from switch.redis_source import LOST, AsyncRedisSource

log = logging.getLogger("switch")

MonoClock = Callable[[], float]

# Connections belong to a loop, and go with it: one table for each.
_hubs: WeakKeyDictionary[
    asyncio.AbstractEventLoop, dict[tuple[str, MonoClock], SharedConnection]
] = WeakKeyDictionary()


def cancelled() -> bool:
    """Whether this task was told to end; redis-py can swallow the exception that said so."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class SharedConnection:
    """The worker that readers share. Made by `join`, ended when the last reader leaves."""

    def __init__(self, url: str, clock: MonoClock) -> None:
        self.link = AsyncRedisSource(url)
        self._name = url, clock
        self._clock = clock
        self._agenda, self._ear = PollSchedule(random.uniform), Ear(random.uniform)
        self._unread = LogOnce(UNREAD, url, STALE_POLLS * POLL_S)
        self._deaf = LogOnce(DEAF, url, STALE_POLLS * POLL_S)
        self._members: dict[Keys, dict[int, FlagCache]] = {}
        self._by_channel: dict[str, Keys] = {}
        self._subscribed: set[str] = set()
        self._pubsub: Any = None
        self._closing = False
        self._worker: asyncio.Task[None] | None = None

    @classmethod
    def join(cls, url: str, routes: FlagCache) -> SharedConnection:
        """Raises ValueError for a URL it cannot read."""
        hubs = _hubs.setdefault(asyncio.get_running_loop(), {})
        name = url, routes.clock
        if name not in hubs or hubs[name].ended:
            hubs[name] = cls(url, routes.clock)
        hub = hubs[name]
        for keys in routes.keys.values():
            hub._members.setdefault(keys, {})[id(routes)] = routes
            hub._by_channel[keys.changed] = keys
            hub._agenda.watch(keys, routes.poll_s)
        if hub._worker is None:
            hub._worker = asyncio.create_task(hub._run(), name="prober-reader")
        return hub

    @property
    def ended(self) -> bool:
        """Nobody reads any more: the application cancelled all tasks, or its loop is over."""
        worker = self._worker
        return worker is not None and (worker.done() or worker.get_loop().is_closed())

    async def leave(self, routes: FlagCache) -> None:
        for keys in routes.keys.values():
            members = self._members.get(keys, {})
            members.pop(id(routes), None)
            if not members:
                self._members.pop(keys, None)
                self._agenda.forget(keys)
        if not self._members:
            await self._end()

    def _forget(self) -> None:
        # A task knows its loop, so that an entry would keep the key of the table alive.
        hubs = _hubs.get(asyncio.get_running_loop(), {})
        if hubs.get(self._name) is self:
            del hubs[self._name]

    async def _end(self) -> None:
        self._forget()
        # The flag besides: redis-py can swallow a cancellation.
        self._closing = True
        if self._worker is not None and not self.ended:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        await self.link.close()

    # -- the worker ---------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not (self._closing or cancelled()):
                try:
                    await self._ask()
                    if not cancelled():
                        await self._listen()
                    for routes in self._everybody():
                        routes.tick()
                except Exception:
                    # A fault of ours: the flag goes on being read, and the log tells.
                    log.exception("the flag reader failed; it goes on")
                    await self._drop()
                    await asyncio.sleep(1.0)
        finally:
            self._forget()
            await self._drop()
            await self.link.close()

    def _everybody(self) -> list[FlagCache]:
        return list({key: r for of in self._members.values() for key, r in of.items()}.values())

    async def _ask(self) -> None:
        due = self._agenda.due(self._clock())
        for keys in due:
            try:
                known = await self.link.read(keys)
            except LOST as error:
                warn(self._unread.failed(error, self._clock()))
                # One wait for a dead server, not one for every route.
                self._agenda.failed(due, self._clock())
                break
            except RedisError as error:
                warn(self._unread.failed(error, self._clock()))
                self._agenda.failed([keys], self._clock())
            else:
                now_s, members = self._clock(), list(self._members.get(keys, {}).values())
                self._agenda.done(keys, now_s)
                warn(self._unread.worked())
                for routes in members:
                    routes.took(keys.route, *known)
                if not all(routes.knows(keys.route) for routes in members):
                    warn(self._unread.empty(keys, now_s))
        if due:
            for routes in self._everybody():
                if routes.saves:
                    await asyncio.to_thread(routes.save)

    async def _listen(self) -> None:
        now_s = self._clock()
        wait_s = self._agenda.wait_s(now_s)
        if self._pubsub is None and not self._ear.may_open(now_s):
            await asyncio.sleep(wait_s)
            return
        try:
            if self._pubsub is None:
                self._pubsub, self._subscribed = self.link.pubsub(), set()
                self._ear.opened(now_s)
            if missing := set(self._by_channel) - self._subscribed:
                await self._pubsub.subscribe(*missing)
                self._subscribed |= missing
            elif self._ear.deaf(now_s):
                raise TimeoutError("the subscription hears nothing any more")
            elif self._ear.wants_echo(now_s):
                await self._pubsub.subscribe(*self._subscribed)
                self._ear.asked(now_s)
            message = await self._pubsub.get_message(timeout=wait_s)
        except (RedisError, OSError) as error:
            if isinstance(error, REFUSALS):
                warn(self._deaf.failed(error, now_s))
            await self._drop()
            self._ear.lost(self._clock())
            return
        if message:
            self._heard(message)

    def _heard(self, message: Mapping[str, Any]) -> None:
        now_s = self._clock()
        self._ear.heard(now_s)
        keys = self._by_channel.get(message["channel"])
        if keys is None:
            return
        if message["type"] == "subscribe":
            # Only now is nothing missed any more; what came before is read.
            if self._ear.confirms(keys.changed):
                warn(self._deaf.worked())
                self._agenda.at_once(keys)
        elif message["type"] == "message":
            change = decode_changed(message["data"])
            members = list(self._members.get(keys, {}).values()) if change else []
            wanted = [change is not None and routes.heard(keys.route, change) for routes in members]
            if any(wanted):
                self._agenda.soon(keys, now_s)

    async def _drop(self) -> None:
        if self._pubsub is not None:
            pubsub, self._pubsub = self._pubsub, None
            try:
                await pubsub.aclose()
            except (RedisError, OSError) as error:
                log.debug("closing a subscription: %s", error)
