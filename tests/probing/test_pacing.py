"""How often to probe, and what lasting noise can cost."""

from __future__ import annotations

import pytest

from prober.probing.pacing import BUCKET, FastBucket, Need, Pace, Purpose, RateShare, Rhythm, pace

BASE = Pace(30, Purpose.BASE)


@pytest.mark.parametrize(
    ("need", "found"),
    [
        (Need(), BASE),
        (Need(suspect_for_s=0), Pace(3, Purpose.SUSPICION)),
        (Need(suspect_for_s=599), Pace(3, Purpose.SUSPICION)),
        (Need(suspect_for_s=600), Pace(15, Purpose.SUSPICION)),
        (Need(suspect_for_s=4199), Pace(15, Purpose.SUSPICION)),
        (Need(suspect_for_s=4200), BASE),
        (Need(latched=True), Pace(15, Purpose.RECOVERY)),
        (Need(latched=True, score=2), Pace(15, Purpose.RECOVERY)),
        (Need(latched=True, score=3), Pace(3, Purpose.RECOVERY)),
        (Need(latched=True, suspect_for_s=0), Pace(15, Purpose.RECOVERY)),
        (Need(proving=True, latched=True), Pace(3, Purpose.PROOF)),
        (Need(watched=True), Pace(3, Purpose.WATCH)),
        (Need(watched=True, suspect_for_s=700), Pace(15, Purpose.SUSPICION)),
        (Need(watched=True, suspect_for_s=4200), Pace(3, Purpose.WATCH)),
        (Need(witness=True), Pace(3, Purpose.WITNESS)),
    ],
)
def test_the_pace_follows_the_need(need: Need, found: Pace) -> None:
    assert pace(need, 30, 3) == found


def test_slow_is_never_slower_than_the_base_interval() -> None:
    assert pace(Need(latched=True), 10, 3).interval_s == 10


def empty(now_s: float = 0.0) -> FastBucket:
    bucket = FastBucket(30)
    for _ in range(BUCKET):
        bucket.take(Purpose.SUSPICION, now_s)
    return bucket


FAST = Pace(3, Purpose.SUSPICION)


def test_a_bucket_holds_400_fast_canaries() -> None:
    bucket = FastBucket(30)
    for _ in range(400):
        assert bucket.bound(FAST, 0, 30, 3) == FAST
        bucket.take(Purpose.SUSPICION, 0)
    assert bucket.bound(FAST, 0, 30, 3) == Pace(15, Purpose.SUSPICION)


def test_one_fast_canary_comes_back_each_base_interval() -> None:
    bucket = empty()
    assert bucket.bound(FAST, 29.9, 30, 3) != FAST
    assert bucket.bound(FAST, 30, 30, 3) == FAST
    bucket.take(Purpose.SUSPICION, 30)
    assert bucket.bound(FAST, 59, 30, 3) != FAST
    assert bucket.bound(FAST, 60, 30, 3) == FAST


def test_the_bucket_never_holds_more_than_its_size() -> None:
    bucket = empty()
    bucket.bound(FAST, 1e9, 30, 3)
    for _ in range(BUCKET):
        bucket.take(Purpose.SUSPICION, 1e9)
    assert bucket.bound(FAST, 1e9, 30, 3) != FAST


@pytest.mark.parametrize("purpose", [Purpose.BASE, Purpose.PROOF])
def test_base_canaries_and_proofs_are_free_and_never_wait(purpose: Purpose) -> None:
    bucket = FastBucket(30, size=1)
    bucket.take(purpose, 0)
    assert bucket.bound(FAST, 0, 30, 3) == FAST
    bucket.take(Purpose.SUSPICION, 0)
    wanted = Pace(3, purpose)
    assert bucket.bound(wanted, 0, 30, 3) == wanted


def test_an_empty_bucket_makes_nothing_faster() -> None:
    wanted = Pace(20, Purpose.RECOVERY)
    assert empty().bound(wanted, 0, 30, 3) == wanted
    assert empty().bound(FAST, 0, 10, 3) == Pace(10, Purpose.SUSPICION)


def test_lasting_noise_costs_at_most_265_canaries_an_hour() -> None:
    bucket, now_s, sent = empty(), 0.0, 0
    while now_s < 3600:
        now_s += bucket.bound(FAST, now_s, 30, 3).interval_s
        bucket.take(Purpose.SUSPICION, now_s)
        sent += 1
    assert sent <= 265


