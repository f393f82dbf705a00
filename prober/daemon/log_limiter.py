"""Which failures are news for the log: a bad night must not fill a disk with one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from switch.flag import say_duration

if TYPE_CHECKING:
    from prober.sample import Outcome, Sample

EVERY_S = 600.0
# A failure after so many good canaries in a row is a new one.
FINE_AGAIN = 3


@dataclass(slots=True)
class _LastLine:
    at_s: float
    since: int = 0


class LogLimiter:
    """Remembers what was said of each provider; a line for the first failure of each outcome,
    then one every ten minutes with how many came in between."""

    def __init__(self) -> None:
        self._said: dict[str, dict[Outcome, _LastLine]] = {}
        self._fine: dict[str, int] = {}
        self._startled: set[tuple[str, type[Exception]]] = set()

    def startled(self, provider: str, error: Exception) -> bool:
        """A canary ended in a way that no table names: whether its traceback is news."""
        new = (provider, type(error)) not in self._startled
        self._startled.add((provider, type(error)))
        return new

    def line(self, sample: Sample, now_s: float) -> str:
        """What to log of a canary; empty when it is no news. `now_s`: seconds, monotonic."""
        known = self._said.setdefault(sample.provider, {})
        if sample.ok:
            self._fine[sample.provider] = self._fine.get(sample.provider, 0) + 1
            if self._fine[sample.provider] >= FINE_AGAIN:
                known.clear()
            return ""
        self._fine[sample.provider] = 0
        before = known.get(sample.outcome)
        if before is not None and now_s - before.at_s < EVERY_S:
            before.since += 1
            return ""
        known[sample.outcome] = _LastLine(now_s)
        text = f"{sample.provider}: {sample.outcome.value}: {sample.detail}"
        if before is None or not before.since:
            return text
        return f"{text} ({before.since} more in the last {say_duration(now_s - before.at_s)})"
