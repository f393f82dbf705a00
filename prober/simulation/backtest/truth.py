"""What is called an incident of history: a stretch nobody can know for certain. Pure.

Two things count: the incidents that the daemon recorded, and stretches measured here. A
five-minute window is bad when at least `LEAST_BAD` canaries were bad by one objective, and for
more of its time than the share worth a flip. A canary stands for half the time to the one before
it and half the time to the next (no further apart than a base interval): under suspicion there
are many, and they must not count for more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prober.config.objectives import (
    AVAILABILITY_BAD_SHARE,
    LATENCY_BAD_SHARE,
    Objective,
    objectives_of,
)
from prober.failover.route_state import vouched_by
from prober.sample import Fault, Outcome, Phases, Sample, Tokens

if TYPE_CHECKING:
    from prober.config.schema import Config, Route
    from prober.history.store.queries import Taken

WINDOW_S = 300.0
LEAST_BAD = 3
# Bad windows that are no further apart are one stretch.
APART_S = 300.0
OK = Outcome.OK.value

TimeSpan = tuple[float, float]


@dataclass(frozen=True, slots=True)
class RecordedIncident:
    """One incident of history; seconds since the epoch.

    Attributes:
        source: "recorded", "measured" or "both".
    """

    provider: str
    start: float
    end: float
    source: str


class Announced:
    """The maintenance windows of a route's candidates.

    What goes wrong within one was announced: neither an incident to be found, nor ordinary noise.
    """

    def __init__(self, config: Config, route: Route) -> None:
        covered = ((name, config.windows_of(route.name, name)) for name in route.candidates)
        self._windows = {name: windows for name, windows in covered if windows}

    def left_out(self, batch: Sequence[Taken]) -> Sequence[Taken]:
        """The batch without canaries that were taken within a window."""
        if not self._windows:
            return batch
        return [taken for taken in batch if not self._within(taken)]

    def _within(self, taken: Taken) -> bool:
        windows = self._windows.get(taken.provider, ())
        return any(window.runs(taken.started_at) for window in windows)


class _Window:
    """Counts of one provider in the present window."""

    __slots__ = ("bad_n", "bad_s", "first", "last", "path", "reached", "total_s")

    def __init__(self, objectives: int) -> None:
        self.total_s = 0.0
        self.bad_s = [0.0] * objectives
        self.bad_n = [0] * objectives
        self.first = [0.0] * objectives
        self.last = [0.0] * objectives
        # Path failures count once somebody shows that our own path worked.
        self.path: list[tuple[float, float, float]] = []
        self.reached = False


class Truth:
    """Feed it batches in the order of time, by the settings in force; then ask for `incidents`."""

    def __init__(self, config: Config, route: Route) -> None:
        # What is usual is learned by a detector; an absolute yardstick has no such limit.
        self._objectives = [o for o in objectives_of(route) if o.usual_share is None]
        self._shares = [_worth_a_flip(objective) for objective in self._objectives]
        limits = [o.limit_s for o in self._objectives if o.limit_s is not None]
        self._limit_s = min(limits, default=float("inf"))
        self._rates = any(o.least is not None for o in self._objectives)
        known = {p.name: p for p in config.provider}
        self._intervals = {n: p.canary.interval.total_seconds() for n, p in known.items()}
        self._alone = {n for n, p in known.items() if p.on_loopback}
        self._witnesses: dict[str, list[str]] = {name: [] for name in known}
        for name in known:
            for other in vouched_by(config, name):
                self._witnesses[other].append(name)
        self._candidates = tuple(route.candidates)
        self._announced = Announced(config, route)
        self._index = -1  # counted from the epoch
        self._windows: dict[str, _Window] = {}
        self._newest: dict[str, float] = {}
        # What the newest canary was bad by: numbers of objectives.
        self._before: dict[str, tuple[int, ...]] = dict.fromkeys(known, ())
        self._spells: dict[str, list[TimeSpan]] = {}

    def feed(self, batch: Sequence[Taken]) -> None:
        plain_s = -1.0 if self._rates else self._limit_s
        newest, windows, intervals = self._newest, self._windows, self._intervals
        turn_s = (self._index + 1) * WINDOW_S
        for taken in self._announced.left_out(batch):
            at, name = taken.started_at, taken.provider
            if at >= turn_s:
                self._close()
                windows, self._index = self._windows, int(at // WINDOW_S)
                turn_s = (self._index + 1) * WINDOW_S
            window = windows.get(name)
            if window is None:
                if name not in intervals:
                    continue
                window = windows[name] = _Window(len(self._objectives))
            gap_s = intervals[name]
            since_s = at - newest.get(name, 0.0)
            if since_s < gap_s:
                gap_s = since_s
            newest[name] = at
            if taken.outcome == OK and taken.total_s <= plain_s and not taken.retried:
                window.total_s += gap_s
                window.reached = True
                if self._before[name]:
                    for number in self._before[name]:
                        window.bad_s[number] += gap_s / 2
                    self._before[name] = ()
            else:
                self._weigh(window, taken, gap_s)

    def _weigh(self, window: _Window, taken: Taken, gap_s: float) -> None:
        name, sample = taken.provider, measured(taken)
        before, self._before[name] = self._before[name], ()
        if sample.fault is not Fault.PATH:
            window.reached = True
        elif name not in self._alone:
            window.path.append((taken.started_at, taken.started_at + taken.total_s, gap_s))
            return
        verdicts = [objective.bad(sample) for objective in self._objectives]
        if all(bad is None for bad in verdicts):
            return
        window.total_s += gap_s
        for number in before:
            window.bad_s[number] += gap_s / 2
        bad_now = tuple(number for number, bad in enumerate(verdicts) if bad)
        for number in bad_now:
            _count(window, number, sample.started_s, sample.ended_s, gap_s / 2)
        self._before[name] = bad_now

    def _close(self) -> None:
        for name, window in self._windows.items():
            if window.path and any(
                other in self._windows and self._windows[other].reached
                for other in self._witnesses[name]
            ):
                for from_s, to_s, gap_s in window.path:
                    window.total_s += gap_s
                    _count(window, 0, from_s, to_s, gap_s)
            for number, share in enumerate(self._shares):
                bad_s = window.bad_s[number]
                if window.bad_n[number] >= LEAST_BAD and bad_s > share * window.total_s:
                    span = window.first[number], window.last[number]
                    self._spells.setdefault(name, []).append(span)
        self._windows = {}

    def incidents(
        self, recorded: Iterable[Mapping[str, Any]], until: float
    ) -> tuple[RecordedIncident, ...]:
        """All of the route's candidates, oldest first. `recorded`: rows of SQL's incidents."""
        self._close()
        by_provider: dict[str, list[RecordedIncident]] = {}
        for name, spells in self._spells.items():
            by_provider[name] = [
                RecordedIncident(name, *span, "measured") for span in _joined(spells)
            ]
        for row in recorded:
            end = until if row["closed_at"] is None else min(row["closed_at"], until)
            past = RecordedIncident(row["provider"], row["opened_at"], end, "recorded")
            by_provider[past.provider] = _with(by_provider.get(past.provider, []), past)
        return tuple(
            sorted(
                (p for name in self._candidates for p in by_provider.get(name, ())),
                key=lambda past: (past.start, past.provider),
            )
        )


def measured(taken: Taken) -> Sample:
    """The canary, as far as judging goes; time is the wall clock's: the record has no other."""
    at = taken.started_at
    phases = Phases(
        first_byte_s=taken.first_byte_s, first_text_s=taken.first_text_s, total_s=taken.total_s
    )
    tokens = Tokens(output=taken.output_tokens, reasoning=taken.reasoning_tokens)
    return Sample(
        taken.id, taken.provider, "", "", at, at, Outcome(taken.outcome), phases, tokens,
        base_rate=taken.base_rate, detail=taken.detail, retried=taken.retried or 0,
    )  # fmt: skip


