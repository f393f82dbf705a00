"""The two clocks, injected wherever time matters, their only reader; and times of a day."""

from __future__ import annotations

import time
from datetime import datetime
from zoneinfo import ZoneInfo


class Clock:
    """`mono` for durations: it runs on through suspend. `now` for people and SQL."""

    def mono(self) -> float:
        """Seconds since boot."""
        return time.clock_gettime(_BOOTTIME)

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()


# CLOCK_MONOTONIC stops while a machine sleeps; macOS has no CLOCK_BOOTTIME.
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def local_time(at: float, zone: ZoneInfo) -> str:
    """09:12, on the clocks of a time zone."""
    return datetime.fromtimestamp(at, zone).strftime("%H:%M")


def in_hours(hours: str, at: float, zone: ZoneInfo) -> bool:
    """Whether a moment is within local hours like "22:00-07:00", which may pass midnight."""
    begin, _, end = hours.partition("-")
    now = local_time(at, zone)
    return begin <= now < end if begin <= end else now >= begin or now < end
