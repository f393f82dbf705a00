"""decide(view, policy) -> Decision: whether the flag must change, and the sentence why. Pure.

The first rule that applies wins; their order is the safety of the product. The invariants, which
the tests try to break: unknown never flips, a pin is never overridden, a target is always
allowed, eligible and just proven, and when everything is bad the flag stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from switch.control.target import (
    LATELY_S,
    Policy,
    ProviderView,
    View,
    Weighed,
    choose,
    clearly_better,
    last_resort,
    listed,
    refused_by_residency,
)
from switch.flag import Flag, Flip, Health, Mode, Op, Pin, say_duration

OUTAGE = frozenset({"availability", "quota_exhausted", "auth", "model_not_found"})
LATENCY = frozenset({"ttft", "total", "tokens_per_s"})
LONG_HEALTHY = 20


class Action(StrEnum):
    HOLD = "hold"
    SEED = "seed"
    FLIP = "flip"
    PROVE = "prove"


class Alarm(StrEnum):
    """What a decision wants people to know, besides a flip itself."""

    NO_CANDIDATE = "no_candidate"
    NO_QUORUM = "no_quorum"
    REGIONAL = "regional"
    WOULD_FAIL_OVER = "would_fail_over"
    PINNED_WHILE_BAD = "pinned_while_bad"
    FROZEN = "frozen"
    FAILBACK_READY = "failback_ready"
    BREACH_STAYS = "breach_stays"
    PAUSED_WHILE_BAD = "paused_while_bad"


FAILOVERS = ("failover", "last_resort")
LEAVING = (Alarm.NO_CANDIDATE, Alarm.WOULD_FAIL_OVER, Alarm.FROZEN)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and why in one sentence.

    Attributes:
        kind: of a flip, of its proof and of the want of a target: "failover", "last_resort",
            "failback", "planned" or "pin".
        weighed: each candidate but the primary, with why it would be taken or refused.
    """

    action: Action
    reason: str
    target: str = ""
    kind: str = ""
    alarm: Alarm | None = None
    weighed: tuple[Weighed, ...] = ()

    @property
    def leaves(self) -> bool:
        """Whether the primary should be left; one that could go home is not failing."""
        return self.kind in (*FAILOVERS, "planned") or self.alarm in LEAVING


def decide(view: View, policy: Policy) -> Decision:
    """The decision for one route. Rules in the order of docs/contract.md, "decide"."""
    if not view.redis_readable:
        return _hold("Redis cannot be read; applications keep the last provider they know")
    if view.holding:
        return _hold(view.holding)
    if view.flag is None:
        return _bootstrap(view, policy)
    if view.mode is not Mode.OBSERVE and not view.leader:
        return _hold("another vantage holds the lease")
    decision = _pinned(view, policy, view.pin) if view.pin else _unpinned(view, policy, view.flag)
    if view.paused and view.mode is not Mode.OBSERVE:
        return _paused(decision)
    return decision


def _hold(reason: str, alarm: Alarm | None = None, weighed: Sequence[Weighed] = ()) -> Decision:
    return Decision(Action.HOLD, reason, alarm=alarm, weighed=tuple(weighed))


def _bootstrap(view: View, policy: Policy) -> Decision:
    if view.mode is not Mode.OBSERVE and not view.leader:
        return _hold("another vantage holds the lease")
    if view.paused:
        return _hold("paused by an operator")
    choice = choose(view, policy, leaving=None)
    if choice.target is None:
        reason = "no flag yet, and no candidate can be proven"
        return _hold(f"{reason}{_unproven(view.providers)}", weighed=choice.weighed)
    name = choice.target.name
    if not choice.target.proven:
        known = _unproven((choice.target,)) if choice.target.recent_bad else ""
        reason = f"no flag yet; proving {name} first{known}"
        return Decision(Action.PROVE, reason, name, weighed=choice.weighed)
    return Decision(
        Action.SEED,
        f"first flag: {name} answered its canaries ({choice.target.proof})",
        name,
        weighed=choice.weighed,
    )


