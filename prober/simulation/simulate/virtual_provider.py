"""A provider as the simulated schedule and judge see it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from prober.probing.pacing import Purpose, Rhythm
from prober.sample import Phases, Sample, Tokens
from prober.simulation.simulate.provider_model import ModelledAnswer, ProviderModel

if TYPE_CHECKING:
    from prober.config.objectives import Objective
    from prober.config.schema import Provider
    from prober.detection.baseline import Baseline
    from prober.detection.tracker import Tracker

# 2026-01-01, a Thursday; only quiet hours and the budget's days look at it.
EPOCH_S = 1_767_225_600
TOKENS = Tokens(input=30, output=8)

Passed = tuple[float, float, ModelledAnswer]
"""(started_s, ended_s, what it found)."""


class VirtualProvider:
    """A provider as the schedule and the judge see it."""

    __slots__ = (
        "cost_usd",
        "name",
        "passed",
        "probes",
        "quiet",
        "relative",
        "rhythm",
        "taught",
        "text_baselines",
        "text_limit_s",
        "timer",
        "total_baselines",
        "total_limit_s",
        "trackers",
        "vouches",
        "world",
    )  # fmt: skip

    def __init__(self, provider: Provider, world: ProviderModel, trackers: list[Tracker]) -> None:
        canary = provider.canary
        self.name = provider.name
        self.world = world
        self.trackers = trackers
        self.rhythm = Rhythm(
            canary.interval.total_seconds(), canary.suspect_interval.total_seconds(), 0.0
        )
        self.cost_usd = provider.worst_cost_usd
        self.vouches: list[Tracker] = []
        # Nothing is suspected of it, and nobody looks at it closely.
        self.quiet = False
        self.timer = 0
        self.probes = 0
        # Good canaries of a calm, not told to the trackers yet.
        self.passed: list[Passed] = []
        # How many of them have taught their baselines.
        self.taught = 0
        self.text_limit_s = self.total_limit_s = math.inf
        self.text_baselines: list[Baseline] = []
        self.total_baselines: list[Baseline] = []
        for tracker in trackers:
            for evidence in tracker.evidence:
                if evidence.baseline is None:
                    self._limit(evidence.objective)
                elif evidence.objective.name == "ttft":
                    self.text_baselines.append(evidence.baseline)
                else:
                    self.total_baselines.append(evidence.baseline)
        self.relative = bool(self.text_baselines or self.total_baselines)

    def _limit(self, objective: Objective) -> None:
        """Sets what no canary of a calm may pass; a limit that is not a time allows none."""
        limit_s = objective.limit_s if objective.limit_s is not None else -math.inf
        match objective.name:
            case "availability" | "quality":
                return
            case "total":
                self.total_limit_s = min(self.total_limit_s, limit_s)
            case "ttft":
                self.text_limit_s = min(self.text_limit_s, limit_s)
            case _:
                self.total_limit_s = -math.inf

    def teach(self) -> None:
        """The good canaries of a calm have ended."""
        for _, _, answer in self.passed[self.taught :]:
            for baseline in self.text_baselines:
                baseline.learn(answer[2] or 0.0)
            for baseline in self.total_baselines:
                baseline.learn(answer[3])
        self.taught = len(self.passed)

    def slow(self, answer: ModelledAnswer) -> bool:
        """Slower than is usual; or nobody knows yet what is."""
        return any(
            not baseline.ready or (answer[2] or 0.0) > baseline.limit_s
            for baseline in self.text_baselines
        ) or any(
            not baseline.ready or answer[3] > baseline.limit_s for baseline in self.total_baselines
        )

    def draw(self, at_s: float, number: int, base_rate: bool, answer: ModelledAnswer) -> Sample:
        outcome, byte_s, text_s, total_s = answer
        return Sample(
            str(number),
            self.name,
            "simulated",
            "simulated",
            EPOCH_S + at_s,
            at_s,
            outcome,
            Phases(first_byte_s=byte_s, first_text_s=text_s, total_s=total_s),
            tokens=TOKENS,
            cost_usd=self.cost_usd,
            base_rate=base_rate,
        )

    def is_quiet(self) -> bool:
        """Nothing is suspected of the provider, and no route looks at it closely."""
        return self.rhythm.pace.purpose is Purpose.BASE and not any(
            tracker.suspect or tracker.breached or tracker.breach.resumed
            for tracker in self.trackers
        )

    def turn_s(self, after_s: float) -> float:
        """When the schedule would act although nothing was learned; infinity: never."""
        turns = (self.rhythm.silent_s, self.rhythm.bucket.ready_s)
        return min((turn_s for turn_s in turns if turn_s > after_s), default=math.inf)
