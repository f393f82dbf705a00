"""What happened in a simulated run, written down as it goes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from prober.detection.tracker import Change, Tracker


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a route's flag; the first one comes from nowhere and is no flip."""

    at_s: float
    route: str
    source: str
    target: str
    kind: str
    reason: str


@dataclass
class Trace:
    """What happened.

    Attributes:
        breaches: provider -> (route, from, to) of each breach; `to` is infinite if it lasts.
        probes: provider -> canaries that were sent.
    """

    moves: list[Move] = field(default_factory=list)
    breaches: dict[str, list[tuple[str, float, float]]] = field(default_factory=dict)
    probes: dict[str, int] = field(default_factory=dict)
    cost_usd: float = 0.0
    _open: dict[tuple[str, str], float] = field(default_factory=dict)

    def take(self, route: str, tracker: Tracker, at_s: float) -> None:
        """Takes a tracker's changes over: where a breach begins and ends."""
        place = route, tracker.provider
        for change in tracker.changes:
            if change in (Change.BREACHED, Change.ACCOUNT):
                self._open.setdefault(place, at_s)
            elif change in (Change.RECOVERED, Change.ACCOUNT_WELL) and not tracker.breached:
                since_s = self._open.pop(place, None)
                if since_s is not None:
                    self._breach(*place, since_s, at_s)
        tracker.changes = []

    def sent(self, provider: str, probes: int, cost_usd: float) -> None:
        self.probes[provider] = probes
        self.cost_usd += probes * cost_usd

    def end(self) -> None:
        """Breaches that still last have no end."""
        for (route, provider), since_s in self._open.items():
            self._breach(route, provider, since_s, math.inf)

    def _breach(self, route: str, provider: str, from_s: float, to_s: float) -> None:
        self.breaches.setdefault(provider, []).append((route, from_s, to_s))
