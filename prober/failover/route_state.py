"""One route as this process sees it: its trackers, its flag, and what has to be looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from prober.config.objectives import Objective, objectives_of
from prober.detection.rules import rules_of
from prober.detection.tracker import Tracker
from prober.failover.memory import Memory, Placement, cause_of, joined
from prober.probing.pacing import (
    SIGNS_OF_RECOVERY,
    SUSPICION_FAST_S,
    SUSPICION_SLOW_S,
    WATCH_S,
    Need,
    RateShare,
)
from switch.control.decide import Action, Alarm, Decision, frozen_until
from switch.control.lease import TIMING
from switch.control.target import Policy
from switch.flag import Flag, Flip, Keys, Mode, Origin

if TYPE_CHECKING:
    from prober.canary import CanaryKind
    from prober.config.maintenance import Window
    from prober.config.schema import Config, Provider, Route
    from prober.failover.drill import Drill
    from prober.history.journal import Record
    from switch.control.votes import VoteTally
    from switch.control.writer import Observed
    from switch.reports import Report

# Proving a target may begin once the evidence passes what any single blip can weigh, or a streak
# has lasted half as long as it must to breach alone: then no flip waits for its proof.
PREPARE_AT = 0.51
NOT_READ = "not read yet"


@dataclass(frozen=True, slots=True)
class Standing:
    """What the process as a whole knows at a moment.

    Attributes:
        shut: provider -> why it cannot be probed (disabled, no key).
        spent: providers whose canary budget is exhausted.
        holding: why nothing may be decided (a time gap); empty otherwise.
    """

    now_s: float
    now_ms: int
    shut: Mapping[str, str]
    spent: frozenset[str] = frozenset()
    paused: bool = False
    blind: bool = False
    sql_up: bool = True
    holding: str = ""


class Claim(Protocol):
    """What a route needs of its lease; `switch.control.lease.Lease` is the real one."""

    nonce: str

    async def hold(self) -> bool: ...

    async def release(self) -> None: ...


class RouteState:
    """State of one route. Holds no I/O; the judge and the flipper move it."""

    def __init__(
        self,
        config: Config,
        route: Route,
        lease: Claim,
        memory: Memory,
        objectives_of: Callable[[Route], tuple[Objective, ...]] = objectives_of,
    ) -> None:
        self._objectives_of = objectives_of
        self.lease = lease
        self.leased = False
        self.leased_s = float("-inf")
        self.memory = memory
        self.seen: Observed | None = None
        self.why_unseen = NOT_READ
        self.other = ""  # why the Redis there must not be used
        self.unsettled: list[Record] = []
        self.virtual: Flag | None = None
        self.decision = Decision(Action.HOLD, "just started")
        self.decided_ms = 0
        self.alarmed_s = float("-inf")
        self.tally: VoteTally | None = None
        self.untold: deque[tuple[float, Callable[[], Awaitable[None]]]] = deque(maxlen=32)
        self._empty_ms: int | None = None
        self.proving = ""
        self.acknowledged_ms = 0
        self.refused = ""
        self.refusals = 0
        self.retry_s = float("-inf")
        self.drill: Drill | None = None
        self.drill_over = ""
        self.trackers: dict[str, Tracker] = {}
        self.windows: dict[str, tuple[Window, ...]] = {}
        self.maintained: frozenset[str] = frozenset()
        self._maintained_at = float("inf")
        self.window_turns = float("inf")
        self._announced = False
        self.leaving_s: float | None = None
        self._watch: tuple[str, float] = ("", float("-inf"))
        self._suspect_s: dict[str, float] = {}
        self._endpoints: dict[str, tuple[str, ...]] = {}
        self.configure(config, route)

    def configure(self, config: Config, route: Route) -> None:
        """Takes a (new) configuration; evidence stays where nothing it rests on has changed."""
        failover = route.failover
        self.route = route
        self._several = config.daemon.several
        self.keys = Keys(route.name, config.redis.namespace)
        self.zone = config.daemon.zone
        self.candidates = [p for name in route.candidates if (p := config.find_provider(name))]
        self.policy = Policy(
            flip_on=frozenset(failover.flip_on),
            residency=frozenset(route.residency),
            failback=failover.failback,
            prefer=failover.prefer,
            healthy_for_ms=round(failover.healthy_for.total_seconds() * 1000),
            max_flips=failover.max_flips,
            freeze_window_ms=round(failover.freeze_window.total_seconds() * 1000),
        )
        self.windows = {p.name: config.windows_of(route.name, p.name) for p in self.candidates}
        self.maintained = frozenset()
        self._maintained_at = float("inf")
        allowed = self.policy.residency
        self.may_serve = frozenset(
            p.name
            for p in self.candidates
            if not allowed or (p.residency and set(p.residency) <= allowed)
        )
        objectives = self._objectives_of(route)
        trackers: dict[str, Tracker] = {}
        for provider in self.candidates:
            new = Tracker(provider.name, objectives, rules_of(provider, route))
            old = self.trackers.get(provider.name)
            endpoint = _endpoint(provider)
            if old is not None and not (
                _same(old, new) and self._endpoints.get(provider.name) == endpoint
            ):
                new.inherit(old)
                old = None
            trackers[provider.name] = old or new
            self._endpoints[provider.name] = endpoint
        self.trackers = trackers

    @property
    def name(self) -> str:
        return self.route.name

    def kind_of(self, provider: str) -> CanaryKind:
        """What a candidate's canaries ask."""
        return next(p.canary.kind for p in self.candidates if p.name == provider)

    @property
    def reads(self) -> bool:
        """Redis was read, and by a server that takes writes."""
        return self.seen is not None and self.seen.writable

    @property
    def flag(self) -> Flag | None:
        """The flag decisions are made on: the virtual one while observing."""
        if self.route.mode is Mode.OBSERVE and self.virtual is not None:
            return self.virtual
        return self.seen.flag if self.seen else None

    @property
    def primary(self) -> str:
        return self.flag.provider if self.flag else ""

    @property
    def may_write(self) -> bool:
        return self.leased and self.route.mode is not Mode.OBSERVE

    @property
    def tells(self) -> bool:
        """Of several vantages only the leader tells of the route; with no Redis everybody does."""
        if not self._several or self.route.mode is Mode.OBSERVE or self.leased:
            return True
        return not self.reads and self.why_unseen != NOT_READ

    @property
    def stands_back(self) -> bool:
        """Others may lead: this vantage does not see, or goes by other settings than most do."""
        tally = self.tally
        return tally is not None and bool(tally.votes[tally.own].blind or tally.outvoted_by)

    @property
    def may_seed(self) -> bool:
        """An empty Redis waits one vote life for the others: one of them may remember more."""
        if self.tally is None or self.tally.quorum:
            return True
        return self._empty_for_ms > TIMING.vote_life_ms

    @property
    def _empty_for_ms(self) -> int:
        if self.seen is None or self._empty_ms is None:
            return 0
        return self.seen.time_ms - self._empty_ms

    def saw(self, seen: Observed) -> None:
        """Takes what Redis showed."""
        self.seen = seen
        if seen.flag is not None:
            self._empty_ms = None
        elif self._empty_ms is None or seen.time_ms < self._empty_ms:
            self._empty_ms = seen.time_ms

    @property
    def flips(self) -> tuple[Flip, ...]:
        """The newest, oldest first: the stream, and what a Redis that lost it has forgotten."""
        return joined(self.memory.decided, self.seen.flips) if self.seen else ()

    @property
    def cause(self) -> Placement:
        """Why the flag is where it is."""
        return cause_of(self.flips or self.memory.decided, self.primary)

    @property
    def frozen_until(self) -> int:
        return frozen_until(self.flips, self.policy, self.acknowledged_ms)

    # -- what a decision leaves behind -------------------------------------------------------

    def maintain(self, now: float) -> None:
        """Looks which providers are in maintenance at `now` (wall clock).

        What canaries found inside a window is discarded, and what they had found before it too.
        """
        if self._maintained_at <= now < self.window_turns:
            return  # no window has turned since, nor has the clock been set back
        self._maintained_at = now
        inside = frozenset(
            name for name, ws in self.windows.items() if any(window.runs(now) for window in ws)
        )
        for name in inside ^ self.maintained:
            self.trackers[name].discard()
        self.maintained = inside
        windows = [window for ws in self.windows.values() for window in ws]
        self.window_turns = min((window.turn(now) for window in windows), default=float("inf"))
        self._announced = bool(inside) or any(window.drains(now) for window in windows)

    def decided(self, decision: Decision, standing: Standing) -> None:
        """Keeps what a decision means for the next looks."""
        if decision.alarm is not self.decision.alarm:
            self.alarmed_s = standing.now_s
        self.decision, self.decided_ms = decision, standing.now_ms
        leaving = decision.action is Action.PROVE or decision.alarm is Alarm.NO_CANDIDATE
        if not leaving:
            self.leaving_s = None
        elif self.leaving_s is None:
            self.leaving_s = standing.now_s
        proving = decision.action in (Action.PROVE, Action.FLIP, Action.SEED)
        self.proving = decision.target if proving else ""

    def pretend(self, decision: Decision, standing: Standing, actor: str) -> None:
        """Observing: the decision is carried out on a flag that exists only here."""
        before = self.flag
        self.virtual = Flag(
            route=self.name,
            provider=decision.target,
            epoch=standing.now_ms,
            decision_id=f"observed-{standing.now_ms}",
            parent=before.decision_id if before else "",
            previous=before.provider if before else "",
            reason=decision.reason,
            actor=actor,
            changed_at=standing.now_ms,
            checked_at=standing.now_ms,
            mode=Mode.OBSERVE,
            origin=Origin.AUTOMATIC,
        )

    def reported(self, report: Report, at_s: float) -> None:
        """What one process says of its calls, that ended in the second before `at_s`.

        Only the primary's count: calls to another are what is left of calls that failed elsewhere.
        """
        name = self.primary
        count = report.counts.get(name)
        if count is not None and name in self.trackers and name not in self.maintained:
            self.trackers[name].reported(report.process, count.ok, count.bad, at_s)

    def moved_to(self, provider: str, now_s: float) -> None:
        self._watch = (provider, now_s + WATCH_S)
        self.leaving_s = None

    # -- what has to be looked at --------------------------------------------------------------

    def need(self, provider: str, now_s: float, *, asked: bool, witness: bool) -> Need:
        """How urgently this route wants to know of a provider. `asked`: by an operator."""
        tracker = self.trackers[provider]
        elsewhere = self.tally is not None and self.tally.suspected_elsewhere(provider)
        if tracker.suspect or elsewhere:
            self._suspect_s.setdefault(provider, now_s)
        else:
            self._suspect_s.pop(provider, None)
        since = self._suspect_s.get(provider)
        # A proof ends with its first bad canary; from then on it is suspicion, which slows down.
        drill = self.drill
        wanted = provider in (self.proving, self._next(provider), drill.wants if drill else "")
        watched, until_s = self._watch
        drilled = drill is not None and provider in (drill.home, drill.away)
        return Need(
            suspect_for_s=None if since is None else now_s - since,
            # A breach that only alerts is looked at as ever, until it shows signs of its end.
            latched=bool(tracker.grave)
            or tracker.breach.resumed
            or (bool(tracker.breached) and tracker.breach.score >= SIGNS_OF_RECOVERY),
            score=tracker.breach.score,
            awaited=self._awaits(provider),
            proving=asked or (wanted and not tracker.recent_bad()),
            watched=drilled or (watched == provider and now_s < until_s),
            witness=witness,
        )

    def _awaits(self, provider: str) -> bool:
        """The primary has to be left: whoever answers again is looked at, beside the primary."""
        if provider == self.primary:
            return self.leaving and bool(self.proving)
        return self.leaving_s is not None and self.trackers[provider].breach.score > 0

    def share(self, provider: str) -> RateShare:
        """This process's part of the base-rate canaries to a provider."""
        return RateShare(*self.tally.share(provider)) if self.tally else RateShare()

    def turn_s(self, now_s: float) -> float:
        """When a need that no new sample has changed will have changed next; infinity: never."""
        turns = [self._watch[1]]
        for since_s in self._suspect_s.values():
            turns += (since_s + SUSPICION_FAST_S, since_s + SUSPICION_FAST_S + SUSPICION_SLOW_S)
        return min((turn_s for turn_s in turns if turn_s > now_s), default=float("inf"))

    @property
    def settled(self) -> bool:
        """No decision but to hold is possible until a sample says more or a window turns.

        The primary may stay, and either nobody goes home by itself or there is no home to go to.
        Pins and the lease are not asked.
        """
        name = self.primary
        primary = self.trackers.get(name)
        if self._announced:
            return False
        if primary is None or primary.breached or name not in self.may_serve:
            return False
        stays = self.policy.failback == "manual" or self.route.mode is Mode.PROPOSE
        by_order = self.policy.prefer != "cost"
        serving = False
        for provider in self.candidates:
            if provider.name == name:
                serving = bool(provider.enabled)
                if by_order:
                    break
            elif not stays and not self.trackers[provider.name].breached:
                return False
        return serving

    @property
    def preparing(self) -> bool:
        """The primary's evidence is such that a target should be proven already."""
        primary = self.trackers.get(self.primary)
        return primary is not None and not primary.grave and primary.moving_level >= PREPARE_AT

    @property
    def leaving(self) -> bool:
        """A decision waits for a target, or for its proof."""
        return bool(self.proving) or self.leaving_s is not None

    def _next(self, provider: str) -> str:
        """The target to prove while the primary's evidence is still growing."""
        if not self.preparing:
            return ""
        others = (p.name for p in self.candidates if p.enabled and p.name != self.primary)
        fit = (n for n in others if n in self.may_serve and not self.trackers[n].breached)
        return next(fit, "")


def vouched_by(config: Config, name: str) -> tuple[str, ...]:
    """The providers of other failure domains: an answer of `name` proves our path to them too."""
    witness = config.find_provider(name)
    if witness is None or witness.on_loopback:
        return ()
    domains = witness.domains
    return tuple(
        provider.name
        for provider in config.provider
        if provider.name != name and domains.isdisjoint(provider.domains)
    )


def _endpoint(provider: Provider) -> tuple[str, ...]:
    """What canaries were sent to: proof of one endpoint says nothing about another."""
    return provider.api, provider.url, provider.model, str(provider.key)


def _same(old: Tracker, new: Tracker) -> bool:
    return old.rules == new.rules and (
        [e.objective for e in old.evidence] == [e.objective for e in new.evidence]
    )
