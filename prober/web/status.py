"""What the daemon says of itself: `status` and `why` as plain JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from prober.alerts.text import Wording, by_itself, takes
from prober.canary import advice
from prober.failover.decision_view import view_of
from prober.sample import Limits, Room, Sample
from switch.control.decide import Action, Decision
from switch.control.target import ProviderView, Weighed, choose
from switch.flag import Flag, Flip, Origin, say_duration

if TYPE_CHECKING:
    from prober.failover.drill import Drill
    from prober.failover.judge import Judge
    from prober.failover.memory import Placement
    from prober.failover.route_state import RouteState

# Of what happened since the flag came where it is, this much is told.
SHOWN = 5


def status(judge: Judge) -> dict[str, Any]:
    """Every route with its flag, its candidates and the decision in force."""
    return {"routes": [_route(judge, state) for state in judge.states.values()]}


def _route(judge: Judge, state: RouteState) -> dict[str, Any]:
    standing = judge.standing()
    view = view_of(state, standing)
    flag, pin, seen = state.flag, view.pin, state.seen
    incident = judge.incidents.find(state.name, state.primary)
    return {
        "route": state.name,
        "mode": state.route.mode.value,
        "primary": flag.provider if flag else _last_known(state),
        "epoch": flag.epoch if flag else None,
        **why_here(state.cause, flag),
        "redis": state.why_unseen or "ok",
        "leader": state.leased,
        "differences": [d.sentence for d in state.tally.differences] if state.tally else [],
        "pin": None
        if pin is None
        else {
            "provider": pin.provider,
            "owner": pin.owner,
            "reason": pin.reason,
            "until": pin.until_ms / 1000,
        },
        "frozen_until": state.frozen_until / 1000 if state.frozen_until > view.now_ms else None,
        "decision": _decision(state.decision),
        "drill": _drill(state.drill),
        "drilled": _drilled(state, view.now_ms),
        "incident": incident.number if incident else None,
        "flips": 0 if seen is None else sum(flip.moved for flip in seen.flips),
        "providers": [_provider(state, provider, standing.now_s) for provider in view.providers],
    }


def why_here(cause: Placement, flag: Flag | None) -> dict[str, Any]:
    """What brought a flag where it is, and since; the flag alone knows its last change only."""
    led = cause.flip or flag
    at_ms = cause.flip.at_ms if cause.flip else flag.changed_at if flag else None
    return {
        "changed_at": None if at_ms is None else at_ms / 1000,
        "reason": led.reason if led else "",
        "actor": led.actor if led else "",
        "origin": led.origin.value if led else None,
        "because_of": cause.flip.evidence.get("incident") if cause.flip else None,
        "since": [_happened(flip) for flip in cause.since[-SHOWN:]],
    }


def _happened(flip: Flip) -> dict[str, Any]:
    """One thing that happened to a flag after it came where it is."""
    if flip.pin is not None and flip.origin is not Origin.REPAIR:
        text = f"pinned to {flip.pin.provider} by {flip.pin.owner or 'an operator'}"
    elif flip.pin_cleared and not flip.moved:
        text = f"unpinned by {flip.actor or 'an operator'}"
    elif flip.origin is Origin.REPAIR:
        text = f"put back on {flip.to_provider}"
    else:
        text = f"{flip.from_provider} → {flip.to_provider} by {flip.actor or 'an operator'}"
    return {
        "at": flip.at_ms / 1000,
        "what": text,
        "reason": flip.reason,
        "actor": flip.actor,
        "origin": flip.origin.value,
    }


def _last_known(state: RouteState) -> str | None:
    """What applications go on with while Redis cannot be read."""
    return state.memory.flip.to_provider if state.memory.flip and not state.reads else None


def _drill(drill: Drill | None) -> dict[str, Any] | None:
    if drill is None:
        return None
    until = (drill.left_ms + drill.for_ms) / 1000 if drill.left_ms else None
    return {
        "id": drill.id,
        "home": drill.home,
        "away": drill.away,
        "by": drill.by,
        "until": until,
        "going_back": drill.result is not None,
    }


def _drilled(state: RouteState, now_ms: int) -> dict[str, Any] | None:
    """The last drill: when a failover was last proven to carry."""
    last = state.memory.drilled
    if last is None:
        return None
    return {
        "at": last.at_ms / 1000,
        "provider": last.provider,
        "result": last.result.value if last.result else None,
        "lasted_s": last.lasted_s,
        "sentence": last.sentence(now_ms),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "action": decision.action.value,
        "reason": decision.reason,
        "target": decision.target or None,
        "alarm": decision.alarm.value if decision.alarm else None,
    }


def _provider(state: RouteState, view: ProviderView, now_s: float) -> dict[str, Any]:
    tracker = state.trackers[view.name]
    last = tracker.last
    return {
        "name": view.name,
        "health": view.health.value,
        "why": view.why,
        "proven": view.proven,
        "proof": view.proof,
        "level": round(tracker.level, 3),
        "score": tracker.breach.score if tracker.breach.latched else None,
        "latency_s": tracker.latency_s,
        "last": None
        if last is None
        else {
            "at": last.started_at,
            "outcome": last.outcome.value,
            "detail": last.detail,
            "first_text_s": last.phases.first_text_s,
        },
        "room": _room(last, now_s) if last else None,
        "reports": tracker.traffic.explain(now_s) if tracker.traffic else "",
        "retried": tracker.retries.clause(),
        "advice": advice(state.kind_of(view.name)) if tracker.wrong else "",
        "evidence": [
            {
                "objective": evidence.objective.name,
                "clause": evidence.clause(),
                "explain": evidence.detector.explain(),
                "breached": evidence.detector.breached
                or evidence.objective.name in tracker.breach.latched,
            }
            for evidence in tracker.evidence
        ],
    }


def _room(last: Sample, now_s: float) -> dict[str, Any] | None:
    """What the last canary's rate-limit headers left, in short and in full."""
    if last.limits is None:
        return None
    said_s = last.started_s + (last.phases.first_byte_s or 0.0)
    return {
        "short": room_words(last.limits, max(0.0, now_s - said_s)),
        "at": last.started_at,
        **asdict(last.limits),
    }


