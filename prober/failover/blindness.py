"""Whether our own network is gone, so that nothing remote can be judged from here. Pure."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prober.config.schema import Config
    from prober.detection.tracker import Tracker
    from prober.failover.route_state import RouteState

log = logging.getLogger(__name__)

BLIND_AFTER_S = 15.0


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