def _worth_a_flip(objective: Objective) -> float:
    if objective.dials is not None:
        return objective.dials.p1
    return AVAILABILITY_BAD_SHARE if objective.name == "availability" else LATENCY_BAD_SHARE


def _count(window: _Window, number: int, from_s: float, to_s: float, weight_s: float) -> None:
    if not window.bad_n[number]:
        window.first[number] = from_s
    window.bad_n[number] += 1
    window.bad_s[number] += weight_s
    window.last[number] = max(window.last[number], to_s)


def _joined(spells: list[TimeSpan]) -> list[TimeSpan]:
    joined: list[TimeSpan] = []
    for start, end in sorted(spells):
        if joined and start - joined[-1][1] <= APART_S:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def _with(known: list[RecordedIncident], new: RecordedIncident) -> list[RecordedIncident]:
    """One that was recorded takes in what was measured of it; where both are, the bad time counts.

    A record goes on until the provider has proven itself again, minutes after it was well.
    """
    near = [p for p in known if p.start <= new.end + APART_S and new.start <= p.end + APART_S]
    if not near:
        return [*known, new]
    start, end = min(new.start, *(p.start for p in near)), max(p.end for p in near)
    if any(p.source == "recorded" for p in near):
        end = max(end, new.end)
    kinds = {new.source, *(p.source for p in near)}
    source = "recorded" if kinds == {"recorded"} else "both"
    return [
        *(p for p in known if p not in near),
        RecordedIncident(new.provider, start, end, source),
    ]