def _unproven(providers: Sequence[ProviderView]) -> str:
    """ "; a is not proven: 12 of 12 answers wrong in 61 s"."""
    return "".join(f"; {p.name} is not proven: {p.why}" for p in providers if p.why)


def _paused(free: Decision) -> Decision:
    """Nothing moves; but a primary that should be left is news all the same."""
    if not free.leaves:
        return _hold("paused by an operator", weighed=free.weighed)
    reason = f"paused by an operator; otherwise: {free.reason}"
    return _hold(reason, Alarm.PAUSED_WHILE_BAD, free.weighed)


def _pinned(view: View, policy: Policy, pin: Pin) -> Decision:
    assert view.flag is not None
    until = say_duration((pin.until_ms - view.now_ms) / 1000)
    pinned = f"pinned to {pin.provider} by {pin.owner or 'an operator'} for {until} more"
    if view.flag.provider != pin.provider:
        target = view.provider(pin.provider)
        refusal = "not a candidate" if target is None else refused_by_residency(target, policy)
        if refusal:
            return _hold(f"{pinned}, but {pin.provider} is not allowed here ({refusal})")
        return Decision(Action.FLIP, pinned, pin.provider, kind="pin")
    free = _unpinned(view, policy, view.flag)
    if not free.leaves:
        return _hold(pinned, weighed=free.weighed)
    text = f"would flip to {free.target}" if free.target else "no candidate could take over"
    return _hold(
        f"{pinned}; without the pin: {text} ({free.reason})",
        Alarm.PINNED_WHILE_BAD,
        free.weighed,
    )


def _unpinned(view: View, policy: Policy, flag: Flag) -> Decision:
    if not view.quorum:
        counted = f": {view.votes}" if view.votes else ""
        return _hold(f"no majority of vantages agrees{counted}", Alarm.NO_QUORUM)
    primary = view.provider(flag.provider)
    if primary is None:
        reason = f"{flag.provider} is no longer a candidate of {view.route}"
        return _leave(view, policy, None, reason, planned=True, kinds=frozenset())
    if refusal := refused_by_residency(primary, policy):
        reason = f"{primary.name} is not allowed here ({refusal})"
        return _leave(view, policy, primary, reason, planned=True, kinds=frozenset())
    if primary.drained:
        reason = f"{primary.name} is drained: {primary.maintenance}"
        return _leave(view, policy, primary, reason, planned=True, kinds=frozenset())
    if primary.regional:
        reason = f"{primary.name} is {primary.regional}; a minority moves no flag"
        return _hold(reason, Alarm.REGIONAL, choose(view, policy, primary).weighed)
    bad = primary.health in (Health.BREACHED, Health.INELIGIBLE)
    kinds = primary.breached & policy.flip_on
    if bad and kinds:
        breached = primary.health is Health.BREACHED
        trouble = f"breached {listed(kinds)}" if breached else "cannot serve"
        reason = f"{primary.name} {trouble}: {primary.why}"
        return _leave(view, policy, primary, reason, planned=False, kinds=kinds)
    if bad:
        home = _failback(view, policy, flag, primary)
        if home.action is not Action.HOLD and primary.health is Health.BREACHED:
            return home  # a breach that moves no flag keeps none from going home
        reason = f"{primary.name} is {primary.health} ({primary.why}), which flip_on does not name"
        alarm = Alarm.BREACH_STAYS if primary.health is Health.BREACHED else None
        return _hold(reason, alarm, choose(view, policy, primary).weighed)
    if primary.health is Health.UNKNOWN:
        why = f" ({primary.why})" if primary.why else ""
        return _hold(f"{primary.name} is unknown{why}; unknown is not down")
    return _failback(view, policy, flag, primary)


