"""Maintenance windows: announced times in which a provider or a route is not judged. Pure.

Local times are what people write; daylight saving is resolved widely: a begin that happens twice
is the first of the two, an end that happens twice the second; of a time that does not happen at
all a begin goes by the clock after the change, which is the earlier moment, and an end by the
clock before it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class WindowAction(StrEnum):
    """`drain` moves routes away before it begins; `mute` only silences."""

    DRAIN = "drain"
    MUTE = "mute"


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """Seconds since the epoch; `end` no longer belongs to it."""

    start: float
    end: float

    def holds(self, now: float) -> bool:
        return self.start <= now < self.end


@dataclass(frozen=True, slots=True)
class Once:
    """From one moment to another."""

    start: datetime
    end: datetime

    def spans(self, now: float, zone: ZoneInfo) -> Iterable[WindowSpan]:
        return (
            WindowSpan(_stamp(self.start, zone, last=False), _stamp(self.end, zone, last=True)),
        )


@dataclass(frozen=True, slots=True)
class Weekly:
    """On some days of the week between two local times; an end before the begin is tomorrow's."""

    days: frozenset[int]
    begin: time
    end: time

    def spans(self, now: float, zone: ZoneInfo) -> Iterable[WindowSpan]:
        today = datetime.fromtimestamp(now, zone).date()
        for offset in range(-1, 8):
            day = today + timedelta(days=offset)
            if day.weekday() in self.days:
                yield self._on(day, zone)

    def _on(self, day: date, zone: ZoneInfo) -> WindowSpan:
        until = day if self.end > self.begin else day + timedelta(days=1)
        return WindowSpan(
            _stamp(datetime.combine(day, self.begin), zone, last=False),
            _stamp(datetime.combine(until, self.end), zone, last=True),
        )


@dataclass(frozen=True, slots=True)
class Window:
    """One window of the configuration.

    Attributes:
        provider, route: whom it is about; one of them is empty.
        lead_s: how long before the begin a drained provider is left.
    """

    name: str
    when: Once | Weekly
    zone: ZoneInfo
    action: WindowAction = WindowAction.MUTE
    provider: str = ""
    route: str = ""
    lead_s: float = 300.0
    reason: str = ""

    def span(self, now: float) -> WindowSpan | None:
        """The occurrence that runs at `now` (seconds since the epoch), or the next one."""
        # In the order of their starts: asked at every tick, so no more of them than needed.
        return next((span for span in self.when.spans(now, self.zone) if span.end > now), None)

    def runs(self, now: float) -> bool:
        span = self.span(now)
        return span is not None and span.holds(now)

    def drains(self, now: float) -> bool:
        """Whether its provider must not serve: the window runs, or begins within `lead_s`."""
        span = self.span(now)
        ahead = span is not None and span.start - self.lead_s <= now
        return self.action is WindowAction.DRAIN and ahead

    def turn(self, now: float) -> float:
        """When it drains, begins or ends next; infinity: never."""
        span = self.span(now)
        if span is None:
            return math.inf
        lead = self.lead_s if self.action is WindowAction.DRAIN else 0.0
        return next(at for at in (span.start - lead, span.start, span.end) if at > now)

    def covers(self, route: str, provider: str) -> bool:
        return self.provider == provider if self.provider else self.route == route

    def says(self, now: float) -> str:
        """ "maintenance until 04:00 Europe/Berlin (new gateway)"; "… from 02:00" ahead of it."""
        span = self.span(now)
        if span is None:
            return ""
        word, at = ("until", span.end) if span.holds(now) else ("from", span.start)
        clock = datetime.fromtimestamp(at, self.zone).strftime("%H:%M")
        reason = f" ({self.reason})" if self.reason else ""
        return f"maintenance {word} {clock} {self.zone.key}{reason}"


def _stamp(local: datetime, zone: ZoneInfo, *, last: bool) -> float:
    """A moment with an offset of its own is that moment, whatever the zone."""
    if local.tzinfo is not None:
        return local.timestamp()
    # Both readings of a time that happens twice, or not at all; else they are the same.
    moments = [local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)]
    return max(moments) if last else min(moments)
