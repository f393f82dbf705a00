"""What a decision looks at, and which candidate would be the best target. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from switch.flag import Flag, Flip, Health, Mode, Pin, say_duration

# A slow primary is left only for one that is clearly faster.
FASTER_BY = 0.7
# How clearly better than the primary a last resort must be: 22,000 to 1, in nats.
CLEARLY_BETTER = 10.0
# How far back "lately" goes.
LATELY_S = 600.0


class Counts(NamedTuple):
    """Canaries that ended lately."""

    good: int = 0
    bad: int = 0


NO_COUNTS = Counts()


class Bar(StrEnum):
    """What keeps a candidate from being taken."""

    RESIDENCY = "residency"
    MAINTENANCE = "maintenance"
    BREACH = "breach"
    DWELL = "dwell"
    ACCOUNT = "account"
    UNPROBED = "unprobed"
    BUDGET = "budget"
    SLOW = "slow"


# `prober failover` proves its target first; these it cannot prove, or must not take unasked.
FORCED = (Bar.RESIDENCY, Bar.MAINTENANCE, Bar.ACCOUNT, Bar.UNPROBED, Bar.BUDGET)


@dataclass(frozen=True, slots=True)
class ProviderView:
    """What is known of one provider in one route at this moment.

    Attributes:
        why: the evidence as a clause ("9 of 24 canaries failed in 61 s (overloaded)").
        breached: objectives in breach, and kinds of account trouble.
        proven: its newest four canaries were good and are at most 15 s old.
        recent_bad: one of its newest four canaries was not good.
        proof: the newest canaries as a clause ("4 of 4, slowest first text 0.9 s").
        lately: its canaries of the last ten minutes; of the primary those of its trouble, of a
            recovering one those of its recovery.
        failed_ago_s: since the last canary but one that failed was started.
        recovering_for_s: since the first good canary of its recovery was started.
        good_for_s: since the first of its newest good canaries in a row was started, of those of
            its recovery.
        good_in_a_row: good canaries since the last bad one.
        domains: failure domains, its key's and account's included.
        latency_s: typical time to first text; quality: share of right answers.
        maintenance: what is announced for it, so that it is no target; empty otherwise.
        drained: it must be left for that, by plan.
        short: why it cannot carry the route at its peak; empty when it can, or nobody knows.
        regional: it is breached for a minority of vantages: who they are, and why.
        ineligible: what makes it so, where its health is that.
        free_ms: when its dwell, its window or its spent day ends; 0: no such end is known.
    """

    name: str
    health: Health
    why: str = ""
    breached: frozenset[str] = frozenset()
    proven: bool = False
    recent_bad: bool = False
    proof: str = ""
    lately: Counts = NO_COUNTS
    failed_ago_s: float = math.inf
    recovering_for_s: float = math.inf
    good_for_s: float = math.inf
    good_in_a_row: int = 0
    residency: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    cost_usd: float = 0.0
    latency_s: float | None = None
    quality: float | None = None
    maintenance: str = ""
    drained: bool = False
    short: str = ""
    regional: str = ""
    ineligible: Bar = Bar.ACCOUNT
    free_ms: int = 0

    @property
    def doubtful(self) -> bool:
        """One of its newest canaries was not good, so that it cannot be proven for now."""
        return self.recent_bad and not self.proven


@dataclass(frozen=True, slots=True)
class Policy:
    """A route's settings, as far as deciding goes. Times in milliseconds."""

    flip_on: frozenset[str]
    residency: frozenset[str] = frozenset()
    failback: str = "manual"
    prefer: str = "order"
    healthy_for_ms: int = 600_000
    max_flips: int = 2
    freeze_window_ms: int = 3_600_000


@dataclass(frozen=True, slots=True)
class View:
    """Everything a decision may look at, at one moment.

    Attributes:
        now_ms: Redis TIME, or the wall clock while Redis cannot be read.
        providers: the route's candidates in their configured order.
        flips: the newest flips by the stream, oldest first.
        leaving_for_ms: how long the primary has had to leave already.
        votes: how the vantages' votes stand, as a clause; empty for a single daemon.
        quiet: quiet hours; no failback.
        frozen_until: 0 when not frozen.
    """

    route: str
    now_ms: int
    mode: Mode
    providers: tuple[ProviderView, ...]
    flag: Flag | None = None
    pin: Pin | None = None
    redis_readable: bool = True
    leader: bool = True
    quorum: bool = True
    votes: str = ""
    paused: bool = False
    holding: str = ""
    sql_up: bool = True
    quiet: bool = False
    flips: tuple[Flip, ...] = ()
    frozen_until: int = 0
    leaving_for_ms: int = 0

    def provider(self, name: str) -> ProviderView | None:
        return next((provider for provider in self.providers if provider.name == name), None)


@dataclass(frozen=True, slots=True)
class Weighed:
    """One candidate, and what became of it.

    Attributes:
        bar: what keeps it from being taken; None: nothing.
        free_ms: when that ends by itself; 0: no such time is known.
        proven: its newest four canaries were good and fresh.
    """

    name: str
    eligible: bool
    why: str
    bar: Bar | None = None
    free_ms: int = 0
    proven: bool = False

    @property
    def forced(self) -> bool:
        """People can have it only with --force."""
        return self.bar in FORCED or (self.bar is Bar.BREACH and not self.proven)

    @property
    def usable(self) -> bool:
        """It has just proven itself, and only time or speed keeps it from being taken."""
        return self.proven and self.bar in (None, Bar.DWELL, Bar.SLOW)