def _leave(
    view: View,
    policy: Policy,
    primary: ProviderView | None,
    reason: str,
    *,
    planned: bool,
    kinds: frozenset[str],
) -> Decision:
    """The primary must go: where to, or why not."""
    outage = bool(kinds & OUTAGE)
    kind = "planned" if planned else "failover"
    choice = choose(view, policy, primary, faster=bool(kinds) and kinds <= LATENCY)
    target = choice.target
    if outage and primary is not None and (target is None or target.doubtful):
        resort = last_resort(view, policy, primary)
        if resort is not None:
            return _leave_for(view, policy, primary, resort, reason, choice.weighed)
    if target is None:
        text = f"{reason}; no candidate is fit"
        return Decision(
            Action.HOLD, text, kind=kind, alarm=Alarm.NO_CANDIDATE, weighed=choice.weighed
        )
    if not target.proven:
        # A proof takes seconds; a target that cannot finish one is no way out.
        late = view.leaving_for_ms > 30_000
        return Decision(
            Action.PROVE,
            f"{reason}; proving {target.name} first",
            target.name,
            kind=kind,
            alarm=Alarm.NO_CANDIDATE if late else None,
            weighed=choice.weighed,
        )
    whole = f"{reason}; {target.name} healthy, {target.proof or 'just proven'}"
    if target.short:
        whole += f"; beware: {target.short}"
    if view.mode is Mode.PROPOSE:
        return Decision(
            Action.HOLD, whole, target.name, alarm=Alarm.WOULD_FAIL_OVER, weighed=choice.weighed
        )
    frozen = view.frozen_until > view.now_ms
    if frozen and not planned and not (outage and _long_healthy(view, policy, target)):
        for_s = (view.frozen_until - view.now_ms) / 1000
        text = f"{whole}; frozen for {say_duration(for_s)} after too many flips"
        return Decision(Action.HOLD, text, target.name, alarm=Alarm.FROZEN, weighed=choice.weighed)
    return Decision(
        Action.FLIP,
        whole,
        target.name,
        kind=kind,
        weighed=choice.weighed,
    )


def _leave_for(
    view: View,
    policy: Policy,
    primary: ProviderView,
    resort: ProviderView,
    reason: str,
    weighed: tuple[Weighed, ...],
) -> Decision:
    """No candidate is fit, and one has just recovered: taken once it is clearly the better one.

    Its dwell holds for going home, not for the way out.
    """
    kind, late = "last_resort", view.leaving_for_ms > 30_000
    clearly = clearly_better(resort, primary)
    counted = f"{resort.lately.good} of {sum(resort.lately)} good since it began to recover"
    if not (clearly and resort.proven):
        # Looked at closely, but not for ever: the longer it takes, the less it is worth.
        looking = clearly or resort.recovering_for_s <= LATELY_S
        doubt = "proving it first" if clearly else "not clearly better yet"
        return Decision(
            Action.PROVE if looking else Action.HOLD,
            f"{reason}; as a last resort {resort.name}, {counted}: {doubt}",
            resort.name,
            kind=kind,
            alarm=Alarm.NO_CANDIDATE if late or not looking else None,
            weighed=weighed,
        )
    whole = f"{reason}; no candidate is healthy: {resort.name} as a last resort, {counted}"
    if view.mode is Mode.PROPOSE:
        return Decision(
            Action.HOLD, whole, resort.name, alarm=Alarm.WOULD_FAIL_OVER, weighed=weighed
        )
    if view.frozen_until > view.now_ms and _resort_left(view, policy):
        for_s = (view.frozen_until - view.now_ms) / 1000
        text = f"{whole}; frozen for {say_duration(for_s)}: the last one had to be left again"
        return Decision(Action.HOLD, text, resort.name, alarm=Alarm.FROZEN, weighed=weighed)
    return Decision(Action.FLIP, whole, resort.name, kind=kind, weighed=weighed)


def _resort_left(view: View, policy: Policy) -> bool:
    """Whether a last resort failed, and was left, within the freeze window."""
    moves = (flip for flip in view.flips if flip.moved)
    return any(
        taken.kind == "last_resort"
        and left.kind in FAILOVERS
        and view.now_ms - left.at_ms <= policy.freeze_window_ms
        for taken, left in pairwise(moves)
    )


