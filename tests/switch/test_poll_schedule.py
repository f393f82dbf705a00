"""When routes are read, by a clock that the test moves; and when a subscription counts as deaf."""

from __future__ import annotations

from random import Random

import pytest

from switch.flag import Keys
from switch.poll_schedule import (
    DEAF_S,
    ECHO_S,
    LISTEN_S,
    POLL_S,
    READ_BACK_WITHIN_S,
    RETRY_S,
    Ear,
    PollSchedule,
)

CHAT, MAIL = Keys("chat"), Keys("mail")


def longest(low: float, high: float) -> float:
    return max(low, high)


def watching(*which: Keys, poll_s: float = POLL_S) -> PollSchedule:
    agenda = PollSchedule(longest)
    for keys in which:
        agenda.watch(keys, poll_s)
        agenda.done(keys, 0.0)
    return agenda


def test_what_is_watched_is_read_at_once() -> None:
    agenda = PollSchedule(longest)
    agenda.watch(CHAT, POLL_S)
    assert agenda.due(0.0) == [CHAT]
    assert agenda.wait_s(0.0) == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_no_poll_is_later_than_asked_for_and_none_much_earlier(seed: int) -> None:
    agenda = PollSchedule(Random(seed).uniform)
    agenda.watch(CHAT, POLL_S)
    now_s = 100.0
    for _ in range(50):
        agenda.done(CHAT, now_s)
        assert agenda.due(now_s + 0.79 * POLL_S) == []
        assert agenda.due(now_s + POLL_S) == [CHAT]
        now_s += POLL_S


@pytest.mark.parametrize("seed", range(20))
def test_a_message_is_read_back_after_a_jittered_pause(seed: int) -> None:
    agenda = PollSchedule(Random(seed).uniform)
    agenda.watch(CHAT, POLL_S)
    agenda.done(CHAT, 0.0)
    agenda.soon(CHAT, 1.0)
    assert agenda.due(1.0 + READ_BACK_WITHIN_S) == [CHAT]


def test_a_thousand_readers_do_not_read_back_in_the_same_moment() -> None:
    chance = Random(7)
    slots = [0] * 10
    for _ in range(1000):
        agenda = PollSchedule(chance.uniform)
        agenda.watch(CHAT, POLL_S)
        agenda.done(CHAT, 0.0)
        agenda.soon(CHAT, 0.0)
        waited = next(n for n in range(1, 11) if agenda.due(READ_BACK_WITHIN_S * n / 10))
        slots[waited - 1] += 1
    assert max(slots) < 150


def test_a_message_never_puts_a_read_off() -> None:
    agenda = watching(CHAT)
    agenda.soon(CHAT, POLL_S - 0.01)
    assert agenda.due(POLL_S) == [CHAT]


def test_after_a_failure_it_is_asked_again_within_two_seconds() -> None:
    agenda = watching(CHAT, MAIL)
    agenda.failed([CHAT], 10.0)
    assert agenda.due(10.0) == [MAIL]
    assert agenda.due(10.0 + RETRY_S[1]) == [CHAT, MAIL]


def test_the_shortest_poll_asked_for_counts() -> None:
    agenda = watching(CHAT, poll_s=2.0)
    agenda.watch(CHAT, 60.0)
    agenda.done(CHAT, 0.0)
    assert agenda.due(2.0) == [CHAT]


def test_what_is_forgotten_is_not_read_whatever_comes_for_it_still() -> None:
    agenda = watching(CHAT, MAIL)
    agenda.forget(CHAT)
    agenda.at_once(CHAT)
    agenda.soon(CHAT, 0.0)
    agenda.done(CHAT, 0.0)
    agenda.failed([CHAT], 0.0)
    assert agenda.due(1e9) == [MAIL]


@pytest.mark.parametrize(
    ("now_s", "wait_s"), [(0.0, LISTEN_S), (POLL_S - 0.1, 0.1), (POLL_S + 1, 0.0)]
)
def test_a_wait_ends_when_the_next_read_is_due(now_s: float, wait_s: float) -> None:
    assert watching(CHAT).wait_s(now_s) == pytest.approx(wait_s)


def test_nothing_watched_waits_shortly_and_asks_nothing() -> None:
    agenda = PollSchedule(longest)
    assert (agenda.wait_s(0.0), agenda.due(1e9)) == (LISTEN_S, [])


# -- the subscription --------------------------------------------------------------------------


def test_a_subscription_that_is_never_confirmed_is_deaf() -> None:
    ear = Ear(longest)
    ear.opened(0.0)
    assert not ear.deaf(DEAF_S - 0.01)
    assert ear.deaf(DEAF_S)


def test_a_silent_subscription_is_asked_for_an_echo_and_is_deaf_without_one() -> None:
    ear = Ear(longest)
    ear.opened(0.0)
    ear.heard(0.1)
    assert not ear.deaf(ECHO_S)
    assert not ear.wants_echo(ECHO_S)
    assert ear.wants_echo(ECHO_S + 0.1)
    ear.asked(ECHO_S + 0.1)
    assert not ear.wants_echo(ECHO_S + 0.2)
    assert not ear.deaf(ECHO_S + 0.2)
    assert ear.deaf(ECHO_S + 0.1 + DEAF_S)


def test_anything_heard_shows_that_it_hears() -> None:
    ear = Ear(longest)
    ear.opened(0.0)
    ear.heard(1.0)
    ear.asked(20.0)
    ear.heard(20.5)
    assert not ear.deaf(1000.0)
    assert ear.wants_echo(20.5 + ECHO_S)


def test_only_the_first_confirmation_of_a_connection_asks_for_a_read() -> None:
    ear = Ear(longest)
    ear.opened(0.0)
    assert ear.confirms("x")
    assert ear.confirms("y")
    assert not ear.confirms("x")
    ear.opened(9.0)
    assert ear.confirms("x")


def test_a_lost_subscription_waits_before_it_is_made_again() -> None:
    ear = Ear(longest)
    assert ear.may_open(0.0)
    ear.lost(5.0)
    assert not ear.may_open(5.0 + RETRY_S[1] - 0.01)
    assert ear.may_open(5.0 + RETRY_S[1])
