"""This vantage's part among several: what it votes, and how it counts the votes of all."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from prober.config.provider_schema import ADDRESS
from prober.failover.decision_view import own_views
from switch.control.lease import TIMING, VOTES_KEPT_MS, Ballot
from switch.control.votes import BAD, Sight, VantageSettings, Vote, claim_of, decode_votes, tally
from switch.flag import Mode

if TYPE_CHECKING:
    from prober.config.schema import Config, Provider, Route
    from prober.failover.route_state import RouteState, Standing

log = logging.getLogger(__name__)

# What vantages may differ in without judging differently.
_OURS_ALONE = {"runbook"}
_CANDIDATE = ("name", "api", "vendor", "model", "base_url", "preset", "account", "enabled",
              "residency", "failure_domains", "price")  # fmt: skip


def routing_hash(config: Config, route: Route) -> str:
    """Of the route, its objectives and its candidates only: keys and intervals may differ."""
    judged = [
        route.model_dump(mode="json", exclude=_OURS_ALONE),
        [p.model_dump(mode="json", include=_judged(p)) for p in _candidates(config, route)],
    ]
    return _hash(judged, 12)


def settings_of(config: Config, route: Route) -> VantageSettings:
    """The same one by one, so that vantages can be told in what they differ. No values."""
    own = route.model_dump(mode="json", exclude=_OURS_ALONE | {"name"}, exclude_defaults=True)
    tables = {"": own} | {
        p.name: p.model_dump(mode="json", include=_judged(p) - {"name"}, exclude_defaults=True)
        for p in _candidates(config, route)
    }
    return {name: {key: _hash(value, 8) for key, value in _flat(table)}
            for name, table in tables.items()}  # fmt: skip


def _candidates(config: Config, route: Route) -> list[Provider]:
    return [p for name in route.candidates if (p := config.find_provider(name))]


def _judged(provider: Provider) -> set[str]:
    """The keys of a provider that vantages must share."""
    if provider.regional_endpoint:
        return {*_CANDIDATE, "regional_endpoint"} - {*ADDRESS}
    return {*_CANDIDATE, *(key for key in ADDRESS if getattr(provider, key))}


def _flat(table: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value


def _hash(value: Any, length: int) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


class Voting:
    """Votes on every route at most once a second, and counts at every look.

    Without several vantages, and on a route that only observes, nobody is asked.
    """

    def __init__(self, config: Config, ballot: Ballot | None) -> None:
        self._ballot = ballot if config.daemon.several else None
        self._cast_s: dict[str, float] = {}
        self.configure(config)

    def configure(self, config: Config) -> None:
        self._config = config
        self._routing = {route.name: routing_hash(config, route) for route in config.route}
        self._settings = {route.name: settings_of(config, route) for route in config.route}

    def asks(self, state: RouteState) -> bool:
        return self._ballot is not None and state.route.mode is not Mode.OBSERVE

    def count(self, state: RouteState, standing: Standing) -> None:
        """Leaves the votes as they stand, our own as of now, in `state.tally`."""
        if not self.asks(state) or state.seen is None:
            state.tally = None
            return
        daemon = self._config.daemon
        state.tally = tally(
            self._vote(state, standing),
            decode_votes(state.seen.votes),
            vantages=daemon.vantages,
            needed=daemon.votes_needed,
            now_ms=state.seen.time_ms,
            life_ms=TIMING.vote_life_ms,
        )

    def _vote(self, state: RouteState, standing: Standing) -> Vote:
        assert state.seen is not None
        sights = {}
        for view in own_views(state, standing):
            tracker = state.trackers[view.name]
            sights[view.name] = Sight(
                view.health,
                view.breached if view.health in BAD else frozenset(),
                view.why,
                tracker.suspect or bool(tracker.grave),
            )
        blind = "its own network seems to be gone" if standing.blind else standing.holding
        return Vote(
            vantage=self._config.daemon.vantage,
            at_ms=state.seen.time_ms,
            routing=self._routing[state.name],
            sights=sights,
            blind=blind,
            claim=claim_of(state.lease.nonce),
            settings=self._settings[state.name],
        )

    async def cast(self, state: RouteState, now_s: float) -> None:
        """Writes what was counted as our own vote, when one is due. Never raises for Redis."""
        if self._ballot is None or state.tally is None or not state.reads:
            return
        if now_s - self._cast_s.get(state.name, float("-inf")) < TIMING.vote_every_s:
            return
        self._cast_s[state.name] = now_s
        assert state.seen is not None
        now_ms = state.seen.time_ms
        stored = decode_votes(state.seen.votes)
        old = [vote.vantage for vote in stored if not vote.fresh(now_ms, VOTES_KEPT_MS)]
        try:
            vote = state.tally.votes[state.tally.own]
            await self._ballot.cast(state.keys, vote, forget=[n for n in old if n != vote.vantage])
        except (RedisError, OSError) as error:
            log.info("%s: the vote could not be cast: %s", state.name, error)
