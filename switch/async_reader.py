"""AsyncReader: the same as Reader for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Self

from redis.exceptions import RedisError

from switch.cached_flag import STALE_POLLS
from switch.flag import DEFAULT_NAMESPACE
from switch.flag_cache import FlagCache, OnChange, OnUnsupported, guarded, warn
from switch.log_once import UNSENT, LogOnce
from switch.poll_schedule import POLL_S
from switch.reader_base import ReaderBase
from switch.redis_source import AsyncRedisSource
from switch.reports import FLUSH_S, STREAM_LENGTH, ReportTally, encode_report
from switch.shared_connection import SharedConnection, cancelled

log = logging.getLogger("switch")


class AsyncReader(ReaderBase):
    """Use it as `async with AsyncReader(url, {...}) as reader`. Arguments as for Reader.

    All of one loop on one URL share two connections. Callbacks are called in the loop. Make it
    after a fork, in the process that runs the loop.
    """

    def __init__(
        self,
        url: str,
        default: Mapping[str, str] | None = None,
        *,
        routes: Iterable[str] = (),
        supported: Mapping[str, Collection[str]] | None = None,
        fallbacks: Mapping[str, Iterable[str]] | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        poll_s: float = POLL_S,
        on_change: OnChange | None = None,
        on_unsupported: OnUnsupported | None = None,
        snapshot: str | os.PathLike[str] | None = None,
        report_url: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._routes = FlagCache(
            default, routes, supported, fallbacks, namespace, poll_s,
            on_change, on_unsupported, snapshot, clock, guarded,
        )  # fmt: skip
        for each in (url, report_url) if report_url else (url,):
            AsyncRedisSource(each)  # a URL that nobody can read is refused here, not in the worker
        self._url, self._report_url = url, report_url
        self._tally = ReportTally(self._routes.keys.values(), clock) if report_url else None
        self._unsent = LogOnce(UNSENT, report_url, STALE_POLLS * poll_s)
        self._ready = asyncio.Event()
        self._routes.on_ready = self._ready.set
        self._hub: SharedConnection | None = None
        self._reporter: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    # -- for the application ------------------------------------------------------------

    async def wait_ready(self, seconds: float) -> bool:
        """Waits until every route has been read from Redis; False when that took too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return False
        return True

    async def read_once(self) -> None:
        """Reads every route now. Raises RedisError or OSError."""
        link = self._hub.link if self._hub else AsyncRedisSource(self._url)
        try:
            for name, keys in self._routes.keys.items():
                self._routes.took(name, *await link.read(keys))
        finally:
            if self._hub is None:
                await link.close()
        if self._routes.saves:
            await asyncio.to_thread(self._routes.save)

    def start(self) -> None:
        """Starts listening. Never blocks. Again, too: after `close`, or in a later loop."""
        if self._hub is not None and not self._hub.ended:
            return
        if self._closing.is_set() or self._hub is not None:
            self._renew()
        self._hub = SharedConnection.join(self._url, self._routes)
        if self._tally is not None:
            self._reporter = asyncio.create_task(self._report(), name="prober-reports")

    def _renew(self) -> None:
        # Events belong to the loop in which they were first waited for.
        self._closing = asyncio.Event()
        if not self._ready.is_set():
            self._ready = asyncio.Event()
            self._routes.on_ready = self._ready.set

    async def close(self) -> None:
        """Ends listening. What was served last is still there to be read."""
        self._closing.set()
        reporter, self._reporter = self._reporter, None
        # One that the application cancelled, or whose loop is over, has nothing left to send.
        if reporter is not None and not reporter.done() and not reporter.get_loop().is_closed():
            await reporter
        if self._hub is not None:
            hub, self._hub = self._hub, None
            await hub.leave(self._routes)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- reports ------------------------------------------------------------------------

    async def _report(self) -> None:
        link = AsyncRedisSource(self._report_url)
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_S):
                        await self._closing.wait()
                await self._flush(link)
                if self._closing.is_set() or cancelled():
                    return
        finally:
            await link.close()

    async def _flush(self, link: AsyncRedisSource) -> None:
        if self._tally is None:
            return
        try:
            for keys, report in self._tally.drain():
                await link.add(keys, encode_report(report), STREAM_LENGTH)
                warn(self._unsent.worked())
        except (RedisError, OSError) as error:
            warn(self._unsent.failed(error, self._routes.clock()))
        except Exception:
            log.exception("reports are lost")
