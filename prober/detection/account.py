"""Trouble with the account at a provider, which only people can mend: no key, no credit. Pure."""

from __future__ import annotations

import math
from collections import deque

from prober.detection.episode import Episode
from prober.sample import Cause, Outcome, Sample, words_of

ACCOUNT_COUNT = 3
ACCOUNT_WITHIN_S = 30.0


class AccountTrouble:
    """Believed once enough canaries in short order have said so, until one goes well.

    Attributes:
        kind: what is believed; None: nothing.
        cause: what more is known of it.
        detail: what the provider said last.
        since_s: when the first canary started that made it believed.
        episode: what people are told of it.
    """

    def __init__(self, suspect_interval_s: float) -> None:
        self.kind: Outcome | None = None
        self.cause = Cause.NONE
        self.detail = ""
        self.since_s = -math.inf
        self.episode = Episode()
        self._within_s = max(ACCOUNT_WITHIN_S, 3 * suspect_interval_s)
        self._started_s: deque[float] = deque(maxlen=ACCOUNT_COUNT)

    @property
    def suspect(self) -> bool:
        return bool(self._started_s) and self.kind is None

    @property
    def why(self) -> str:
        """ "key refused: HTTP 401 …"; empty where nothing is believed."""
        return f"{words_of(self.kind, self.cause)}: {self.detail}".rstrip(": ") if self.kind else ""

    def refused(self, sample: Sample) -> bool:
        """Takes a canary that failed on the account; True when this is news."""
        self.detail = sample.detail
        self._started_s.append(sample.started_s)
        full = len(self._started_s) == ACCOUNT_COUNT
        if not full or self._started_s[-1] - self._started_s[0] > self._within_s:
            return False
        if self.kind is None:
            self.since_s = self._started_s[0]
        self.kind, self.cause = sample.outcome, sample.cause
        return self.episode.bad(sample)

    def settle(self, at: float) -> bool:
        """A canary went well at `at` (wall clock); True when that ends what people were told."""
        self._started_s.clear()
        self.kind = None
        return self.episode.good(at)

    def forget(self) -> None:
        """Half-finished evidence is worth nothing; what is believed stays."""
        self._started_s.clear()
