"""What the log says of failing canaries: the first in full, then how many more there were."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from prober.sample import Outcome, Sample
from switch.flag import say_duration

log = logging.getLogger(__name__)

EVERY_S = 600.0


@dataclass
class _Kind:
    """Attributes: more: how many came since the last line."""

    said_s: float
    more: int = 0


class SampleLog:
    """One line when a provider fails in a new way; while it goes on, one in ten minutes."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, Outcome, int | None], _Kind] = {}
        self._startled: set[tuple[str, type[Exception]]] = set()

    def tell(self, sample: Sample) -> None:
        if sample.ok:
            return
        if line := self.line(sample):
            log.info("%s", line)
        else:
            log.debug("%s", _said(sample))

    def line(self, sample: Sample) -> str:
        """What there is to say of a failure; empty while it has just been said."""
        key = sample.provider, sample.outcome, sample.http_status
        kind = self._kinds.get(key)
        if kind is not None and sample.ended_s < kind.said_s + EVERY_S:
            kind.more += 1
            return ""
        self._kinds[key] = _Kind(sample.ended_s)
        if kind is None or kind.more == 0:
            return _said(sample)
        since = say_duration(sample.ended_s - kind.said_s)
        return f"{_said(sample)} ({kind.more + 1} times in {since})"

    def startled(self, provider: str, error: Exception) -> None:
        """A canary ended in a way that no table names: its traceback, once."""
        if (provider, type(error)) not in self._startled:
            self._startled.add((provider, type(error)))
            log.error("%s: a canary failed in a way nobody foresaw", provider, exc_info=error)


def _said(sample: Sample) -> str:
    return f"{sample.provider}: {sample.outcome.value}: {sample.detail}"
