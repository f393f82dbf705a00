"""How a tracker judges a provider, from the configuration. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prober.config.schema import Provider, Route

PROOF_MAX_AGE_S = 15.0
# A budget may slow canaries down; past this many intervals silence is silence.
SLOWEST_BELIEVED = 20
# What only alerts unless flip_on names it: nothing hurries for it, and nothing waits for its end.
ALERTS = frozenset({"quality"})


@dataclass(frozen=True, slots=True)
class TrackerRules:
    """What one tracker goes by.

    Attributes:
        alone: the provider is on this machine; its path needs no witness.
        own_account: the canary's account is not the application's.
        reports: what applications report is evidence too.
        alert_only: objectives whose breach is told, and moves no flag.
    """

    interval_s: float = 30.0
    suspect_interval_s: float = 3.0
    timeout_s: float = 20.0
    healthy_for_s: float = 600.0
    alone: bool = False
    own_account: bool = False
    reports: bool = True
    alert_only: frozenset[str] = ALERTS

    def stale_after_s(self, paced_s: float) -> float:
        """How long the last canary is believed, where the budget may have slowed them down."""
        slowest_s = SLOWEST_BELIEVED * self.interval_s
        return 3 * max(self.interval_s, min(paced_s, slowest_s)) + self.timeout_s

    @property
    def proof_age_s(self) -> float:
        return max(PROOF_MAX_AGE_S, 5 * self.suspect_interval_s)

    @property
    def witness_within_s(self) -> float:
        return 2 * self.interval_s + self.timeout_s


def rules_of(provider: Provider, route: Route) -> TrackerRules:
    canary = provider.canary
    return TrackerRules(
        interval_s=canary.interval.total_seconds(),
        suspect_interval_s=canary.suspect_interval.total_seconds(),
        timeout_s=canary.timeout.total_seconds(),
        healthy_for_s=route.failover.healthy_for.total_seconds(),
        alone=provider.on_loopback,
        own_account=provider.account == "own",
        reports=route.reports.enabled,
        alert_only=ALERTS.difference(route.failover.flip_on),
    )
