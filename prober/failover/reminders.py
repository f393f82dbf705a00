"""Alarms of decisions: which of them people must hear of, when first, and when again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prober.alerts.messages import alarms
from prober.canary import advice
from prober.sample import Fault
from switch.control.decide import Action, Alarm, Decision
from switch.flag import Mode

if TYPE_CHECKING:
    from prober.alerts.event import AlertEvent
    from prober.alerts.text import Wording
    from prober.clock import Clock
    from prober.config.schema import Config
    from prober.failover.route_state import RouteState
    from prober.history.incidents import Incident, Incidents

HOUR_S = 3600.0
DAY_S = 86_400.0
# Votes come a second apart: what one sees first, the others see in a moment, or the next boots.
PATIENT = (Alarm.REGIONAL, Alarm.NO_QUORUM)
STRANDED = (Alarm.NO_CANDIDATE, Alarm.PINNED_WHILE_BAD, Alarm.PAUSED_WHILE_BAD)


def _episode(state: RouteState, incident: Incident | None) -> str:
    """The trouble an alarm is about: an incident, else the flag as it stands."""
    return incident.id if incident else state.flag.decision_id if state.flag else ""


class Reminders:
    """Remembers which alarm was told when, and which routes are acknowledged."""

    def __init__(self, incidents: Incidents, clock: Clock, config: Config, text: Wording) -> None:
        self._incidents = incidents
        self._clock = clock
        self._told: dict[str, float] = {}
        self._acknowledged: dict[str, float] = {}
        # Route -> the episode whose page had nobody to move to.
        self._stranded: dict[str, str] = {}
        self._frozen: set[str] = set()
        self.configure(config, text)

    def configure(self, config: Config, text: Wording) -> None:
        self._config = config
        self._text = text

    def due(self, state: RouteState, decision: Decision) -> AlertEvent | None:
        """What to tell of a decision now: its alarm once, then reminders unless acknowledged."""
        if decision.alarm is None or state.route.mode is Mode.OBSERVE:
            return None
        if decision.alarm is Alarm.NO_CANDIDATE and self._returning(state):
            return None
        lasted_s = self._clock.mono() - state.alarmed_s
        if decision.alarm in PATIENT and lasted_s < state.route.detector.min_span.total_seconds():
            return None
        incident = self._incidents.find(state.name, state.primary)
        about = f"{decision.alarm}/{state.name}/{_episode(state, incident)}"
        # What can wait is no reason to be reminded each hour.
        patient = decision.alarm is Alarm.FAILBACK_READY or self._advice(state)
        every_s = DAY_S if patient else HOUR_S
        key = self._key(about, every_s)
        if key is None:
            return None
        if decision.alarm in STRANDED and not any(one.usable for one in decision.weighed):
            self._stranded[state.name] = _episode(state, incident)
        return self._event(state, decision, key, incident)

    def _returning(self, state: RouteState) -> bool:
        """The primary is still in breach, and answers: a last resort that was just taken, say.

        Nobody is woken for it, unless the next canary is bad.
        """
        primary = state.trackers.get(state.primary)
        return (
            primary is not None and primary.breach.returning and primary.proven(self._clock.mono())
        )

    def ready(self, state: RouteState, decision: Decision) -> AlertEvent | None:
        """After a page that had nobody to move to: once, that there is somebody now.

        A flip tells of itself.
        """
        paged = self._stranded.get(state.name)
        if paged is None:
            return None
        incident = self._incidents.find(state.name, state.primary)
        if decision.action is Action.FLIP or paged != _episode(state, incident):
            del self._stranded[state.name]
            return None
        ready = next((one for one in decision.weighed if one.usable), None)
        leaves = decision.alarm in STRANDED or decision.action is Action.PROVE
        if ready is None or not leaves:
            return None
        del self._stranded[state.name]
        return alarms.candidate_ready(
            self._text,
            state.name,
            f"ready/{state.name}/{paged}",
            self._clock.now(),
            primary=state.primary,
            ready=ready,
            incident=incident.number if incident else None,
        )

    def freeze(self, state: RouteState) -> AlertEvent | None:
        """That a freeze has begun, once."""
        until_ms, seen = state.frozen_until, state.seen
        if seen is None or state.route.mode is Mode.OBSERVE:
            return None
        if until_ms <= seen.time_ms:
            self._frozen.discard(state.name)
            return None
        if state.name in self._frozen or not state.tells:
            return None
        self._frozen.add(state.name)
        return alarms.freeze(
            self._text,
            state.name,
            f"freeze/{state.name}/{until_ms}",
            self._clock.now(),
            until=until_ms / 1000,
            flips=state.policy.max_flips,
            within_s=state.policy.freeze_window_ms / 1000,
        )

    def _key(self, about: str, every_s: float) -> str | None:
        """The key of the next telling; None while it is too soon, or acknowledged."""
        now_s = self._clock.mono()
        last_s = self._told.get(about)
        route = about.split("/")[1]
        quiet_until_s = self._acknowledged.get(route, float("-inf"))
        if last_s is not None and (now_s - last_s < every_s or now_s < quiet_until_s):
            return None
        self._told[about] = now_s
        # By the hour or day: a restart neither repeats the last one nor swallows the next.
        return f"{about}/{int(self._clock.now() // every_s)}"

    def acknowledge(self, route: str) -> None:
        """No reminders about a route for an hour."""
        self._acknowledged[route] = self._clock.mono() + HOUR_S

    def _event(
        self, state: RouteState, decision: Decision, key: str, incident: Incident | None
    ) -> AlertEvent | None:
        now, route, why = self._clock.now(), state.name, decision.reason
        number = incident.number if incident else None
        match decision.alarm:
            case Alarm.NO_CANDIDATE:
                return alarms.no_candidate(
                    self._text,
                    route,
                    key,
                    now,
                    primary=state.primary,
                    why=why,
                    since=incident.opened_at if incident else None,
                    weighed=decision.weighed,
                    incident=number,
                    planned=decision.kind == "planned",
                )
            case Alarm.WOULD_FAIL_OVER:
                return alarms.would_fail_over(
                    self._text, route, key, now, target=decision.target, why=why, incident=number
                )
            case Alarm.FROZEN:
                until = state.frozen_until / 1000
                return alarms.frozen(
                    self._text, route, key, now, why=why, until=until, incident=number
                )
            case Alarm.PINNED_WHILE_BAD if state.seen and state.seen.live_pin:
                pin = state.seen.live_pin
                return alarms.pinned_while_bad(
                    self._text, route, key, now, pin=pin, why=why, incident=number
                )
            case Alarm.BREACH_STAYS | Alarm.PAUSED_WHILE_BAD:
                return alarms.stays(
                    self._text,
                    route,
                    key,
                    now,
                    primary=state.primary,
                    why=why,
                    weighed=decision.weighed,
                    paused=decision.alarm is Alarm.PAUSED_WHILE_BAD,
                    incident=number,
                    answered=_last_answer(state),
                    advice=self._advice(state),
                )
            case Alarm.REGIONAL:
                return alarms.regional(self._text, route, key, now, primary=state.primary, why=why)
            case Alarm.NO_QUORUM:
                differs = state.tally.differences if state.tally else ()
                return alarms.no_quorum(self._text, route, key, now, why=why, differs=differs)
            case Alarm.FAILBACK_READY:
                return alarms.failback_ready(
                    self._text,
                    route,
                    key,
                    now,
                    home=decision.target,
                    why=why,
                    extra_usd=self._extra(state.primary, decision.target),
                    incident=self._incidents.away(route, decision.target),
                )
            case _:
                return None

    def _advice(self, state: RouteState) -> str:
        """What to do about a primary whose answers are wrong, and nothing else is."""
        tracker = state.trackers.get(state.primary)
        if tracker is None or not tracker.only_wrong or tracker.grave:
            return ""
        return advice(state.kind_of(state.primary))

    def _extra(self, stays: str, home: str) -> float:
        costs = [
            provider.price.input + provider.price.output if provider else 0.0
            for provider in (self._config.find_provider(stays), self._config.find_provider(home))
        ]
        return round(costs[0] - costs[1], 6)


def _last_answer(state: RouteState) -> str:
    tracker = state.trackers.get(state.primary)
    last = tracker.last if tracker else None
    return last.detail if last is not None and last.fault is Fault.QUALITY else ""
