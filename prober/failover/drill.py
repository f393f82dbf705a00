"""A drill: the failover exercised on purpose, for a bounded time, and back. Pure.

What a drill did stands in the evidence of its two flips, and nowhere else: from the flips alone
a daemon that was killed in the middle, or another vantage, takes it up and goes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from prober.clock import in_hours, local_time
from switch.control.decide import Action, Decision
from switch.control.target import Policy, ProviderView, View, choose, refused_by_residency
from switch.flag import Flip, Health, Mode, Op, say_duration

USUAL = timedelta(minutes=2)
LONGEST = timedelta(minutes=30)
# From the proof to the first tick that sees it, with room for a slow Redis.
LEAVE_WITHIN_MS = 30_000
STUCK_AFTER_MS = 60_000
UNFIT = (Health.BREACHED, Health.INELIGIBLE, Health.RECOVERING)


class DrillResult(StrEnum):
    """How a drill ended. `cut`: something else ended it, so it says nothing of the fallback."""

    CARRIED = "carried"
    FAILED = "failed"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill under way. Times are milliseconds by Redis TIME.

    Attributes:
        by: who asked for it.
        left_ms, left_epoch: when the flag went to `away`, and at which epoch; 0: not yet.
        result: set once it wants to go back, with `why`; since `back_ms`.
    """

    id: str
    home: str
    away: str
    by: str
    for_ms: int
    asked_ms: int
    left_ms: int = 0
    left_epoch: int = 0
    result: DrillResult | None = None
    why: str = ""
    back_ms: int = 0

    @property
    def wants(self) -> str:
        """The provider whose proof it waits for."""
        if not self.left_ms:
            return self.away
        return self.home if self.result else ""

    @property
    def actor(self) -> str:
        return f"drill of {self.by}"

    def evidence(self, proof: str, now_ms: int) -> dict[str, Any]:
        """What its next flip is remembered by."""
        about = {"kind": "drill", "drill": self.id, "by": self.by, "proof": proof}
        if self.result is None:
            return {**about, "phase": "out", "for_s": self.for_ms / 1000}
        lasted_s = (self._until_ms(now_ms) - self.left_ms) / 1000
        more = {"result": self.result.value, "why": self.why, "lasted_s": lasted_s}
        return {**about, "phase": "back", **more}

    def _until_ms(self, now_ms: int) -> int:
        return self.back_ms if self.result is DrillResult.FAILED else now_ms

    def lasted(self, now_ms: int) -> str:
        return say_duration((self._until_ms(now_ms) - self.left_ms) / 1000)


class Do(StrEnum):
    WAIT = "wait"
    LEAVE = "leave"
    RETURN = "return"
    END = "end"


@dataclass(frozen=True, slots=True)
class DrillStep:
    """What to do now, the drill as it stands after that, and the sentence why."""

    do: Do
    drill: Drill
    reason: str

    def stuck(self, now_ms: int) -> bool:
        """It should be back by now, and cannot."""
        drill = self.drill
        waits = self.do is Do.WAIT and drill.result is not None
        return waits and now_ms - drill.back_ms >= STUCK_AFTER_MS


def step(drill: Drill, view: View, policy: Policy, decision: Decision) -> DrillStep:
    """One look at a drill under way; `decision` is what the normal rules want."""
    last = _last(view.flips)
    if last is not None and last.evidence.get("drill") == drill.id:
        if last.evidence.get("phase") == "back":
            return DrillStep(Do.END, drill, "it is over")
        drill = replace(drill, left_ms=last.at_ms, left_epoch=last.epoch)
    elif drill.left_ms and last is not None and last.epoch > drill.left_epoch:
        return DrillStep(Do.END, drill, f"{last.actor or 'somebody'} moved or pinned the flag")
    if view.pin is not None:
        return DrillStep(Do.END, drill, f"{view.pin.owner or 'an operator'} pinned {view.route}")
    if why := _cannot_act(view):
        return DrillStep(Do.WAIT, drill, why)
    assert view.flag is not None
    if view.flag.provider != (drill.away if drill.left_ms else drill.home):
        return DrillStep(Do.END, drill, f"the flag is on {view.flag.provider}")
    if not drill.left_ms:
        return _leave(drill, view, policy, decision)
    return _back(_judged(drill, view), view, policy)


def _cannot_act(view: View) -> str:
    """Why nothing may be written now, though it may later."""
    if not view.redis_readable or view.flag is None:
        return "Redis cannot be read, or has no flag"
    if view.holding:
        return view.holding
    if not view.leader:
        return "another vantage holds the lease"
    return "paused by an operator" if view.paused else ""


