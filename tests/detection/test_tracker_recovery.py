"""How a provider breaches, comes back and waits; and what is not its outage."""

from __future__ import annotations

import pytest

from prober.config.objectives import objectives_of
from prober.config.schema import DetectorSettings, Route
from prober.detection.rules import TrackerRules
from prober.detection.tracker import Change, Tracker
from prober.sample import Outcome
from switch.flag import Health
from tests.support.trackers import account_trouble, breached, good, in_penalty, recover, tracker
from tests.support.values import WALL, sample

HANG = Outcome.TIMEOUT_FIRST_TEXT


# -- breach and recovery ---------------------------------------------------------------------------


def test_a_breach_is_told_once_with_its_onset_and_its_sentence() -> None:
    track = tracker(count=2)
    track.ended(sample(at_s=0))
    track.ended(sample(Outcome.OVERLOADED, 30))
    assert track.health(31) == (
        Health.SUSPECT,
        "1 of 1 canaries failed in 1 s (overloaded), 1 bad in a row, breached at 2",
    )
    track.ended(sample(Outcome.OVERLOADED, 33))
    assert track.changes == [Change.BREACHED]
    assert track.breach.onset_at == WALL + 30
    assert track.health(34) == (Health.BREACHED, "2 of 2 canaries failed in 4 s (overloaded)")
    track.ended(sample(Outcome.OVERLOADED, 36))
    assert track.changes == [Change.BREACHED]
    assert track.health(37)[1] == "3 of 3 canaries failed in 7 s (overloaded)"
    assert not track.proven(37)


def test_recovery_takes_a_score_of_65() -> None:
    track = breached()
    good(track, 64, 3)
    assert track.breach.score == 64
    assert track.breach.latched
    assert track.changes == [Change.RECOVERING], "signs of life, at 20"
    track.ended(sample(at_s=300))
    assert track.changes == [Change.RECOVERING, Change.RECOVERED]
    breach = track.breach
    assert (breach.latched, breach.why, breach.score, track.level) == (frozenset(), "", 0, 0)


def test_one_bad_canary_costs_25_good_ones_and_never_below_none() -> None:
    track = breached()
    good(track, 30, 3)
    track.ended(sample(Outcome.OVERLOADED, 100))
    assert track.breach.score == 5
    track.ended(sample(Outcome.OVERLOADED, 103))
    assert track.breach.score == 0
    good(track, 64, 106)
    assert track.breach.latched


def test_what_says_nothing_neither_raises_nor_lowers_the_score() -> None:
    track = breached()
    good(track, 5, 3)
    track.ended(sample(Outcome.RATE_LIMITED, 30, base_rate=False))
    track.ended(sample(Outcome.WRONG_ANSWER, 33))
    assert track.breach.score == 5
    assert track.good_in_a_row == 5


def test_a_recovered_provider_waits_before_it_may_serve() -> None:
    track = breached(healthy_for_s=600)
    end_s = recover(track, 3)
    assert track.health(end_s + 10) == (
        Health.RECOVERING,
        "good again, may serve in 10 min",
    )
    good(track, 1, end_s + 590)
    assert track.health(end_s + 599)[0] is Health.RECOVERING
    assert track.health(end_s + 600)[0] is Health.OK


def test_each_relapse_doubles_the_wait_up_to_a_cap() -> None:
    track, at_s = breached(healthy_for_s=600), 3.0
    waits = []
    for _ in range(6):
        end_s = recover(track, at_s)
        left = [s for s in (600, 1200, 2400, 4800, 9600) if in_penalty(track, end_s + s - 1)]
        waits.append(left[-1])
        assert not in_penalty(track, end_s + left[-1])
        at_s = end_s + 10
        track.ended(sample(Outcome.OVERLOADED, at_s))
        at_s += 3
    assert waits == [600, 1200, 2400, 4800, 4800, 4800]


