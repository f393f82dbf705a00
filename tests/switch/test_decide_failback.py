"""Going home, and the freeze that ends ping-pong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from switch.control.decide import Action, Alarm, decide, frozen_until
from switch.control.target import Policy, ProviderView, Weighed
from switch.flag import ORIGIN_OF_OP, Flip, Health, Mode, Op, Origin
from tests.switch.switch_views import (
    HOUR,
    MINUTE,
    NOW,
    POLICY,
    PROOF,
    flag,
    flipped,
    proven,
    provider,
    view,
)

AUTO = replace(POLICY, failback="auto")
AWAY = view(
    proven("a"),
    provider("b", why="0 of 40 canaries failed"),
    primary="b",
    flips=(flipped(NOW - HOUR),),
)
FINE = "b is ok: 0 of 40 canaries failed"


def test_a_healthy_home_is_returned_to_by_itself_when_told_so() -> None:
    decision = decide(AWAY, AUTO)
    assert (decision.action, decision.target, decision.kind) == (Action.FLIP, "a", "failback")
    assert decision.reason == f"a healthy again, {PROOF}; failing back"
    assert decision.weighed == (Weighed("a", True, f"would be taken: {PROOF}", proven=True),)


def test_a_home_without_a_described_proof_is_just_proven() -> None:
    decision = decide(replace(AWAY, providers=(proven("a", proof=""), provider("b"))), AUTO)
    assert decision.reason == "a healthy again, just proven; failing back"


@pytest.mark.parametrize(
    ("policy", "mode"), [(POLICY, Mode.AUTO), (POLICY, Mode.PROPOSE), (AUTO, Mode.PROPOSE)]
)
def test_a_healthy_home_waits_for_people_otherwise(policy: Policy, mode: Mode) -> None:
    decision = decide(replace(AWAY, mode=mode), policy)
    assert (decision.action, decision.target) == (Action.HOLD, "a")
    assert decision.alarm is Alarm.FAILBACK_READY
    assert decision.reason == f"{FINE}; a is healthy again, waiting for you to fail back"


def test_a_home_is_proven_before_it_serves_again() -> None:
    decision = decide(replace(AWAY, providers=(provider("a"), provider("b"))), AUTO)
    assert (decision.action, decision.target, decision.kind) == (Action.PROVE, "a", "failback")
    assert decision.reason == "a is healthy again; proving it before failing back"


WAITS: list[tuple[str, dict[str, Any], str]] = [
    ("SQL down", {"sql_up": False}, "history cannot be written"),
    ("frozen", {"frozen_until": NOW + 1}, "frozen after too many flips"),
    ("dwell", {"flag": flag("b", changed_at=NOW - 4 * MINUTE)}, "6 min of dwell left"),
    ("quiet", {"quiet": True}, "quiet hours"),
]


@pytest.mark.parametrize(("change", "waiting"), [w[1:] for w in WAITS], ids=[w[0] for w in WAITS])
@pytest.mark.parametrize("policy", [POLICY, AUTO])
def test_a_healthy_home_waits_while(change: dict[str, Any], waiting: str, policy: Policy) -> None:
    decision = decide(replace(AWAY, **change), policy)
    assert (decision.action, decision.target, decision.alarm) == (Action.HOLD, "", None)
    assert decision.reason == f"{FINE}; a is ready, no failback yet: {waiting}"


@pytest.mark.parametrize(("left_ms", "action"), [(1, Action.HOLD), (0, Action.FLIP)])
def test_the_dwell_ends_to_the_millisecond(left_ms: int, action: Action) -> None:
    since = flag("b", changed_at=NOW - POLICY.healthy_for_ms + left_ms)
    assert decide(replace(AWAY, flag=since), AUTO).action is action


def test_the_dwell_is_healthy_for() -> None:
    since = flag("b", changed_at=NOW - 10 * MINUTE)
    assert decide(replace(AWAY, flag=since), AUTO).action is Action.FLIP
    longer = replace(AUTO, healthy_for_ms=11 * MINUTE)
    assert decide(replace(AWAY, flag=since), longer).action is Action.HOLD


def test_what_people_placed_is_not_undone() -> None:
    flips = (flipped(NOW - 2 * HOUR), flipped(NOW - HOUR, op=Op.MANUAL))
    decision = decide(replace(AWAY, flips=flips, flag=flag("b", actor="ada")), AUTO)
    assert (decision.action, decision.reason) == (Action.HOLD, f"{FINE}; placed here by ada")


@pytest.mark.parametrize("op", [Op.SEED, Op.REPAIR])
def test_seeds_and_repairs_are_no_flips_and_hold_nothing(op: Op) -> None:
    written = flag("b", actor="eu-1", origin=ORIGIN_OF_OP[op])
    seeded = replace(AWAY, flips=(flipped(NOW - HOUR, op=op),), flag=written)
    assert decide(seeded, AUTO).action is Action.FLIP


@pytest.mark.parametrize("origin", [Origin.OPERATOR, Origin.BREAK_GLASS, Origin.DRILL])
def test_a_person_is_known_by_the_origin_however_they_are_called(origin: Origin) -> None:
    """Who logs in as `prober` signs like a daemon: prober@host."""
    placed = flag("b", actor="prober@eu-1", origin=origin)
    decision = decide(replace(AWAY, flips=(), flag=placed), AUTO)
    assert (decision.action, decision.reason) == (
        Action.HOLD,
        f"{FINE}; placed here by prober@eu-1",
    )


@pytest.mark.parametrize("actor", ["", "ada@desk"])
def test_a_flag_of_unknown_origin_is_not_undone(actor: str) -> None:
    decision = decide(replace(AWAY, flips=(), flag=flag("b", actor=actor)), AUTO)
    assert decision.reason == f"{FINE}; placed here by {actor or 'an operator'}"


def test_a_pin_that_moved_nothing_does_not_count_as_the_last_flip() -> None:
    stayed = flipped(NOW - 1, left="b", to="b", op=Op.MANUAL)
    assert decide(replace(AWAY, flips=(*AWAY.flips, stayed)), AUTO).action is Action.FLIP


@pytest.mark.parametrize("health", [h for h in Health if h is not Health.OK])
def test_only_a_home_that_is_ok_is_home(health: Health) -> None:
    given = replace(AWAY, providers=(provider("a", health, proven=True), provider("b")))
    decision = decide(given, AUTO)
    assert (decision.action, decision.reason) == (Action.HOLD, "b is ok")


def test_a_forbidden_home_is_no_home() -> None:
    eu = frozenset({"eu"})
    given = replace(AWAY, providers=(proven("a"), provider("b", residency=eu)))
    assert decide(given, replace(AUTO, residency=eu)).action is Action.HOLD


def test_the_first_candidate_is_at_home() -> None:
    given = view(provider("a", Health.SUSPECT, why="1 of 4"), proven("b"),
                 flips=(flipped(NOW - HOUR, "b", "a"),))  # fmt: skip
    decision = decide(given, AUTO)
    assert (decision.action, decision.reason) == (Action.HOLD, "a is suspect: 1 of 4")
    assert decision.weighed == (Weighed("b", True, f"would be taken: {PROOF}", proven=True),)


def test_of_two_homes_the_one_configured_first_wins() -> None:
    given = view(proven("a"), proven("b"), provider("c"), primary="c",
                 flips=(flipped(NOW - HOUR, "a", "c"),))  # fmt: skip
    assert decide(given, AUTO).target == "a"


HOMES = (
    proven("a", cost_usd=3.0, latency_s=0.1, quality=0.9),
    proven("b", cost_usd=2.0, latency_s=2.0, quality=0.5),
    proven("c", cost_usd=1.0, latency_s=0.2, quality=1.0),
)


@pytest.mark.parametrize(
    ("prefer", "target"), [("order", "a"), ("cost", "c"), ("latency", "a"), ("quality", "a")]
)
def test_home_is_by_order_or_cost_and_never_by_what_drifts(prefer: str, target: str) -> None:
    given = replace(AWAY, providers=HOMES)
    assert decide(given, replace(AUTO, prefer=prefer)).target == target


def test_the_cheapest_provider_is_at_home_when_cost_is_preferred() -> None:
    decision = decide(replace(AWAY, providers=HOMES, flag=flag("c")), replace(AUTO, prefer="cost"))
    assert (decision.action, decision.reason) == (Action.HOLD, "c is ok")


def test_of_two_at_the_same_cost_the_one_configured_first_is_home() -> None:
    equal = (proven("a", cost_usd=1.0), provider("b", cost_usd=1.0))
    policy = replace(AUTO, prefer="cost")
    assert decide(replace(AWAY, providers=equal), policy).target == "a"
    assert decide(replace(AWAY, providers=equal[::-1]), policy).action is Action.HOLD


def test_a_suspect_primary_may_still_go_home() -> None:
    home: tuple[ProviderView, ...] = (proven("a"), provider("b", Health.SUSPECT))
    assert decide(replace(AWAY, providers=home), AUTO).action is Action.FLIP


# -- frozen ------------------------------------------------------------------------------------

UNTIL = NOW + 2 * HOUR


@pytest.mark.parametrize(
    ("flips", "until"),
    [
        ((), 0),
        ((flipped(NOW),), 0),
        ((flipped(NOW - HOUR), flipped(NOW)), UNTIL),
        ((flipped(NOW - HOUR - 1), flipped(NOW)), 0),
        ((flipped(NOW - 1), flipped(NOW, op=Op.MANUAL)), 0),
        ((flipped(NOW - 1, op=Op.SEED), flipped(NOW)), 0),
        ((flipped(NOW - 1), flipped(NOW, "b", "b")), 0),
        ((flipped(NOW - 2), flipped(NOW - 1, op=Op.MANUAL), flipped(NOW)), UNTIL),
        ((flipped(NOW - 1), flipped(NOW), flipped(NOW + 9 * HOUR)), UNTIL),
        ((flipped(NOW - 2), flipped(NOW - 1), flipped(NOW)), UNTIL),
    ],
)
def test_two_automatic_flips_in_an_hour_freeze(flips: tuple[Flip, ...], until: int) -> None:
    assert frozen_until(flips, POLICY) == until


@pytest.mark.parametrize(("most", "expected"), [(1, UNTIL), (2, UNTIL), (3, UNTIL), (4, 0)])
def test_max_flips_is_how_many_are_too_many(most: int, expected: int) -> None:
    flips = [flipped(NOW - 2), flipped(NOW - 1), flipped(NOW)]
    assert frozen_until(flips, replace(POLICY, max_flips=most)) == expected


@pytest.mark.parametrize(("acknowledged_ms", "until"), [(NOW - 2, UNTIL), (NOW - 1, 0), (NOW, 0)])
def test_only_flips_after_an_acknowledgement_can_freeze(acknowledged_ms: int, until: int) -> None:
    assert frozen_until([flipped(NOW - 1), flipped(NOW)], POLICY, acknowledged_ms) == until
