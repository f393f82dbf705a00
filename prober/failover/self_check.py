"""Whether this process itself may judge: its own network is there, and no time is missing. Pure."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from switch.control.lease import TIMING

if TYPE_CHECKING:
    from prober.config.schema import Config
    from prober.detection.tracker import Tracker
    from prober.failover.route_state import RouteState

log = logging.getLogger(__name__)

BLIND_AFTER_S = 15.0
GAP_S = 3 * TIMING.loop_s


class Blindness:
    """Blind: every provider beyond this machine fails on the path, and no control answers.

    Attributes:
        since_s: since when (monotonic seconds); None: it sees.
        controls_fail: whether all of [network].controls failed last; None: they were not asked.
    """

    def __init__(self) -> None:
        self.since_s: float | None = None
        self.controls_fail: bool | None = None

    def begins(
        self, config: Config, shut: Collection[str], states: Iterable[RouteState], now_s: float
    ) -> list[str]:
        """Looks; the providers out of sight if blindness has begun just now, otherwise none.

        Args:
            shut: providers that cannot be probed.
        """
        trackers = [tracker for state in states for tracker in state.trackers.values()]
        remote: dict[str, list[Tracker]] = {}
        for provider in config.provider:
            if not provider.on_loopback and provider.name not in shut:
                watching = [t for t in trackers if t.provider == provider.name]
                if watching:
                    remote[provider.name] = watching
        pending = bool(remote) and all(
            any(tracker.path_pending for tracker in watching) for watching in remote.values()
        )
        if not pending or self.controls_fail is False:
            if self.since_s is not None:
                log.warning("our own network is back")
            self.since_s = None
            return []
        oldest_s = min(t.pending_since_s for watching in remote.values() for t in watching)
        enough_s = min(BLIND_AFTER_S, 5 * min(t.rules.suspect_interval_s for t in trackers))
        if self.since_s is not None or now_s - oldest_s < enough_s:
            return []
        self.since_s = now_s
        return list(remote)


class Gap:
    """Time in which nothing ran: the machine slept or was frozen.

    Notices it, drops what was under way then, and holds decisions until it is looked afresh.

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