def _leave(drill: Drill, view: View, policy: Policy, decision: Decision) -> DrillStep:
    if decision.action is not Action.HOLD or decision.alarm is not None:
        return DrillStep(Do.END, drill, f"this is no time for it: {decision.reason}")
    away = view.provider(drill.away)
    if away is None or _unfit(away) or refused_by_residency(away, policy):
        return DrillStep(Do.END, drill, f"{drill.away} may not serve {view.route} now")
    if away.proven:
        lasts = say_duration(drill.for_ms / 1000)
        reason = f"drill by {drill.by}, {lasts} at most; {away.name} healthy, {away.proof}"
        return DrillStep(Do.LEAVE, drill, reason)
    if view.now_ms - drill.asked_ms > LEAVE_WITHIN_MS:
        return DrillStep(Do.END, drill, f"{drill.away} could not be proven")
    return DrillStep(Do.WAIT, drill, f"proving {drill.away} for a drill")


def _unfit(provider: ProviderView) -> bool:
    return provider.health in UNFIT or bool(provider.maintenance)


def _judged(drill: Drill, view: View) -> Drill:
    """The same drill, wanting to go back once its fallback turned bad or its time is over."""
    away = view.provider(drill.away)
    now_ms = view.now_ms
    if drill.result is DrillResult.FAILED:
        return drill
    if away is None:
        return _ended(drill, DrillResult.CUT, f"{drill.away} is no candidate any more", now_ms)
    # Unknown is not down: our own network may be gone.
    bad = away.health in UNFIT or (away.recent_bad and away.health is not Health.UNKNOWN)
    if bad and drill.result is not DrillResult.CUT:
        why = away.why if away.health in UNFIT else away.proof
        return _ended(drill, DrillResult.FAILED, why, now_ms)
    if drill.result is None and away.maintenance:
        return _ended(drill, DrillResult.CUT, away.maintenance, now_ms)
    if drill.result is None and now_ms - drill.left_ms >= drill.for_ms:
        if away.health is Health.UNKNOWN:
            return _ended(drill, DrillResult.CUT, f"{away.name} is unknown: {away.why}", now_ms)
        return _ended(drill, DrillResult.CARRIED, "", now_ms)
    return drill


def _ended(drill: Drill, result: DrillResult, why: str, now_ms: int) -> Drill:
    return replace(drill, result=result, why=why, back_ms=now_ms)


def _back(drill: Drill, view: View, policy: Policy) -> DrillStep:
    home = view.provider(drill.home)
    if home is None or refused_by_residency(home, policy):
        text = f"{drill.home} may not serve {view.route} any more; the flag stays on {drill.away}"
        return DrillStep(Do.END, drill, text)
    if drill.result is None:
        left = say_duration((drill.left_ms + drill.for_ms - view.now_ms) / 1000)
        text = f"drill: {drill.away} serves {view.route} for {left} more"
        return DrillStep(Do.WAIT, drill, text)
    if _unfit(home) or not home.proven:
        text = f"drill over; back to {home.name} once it is proven"
        return DrillStep(
            Do.WAIT, drill, f"{text} ({home.maintenance or f'{home.health}: {home.why}'})"
        )
    outcome = say_result(drill.away, drill.result, drill.lasted(view.now_ms), drill.why)
    return DrillStep(Do.RETURN, drill, f"drill over: {outcome}; {home.name} healthy, {home.proof}")


def say_result(away: str, result: DrillResult, lasted: str, why: str) -> str:
    """ "openai carried 2 min"."""
    if result is DrillResult.CARRIED:
        return f"{away} carried {lasted}"
    because = f" ({why})" if why else ""
    if result is DrillResult.FAILED:
        return f"{away} failed after {lasted}{because}"
    return f"cut short on {away} after {lasted}{because}"


def _last(flips: Iterable[Flip]) -> Flip | None:
    """The newest flip that a decision or a person made; repairs and seeds go on with it."""
    moves = [flip for flip in flips if flip.op in (Op.AUTO, Op.MANUAL)]
    return moves[-1] if moves else None


def resumed(view: View, policy: Policy) -> Drill | None:
    """A drill that whoever began it left open: it only has to go back."""
    last = _last(view.flips)
    if last is None or last.evidence.get("phase") != "out" or not last.evidence.get("drill"):
        return None
    home = view.provider(last.from_provider)
    on_away = view.flag is not None and view.flag.provider == last.to_provider
    if not on_away or home is None or refused_by_residency(home, policy):
        return None
    if view.pin is not None or _cannot_act(view):
        return None
    return Drill(
        id=str(last.evidence["drill"]),
        home=last.from_provider,
        away=last.to_provider,
        by=str(last.evidence.get("by") or "somebody"),
        for_ms=round(float(last.evidence.get("for_s") or 0) * 1000),
        asked_ms=last.at_ms,
        left_ms=last.at_ms,
        left_epoch=last.epoch,
        result=DrillResult.CUT,
        why="the daemon restarted",
        back_ms=view.now_ms,
    )


# -- whether one may begin -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator asks for. `window` and `quiet_hours`: "10:00-16:00", or empty."""

    for_ms: int
    zone: ZoneInfo
    window: str = ""
    quiet_hours: str = ""


