"""What the emulator was asked and what it answered; never a key, a prompt or a query string."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prober.emulator.faults import InjectedFault

KEPT = 100
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Summary:
    """One request for an answer.

    Attributes:
        status: the HTTP status sent; None: none was.
        fault: what was done wrong on purpose, as in `Fault`; "none": nothing.
    """

    api: str
    path: str
    model: str
    status: int | None
    fault: InjectedFault


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """All requests since the start or the last reset: counts by API and model, and the last 100."""

    counts: dict[str, dict[str, int]]
    last: tuple[Summary, ...]

    @property
    def total(self) -> int:
        return sum(sum(models.values()) for models in self.counts.values())


@dataclass(frozen=True, slots=True)
class _Kept:
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    last: deque[Summary] = field(default_factory=lambda: deque(maxlen=KEPT))


class Log:
    """The server's thread notes; any thread reads and resets, without a lock as in `Rules`."""

    def __init__(self) -> None:
        self._kept = _Kept()

    def note(self, summary: Summary) -> None:
        kept = self._kept
        kept.counts[summary.api, summary.model] += 1
        kept.last.append(summary)

    def reset(self) -> None:
        self._kept = _Kept()

    def models(self, api: str) -> list[str]:
        """The models that were asked for, in the order of their first request."""
        return [model for name, model in tuple(self._kept.counts) if name == api and model]

    def traffic(self) -> RequestCounts:
        kept = self._kept
        counts: dict[str, dict[str, int]] = {}
        for (api, model), count in dict(kept.counts).items():
            counts.setdefault(api, {})[model] = count
        return RequestCounts(counts, tuple(kept.last))
