"""A breach, from its latch to its recovery: what outlives the canaries that caused it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

BAD_COSTS = 25
# Of quality a tenth is allowed, so that 25 would never end; at 30 % wrong five never does either.
TOLD_COSTS = 5
RELAPSE_WITHIN_S = 6 * 3600.0
PENALTY_CAP = 8
# Of the score: good again just now, which is enough for a last resort.
RETURNING = 4
# Of the score: worth a word to people, long before it is a recovery.
SIGNS_OF_LIFE = 20


class Breach:
    """Whether one provider is in breach for one route, and how far it has come back.

    Attributes:
        latched: the objectives in breach; empty: there is none.
        why: the clause that says so.
        onset_at: when it began (wall clock).
        since_s: when it began (monotonic).
        score: good canaries since, less what bad ones cost.
        recovering_s: when the score last left 0: its canaries since are those of a recovery.
        resumed: an incident goes on without a latch: the evidence for it is gone.
        penalty_until_s: having recovered, it may serve again only then.
    """

    def __init__(self, healthy_for_s: float) -> None:
        self.latched: frozenset[str] = frozenset()
        self.why = ""
        self.onset_at: float | None = None
        self.since_s = -math.inf
        self.score = 0
        self.recovering_s = -math.inf
        self.resumed = False
        self.penalty_until_s = -math.inf
        self._healthy_for_s = healthy_for_s
        self._recovered_s = -math.inf
        self._relapses = 0

    def latch(
        self, names: frozenset[str], since_s: float, ended_s: float, *, anew: bool = False
    ) -> None:
        """The canary that ended at `ended_s` brought these objectives into breach.

        `anew`: they are graver than what was, so it begins here.
        """
        if anew or not self.latched:
            self.score, self.since_s = 0, since_s
            lately = ended_s - self._recovered_s <= RELAPSE_WITHIN_S
            self._relapses = self._relapses + 1 if lately else 0
        self.latched |= names
        self.resumed = False

    @property
    def returning(self) -> bool:
        """Still in breach, and its newest canaries are good."""
        return self.score >= RETURNING

    def went_badly(self, why: str, costs: int = BAD_COSTS) -> None:
        self.score = max(0, self.score - costs)
        self.why = why or self.why

    def went_well(self, started_s: float) -> bool:
        """Counts a good canary; True when just now there are signs of life."""
        if self.score == 0:
            self.recovering_s = started_s
        self.score += 1
        return self.score == SIGNS_OF_LIFE and bool(self.latched)

    def end(self, ended_s: float, *, waits: bool = True) -> None:
        """Recovered. Whoever relapses has to be good for longer each time.

        `waits`: before it may serve again; what moved no flag keeps nobody from serving.
        """
        if self.latched and waits:
            wait_s = self._healthy_for_s * min(PENALTY_CAP, 2**self._relapses)
            self.penalty_until_s = ended_s + wait_s
            self._recovered_s = ended_s
        self.latched, self.why, self.score = frozenset(), "", 0
        self.resumed = False

    # -- across a restart or a reload ------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """What outlives the process, as JSON. Times are of this boot's monotonic clock."""
        return {
            "latched": sorted(self.latched),
            "latched_why": self.why,
            "onset_at": self.onset_at,
            "score": self.score,
            "penalty_until_s": _finite(self.penalty_until_s),
            "recovered_s": _finite(self._recovered_s),
            "relapses": self._relapses,
            "resumed": self.resumed,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Takes up what `dump` gave."""
        self.latched = frozenset(state["latched"])
        self.why, self.onset_at = state["latched_why"], state["onset_at"]
        self.score, self._relapses = state["score"], state["relapses"]
        self.resumed = bool(state.get("resumed", False))
        self.penalty_until_s = _infinite(state["penalty_until_s"])
        self._recovered_s = _infinite(state["recovered_s"])

    def restore(self, names: Iterable[str], why: str, onset_at: float | None) -> None:
        """An incident that was open before a restart: bad until it has recovered."""
        self.latched = frozenset(names)
        self.why, self.onset_at = why, onset_at

    def resume(self, onset_at: float) -> None:
        """The same for the primary: old evidence moves no flag, but the incident goes on."""
        self.resumed, self.onset_at = True, onset_at

    def inherit(self, old: Breach, names: set[str]) -> None:
        """Takes up the old breach, of the objectives in `names` only."""
        self.latched = old.latched & names
        self.why, self.onset_at = old.why, old.onset_at
        self.resumed = old.resumed or (bool(old.latched) and not self.latched)
        self.penalty_until_s = old.penalty_until_s
        self._recovered_s, self._relapses = old._recovered_s, old._relapses


def _finite(value: float) -> float | None:
    return None if math.isinf(value) else value


def _infinite(value: float | None) -> float:
    return -math.inf if value is None else value
