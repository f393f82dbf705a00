"""What operators may ask of the running daemon, over its control socket."""

from __future__ import annotations

import asyncio
import os
import uuid
from typing import TYPE_CHECKING, Any

from prober import __version__
from prober.alerts.event import Severity
from prober.config import systemd_unit
from prober.failover.decision_view import view_of
from prober.failover.drill import Drill, Wish, fallback, refusal
from prober.history.timeline import EntryKind
from prober.web import status
from prober.web.control_socket import Controls, RefusedError

if TYPE_CHECKING:
    from prober.daemon.parts import Parts
    from prober.failover.route_state import RouteState

PROVE_S = 60.0
DRILL_BEGINS_S = 35.0


class OperatorApi:
    """Answers in plain JSON; a RefusedError is a sentence for the operator."""

    def __init__(self, daemon: Parts) -> None:
        self._daemon = daemon

    def controls(self) -> Controls:
        return Controls(
            status=self.status,
            why=self.why,
            prove=self.prove,
            pause=self.pause,
            acknowledge=self.acknowledge,
            drill=self.drill,
            handed=self.handed,
        )

    async def status(self, asked: dict[str, Any]) -> dict[str, Any]:
        whole = status.status(self._daemon.judge)
        for route in whole["routes"]:
            for provider in route["providers"]:
                provider["pace"] = self._daemon.schedule.describe(provider["name"])
                provider["model"] = self._daemon.catalogues.found(provider["name"])
                provider["spent_usd"] = self._daemon.schedule.spent_today(provider["name"])
        identity = self._daemon.identity
        unreadable = [identity.unreadable] if identity.unreadable else []
        held = identity.held
        return {
            **whole,
            "installation": identity.id or None,
            "holds": f"{held.why}; {held.you}" if held else "",
            "version": __version__,
            "vantage": self._daemon.config.daemon.vantage,
            "pid": os.getpid(),
            "paused": self._daemon.judge.paused,
            "blind": self._daemon.judge.blindness.since_s is not None,
            "redis_dangers": [*unreadable, *self._daemon.keeping.found],
            "sql": "ok" if self._daemon.store.up else self._daemon.store.why_down,
            "rows_waiting": self._daemon.store.waiting,
            "rows_lost": self._daemon.store.lost,
            "journal_failed": self._daemon.journal.failed,
            "journal_late": self._daemon.journal.late,
            "alerts_unsent": len(self._daemon.outbox.unsent),
            "alerts_delivered": self._daemon.outbox.delivered,
        }

    async def handed(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What the unit gave this process, for a command of the same user that has none of it.

        Nothing but what the configuration points at, and what steers requests and the vantage.
        """
        path = await asyncio.to_thread(os.path.realpath, self._daemon.path)
        if asked.get("config") != path:
            raise RefusedError(f"this daemon goes by {path}")
        handed = await asyncio.to_thread(systemd_unit.of_process, self._daemon.config, os.environ)
        return {"environment": dict(handed.environment), "credentials": dict(handed.credentials)}

    def _route_state(self, asked: dict[str, Any]) -> RouteState:
        name = asked.get("route", "")
        state = self._daemon.judge.states.get(name)
        if state is None:
            known = ", ".join(self._daemon.judge.states) or "none"
            raise RefusedError(f"no route {name!r}; there are: {known}")
        return state

    async def why(self, asked: dict[str, Any]) -> dict[str, Any]:
        return status.why(self._daemon.judge, self._route_state(asked))

    async def prove(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Probes a candidate at the suspect rate until it is proven or one canary is bad."""
        state, name = self._route_state(asked), asked.get("provider", "")
        tracker = state.trackers.get(name)
        if tracker is None:
            known = ", ".join(state.trackers)
            raise RefusedError(f"{name!r} is no candidate of {state.name}; there are: {known}")
        if name in self._daemon.judge.shut:
            raise RefusedError(f"{name} cannot be probed: {self._daemon.judge.shut[name]}")
        until_s = self._daemon.clock.mono() + PROVE_S
        self._daemon.judge.asked[name] = until_s
        began = tracker.last
        try:
            while self._daemon.clock.mono() < until_s:
                await self._daemon.schedule.adjust()
                if tracker.proven(self._daemon.clock.mono()):
                    return {"proven": True, "proof": tracker.proof()}
                last = tracker.last
                if last is not None and last is not began and not last.ok:
                    break
                await asyncio.sleep(0.05)
        finally:
            self._daemon.judge.asked.pop(name, None)
        return {"proven": False, "proof": tracker.health(self._daemon.clock.mono())[1]}

    async def pause(self, asked: dict[str, Any]) -> dict[str, Any]:
        paused = asked.get("paused") == "true"
        if paused == self._daemon.judge.paused:
            return {"paused": paused}
        self._daemon.judge.paused = paused
        await self._daemon.journal.append("pause", paused=paused, at=self._daemon.clock.now())
        who, verb = asked.get("actor", "an operator"), "paused" if paused else "resumed"
        await self._daemon.notifier.daemon(
            "pause",
            f"Automation {verb} by {who}",
            "No flag is changed until `prober resume`." if paused else "Flags are kept again.",
            severity=Severity.WARNING if paused else Severity.INFO,
        )
        return {"paused": paused}

    async def acknowledge(self, asked: dict[str, Any]) -> dict[str, Any]:
        """`about` is an incident's number, or a route, which is unfrozen too."""
        about = asked.get("about", "")
        incident = self._daemon.incidents.numbered(int(about)) if about.isdigit() else None
        route = incident.route if incident else about
        state = self._daemon.judge.states.get(route)
        if state is None:
            raise RefusedError(f"no open incident and no route {about!r}")
        self._daemon.notifier.acknowledge(route)
        who, now = asked.get("actor", "an operator"), self._daemon.clock.now()
        meant = (
            [incident] if incident else [i for i in self._daemon.incidents.open if i.route == route]
        )
        for one in meant:
            words, about = f"acknowledged by {who}: no reminders for 1 h", f"ack/{who}"
            await self._daemon.incidents.note(
                route, one.provider, EntryKind.ACKNOWLEDGED, words, now, about
            )
        frozen = state.frozen_until
        if frozen and not incident and state.seen is not None:
            state.acknowledged_ms = state.seen.time_ms
            await self._daemon.journal.append("ack", route=route, at_ms=state.acknowledged_ms)
        return {"route": route, "unfrozen": bool(frozen and not incident)}

    # -- drills --------------------------------------------------------------------------------

    async def drill(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Begins a drill once its fallback is proven, and answers when the flag has moved."""
        state, judge = self._route_state(asked), self._daemon.judge
        wish = Wish(
            for_ms=int(asked["for_ms"]),
            zone=state.zone,
            window=asked.get("window", ""),
            quiet_hours=state.route.failover.quiet_hours,
        )
        away = self._drillable(state, wish)
        proof = await self.prove({"route": state.name, "provider": away})
        if not proof["proven"]:
            raise RefusedError(
                f"{away} is not proven ({proof['proof']}); {state.name} stays on {state.primary}"
            )
        if self._drillable(state, wish) != away:
            raise RefusedError(f"{away} is no longer the best fallback; try again")
        answer = {
            "route": state.name,
            "from": state.primary,
            "to": away,
            "for_s": wish.for_ms / 1000,
            "proof": proof["proof"],
            "dry_run": asked.get("dry_run") == "true",
        }
        if answer["dry_run"]:
            return answer
        now_ms = view_of(state, judge.standing()).now_ms
        by = asked.get("actor", "an operator")
        drill = Drill(uuid.uuid4().hex, state.primary, away, by, wish.for_ms, now_ms)
        state.drill, state.drill_over = drill, ""
        await self._begun(state, drill)
        return {**answer, "drill": drill.id}

    def _drillable(self, state: RouteState, wish: Wish) -> str:
        """The provider that a drill would move to. Raises RefusedError."""
        judge = self._daemon.judge
        view = view_of(state, judge.standing())
        if state.drill is not None:
            raise RefusedError(f"a drill of {state.name} is under way, by {state.drill.by}")
        opened = next((i.number for i in judge.incidents.open if i.route == state.name), None)
        if why := refusal(view, state.policy, wish, opened):
            raise RefusedError(why)
        target = fallback(view, state.policy)
        assert target is not None  # refusal() asks for it
        return target.name

    async def _begun(self, state: RouteState, drill: Drill) -> None:
        until_s = self._daemon.clock.mono() + DRILL_BEGINS_S
        while state.drill is not None and not state.drill.left_ms:
            if self._daemon.clock.mono() > until_s:
                state.drill = None
                raise RefusedError(f"{state.name} could not be moved; see `prober why`")
            await self._daemon.schedule.adjust()
            await asyncio.sleep(0.05)
        if state.drill is None and not _moved_for(state, drill):
            raise RefusedError(f"the drill did not begin: {state.drill_over}")


def _moved_for(state: RouteState, drill: Drill) -> bool:
    """Whether the flag left for a drill that may be over already."""
    flips = state.seen.flips if state.seen else ()
    return any(flip.evidence.get("drill") == drill.id for flip in flips)
