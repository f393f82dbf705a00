"""When an alarm of a decision is told, and when again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis.asyncio

from prober.alerts.text import Wording
from prober.clock import Clock
from prober.failover.decision_view import view_of
from prober.failover.reminders import STRANDED, Reminders
from prober.sample import Outcome
from prober.web import status
from switch.control.decide import Action, Alarm, Decision
from switch.control.target import Bar, ProviderView, Weighed
from switch.flag import Health, Mode
from tests.support.judge_stage import CONFIG, Bench, bench
from tests.support.values import flag, flip, observed

HOUR_S = 3600.0
READY = Decision(Action.HOLD, "b is ok; a is healthy again", "a", alarm=Alarm.FAILBACK_READY)
STUCK = Decision(Action.HOLD, "a breached; no candidate is fit", alarm=Alarm.NO_CANDIDATE)


@pytest.fixture
async def on(tmp_path: Path, redis_client: redis.asyncio.Redis) -> AsyncIterator[Bench]:
    """ "b" serves, the dearer one."""
    async with bench(tmp_path, redis_client) as made:
        made.state.saw(observed(flag(5, "b")))
        yield made


def alarms(on: Bench, clock: Clock | None = None) -> Reminders:
    clock = clock or on.clock
    zone = on.judge.config.daemon.zone
    return Reminders(on.judge.incidents, clock, on.judge.config, Wording(zone, {"chat": ""}))


def told(on: Bench, known: Reminders, decision: Decision, hours: float = 0.0) -> bool:
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


DWELLS = Weighed("a", False, "recovering: good again", Bar.DWELL, proven=True)
DOWN = Weighed("a", False, "breached: 0 of 4", Bar.BREACH)


@pytest.mark.parametrize("alarm", STRANDED)
async def test_a_page_with_nobody_to_move_to_is_followed_once_by_whom_can_be_had(
    on: Bench, alarm: Alarm
) -> None:
    known, down = alarms(on), replace(STUCK, alarm=Alarm.NO_CANDIDATE, weighed=(DOWN,))
    assert known.ready(on.state, replace(down, weighed=(DWELLS,))) is None, "nobody was paged"
    assert told(on, known, down)
    assert known.ready(on.state, down) is None
    up = replace(down, alarm=alarm, weighed=(DWELLS,))
    event = known.ready(on.state, up)
    assert event is not None
    assert (event.kind, event.route) == ("candidate_ready", "chat")
    assert "`prober failover a --route chat`" in event.body
    assert known.ready(on.state, up) is None


async def test_a_reminder_without_a_candidate_repeats_no_message_of_the_same_episode(
    on: Bench,
) -> None:
    known, down = alarms(on), replace(STUCK, weighed=(DOWN,))
    keys = []
    for hours in (0, 1.1):
        assert told(on, known, down, hours)
        event = known.ready(on.state, replace(down, weighed=(DWELLS,)))
        assert event is not None
        keys.append(event.key)
    assert keys[0] == keys[1], "the outbox knows an event by its key"


@pytest.mark.parametrize(
    "then",
    [
        replace(STUCK, action=Action.FLIP, alarm=None, weighed=(DWELLS,)),
        Decision(Action.HOLD, "b is ok", weighed=(DWELLS,)),
    ],
)
async def test_a_flip_and_an_end_of_the_trouble_tell_of_themselves(
    on: Bench, then: Decision
) -> None:
    known = alarms(on)
    assert told(on, known, replace(STUCK, weighed=(DOWN,)))
    assert known.ready(on.state, then) is None
    on.state.saw(observed(flag(6, "b")))
    assert known.ready(on.state, replace(STUCK, weighed=(DWELLS,))) is None, "another episode"


async def test_a_page_that_names_somebody_to_be_had_needs_no_second_message(on: Bench) -> None:
    known, named = alarms(on), replace(STUCK, weighed=(DWELLS,))
    assert told(on, known, named)
    assert known.ready(on.state, named) is None


async def test_a_freeze_is_told_once_with_its_end_and_again_when_it_comes_again(on: Bench) -> None:
    known = alarms(on)
    assert known.freeze(on.state) is None
    now_ms = observed().time_ms
    moves = tuple(
        flip(number, to, from_provider=left, at_ms=now_ms - 1000 * number)
        for number, (left, to) in enumerate((("b", "a"), ("a", "b")), start=1)
    )
    on.state.saw(observed(flag(5, "b"), flips=moves))
    event = known.freeze(on.state)
    assert event is not None
    assert "2 automatic flips within 60 min" in event.title
    assert "`prober ack chat` ends the freeze." in event.body
    assert known.freeze(on.state) is None
    on.state.acknowledged_ms = now_ms
    assert known.freeze(on.state) is None
    on.state.acknowledged_ms = 0
    assert known.freeze(on.state) is not None


async def test_a_primary_in_its_dwell_is_good_again_and_is_not_said_to_wait(on: Bench) -> None:
    """The dwell is for coming; it serves already."""
    on.found("b", Outcome.OVERLOADED)
    on.found("b", count=65)
    on.found("a", Outcome.OVERLOADED)
    on.found("a", count=65)
    found = view_of(on.state, on.judge.standing())
    serving, waiting = found.provider("b"), found.provider("a")
    assert serving is not None
    assert waiting is not None
    assert serving.health is waiting.health is Health.RECOVERING
    assert serving.why == "good again: 4 of 4, slowest first text 0.5 s"
    assert "may serve in" in waiting.why
    left_s = on.state.trackers["a"].breach.penalty_until_s - on.clock.mono()
    assert waiting.free_ms == round((on.clock.now() + left_s) * 1000)
    (chance,) = (one for one in status.why(on.judge, on.state)["candidates"] if one["name"] == "a")
    assert chance["bar"] == "dwell"
    assert chance["command"] == "prober failover a --route chat"


async def test_a_primary_in_breach_that_answers_again_is_said_to(on: Bench) -> None:
    """A last resort is one for minutes, and must not read like the outage before."""
    on.found("b", Outcome.OVERLOADED, count=24)
    assert "24 of 24" in primary_of(on).why
    on.found("b", count=5)
    serving = primary_of(on)
    assert serving.health is Health.BREACHED
    assert serving.why.startswith(
        "good again: 4 of 4, slowest first text 0.5 s, after 24 of 24 canaries failed"
    )


async def test_a_primary_whose_newest_answer_is_wrong_is_not_said_to_be_good_again(
    on: Bench,
) -> None:
    on.found("b", Outcome.WRONG_ANSWER, count=12)
    on.found("b", count=20)
    assert "good again" in primary_of(on).why
    on.found("b", Outcome.WRONG_ANSWER)
    assert on.state.trackers["b"].breach.returning
    assert "good again" not in primary_of(on).why


def primary_of(on: Bench) -> ProviderView:
    found = view_of(on.state, on.judge.standing()).provider("b")
    assert found is not None
    return found


@pytest.mark.parametrize(("what", "bar"), [("shut", Bar.UNPROBED), ("spent", Bar.BUDGET)])
async def test_what_makes_a_candidate_ineligible_is_a_fact_of_its_own(
    on: Bench, what: str, bar: Bar
) -> None:
    on.judge.shut = {"a": "no key"} if what == "shut" else {}
    on.judge.spent = frozenset({"a"} if what == "spent" else ())
    found = view_of(on.state, on.judge.standing()).provider("a")
    assert found is not None
    assert (found.health, found.ineligible) == (Health.INELIGIBLE, bar)
    midnight = (on.clock.now() // 86_400 + 1) * 86_400
    assert found.free_ms == (midnight * 1000 if what == "spent" else 0)


async def test_a_judge_pages_with_each_candidates_way_and_says_once_that_one_is_back(
    tmp_path: Path, redis_client: redis.asyncio.Redis
) -> None:
    async with bench(tmp_path, redis_client) as on:
        on.found("a", count=4)
        await on.judge.tick()
        for name in ("b", "a"):
            on.found(name, Outcome.OVERLOADED)
        await on.judge.tick()
        await on.told("chat FAILING, NO FAILOVER")
        (page,) = (one.event for one in on.letters if one.event.kind == "no_candidate")
        assert "Now: `prober failover b --route chat --force`" in page.body
        assert "far: not allowed" in page.body
        on.clock.at_s += 200
        on.found("b", count=65)
        on.found("a", Outcome.OVERLOADED)
        # Clearly better, it would be taken: here nobody may write the flag.
        on.judge.paused = True
        for _ in range(3):
            await on.judge.tick()
        assert await on.told("chat: b can be had again, and a is still bad")


async def test_a_last_resort_that_answers_is_not_paged_as_failing_until_a_canary_is_bad(
    on: Bench,
) -> None:
    """It is in breach still, and just told as the way out: "nothing to do"."""
    known = alarms(on)
    on.found("b", Outcome.OVERLOADED, count=12)
    on.clock.at_s += 60
    on.found("b", Outcome.OVERLOADED)
    assert on.state.trackers["b"].breach.latched
    on.found("b", count=3)
    assert not on.state.trackers["b"].proven(on.clock.mono())
    on.found("b")
    assert on.state.trackers["b"].breach.latched
    assert not told(on, known, STUCK)
    on.found("b", Outcome.OVERLOADED)
    assert told(on, known, STUCK)


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
