"""The rules of other tools, whole: when they breach, when they are over it, who takes them."""

from __future__ import annotations

import json

import pytest

from prober.config.loader import ConfigError, parse
from prober.config.objectives import Objective
from prober.config.schema import Route
from prober.detection.detector import Detector
from prober.detection.evidence import detector_of
from prober.detection.rules import TrackerRules
from prober.detection.tracker import Tracker
from prober.sample import Outcome
from prober.simulation.other_tools import Burn, objectives_of
from tests.support.values import sample


def objective(kind: str, **said: object) -> Objective:
    route = Route.model_validate(
        {"name": "chat", "candidates": ["a"], "detector": {"kind": kind, **said}}
    )
    return objectives_of(route)[0]


def breaches_at(detector: Detector, events: str, every_s: float = 30.0) -> int | None:
    """The number of the event that breaches; 'x' is bad."""
    for number, event in enumerate(events, 1):
        detector.event(event == "x", number * every_s, number * every_s + 1, True)
        if detector.breached:
            return number
    return None


@pytest.mark.parametrize(
    ("kind", "events", "every_s", "at"),
    [
        ("consecutive-3", "xx.xxx", 30, 6),
        ("for-5m", "x" * 20, 30, 11),
        ("for-5m", "xxxxxxxxxx." * 3, 30, None),
        ("half-of-minute", "xxxxx", 10, 5),
        ("half-of-minute", "x.x.x.x.x.", 10, 5),
        ("half-of-minute", "..x..x..x..x", 10, None),
        ("half-of-minute", "xxxxx", 30, None),
        ("burn-14.4", "." * 118 + "x" * 40, 30, 136),
        ("burn-14.4", ("x" + "." * 9) * 40, 30, None),
    ],
)
def test_a_preset_breaches_where_its_makers_would(
    kind: str, events: str, every_s: float, at: int | None
) -> None:
    assert breaches_at(detector_of(objective(kind), 30.0), events, every_s) == at


def test_burn_needs_both_windows() -> None:
    """An hour that was bad, and is not any more, is nobody's emergency."""
    burn = Burn(0.01, 14.4, 3_600, 300, 5)
    for number in range(100):
        burn.event(number < 10, number * 30.0, number * 30.0 + 1, True)
        if number >= 20:
            burn.breached = False
    assert burn.level == 0.0
    assert "14.4 times what is allowed" in burn.explain()


def test_burn_goes_on_where_it_was_saved() -> None:
    burn, again = (Burn(0.01, 14.4, 3_600, 300, 5) for _ in range(2))
    events = "." * 50 + "x" * 6
    assert breaches_at(burn, events) is None
    again.load(json.loads(json.dumps(burn.dump())))
    assert (again.level, again.explain()) == (burn.level, burn.explain())
    burn.reset()
    assert burn.level == 0


def test_a_quantile_is_over_its_limit_when_more_than_the_rest_is() -> None:
    """p90 under 3 s: at most a tenth may be slow."""
    detector = detector_of(objective("quantile", min_samples=10, window="1h"), 30.0)
    # Of availability 0.99 that is the 99th percentile.
    assert breaches_at(detector, "." * 99 + "x") is None
    assert breaches_at(detector, "x") == 1


@pytest.mark.parametrize(
    ("kind", "good"), [("consecutive-3", 2), ("for-5m", 1), ("half-of-minute", 1), ("normal", 65)]
)
def test_each_preset_recovers_as_its_makers_have_it(kind: str, good: int) -> None:
    track = Tracker("a", [objective(kind)], TrackerRules())
    number = 0
    while not track.breach.latched:
        track.ended(sample(Outcome.OVERLOADED, number * 10.0, took_s=0.5))
        number += 1
    for still in range(good):
        assert track.breach.latched, still
        track.ended(sample(at_s=(number + still) * 10.0, took_s=0.5))
    assert not track.breach.latched


CONFIGURATION = """
[[provider]]
name = "a"
api = "openai"
model = "m"
key = { env = "KEY" }

[[route]]
name = "chat"
candidates = ["a"]
"""
OURS = "fresh, normal, calm, eager, consecutive, k_of_n, share, quantile"


@pytest.mark.parametrize("kind", ["consecutive-3", "for-5m", "half-of-minute", "burn-14.4"])
def test_the_daemon_does_not_go_by_the_rule_of_another_tool(kind: str) -> None:
    text = f'{CONFIGURATION}[route.detector]\nkind = "{kind}"\n'
    with pytest.raises(ConfigError) as refused:
        parse(text)
    assert refused.value.problems == [
        f'prober.toml: [[route]] "chat": detector.kind = "{kind}" is another tool\'s rule, for '
        f"backtest and simulate alone; write one of {OURS}"
    ]
    assert parse(text, other_tools=True).route[0].detector.kind == kind


def test_nor_does_one_objective_of_a_route_or_what_the_defaults_hand_down() -> None:
    ttft = '[route.objectives]\nttft = { under = "3s", detector = { kind = "for-5m" } }\n'
    for more, key in (
        (ttft, "objectives.ttft.detector.kind"),
        ('[defaults.detector]\nkind = "for-5m"\n', "detector.kind"),
    ):
        with pytest.raises(ConfigError) as refused:
            parse(CONFIGURATION + more)
        [problem] = refused.value.problems
        assert f'"chat": {key} = "for-5m" is another tool\'s rule' in problem
