"""What the simulator leaves out changes nothing: with every step taken, the flips are the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from prober.config.defaults import fill_in
from prober.config.schema import Config
from prober.simulation.simulate.engine import Engine
from prober.simulation.simulate.scenario import Scenario
from prober.simulation.simulate.trace import Trace
from prober.simulation.simulate.virtual_provider import EPOCH_S

NAMES = ("a", "b", "c")
SPAN_S = 4_000.0

OUTCOMES = st.sampled_from(
    ["overloaded", "rate_limited", "connect", "wrong_answer", "auth", "quota_exhausted", "dns"]
)

INCIDENT = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(NAMES),
        "start_s": st.floats(0, SPAN_S),
        "lasts_s": st.floats(5, 3_000),
        "outcome": OUTCOMES,
    },
    optional={
        "error_rate": st.sampled_from([0.1, 0.3, 0.5, 1.0]),
        "latency_factor": st.sampled_from([0.5, 3.0, 20.0]),
        "hang": st.booleans(),
    },
)

PROVIDER = st.fixed_dictionaries(
    {
        "error_rate": st.sampled_from([0.0, 0.002, 0.02, 0.1]),
        "ttft_median_s": st.sampled_from([0.05, 0.6, 2.5]),
        "ttft_sigma": st.sampled_from([0.0, 0.4, 0.8]),
        "ttft_fat_tails": st.booleans(),
        "drift": st.sampled_from([0.0, 0.3]),
        "blips": st.fixed_dictionaries({"per_month": st.sampled_from([0, 2_000])}),
    }
)

DETECTOR = st.sampled_from(
    [
        {},
        {"kind": "calm"},
        {"kind": "eager"},
        {"kind": "consecutive", "count": 2},
        {"kind": "k_of_n", "count": 2, "of": 4},
        {"kind": "share", "bad_share": 0.3, "window": "2m", "min_samples": 3},
    ]
)

ROUTE = st.fixed_dictionaries(
    {
        "candidates": st.permutations(NAMES),
        "mode": st.sampled_from(["auto", "auto", "auto", "observe", "propose"]),
        "detector": DETECTOR,
        "objectives": st.sampled_from(
            [
                {},
                {"ttft": {"under": "2s", "share": 0.9}},
                {"total": {"under": "1s"}},
                {"ttft": {"relative": True}, "total": {"relative": True, "share": 0.95}},
                {"tokens_per_s": {"over": 5.0}, "quality": 0.9},
            ]
        ),
        "failover": st.fixed_dictionaries(
            {
                "failback": st.sampled_from(["auto", "auto", "manual"]),
                "healthy_for": st.sampled_from(["30s", "10m"]),
                "prefer": st.sampled_from(["order", "cost", "latency", "quality"]),
                "flip_on": st.just(
                    ["availability", "ttft", "total", "quality", "auth", "quota_exhausted"]
                ),
            }
        ),
    }
)

CANARY = st.sampled_from(
    [
        {},
        {"interval": "20s", "suspect_interval": "1s"},
        {"interval": "5s", "suspect_interval": "2s", "timeout": "9s"},
    ]
)
# Of a worst cost of 0.001 USD: plenty, or soon spent.
BUDGET = st.sampled_from([0.0, 0.0, 10.0, 0.3])


WINDOW = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(NAMES),
        "start_s": st.integers(0, int(SPAN_S)),
        "lasts_s": st.integers(30, 1_500),
        "action": st.sampled_from(["mute", "drain"]),
        "lead_s": st.sampled_from([0, 60, 300]),
    }
)


def maintenance(number: int, window: dict[str, Any]) -> dict[str, Any]:
    start = datetime.fromtimestamp(EPOCH_S, UTC) + timedelta(seconds=window["start_s"])
    return {
        "name": f"window-{number}",
        "provider": window["provider"],
        "start": start,
        "end": start + timedelta(seconds=window["lasts_s"]),
        "action": window["action"],
        "lead": f"{window['lead_s']}s",
    }


def played(scenario: Scenario, config: Config, *, every_second: bool) -> Trace:
    return Engine(scenario, config, every_second=every_second).run()


@settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=6,
    # Shrinking a simulation takes minutes; the printed one can be cut down by hand.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
@given(
    seed=st.integers(0, 99),
    providers=st.fixed_dictionaries(dict.fromkeys(NAMES, PROVIDER)),
    incidents=st.lists(INCIDENT, max_size=5),
    routes=st.lists(ROUTE, min_size=1, max_size=2),
    canary=CANARY,
    budget=BUDGET,
    windows=st.lists(WINDOW, max_size=2) | st.just([]),
    account=st.sampled_from(["shared", "own"]),
    shared_domain=st.booleans(),
)
def test_passing_over_quiet_hours_changes_no_flip_and_no_canary(
    seed: int,
    providers: dict[str, Any],
    incidents: list[dict[str, Any]],
    routes: list[dict[str, Any]],
    canary: dict[str, Any],
    budget: float,
    windows: list[dict[str, Any]],
    account: str,
    shared_domain: bool,
) -> None:
    scenario = Scenario.model_validate(
        {
            "seed": seed,
            "duration_s": SPAN_S,
            "providers": providers,
            "incidents": [
                {k: v for k, v in incident.items() if k != "lasts_s"}
                | {"end_s": incident["start_s"] + incident["lasts_s"]}
                for incident in incidents
            ],
        }
    )
    price = {"input": 1_000_000 * 0.001 / 100} if budget else {}
    limit = {"daily_budget_usd": budget} if budget else {}
    config = fill_in(
        Config.model_validate(
            {
                "provider": [
                    {
                        "name": name,
                        "api": "openai",
                        "model": "m",
                        "account": account,
                        "price": price,
                        "failure_domains": ["one"] if shared_domain else [],
                        "canary": {**canary, **limit},
                    }
                    for name in NAMES
                ],
                "route": [
                    {"name": f"route-{number}", **route} for number, route in enumerate(routes)
                ],
                "maintenance": [maintenance(*numbered) for numbered in enumerate(windows)],
            }
        )
    )
    fast = played(scenario, config, every_second=False)
    slow = played(scenario, config, every_second=True)
    assert fast.moves == slow.moves
    assert fast.breaches == slow.breaches
    assert fast.probes == slow.probes
