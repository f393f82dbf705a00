"""What the daemon says of itself: `status` and `why` as plain JSON."""

from __future__ import annotations

from typing import Any

from prober.drill import Drill
from prober.judge import Judge
from prober.route import RouteState
from switch.decide import Action, Decision
from switch.target import ProviderView, choose


def status(judge: Judge) -> dict[str, Any]:
    """Every route with its flag, its candidates and the decision in force."""
    return {"routes": [_route(judge, state) for state in judge.states.values()]}


def _route(judge: Judge, state: RouteState) -> dict[str, Any]:
    standing = judge.standing()
    view = state.view(standing)
    flag, pin, seen = state.flag, view.pin, state.seen
    incident = judge.incidents.find(state.name, state.primary)
    return {
        "route": state.name,
        "mode": state.route.mode.value,
        "primary": flag.provider if flag else _last_known(state),
        "epoch": flag.epoch if flag else None,
        "changed_at": flag.changed_at / 1000 if flag else None,
        "reason": flag.reason if flag else "",
        "actor": flag.actor if flag else "",
        "redis": state.why_unseen or "ok",
        "leader": state.leased,
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
        "providers": [_provider(state, provider) for provider in view.providers],
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


def _provider(state: RouteState, view: ProviderView) -> dict[str, Any]:
    tracker = state.trackers[view.name]
    last = tracker.last
    return {
        "name": view.name,
        "health": view.health.value,
        "why": view.why,
        "proven": view.proven,
        "proof": view.proof,
        "level": round(tracker.level, 3),
        "score": tracker.score if tracker.latched else None,
        "latency_s": tracker.latency_s,
        "last": None
        if last is None
        else {
            "at": last.started_at,
            "outcome": last.outcome.value,
            "detail": last.detail,
            "first_text_s": last.phases.first_text_s,
        },
        "evidence": [
            {
                "objective": evidence.objective.name,
                "clause": evidence.clause(),
                "explain": evidence.detector.explain(),
                "breached": evidence.detector.breached
                or evidence.objective.name in tracker.latched,
            }
            for evidence in tracker.evidence
        ],
    }


def why(judge: Judge, state: RouteState) -> dict[str, Any]:
    """The decision in force, each provider's evidence, and each candidate's chances."""
    standing = judge.standing()
    view = state.view(standing)
    said = _route(judge, state)
    primary = view.provider(state.primary)
    weighed = state.decision.weighed
    if not weighed or state.decision.action is Action.HOLD:
        weighed = choose(view, state.policy, None, besides=state.primary).weighed
    said["candidates"] = [{"name": w.name, "eligible": w.eligible, "why": w.why} for w in weighed]
    said["primary_why"] = primary.why if primary else ""
    return said
