"""What a decision about a route looks at, and what applications read of its candidates. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from prober.clock import in_hours
from switch.control.target import NO_COUNTS, Bar, ProviderView, View
from switch.control.votes import agree
from switch.flag import Candidate, Health

if TYPE_CHECKING:
    from prober.config.schema import Provider
    from prober.failover.route_state import RouteState, Standing

DAY_MS = 86_400_000
UNWELL = (Health.BREACHED, Health.RECOVERING, Health.INELIGIBLE)


def view_of(state: RouteState, standing: Standing) -> View:
    seen, now_s = state.seen, standing.now_s
    now_ms = seen.time_ms if seen else standing.now_ms
    leaving_ms = 0 if state.leaving_s is None else round((now_s - state.leaving_s) * 1000)
    holding = standing.holding
    if state.other:
        holding = state.other
    elif state.unsettled:
        holding = "the last write is not settled yet; reading it back"
    elif standing.blind:
        holding = "blind: our own network seems to be gone"
    elif state.tally is not None and (by := state.tally.outvoted_by):
        holding = f"{' and '.join(by)} go by other settings than {state.tally.own}, and are more"
    elif state.flag is None and not state.may_seed:
        holding = "no flag yet; waiting for the other vantages' votes"
    providers = own_views(state, standing)
    if tally := state.tally:
        kinds = state.policy.flip_on
        providers = tuple(
            agree(view, tally, kinds, primary=view.name == state.primary) for view in providers
        )
    return View(
        route=state.name,
        now_ms=now_ms,
        mode=state.route.mode,
        providers=providers,
        flag=state.flag,
        pin=seen.live_pin if seen else None,
        redis_readable=state.reads or bool(state.other),
        leader=state.leased,
        quorum=tally is None or tally.quorum,
        votes=tally.counted if tally else "",
        paused=standing.paused,
        holding=holding,
        sql_up=standing.sql_up,
        quiet=_quiet(state, now_ms),
        flips=state.flips,
        frozen_until=state.frozen_until,
        leaving_for_ms=leaving_ms,
    )


def own_views(state: RouteState, standing: Standing) -> tuple[ProviderView, ...]:
    """The candidates as this process alone sees them."""
    return tuple(_provider(state, p, standing) for p in state.candidates if p.enabled)


def _provider(state: RouteState, provider: Provider, standing: Standing) -> ProviderView:
    tracker = state.trackers[provider.name]
    is_primary = provider.name == state.primary
    health, why = tracker.health(standing.now_s)
    announced, drained = _announced(state, provider.name, standing.now_ms / 1000)
    if provider.name in state.maintained:
        health, why = Health.UNKNOWN, announced
    elif provider.name in standing.shut:
        health, why = Health.INELIGIBLE, standing.shut[provider.name]
    elif provider.name in standing.spent and not tracker.grave:
        health = Health.UNKNOWN if is_primary else Health.INELIGIBLE
        why = "its canary budget is spent for today"
    elif health is Health.BREACHED and tracker.breach.returning:
        if not is_primary:
            health = Health.RECOVERING
        if tracker.proven(standing.now_s):
            why = f"good again: {tracker.proof()}, after {why}"
    if health is Health.RECOVERING and is_primary:
        why = f"good again: {tracker.proof()}"  # its dwell is for coming, not for staying
    return ProviderView(
        name=provider.name,
        health=health,
        why=why,
        breached=tracker.breached,
        proven=tracker.proven(standing.now_s),
        recent_bad=tracker.recent_bad(),
        proof=tracker.proof(),
        # Looked at each second, and asked for by a last resort alone.
        lately=tracker.lately(standing.now_s, serving=is_primary)
        if health in UNWELL
        else NO_COUNTS,
        failed_ago_s=tracker.failed_ago_s(standing.now_s) if is_primary else math.inf,
        recovering_for_s=standing.now_s - tracker.breach.recovering_s,
        good_for_s=tracker.good_for_s(standing.now_s) if health in UNWELL else math.inf,
        good_in_a_row=tracker.good_in_a_row,
        residency=frozenset(provider.residency),
        domains=provider.domains,
        cost_usd=provider.price.input + provider.price.output,
        latency_s=tracker.latency_s,
        quality=tracker.quality,
        maintenance=announced,
        drained=drained,
        short=_short(state, provider),
        ineligible=_ineligible(provider.name, standing),
        free_ms=_free_ms(state, provider.name, standing),
    )


def _ineligible(name: str, standing: Standing) -> Bar:
    if name in standing.shut:
        return Bar.UNPROBED
    return Bar.BUDGET if name in standing.spent else Bar.ACCOUNT


def _free_ms(state: RouteState, name: str, standing: Standing) -> int:
    """When what holds a provider back ends by itself; 0 where no such time is known."""
    now = standing.now_ms / 1000
    ends = [
        span.end
        for window in state.windows[name]
        if (span := window.span(now)) and (span.holds(now) or window.drains(now))
    ]
    if ends:
        return round(max(ends) * 1000)
    dwell_s = state.trackers[name].breach.penalty_until_s - standing.now_s
    if math.isfinite(dwell_s) and dwell_s > 0:
        return standing.now_ms + round(dwell_s * 1000)
    # A budget is a day's by UTC.
    return (standing.now_ms // DAY_MS + 1) * DAY_MS if name in standing.spent else 0


def _announced(state: RouteState, name: str, now: float) -> tuple[str, bool]:
    """What is announced for a provider at `now`, and whether it must be left for that.

    Windows may overlap: one that only mutes does not hide one that drains.
    """
    muting = ""
    for window in state.windows[name]:
        if window.drains(now):
            return window.says(now), True
        if not muting and window.runs(now):
            muting = window.says(now)
    return muting, False


def _short(state: RouteState, provider: Provider) -> str:
    """Why the provider's own rate limits do not carry this route at its peak."""
    limits = state.trackers[provider.name].limits
    if limits is None or provider.account == "own":
        return ""
    for limit, peak, what in (
        (limits.requests.limit, state.route.peak_rpm, "requests"),
        (limits.tokens.limit, state.route.peak_tpm, "tokens"),
    ):
        if limit is not None and peak is not None and limit < peak:
            return (
                f"{provider.name} allows {limit:,} {what} a minute and {state.name} "
                f"peaks at {peak:,}"
            )
    return ""


def _quiet(state: RouteState, now_ms: int) -> bool:
    """Whether the local time is within the quiet hours, which may pass midnight."""
    hours = state.route.failover.quiet_hours
    if not hours:
        return False
    return in_hours(hours, now_ms / 1000, state.zone)


def published(state: RouteState, standing: Standing) -> list[Candidate]:
    """What applications may read of the candidates."""
    candidates = []
    for provider in state.candidates:
        view = _provider(state, provider, standing)
        why = "" if view.health in (Health.OK, Health.SUSPECT) else view.health.value
        if provider.name not in state.may_serve:
            why = "not allowed by residency"
        elif view.maintenance:
            why = view.maintenance
        elif not provider.enabled:
            why = "disabled"
        candidates.append(
            Candidate(
                name=provider.name,
                api=provider.api,
                vendor=provider.vendor,
                model=provider.model,
                base_url=provider.url,
                residency=provider.residency,
                eligible=not why,
                why_not=why,
            )
        )
    return candidates
