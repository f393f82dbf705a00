"""What a replay found, beside the incidents of history. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prober.simulation.simulate.report import MEANT

if TYPE_CHECKING:
    from prober.simulation.backtest.replay import Replay, Turn
    from prober.simulation.backtest.truth import RecordedIncident, TimeSpan


@dataclass(frozen=True, slots=True)
class Seen:
    """What a setting made of one incident: seconds from its start, or None."""

    detected_s: float | None
    flipped_s: float | None

    def plain(self) -> dict[str, Any]:
        return {"detected_s": self.detected_s, "flipped_s": self.flipped_s}


@dataclass(frozen=True, slots=True)
class Column:
    """One setting.

    Attributes:
        seen: one for each incident of history.
        false_flips: flips away from a provider that had no incident then; going home is none,
            and so is what was planned.
        stayed_s: bad service if the flag had never moved.
        served_s: bad service with these flips.
        avoided_s: the flag pointed away while where it began was bad.
        added_s: the flag pointed at a bad provider while where it began was well.
    """

    turns: tuple[Turn, ...]
    unproven: tuple[Turn, ...]
    seen: tuple[Seen, ...]
    false_flips: int
    stayed_s: float
    served_s: float
    avoided_s: float
    added_s: float

    @property
    def found(self) -> int:
        return sum(one.detected_s is not None for one in self.seen)

    @property
    def mean_detected_s(self) -> float | None:
        delays = [one.detected_s for one in self.seen if one.detected_s is not None]
        return sum(delays) / len(delays) if delays else None

    def plain(self) -> dict[str, Any]:
        return {
            "flips": [_plain(turn) for turn in self.turns],
            "unproven": [_plain(turn) for turn in self.unproven],
            "false_flips": self.false_flips,
            "found": self.found,
            "missed": len(self.seen) - self.found,
            "mean_detected_s": self.mean_detected_s,
            "bad_s_if_never_flipped": self.stayed_s,
            "bad_s": self.served_s,
            "bad_s_avoided": self.avoided_s,
            "bad_s_added": self.added_s,
        }


def _plain(turn: Turn) -> dict[str, Any]:
    return {
        "at": turn.at,
        "from": turn.source,
        "to": turn.target,
        "kind": turn.kind,
        "reason": turn.reason,
        "proof_recorded": turn.recorded,
    }


def column(
    replay: Replay, past: Sequence[RecordedIncident], primary: str, since: float, until: float
) -> Column:
    """The figures of a replay that has finished; `primary` is where the flag began."""
    bad: dict[str, list[TimeSpan]] = {}
    for one in past:
        span = max(one.start, since), min(one.end, until)
        if span[0] < span[1]:
            bad.setdefault(one.provider, []).append(span)
    home = bad.get(primary, [])
    starts = [since, *(turn.at for turn in replay.turns)]
    serving = [primary, *(turn.target for turn in replay.turns)]
    served = avoided = added = 0.0
    for start, end, provider in zip(starts, [*starts[1:], until], serving, strict=True):
        here = _cut(bad.get(provider, []), [(start, end)])
        there = _cut(home, [(start, end)])
        both = _length(_cut(here, there))
        served += _length(here)
        avoided += _length(there) - both
        added += _length(here) - both
    return Column(
        turns=tuple(replay.turns),
        unproven=tuple(replay.unproven),
        seen=tuple(_seen(replay, one) for one in past),
        false_flips=sum(_is_false(turn, past) for turn in replay.turns),
        stayed_s=_length(home),
        served_s=served,
        avoided_s=avoided,
        added_s=added,
    )


def _seen(replay: Replay, past: RecordedIncident) -> Seen:
    delays = [
        max(0.0, start - past.start)
        for start, end in replay.breaches.get(past.provider, ())
        if start <= past.end and end > past.start
    ]
    left = [
        turn.at - past.start
        for turn in replay.turns
        if turn.source == past.provider
        and turn.kind != "failback"
        and past.start <= turn.at <= past.end
    ]
    return Seen(min(delays, default=None), min(left, default=None))


def _is_false(turn: Turn, past: Sequence[RecordedIncident]) -> bool:
    return turn.kind not in MEANT and not any(
        one.provider == turn.source and one.start <= turn.at <= one.end for one in past
    )


def false_breaches(replay: Replay, past: Sequence[RecordedIncident]) -> int:
    """Breaches of any candidate with no incident behind them."""
    return sum(
        not any(p.provider == name and start <= p.end and p.start <= start for p in past)
        for name, spans in replay.breaches.items()
        for start, _ in spans
    )


def _cut(left: Sequence[TimeSpan], right: Sequence[TimeSpan]) -> list[TimeSpan]:
    """Where both are; each is sorted and without overlap in itself."""
    common = []
    for a, b in left:
        for c, d in right:
            start, end = max(a, c), min(b, d)
            if start < end:
                common.append((start, end))
    return common


def _length(spans: Sequence[TimeSpan]) -> float:
    return math.fsum(end - start for start, end in spans)
