"""Out of an outage, with nobody healthy: a candidate that is recovering, once clearly better."""

from __future__ import annotations

from dataclasses import replace

import pytest

from switch.control.decide import OUTAGE, Action, Alarm, decide
from switch.control.target import CLEARLY_BETTER, Counts, ProviderView, better_by
from switch.flag import Flip, Health, Mode
from tests.switch.switch_views import (
    FAILED,
    HOUR,
    MINUTE,
    NOW,
    POLICY,
    bad,
    flipped,
    pin,
    proven,
    provider,
    view,
)

DEAD = bad("a", lately=Counts(good=0, bad=16), failed_ago_s=4.0)
BACK = replace(
    proven(
        "b",
        why="may serve in 9 min",
        lately=Counts(65, 0),
        recovering_for_s=200.0,
        good_for_s=200.0,
    ),
    health=Health.RECOVERING,
)


def test_a_recovering_candidate_is_taken_out_of_an_outage_and_the_reason_says_so() -> None:
    decision = decide(view(DEAD, BACK), POLICY)
    assert (decision.action, decision.target, decision.kind) == (Action.FLIP, "b", "last_resort")
    assert decision.reason == (
        f"a breached availability: {FAILED}; no candidate is healthy: b as a last resort, "
        "65 of 65 good since it began to recover"
    )
    assert decision.weighed[0].eligible is False, "by the ordinary rule it is none"


@pytest.mark.parametrize("kind", sorted(OUTAGE))
def test_every_kind_of_outage_is_one_for_the_last_resort(kind: str) -> None:
    primary = replace(DEAD, breached=frozenset({kind}))
    assert decide(view(primary, BACK), POLICY).kind == "last_resort"


@pytest.mark.parametrize("kind", ["ttft", "quality"])
def test_what_is_no_outage_waits_for_a_healthy_one(kind: str) -> None:
    policy = replace(POLICY, flip_on=POLICY.flip_on | {kind})
    primary = replace(DEAD, breached=frozenset({kind}))
    decision = decide(view(primary, BACK), policy)
    assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.NO_CANDIDATE)


def test_a_primary_that_must_leave_by_plan_waits_for_a_healthy_one() -> None:
    primary = proven("a", residency=frozenset({"us"}), lately=Counts(0, 16))
    allowed = replace(BACK, residency=frozenset({"eu"}))
    policy = replace(POLICY, residency=frozenset({"eu"}))
    decision = decide(view(primary, allowed), policy)
    assert (decision.action, decision.kind) == (Action.HOLD, "planned")


REFUSED = [
    ("breached", replace(BACK, health=Health.BREACHED)),
    ("ineligible", replace(BACK, health=Health.INELIGIBLE)),
    ("in maintenance", replace(BACK, maintenance="maintenance until 04:00")),
]


@pytest.mark.parametrize("other", [c[1] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_nobody_else_is_a_last_resort(other: ProviderView) -> None:
    decision = decide(view(DEAD, other), POLICY)
    assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.NO_CANDIDATE)


def test_residency_holds_for_the_last_resort_too() -> None:
    policy = replace(POLICY, residency=frozenset({"eu"}))
    primary = replace(DEAD, residency=frozenset({"eu"}))
    decision = decide(view(primary, BACK), policy)
    assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.NO_CANDIDATE)


@pytest.mark.parametrize("healthy", [proven("c"), provider("c")])
def test_a_healthy_candidate_comes_first(healthy: ProviderView) -> None:
    decision = decide(view(DEAD, BACK, healthy), POLICY)
    assert (decision.target, decision.kind) == ("c", "failover")


def test_one_that_cannot_be_proven_does_not_stand_in_the_way() -> None:
    broken = provider("c", Health.UNKNOWN, recent_bad=True)
    assert decide(view(DEAD, broken, BACK), POLICY).target == "b"


def test_of_several_the_one_that_did_best_lately_is_taken() -> None:
    worse = replace(BACK, name="c", lately=Counts(40, 20))
    assert decide(view(DEAD, worse, BACK), POLICY).target == "b"


def test_it_is_proven_first() -> None:
    decision = decide(view(DEAD, replace(BACK, proven=False)), POLICY)
    assert (decision.action, decision.target, decision.kind) == (Action.PROVE, "b", "last_resort")
    assert decision.reason.endswith("good since it began to recover: proving it first")


@pytest.mark.parametrize(
    ("leaving_ms", "back_s", "action", "alarm"),
    [
        (0, 0, Action.PROVE, None),
        (30_001, 60, Action.PROVE, Alarm.NO_CANDIDATE),
        (900_000, 600, Action.PROVE, Alarm.NO_CANDIDATE),
        (900_000, 601, Action.HOLD, Alarm.NO_CANDIDATE),
        (0, 601, Action.HOLD, Alarm.NO_CANDIDATE),
    ],
)
def test_one_that_is_not_clearly_better_is_looked_at_closely_for_ten_minutes(
    leaving_ms: int, back_s: float, action: Action, alarm: Alarm | None
) -> None:
    half = replace(DEAD, lately=Counts(20, 10))
    decision = decide(view(half, BACK, leaving_for_ms=leaving_ms), POLICY)
    assert (decision.action, decision.alarm) == (Action.FLIP, None), "30 % beside none in 65"
    shaky = replace(BACK, lately=Counts(18, 2), recovering_for_s=back_s)
    decision = decide(view(half, shaky, leaving_for_ms=leaving_ms), POLICY)
    assert (decision.action, decision.alarm) == (action, alarm)
    assert "not clearly better yet" in decision.reason


