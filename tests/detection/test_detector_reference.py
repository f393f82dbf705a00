"""Each kind of detector against a slow reference that looks at the whole history every time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.config.objectives import Dials
from prober.config.schema import DetectorSettings as Config
from prober.config.schema import Limit, Objectives, Route
from prober.detection.detector import Detector, Fresh
from prober.detection.evidence import detector_of
from prober.simulation import other_tools
from tests.support.values import STEADY

SEEDS = st.integers(0, 2**48)
INTERVAL_S = 30.0


class Event(NamedTuple):
    bad: bool
    started_s: float
    ended_s: float
    base_rate: bool = False


History = Sequence[Event]


def stream(seed: int, length: int = 160) -> Iterator[Event]:
    """Calm, partial and total outages by turns; starts in order, ends not always."""
    chance = Random(seed)
    at_s, share, gap_s = 0.0, 0.0, 3.0
    for _ in range(length):
        if chance.random() < 0.08:
            share = chance.choice((0.0, 0.01, 0.05, 0.15, 0.3, 0.5, 1.0))
            gap_s = chance.choice((0.0, 0.5, 3.0, 15.0, 30.0, 30.0))
        at_s += gap_s
        took_s = chance.choice((0.3, 1.0, 8.0, 20.0))
        yield Event(chance.random() < share, at_s, at_s + took_s, chance.random() < 0.5)


def made(objective: str = "availability", share: float = 0.99, **config: Any) -> Detector:
    """The detector of an objective as the configuration makes it."""
    detector = Config(**config)
    said = (
        Objectives(availability=share)
        if objective == "availability"
        else Objectives(ttft=Limit(under="3s", share=share, detector=detector))  # type: ignore[arg-type]
    )
    route = Route(name="chat", candidates=("a",), objectives=said, detector=detector)
    found = next(o for o in other_tools.objectives_of(route) if o.name == objective)
    return detector_of(found, INTERVAL_S)


def agrees(detector: Detector, events: Iterator[Event], breach: Callable[[History], bool]) -> None:
    """A breach comes with the event that the reference names, and stays."""
    history: list[Event] = []
    expected = False
    for event in events:
        history.append(event)
        detector.event(*event)
        expected = expected or breach(history)
        assert detector.breached is expected, f"event {len(history)}"
        assert 0.0 <= detector.level <= 1.0
        assert detector.level == 1.0 or not expected


# -- references ------------------------------------------------------------------------------


def tail(history: History) -> list[Event]:
    """The unbroken streak of bad events that ends the history."""
    good = [place for place, event in enumerate(history) if not event.bad]
    return list(history[good[-1] + 1 :] if good else history)


def evidence(history: History, fresh: float) -> float:
    """Page's statistic as a maximum over all onsets, and not as a recursion."""
    weights, streak = [], 0
    for event in history:
        streak = streak + 1 if event.bad else 0
        weights.append(
            -1.0 if not event.bad else fresh if streak == 1 else fresh / 3 if streak <= 4 else 0.0
        )
    return max(0.0, *(math.fsum(weights[onset:]) for onset in range(len(weights))))


def fresh(p0: float, p1: float, nats: float, span_s: float) -> Callable[[History], bool]:
    unit = math.log((1 - p0) / (1 - p1))

    def breach(history: History) -> bool:
        streak = tail(history)
        spans = len(streak) >= 4 and max(e.ended_s for e in streak) - streak[0].started_s >= span_s
        # A sum in another order may differ in its last digits.
        return spans or evidence(history, math.log(p1 / p0) / unit) >= nats / unit - 1e-9

    return breach


def k_of_n(k: int, n: int) -> Callable[[History], bool]:
    return lambda history: sum(event.bad for event in history[-n:]) >= k


def within(history: History, window_s: float) -> list[bool]:
    return [e.bad for e in history if e.started_s >= history[-1].started_s - window_s]


def share_over(share: float, window_s: float, at_least: int) -> Callable[[History], bool]:
    """In thousandths, where shares are whole numbers: nothing is lost in rounding."""
    parts = round(share * 1000)

    def breach(history: History) -> bool:
        seen = within(history, window_s)
        return len(seen) >= at_least and sum(seen) * 1000 > parts * len(seen)

    return breach


