"""What an endpoint answered before decides what its next refusal means.

The same canary that was answered well within the last day cannot be malformed: an unknown refusal
of it is the provider's own failure. And a gateway whose upstream has just refused the gateway's key
says "no deployments available" of the same trouble.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from prober.sample import FAULT, Cause, Fault, Outcome, Sample, words_of

DAY_S = 86_400.0
# A gateway asks its upstream again within minutes.
UPSTREAM_S = 3_600.0


@dataclass(frozen=True, slots=True)
class Precedent:
    """What is remembered of one endpoint and canary; times by the wall clock.

    Attributes:
        answered_at: when a canary of its was last answered well.
        upstream: what its upstream has refused since, for the gateway's account there.
        upstream_at: when it last did.
    """

    answered_at: float | None = None
    upstream: Outcome | None = None
    upstream_at: float = 0.0


def judged(sample: Sample, before: Precedent) -> Sample:
    """The sample, its outcome weighed by what came before it. Pure."""
    if sample.cause is Cause.UNKNOWN and _lately(before.answered_at, sample, DAY_S):
        return replace(sample, outcome=Outcome.REFUSED)
    upstream = before.upstream
    if (
        sample.cause is Cause.NOBODY_LEFT
        and upstream is not None
        and _lately(before.upstream_at, sample, UPSTREAM_S)
    ):
        why = words_of(upstream, Cause.UPSTREAM)
        detail = f"{sample.detail} (just before: {why})"
        return replace(sample, outcome=upstream, cause=Cause.UPSTREAM, detail=detail)
    return sample


def after(sample: Sample, before: Precedent) -> Precedent:
    """What is to be remembered once a judged sample has ended. Pure."""
    if sample.ok:
        return Precedent(answered_at=sample.started_at)
    if sample.cause is Cause.UPSTREAM and FAULT[sample.outcome] is Fault.ACCOUNT:
        return replace(before, upstream=sample.outcome, upstream_at=sample.started_at)
    return before


def _lately(at: float | None, sample: Sample, within_s: float) -> bool:
    return at is not None and sample.started_at - at <= within_s


class Precedents:
    """The memory, by the fingerprint of what is sent and to whom: what changes that forgets."""

    def __init__(self) -> None:
        self._known: dict[str, Precedent] = {}

    def judge(self, sample: Sample, fingerprint: str) -> Sample:
        """Weighs a sample, and remembers it."""
        before = self._known.get(fingerprint, Precedent())
        sample = judged(sample, before)
        if (now := after(sample, before)) != before:
            self._known[fingerprint] = now
        return sample

    def dump(self, now: float) -> dict[str, Any]:
        """What outlives the process, as JSON."""
        return {
            fingerprint: {
                "answered_at": known.answered_at,
                "upstream": known.upstream,
                "upstream_at": known.upstream_at,
            }
            for fingerprint, known in self._known.items()
            if max(known.answered_at or 0.0, known.upstream_at) > now - DAY_S
        }

    def load(self, saved: Any) -> None:
        """Takes up what `dump` gave; what cannot be read is not known."""
        for fingerprint, row in saved.items() if isinstance(saved, Mapping) else ():
            try:
                upstream = Outcome(row["upstream"]) if row["upstream"] else None
                at = row["answered_at"]
                answered_at = None if at is None else float(at)
                known = Precedent(answered_at, upstream, float(row["upstream_at"]))
            except (ValueError, KeyError, TypeError):
                continue
            self._known[str(fingerprint)] = known
