"""What is slow for a provider follows what is usual for it, and not the other way round."""

from __future__ import annotations

import json
import math
from random import Random

import pytest

from prober.config.defaults import fill_in
from prober.config.loader import ConfigError, parse
from prober.config.objectives import objectives_of
from prober.config.schema import Config, Limit, Route
from prober.detection.baseline import LEAST, Baseline
from prober.detection.evidence import Evidence
from prober.detection.rules import TrackerRules
from prober.detection.tracker import Tracker
from prober.sample import Outcome
from tests.support.values import sample

Z99 = 2.326
DAY = 2_880


def taught(count: int, *, sigma: float = 0.4, seed: int = 1, share: float = 0.99) -> Baseline:
    baseline, chance = Baseline(share, 30.0), Random(seed)
    for _ in range(count):
        baseline.learn(math.exp(chance.gauss(math.log(0.6), sigma)))
    return baseline


@pytest.mark.parametrize("sigma", [0.12, 0.4, 0.8])
def test_the_limit_is_a_tenth_above_the_99th_percentile(sigma: float) -> None:
    expected = 1.1 * 0.6 * math.exp(Z99 * sigma)
    assert taught(7 * DAY, sigma=sigma).limit_s == pytest.approx(expected, rel=0.15)


def test_another_share_takes_its_own_quantile() -> None:
    expected = 1.1 * 0.6 * math.exp(1.645 * 0.4)
    assert taught(7 * DAY, share=0.95).limit_s == pytest.approx(expected, rel=0.1)


def test_too_few_canaries_say_nothing_yet() -> None:
    assert not taught(LEAST - 1).ready
    assert taught(LEAST - 1).limit_s == math.inf
    assert taught(LEAST).ready
    assert taught(LEAST).limit_s < 3