def quantile_over(share: float, window_s: float, at_least: int) -> Callable[[History], bool]:
    """The nearest-rank quantile of the times themselves: 5 s where bad, 1 s where good."""
    parts = round(share * 1000)

    def breach(history: History) -> bool:
        times = sorted(5.0 if bad else 1.0 for bad in within(history, window_s))
        rank = -(-len(times) * parts // 1000)
        return len(times) >= at_least and times[rank - 1] > 3.0

    return breach


def burning(rate: float, allowed: float) -> Callable[[History], bool]:
    hour = share_over(rate * allowed, 3_600, 60)
    minutes = share_over(rate * allowed, 300, 1)
    return lambda history: hour(history) and minutes(history)


# -- same verdicts ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "reference"),
    [
        ({"kind": "normal"}, fresh(0.01, 0.15, 11, 45)),
        ({"kind": "calm"}, fresh(0.01, 0.15, 14.5, 90)),
        ({"kind": "eager"}, fresh(0.004, 0.15, 11, 45)),
        ({"kind": "fresh", "flip_bad_share": 0.4, "evidence": 6}, fresh(0.01, 0.4, 6, 45)),
        ({"kind": "consecutive", "count": 5}, k_of_n(5, 5)),
        ({"kind": "consecutive-3"}, k_of_n(3, 3)),
        ({"kind": "for-5m"}, k_of_n(11, 11)),
        ({"kind": "k_of_n", "count": 3, "of": 7}, k_of_n(3, 7)),
        ({"kind": "share", "bad_share": 0.3, "min_samples": 7}, share_over(0.3, 300, 7)),
        ({"kind": "half-of-minute"}, share_over(0.5, 60, 5)),
        ({"kind": "burn-14.4"}, burning(14.4, 0.01)),
    ],
    ids=lambda given: given["kind"] if isinstance(given, dict) else "",
)
@STEADY
@given(SEEDS)
def test_a_detector_and_its_slow_reference_give_the_same_verdicts(
    config: dict[str, Any], reference: Callable[[History], bool], seed: int
) -> None:
    # What is learned is another matter; here the dials stand still.
    agrees(made(**config, learn=False), stream(seed), reference)


@pytest.mark.parametrize("share", [0.5, 0.75, 0.8, 0.9, 0.95, 0.99])
@STEADY
@given(SEEDS)
def test_a_quantile_is_over_its_limit_when_the_sorted_times_say_so(share: float, seed: int) -> None:
    detector = made("ttft", share, kind="quantile", window="2m", min_samples=10)
    agrees(detector, stream(seed), quantile_over(share, 120, 10))


@STEADY
@given(SEEDS)
def test_after_a_reset_a_detector_is_as_new(seed: int) -> None:
    for kind in ("normal", "k_of_n", "share", "quantile", "burn-14.4"):
        used, new = (made(kind=kind, learn=False) for _ in range(2))
        for event in stream(seed, 60):
            used.event(*event)
        used.reset()
        for event in stream(seed + 1, 60):
            used.event(*event)
            new.event(*event)
            assert (used.breached, used.level) == (new.breached, new.level)


@STEADY
@given(SEEDS, st.integers(0, 159))
def test_a_detector_carried_over_a_restart_goes_on_as_if_nothing_had_been(
    seed: int, restart: int
) -> None:
    for kind in ("normal", "consecutive", "k_of_n", "share", "quantile", "burn-14.4"):
        whole, before, after = (made(kind=kind) for _ in range(3))
        now = before
        for number, event in enumerate(stream(seed)):
            if number == restart:
                after.load(before.dump())
                now = after
            whole.event(*event)
            now.event(*event)
            assert (now.breached, now.level) == (whole.breached, whole.level)


@STEADY
@given(SEEDS)
def test_the_learned_share_is_the_weighted_mean_of_what_came_at_the_base_rate_in_calm(
    seed: int,
) -> None:
    over = 50
    detector = Fresh(Dials(0.01, 0.15, learn_over=over))
    taught: list[bool] = []
    for event in stream(seed):
        if event.base_rate and detector.points == 0:
            taught.append(event.bad)
        detector.event(*event)
        keep = 1 - 1 / over
        mean = 0.01 * keep ** len(taught) + math.fsum(
            bad / over * keep**age for age, bad in enumerate(reversed(taught))
        )
        assert detector.learned == pytest.approx(mean)


# -- bounded memory --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "most"),
    [
        ({"kind": "normal"}, 0),
        ({"kind": "consecutive", "count": 5}, 5),
        ({"kind": "k_of_n", "count": 3, "of": 7}, 7),
        ({"kind": "share", "window": "5m"}, 101),
        ({"kind": "quantile", "window": "1m"}, 21),
        ({"kind": "burn-14.4"}, 1_201 + 101),
    ],
)
def test_what_a_detector_keeps_is_bounded_however_many_canaries_end(
    config: dict[str, Any], most: int
) -> None:
    """What is kept is a handful of numbers, and at most the events of one window."""
    detector = made(**config)
    largest = 0
    for number in range(6_000):
        detector.event(number % 97 < 9, number * 3.0, number * 3.0 + 1, True)
        if number % 36 == 0:
            largest = max(largest, held(detector.dump()))
    assert largest == most


def held(state: Any) -> int:
    """How many events a dump carries."""
    if isinstance(state, dict):
        return sum(held(value) for value in state.values())
    return len(state) if isinstance(state, list) else 0
