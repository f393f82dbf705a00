"""When an alarm of a decision is told, and when again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis.asyncio
from judge_stage import CONFIG, Bench, bench
from prober_values import flag, observed

from prober.alarms import Alarms
from prober.alerts.text import Writer
from prober.clock import Clock
from switch.decide import Action, Alarm, Decision
from switch.flag import Mode

HOUR_S = 3600.0
READY = Decision(Action.HOLD, "b is ok; a is healthy again", "a", alarm=Alarm.FAILBACK_READY)
STUCK = Decision(Action.HOLD, "a breached; no candidate is fit", alarm=Alarm.NO_CANDIDATE)


@pytest.fixture
async def on(tmp_path: Path, redis_client: redis.asyncio.Redis) -> AsyncIterator[Bench]:
    """ "b" serves, the dearer one."""
    async with bench(tmp_path, redis_client) as made:
        made.state.saw(observed(flag(5, "b")))
        yield made


def alarms(on: Bench, clock: Clock | None = None) -> Alarms:
    clock = clock or on.clock
    zone = on.judge.config.daemon.zone
    return Alarms(on.judge.incidents, clock, on.judge.config, Writer(zone, {"chat": ""}))


def told(on: Bench, known: Alarms, decision: Decision, hours: float = 0.0) -> bool:
    """Whether it is told after so many hours more."""
    on.clock.at_s += hours * HOUR_S
    return known.due(on.state, decision) is not None


async def test_a_ready_home_is_told_once_with_its_command_and_what_staying_costs(
    on: Bench,
) -> None:
    event = alarms(on).due(on.state, READY)
    assert event is not None
    assert event.kind == "failback_ready"
    assert "`prober failback chat`" in event.body
    assert "Staying costs 1.5 USD more per million tokens in and out." in event.body


async def test_a_ready_home_is_told_again_daily_and_no_sooner(on: Bench) -> None:
    known = alarms(on)
    assert [told(on, known, READY, hours) for hours in (0, 1, 22.9, 0.1, 23.9, 0.1)] == [
        True, False, False, True, False, True,
    ]  # fmt: skip


async def test_another_flag_is_another_matter(on: Bench) -> None:
    known = alarms(on)
    assert told(on, known, READY)
    on.state.saw(observed(flag(6, "b")))
    assert told(on, known, READY)


async def test_trouble_is_told_again_hourly_until_somebody_acknowledges(on: Bench) -> None:
    known = alarms(on)
    assert [told(on, known, STUCK, hours) for hours in (0, 0.9, 0.1)] == [True, False, True]
    on.clock.at_s += 0.5 * HOUR_S
    known.acknowledge("chat")
    assert [told(on, known, STUCK, hours) for hours in (0.5, 0.4, 0.1)] == [False, False, True]


async def test_a_restart_neither_repeats_what_was_told_nor_keeps_the_next_from_being_told(
    on: Bench,
) -> None:
    """The outbox knows an event by its key: the same within the hour, another in the next."""
    on.clock.at_s += HOUR_S - on.clock.now() % HOUR_S  # an hour begins
    first = alarms(on).due(on.state, STUCK)
    on.clock.at_s += 0.5 * HOUR_S
    again = alarms(on).due(on.state, STUCK)
    on.clock.at_s += 0.5 * HOUR_S
    next_ = alarms(on).due(on.state, STUCK)
    assert first is not None
    assert again is not None
    assert next_ is not None
    assert first.key == again.key != next_.key


@pytest.mark.parametrize("alarm", [Alarm.REGIONAL, Alarm.NO_QUORUM])
async def test_what_votes_may_still_settle_is_told_after_the_span(on: Bench, alarm: Alarm) -> None:
    known, decision = alarms(on), Decision(Action.HOLD, "a minority", alarm=alarm)
    on.state.alarmed_s = on.clock.mono()
    assert not told(on, known, decision, 44.9 / HOUR_S)
    assert told(on, known, decision, 0.1 / HOUR_S)


async def test_observing_is_silent_and_so_is_a_decision_without_an_alarm(on: Bench) -> None:
    assert not told(on, alarms(on), Decision(Action.HOLD, "fine"))
    config = on.judge.config
    observing = config.route[0].model_copy(update={"mode": Mode.OBSERVE})
    on.state.configure(config, observing)
    assert not told(on, alarms(on), STUCK)


async def test_staying_on_the_cheaper_one_names_no_cost(
    tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    turned = CONFIG.replace('candidates = ["a", "b", "far"]', 'candidates = ["b", "a", "far"]')
    async with bench(tmp_path, redis_client, text=turned) as on:
        on.state.saw(observed(flag(5, "a")))
        event = alarms(on).due(on.state, replace(READY, target="b"))
        assert event is not None
        assert "Staying costs" not in event.body