def test_a_slow_drift_moves_the_limit_along() -> None:
    baseline, chance = Baseline(0.99, 30.0), Random(2)
    slow = {0: 0, 1: 0, 2: 0}
    for number in range(3 * DAY):
        swing = 1 + 0.15 * math.sin(2 * math.pi * number / DAY)
        took_s = 0.6 * swing * math.exp(chance.gauss(0, 0.2))
        slow[number // DAY] += baseline.ready and took_s > baseline.limit_s
        baseline.learn(took_s)
    assert slow[1] + slow[2] < 0.01 * 2 * DAY


def test_the_average_may_not_wander_further_than_a_third_from_a_weeks() -> None:
    """A brownout that creeps in is not taken for the new normal."""
    baseline = taught(7 * DAY, sigma=0.1)
    before_s, chance = baseline.limit_s, Random(5)
    for number in range(DAY // 2):
        took_s = 0.6 * (1 + number / (DAY // 2)) * math.exp(chance.gauss(0, 0.1))
        if took_s <= baseline.limit_s:  # while suspect nothing is learned
            baseline.learn(took_s)
    assert 1.2 * before_s < baseline.limit_s < 1.6 * before_s


def test_one_wild_canary_hardly_moves_it() -> None:
    baseline = taught(DAY)
    before_s = baseline.limit_s
    baseline.learn(1_000_000.0)
    baseline.learn(0.0)
    assert baseline.limit_s == pytest.approx(before_s, rel=0.05)


def test_the_newest_week_counts_and_not_all_of_life() -> None:
    baseline, chance = Baseline(0.99, 30.0), Random(3)
    for sigma in (0.8, 0.2):
        for _ in range(28 * DAY):
            baseline.learn(0.6 * math.exp(chance.gauss(0, sigma)))
    assert baseline.limit_s < 1.1 * 0.6 * math.exp(Z99 * 0.4)


def test_a_saved_baseline_goes_on_where_it_was() -> None:
    whole, again = taught(2 * DAY), Baseline(0.99, 30.0)
    again.load(json.loads(json.dumps(whole.dump())))
    assert again.limit_s == pytest.approx(whole.limit_s, rel=1e-9)
    for number in range(1_000):
        for baseline in (whole, again):
            baseline.learn(0.3 + number % 7 * 0.2)
    assert again.limit_s == pytest.approx(whole.limit_s, rel=1e-9)


def test_a_young_baseline_that_was_saved_still_says_nothing() -> None:
    again = Baseline(0.99, 30.0)
    again.load(json.loads(json.dumps(taught(10).dump())))
    assert (again.ready, again.limit_s) == (False, math.inf)


# -- as an objective -------------------------------------------------------------------------------

RELATIVE = Route.model_validate(
    {"name": "chat", "candidates": ["a"], "objectives": {"ttft": {"relative": True}}}
)


def evidence() -> Evidence:
    """Of ttft, for a provider that usually takes half a second, more or less."""
    made = Evidence(objectives_of(RELATIVE)[1], 30.0)
    chance = Random(4)
    for number in range(DAY):
        first_s = 0.5 * math.exp(chance.gauss(0, 0.2))
        made.event(sample(at_s=number * 30.0, first_text_s=first_s))
    made.reset()
    return made


def test_slower_than_usual_is_bad_and_a_failure_says_nothing_about_speed() -> None:
    made = evidence()
    assert made.event(sample(at_s=1e6, first_text_s=0.5)) is False
    assert made.event(sample(Outcome.OVERLOADED, 1e6)) is None
    assert made.event(sample(at_s=1e6, first_text_s=1.5, took_s=2)) is True
    limit_s = 1.1 * 0.5 * math.exp(Z99 * 0.2)
    assert made.limit_s == pytest.approx(limit_s, rel=0.1)
    assert made.clause().startswith("1 of 1 canaries needed over 0.")


def test_nothing_is_learned_under_suspicion_nor_from_our_own_faster_canaries() -> None:
    made = evidence()
    assert made.baseline is not None
    made.event(sample(at_s=1e6, first_text_s=0.4, base_rate=False))
    made.event(sample(at_s=1e6, first_text_s=5.0))
    before_s = made.limit_s
    for number in range(5):
        made.event(sample(at_s=1e6 + number, first_text_s=3.0))
    assert made.detector.level > 0
    assert made.limit_s == before_s


def test_what_is_usual_outlives_a_restart_even_where_suspicion_does_not() -> None:
    rules = TrackerRules()
    known = Tracker("a", objectives_of(RELATIVE), rules)
    for number in range(LEAST + 5):
        known.ended(sample(at_s=number * 30.0, first_text_s=0.5 + number % 3 * 0.1))
    known.ended(sample(at_s=1e6, first_text_s=9.0, took_s=9.5))
    assert known.suspect
    limit_s = known.evidence[1].limit_s
    again = Tracker("a", objectives_of(RELATIVE), rules)
    again.load(json.loads(json.dumps(known.dump())), fresh=False)
    assert not again.suspect
    assert again.evidence[1].limit_s == pytest.approx(limit_s, rel=1e-9)


def test_relative_means_the_99th_percentile_unless_another_is_said() -> None:
    assert Limit.model_validate({"relative": True}).share == 0.99
    assert Limit.model_validate({"relative": True, "share": 0.9}).share == 0.9
    assert Limit.model_validate({"under": "3s"}).share == 0.95


def test_a_relative_limit_needs_no_number_and_bears_none() -> None:
    def problems(key: str, value: str) -> list[str]:
        text = f"""
[[provider]]
name = "a"
api = "ollama"
model = "m"
[[route]]
name = "chat"
candidates = ["a"]
[route.objectives]
{key} = {value}
"""
        try:
            parse(text, "p")
        except ConfigError as error:
            return error.problems
        return []

    place = 'p: [[route]] "chat": objectives'
    assert problems("ttft", "{ relative = true }") == []
    assert problems("ttft", '{ relative = true, under = "3s" }') == [
        f"{place}.ttft is relative; leave out under"
    ]
    assert problems("tokens_per_s", "{ relative = true }") == [
        f"{place}.tokens_per_s cannot be relative; write over"
    ]
    assert problems("ttft", "{ share = 0.9 }") == [f"{place}.ttft needs under"]


def test_the_whole_configuration_with_a_relative_limit_reads_back() -> None:
    config = fill_in(Config(route=(RELATIVE,)))
    limit = config.route[0].objectives.ttft
    assert limit is not None
    assert (limit.relative, limit.under) == (True, None)