@dataclass(frozen=True, slots=True)
class Choice:
    target: ProviderView | None
    weighed: tuple[Weighed, ...]


def choose(
    view: View,
    policy: Policy,
    leaving: ProviderView | None,
    *,
    faster: bool = False,
    besides: str = "",
) -> Choice:
    """The best target, proven or worth proving, and what speaks for or against each candidate.

    Args:
        leaving: the provider that must go; its failure domains rank last.
        faster: only a target at least 30 % faster will do.
        besides: a name not to weigh (the present primary, when it stays).
    """
    skip = {besides, leaving.name if leaving else (view.flag.provider if view.flag else "")}
    weighed: list[Weighed] = []
    fit: list[ProviderView] = []
    for provider in view.providers:
        if provider.name in skip:
            continue
        bar, why = _barred(provider, policy)
        if bar is None and faster and leaving and (why := _too_slow(provider, leaving)):
            bar = Bar.SLOW
        if bar is None:
            fit.append(provider)
        weighed.append(
            Weighed(
                provider.name,
                bar is None,
                why or _fitness(provider),
                bar,
                provider.free_ms if bar else 0,
                provider.proven,
            )
        )
    shared = leaving.domains if leaving else frozenset()
    order = {provider.name: place for place, provider in enumerate(view.providers)}

    def rank(provider: ProviderView) -> tuple[bool, bool, bool, float, int]:
        apart = provider.domains.isdisjoint(shared)
        preference = _preference(provider, policy.prefer)
        return provider.doubtful, not apart, bool(provider.short), preference, order[provider.name]

    return Choice(min(fit, key=rank, default=None), tuple(weighed))


def last_resort(view: View, policy: Policy, leaving: ProviderView) -> ProviderView | None:
    """Of the candidates that are recovering, the one that did best lately."""
    fit = [
        provider
        for provider in view.providers
        if provider.name != leaving.name and _barred(provider, policy)[0] is Bar.DWELL
    ]
    return max(fit, key=lambda provider: better_by(provider.lately, leaving.lately), default=None)


def clearly_better(resort: ProviderView, primary: ProviderView) -> bool:
    """Whether a recovering candidate does better than a failing primary, beyond doubt.

    One that failed no more since the other last did has come back with it: what ailed both is
    over (our own network, a gateway), and nobody has to move.
    """
    still = primary.failed_ago_s < resort.good_for_s
    return still and better_by(resort.lately, primary.lately) >= CLEARLY_BETTER


def better_by(one: Counts, other: Counts) -> float:
    """How clearly fewer of `one`'s canaries fail than of `other`'s, in nats; 0 if not fewer.

    The log likelihood of two shares over that of a common one (Wilks 1938; half of G squared).
    """
    one_n, other_n = sum(one), sum(other)
    if one.bad * other_n >= other.bad * one_n:
        return 0.0
    both = Counts(one.good + other.good, one.bad + other.bad)
    return _log_likelihood(one) + _log_likelihood(other) - _log_likelihood(both)


def _log_likelihood(counts: Counts) -> float:
    """Of what was counted, under the share that was counted."""
    total = sum(counts)
    return sum(n * math.log(n / total) for n in counts if n)


def _preference(provider: ProviderView, prefer: str) -> float:
    """Lower is better."""
    if prefer == "cost":
        return provider.cost_usd
    if prefer == "latency":
        return float("inf") if provider.latency_s is None else provider.latency_s
    if prefer == "quality":
        return 0.0 if provider.quality is None else -provider.quality
    return 0.0


def _fitness(provider: ProviderView) -> str:
    if provider.proven:
        short = f"; but {provider.short}" if provider.short else ""
        return f"would be taken: {provider.proof}{short}"
    return "would be proven first" + (f" ({provider.why})" if provider.why else "")


def _barred(provider: ProviderView, policy: Policy) -> tuple[Bar | None, str]:
    """What keeps a candidate from being taken, and the clause that says so."""
    if refusal := refused_by_residency(provider, policy):
        return Bar.RESIDENCY, f"not allowed: {refusal}"
    if provider.maintenance:
        return Bar.MAINTENANCE, provider.maintenance
    bars = {
        Health.BREACHED: Bar.BREACH,
        Health.RECOVERING: Bar.DWELL,
        Health.INELIGIBLE: provider.ineligible,
    }
    bar = bars.get(provider.health)
    return bar, f"{provider.health}: {provider.why}" if bar else ""


def refused_by_residency(provider: ProviderView, policy: Policy) -> str:
    if not policy.residency or (provider.residency and provider.residency <= policy.residency):
        return ""
    allowed = listed(policy.residency)
    if not provider.residency:
        return f"residency not declared; allowed: {allowed}"
    return f"residency {listed(provider.residency)}; allowed: {allowed}"


def _too_slow(provider: ProviderView, leaving: ProviderView) -> str:
    if provider.latency_s is None or leaving.latency_s is None:
        return "its latency is not known yet"
    if provider.latency_s <= FASTER_BY * leaving.latency_s:
        return ""
    return (
        f"not 30 % faster: first text {say_duration(provider.latency_s)} "
        f"beside {say_duration(leaving.latency_s)}"
    )


def listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
