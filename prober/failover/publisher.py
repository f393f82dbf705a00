"""Tells readers that somebody looks after a route, and which candidates are fit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from prober.failover.decision_view import published

if TYPE_CHECKING:
    from prober.failover.route_state import RouteState, Standing
    from switch.control.writer import FlagWriter

log = logging.getLogger(__name__)

HEARTBEAT_S = 1.0


class Publisher:
    """Beats once a second for each route that may be written; candidates go out on a change."""

    def __init__(self, writer: FlagWriter) -> None:
        self._writer = writer
        self._beat_s: dict[str, float] = {}
        self._published: dict[str, object] = {}

    def republish(self, route: str) -> None:
        """Redis may have lost the candidates: they go out again with the next beat."""
        self._published.pop(route, None)

    async def beat(self, state: RouteState, standing: Standing) -> None:
        """Beats if it is time. Never raises for Redis."""
        if not state.may_write or state.seen is None or state.seen.flag is None:
            return
        due = standing.now_s - self._beat_s.get(state.name, float("-inf")) >= HEARTBEAT_S
        candidates = published(state, standing)
        changed = self._published.get(state.name) != candidates
        try:
            if due:
                self._beat_s[state.name] = standing.now_s
                await self._writer.heartbeat(
                    state.keys, state.lease.nonce, state.route.mode, state.frozen_until
                )
            if changed and due:
                await self._writer.publish(state.keys, candidates)
                self._published[state.name] = candidates
        except (RedisError, OSError) as error:
            log.info("%s: heartbeat failed: %s", state.name, error)
