"""The first rules: what stands before any look at health, and the pin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from switch.control.decide import Action, Alarm, decide
from switch.control.target import ProviderView, View, Weighed
from switch.flag import Health, Mode
from tests.switch.switch_views import (
    FAILED,
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

OUTAGE = view(bad("a"), proven("b"))
WHY = f"a breached availability: {FAILED}; b healthy, {PROOF}"


def test_the_plain_case_flips_and_says_why() -> None:
    decision = decide(OUTAGE, POLICY)
    assert (decision.action, decision.target, decision.kind) == (Action.FLIP, "b", "failover")
    assert decision.reason == WHY
    assert decision.alarm is None
    assert decision.weighed == (Weighed("b", True, f"would be taken: {PROOF}", proven=True),)


HOLDS: list[tuple[str, dict[str, Any], str, Alarm | None]] = [
    (
        "Redis cannot be read",
        {"redis_readable": False},
        "Redis cannot be read; applications keep the last provider they know",
        None,
    ),
    ("time jumped", {"holding": "time jumped"}, "time jumped", None),
    ("not leader", {"leader": False}, "another vantage holds the lease", None),
    (
        "paused",
        {"paused": True},
        f"paused by an operator; otherwise: {WHY}",
        Alarm.PAUSED_WHILE_BAD,
    ),
    (
        "no quorum",
        {"quorum": False},
        "no majority of vantages agrees",
        Alarm.NO_QUORUM,
    ),
    ("propose", {"mode": Mode.PROPOSE}, WHY, Alarm.WOULD_FAIL_OVER),
]


@pytest.mark.parametrize(("change", "reason", "alarm"), [h[1:] for h in HOLDS],
                         ids=[h[0] for h in HOLDS])  # fmt: skip
def test_an_outage_is_held_while(change: dict[str, Any], reason: str, alarm: Alarm | None) -> None:
    decision = decide(replace(OUTAGE, **change), POLICY)
    assert (decision.action, decision.reason, decision.alarm) == (Action.HOLD, reason, alarm)


@pytest.mark.parametrize("first", range(len(HOLDS) - 1))
def test_of_two_reasons_to_hold_the_earlier_rule_speaks(first: int) -> None:
    for later in HOLDS[first + 1 :]:
        decision = decide(replace(OUTAGE, **(later[1] | HOLDS[first][1])), POLICY)
        assert decision.reason.startswith(HOLDS[first][2].partition(";")[0])


@pytest.mark.parametrize("change", [{"leader": False}, {"paused": True}])
def test_observing_decides_whoever_leads_and_whatever_is_paused(change: dict[str, Any]) -> None:
    decision = decide(replace(OUTAGE, mode=Mode.OBSERVE, **change), POLICY)
    assert (decision.action, decision.target) == (Action.FLIP, "b")


@pytest.mark.parametrize("home", [proven("a"), provider("a", Health.UNKNOWN)])
def test_a_pause_that_keeps_nobody_in_trouble_is_no_news(home: ProviderView) -> None:
    away = view(home, proven("b"), primary="b", flips=(flipped(NOW - HOUR),), paused=True)
    decision = decide(away, replace(POLICY, failback="auto"))
    assert (decision.action, decision.alarm) == (Action.HOLD, None)
    assert decision.reason == "paused by an operator"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"redis_readable": False}, HOLDS[0][2]),
        ({"holding": "the last write is not settled yet"}, "the last write is not settled yet"),
        ({"leader": False}, "another vantage holds the lease"),
        ({"paused": True}, "paused by an operator"),
        ({"mode": Mode.OBSERVE, "paused": True}, "paused by an operator"),
    ],
)
def test_no_first_flag_is_set_while(change: dict[str, Any], reason: str) -> None:
    decision = decide(view(proven("a"), primary=None, **change), POLICY)
    assert (decision.action, decision.reason) == (Action.HOLD, reason)


@pytest.mark.parametrize("mode", list(Mode))
def test_without_a_flag_the_first_proven_candidate_is_set_in_every_mode(mode: Mode) -> None:
    decision = decide(view(proven("a"), proven("b"), primary=None, mode=mode), POLICY)
    assert (decision.action, decision.target) == (Action.SEED, "a")
    assert decision.reason == f"first flag: a answered its canaries ({PROOF})"


def test_observing_without_the_lease_still_sets_its_virtual_first_flag() -> None:
    decision = decide(view(proven("a"), primary=None, mode=Mode.OBSERVE, leader=False), POLICY)
    assert decision.action is Action.SEED


def test_without_a_flag_a_candidate_is_proven_first() -> None:
    decision = decide(view(provider("a"), proven("b"), primary=None), POLICY)
    assert (decision.action, decision.target) == (Action.PROVE, "a")
    assert decision.reason == "no flag yet; proving a first"


def test_without_a_flag_a_candidate_that_just_failed_waits_behind_one_that_did_not() -> None:
    doubtful = provider("a", recent_bad=True)
    decision = decide(view(doubtful, provider("b"), primary=None), POLICY)
    assert decision.target == "b"


def test_without_a_flag_and_without_a_fit_candidate_nothing_is_set() -> None:
    decision = decide(view(bad("a"), provider("b", Health.RECOVERING), primary=None), POLICY)
    assert (decision.action, decision.target) == (Action.HOLD, "")
    why = f"a is not proven: {FAILED}"
    assert decision.reason == f"no flag yet, and no candidate can be proven; {why}"
    assert [weighed.eligible for weighed in decision.weighed] == [False, False]


# -- pins --------------------------------------------------------------------------------------

PINNED = "pinned to {} by ada for 10 min more"


def test_a_pin_on_another_provider_moves_the_flag_to_it() -> None:
    decision = decide(view(proven("a"), provider("b"), pin=pin("b")), POLICY)
    assert (decision.action, decision.target, decision.kind) == (Action.FLIP, "b", "pin")
    assert decision.reason == PINNED.format("b")


def test_a_pin_without_an_owner_names_an_operator() -> None:
    decision = decide(view(proven("a"), pin=pin("a", owner="")), POLICY)
    assert decision.reason == "pinned to a by an operator for 10 min more"


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.PROPOSE])
def test_a_pin_is_obeyed_without_a_quorum_and_in_mode(mode: Mode) -> None:
    given = view(proven("a"), provider("b"), pin=pin("b"), quorum=False, mode=mode)
    assert decide(given, POLICY).action is Action.FLIP


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (view(proven("a"), pin=pin("z")), "not a candidate"),
        (
            view(proven("a", residency=frozenset({"eu"})), provider("z"), pin=pin("z")),
            "residency not declared; allowed: eu, us",
        ),
        (
            view(proven("a"), provider("z", residency=frozenset({"cn", "eu"})), pin=pin("z")),
            "residency cn, eu; allowed: eu, us",
        ),
    ],
)
def test_a_pin_on_a_provider_that_may_not_serve_is_refused(given: View, refusal: str) -> None:
    decision = decide(given, replace(POLICY, residency=frozenset({"us", "eu"})))
    assert decision.action is Action.HOLD
    assert decision.reason == f"{PINNED.format('z')}, but z is not allowed here ({refusal})"


def test_a_healthy_pinned_primary_is_held_without_a_word_more() -> None:
    decision = decide(view(proven("a"), proven("b"), pin=pin("a")), POLICY)
    assert (decision.action, decision.alarm) == (Action.HOLD, None)
    assert decision.reason == PINNED.format("a")
    assert [weighed.name for weighed in decision.weighed] == ["b"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, f"without the pin: would flip to b ({WHY})"),
        ({"mode": Mode.PROPOSE}, f"without the pin: would flip to b ({WHY})"),
        (
            {"providers": (bad("a"), bad("b"))},
            "without the pin: no candidate could take over "
            f"(a breached availability: {FAILED}; no candidate is fit)",
        ),
        (
            {"providers": (bad("a"), provider("b"))},
            "without the pin: would flip to b "
            f"(a breached availability: {FAILED}; proving b first)",
        ),
        (
            {"frozen_until": NOW + MINUTE},
            f"without the pin: would flip to b ({WHY}; frozen for 60 s after too many flips)",
        ),
        (
            {"providers": (proven("b"),)},
            "without the pin: would flip to b "
            f"(a is no longer a candidate of chat; b healthy, {PROOF})",
        ),
    ],
)
def test_a_pinned_primary_that_should_be_left_stays_and_pages(
    change: dict[str, Any], reason: str
) -> None:
    decision = decide(replace(OUTAGE, pin=pin("a"), **change), POLICY)
    assert (decision.action, decision.alarm) == (Action.HOLD, Alarm.PINNED_WHILE_BAD)
    assert decision.reason == f"{PINNED.format('a')}; {reason}"


@pytest.mark.parametrize("home", [proven("a"), provider("a")])
@pytest.mark.parametrize("failback", ["manual", "auto"])
def test_a_healthy_pinned_primary_that_could_go_home_is_not_called_bad(
    home: Any, failback: str
) -> None:
    given = view(home, proven("b"), primary="b", pin=pin("b"), flips=(flipped(NOW - HOUR),))
    decision = decide(given, replace(POLICY, failback=failback))
    assert (decision.action, decision.alarm) == (Action.HOLD, None)
    assert decision.reason == PINNED.format("b")


def test_a_pin_does_not_outrank_a_hold() -> None:
    given = view(proven("a"), proven("b"), pin=pin("b"), holding="blind", flag=flag("a"))
    assert decide(given, POLICY).reason == "blind"