def test_what_came_back_together_stays_where_it_is() -> None:
    """Our own network was gone, or a gateway: the primary fails no more since the other is back."""
    together = replace(DEAD, failed_ago_s=201.0)
    decision = decide(view(together, BACK), POLICY)
    assert decision.action is not Action.FLIP
    assert decide(view(replace(DEAD, failed_ago_s=199.0), BACK), POLICY).action is Action.FLIP


def test_mode_propose_asks_and_a_pin_holds() -> None:
    asked = decide(view(DEAD, BACK, mode=Mode.PROPOSE), POLICY)
    assert (asked.action, asked.alarm) == (Action.HOLD, Alarm.WOULD_FAIL_OVER)
    pinned = decide(view(DEAD, BACK, pin=pin("a")), POLICY)
    assert (pinned.action, pinned.alarm) == (Action.HOLD, Alarm.PINNED_WHILE_BAD)


# -- how much better ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "nats"),
    [
        (Counts(65, 0), Counts(0, 16), 40.3),
        (Counts(65, 0), Counts(21, 9), 11.5),
        (Counts(4, 0), Counts(0, 16), 10.0),
        (Counts(20, 20), Counts(0, 40), 17.3),
        (Counts(65, 0), Counts(72, 8), 5.0),
        (Counts(28, 12), Counts(20, 20), 1.7),
    ],
)
def test_better_is_the_likelihood_of_two_shares_over_that_of_one(
    one: Counts, other: Counts, nats: float
) -> None:
    assert better_by(one, other) == pytest.approx(nats, abs=0.06)
    assert better_by(other, one) == 0.0


@pytest.mark.parametrize("counts", [Counts(), Counts(5, 0), Counts(0, 5), Counts(3, 4)])
def test_nobody_is_better_than_his_like_or_than_one_that_is_not_known(counts: Counts) -> None:
    assert better_by(counts, counts) == better_by(counts, Counts()) == 0.0
    assert better_by(Counts(), counts) == 0.0


def test_half_of_the_answers_are_better_than_none() -> None:
    """All bad, one clearly less: nobody gains by waiting with a dead one."""
    half = replace(BACK, lately=Counts(20, 20))
    assert better_by(half.lately, DEAD.lately) < CLEARLY_BETTER
    dead = replace(DEAD, lately=Counts(0, 40))
    assert decide(view(dead, half), POLICY).action is Action.FLIP


# -- freeze ------------------------------------------------------------------------------------

FROZEN_UNTIL = NOW + HOUR


def resort(at_ms: int, origin: str, to: str, kind: str = "last_resort") -> Flip:
    return replace(flipped(at_ms, origin, to), evidence={"kind": kind})


FREEZE: list[tuple[str, tuple[Flip, ...], Action]] = [
    ("two ordinary flips", (resort(NOW - 30 * MINUTE, "a", "b", "failover"),
                            resort(NOW - 20 * MINUTE, "b", "a", "failback")), Action.FLIP),
    ("it is the last resort that fails now", (resort(NOW - 30 * MINUTE, "a", "b", "failover"),
                                              resort(NOW - 20 * MINUTE, "b", "a")), Action.FLIP),
    ("a last resort was left lately", (resort(NOW - 30 * MINUTE, "a", "b"),
                                       resort(NOW - 20 * MINUTE, "b", "a")), Action.HOLD),
    ("… for a healthy one", (resort(NOW - 30 * MINUTE, "a", "b"),
                             resort(NOW - 20 * MINUTE, "b", "a", "failover")), Action.HOLD),
    ("… long ago", (resort(NOW - 90 * MINUTE, "a", "b"),
                    resort(NOW - 61 * MINUTE, "b", "a")), Action.FLIP),
    ("the flag went home from it in peace", (resort(NOW - 30 * MINUTE, "a", "b"),
                                             resort(NOW - 20 * MINUTE, "b", "a", "failback")),
     Action.FLIP),
]  # fmt: skip


@pytest.mark.parametrize(("flips", "action"), [c[1:] for c in FREEZE],
                         ids=[c[0] for c in FREEZE])  # fmt: skip
def test_a_freeze_holds_the_last_resort_only_after_one_that_failed(
    flips: tuple[Flip, ...], action: Action
) -> None:
    decision = decide(view(DEAD, BACK, flips=flips, frozen_until=FROZEN_UNTIL), POLICY)
    assert (decision.action, decision.target) == (action, "b")
    if action is Action.HOLD:
        assert decision.alarm is Alarm.FROZEN
        assert decision.reason.endswith("frozen for 60 min: the last one had to be left again")
    thawed = decide(view(DEAD, BACK, flips=flips), POLICY)
    assert thawed.action is Action.FLIP
