"""Trouble is told once per cause, and once when it is over."""

from __future__ import annotations

import json

from prober.detection.episode import DAY_S, MOST, Episode
from prober.detection.tracker import Change
from prober.sample import Cause, Outcome
from tests.support.trackers import account_trouble, tracker
from tests.support.values import sample


def wall(at_s: float) -> float:
    return sample(at_s=at_s).started_at


CUT, MALFORMED = Outcome.BUDGET_TOO_SMALL, Outcome.BAD_REQUEST


def test_each_cause_is_told_once_in_an_episode() -> None:
    episode = Episode()
    told = [episode.bad(sample(kind, at)) for at, kind in enumerate([MALFORMED, CUT, MALFORMED])]
    assert told == [True, True, False]
    assert episode.good(wall(5))
    assert not episode.good(wall(6))


def test_the_same_cause_of_the_same_episode_has_the_same_key_for_every_route() -> None:
    one, other = Episode(), Episode()
    for episode in (one, other):
        episode.bad(sample(MALFORMED, 0))
        episode.bad(sample(CUT, 3))
    assert one.told is not None
    assert other.told is not None
    assert one.told.key == other.told.key


def test_days_of_one_trouble_are_one_episode() -> None:
    episode = Episode()
    told = [episode.bad(sample(MALFORMED, hour * 3600.0)) for hour in range(72)]
    assert told.count(True) == 1


def test_what_flickers_is_told_ever_more_seldom() -> None:
    """One canary in five is cut by length, for a day."""
    episode, told = Episode(), 0
    for at_s in range(0, 80_000, 30):
        told += episode.bad(sample(CUT, at_s)) if at_s % 150 == 0 else episode.good(wall(at_s))
    assert told <= 5


def test_the_last_of_many_relapses_ends_too() -> None:
    episode = Episode()
    for at_s in range(40):
        episode.bad(sample(CUT, at_s))
        episode.good(wall(at_s))
    assert episode.open
    assert episode.good(wall(100), MOST)


def test_after_a_quiet_day_it_begins_anew() -> None:
    episode = Episode()
    for at_s in (0.0, 10.0, 2 * DAY_S + 10):
        episode.bad(sample(CUT, at_s))
        episode.good(wall(at_s), 4)
    episode.bad(sample(CUT, 9 * DAY_S))
    assert episode.good(wall(9 * DAY_S + 1))


def test_a_new_configuration_ends_it_with_one_good_canary() -> None:
    episode = Episode()
    for at_s in range(3):
        episode.bad(sample(CUT, at_s))
        episode.good(wall(at_s), MOST)
    episode.bad(sample(CUT, 9))
    assert not episode.good(wall(10))
    episode.renew()
    assert episode.good(wall(11))


def test_a_wrong_answer_shows_that_the_canary_is_understood() -> None:
    track = tracker(count=3)
    track.ended(sample(MALFORMED, 0))
    track.ended(sample(Outcome.WRONG_ANSWER, 3))
    assert track.changes == [Change.CANARY, Change.CANARY_WELL]


def test_the_end_is_told_after_a_restart_and_the_beginning_is_not_told_again() -> None:
    """The usual mend: the file is changed, and the daemon started again."""
    before = tracker(count=3)
    before.ended(sample(MALFORMED, 0))
    account_trouble(before, 10, 13, 16)
    assert before.changes == [Change.CANARY, Change.ACCOUNT]
    for fresh in (True, False):
        track = tracker(count=3)
        track.load(json.loads(json.dumps(before.dump())), fresh=fresh)
        track.ended(sample(MALFORMED, 20))
        account_trouble(track, 23, 26, 29)
        assert track.changes == []
        track.ended(sample(at_s=40))
        assert track.changes == [Change.CANARY_WELL, Change.ACCOUNT_WELL]


def test_the_end_is_told_after_a_reload() -> None:
    old, new = tracker(count=3), tracker(count=3)
    old.ended(sample(MALFORMED, 0))
    new.inherit(old)
    new.ended(sample(at_s=5))
    assert new.changes == [Change.CANARY_WELL]


def test_whose_account_it_is_is_a_cause_of_its_own() -> None:
    track = tracker()
    for number, cause in enumerate([Cause.NONE] * 3 + [Cause.UPSTREAM] * 2):
        track.ended(sample(Outcome.AUTH, 3.0 * number, detail="HTTP 401 x", cause=cause))
    assert track.changes == [Change.ACCOUNT, Change.ACCOUNT]
    assert track.health(16)[1] == "the gateway's own key refused: HTTP 401 x"


def test_an_unknown_refusal_is_in_the_evidence_with_its_words() -> None:
    track = tracker(count=2)
    for at_s in (0, 3):
        track.ended(sample(Outcome.REFUSED, at_s, detail="HTTP 418 teapot"))
    assert track.changes == [Change.BREACHED]
    assert track.breach.why == (
        "2 of 2 canaries failed in 4 s (refused what it answered before: HTTP 418 teapot)"
    )