def refusal(view: View, policy: Policy, wish: Wish, incident: int | None) -> str:
    """Why no drill may begin now, in one line with the way out; empty when one may."""
    route = view.route
    if view.mode is Mode.OBSERVE:
        return f"{route} is in mode observe, which never writes"
    if view.flag is None and view.redis_readable:
        return f"{route} has no flag yet"
    if view.pin is not None:
        until = say_duration((view.pin.until_ms - view.now_ms) / 1000)
        held = f"{route} is pinned by {view.pin.owner or 'an operator'} for {until} more"
        return f"{held}; `prober unpin {route}` first"
    if view.paused:
        return "automation is paused; `prober resume` first"
    if why := _cannot_act(view):
        return f"{route}: {why}"
    if view.frozen_until > view.now_ms:
        return f"{route} is frozen after too many flips; `prober ack {route}` ends that"
    if incident is not None:
        return f"incident {incident} of {route} is open; drill when all is well"
    return _bad_time(view, wish) or _bad_state(view, policy)


def _bad_time(view: View, wish: Wish) -> str:
    begin, end = view.now_ms / 1000, (view.now_ms + wish.for_ms) / 1000
    for hours, wanted, name in (
        (wish.window, True, "--window"),
        (wish.quiet_hours, False, "the quiet hours"),
    ):
        for at, verb in ((begin, "it is"), (end, "it would end at")):
            if hours and in_hours(hours, at, wish.zone) is not wanted:
                place = "outside" if wanted else "within"
                return f"{verb} {local_time(at, wish.zone)}, {place} {name} {hours}"
    return ""


def _bad_state(view: View, policy: Policy) -> str:
    assert view.flag is not None
    route, primary = view.route, view.provider(view.flag.provider)
    if primary is None or refused_by_residency(primary, policy):
        return f"{view.flag.provider}, which serves {route}, may not serve it any more"
    if primary.health is not Health.OK:
        return f"{primary.name} is {primary.health} ({primary.why}); drill when all is well"
    if primary.maintenance:
        return f"{primary.name}: {primary.maintenance}; drill another time"
    last = _last(view.flips)
    ours = last.automatic if last is not None else view.flag.origin.by_daemon
    home = _home(view, policy)
    if ours and home != primary.name:
        # Going home by itself asks who placed the flag; a drill would be the answer.
        placed = f"automation put {route} on {primary.name}, and its home is {home}"
        return f"{placed}; `prober failback {route}` first"
    if fallback(view, policy) is None:
        weighed = choose(view, policy, primary).weighed
        text = "; ".join(f"{w.name}: {w.why}" for w in weighed) or "there is no other candidate"
        return f"nobody could carry {route}: {text}"
    return ""


def _home(view: View, policy: Policy) -> str:
    """Whom the flag belongs to by configuration when all are well."""
    if policy.prefer == "cost":
        return min(view.providers, key=lambda provider: provider.cost_usd).name
    return view.providers[0].name


def fallback(view: View, policy: Policy) -> ProviderView | None:
    """Where a failover would go now."""
    primary = view.provider(view.flag.provider) if view.flag else None
    return choose(view, policy, primary).target if primary else None


# -- what is remembered --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drilled:
    """The last drill of a route. `result` None: nothing has ended it yet."""

    at_ms: int
    provider: str
    by: str
    result: DrillResult | None = None
    lasted_s: float = 0.0
    why: str = ""

    def sentence(self, now_ms: int) -> str:
        """ "last drill 3 d ago: openai carried 2 min"."""
        ago = say_duration(max(0, now_ms - self.at_ms) / 1000)
        if self.result is None:
            return f"last drill {ago} ago: on {self.provider}, and not back yet"
        result = say_result(self.provider, self.result, say_duration(self.lasted_s), self.why)
        return f"last drill {ago} ago: {result}"


def drilled(before: Drilled | None, flip: Flip) -> Drilled | None:
    """The last drill after one more flip, oldest first."""
    if flip.op not in (Op.AUTO, Op.MANUAL):
        return before
    evidence = flip.evidence
    if evidence.get("drill") and evidence.get("phase") == "out":
        return Drilled(flip.at_ms, flip.to_provider, str(evidence.get("by", "")))
    if before is None or before.result is not None:
        return before
    lasted_s = (flip.at_ms - before.at_ms) / 1000
    if evidence.get("drill"):
        lasted_s = float(evidence.get("lasted_s") or lasted_s)
        result = DrillResult(evidence.get("result") or DrillResult.CUT)
        return replace(before, result=result, lasted_s=lasted_s, why=str(evidence.get("why") or ""))
    left = flip.automatic and flip.from_provider == before.provider
    result = DrillResult.FAILED if left else DrillResult.CUT
    why = str(evidence.get("why") or "") if left else f"{flip.actor or 'somebody'} took over"
    return replace(before, result=result, lasted_s=lasted_s, why=why)
