"""From samples to Health: one Tracker per provider and route. Pure; every call takes `now_s`.

Events are judged in the order in which the canaries started. A failure on the path (DNS,
connect, TLS, reset, no byte) waits for a witness: it may be our own network.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from prober.config.objectives import RECOVERED_AT, Objective
from prober.detection.account import AccountTrouble
from prober.detection.breach import TOLD_COSTS, Breach
from prober.detection.detector import Fresh
from prober.detection.episode import Episode
from prober.detection.evidence import Evidence, Retries
from prober.detection.report_evidence import ReportEvidence
from prober.sample import Fault, Limits, Outcome, Sample
from switch.control.target import LATELY_S, Counts
from switch.flag import Health, say_duration

if TYPE_CHECKING:
    from prober.detection.rules import TrackerRules

PROOF = 4
# Room for ten minutes at the suspect interval, overlapping ones included.
LATELY = 256
# What older canaries weigh in a moving average of a tenth is lost in rounding: .9^400 = 5e-19.
REMEMBERED = 400
MOVING = 0.1


class Change(StrEnum):
    """What people are told about."""

    BREACHED = "breached"
    RECOVERING = "recovering"
    RECOVERED = "recovered"
    ACCOUNT = "account"
    ACCOUNT_WELL = "account_well"
    CANARY = "canary"
    CANARY_WELL = "canary_well"


class Ended(NamedTuple):
    """The gist of a judged canary."""

    started_s: float
    ended_s: float
    good: bool
    first_text_s: float | None
    wrong: bool = False


class Tracker:
    """What one route knows of one provider."""

    def __init__(self, provider: str, objectives: Iterable[Objective], rules: TrackerRules) -> None:
        self.provider = provider
        self.rules = rules
        self.evidence = [Evidence(objective, rules.interval_s) for objective in objectives]
        self.breach = Breach(rules.healthy_for_s)
        self.account = AccountTrouble(rules.suspect_interval_s)
        self.retries = Retries()
        self.good_in_a_row = 0
        self.last: Sample | None = None
        self.limits: Limits | None = None
        self.latency_s: float | None = None
        self.quality: float | None = None
        self.changes: list[Change] = []
        self.paced_s = 0.0
        self._newest: deque[Ended] = deque(maxlen=PROOF)
        self._lately: deque[Ended] = deque(maxlen=LATELY)
        self._flight: dict[str, Sample | None] = {}
        self._forgotten: set[str] = set()
        self._waiting: deque[Sample] = deque()
        self._witnessed_s = -math.inf
        # What people are told of a canary that is our own fault.
        self.canary = Episode()
        named = {evidence.objective.name: evidence for evidence in self.evidence}
        self._availability = named.get("availability")
        self._moving = [named[name] for name in named if name not in rules.alert_only]
        # The plain thresholds are asked for by those who want nothing else.
        dials = self._availability.objective.dials if self._availability else None
        self.traffic = ReportEvidence(dials) if dials is not None and rules.reports else None

    # -- what happened ---------------------------------------------------------------------

    def started(self, id: str) -> None:
        self._flight[id] = None

    def dropped(self, id: str) -> None:
        """The canary ended without evidence (shutdown, time gap)."""
        self._flight.pop(id, None)
        self._forgotten.discard(id)
        self._release()

    def ended(self, sample: Sample) -> None:
        if sample.id in self._forgotten:
            self._forgotten.discard(sample.id)
            return
        if sample.id in self._flight:
            self._flight[sample.id] = sample
        elif sample.outcome is Outcome.OK and not self._waiting and not self._flight:
            self._judge(sample)  # the common case: nothing before it, nothing against it
            return
        else:
            self._waiting.append(sample)
        self._release()

    def went_well(
        self, canaries: Sequence[tuple[float, float, float | None]], last: Sample
    ) -> None:
        """Many canaries in short, while nothing was suspected: the same as `ended` for each.

        Each is (started_s, ended_s, first_text_s), good by every objective and sent at the base
        rate; `last` is the last of them, whole. Baselines are the caller's to teach.
        """
        for evidence in self.evidence:
            detector = evidence.detector
            if isinstance(detector, Fresh) and detector.steady:
                continue
            event = detector.event
            for started_s, ended_s, _ in canaries:
                event(False, started_s, ended_s, True)
        for _, _, first_s in canaries[-REMEMBERED:]:
            self._learn(first_s)
        for started_s, ended_s, first_s in canaries[-LATELY:]:
            self._keep(Ended(started_s, ended_s, True, first_s))
        self.good_in_a_row += len(canaries)
        self.retries.good += len(canaries)
        self.account.forget()
        self._canary_answered(last.started_at, len(canaries))
        self.last = last

    def witnessed(self, started_s: float) -> None:
        """Our own path worked for something that began at `started_s`."""
        if started_s > self._witnessed_s:
            self._witnessed_s = started_s
            self._release()

    def reported(self, process: str, ok: int, bad: int, at_s: float) -> None:
        """An application's calls to the provider, which is the route's primary."""
        if self.traffic is not None and not self._grave:
            self.traffic.add(process, ok, bad, at_s)

    def tick(self, now_s: float) -> None:
        """Weighs reports; gives up on path failures that found no witness: they stay unknown."""
        if self.traffic is not None:
            self.traffic.weigh(now_s)
            if self.traffic.breached(now_s) and not self._grave and self.last is not None:
                self.traffic.believed()
                self._latch(self.last, by_reports=True)
        while self._waiting and now_s - self._waiting[0].ended_s > self.rules.witness_within_s:
            self._waiting.popleft()
            self._release()

    def discard(self) -> None:
        """A maintenance window begins or ends: nothing seen so far says how the provider is."""
        self.forget()
        self.last = None
        self.retries = Retries()

    def forget(self) -> None:
        """A time gap: half-finished evidence is worth nothing. Latches and learning stay."""
        # What was under way across the gap says nothing when it ends.
        self._forgotten.update(id for id, sample in self._flight.items() if sample is None)
        self._flight.clear()
        self._waiting.clear()
        self._newest.clear()
        self._lately.clear()
        self.account.forget()
        self.good_in_a_row = 0
        self.breach.score = 0
        if self.traffic is not None:
            self.traffic.reset()
        if not self._grave:
            for evidence in self.evidence:
                if evidence.objective.name not in self.breach.latched:
                    evidence.reset()

    def _release(self) -> None:
        while self._flight:
            id, sample = next(iter(self._flight.items()))
            if sample is None:
                break
            del self._flight[id]
            self._waiting.append(sample)
        while self._waiting and self._may_judge(self._waiting[0]):
            self._judge(self._waiting.popleft())

    def _may_judge(self, sample: Sample) -> bool:
        on_path = sample.fault is Fault.PATH and not self.rules.alone
        return not on_path or self._witnessed_s > sample.started_s

    def _judge(self, sample: Sample) -> None:
        self.last = sample
        self.limits = sample.limits or self.limits
        ok = sample.outcome is Outcome.OK
        fault = Fault.NONE if ok else sample.fault
        if fault is Fault.ACCOUNT:
            self.good_in_a_row = 0
            self._keep(Ended(sample.started_s, sample.ended_s, False, None))
            if self.account.refused(sample):
                self.changes.append(Change.ACCOUNT)
            return
        if fault is Fault.CANARY:
            if self.canary.bad(sample):
                self.changes.append(Change.CANARY)
            return
        bad = only_told = breached = False
        for evidence in self.evidence:
            was_bad = evidence.event(sample)
            if was_bad:
                alerts_only = evidence.objective.name in self.rules.alert_only
                bad, only_told = bad or not alerts_only, only_told or alerts_only
            if evidence.detector.breached:
                breached = True
            if evidence is self._availability and was_bad is not None and self.traffic is not None:
                self.traffic.canary(was_bad, sample.started_s)
        if ok or fault is Fault.QUALITY:
            self._canary_answered(sample.started_at)
        if ok:
            self.retries.good += 1
            if sample.retried:
                self.retries.noted()
            if self.account.settle(sample.started_at):
                self.changes.append(Change.ACCOUNT_WELL)
            self._learn(sample.phases.first_text_s)
        wrong = fault is Fault.QUALITY
        if wrong:
            self.quality = (1 - MOVING) * (self.quality or 0.0)
        good = ok and not bad
        if bad or good or wrong:
            first_s = sample.phases.first_text_s
            ended = Ended(sample.started_s, sample.ended_s, good, first_s, wrong)
            self._keep(ended, counts=bad or good)
        if bad or good:
            self.good_in_a_row = self.good_in_a_row + 1 if good else 0
        if self.breach.latched or self.breach.resumed:
            self._recover(sample, good, bad, only_told)
        if breached:
            self._latch(sample)

    def _canary_answered(self, at: float, count: int = 1) -> None:
        if self.canary.good(at, count):
            self.changes.append(Change.CANARY_WELL)

    def _learn(self, first_s: float | None) -> None:
        quality, before_s = self.quality, self.latency_s
        self.quality = 1.0 if quality is None else quality + MOVING * (1.0 - quality)
        if first_s:
            log_s = math.log(first_s)
            if before_s:
                before = math.log(before_s)
                log_s = before + MOVING * (log_s - before)
            self.latency_s = math.exp(log_s)

    def _latch(self, sample: Sample, *, by_reports: bool = False) -> None:
        names = frozenset(e.objective.name for e in self.evidence if e.detector.breached)
        if by_reports:
            names |= {"availability"}
        if names <= self.breach.latched:
            return
        first = not self.breach.latched
        # What moves a flag begins anew, whatever was told before.
        graver = not self._grave and bool(names - self.rules.alert_only)
        known = self._moving if graver else self.evidence
        began = [e.since_s for e in known if e.since_s is not None]
        since_s = min(began, default=sample.started_s)
        self.breach.latch(names, since_s, sample.ended_s, anew=graver)
        self.breach.why = self._clauses()
        if first or graver:
            sinces = [e.since_at for e in known if e.since_at is not None]
            if by_reports and self.traffic is not None and self.traffic.since_s is not None:
                self.breach.why = self.traffic.clause(agreed=True)
                sinces.append(self.traffic.since_s + sample.started_at - sample.started_s)
            self.breach.onset_at = min(sinces, default=sample.started_at)
            self.changes.append(Change.BREACHED)

    def _recover(self, sample: Sample, good: bool, bad: bool, only_told: bool) -> None:
        if bad:
            self.breach.went_badly(self._clauses())
        elif only_told and not self._grave:
            # Beside a breach that moves a flag it says nothing: some of it is allowed for ever.
            self.breach.went_badly(self._clauses(), costs=TOLD_COSTS)
        elif good and self.breach.went_well(sample.started_s):
            self.changes.append(Change.RECOVERING)
        if self.breach.score < self._recovered_at:
            return
        self.breach.end(sample.ended_s, waits=bool(self._grave))
        for evidence in self.evidence:
            evidence.reset()
        if self.traffic is not None:
            self.traffic.reset()
        self.changes.append(Change.RECOVERED)

    @property
    def _recovered_at(self) -> int:
        latched = (e.objective for e in self.evidence if e.objective.name in self.breach.latched)
        return max((objective.recovered_at for objective in latched), default=RECOVERED_AT)

    def _clauses(self) -> str:
        clauses = [
            e.clause() for e in self.evidence if e.detector.breached or e.since_s is not None
        ]
        if self.traffic is not None and self.traffic.suspicious and not self.breach.latched:
            clauses.append(self.traffic.clause())
        return "; ".join(clause for clause in clauses if clause)

    # -- what is known ---------------------------------------------------------------------

    @property
    def level(self) -> float:
        """How near a breach is, over all objectives: 0 to 1."""
        return self._level(self.evidence)

    @property
    def moving_level(self) -> float:
        """The same, over those objectives that may move a flag."""
        return self._level(self._moving)

    def _level(self, evidences: Sequence[Evidence]) -> float:
        worst = 0.0 if self.traffic is None else self.traffic.level
        for evidence in evidences:
            level = evidence.detector.level
            if level > worst:
                worst = level
        return worst

    @property
    def path_pending(self) -> bool:
        return bool(self._waiting)

    @property
    def pending_since_s(self) -> float:
        """When the oldest path failure without a witness ended; infinity without one."""
        return self._waiting[0].ended_s if self._waiting else math.inf

    @property
    def suspect(self) -> bool:
        # What has been told already is not looked at more closely.
        alerts_only = self.breach.latched and not self._grave
        level = self.moving_level if alerts_only else self.level
        return level > 0 or self.path_pending or self.account.suspect

    @property
    def _grave(self) -> frozenset[str]:
        return self.breach.latched - self.rules.alert_only

    @property
    def grave(self) -> frozenset[str]:
        """Of `breached`: what may move a flag."""
        return self.breached - self.rules.alert_only

    @property
    def only_wrong(self) -> bool:
        """In breach by its answers alone."""
        return self.breach.latched == {"quality"}

    @property
    def wrong(self) -> bool:
        """Its answers are wrong: a breach, or all that is known."""
        newest = self._newest
        return "quality" in self.breach.latched or (bool(newest) and all(e.wrong for e in newest))

    @property
    def breached(self) -> frozenset[str]:
        """Objectives in breach and kinds of account trouble."""
        kind = self.account.kind
        kinds = frozenset({kind.value}) if kind else frozenset()
        return self.breach.latched | kinds

    def health(self, now_s: float) -> tuple[Health, str]:
        """The state and the clause that says why."""
        if self.account.kind is not None:
            why = self.account.why
            if self.rules.own_account:
                return Health.UNKNOWN, f"{why} (the canary's own account)"
            return Health.INELIGIBLE, why
        if self.breach.latched:
            return Health.BREACHED, self.breach.why
        if self._waiting:
            word = self._waiting[0].outcome.words
            return Health.UNKNOWN, f"{word}; no witness yet that our own network works"
        if self.last is None:
            return Health.UNKNOWN, "no canary has ended yet"
        silent_s = now_s - self.last.ended_s
        if silent_s > self.rules.stale_after_s(self.paced_s):
            return Health.UNKNOWN, f"no canary has ended for {say_duration(silent_s)}"
        if self.last.fault in (Fault.CANARY, Fault.ACCOUNT):
            return Health.UNKNOWN, f"{self.last.words}: {self.last.detail}".rstrip(": ")
        if now_s < self.breach.penalty_until_s:
            left = say_duration(self.breach.penalty_until_s - now_s)
            return Health.RECOVERING, f"good again, may serve in {left}"
        if self.level > 0:
            worst = max(self.evidence, key=lambda evidence: evidence.detector.level)
            explained = f", {worst.detector.explain()}" if worst.detector.level > 0 else ""
            return Health.SUSPECT, f"{self._clauses()}{explained}"
        if self.last.fault is Fault.CAPACITY:
            return Health.OK, f"last canary rate limited; {self._newest_said()}"
        return Health.OK, self._newest_said()

    def _newest_said(self) -> str:
        """ "4 of 4 good, slowest first text 0.9 s"; "good" never stands beside a wrong answer."""
        wrong = sum(ended.wrong for ended in self._newest)
        if wrong:
            return f"{wrong} of {len(self._newest)} answers wrong"
        counted, comma, more = self.proof().partition(", ")
        return f"{counted} good{comma}{more}"

    def _keep(self, ended: Ended, *, counts: bool = True) -> None:
        """`counts`: for or against the provider, so that a last resort goes by it too."""
        self._newest.append(ended)
        if counts:
            self._lately.append(ended)

    def lately(self, now_s: float, *, serving: bool) -> Counts:
        """Canaries of the last minutes.

        While it is serving: of the trouble alone. Else: since the recovery from it began.
        """
        trouble_s = self.breach.since_s if self.breach.latched else -math.inf
        if self.account.kind is not None:
            trouble_s = self.account.since_s
        from_s = max(now_s - LATELY_S, trouble_s if serving else self.breach.recovering_s)
        ended = takewhile(lambda ended: ended.started_s >= from_s, reversed(self._lately))
        went_well = [ended.good for ended in ended]
        return Counts(sum(went_well), len(went_well) - sum(went_well))

    def failed_ago_s(self, now_s: float) -> float:
        """How long ago the last canary but one that failed was started: one alone says little."""
        starts = (ended.started_s for ended in reversed(self._lately) if not ended.good)
        return now_s - next(islice(starts, 1, None), -math.inf)

    def good_for_s(self, now_s: float) -> float:
        """How long ago the first of its newest good canaries in a row was started.

        Of those since its recovery began; 0 without any.
        """
        run = takewhile(lambda ended: ended.good, reversed(self._lately))
        first_s = min((ended.started_s for ended in run), default=now_s)
        return now_s - max(first_s, self.breach.recovering_s)

    def recent_bad(self) -> bool:
        """One of the newest canaries was not good, whoever's fault that was."""
        last_bad = self.last is not None and not self.last.ok
        return last_bad or self.path_pending or not all(ended.good for ended in self._newest)

    def proven(self, now_s: float) -> bool:
        """The newest four canaries were good and fresh."""
        newest = self._newest
        whole = len(newest) == PROOF and all(ended.good for ended in newest)
        last_ok = self.last is not None and self.last.ok and not self._waiting
        fresh = whole and now_s - newest[0].ended_s <= self.rules.proof_age_s
        return fresh and last_ok and self.account.kind is None

    def proof(self) -> str:
        """ "4 of 4, slowest first text 0.9 s"."""
        newest = self._newest
        good = [ended for ended in newest if ended.good]
        slowest = max((e.first_text_s for e in good if e.first_text_s is not None), default=None)
        counted = f"{len(good)} of {len(self._newest)}"
        if wrong := sum(ended.wrong for ended in self._newest):
            return f"{counted}, {wrong} answered wrongly"
        if slowest is not None:
            return f"{counted}, slowest first text {say_duration(slowest)}"
        if self.last is not None and not self.last.ok:
            return f"{counted}, {self.last.words}"
        return counted

    # -- across a restart ------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """What outlives the process, as JSON. Times are of this boot's monotonic clock."""
        return {
            "evidence": {e.objective.name: e.dump() for e in self.evidence},
            **self.breach.dump(),
            "latency_s": self.latency_s,
            "quality": self.quality,
            "told": {"account": self.account.episode.dump(), "canary": self.canary.dump()},
        }

    def load(self, state: dict[str, Any], *, fresh: bool) -> None:
        """Takes up what `dump` gave. Unless `fresh`, only what was learned is believed."""
        for evidence in self.evidence:
            saved = state["evidence"].get(evidence.objective.name)
            if saved is None:
                continue
            if fresh:
                evidence.load(saved)
            else:
                evidence.load_learned(saved)
        self.latency_s, self.quality = state["latency_s"], state["quality"]
        if fresh:
            self.breach.load(state)
        if episodes := state.get("told"):
            self.account.episode.load(episodes["account"])
            self.canary.load(episodes["canary"])

    def inherit(self, old: Tracker) -> None:
        """A reload changed what is asked or of whom: a breach stays one until it has recovered."""
        self.breach.inherit(old.breach, {evidence.objective.name for evidence in self.evidence})
        # What people were told of, they are told the end of.
        self.account.episode, self.canary = old.account.episode, old.canary
        self.account.episode.renew()
        self.canary.renew()
        # Canaries of the old configuration say nothing here.
        self._forgotten = old._forgotten | {id for id, s in old._flight.items() if s is None}
