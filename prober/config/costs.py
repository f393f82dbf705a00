"""What a day of canaries costs at the most, and what of its budget is for what. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prober.config.schema import Config, Provider

DAY_S = 86_400
PROOFS_A_DAY = 20
CANARIES_A_PROOF = 4
# The rest of the day's budget is kept for suspicion and proof.
BASE_SHARE = 0.7


def daily_cost_usd(config: Config, provider: Provider) -> tuple[float, float]:
    """(the base rate's worst cost a day, the same plus twenty proofs), of all vantages."""
    # Vantages share the base rate, each out of its own part of the budget; those that are left
    # when others have died must afford it among themselves. Each proves for itself.
    vantages = max(1, len(config.daemon.vantages))
    fewest = min(vantages, config.daemon.votes_needed)
    worst = provider.worst_cost_usd
    base = DAY_S / provider.canary.interval.total_seconds() * worst * vantages / fewest
    return base, base + PROOFS_A_DAY * CANARIES_A_PROOF * worst * vantages


def least_budget_usd(config: Config, provider: Provider) -> float:
    """What the base rate and twenty proofs need a day."""
    base, needed = daily_cost_usd(config, provider)
    return max(needed, base / BASE_SHARE)
