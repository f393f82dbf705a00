"""Reader: what a threaded application holds. `primary()` is a memory read, always.

A worker thread listens on the routes' channels, reads `state` on every (re)subscription and
after each message, and polls it besides. When Redis is away the last known provider stands;
before anything is known, the snapshot, and then the default.
"""

from __future__ import annotations

import logging
import os
import queue
import random
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Self

from redis.exceptions import RedisError

from switch.cached_flag import STALE_POLLS
from switch.flag import DEFAULT_NAMESPACE, decode_changed
from switch.flag_cache import FlagCache, OnChange, OnUnsupported, PendingCall, guarded, warn
from switch.log_once import DEAF, REFUSALS, UNREAD, UNSENT, LogOnce
from switch.poll_schedule import POLL_S, Ear, PollSchedule
from switch.reader_base import ReaderBase
from switch.redis_source import LOST, RedisSource
from switch.reports import FLUSH_S, STREAM_LENGTH, ReportTally, encode_report

log = logging.getLogger("switch")

JOIN_S = 2.0
_CALLS = 1_000


class Reader(ReaderBase):
    """The flag for threaded applications; one per process, shared by all threads.

    Args:
        url: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://. Needs HGETALL
            and SUBSCRIBE.
        default: route -> provider served before anything is known.
        routes: further routes, without a default.
        supported: route -> the providers this build can call; any other name is not served, and
            is logged once. The default must be among them.
        fallbacks: route -> whom to try, in this order, until the daemon's own list has been read.
        on_change: called with (route, from, to) from a thread of its own; neither an exception
            nor a hang in it reaches the reader.
        on_unsupported: called with (route, provider), likewise.
        snapshot: a file that keeps the last known flags for a start while Redis is away.
        report_url: where `report()` sends its counts; without one they go nowhere.
        clock: monotonic seconds, for tests.

    The constructor waits for nothing but the snapshot file, and never raises for a Redis that is
    away. It raises ValueError for a URL, a route's name or a default that cannot be.
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
            on_change, on_unsupported, snapshot, clock, self._dispatch,
        )  # fmt: skip
        self._by_channel = {keys.changed: keys for keys in self._routes.keys.values()}
        self._url, self._report_url = url, report_url
        self._tally = ReportTally(self._routes.keys.values(), clock) if report_url else None
        self._closed = False
        self._start()
        _survive_forks(self)

    def _start(self) -> None:
        self._link = RedisSource(self._url)
        self._agenda, self._ear = PollSchedule(random.uniform), Ear(random.uniform)
        for keys in self._routes.keys.values():
            self._agenda.watch(keys, self._routes.poll_s)
        patience_s = STALE_POLLS * self._routes.poll_s
        self._unread = LogOnce(UNREAD, self._url, patience_s)
        self._deaf = LogOnce(DEAF, self._url, patience_s)
        self._pubsub: Any = None
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._routes.on_ready = self._ready.set
        self._calls: queue.Queue[PendingCall | None] = queue.Queue(_CALLS)
        self._calling = threading.Lock()
        self._caller: threading.Thread | None = None
        # Why no asyncio loop that AsyncReader could share: under gevent the thread is a greenlet of
        # the application's own, whose asyncio.run() then says that a loop is running already. A
        # fork alone would allow it, with a loop made anew in the child.
        self._workers = [threading.Thread(target=self._run, name="prober-reader", daemon=True)]
        if self._tally:
            self._reports = RedisSource(self._report_url)
            self._unsent = LogOnce(UNSENT, self._report_url, patience_s)
            self._workers.append(
                threading.Thread(target=self._report, name="prober-reports", daemon=True)
            )
        for worker in self._workers:
            worker.start()

    # -- for the application ------------------------------------------------------------

    def wait_ready(self, seconds: float) -> bool:
        """Waits until every route has been read from Redis; False when that took too long."""
        return self._ready.wait(seconds)

    def read_once(self) -> None:
        """Reads every route now, in the calling thread. Raises RedisError or OSError."""
        for name, keys in self._routes.keys.items():
            self._routes.took(name, *self._link.read(keys))
        self._routes.save()

    def close(self) -> None:
        """Ends the workers. What was served last is still there to be read."""
        self._closed = True
        self._stopping.set()
        for worker in self._workers:
            if worker is not threading.current_thread():
                worker.join(JOIN_S)
        if self._caller is not None and self._caller is not threading.current_thread():
            self._calls_end()
            self._caller.join(JOIN_S)
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the worker ---------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._ask()
                self._listen()
                self._routes.tick()
            except Exception:
                # A fault of ours: the flag goes on being read, and the log tells.
                log.exception("the flag reader failed; it goes on")
                self._drop()
                self._stopping.wait(1.0)
        self._drop()

    def _ask(self) -> None:
        due = self._agenda.due(self._routes.clock())
        for keys in due:
            if self._stopping.is_set():
                return
            try:
                known = self._link.read(keys)
            except LOST as error:
                warn(self._unread.failed(error, self._routes.clock()))
                # One wait for a dead server, not one for every route.
                self._agenda.failed(due, self._routes.clock())
                break
            except RedisError as error:
                warn(self._unread.failed(error, self._routes.clock()))
                self._agenda.failed([keys], self._routes.clock())
            else:
                now_s = self._routes.clock()
                self._agenda.done(keys, now_s)
                warn(self._unread.worked())
                self._routes.took(keys.route, *known)
                if not self._routes.knows(keys.route):
                    warn(self._unread.empty(keys, now_s))
        if due:
            self._routes.save()

    def _listen(self) -> None:
        now_s = self._routes.clock()
        wait_s = self._agenda.wait_s(now_s)
        if self._pubsub is None and not self._ear.may_open(now_s):
            self._stopping.wait(wait_s)
            return
        try:
            if self._pubsub is None:
                self._pubsub = self._link.pubsub()
                self._pubsub.subscribe(*self._by_channel)
                self._ear.opened(now_s)
            elif self._ear.deaf(now_s):
                raise TimeoutError("the subscription hears nothing any more")
            elif self._ear.wants_echo(now_s):
                self._pubsub.subscribe(*self._by_channel)
                self._ear.asked(now_s)
            message = self._pubsub.get_message(timeout=wait_s)
        except (RedisError, OSError) as error:
            if isinstance(error, REFUSALS):
                warn(self._deaf.failed(error, now_s))
            self._drop()
            self._ear.lost(self._routes.clock())
            return
        if message:
            self._heard(message)

    def _heard(self, message: Mapping[str, Any]) -> None:
        now_s = self._routes.clock()
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
            if change and self._routes.heard(keys.route, change):
                self._agenda.soon(keys, now_s)

    def _drop(self) -> None:
        if self._pubsub is not None:
            pubsub, self._pubsub = self._pubsub, None
            try:
                pubsub.close()
            except (RedisError, OSError) as error:
                log.debug("closing a subscription: %s", error)

    # -- callbacks ----------------------------------------------------------------------

    def _dispatch(self, call: PendingCall) -> None:
        with self._calling:
            if self._caller is None:
                self._caller = threading.Thread(
                    target=_run_calls, args=(self._calls,), name="prober-callbacks", daemon=True
                )
                self._caller.start()
        try:
            self._calls.put_nowait(call)
        except queue.Full:
            log.warning("a callback of the flag reader hangs; this change is not told")

    def _calls_end(self) -> None:
        try:
            self._calls.put_nowait(None)
        except queue.Full:
            log.debug("callbacks hang; their thread is left behind")

    # -- reports ------------------------------------------------------------------------

    def _report(self) -> None:
        stopping = False
        while not stopping:
            stopping = self._stopping.wait(FLUSH_S)
            self._flush()
        self._reports.close()

    def _flush(self) -> None:
        if self._tally is None:
            return
        try:
            for keys, report in self._tally.drain():
                self._reports.add(keys, encode_report(report), STREAM_LENGTH)
                warn(self._unsent.worked())
        except (RedisError, OSError) as error:
            warn(self._unsent.failed(error, self._routes.clock()))
        except Exception:
            log.exception("reports are lost")

    def _after_fork(self) -> None:
        if self._closed:
            return
        self._routes.after_fork()
        if self._tally:
            self._tally.restart()
        self._start()


def _run_calls(calls: queue.Queue[PendingCall | None]) -> None:
    while (call := calls.get()) is not None:
        guarded(call)


_readers: weakref.WeakSet[Reader] = weakref.WeakSet()
_hooked = False


def _survive_forks(reader: Reader) -> None:
    """A prefork server loads the application first: neither thread nor socket survives that."""
    global _hooked
    _readers.add(reader)
    if not _hooked:
        _hooked = True
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    for reader in list(_readers):
        reader._after_fork()
