"""Trackers in the states that tests begin from."""

from __future__ import annotations

from prober.config.objectives import objectives_of
from prober.config.schema import DetectorSettings, Route
from prober.detection.rules import TrackerRules
from prober.detection.tracker import Change, Tracker
from prober.sample import Outcome
from switch.flag import Health
from tests.support.values import sample


def tracker(*, count: int = 0, **rules: object) -> Tracker:
    """`count`: breached after so many bad in a row, to make a test short."""
    detector = DetectorSettings(kind="consecutive", count=count) if count else DetectorSettings()
    route = Route(name="chat", candidates=("a",), detector=detector)
    return Tracker("a", objectives_of(route), TrackerRules(**rules))  # type: ignore[arg-type]


def good(track: Tracker, count: int, from_s: float, every_s: float = 3.0) -> float:
    """Good canaries one after the other; gives the end of the last."""
    for number in range(count):
        track.ended(sample(at_s=from_s + number * every_s))
    return from_s + (count - 1) * every_s + 1


def breached(**rules: object) -> Tracker:
    track = tracker(count=1, **rules)
    track.ended(sample(Outcome.OVERLOADED, 0))
    assert track.health(1)[0] is Health.BREACHED
    track.changes.clear()
    return track


def recover(track: Tracker, from_s: float) -> float:
    end_s = good(track, 65, from_s)
    assert track.changes[-1] is Change.RECOVERED
    return end_s


def in_penalty(track: Tracker, now_s: float) -> bool:
    track.ended(sample(at_s=now_s - 1))
    return track.health(now_s)[0] is Health.RECOVERING


def account_trouble(track: Tracker, *starts: float, outcome: Outcome = Outcome.AUTH) -> None:
    for start in starts:
        track.ended(sample(outcome, start, detail="HTTP 401 no such key"))
