"""Generated providers: what is asked for is what comes out."""

from __future__ import annotations

import math
from statistics import median, quantiles, stdev
from typing import Any

import pytest

from prober.sample import Outcome
from prober.simulation.simulate.provider_model import DAY_S, ERROR_S, ProviderModel
from prober.simulation.simulate.scenario import Generated, Outage

DAYS = 30 * DAY_S


def world(*incidents: dict[str, Any], **generated: Any) -> ProviderModel:
    made = [
        Outage.model_validate({"provider": "a", "start_s": 0, "end_s": 1e9, **incident})
        for incident in incidents
    ]
    return ProviderModel(
        "1 a", Generated.model_validate({"error_rate": 0, **generated}), made, 8.0, 20.0
    )


def firsts(made: ProviderModel, count: int = 20_000) -> list[float]:
    found = (made.ask(float(number)) for number in range(count))
    return [text_s for _, _, text_s, _ in found if text_s is not None]


def test_the_first_text_is_lognormal() -> None:
    logs = [math.log(text_s) for text_s in firsts(world(ttft_median_s=0.6, ttft_sigma=0.4))]
    assert math.exp(median(logs)) == pytest.approx(0.6, rel=0.02)
    assert stdev(logs) == pytest.approx(0.4, rel=0.02)


def test_fat_tails_reach_further_than_the_normal_ones() -> None:
    cut = [
        quantiles(firsts(world(ttft_median_s=0.2, ttft_sigma=0.3, ttft_fat_tails=fat)), n=1000)[-1]
        for fat in (False, True)
    ]
    assert cut[1] > 1.5 * cut[0]


def test_ordinary_errors_come_at_their_rate_and_fast() -> None:
    made = world(error_rate=0.1)
    found = [made.ask(float(number)) for number in range(20_000)]
    bad = [one for one in found if one[0] is not Outcome.OK]
    assert len(bad) / len(found) == pytest.approx(0.1, rel=0.1)
    assert set(bad) == {(Outcome.OVERLOADED, None, None, ERROR_S)}


def test_in_a_blip_every_request_fails_and_there_are_as_many_as_said() -> None:
    made = world(blips={"per_month": 200, "min_s": 5, "max_s": 45})
    failing = [made.ask(float(second))[0] is not Outcome.OK for second in range(int(DAYS))]
    begun = sum(now and not before for before, now in zip([False, *failing], failing, strict=False))
    assert begun == pytest.approx(200, abs=45)
    assert sum(failing) / begun == pytest.approx(25, abs=3)


def test_an_incident_begins_and_ends_to_the_second() -> None:
    made = world({"start_s": 10, "end_s": 20, "outcome": "server_error"})
    found = [made.ask(float(second))[0] for second in range(30)]
    assert [n for n, one in enumerate(found) if one is Outcome.SERVER_ERROR] == list(range(10, 20))


def test_a_hang_says_nothing_until_the_first_text_timeout() -> None:
    assert world({"hang": True}).ask(0.0) == (Outcome.TIMEOUT_FIRST_TEXT, None, None, 8.0)


def test_what_is_slower_than_the_timeouts_fails_by_them() -> None:
    outcome, byte_s, text_s, total_s = world(ttft_median_s=30.0, ttft_sigma=0.0).ask(0.0)
    assert (outcome, text_s, total_s) == (Outcome.TIMEOUT_FIRST_TEXT, None, 8.0)
    assert byte_s is not None, "slow is not gone: its path works"


def test_latency_factors_of_incidents_at_once_multiply_and_the_worst_share_counts() -> None:
    made = world(
        {"latency_factor": 2.0}, {"latency_factor": 3.0, "error_rate": 0.5}, ttft_sigma=0.0
    )
    assert median(firsts(made)) == pytest.approx(0.6 * 6)
    assert len(firsts(made, 4_000)) / 4_000 == pytest.approx(0.5, abs=0.05)


def test_a_drifting_median_swings_over_the_day() -> None:
    made = world(drift=0.15, ttft_sigma=0.0)
    found = [made.ask(float(at))[2] or 0 for at in range(0, int(DAY_S), 60)]
    assert (max(found), min(found)) == (
        pytest.approx(0.69, rel=0.001),
        pytest.approx(0.51, rel=0.001),
    )


def test_the_same_seed_gives_the_same_provider() -> None:
    assert firsts(world(), 100) == firsts(world(), 100)
