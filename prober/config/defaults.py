"""What nobody said, in the one place that fills it in. Pure.

First a provider and a route inherit from [canary] and [defaults]; then what is left follows what
was said: a setting never makes a default an error.

`model_fields_set` keeps naming what was said, by the table itself or by the one it inherits from.
"""

from __future__ import annotations

import math
import socket
from datetime import timedelta
from typing import Any, TypeVar

from prober.canary import CanaryKind
from prober.config.costs import BASE_SHARE, daily_cost_usd, least_budget_usd
from prober.config.schema import (
    CanarySettings,
    Config,
    DaemonSettings,
    DetectorSettings,
    Limit,
    Objectives,
    Provider,
    Route,
)
from prober.config.types import DetectorKind, Table, unsaid

M = TypeVar("M", bound=Table)

# A canary goes no less often than this for a budget's sake, unless somebody says so.
LONGEST_INTERVAL = timedelta(minutes=5)


def settle(config: Config, hostname: str = "") -> Config:
    """The configuration with what nobody said inherited, then made to fit.

    What was said stays as it is.
    """
    config = fill_in(config)
    daemon = _daemon(config.daemon, hostname or socket.gethostname())
    config = config.model_copy(update={"daemon": daemon})
    providers = tuple(_affordable(config, _provider(provider)) for provider in config.provider)
    routes = tuple(_route(route) for route in config.route)
    return config.model_copy(update={"provider": providers, "route": routes})


def fill_in(config: Config) -> Config:
    """Gives each provider and route what it does not say itself."""
    defaults = config.defaults
    providers = tuple(
        provider.model_copy(
            update={
                "canary": _over(config.canary, provider.canary),
                "account": _said(provider, "account", defaults.account),
                "residency": _said(provider, "residency", defaults.residency),
                "vendor": provider.vendor or provider.api,
            }
        )
        for provider in config.provider
    )
    routes = tuple(
        route.model_copy(
            update={
                "objectives": _over(defaults.objectives, route.objectives),
                "detector": _over(defaults.detector, route.detector),
                "failover": _over(defaults.failover, route.failover),
                "residency": _said(route, "residency", defaults.residency),
                "mode": _said(route, "mode", defaults.mode),
            }
        )
        for route in config.route
    )
    return config.model_copy(update={"provider": providers, "route": routes})


def _over(base: M, own: M) -> M:
    return base.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})


def _said(table: Table, name: str, default: Any) -> Any:
    return getattr(table, name) if name in table.model_fields_set else default


def _ordered(table: M, smaller: str, greater: str) -> M:
    """Two settings of which the first may not exceed the second: the one not said gives way."""
    low, high, given = getattr(table, smaller), getattr(table, greater), table.model_fields_set
    if low <= high or {smaller, greater} <= given:
        return table
    return unsaid(table, **({greater: low} if smaller in given else {smaller: high}))


def _daemon(daemon: DaemonSettings, hostname: str) -> DaemonSettings:
    """One of several vantages that was not named is the one named like this host."""
    if "vantage" in daemon.model_fields_set or daemon.vantage in daemon.vantages:
        return daemon
    mine = [name for name in daemon.vantages if name == hostname or len(daemon.vantages) == 1]
    return unsaid(daemon, vantage=mine[0]) if mine else daemon


def _provider(provider: Provider) -> Provider:
    canary = _ordered(provider.canary, "first_text_timeout", "timeout")
    canary = _ordered(canary, "suspect_interval", "interval")
    if "kind" not in canary.model_fields_set and {"prompt", "expect"} & canary.model_fields_set:
        canary = unsaid(canary, kind=CanaryKind.CUSTOM)
    return provider.model_copy(update={"canary": canary})


def _affordable(config: Config, provider: Provider) -> Provider:
    """A default interval is lengthened as far as it goes, then a default budget is raised."""
    canary = _affordable_interval(config, provider)
    provider = provider.model_copy(update={"canary": canary})
    least = least_budget_usd(config, provider)
    if "daily_budget_usd" not in canary.model_fields_set and least > canary.daily_budget_usd:
        canary = unsaid(canary, daily_budget_usd=_rounded_up(least))
    return provider.model_copy(update={"canary": canary})


def _affordable_interval(config: Config, provider: Provider) -> CanarySettings:
    canary = provider.canary
    base, needed = daily_cost_usd(config, provider)
    budget = canary.daily_budget_usd
    if "interval" in canary.model_fields_set or least_budget_usd(config, provider) <= budget:
        return canary
    room = min(BASE_SHARE * budget, budget - (needed - base))
    wanted = canary.interval * base / room if room > base / 1_000 else LONGEST_INTERVAL
    whole = timedelta(seconds=math.ceil(wanted.total_seconds()))
    if "daily_budget_usd" in canary.model_fields_set and whole > LONGEST_INTERVAL:
        return canary  # a budget that carries no watching is refused
    return unsaid(canary, interval=max(canary.interval, min(whole, LONGEST_INTERVAL)))


def _rounded_up(usd: float) -> float:
    """To three digits, so that it can be read."""
    unit = 10.0 ** (math.floor(math.log10(usd)) - 2)
    return max(usd, round(math.ceil(usd / unit) * unit, 12))


def _route(route: Route) -> Route:
    detector = _detector(route.detector)
    objectives = route.objectives
    for name in ("ttft", "total", "tokens_per_s"):
        limit: Limit | None = getattr(objectives, name)
        if limit is not None and limit.detector is not None:
            fitted = limit.model_copy(update={"detector": _detector(limit.detector)})
            fitted = _allowed(fitted, "share", limit.detector)
            objectives = objectives.model_copy(update={name: fitted})
    objectives = _allowed(objectives, "availability", detector)
    return route.model_copy(update={"detector": detector, "objectives": objectives})


def _detector(detector: DetectorSettings) -> DetectorSettings:
    return _ordered(detector, "count", "of") if detector.kind is DetectorKind.K_OF_N else detector


S = TypeVar("S", Limit, Objectives)


def _allowed(table: S, name: str, detector: DetectorSettings) -> S:
    """A default share of good ones that leaves room below the flip_bad_share that was said."""
    share = detector.flip_bad_share
    if share is None or name in table.model_fields_set:
        return table
    return unsaid(table, **{name: max(getattr(table, name), 1 - share / 2)})
