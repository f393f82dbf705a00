"""Tells people: which happening becomes which alert, once, with reminders where they help."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from prober.alerts.event import AlertEvent, Severity
from prober.alerts.messages import alarms, drills, flips, outside, providers
from prober.alerts.text import Wording
from prober.canary import advice
from prober.config.checks import by_choice
from prober.failover.reconcile import Repair
from prober.failover.reminders import DAY_S, HOUR_S, Reminders
from prober.sample import Fault
from switch.control.lease import TIMING
from switch.flag import Flip, Op, Origin

if TYPE_CHECKING:
    from prober.alerts.outbox import Outbox
    from prober.clock import Clock
    from prober.config.schema import Config
    from prober.detection.episode import Trouble
    from prober.detection.tracker import Tracker
    from prober.failover.drill import Drill
    from prober.failover.route_state import RouteState
    from prober.history.incidents import Incident, Incidents
    from prober.history.installation import InstallationVerdict
    from prober.probing.certificates import Validity
    from switch.control.decide import Decision

# Failing to read Redis for a moment is no news.
REDIS_LOST_AFTER_S = 10.0
RECENT_MS = 3_600_000
# A leader that died without a word is followed by another within one time to live.
TAKEOVER_S = 2 * TIMING.ttl_s
BREAK_GLASS = "break-glass"


def actor_of(config: Config) -> str:
    """How this daemon signs what it writes."""
    return f"prober@{config.daemon.vantage}"


class Notifier:
    """Posts events. The same happening has the same key, so it is told once, restarts included."""

    def __init__(self, config: Config, outbox: Outbox, incidents: Incidents, clock: Clock) -> None:
        self._outbox = outbox
        self._incidents = incidents
        self._clock = clock
        self._redis_lost_s: dict[str, float] = {}
        self._redis_told: set[str] = set()
        self._outvoted: dict[str, str] = {}
        self._config = config
        self._text = _writer(config)
        self._alarms = Reminders(incidents, clock, config, self._text)

    def configure(self, config: Config) -> None:
        self._config = config
        self._text = _writer(config)
        self._alarms.configure(config, self._text)

    async def _post(self, event: AlertEvent) -> None:
        await self._outbox.post(event)

    # -- which of several vantages tells ---------------------------------------------------------

    async def by_leader(self, state: RouteState, notify: Callable[[], Awaitable[None]]) -> None:
        """Tells, if this vantage leads the route; else keeps it, should the leader be dead."""
        if state.tells:
            await notify()
        else:
            state.untold.append((self._clock.mono(), notify))

    async def voted(self, state: RouteState) -> None:
        """What the votes mean for telling: a takeover, or a configuration of our own."""
        if state.tells:
            oldest_s = self._clock.mono() - TAKEOVER_S
            while state.untold:
                at_s, notify = state.untold.popleft()
                if at_s >= oldest_s:
                    await notify()
        tally = state.tally
        others = tally.outvoted_by if tally else ()
        if tally is None or not others:
            self._outvoted.pop(state.name, None)
        elif self._outvoted.get(state.name) != tally.routing:
            self._outvoted[state.name] = tally.routing
            await self.daemon(
                f"routing/{state.name}/{tally.routing}",
                f"{tally.own} goes by other settings of {state.name} than {' and '.join(others)}",
                f"The others are more: {tally.own} holds, and has no vote.",
                *alarms.differing(tally.differences),
                f"**You:** give {tally.own} the same configuration, then reload it.",
            )

    # -- flips ---------------------------------------------------------------------------------

    async def notify(self, state: RouteState, flip: Flip, notified: int) -> None:
        """Any change of the flag. Written from it alone, so that it can be told after a kill."""
        event = self._flip_event(state, flip, notified)
        if event is not None:
            await self._post(event)

    def _flip_event(self, state: RouteState, flip: Flip, notified: int) -> AlertEvent | None:
        evidence, at = flip.evidence, flip.at_ms / 1000
        kind, named = evidence.get("kind", ""), str(evidence.get("named") or "")
        if flip.origin is Origin.BREAK_GLASS:
            outcome = "I took it over as a pin for one hour."
            return flips.break_glass(
                self._text, flip.route, flip.decision_id, at, flip.to_provider, outcome
            )
        if evidence.get("drill"):
            return drills.moved(self._text, flip, notified)
        if flip.op is Op.MANUAL:
            return flips.by_hand(self._text, flip)
        if flip.op is Op.AUTO:
            return self._moved(state, flip, kind, notified)
        if kind == Repair.PUT_BACK and named:
            outcome = f"It is no candidate that may serve here, so I put {flip.to_provider} back."
            return flips.break_glass(self._text, flip.route, flip.decision_id, at, named, outcome)
        if flip.op is Op.REPAIR and not kind:
            return None  # a flag that was there before us
        done, severity = "flag repaired", Severity.WARNING
        if flip.op is Op.SEED:
            done, severity = "flag set again" if kind else "first flag set", Severity.INFO
        return self._text.flag(
            flip.route,
            flip.decision_id,
            severity,
            at,
            title=f"{flip.route}: {done} to {flip.to_provider}",
            why=flip.reason,
        )

    def _moved(self, state: RouteState, flip: Flip, kind: str, notified: int) -> AlertEvent:
        evidence = flip.evidence
        proof, incident = str(evidence.get("proof", "")), evidence.get("incident")
        homes = by_choice(state.candidates, state.policy.prefer)
        if kind == "failback":
            return flips.failed_back(
                self._text, flip, proof=proof, notified=notified, incident=incident
            )
        return flips.failed_over(
            self._text,
            flip,
            why=str(evidence.get("why") or flip.reason),
            since=evidence.get("since"),
            proof=proof,
            notified=notified,
            failback=state.route.failover.failback,
            incident=incident,
            home=bool(homes) and flip.to_provider == homes[0].name,
            planned=kind in ("planned", "pin"),
            account=bool(evidence.get("account")),
            last_resort=kind == "last_resort",
        )

    async def missed(self, state: RouteState, flip: Flip, now_ms: int) -> None:
        """After a restart: a change whose alert may never have been written down.

        Our own is ours to tell; that of another vantage is its own, and a person's the leader's.
        """
        if now_ms - flip.at_ms >= RECENT_MS:
            return
        if flip.origin.by_daemon and flip.actor == actor_of(self._config):
            await self.notify(state, flip, 0)
        elif not (self._config.daemon.several and flip.origin.by_daemon):
            await self.by_leader(state, partial(self.notify, state, flip, 0))

    async def adopted(self, state: RouteState, flip: Flip) -> None:
        """Somebody else moved the flag; their own daemon tells of automatic flips.

        An automatic one of our own is news to us when a kill came before the journal.
        """
        if flip.origin is Origin.OPERATOR:
            await self.notify(state, flip, 0)
        elif actor_of(self._config) in (flip.actor, flip.evidence.get("vantage")):
            await self.missed(state, flip, round(self._clock.now() * 1000))

    async def unresolved(self, flip: Flip) -> None:
        """A flip without an answer, in a Redis that has lost its history since."""
        await self._post(
            self._text.flag(
                flip.route,
                f"unresolved/{flip.decision_id}",
                Severity.WARNING,
                self._clock.now(),
                title=f"{flip.route}: the fate of a flip is not known",
                why=f"the flip to {flip.to_provider} got no answer, and Redis has another history "
                "since; the flag is judged afresh",
            )
        )

    async def drill_stuck(self, state: RouteState, drill: Drill, why: str) -> None:
        at = self._clock.now()
        event = drills.stuck(self._text, state.name, drill.id, drill.home, drill.away, why, at)
        await self._post(event)

    async def refused(self, state: RouteState, why: str) -> None:
        now = self._clock.now()
        await self._post(
            alarms.refused(
                self._text, state.name, f"refused/{state.name}/{int(now // HOUR_S)}", now, why=why
            )
        )

    # -- decisions that need somebody ----------------------------------------------------------

    async def alarm(self, state: RouteState, decision: Decision) -> None:
        """The alarm of a decision: once, then reminders unless acknowledged."""
        for event in (
            self._alarms.freeze(state),
            self._alarms.ready(state, decision),
            self._alarms.due(state, decision),
        ):
            if event is not None:
                await self._post(event)

    def acknowledge(self, route: str) -> None:
        """No reminders about a route for an hour."""
        self._alarms.acknowledge(route)

    # -- providers -----------------------------------------------------------------------------

    async def breach(self, state: RouteState, tracker: Tracker) -> None:
        incident = self._incidents.find(state.name, tracker.provider)
        last = tracker.last
        wrong = last is not None and last.fault is Fault.QUALITY
        primary = state.trackers.get(state.primary)
        await self._post(
            providers.breach(
                self._text,
                state.name,
                f"breach/{incident.id if incident else tracker.provider}",
                self._clock.now(),
                provider=tracker.provider,
                why=tracker.breach.why,
                since=tracker.breach.onset_at,
                serves=state.primary,
                too=primary is not None and bool(primary.breached),
                incident=incident.number if incident else None,
                answered=last.detail if last is not None and wrong else "",
                advice=advice(state.kind_of(tracker.provider)) if tracker.only_wrong else "",
            )
        )

    async def recovery(self, state: RouteState, provider: str, incident: Incident | None) -> None:
        if incident is None or incident.closed_at is None:
            return
        await self._post(
            providers.recovery(
                self._text,
                state.name,
                f"recovery/{incident.id}",
                incident.closed_at,
                provider=provider,
                lasted_s=incident.closed_at - incident.opened_at,
                incident=incident.number,
            )
        )

    async def account(self, state: RouteState, provider: str, trouble: Trouble) -> None:
        """Every route of the provider notices; by the key people are told once. So below."""
        key, now = f"{trouble.key}/{provider}", self._clock.now()
        await self._post(
            providers.account(self._text, state.name, key, now, provider=provider, trouble=trouble)
        )

    async def account_well(self, state: RouteState, provider: str, trouble: Trouble) -> None:
        key, now = f"well/{trouble.key}/{provider}", self._clock.now()
        await self._post(providers.account_well(self._text, state.name, key, now, provider))

    async def canary(self, state: RouteState, provider: str, trouble: Trouble) -> None:
        key, now = f"canary/{trouble.key}/{provider}", self._clock.now()
        await self._post(
            providers.canary(self._text, state.name, key, now, provider=provider, trouble=trouble)
        )

    async def canary_well(self, state: RouteState, provider: str, trouble: Trouble) -> None:
        key, now = f"canary-well/{trouble.key}/{provider}", self._clock.now()
        await self._post(
            providers.canary_well(
                self._text, state.name, key, now, provider=provider, trouble=trouble
            )
        )

    async def model(
        self,
        provider: str,
        key: str,
        sentence: str,
        days: int | None,
        *,
        serves: Sequence[str],
        stands_by: Sequence[str],
    ) -> None:
        await self._post(
            providers.model(
                self._text,
                key,
                self._clock.now(),
                provider=provider,
                sentence=sentence,
                days=days,
                serves=serves,
                stands_by=stands_by,
            )
        )

    async def budget(
        self, provider: str, spent_usd: float, limit_usd: float, *, out: bool, page: bool
    ) -> None:
        now, state = self._clock.now(), "page" if page else "out" if out else "low"
        await self._post(
            providers.budget(
                self._text,
                f"budget/{provider}/{int(now // DAY_S)}/{state}",
                now,
                provider=provider,
                spent_usd=spent_usd,
                limit_usd=limit_usd,
                out=out,
                page=page,
            )
        )

    # -- ourselves -----------------------------------------------------------------------------

    async def blind(self, providers: Sequence[str]) -> None:
        now = self._clock.now()
        await self._post(
            alarms.blind(
                self._text,
                f"blind/{int(now)}",
                now,
                vantage=self._config.daemon.vantage,
                why=f"no connection to any of {', '.join(providers)}, nor to a neutral address",
            )
        )

    async def other(self, held: InstallationVerdict | None) -> None:
        """State folder and Redis are not of one installation; told once a day."""
        if held is None:
            return
        now = self._clock.now()
        key = f"installation/{int(now // DAY_S)}/{held.why}"
        lines = [
            f"{held.why[:1].upper()}{held.why[1:]}.",
            "Nothing is restored, repaired or written; applications keep what they know. "
            "Canaries go on.",
            f"**You:** {held.you}.",
        ]
        title = f"{self._config.daemon.vantage} HOLDS: not one installation"
        await self._post(self._text.daemon(key, Severity.PAGE, now, title=title, lines=lines))

    async def redis(self, state: RouteState, *, lost: bool) -> None:
        """Redis lost or found, as far as it matters to people."""
        now_s = self._clock.mono()
        if lost:
            await self._redis_lost(state, now_s)
            return
        since_s = self._redis_lost_s.pop(state.name, None)
        if state.name in self._redis_told:
            self._redis_told.discard(state.name)
            away_s = now_s - (since_s or now_s)
            now = self._clock.now()
            await self._post(
                self._text.flag(
                    state.name,
                    f"redis-back/{state.name}/{int(now)}",
                    Severity.INFO,
                    now,
                    title=f"{state.name}: Redis can be read again",
                    why=f"it was away for {away_s:.0f} s",
                )
            )

    async def _redis_lost(self, state: RouteState, now_s: float) -> None:
        since_s = self._redis_lost_s.setdefault(state.name, now_s)
        if state.name in self._redis_told or now_s - since_s < REDIS_LOST_AFTER_S:
            return
        self._redis_told.add(state.name)
        now = self._clock.now()
        await self._post(
            self._text.flag(
                state.name,
                f"redis-lost/{state.name}/{int(now)}",
                Severity.WARNING,
                now,
                title=f"{state.name}: Redis cannot be read",
                why=f"{state.why_unseen}; applications keep the last provider they know, "
                "and I keep trying",
            )
        )

    async def heartbeat(self, host: str, why: str) -> None:
        """The dead man's switch does not take our pings; `why` empty: it does again."""
        now = self._clock.now()
        event = (
            outside.heartbeat(self._text, now, host=host, why=why)
            if why
            else outside.heartbeat_taken(self._text, now, host=host)
        )
        await self._post(event)

    async def certificate(self, host: str, validity: Validity, whose: Sequence[str]) -> None:
        now = self._clock.now()
        await self._post(
            outside.certificate(self._text, now, host=host, validity=validity, whose=whose)
        )

    async def daemon(
        self, key: str, title: str, *lines: str, severity: Severity = Severity.WARNING
    ) -> None:
        now = self._clock.now()
        await self._post(
            self._text.daemon(f"{key}/{int(now)}", severity, now, title=title, lines=[*lines])
        )


def _writer(config: Config) -> Wording:
    return Wording(config.daemon.zone, {route.name: route.runbook for route in config.route})