def _long_healthy(view: View, policy: Policy, target: ProviderView) -> bool:
    last = max((flip.at_ms for flip in view.flips if flip.moved), default=0)
    return target.good_in_a_row >= LONG_HEALTHY and view.now_ms - last >= policy.healthy_for_ms


def _failback(view: View, policy: Policy, flag: Flag, primary: ProviderView) -> Decision:
    weighed = choose(view, policy, None, besides=primary.name).weighed
    fine = f"{primary.name} is {primary.health}" + (f": {primary.why}" if primary.why else "")
    home = _home(view, policy, primary)
    if home is None:
        return _hold(fine, weighed=weighed)
    # Seeds and repairs are no flips: they leave the flag free to go home.
    people = (Op.AUTO, Op.MANUAL)
    last = next((flip for flip in reversed(view.flips) if flip.moved and flip.op in people), None)
    since = view.now_ms - flag.changed_at
    ours = last.automatic if last else flag.origin.by_daemon
    if not ours:
        # A seed or a repair put back what somebody else had placed.
        who = last.actor if last and flag.origin.by_daemon else flag.actor
        return _hold(f"{fine}; placed here by {who or 'an operator'}", weighed=weighed)
    waiting = ""
    if not view.sql_up:
        waiting = "history cannot be written"
    elif view.frozen_until > view.now_ms:
        waiting = "frozen after too many flips"
    elif since < policy.healthy_for_ms:
        waiting = f"{say_duration((policy.healthy_for_ms - since) / 1000)} of dwell left"
    elif view.quiet:
        waiting = "quiet hours"
    elif home.short:
        waiting = home.short
    if waiting:
        return _hold(f"{fine}; {home.name} is ready, no failback yet: {waiting}", weighed=weighed)
    if policy.failback == "manual" or view.mode is Mode.PROPOSE:
        return Decision(
            Action.HOLD,
            f"{fine}; {home.name} is healthy again, waiting for you to fail back",
            home.name,
            alarm=Alarm.FAILBACK_READY,
            weighed=weighed,
        )
    if not home.proven:
        reason = f"{home.name} is healthy again; proving it before failing back"
        return Decision(Action.PROVE, reason, home.name, kind="failback", weighed=weighed)
    reason = f"{home.name} healthy again, {home.proof or 'just proven'}; failing back"
    return Decision(Action.FLIP, reason, home.name, kind="failback", weighed=weighed)


def _home(view: View, policy: Policy, primary: ProviderView) -> ProviderView | None:
    """The best healthy candidate that by configuration comes before the primary."""
    # Latency and quality drift: going home by them would be flapping.
    settled = list(view.providers)
    if policy.prefer == "cost":
        settled.sort(key=lambda provider: provider.cost_usd)
    before = settled[: settled.index(primary)]
    fit = [
        p
        for p in before
        if p.health is Health.OK and not p.maintenance and not refused_by_residency(p, policy)
    ]
    # One that cannot carry the route is waited for only where no other is home.
    return next((p for p in fit if not p.short), fit[0] if fit else None)


def frozen_until(flips: Sequence[Flip], policy: Policy, acknowledged_ms: int = 0) -> int:
    """Until when failbacks and latency flips rest after flapping; 0 when they do not.

    `max_flips` automatic flips within `freeze_window` freeze the route until that window has
    passed twice, or an operator has acknowledged it since. Flips by plan (a drain) are not
    counted: a provider that breaks just after its maintenance must be left at once.
    """
    flapping = (f for f in flips if f.automatic and f.kind != "planned")
    times = [flip.at_ms for flip in flapping if flip.at_ms > acknowledged_ms]
    until = 0
    for last in range(policy.max_flips - 1, len(times)):
        first = last - policy.max_flips + 1
        close = times[last] - times[first] <= policy.freeze_window_ms
        if close:
            until = times[last] + 2 * policy.freeze_window_ms
    return until
