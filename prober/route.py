"""One route as this process sees it: its trackers, its flag, and the View a decision is made on."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from prober.checks import domains_of, on_loopback
from prober.clock import in_hours
from prober.config import Config, Provider, Route
from prober.drill import Drill
from prober.flips import Memory
from prober.health import Rules, Tracker
from prober.journal import Record
from prober.maintenance import Window
from prober.objective import objectives_of
from prober.pace import SUSPICION_FAST_S, SUSPICION_SLOW_S, WATCH_S, Need, Share
from switch.decide import Action, Alarm, Decision, frozen_until
from switch.flag import Candidate, Flag, Health, Keys, Mode
from switch.lease import TIMING
from switch.reports import Report
from switch.target import Policy, ProviderView, View
from switch.votes import Tally, agree
from switch.writer import Observed

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
    """What a route needs of its lease; `switch.lease.Lease` is the real one."""

    nonce: str

    async def hold(self) -> bool: ...

    async def release(self) -> None: ...


class RouteState:
    """State of one route. Holds no I/O; the judge and the flipper move it."""

    def __init__(self, config: Config, route: Route, lease: Claim, memory: Memory) -> None:
        self.lease = lease
        self.leased = False
        self.leased_s = float("-inf")
        self.memory = memory
        self.seen: Observed | None = None
        self.why_unseen = NOT_READ
        self.unsettled: list[Record] = []
        self.virtual: Flag | None = None
        self.decision = Decision(Action.HOLD, "just started")
        self.decided_ms = 0
        self.alarmed_s = float("-inf")
        self.tally: Tally | None = None
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
        self._leaving_s: float | None = None
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
        allowed = self.policy.residency
        self.may_serve = frozenset(
            p.name
            for p in self.candidates
            if not allowed or (p.residency and set(p.residency) <= allowed)
        )
        objectives = objectives_of(route)
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
        """Others may lead: this vantage does not see, or goes by other routes than most do."""
        said = self.tally
        return said is not None and bool(said.votes[said.own].blind or said.outvoted_by)

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
    def frozen_until(self) -> int:
        flips = self.seen.flips if self.seen else ()
        return frozen_until(flips, self.policy, self.acknowledged_ms)

    # -- what a decision looks at ------------------------------------------------------------

    def view(self, standing: Standing) -> View:
        seen, now_s = self.seen, standing.now_s
        now_ms = seen.time_ms if seen else standing.now_ms
        leaving_ms = 0 if self._leaving_s is None else round((now_s - self._leaving_s) * 1000)
        holding = standing.holding
        if self.unsettled:
            holding = "the last write is not settled yet; reading it back"
        elif standing.blind:
            holding = "blind: our own network seems to be gone"
        elif self.tally is not None and (by := self.tally.outvoted_by):
            holding = f"{' and '.join(by)} go by other routes than {self.tally.own}, and are more"
        elif self.flag is None and not self.may_seed:
            holding = "no flag yet; waiting for the other vantages' votes"
        providers = self.own_views(standing)
        if said := self.tally:
            kinds = self.policy.flip_on
            providers = tuple(
                agree(view, said, kinds, primary=view.name == self.primary) for view in providers
            )
        return View(
            route=self.name,
            now_ms=now_ms,
            mode=self.route.mode,
            providers=providers,
            flag=self.flag,
            pin=seen.live_pin if seen else None,
            redis_readable=self.reads,
            leader=self.leased,
            quorum=said is None or said.quorum,
            votes=said.counted if said else "",
            paused=standing.paused,
            holding=holding,
            sql_up=standing.sql_up,
            quiet=self._quiet(now_ms),
            flips=seen.flips if seen else (),
            frozen_until=self.frozen_until,
            leaving_for_ms=leaving_ms,
        )

    def own_views(self, standing: Standing) -> tuple[ProviderView, ...]:
        """The candidates as this process alone sees them."""
        return tuple(self._provider(p, standing) for p in self.candidates if p.enabled)

    def maintain(self, now: float) -> None:
        """Looks which providers are in maintenance at `now` (wall clock).

        What canaries found inside a window is discarded, and what they had found before it too.
        """
        inside = frozenset(
            name for name, ws in self.windows.items() if any(window.runs(now) for window in ws)
        )
        for name in inside ^ self.maintained:
            self.trackers[name].discard()
        self.maintained = inside

    def _provider(self, provider: Provider, standing: Standing) -> ProviderView:
        tracker = self.trackers[provider.name]
        health, why = tracker.health(standing.now_s)
        announced, drained = self._announced(provider.name, standing.now_ms / 1000)
        if provider.name in self.maintained:
            health, why = Health.UNKNOWN, announced
        elif provider.name in standing.shut:
            health, why = Health.INELIGIBLE, standing.shut[provider.name]
        elif provider.name in standing.spent and not tracker.breached:
            is_primary = provider.name == self.primary
            health = Health.UNKNOWN if is_primary else Health.INELIGIBLE
            why = "its canary budget is spent for today"
        return ProviderView(
            name=provider.name,
            health=health,
            why=why,
            breached=tracker.breached,
            proven=tracker.proven(standing.now_s),
            recent_bad=tracker.recent_bad(),
            proof=tracker.proof(),
            good_in_a_row=tracker.good_in_a_row,
            residency=frozenset(provider.residency),
            domains=domains_of(provider),
            cost_usd=provider.price.input + provider.price.output,
            latency_s=tracker.latency_s,
            quality=tracker.quality,
            maintenance=announced,
            drained=drained,
            short=self._short(provider),
        )

    def _announced(self, name: str, now: float) -> tuple[str, bool]:
        """What is announced for a provider at `now`, and whether it must be left for that."""
        for window in self.windows[name]:
            drains = window.drains(now)
            if drains or window.runs(now):
                return window.says(now), drains
        return "", False

    def _short(self, provider: Provider) -> str:
        """Why the provider's own rate limits do not carry this route at its peak."""
        limits = self.trackers[provider.name].limits
        if limits is None or provider.account == "own":
            return ""
        for limit, peak, what in (
            (limits.requests.limit, self.route.peak_rpm, "requests"),
            (limits.tokens.limit, self.route.peak_tpm, "tokens"),
        ):
            if limit is not None and peak is not None and limit < peak:
                return (
                    f"{provider.name} allows {limit:,} {what} a minute and {self.name} "
                    f"peaks at {peak:,}"
                )
        return ""

    def _quiet(self, now_ms: int) -> bool:
        """Whether the local time is within the quiet hours, which may pass midnight."""
        hours = self.route.failover.quiet_hours
        if not hours:
            return False
        return in_hours(hours, now_ms / 1000, self.zone)

    def decided(self, decision: Decision, standing: Standing) -> None:
        """Keeps what a decision means for the next looks."""
        if decision.alarm is not self.decision.alarm:
            self.alarmed_s = standing.now_s
        self.decision, self.decided_ms = decision, standing.now_ms
        leaving = decision.action is Action.PROVE or decision.alarm is Alarm.NO_CANDIDATE
        if not leaving:
            self._leaving_s = None
        elif self._leaving_s is None:
            self._leaving_s = standing.now_s
        proving = decision.action in (Action.PROVE, Action.FLIP, Action.SEED)
        self.proving = decision.target if proving else ""

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
        self._leaving_s = None

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
            latched=bool(tracker.breached) or tracker.resumed,
            score=tracker.score,
            proving=asked or (wanted and not tracker.recent_bad()),
            watched=drilled or (watched == provider and now_s < until_s),
            witness=witness,
        )

    def share(self, provider: str) -> Share:
        """This process's part of the base-rate canaries to a provider."""
        return Share(*self.tally.share(provider)) if self.tally else Share()

    def turn_s(self, now_s: float) -> float:
        """When a need that no new sample has changed will have changed next; infinity: never."""
        turns = [self._watch[1]]
        for since_s in self._suspect_s.values():
            turns += (since_s + SUSPICION_FAST_S, since_s + SUSPICION_FAST_S + SUSPICION_SLOW_S)
        return min((turn_s for turn_s in turns if turn_s > now_s), default=float("inf"))

    @property
    def settled(self) -> bool:
        """No decision but to hold is possible, however late it gets, until a sample says more.

        The primary may stay, and either nobody goes home by itself or there is no home to go to.
        Pins and the lease are not asked.
        """
        name = self.primary
        primary = self.trackers.get(name)
        if any(self.windows.values()):
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
        return primary is not None and not primary.latched and primary.level >= PREPARE_AT

    @property
    def leaving(self) -> bool:
        """A decision waits for a target, or for its proof."""
        return bool(self.proving) or self._leaving_s is not None

    def _next(self, provider: str) -> str:
        """The target to prove while the primary's evidence is still growing."""
        if not self.preparing:
            return ""
        others = (p.name for p in self.candidates if p.enabled and p.name != self.primary)
        fit = (n for n in others if n in self.may_serve and not self.trackers[n].breached)
        return next(fit, "")

    def published(self, standing: Standing) -> list[Candidate]:
        """What applications may read of the candidates."""
        found = []
        for provider in self.candidates:
            view = self._provider(provider, standing)
            why = "" if view.health in (Health.OK, Health.SUSPECT) else view.health.value
            if provider.name not in self.may_serve:
                why = "not allowed by residency"
            elif view.maintenance:
                why = view.maintenance
            elif not provider.enabled:
                why = "disabled"
            found.append(
                Candidate(
                    name=provider.name,
                    api=provider.api,
                    vendor=provider.vendor,
                    model=provider.model,
                    base_url=provider.url,
                    residency=provider.residency,
                    eligible=not why,
                    why_not=why,
                )
            )
        return found


def vouched_by(config: Config, name: str) -> tuple[str, ...]:
    """The providers of other failure domains: an answer of `name` proves our path to them too."""
    witness = config.find_provider(name)
    if witness is None or on_loopback(witness):
        return ()
    domains = domains_of(witness)
    return tuple(
        provider.name
        for provider in config.provider
        if provider.name != name and domains.isdisjoint(domains_of(provider))
    )


def rules_of(provider: Provider, route: Route) -> Rules:
    canary = provider.canary
    return Rules(
        interval_s=canary.interval.total_seconds(),
        suspect_interval_s=canary.suspect_interval.total_seconds(),
        timeout_s=canary.timeout.total_seconds(),
        healthy_for_s=route.failover.healthy_for.total_seconds(),
        alone=on_loopback(provider),
        own_account=provider.account == "own",
        reports=route.reports.enabled,
    )


def _endpoint(provider: Provider) -> tuple[str, ...]:
    """What canaries were sent to: proof of one endpoint says nothing about another."""
    return provider.api, provider.url, provider.model, str(provider.key)


def _same(old: Tracker, new: Tracker) -> bool:
    return old.rules == new.rules and (
        [e.objective for e in old.evidence] == [e.objective for e in new.evidence]
    )
