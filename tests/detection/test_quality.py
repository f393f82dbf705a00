"""Answers that are wrong: told as a breach of quality, and nothing moves or waits for that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
import redis.asyncio

from prober.canary import CanaryKind, advice
from prober.config.loader import effective, parse
from prober.config.objectives import objectives_of
from prober.config.schema import Failover, Objectives, Route
from prober.detection.rules import TrackerRules
from prober.detection.tracker import Change, Tracker
from prober.probing.pacing import Pace, Purpose, pace
from prober.sample import Outcome
from prober.web.status import why
from switch.control.decide import Action
from switch.flag import Health
from tests.support.judge_stage import CONFIG, Bench, bench
from tests.support.trackers import good
from tests.support.values import WALL, sample

WRONG, BUSY = Outcome.WRONG_ANSWER, Outcome.OVERLOADED


def tracker(**objectives: object) -> Tracker:
    route = Route(name="chat", candidates=("a",), objectives=Objectives.model_validate(objectives))
    return Tracker("a", objectives_of(route), TrackerRules())


def wrong(track: Tracker, number: int, from_s: float, every_s: float = 4.0) -> float:
    """Wrong answers one after the other; gives the end of the last."""
    for at in range(number):
        track.ended(sample(WRONG, from_s + at * every_s, detail="answered 'no idea'"))
    return from_s + (number - 1) * every_s + 1


def test_answers_that_are_always_wrong_are_a_breach_by_default() -> None:
    track = tracker()
    end_s = wrong(track, 12, 0, 4.0)
    assert track.breached == {"quality"}
    assert track.changes == [Change.BREACHED]
    assert track.health(end_s) == (Health.BREACHED, "12 of 12 answers wrong in 45 s")
    assert not track.proven(end_s)


def test_half_of_the_answers_wrong_is_one_too_and_one_in_ten_is_none() -> None:
    track = tracker()
    for number in range(100):
        track.ended(sample(WRONG if number % 10 == 0 else Outcome.OK, 3.0 * number))
    assert not track.breached
    for number in range(60):
        track.ended(sample(WRONG if number % 2 else Outcome.OK, 300 + 3.0 * number))
    assert track.breached == {"quality"}


@pytest.mark.parametrize("left_out", [False, True])
def test_good_never_stands_beside_a_wrong_answer(left_out: bool) -> None:
    track = tracker(quality=False) if left_out else tracker()
    good(track, 4, 0)
    assert track.health(11)[1] == "4 of 4 good, slowest first text 0.5 s"
    for number in range(1, 5):
        end_s = wrong(track, 1, 11.0 + number)
        said = track.health(end_s)[1]
        assert "good" not in said
        assert f"{number} of {4 if left_out else number} answers wrong" in said
        assert track.proof() == f"{4 - number} of 4, {number} answered wrongly"
        assert not track.proven(end_s)


def test_a_breach_of_quality_hurries_nothing_and_lets_go_as_soon_as_answers_are_right() -> None:
    track = tracker()
    end_s = wrong(track, 12, 0)
    assert not track.suspect
    assert track.grave == frozenset()
    end_s = good(track, 64, end_s + 3)
    assert track.breached == {"quality"}
    end_s = good(track, 1, end_s + 3)
    assert track.changes[-1] is Change.RECOVERED
    # What moved no flag keeps nobody from serving.
    assert track.health(end_s)[0] is Health.OK


def test_a_tenth_of_wrong_answers_does_not_keep_a_breach_of_quality_open() -> None:
    track = tracker()
    at_s = wrong(track, 12, 0)
    for number in range(200):
        track.ended(sample(WRONG if number % 10 == 9 else Outcome.OK, at_s + 3.0 * (number + 1)))
    assert Change.RECOVERED in track.changes


def test_wrong_answers_do_not_keep_an_outage_open() -> None:
    """A provider that is allowed to be wrong now and then has to come back all the same."""
    track = tracker()
    for number in range(20):
        track.ended(sample(BUSY, 3.0 * number))
    assert track.grave == {"availability"}
    for number in range(80):
        track.ended(sample(WRONG if number % 16 == 15 else Outcome.OK, 60 + 3.0 * number))
    assert track.changes[-1] is Change.RECOVERED


def test_an_outage_of_a_provider_that_answers_wrongly_is_found_and_begins_then() -> None:
    """What is told already must hide nothing: neither the evidence, nor since when, nor reports."""
    track = tracker()
    at_s = wrong(track, 12, 0)
    track.changes.clear()
    assert not track.suspect
    seconds = count(int(at_s) + 1_000, 3)
    started = next(seconds)
    track.ended(sample(BUSY, started))
    assert track.suspect
    assert track.moving_level > 0
    while not track.grave:
        track.ended(sample(BUSY, next(seconds)))
    assert track.breached == {"availability", "quality"}
    assert track.changes == [Change.BREACHED]
    assert track.breach.onset_at == WALL + started
    assert "failed in" in track.health(started + 60)[1]


def test_a_gap_in_time_ends_the_evidence_of_an_outage_beside_a_breach_of_quality() -> None:
    track = tracker()
    at_s = wrong(track, 12, 0)
    for number in range(3):
        track.ended(sample(BUSY, at_s + 3.0 * number))
    assert track.moving_level > 0
    track.forget()
    assert track.moving_level == 0
    assert track.breached == {"quality"}


def test_where_flip_on_names_quality_it_is_as_grave_as_any() -> None:
    route = Route(name="chat", candidates=("a",), failover=Failover(flip_on=("quality",)))
    rules = TrackerRules(alert_only=frozenset({"quality"}).difference(route.failover.flip_on))
    track = Tracker("a", objectives_of(route), rules)
    end_s = wrong(track, 12, 0)
    assert track.grave == {"quality"}
    end_s = good(track, 65, end_s + 3)
    assert track.health(end_s)[0] is Health.RECOVERING


# -- the configuration -----------------------------------------------------------------------------

MORE = "\n[route.objectives]\nquality = {}\n"


@pytest.mark.parametrize("said", ["false", '"none"', "0"])
def test_quality_can_be_left_out_and_stays_left_out_when_written_out(said: str) -> None:
    config = parse(CONFIG + MORE.format(said))
    assert "quality" not in [o.name for o in objectives_of(config.route[0])]
    assert "quality = false" in effective(config)
    assert parse(effective(config)) == config


def test_a_low_share_of_right_answers_leaves_room_for_a_breach() -> None:
    config = parse(CONFIG.partition("[route.detector]")[0] + MORE.format(0.5))
    (quality,) = [o for o in objectives_of(config.route[0]) if o.name == "quality"]
    assert quality.dials is not None
    assert (quality.dials.p0, quality.dials.p1) == (0.5, 0.75)


def test_whoever_writes_the_question_is_sent_to_the_expectation() -> None:
    assert 'canary.kind = "custom"' in advice(CanaryKind.ECHO)
    assert "canary.expect" in advice(CanaryKind.CUSTOM)


# -- on a real flag --------------------------------------------------------------------------------


@pytest.fixture
async def on(tmp_path: Path, redis_client: redis.asyncio.Redis) -> AsyncIterator[Bench]:
    async with bench(tmp_path, redis_client) as made:
        yield made


def body(on: Bench, title: str) -> str:
    return next(item.event.body for item in on.letters if item.event.title == title)


async def test_without_a_flag_why_and_the_alert_say_that_the_answers_are_wrong(on: Bench) -> None:
    on.found("a", WRONG, count=12)
    on.found("b", WRONG, count=3)
    await on.judge.tick()
    said = why(on.judge, on.state)
    assert on.state.decision.action is Action.HOLD
    assert "a is not proven: 12 of 12 answers wrong in" in said["decision"]["reason"]
    assert "b is not proven: 3 of 3 answers wrong in" in said["decision"]["reason"]
    for provider in said["providers"][:2]:
        assert 'canary.kind = "custom"' in provider["advice"]
    title = await on.told("a answers wrongly")
    assert title == "a answers wrongly; chat has no flag yet"
    assert 'canary.kind = "custom"' in body(on, title)
    assert "`prober probe a` shows an answer" in body(on, title)


async def test_a_primary_that_answers_wrongly_is_told_and_keeps_the_flag(on: Bench) -> None:
    on.found("a", count=4)
    await on.judge.tick()
    on.found("b", count=4)
    on.found("a", WRONG, count=12)
    await on.judge.tick()
    await on.judge.tick()
    title = await on.told("answers wrongly")
    assert title == "a, which serves chat, answers wrongly"
    assert 'canary.kind = "custom"' in body(on, title)
    assert (await on.flag()).provider == "a"
    # Once a day is enough for what can wait.
    on.clock.at_s += 2 * 3_600
    on.found("a", WRONG, count=4)
    await on.judge.tick()
    assert on.titles("answers wrongly") == [title]


async def test_a_breach_of_quality_costs_no_canaries_until_it_may_be_over(on: Bench) -> None:
    on.found("a", count=4)
    await on.judge.tick()
    on.state._watch = ("", 0.0)
    on.found("a", WRONG, count=12)
    wanted = pace(on.state.need("a", on.clock.at_s, asked=False, witness=False), 30.0, 3.0)
    assert wanted == Pace(30.0, Purpose.BASE)
    on.found("a", count=3)
    wanted = pace(on.state.need("a", on.clock.at_s, asked=False, witness=False), 30.0, 3.0)
    assert wanted == Pace(3.0, Purpose.RECOVERY)


async def test_a_primary_that_answers_wrongly_is_left_in_an_outage_as_ever(on: Bench) -> None:
    """The outage is an incident of its own, and begins when it began."""
    on.found("a", count=4)
    await on.judge.tick()
    on.found("a", WRONG, count=12)
    await on.judge.tick()
    lesser = on.judge.incidents.find("chat", "a")
    assert lesser is not None
    assert lesser.objectives == "quality"
    on.clock.at_s += 3_600
    on.found("b", count=4)
    on.found("a", BUSY)
    await on.judge.tick()
    assert (await on.flag()).provider == "b"
    incident = on.judge.incidents.find("chat", "a")
    assert incident is not None
    assert incident.number == lesser.number + 1
    assert incident.opened_at - lesser.opened_at > 3_000
    assert "availability" in incident.objectives
    (closed,) = await on.records("incident_closed")
    assert closed["id"] == lesser.id