def room_words(limits: Limits, age_s: float) -> str:
    """ "requests 9,990 of 10,000, tokens 98 % left, resets in 6 s", said `age_s` ago.

    The reset is that of the scarcer one; a reset that has passed is not told.
    """
    rooms = [limits.requests, limits.tokens]
    parts = [_requests(limits.requests), _tokens(limits.tokens)]
    known = [room for room in rooms if room.remaining is not None and room.reset_s is not None]
    scarcer = min(known, key=_share, default=Room())
    left_s = (scarcer.reset_s or 0.0) - age_s
    if left_s > 0:
        parts.append(f"resets in {say_duration(left_s)}")
    wait_s = (limits.retry_after_s or 0.0) - age_s
    if wait_s > 0:
        parts.append(f"asks to wait {say_duration(wait_s)}")
    return ", ".join(part for part in parts if part)


def _share(room: Room) -> float:
    """Of the limit, what is left; 1 where nobody says."""
    if room.limit is None or room.remaining is None:
        return 1.0
    return room.remaining / room.limit if room.limit else 0.0


def _requests(room: Room) -> str:
    if room.remaining is None:
        return "" if room.limit is None else f"requests at most {room.limit:,}"
    whole = "left" if room.limit is None else f"of {room.limit:,}"
    return f"requests {room.remaining:,} {whole}"


def _tokens(room: Room) -> str:
    if room.remaining is None:
        return "" if room.limit is None else f"tokens at most {room.limit:,}"
    if not room.limit:
        return f"tokens {room.remaining:,} left"
    # Rounded down: 0 % is nothing, and 100 % is all.
    return f"tokens {min(100, 100 * room.remaining // room.limit)} % left"


def _chance(state: RouteState, now: float, one: Weighed) -> dict[str, Any]:
    return {
        "name": one.name,
        "eligible": one.eligible,
        "why": one.why,
        "bar": one.bar.value if one.bar else None,
        "free_at": one.free_ms / 1000 if one.free_ms else None,
        "by_itself": by_itself(one, now, Wording(state.zone, {}).clock),
        "command": takes(state.name, one),
    }


def why(judge: Judge, state: RouteState) -> dict[str, Any]:
    """The decision in force, each provider's evidence, and each candidate's chances."""
    standing = judge.standing()
    view = view_of(state, standing)
    answer = _route(judge, state)
    primary = view.provider(state.primary)
    weighed = state.decision.weighed
    if not weighed or state.decision.action is Action.HOLD:
        weighed = choose(view, state.policy, None, besides=state.primary).weighed
    answer["candidates"] = [_chance(state, view.now_ms / 1000, one) for one in weighed]
    answer["primary_why"] = primary.why if primary else ""
    return answer
