"""What is looked at how urgently: a proof ends with four good canaries or with one bad one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis.asyncio

from prober.config.loader import parse
from prober.probing.pacing import Purpose, pace
from prober.sample import Outcome
from switch.control.decide import Action
from tests.support.judge_stage import CONFIG, Bench, bench

SUSPECT_S = 3.0


@pytest.fixture
async def on(tmp_path: Path, redis_client: redis.asyncio.Redis) -> AsyncIterator[Bench]:
    async with bench(tmp_path, redis_client) as made:
        yield made


def proving(on: Bench, provider: str) -> bool:
    """Whether canaries are sent to prove it, at the suspect rate."""
    need = on.state.need(provider, on.clock.at_s, asked=False, witness=False)
    wanted = pace(need, 30.0, SUSPECT_S)
    assert (wanted.purpose is Purpose.PROOF) is need.proving
    assert not need.proving or wanted.interval_s == SUSPECT_S
    return need.proving


async def decides(on: Bench) -> tuple[Action, str]:
    await on.judge.tick()
    return on.state.decision.action, on.state.decision.target


async def test_without_a_flag_the_first_candidate_is_proven_and_then_set(on: Bench) -> None:
    assert await decides(on) == (Action.PROVE, "a")
    assert proving(on, "a")
    assert not proving(on, "b")
    on.found("a", count=3)
    assert await decides(on) == (Action.PROVE, "a")
    on.found("a", count=4)
    assert await decides(on) == (Action.SEED, "a")


async def test_a_target_is_proven_by_four_good_ones_and_then_taken(on: Bench) -> None:
    on.found("a", count=4)
    await on.judge.tick()
    on.found("a", Outcome.OVERLOADED)
    assert await decides(on) == (Action.PROVE, "b")
    assert proving(on, "b")
    on.found("b", count=4)
    assert await decides(on) == (Action.FLIP, "b")
    await on.judge.tick()
    assert not proving(on, "b")


async def test_one_bad_canary_ends_the_proof(
    tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    """Though it is no breach yet: what is left is suspicion, which slows down."""
    patient = CONFIG.replace("count = 1", "count = 3")
    async with bench(tmp_path, redis_client, text=patient) as on:
        on.found("a", count=4)
        await on.judge.tick()
        on.found("a", Outcome.OVERLOADED, count=3)
        on.found("b", count=3)
        assert await decides(on) == (Action.PROVE, "b")
        assert proving(on, "b")
        on.found("b", Outcome.OVERLOADED)
        assert await decides(on) == (Action.PROVE, "b")
        assert not on.state.trackers["b"].breached
        assert not proving(on, "b")
        assert await on.client.get("prober:{chat}:primary") == "a"


# -- what holds unless somebody says otherwise -----------------------------------------------------


def test_trouble_of_the_account_flips_by_default_and_the_account_is_shared() -> None:
    config = parse(CONFIG)
    flip_on = set(config.route[0].failover.flip_on)
    assert {"quota_exhausted", "auth", "model_not_found"} < flip_on
    assert {provider.account for provider in config.provider} == {"shared"}


@pytest.mark.parametrize(("count", "needed"), [(1, 1), (3, 2), (5, 3), (7, 4)])
def test_a_quorum_is_more_than_half_of_the_configured_vantages(
    count: int, needed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROBER_VANTAGE", raising=False)
    names = ", ".join(f'"v{number}"' for number in range(count))
    config = parse(f'[daemon]\nvantage = "v0"\nvantages = [{names}]\n')
    assert config.daemon.votes_needed == needed
