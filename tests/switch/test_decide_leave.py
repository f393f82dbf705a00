"""When a primary must be left, where to, and what stands against it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from switch.control.decide import Action, Alarm, decide
from switch.control.target import Bar, ProviderView, Weighed
from switch.flag import Health, Mode, Op
from tests.switch.switch_views import (
    FAILED,
    HOUR,
    MINUTE,
    NOW,
    POLICY,
    PROOF,
    bad,
    flipped,
    proven,
    provider,
    view,
)

EU = frozenset({"eu"})
US = frozenset({"us"})


# -- planned -----------------------------------------------------------------------------------


def test_a_primary_dropped_from_the_configuration_is_left() -> None:
    decision = decide(view(proven("b"), proven("c")), POLICY)
    assert (decision.action, decision.target, decision.kind) == (Action.FLIP, "b", "planned")
    assert decision.reason == f"a is no longer a candidate of chat; b healthy, {PROOF}"


@pytest.mark.parametrize(
    ("residency", "refusal"),
    [(frozenset(), "residency not declared; allowed: eu"), (US, "residency us; allowed: eu")],
)
def test_a_primary_that_residency_forbids_is_left(residency: frozenset[str], refusal: str) -> None:
    given = view(proven("a", residency=residency), proven("b", residency=EU))
    decision = decide(given, replace(POLICY, residency=EU))
    assert (decision.action, decision.target, decision.kind) == (Action.FLIP, "b", "planned")
    assert decision.reason == f"a is not allowed here ({refusal}); b healthy, {PROOF}"


def test_a_planned_move_obeys_residency_too() -> None:
    given = view(proven("a", residency=US), proven("b"), proven("c", residency=EU | US))
    decision = decide(given, replace(POLICY, residency=EU))
    assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.NO_CANDIDATE)
    assert decision.weighed == (
        Weighed(
            "b",
            False,
            "not allowed: residency not declared; allowed: eu",
            Bar.RESIDENCY,
            proven=True,
        ),
        Weighed(
            "c", False, "not allowed: residency eu, us; allowed: eu", Bar.RESIDENCY, proven=True
        ),
    )


@pytest.mark.parametrize("health", list(Health))
def test_a_forbidden_primary_is_left_whatever_its_health(health: Health) -> None:
    given = view(provider("a", health), proven("b", residency=EU))
    decision = decide(given, replace(POLICY, residency=EU))
    assert (decision.action, decision.kind) == (Action.FLIP, "planned")


def test_a_planned_move_proves_its_target_first() -> None:
    decision = decide(view(provider("b")), POLICY)
    assert (decision.action, decision.target, decision.kind) == (Action.PROVE, "b", "planned")
    assert decision.reason == "a is no longer a candidate of chat; proving b first"


def test_a_planned_move_without_a_target_stays_and_pages() -> None:
    decision = decide(view(bad("b")), POLICY)
    assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.NO_CANDIDATE)
    assert decision.reason == "a is no longer a candidate of chat; no candidate is fit"


def test_a_planned_move_is_not_held_by_a_freeze() -> None:
    assert decide(view(proven("b"), frozen_until=NOW + HOUR), POLICY).action is Action.FLIP


def test_a_planned_move_is_only_proposed_in_mode_propose() -> None:
    decision = decide(view(proven("b"), mode=Mode.PROPOSE), POLICY)
    assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.WOULD_FAIL_OVER)


# -- which health is left ----------------------------------------------------------------------


@pytest.mark.parametrize("health", [Health.OK, Health.SUSPECT, Health.RECOVERING, Health.UNKNOWN])
@pytest.mark.parametrize("kinds", [frozenset[str](), frozenset({"availability"})])
def test_only_a_breach_or_ineligibility_is_left(health: Health, kinds: frozenset[str]) -> None:
    given = view(provider("a", health, breached=kinds), proven("b"))
    decision = decide(given, POLICY)
    assert (decision.action, decision.target, decision.alarm) == (Action.HOLD, "", None)


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("", "a is unknown; unknown is not down"),
        ("no samples", "a is unknown (no samples); unknown is not down"),
    ],
)
def test_unknown_never_triggers_a_flip(why: str, reason: str) -> None:
    decision = decide(view(provider("a", Health.UNKNOWN, why=why), proven("b")), POLICY)
    assert (decision.action, decision.reason) == (Action.HOLD, reason)


@pytest.mark.parametrize("health", [Health.BREACHED, Health.INELIGIBLE])
@pytest.mark.parametrize("kind", ["availability", "quota_exhausted", "auth", "model_not_found"])
def test_a_kind_that_flip_on_names_is_left(health: Health, kind: str) -> None:
    primary = provider("a", health, why="so it is", breached=frozenset({kind, "quality"}))
    decision = decide(view(primary, proven("b")), POLICY)
    assert (decision.action, decision.target) == (Action.FLIP, "b")
    trouble = f"breached {kind}" if health is Health.BREACHED else "cannot serve"
    assert decision.reason == f"a {trouble}: so it is; b healthy, {PROOF}"


@pytest.mark.parametrize("health", [Health.BREACHED, Health.INELIGIBLE])
@pytest.mark.parametrize("kinds", [frozenset[str](), frozenset({"quality"})])
def test_a_kind_that_flip_on_does_not_name_is_held(health: Health, kinds: frozenset[str]) -> None:
    primary = provider("a", health, why="so it is", breached=kinds)
    decision = decide(view(primary, proven("b")), POLICY)
    alarm = Alarm.BREACH_STAYS if health is Health.BREACHED else None
    assert (decision.action, decision.target, decision.alarm) == (Action.HOLD, "", alarm)
    assert decision.reason == f"a is {health} (so it is), which flip_on does not name"
    assert decision.weighed == (Weighed("b", True, f"would be taken: {PROOF}", proven=True),)


def test_the_sentence_names_every_kind_that_counts() -> None:
    decision = decide(view(bad("a", "ttft", "availability"), proven("b")), POLICY)
    assert decision.reason.startswith("a breached availability, ttft: ")


# -- the target --------------------------------------------------------------------------------


BARS = {Health.BREACHED: Bar.BREACH, Health.INELIGIBLE: Bar.ACCOUNT}


@pytest.mark.parametrize("health", BARS)
def test_when_every_candidate_is_bad_the_flag_stays(health: Health) -> None:
    target = provider("b", health, why="it too", proven=True, proof=PROOF)
    decision = decide(view(bad("a"), target), POLICY)
    assert (decision.action, decision.target) == (Action.HOLD, "")
    assert decision.alarm is Alarm.NO_CANDIDATE
    assert decision.reason == f"a breached availability: {FAILED}; no candidate is fit"
    (one,) = decision.weighed
    assert (one.eligible, one.why, one.bar) == (False, f"{health}: it too", BARS[health])


def test_a_route_with_one_candidate_has_nowhere_to_go() -> None:
    decision = decide(view(bad("a")), POLICY)
    assert (decision.alarm, decision.weighed) == (Alarm.NO_CANDIDATE, ())


@pytest.mark.parametrize("health", [Health.OK, Health.SUSPECT, Health.UNKNOWN])
def test_an_unproven_target_is_proven_first(health: Health) -> None:
    decision = decide(view(bad("a"), provider("b", health)), POLICY)
    assert (decision.action, decision.target, decision.alarm) == (Action.PROVE, "b", None)
    assert decision.kind == "failover"
    assert decision.reason == f"a breached availability: {FAILED}; proving b first"


@pytest.mark.parametrize(
    ("leaving_ms", "alarm"), [(0, None), (30_000, None), (30_001, Alarm.NO_CANDIDATE)]
)
def test_a_proof_that_does_not_end_pages_after_thirty_seconds(
    leaving_ms: int, alarm: Alarm | None
) -> None:
    decision = decide(view(bad("a"), provider("b"), leaving_for_ms=leaving_ms), POLICY)
    assert (decision.action, decision.alarm) == (Action.PROVE, alarm)


def test_a_target_without_a_described_proof_is_just_proven() -> None:
    decision = decide(view(bad("a"), proven("b", proof="")), POLICY)
    assert decision.reason.endswith("; b healthy, just proven")


def test_mode_propose_proves_but_never_flips() -> None:
    given = view(bad("a"), provider("b"), mode=Mode.PROPOSE)
    assert decide(given, POLICY).action is Action.PROVE
    decision = decide(replace(given, providers=(bad("a"), proven("b"))), POLICY)
    assert (decision.action, decision.target) == (Action.HOLD, "b")
    assert decision.alarm is Alarm.WOULD_FAIL_OVER


# -- latency -----------------------------------------------------------------------------------

LATENCY = [
    ("just thirty per cent faster", 2.0, 1.4, ""),
    ("a little less", 2.0, 1.41, "not 30 % faster: first text 1.4 s beside 2 s"),
    ("slower", 2.0, 3.0, "not 30 % faster: first text 3 s beside 2 s"),
    ("target unknown", 2.0, None, "its latency is not known yet"),
    ("primary unknown", None, 1.0, "its latency is not known yet"),
]


@pytest.mark.parametrize(("mine", "other", "refusal"), [c[1:] for c in LATENCY],
                         ids=[c[0] for c in LATENCY])  # fmt: skip
@pytest.mark.parametrize("kind", ["ttft", "total", "tokens_per_s"])
def test_a_slow_primary_is_left_only_for_a_clearly_faster_one(
    kind: str, mine: float | None, other: float | None, refusal: str
) -> None:
    policy = replace(POLICY, flip_on=POLICY.flip_on | {kind})
    decision = decide(view(bad("a", kind, latency_s=mine), proven("b", latency_s=other)), policy)
    if refusal:
        assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.NO_CANDIDATE)
        assert decision.weighed == (Weighed("b", False, refusal, Bar.SLOW, proven=True),)
    else:
        assert (decision.action, decision.target) == (Action.FLIP, "b")


@pytest.mark.parametrize("kinds", [("availability", "ttft"), ("quality",), ("quality", "ttft")])
def test_what_is_more_than_slow_is_left_for_a_slower_one(kinds: tuple[str, ...]) -> None:
    policy = replace(POLICY, flip_on=POLICY.flip_on | {"quality"})
    decision = decide(view(bad("a", *kinds, latency_s=1.0), proven("b", latency_s=5.0)), policy)
    assert (decision.action, decision.target) == (Action.FLIP, "b")


# -- freeze ------------------------------------------------------------------------------------

STEADY = proven("b", good_in_a_row=20, latency_s=0.5)
SHAKY = proven("b", good_in_a_row=19, latency_s=0.5)
LONG_AGO, LATELY = flipped(NOW - 10 * MINUTE), flipped(NOW - 10 * MINUTE + 1)

FREEZE: list[tuple[str, str, ProviderView, Any, Action]] = [
    ("an outage, a steady target, long ago", "availability", STEADY, LONG_AGO, Action.FLIP),
    ("an outage of the account", "auth", STEADY, LONG_AGO, Action.FLIP),
    ("never flipped at all", "availability", STEADY, None, Action.FLIP),
    ("nineteen good in a row", "availability", SHAKY, LONG_AGO, Action.HOLD),
    ("too soon after the last flip", "availability", STEADY, LATELY, Action.HOLD),
    ("only slow", "ttft", STEADY, LONG_AGO, Action.HOLD),
]


@pytest.mark.parametrize(("kind", "target", "last", "action"), [c[1:] for c in FREEZE],
                         ids=[c[0] for c in FREEZE])  # fmt: skip
def test_a_freeze_holds_all_but_the_way_out_of_an_outage(
    kind: str, target: ProviderView, last: Any, action: Action
) -> None:
    given = view(
        bad("a", kind, latency_s=2.0),
        target,
        frozen_until=NOW + 30 * MINUTE,
        flips=(last,) if last else (),
    )
    decision = decide(given, POLICY)
    assert (decision.action, decision.target) == (action, "b")
    why = f"a breached {kind}: {FAILED}; b healthy, {PROOF}"
    if action is Action.HOLD:
        assert decision.alarm is Alarm.FROZEN
        assert decision.reason == f"{why}; frozen for 30 min after too many flips"
    else:
        assert decision.reason == why


def test_an_outage_that_is_slow_too_is_an_outage_for_the_freeze() -> None:
    given = view(
        bad("a", "availability", "ttft", latency_s=2.0), STEADY, frozen_until=NOW + HOUR,
        flips=(LONG_AGO,),
    )  # fmt: skip
    assert decide(given, POLICY).action is Action.FLIP


@pytest.mark.parametrize("op", [Op.AUTO, Op.MANUAL])
def test_whoever_moved_the_flag_lately_the_freeze_waits_after_it(op: Op) -> None:
    moved = flipped(NOW - MINUTE, left="c", to="a", op=op)
    given = view(bad("a"), STEADY, frozen_until=NOW + HOUR, flips=(LONG_AGO, moved))
    decision = decide(given, POLICY)
    assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.FROZEN)


def test_a_freeze_ends_at_its_moment() -> None:
    given = view(bad("a"), SHAKY, frozen_until=NOW)
    assert decide(given, POLICY).action is Action.FLIP


def test_a_pin_that_moved_nothing_is_no_flip_to_wait_after() -> None:
    stayed = flipped(NOW - 1, left="a", to="a", op=Op.MANUAL)
    given = view(bad("a"), STEADY, frozen_until=NOW + HOUR, flips=(LONG_AGO, stayed))
    assert decide(given, POLICY).action is Action.FLIP
