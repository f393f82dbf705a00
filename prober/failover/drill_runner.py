"""Carries drills out: each tick of a route gives the one under way its step."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from prober.failover.drill import Do, resumed, step
from switch.flag import Op, Origin

if TYPE_CHECKING:
    from prober.failover.executor import CommittedFlip, Executor
    from prober.failover.notifier import Notifier
    from prober.failover.route_state import RouteState
    from switch.control.decide import Decision
    from switch.control.target import View

log = logging.getLogger(__name__)


class DrillRunner:
    """Moves flags for drills, by the same flipper as everything else."""

    def __init__(self, executor: Executor, notifier: Notifier, signed: str) -> None:
        self._executor = executor
        self._notifier = notifier
        self._signed = signed
        self._told_of = ""

    async def step(
        self, state: RouteState, view: View, decision: Decision
    ) -> tuple[bool, CommittedFlip | None]:
        """(whether a flip was tried, what became of it). Never raises for Redis."""
        if state.drill is None:
            state.drill = resumed(view, state.policy)
            if state.drill is None:
                return False, None
            log.warning("%s: a drill was left open; going back", state.name)
        now = step(state.drill, view, state.policy, decision)
        state.drill = drill = now.drill
        if now.do is Do.WAIT:
            if now.stuck(view.now_ms) and self._told_of != drill.id:
                self._told_of = drill.id
                await self._notifier.drill_stuck(state, drill, now.reason)
            return False, None
        log.warning("%s: drill: %s: %s", state.name, now.do, now.reason)
        if now.do is Do.END:
            state.drill, state.drill_over = None, now.reason
            return False, None
        to = drill.away if now.do is Do.LEAVE else drill.home
        evidence = drill.evidence(state.trackers[to].proof(), view.now_ms)
        done = await self._executor.flip(
            state,
            Op.MANUAL,
            to,
            now.reason,
            actor=drill.actor,
            origin=Origin.DRILL,
            # The actor is a person; who tells of it after a kill is the vantage that wrote it.
            evidence={**evidence, "vantage": self._signed},
        )
        # A way back ends it once it is seen in the stream, as it would after a kill.
        if done is not None and now.do is Do.LEAVE:
            state.drill = replace(drill, left_ms=done.flip.at_ms, left_epoch=done.flip.epoch)
        return True, done
