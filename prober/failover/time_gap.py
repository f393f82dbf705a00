"""Time in which nothing ran: the machine slept or was frozen. Pure."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from switch.control.lease import TIMING

if TYPE_CHECKING:
    from prober.failover.route_state import RouteState

log = logging.getLogger(__name__)

GAP_S = 3 * TIMING.loop_s


class Gap:
    """Notices a gap, drops what was under way then, and holds decisions until it is looked afresh.

    Attributes:
        hold_until_s: nothing may be decided before (monotonic seconds).
    """

    def __init__(self) -> None:
        self.hold_until_s = float("-inf")
        self._pulse_s: float | None = None

    def pulse(self, now_s: float, states: Iterable[RouteState]) -> None:
        """Called a few times a second, whatever Redis does: its silence is a gap."""
        self.mind(now_s, states)
        self._pulse_s = now_s

    def mind(self, now_s: float, states: Iterable[RouteState]) -> None:
        """What was under way in a gap is no evidence.

        Asked before anything is judged: on waking, canaries that "timed out" come first.
        """
        last_s = self._pulse_s
        if last_s is None or now_s - last_s <= GAP_S:
            return
        self._pulse_s = now_s
        log.warning("nothing ran for %.1f s: evidence is dropped", now_s - last_s)
        hold_s = 0.0
        for state in states:
            hold_s = max(hold_s, state.route.detector.min_span.total_seconds())
            for tracker in state.trackers.values():
                tracker.forget()
        self.hold_until_s = now_s + hold_s

    def holding(self, now_s: float) -> str:
        """Why nothing may be decided at `now_s`; empty when it may."""
        left_s = self.hold_until_s - now_s
        return f"time jumped; looking afresh for {left_s:.0f} s more" if left_s > 0 else ""