def test_a_breach_six_hours_later_is_no_relapse() -> None:
    track = breached()
    end_s = recover(track, 3)
    at_s = end_s + 6 * 3600
    track.ended(sample(Outcome.OVERLOADED, at_s))
    end_s = recover(track, at_s + 3)
    assert in_penalty(track, end_s + 599)
    assert not in_penalty(track, end_s + 600)


def test_a_second_objective_in_breach_joins_the_first() -> None:
    detector = DetectorSettings(kind="consecutive", count=1)
    route = Route(
        name="chat",
        candidates=("a",),
        detector=detector,
        objectives={"ttft": {"under": "1s"}},  # type: ignore[arg-type]
    )
    track = Tracker("a", objectives_of(route), TrackerRules())
    track.ended(sample(first_text_s=2, took_s=3))
    track.ended(sample(Outcome.OVERLOADED, 3))
    assert track.breached == {"ttft", "availability"}
    assert track.changes == [Change.BREACHED]
    assert track.breach.why == (
        "1 of 1 canaries failed in 1 s (overloaded); "
        "1 of 1 canaries needed over 1 s to first text in 3 s"
    )


# -- the account and the canary --------------------------------------------------------------------


def test_one_account_error_makes_suspicious_and_unknown() -> None:
    track = tracker()
    good(track, 4, 0)
    account_trouble(track, 12)
    assert (track.good_in_a_row, track.recent_bad()) == (0, True)
    assert not track.proven(13)
    assert track.account.suspect
    assert track.suspect
    assert track.breached == frozenset()
    assert track.health(13) == (Health.UNKNOWN, "key refused: HTTP 401 no such key")


@pytest.mark.parametrize(
    ("own", "state", "words"),
    [
        (False, Health.INELIGIBLE, "key refused: HTTP 401 no such key"),
        (True, Health.UNKNOWN, "key refused: HTTP 401 no such key (the canary's own account)"),
    ],
)
def test_three_in_thirty_seconds_are_the_account_s_trouble(
    own: bool, state: Health, words: str
) -> None:
    track = tracker(own_account=own)
    account_trouble(track, 0, 15, 30)
    assert track.changes == [Change.ACCOUNT]
    assert track.breached == {"auth"}
    assert track.health(31) == (state, words)
    account_trouble(track, 33)
    assert track.changes == [Change.ACCOUNT]


def test_three_in_more_than_thirty_seconds_are_not() -> None:
    track = tracker()
    account_trouble(track, 0, 15, 30.1)
    assert (track.changes, track.breached) == ([], frozenset())


def test_a_slow_suspect_interval_widens_the_thirty_seconds() -> None:
    track = tracker(suspect_interval_s=20)
    account_trouble(track, 0, 20, 40)
    assert track.changes == [Change.ACCOUNT]


def test_account_trouble_is_never_an_outage() -> None:
    track = tracker(count=1)
    account_trouble(track, *range(20), outcome=Outcome.QUOTA_EXHAUSTED)
    assert track.level == 0
    assert track.breach.latched == frozenset()
    assert track.breached == {"quota_exhausted"}


def test_a_good_canary_settles_the_account() -> None:
    track = tracker()
    account_trouble(track, 0, 3, 6)
    track.ended(sample(at_s=9))
    assert track.changes == [Change.ACCOUNT, Change.ACCOUNT_WELL]
    assert track.health(10)[0] is Health.OK
    account_trouble(track, 12, 15)
    assert track.breached == frozenset()


def test_another_trouble_of_the_account_is_told_too() -> None:
    track = tracker()
    account_trouble(track, 0, 3, 6)
    account_trouble(track, 9, 12, 15, outcome=Outcome.QUOTA_EXHAUSTED)
    assert track.changes == [Change.ACCOUNT, Change.ACCOUNT]
    assert track.breached == {"quota_exhausted"}


