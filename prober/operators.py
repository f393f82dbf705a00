"""What operators may ask of the running daemon, over its control socket."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from prober import __version__
from prober.route import RouteState
from prober.web import answers
from prober.web.control import Controls, RefusedError

if TYPE_CHECKING:
    from prober.daemon import Daemon

PROVE_S = 60.0


class Operators:
    """Answers in plain JSON; a RefusedError is a sentence for the operator."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def controls(self) -> Controls:
        return Controls(
            status=self.status,
            why=self.why,
            prove=self.prove,
            pause=self.pause,
            acknowledge=self.acknowledge,
        )

    async def status(self, said: dict[str, Any]) -> dict[str, Any]:
        whole = answers.status(self._daemon.judge)
        for route in whole["routes"]:
            for provider in route["providers"]:
                provider["pace"] = self._daemon.schedule.describe(provider["name"])
                provider["model"] = self._daemon.catalogues.found(provider["name"])
                provider["spent_usd"] = self._daemon.schedule.spent_today(provider["name"])
        return {
            **whole,
            "version": __version__,
            "vantage": self._daemon.config.daemon.vantage,
            "pid": os.getpid(),
            "paused": self._daemon.judge.paused,
            "blind": self._daemon.judge.blind_since_s is not None,
            "sql": "ok" if self._daemon.store.up else self._daemon.store.why_down,
            "rows_waiting": self._daemon.store.waiting,
            "rows_lost": self._daemon.store.lost,
            "journal_failed": self._daemon.journal.failed,
            "alerts_unsent": len(self._daemon.outbox.unsent),
            "alerts_delivered": self._daemon.outbox.delivered,
        }

    def _route_state(self, said: dict[str, Any]) -> RouteState:
        name = said.get("route", "")
        state = self._daemon.judge.states.get(name)
        if state is None:
            known = ", ".join(self._daemon.judge.states) or "none"
            raise RefusedError(f"no route {name!r}; there are: {known}")
        return state

    async def why(self, said: dict[str, Any]) -> dict[str, Any]:
        return answers.why(self._daemon.judge, self._route_state(said))

    async def prove(self, said: dict[str, Any]) -> dict[str, Any]:
        """Probes a candidate at the suspect rate until it is proven or one canary is bad."""
        state, name = self._route_state(said), said.get("provider", "")
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

    async def pause(self, said: dict[str, Any]) -> dict[str, Any]:
        paused = said.get("paused") == "true"
        if paused == self._daemon.judge.paused:
            return {"paused": paused}
        self._daemon.judge.paused = paused
        await self._daemon.journal.append("pause", paused=paused, at=self._daemon.clock.now())
        await self._daemon.crier.daemon(
            "pause",
            f"Automation {'paused' if paused else 'resumed'} by {said.get('actor', 'an operator')}",
            "No flag is changed until `prober resume`." if paused else "Flags are kept again.",
        )
        return {"paused": paused}

    async def acknowledge(self, said: dict[str, Any]) -> dict[str, Any]:
        """`about` is an incident's number, or a route, which is unfrozen too."""
        about = said.get("about", "")
        incident = self._daemon.incidents.numbered(int(about)) if about.isdigit() else None
        route = incident.route if incident else about
        state = self._daemon.judge.states.get(route)
        if state is None:
            raise RefusedError(f"no open incident and no route {about!r}")
        self._daemon.crier.acknowledge(route)
        frozen = state.frozen_until
        if frozen and not incident and state.seen is not None:
            state.acknowledged_ms = state.seen.time_ms
            await self._daemon.journal.append("ack", route=route, at_ms=state.acknowledged_ms)
        return {"route": route, "unfrozen": bool(frozen and not incident)}