@pytest.mark.parametrize(
    ("purpose", "flying", "allowed"),
    [
        (Need(), 0, True),
        (Need(), 1, False),
        (Need(suspect_for_s=1), 3, True),
        (Need(suspect_for_s=1), 4, False),
        (Need(proving=True), 3, True),
        (Need(latched=True, score=3), 1, False),
    ],
)
def test_only_suspicion_and_proof_overlap_their_canaries(
    purpose: Need, flying: int, allowed: bool
) -> None:
    rhythm = Rhythm(30, 3, 0)
    rhythm.adjust([purpose], 0)
    rhythm.flying = flying
    assert rhythm.may_launch() is allowed


def test_a_new_pace_counts_from_the_last_start_and_never_waits_for_the_past() -> None:
    rhythm = Rhythm(30, 3, 0)
    rhythm.launched(Purpose.BASE, 10)
    assert rhythm.adjust([Need()], 11) is None
    assert rhythm.adjust([Need(suspect_for_s=0)], 11) == 13
    assert rhythm.adjust([Need()], 12) == 40
    assert rhythm.adjust([Need(suspect_for_s=0)], 25) == 25


def test_a_silent_timer_is_set_anew() -> None:
    rhythm = Rhythm(30, 3, 0)
    rhythm.launched(Purpose.BASE, 10)
    assert rhythm.adjust([Need()], 71) is None
    assert rhythm.adjust([Need()], 71.1) == 71.1
    assert rhythm.adjust([Need()], 72) is None


def test_a_pace_is_slowed_to_what_the_budget_can_pay() -> None:
    def afford(wanted: Pace) -> Pace:
        return Pace(4 * wanted.interval_s, wanted.purpose)

    rhythm = Rhythm(30, 3, 0)
    rhythm.adjust([Need()], 0, afford)
    assert rhythm.pace == Pace(120, Purpose.BASE)
    rhythm.adjust([Need(suspect_for_s=0)], 0, afford)
    assert rhythm.pace == Pace(12, Purpose.SUSPICION)


def test_one_canary_an_interval_counts_at_the_base_rate() -> None:
    rhythm = Rhythm(30, 3, 0)
    counted = [rhythm.launched(Purpose.SUSPICION, number * 3.0) for number in range(21)]
    assert [number for number, base in enumerate(counted) if base] == [0, 10, 20]


# -- several vantages -----------------------------------------------------------------------


def test_three_that_share_take_turns_one_interval_apart() -> None:
    """By the wall clock, which all have: whenever each of them asks."""
    asked = ((0, 100.0), (1, 100.5), (2, 145.0))
    turns = [now + RateShare(3, place).next_s(now, 30) for place, now in asked]
    assert turns == [180, 120, 150]


def test_only_the_base_rate_is_shared() -> None:
    rhythm = Rhythm(30, 3, 0.0)
    rhythm.share = RateShare(3, 1)
    assert rhythm.adjust([Need()], 1.0) == 90
    assert rhythm.pace == Pace(90, Purpose.BASE)
    assert rhythm.turn_s(1.0, now=10.0) == 1 + 20
    rhythm.adjust([Need(suspect_for_s=0)], 2.0)
    assert rhythm.pace == Pace(3, Purpose.SUSPICION)
    assert rhythm.turn_s(2.0, now=11.0) is None
    rhythm.adjust([Need(latched=True)], 2.0)
    assert rhythm.pace == Pace(15, Purpose.RECOVERY)


def test_a_turn_that_others_keep_moving_comes_all_the_same() -> None:
    rhythm = Rhythm(30, 3, 0.0)
    rhythm.share = RateShare(3, 1)
    rhythm.adjust([Need()], 1.0)
    assert rhythm.turn_s(170.0, now=31.0) == 180
    assert rhythm.turn_s(200.0, now=31.0) == 200


def test_a_budget_that_slows_further_than_the_share_is_obeyed() -> None:
    rhythm = Rhythm(30, 3, 0.0)
    rhythm.share = RateShare(2, 0)
    rhythm.adjust([Need()], 1.0, lambda _: Pace(100, Purpose.BASE))
    assert rhythm.pace.interval_s == 100
    rhythm.adjust([Need()], 1.0, lambda _: Pace(30, Purpose.BASE))
    assert rhythm.pace.interval_s == 60
