"""One provider alone: what a run without a threshold says of every threshold."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from pathlib import Path

import pytest

from prober.config.objectives import Dials
from prober.config.schema import DetectorSettings, Route
from prober.simulation.simulate.engine import simulate
from prober.simulation.simulate.scenario import Blips, Generated, configured, parse
from prober.simulation.tune.trial import Canaries, outage, plain_alarms, plain_outage, suspicions

EVERY = Canaries(30.0, 3.0, 8.0, 20.0)
NORMAL = Dials(0.01, 0.15, 11.0, 45.0, 20_160)
NOISE = Generated(error_rate=0.002)
DAY_S = 86_400.0


def route(evidence: float, span_s: float) -> Route:
    detector = DetectorSettings(evidence=evidence, min_span=timedelta(seconds=span_s))
    return Route(name="chat", candidates=("a",), detector=detector)


@pytest.mark.parametrize(("evidence", "span_s"), [(7.0, 90.0), (11.0, 45.0), (14.5, 90.0)])
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_one_run_finds_an_outage_when_a_detector_with_that_threshold_does(
    evidence: float, span_s: float, share: float
) -> None:
    real = route(evidence, span_s)
    for number in range(30):
        seed = f"trial {number}"
        found = outage(NORMAL, NOISE, EVERY, share, [7.0, 11.0, 14.5], [45.0, 90.0], 2_400, seed)
        alone = plain_outage(real, NOISE, EVERY, share, 2_400, seed)
        assert found.detected_s(evidence, span_s) == alone


def test_one_run_counts_the_false_breaches_of_a_detector_with_that_threshold() -> None:
    noisy = Generated(error_rate=0.01, blips=Blips(per_month=20, min_s=5, max_s=45))
    years_s = 120 * DAY_S
    reached = suspicions(NORMAL, noisy, EVERY, years_s, "noise")
    for evidence in (6.0, 7.0):
        counted = sum(one.nats >= evidence or one.span_s >= 45 for one in reached)
        alarms = plain_alarms(route(evidence, 45), noisy, EVERY, years_s, "noise")
        assert counted >= 3
        # An alarm is followed by a recovery there, and by nothing here.
        assert abs(alarms - counted) <= 1 + 0.2 * counted


def test_it_takes_as_long_as_in_the_whole_simulation() -> None:
    """The loop there has routes, ticks and overlapping canaries; the delay is the same."""
    delays = [
        outage(NORMAL, NOISE, EVERY, 0.3, [11.0], [45.0], 900, str(n)).detected_s(11.0, 45.0)
        for n in range(200)
    ]
    mean_s = sum(delays) / len(delays)
    starts = [20_000.0 * (number + 1) for number in range(24)]
    scenario = parse(
        json.dumps(
            {
                "duration_s": 500_000,
                "providers": {"a": {"error_rate": 0.002}, "b": {"error_rate": 0.0}},
                "incidents": [
                    {"provider": "a", "start_s": s, "end_s": s + 900, "error_rate": 0.3}
                    for s in starts
                ],
            }
        )
    )
    found = [i.detected_s for i in simulate(scenario, configured(scenario, Path())).incidents]
    whole_s = sum(d for d in found if d is not None) / len(found)
    # Two dozen trials, and two hundred, with a deviation of 75 s: three standard errors.
    assert mean_s == pytest.approx(whole_s, abs=49)


def test_an_outage_that_is_over_too_soon_is_missed() -> None:
    found = outage(NORMAL, Generated(error_rate=0.0), EVERY, 1.0, [11.0], [45.0], 20.0, "x")
    assert found.detected_s(11.0, 45.0) == math.inf


def test_a_rule_of_its_own_kind_misses_what_it_cannot_see() -> None:
    quick = Route(name="chat", candidates=("a",), detector=DetectorSettings(kind="for-5m"))
    assert plain_outage(quick, NOISE, EVERY, 0.3, 2_400, "x") == math.inf
    assert plain_outage(quick, NOISE, EVERY, 1.0, 2_400, "x") < 600
