"""The two clocks, injected wherever time matters. The only reader of either."""

from __future__ import annotations

import time


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
