"""One objective of one provider in one route: its detector, and the figures a sentence needs."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from prober.config.objectives import Dials, Objective
from prober.config.types import DetectorKind
from prober.detection.baseline import Baseline
from prober.detection.detector import LEARN_CAP, Detector, Fresh, KOfN, WindowShare
from prober.sample import Outcome, Sample
from switch.flag import say_duration

DAY_S = 86_400
LEARN_DAYS = 7
ANSWERED = ("availability", "quality")
MAX_SAID = 160


class Evidence:
    """Counts since the first bad canary of the present suspicion. Pure."""

    def __init__(self, objective: Objective, interval_s: float) -> None:
        self.objective = objective
        self.detector: Detector = detector_of(objective, interval_s)
        share = objective.usual_share
        self.baseline = None if share is None else Baseline(share, interval_s)
        # An answer that is right is good, whatever else is known of it.
        self._simple = objective.name in ANSWERED and not objective.retried_bad
        self._clear()

    def _clear(self) -> None:
        self.since_s: float | None = None
        self.since_at: float | None = None
        self.until_s = 0.0
        self.bad = 0
        self.total = 0
        self.outcomes: Counter[Outcome] = Counter()
        self.said = ""  # by the last unknown refusal, which no word of ours explains

    def event(self, sample: Sample) -> bool | None:
        """Takes one canary; gives what it was: True bad, False good, None no evidence."""
        if self._simple and sample.outcome is Outcome.OK and self.since_s is None:
            # Nearly every canary of a life.
            self.detector.event(False, sample.started_s, sample.ended_s, sample.base_rate)
            return False
        bad = self.objective.bad(sample) if self.baseline is None else self._slow(sample)
        if bad is None:
            return None
        self.detector.event(bad, sample.started_s, sample.ended_s, sample.base_rate)
        if not bad and self.since_s is None:
            return bad  # nothing to count, nothing to clear
        if bad and self.since_s is None:
            self.since_s, self.since_at = sample.started_s, sample.started_at
        elif not bad and self.detector.level == 0:
            self._clear()
            return bad
        if self.since_s is not None:
            self.total += 1
            self.bad += bad
            self.until_s = sample.ended_s
            if bad:
                self.outcomes[sample.outcome] += 1
            if sample.outcome is Outcome.REFUSED:
                self.said = sample.detail[:MAX_SAID]
        return bad

    def _slow(self, sample: Sample) -> bool | None:
        """Whether it was slow for this provider. What is ordinary is learned while all is well."""
        took_s, baseline = self.objective.took_s(sample), self.baseline
        if baseline is None or took_s is None:
            return None
        slow = took_s > baseline.limit_s if baseline.ready else None
        if sample.base_rate and self.detector.level == 0:
            baseline.learn(took_s)
        return slow

    @property
    def limit_s(self) -> float:
        """The longest good time, of an objective that has one."""
        if self.baseline is not None:
            return self.baseline.limit_s
        return self.objective.limit_s or 0.0

    def reset(self) -> None:
        self.detector.reset()
        self._clear()

    def clause(self) -> str:
        """ "9 of 24 canaries failed in 61 s (overloaded)"; empty when there is nothing to say."""
        if self.since_s is None:
            return ""
        span = say_duration(self.until_s - self.since_s)
        counted = f"{self.bad} of {self.total} canaries"
        match self.objective.name:
            case "availability":
                kinds = ", ".join(self._kind(kind) for kind, _ in self.outcomes.most_common(2))
                return f"{counted} failed in {span} ({kinds})"
            case "quality":
                return f"{self.bad} of {self.total} answers wrong in {span}"
            case "tokens_per_s":
                return f"{counted} ran under {self.objective.least:g} tokens/s in {span}"
            case name:
                what = "first text" if name == "ttft" else "the whole answer"
                limit = say_duration(self.limit_s)
                return f"{counted} needed over {limit} to {what} in {span}"

    def dump(self) -> dict[str, Any]:
        return {
            "detector": self.detector.dump(),
            "since_s": self.since_s,
            "since_at": self.since_at,
            "until_s": self.until_s,
            "bad": self.bad,
            "total": self.total,
            "outcomes": dict(self.outcomes),
            "said": self.said,
            **({"baseline": self.baseline.dump()} if self.baseline else {}),
        }

    def load_learned(self, state: dict[str, Any]) -> None:
        """Takes up what was learned, and leaves out what was suspected."""
        self.detector.load({"learned": state["detector"].get("learned", 0.0)})
        self._load_baseline(state)

    def _load_baseline(self, state: dict[str, Any]) -> None:
        if self.baseline is not None and "baseline" in state:
            self.baseline.load(state["baseline"])

    def load(self, state: dict[str, Any]) -> None:
        self.detector.load(state["detector"])
        self._load_baseline(state)
        self.since_s, self.since_at = state["since_s"], state["since_at"]
        self.until_s = state["until_s"]
        self.bad, self.total = state["bad"], state["total"]
        self.outcomes = Counter({Outcome(name): n for name, n in state["outcomes"].items()})
        self.said = str(state.get("said", ""))

    def _kind(self, outcome: Outcome) -> str:
        """Why a canary was not available. A good answer is bad only where a retry makes it so."""
        if outcome is Outcome.REFUSED and self.said:
            return f"{outcome.words}: {self.said}"
        return "retried inside the gateway" if outcome is Outcome.OK else outcome.words


class Retries:
    """Of the newest good canaries: how many were good only after a retry inside a gateway."""

    __slots__ = ("_at", "good")

    WINDOW = 100

    def __init__(self) -> None:
        self.good = 0
        self._at: deque[int] = deque()

    def noted(self) -> None:
        """The newest good canary was one of them."""
        self._at.append(self.good)

    def clause(self) -> str:
        """ "3 of 24 good only after a retry inside the gateway"; empty without any."""
        while self._at and self._at[0] <= self.good - self.WINDOW:
            self._at.popleft()
        if not self._at:
            return ""
        seen = min(self.good, self.WINDOW)
        return f"{len(self._at)} of {seen} good only after a retry inside the gateway"


def detector_of(objective: Objective, interval_s: float) -> Detector:
    """A new detector of an objective, for canaries every `interval_s` seconds."""
    if objective.rule is not None:
        detector: Detector = objective.rule.detector(objective, interval_s)
        return detector
    config = objective.config
    match config.kind:
        case DetectorKind.CONSECUTIVE:
            return KOfN(config.count, config.count)
        case DetectorKind.K_OF_N:
            return KOfN(config.count, max(config.of, config.count))
        case DetectorKind.SHARE:
            return WindowShare(config.bad_share, config.window.total_seconds(), config.min_samples)
        case DetectorKind.QUANTILE:
            # The 95th percentile is over its limit when more than 5 % are.
            window_s = config.window.total_seconds()
            return WindowShare(objective.allowed, window_s, config.min_samples)
    assert objective.dials is not None, config.kind
    dials = objective.dials
    # What is allowed already is not learned.
    learns = config.learn and dials.p0 < LEARN_CAP
    over = int(LEARN_DAYS * DAY_S / interval_s) if learns else 0
    return Fresh(Dials(dials.p0, dials.p1, dials.evidence, dials.min_span_s, over))