def test_a_misconfigured_canary_is_told_once_until_one_is_good() -> None:
    track = tracker(count=1)
    bad = [sample(Outcome.BUDGET_TOO_SMALL, at_s, detail="cut") for at_s in (0, 3)]
    for one in bad:
        track.ended(one)
    assert track.changes == [Change.CANARY]
    assert track.breached == frozenset()
    assert track.health(4) == (Health.UNKNOWN, "canary's token limit too small: cut")
    track.ended(sample(at_s=6))
    track.ended(sample(Outcome.BAD_REQUEST, 9))
    assert track.changes == [Change.CANARY, Change.CANARY_WELL, Change.CANARY]


def test_a_429_counts_at_the_base_rate_only() -> None:
    track = tracker(count=1)
    good(track, 4, 0)
    track.ended(sample(Outcome.RATE_LIMITED, 12, base_rate=False))
    assert track.health(13) == (
        Health.OK,
        "last canary rate limited; 4 of 4 good, slowest first text 0.5 s",
    )
    assert not track.proven(13)
    track.ended(sample(Outcome.RATE_LIMITED, 15, base_rate=True))
    assert track.breached == {"availability"}


# -- how it did lately -------------------------------------------------------------------------


def test_lately_counts_the_trouble_of_one_that_serves_and_the_recovery_of_another() -> None:
    track = tracker(count=2)
    good(track, 20, 0, every_s=30)
    assert track.lately(600, serving=True) == track.lately(600, serving=False) == (20, 0)
    for start_s in (600, 603, 606):
        track.ended(sample(Outcome.OVERLOADED, start_s))
    assert track.lately(608, serving=True) == (0, 3), "not the good ones before its onset"
    assert not track.breach.returning
    good(track, 4, 700)
    assert track.lately(720, serving=True) == (4, 3)
    assert track.lately(720, serving=False) == (4, 0)
    assert track.breach.returning
    assert track.proven(711)
    good(track, 61, 712)
    assert not track.breach.latched
    assert track.lately(900, serving=False) == (65, 0)
    assert track.lately(1400, serving=False) == (31, 0), "of the last ten minutes"


def test_one_failure_alone_is_none_since_when_it_fails() -> None:
    track = tracker(count=3)
    track.ended(sample(Outcome.OVERLOADED, 0))
    assert track.failed_ago_s(10) == float("inf")
    track.ended(sample(Outcome.OVERLOADED, 3))
    good(track, 2, 6)
    assert track.failed_ago_s(10) == 10


def test_a_failure_during_its_dwell_begins_its_newest_good_ones_anew() -> None:
    track = tracker(count=2, healthy_for_s=600)
    for start_s in (0, 3):
        track.ended(sample(Outcome.OVERLOADED, start_s))
    end_s = recover(track, 6)
    assert track.good_for_s(end_s) == end_s - 6
    track.ended(sample(Outcome.OVERLOADED, end_s + 30))
    assert track.good_for_s(end_s + 40) == 0
    good(track, 4, end_s + 60)
    assert track.good_for_s(end_s + 90) == 30
    assert track.health(end_s + 90)[0] is Health.RECOVERING


def test_after_a_restart_nothing_is_known_to_have_been_good_for_long() -> None:
    track = breached()
    good(track, 40, 100)
    again = tracker()
    again.load(track.dump(), fresh=True)
    assert again.good_for_s(1000) == 0


def test_a_bad_canary_ends_the_return_of_one_that_had_hardly_begun() -> None:
    track = breached()
    good(track, 10, 100)
    assert track.breach.returning
    track.ended(sample(Outcome.OVERLOADED, 140))
    assert not track.breach.returning
    assert not track.proven(142)


def test_an_account_in_trouble_fails_from_the_canary_that_made_it_believed() -> None:
    track = tracker()
    good(track, 20, 0, every_s=30)
    account_trouble(track, 600, 603, 606)
    assert track.lately(608, serving=True) == (0, 3)
