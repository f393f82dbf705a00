"""Announced maintenance and a provider's own limits: what they move, and what they hold back."""

from __future__ import annotations

from dataclasses import replace

from switch.control.decide import Action, Alarm, decide, frozen_until
from switch.control.target import Bar, Weighed
from switch.flag import Health, Mode
from tests.switch.switch_views import (
    HOUR,
    MINUTE,
    NOW,
    POLICY,
    PROOF,
    bad,
    flag,
    flipped,
    pin,
    proven,
    provider,
    view,
)

SAID = "maintenance from 02:00 Europe/Berlin"
SHORT = "b allows 500 requests a minute and chat peaks at 1,200"
AUTO = replace(POLICY, failback="auto")


def test_a_drained_primary_is_left_by_plan_before_its_maintenance() -> None:
    decision = decide(view(proven("a", maintenance=SAID, drained=True), proven("b")), POLICY)
    assert (decision.action, decision.target, decision.kind) == (Action.FLIP, "b", "planned")
    assert decision.reason == f"a is drained: {SAID}; b healthy, {PROOF}"


def test_a_drained_primary_waits_for_the_proof_of_its_target() -> None:
    given = view(proven("a", maintenance=SAID, drained=True), provider("b"))
    assert decide(given, POLICY).action is Action.PROVE


def test_a_drained_primary_without_a_target_stays_and_pages() -> None:
    decision = decide(view(proven("a", maintenance=SAID, drained=True), bad("b")), POLICY)
    assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.NO_CANDIDATE)
    assert decision.kind == "planned"


def test_a_muted_primary_is_unknown_and_so_not_down() -> None:
    muted = provider("a", Health.UNKNOWN, why=SAID, maintenance=SAID)
    decision = decide(view(muted, proven("b")), POLICY)
    assert (decision.action, decision.alarm) == (Action.HOLD, None)
    assert decision.reason == f"a is unknown ({SAID}); unknown is not down"


def test_a_drain_and_the_way_home_freeze_nothing() -> None:
    """A provider that breaks just after its maintenance is left at once."""
    drained = replace(flipped(NOW - 30 * MINUTE), evidence={"kind": "planned"})
    home = replace(flipped(NOW - 1, "b", "a"), evidence={"kind": "failback"})
    assert frozen_until([drained, home], POLICY) == 0
    assert frozen_until([replace(drained, evidence={"kind": "failover"}), home], POLICY) > NOW


def test_nobody_in_maintenance_is_a_target() -> None:
    given = view(bad("a"), proven("b", maintenance=SAID), proven("c"))
    decision = decide(given, POLICY)
    assert decision.target == "c"
    assert decision.weighed[0] == Weighed("b", False, SAID, Bar.MAINTENANCE, proven=True)


def test_nobody_goes_home_to_a_provider_about_to_be_drained() -> None:
    given = view(
        proven("a", maintenance=SAID, drained=True), proven("b"), primary="b",
        flips=(flipped(NOW - 2 * HOUR),),
    )  # fmt: skip
    assert decide(given, AUTO).action is Action.HOLD


def test_a_pin_holds_even_through_a_drain() -> None:
    given = view(proven("a", maintenance=SAID, drained=True), proven("b"), pin=pin("a"))
    decision = decide(given, POLICY)
    assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.PINNED_WHILE_BAD)


def test_a_flip_to_a_provider_with_too_small_limits_warns() -> None:
    decision = decide(view(bad("a"), proven("b", short=SHORT)), POLICY)
    assert (decision.action, decision.target) == (Action.FLIP, "b")
    assert decision.reason.endswith(f"; beware: {SHORT}")


def test_a_provider_that_carries_the_peak_is_preferred() -> None:
    decision = decide(view(bad("a"), proven("b", short=SHORT), proven("c")), POLICY)
    assert decision.target == "c"


def test_a_failback_to_a_provider_with_too_small_limits_waits() -> None:
    given = view(
        proven("a", short="a allows too little"), proven("b"), primary="b",
        flips=(flipped(NOW - 2 * HOUR),),
    )  # fmt: skip
    decision = decide(given, AUTO)
    assert decision.action is Action.HOLD
    assert "no failback yet: a allows too little" in decision.reason


def test_a_home_with_too_small_limits_does_not_hide_the_next_one() -> None:
    given = view(
        proven("a", short=SHORT.replace("b", "a", 1)), proven("b"), proven("c"), primary="c",
        flips=(flipped(NOW - HOUR, to="c"),),
    )  # fmt: skip
    decision = decide(given, AUTO)
    assert (decision.action, decision.target, decision.kind) == (Action.FLIP, "b", "failback")


def test_in_mode_propose_a_drain_is_proposed() -> None:
    given = view(
        proven("a", maintenance=SAID, drained=True), proven("b"),
        mode=Mode.PROPOSE, flag=flag("a"),
    )  # fmt: skip
    decision = decide(given, POLICY)
    assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.WOULD_FAIL_OVER)
