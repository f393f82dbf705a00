"""The outbox: every alert waits on disk until its channel has taken it. Nothing waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

from prober.alerts.event import AlertEvent, Letter, Severity, from_record, letter, to_record
from prober.history.store.writer import Row, Store

if TYPE_CHECKING:
    from prober.clock import Clock
    from prober.config.schema import Alert
    from prober.history.journal import Journal, Record

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
TELL_OTHERS_AFTER = 3

Send = Callable[[Letter], Awaitable[str]]
"""Delivers one letter; gives "" when it was taken, or why not."""


class Outbox:
    """Takes events, keeps them in the journal and in SQL, and delivers them until taken.

    Each channel has a worker of its own, so that a dead one delays no other. A letter may arrive
    twice (a kill between delivery and its record), never not at all.
    """

    def __init__(
        self,
        channels: Iterable[Alert],
        send: Send,
        journal: Journal,
        store: Store | None,
        clock: Clock,
        vantage: str,
    ) -> None:
        self._channels = {alert.name: alert for alert in channels}
        self._send = send
        self._journal = journal
        self._store = store
        self._clock = clock
        self._vantage = vantage
        self._queues: dict[str, asyncio.Queue[Letter]] = {}
        self._seen: set[str] = set()
        self._workers: list[asyncio.Task[None]] = []
        self.unsent: dict[str, Letter] = {}
        self.delivered = 0

    def start(self) -> None:
        for name in self._channels:
            self._queue(name)

    def configure(self, channels: Iterable[Alert], send: Send) -> None:
        """Takes new channels; what waits for one that is gone stays recorded."""
        self._channels = {alert.name: alert for alert in channels}
        self._send = send
        waiting = [i for i in self.unsent.values() if i.channel not in self._queues]
        for item in waiting:
            if item.channel in self._channels:
                self._queue(item.channel).put_nowait(item)

    def _queue(self, channel: str) -> asyncio.Queue[Letter]:
        if channel not in self._queues:
            self._queues[channel] = asyncio.Queue()
            task = asyncio.create_task(self._work(channel), name=f"alerts-{channel}")
            self._workers.append(task)
        return self._queues[channel]

    async def post(self, event: AlertEvent) -> None:
        """Records the event for every channel that wants it, and returns."""
        wanted = [c for c in self._channels.values() if c.wants(event.kind, event.route)]
        letters = [letter(event, channel.name) for channel in wanted]
        if letters and all(item.id in self._seen for item in letters):
            return
        log.info("%s: %s", event.kind, event.title)
        for item in letters:
            await self._keep(item)

    async def _keep(self, item: Letter) -> None:
        if item.id in self._seen:
            return
        self._seen.add(item.id)
        self.unsent[item.id] = item
        await self._journal.append("alert", **to_record(item))
        self._to_sql(item)
        self._queue(item.channel).put_nowait(item)

    def _to_sql(self, item: Letter, sent_at: float | None = None) -> None:
        if self._store is None:
            return
        values: dict[str, Any] = to_record(item)
        del values["key"], values["incident"]
        values |= {"vantage": self._vantage, "sent_at": sent_at}
        changes = ("sent_at",) if sent_at is not None else ()
        self._store.put(Row("outbox", values, changes))

    def restore(self, journal: Iterable[Record], sql: Iterable[dict[str, Any]] = ()) -> None:
        """Takes up what an earlier run, or another host's copy in SQL, left undelivered."""
        waiting: dict[str, Letter] = {}
        sent: dict[str, float] = {}
        for record in journal:
            if record["kind"] == "alert":
                item = from_record(record)
                waiting[item.id] = item
            elif record["kind"] == "sent":
                sent[record["id"]] = record["at"]
        for row in sql:
            item = from_record(row)
            waiting.setdefault(item.id, item)
        self._seen |= waiting.keys() | sent.keys()
        for item in waiting.values():
            # SQL learns of both; a row it already has stays as it is.
            self._to_sql(item, None)
            if item.id in sent:
                self._to_sql(item, sent[item.id])
                continue
            self.unsent[item.id] = item
            if item.channel in self._channels:
                self._queue(item.channel).put_nowait(item)
            else:
                log.warning("alert %r waits for channel %r, which is gone", item.event.title,
                            item.channel)  # fmt: skip

    async def _work(self, channel: str) -> None:
        queue, pause_s, failures = self._queues[channel], FIRST_PAUSE_S, 0
        while True:
            item = await queue.get()
            failure = await self._try(item)
            if not failure:
                pause_s, failures = FIRST_PAUSE_S, 0
                await self._delivered(item)
                continue
            failures += 1
            log.warning("alert channel %s: %s; again in %g s", channel, failure, pause_s)
            if failures == TELL_OTHERS_AFTER:
                await self._tell_others(channel, failure)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            # Behind the others: one that its channel will never take must not hold them back.
            queue.put_nowait(item)

    async def _delivered(self, item: Letter) -> None:
        self.delivered += 1
        now = self._clock.now()
        await self._journal.append("sent", id=item.id, channel=item.channel, at=now)
        self._to_sql(item, now)
        self.unsent.pop(item.id, None)

    async def _try(self, item: Letter) -> str:
        try:
            return await self._send(item)
        except Exception as error:
            # Its words may hold the channel's URL, and with it a secret.
            return type(error).__name__

    async def _tell_others(self, channel: str, failure: str) -> None:
        now = self._clock.now()
        hour = int(now // 3600)
        event = AlertEvent(
            key=f"channel-{channel}-{hour}",
            kind="daemon",
            route="",
            severity=Severity.WARNING,
            title=f"Alert channel {channel} cannot be reached",
            body=f"{failure}. I keep trying; alerts meant for it wait.",
            at=now,
        )
        for other in self._channels.values():
            if other.name != channel:
                await self._keep(letter(event, other.name))

    async def close(self) -> None:
        """Stops delivering. What is unsent stays in the journal."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
