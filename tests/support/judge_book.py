"""What the state machine's operators may configure, and its second book of the canaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from prober.config import loader
from prober.config.schema import Config
from prober.sample import FAULT, Fault, Outcome, Sample
from prober.simulation.simulate.virtual_provider import EPOCH_S

NAMES = ("a", "b", "c", "d")
RESIDES: Mapping[str, tuple[str, ...]] = {"a": ("eu",), "b": ("eu", "us"), "c": ("us",), "d": ()}
DOMAIN = {"a": "x", "b": "y", "c": "x", "d": "z"}
LIMIT_S = 3.0
PROOF_AGE_S = 15.0
HEALTHY_FOR_S = 600.0
FREEZE_S = 3_600.0
# None of these says that a provider was down.
NO_EVIDENCE = (Fault.CANARY, Fault.QUALITY)


@dataclass(frozen=True)
class Setting:
    """What an operator may write into the configuration."""

    names: tuple[str, ...] = ("a", "b", "c")
    residency: tuple[str, ...] = ()
    mode: str = "auto"
    failback: str = "auto"
    prefer: str = "order"
    kind: str = "normal"
    # provider, start and end in seconds of the virtual clock, what to do
    windows: tuple[tuple[str, int, int, str], ...] = ()

    def text(self) -> str:
        tables = [
            f'[[provider]]\nname = "{n}"\napi = "openai"\nmodel = "m"\n'
            f'base_url = "https://{n}.example/v1"\nfailure_domains = ["{DOMAIN[n]}"]\n'
            f"residency = {list(RESIDES[n])}\nprice = {{ input = {cost}, output = {cost} }}\n"
            for cost, n in zip((0.3, 0.1, 0.2, 0.15), NAMES, strict=True)
        ]
        tables += [
            f'[[maintenance]]\nname = "w{i}"\nprovider = "{n}"\nstart = {_utc(start)}\n'
            f'end = {_utc(end)}\naction = "{action}"\n'
            for i, (n, start, end, action) in enumerate(self.windows)
        ]
        tables.append(
            f'[[route]]\nname = "chat"\nmode = "{self.mode}"\ncandidates = {list(self.names)}\n'
            f'residency = {list(self.residency)}\n[route.objectives]\nttft = {{ under = "3s" }}\n'
            f'[route.detector]\nkind = "{self.kind}"\n[route.failover]\n'
            f'failback = "{self.failback}"\nprefer = "{self.prefer}"\n'
        )
        return "\n".join(tables)


def _utc(at_s: float) -> str:
    return f"{datetime.fromtimestamp(EPOCH_S + at_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


@lru_cache(maxsize=256)
def parsed(text: str) -> Config:
    return loader.parse(text)


@dataclass
class Book:
    """What canaries found of one provider since it was last given a clean slate."""

    entries: list[tuple[float, float, Outcome, bool]] = field(default_factory=list)
    witnessed_s: float = float("-inf")
    may_serve_s: float = float("-inf")
    grave: bool = False

    def note(self, sample: Sample) -> None:
        slow = sample.ok and (sample.phases.first_text_s or 0.0) > LIMIT_S
        counted = sample.fault is not Fault.CAPACITY or sample.base_rate
        bad = slow or (counted and not sample.ok and sample.fault not in NO_EVIDENCE)
        self.entries.append((sample.started_s, sample.ended_s, sample.outcome, bad))

    def failures(self) -> int:
        """Canaries that speak against it; on the path, those that a later start has vouched for."""
        sure = (o for s, _, o, bad in self.entries
                if bad and (not _path(o) or self.witnessed_s > s))  # fmt: skip
        return len(list(sure))

    def proven(self, now_s: float) -> bool:
        """At the least: it answered last, and the newest four that count were good and fresh."""
        if not self.entries or self.entries[-1][2] is not Outcome.OK:
            return False
        telling = [e for e in self.entries if e[3] or e[2] is Outcome.OK]
        newest = [e for e in telling if not _path(e[2])][-4:]
        return len(newest) == 4 and all(
            not bad and now_s - end_s <= PROOF_AGE_S for _, end_s, _, bad in newest
        )


def _path(outcome: Outcome) -> bool:
    return FAULT.get(outcome) is Fault.PATH
