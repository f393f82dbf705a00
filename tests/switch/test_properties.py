"""The invariants of decide(), over views nobody would think of."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from switch.control.decide import LONG_HEALTHY, OUTAGE, Action, Decision, decide
from switch.control.target import CLEARLY_BETTER, Counts, Policy, ProviderView, View, better_by
from switch.flag import Flag, Health, Mode, Op
from tests.switch.switch_views import HOUR, MINUTE, NOW, flipped, pin

NAMES = ("a", "b", "c")
KINDS = ("availability", "ttft", "quality", "auth", "quota_exhausted")
UNFIT = (Health.BREACHED, Health.INELIGIBLE)

bounded = settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.filter_too_much],
)


def some(chance: Random, *things: str) -> frozenset[str]:
    return frozenset(thing for thing in things if chance.random() < 0.4)


def a_provider(chance: Random, name: str) -> ProviderView:
    return ProviderView(
        name,
        chance.choice([*Health, Health.OK, Health.BREACHED]),
        why="so it is",
        breached=some(chance, *KINDS),
        proven=chance.random() < 0.5,
        recent_bad=chance.random() < 0.3,
        proof="4 of 4",
        failed_ago_s=chance.choice((3.0, 900.0)),
        recovering_for_s=chance.choice((30.0, 300.0)),
        good_for_s=chance.choice((0.0, 30.0, 300.0)),
        lately=Counts(chance.choice((0, 4, 65)), chance.choice((0, 0, 4, 40))),
        good_in_a_row=chance.choice((0, 4, 19, 20, 90)),
        residency=some(chance, "eu", "us"),
        domains=some(chance, "x", "y"),
        cost_usd=chance.choice((0.0, 1.0, 2.0)),
        latency_s=chance.choice((None, 0.5, 1.0, 3.0)),
        quality=chance.choice((None, 0.5, 1.0)),
    )


def a_policy(seed: int) -> Policy:
    chance = Random(seed)
    return Policy(
        flip_on=some(chance, *KINDS) | {"availability"},
        residency=some(chance, "eu", "us") if chance.random() < 0.5 else frozenset(),
        failback=chance.choice(("manual", "auto")),
        prefer=chance.choice(("order", "cost", "latency", "quality")),
    )


def a_view(seed: int) -> View:
    chance = Random(seed)
    names = chance.sample(NAMES, chance.choice((0, 1, 2, 3, 3, 3)))
    primary = chance.choice((*names, *names, *NAMES, "gone", ""))
    seen = Flag("chat", primary, 100, "d1",
                changed_at=NOW - chance.choice((NOW, HOUR, MINUTE, -MINUTE)))  # fmt: skip
    flips = [
        flipped(NOW - chance.choice((2 * HOUR, 10 * MINUTE, MINUTE)), chance.choice(NAMES),
                chance.choice(NAMES), chance.choice([*Op]))
        for _ in range(chance.randrange(4))
    ]  # fmt: skip
    return View(
        route="chat",
        now_ms=NOW,
        mode=chance.choice([*Mode]),
        providers=tuple(a_provider(chance, name) for name in names),
        flag=seen if primary else None,
        pin=pin(chance.choice((*NAMES, "gone"))) if chance.random() < 0.4 else None,
        redis_readable=chance.random() < 0.9,
        leader=chance.random() < 0.9,
        quorum=chance.random() < 0.9,
        paused=chance.random() < 0.1,
        holding="blind" if chance.random() < 0.1 else "",
        sql_up=chance.random() < 0.8,
        quiet=chance.random() < 0.2,
        flips=tuple(sorted(flips, key=lambda flip: flip.at_ms)),
        frozen_until=chance.choice((0, 0, NOW - 1, NOW + HOUR)),
        leaving_for_ms=chance.choice((0, 30_001)),
    )


# One number makes a whole view: building it field by field would take ten times as long.
SEEDS = st.integers(0, 2**48)
VIEWS = SEEDS.map(a_view)
POLICIES = SEEDS.map(a_policy)
# Nothing stands against a flip but what the test itself varies.
FREE = VIEWS.map(
    lambda view: replace(
        view, mode=Mode.AUTO, redis_readable=True, leader=True, quorum=True, paused=False,
        holding="",
    )
)  # fmt: skip
WRITES = (Action.FLIP, Action.SEED)


def moves(decision: Decision) -> bool:
    return decision.action in WRITES


@bounded
@given(VIEWS, POLICIES)
def test_every_view_gets_a_decision_with_a_sentence(view: View, policy: Policy) -> None:
    decision = decide(view, policy)
    assert decision.reason
    assert "  " not in decision.reason
    assert (decision.kind != "") or decision.action is not Action.FLIP
    assert decision.target or decision.action is Action.HOLD


@bounded
@given(FREE, POLICIES)
def test_unknown_never_flips(view: View, policy: Policy) -> None:
    assume(view.flag is not None)
    assert view.flag is not None
    allowed = policy.residency or frozenset({"eu"})
    primary = replace(
        view.providers[0] if view.providers else ProviderView("a", Health.UNKNOWN),
        health=Health.UNKNOWN,
        residency=allowed,
    )
    view = replace(
        view,
        pin=None,
        providers=(primary, *view.providers[1:]),
        flag=replace(view.flag, provider=primary.name),
    )
    decision = decide(view, policy)
    assert (decision.action, decision.alarm) == (Action.HOLD, None)


@bounded
@given(VIEWS, POLICIES)
def test_a_pin_is_never_overridden(view: View, policy: Policy) -> None:
    assume(view.pin is not None and view.flag is not None)
    assert view.pin is not None
    assert view.flag is not None
    decision = decide(view, policy)
    assert decision.action in (Action.HOLD, Action.FLIP)
    if decision.action is Action.FLIP:
        assert (decision.target, decision.kind) == (view.pin.provider, "pin")
        assert view.flag.provider != view.pin.provider


@bounded
@given(FREE, POLICIES)
def test_a_target_is_configured_allowed_fit_and_proven(view: View, policy: Policy) -> None:
    decision = decide(view, policy)
    assume(decision.action is not Action.HOLD)
    assert decision.target != (view.flag.provider if view.flag else "")
    target = view.provider(decision.target)
    assert target is not None
    if policy.residency:
        assert target.residency
        assert target.residency <= policy.residency
    if decision.kind != "pin":
        assert target.health not in UNFIT
        assert target.proven or not moves(decision)
        assert not target.proven or moves(decision) or decision.kind == "last_resort"


@bounded
@given(FREE, POLICIES)
def test_only_the_last_resort_is_recovering_and_only_out_of_an_outage(
    view: View, policy: Policy
) -> None:
    """Never onto a breached one, for slowness, or past a healthy one; and clearly better."""
    decision = decide(view, policy)
    target = view.provider(decision.target)
    assume(target is not None and decision.kind != "pin" and moves(decision))
    assert target is not None
    assert (decision.kind == "last_resort") is (target.health is Health.RECOVERING)
    if decision.kind != "last_resort":
        return
    assert view.flag is not None
    primary = view.provider(view.flag.provider)
    assert primary is not None
    assert primary.health in (Health.BREACHED, Health.INELIGIBLE)
    assert primary.breached & policy.flip_on & OUTAGE
    assert primary.failed_ago_s < target.good_for_s
    assert better_by(target.lately, primary.lately) >= CLEARLY_BETTER
    healthy = (
        p
        for p in view.providers
        if p.name != primary.name
        and p.health in (Health.OK, Health.SUSPECT, Health.UNKNOWN)
        and (not policy.residency or (p.residency and p.residency <= policy.residency))
    )
    assert all(p.doubtful for p in healthy), "it was the last one"


@bounded
@given(FREE, POLICIES, st.sampled_from(UNFIT))
def test_when_all_others_are_bad_the_flag_stays(view: View, policy: Policy, health: Health) -> None:
    flag = view.flag
    view = replace(
        view,
        pin=None,
        providers=tuple(
            p if flag and p.name == flag.provider else replace(p, health=health)
            for p in view.providers
        ),
    )
    assert decide(view, policy).action is Action.HOLD


@bounded
@given(
    VIEWS,
    POLICIES,
    st.sampled_from(
        (
            {"holding": "blind"},
            {"redis_readable": False},
            {"leader": False, "mode": Mode.AUTO},
            {"leader": False, "mode": Mode.PROPOSE},
            {"paused": True, "mode": Mode.AUTO},
            {"paused": True, "mode": Mode.PROPOSE},
        )
    ),
)
def test_nothing_is_written_while_held(view: View, policy: Policy, hold: dict[str, Any]) -> None:
    assert decide(replace(view, **hold), policy).action is Action.HOLD


@bounded
@given(
    VIEWS.filter(lambda view: view.flag is not None),
    POLICIES,
    st.sampled_from(({"quorum": False}, {"mode": Mode.PROPOSE})),
)
def test_without_a_quorum_or_only_proposing_nothing_but_a_pin_moves_the_flag(
    view: View, policy: Policy, hold: dict[str, Any]
) -> None:
    decision = decide(replace(view, **hold), policy)
    assert not moves(decision) or decision.kind == "pin"


@bounded
@given(FREE.filter(lambda view: view.flag is not None), POLICIES)
def test_a_freeze_never_blocks_the_way_out_of_an_outage(view: View, policy: Policy) -> None:
    long_ago = tuple(f for f in view.flips if f.at_ms <= NOW - policy.healthy_for_ms)
    steady = tuple(replace(p, good_in_a_row=LONG_HEALTHY) for p in view.providers)
    view = replace(view, pin=None, flips=long_ago, providers=steady, frozen_until=0)
    thawed = decide(view, policy)
    assert view.flag is not None
    primary = view.provider(view.flag.provider)
    outage = primary is not None and bool(primary.breached & policy.flip_on & OUTAGE)
    assume(thawed.kind == "planned" or (thawed.kind == "failover" and outage))
    assert decide(replace(view, frozen_until=NOW + HOUR), policy) == thawed


@bounded
@given(FREE.filter(lambda view: view.flag is not None and view.pin is None), POLICIES)
def test_a_freeze_lets_through_nothing_else(view: View, policy: Policy) -> None:
    view = replace(view, frozen_until=NOW + HOUR)
    decision = decide(view, policy)
    if decision.action is not Action.FLIP or decision.kind in ("planned", "last_resort"):
        return
    assert decision.kind == "failover"
    assert view.flag is not None
    primary, target = view.provider(view.flag.provider), view.provider(decision.target)
    assert primary is not None
    assert primary.breached & OUTAGE
    assert target is not None
    assert target.good_in_a_row >= LONG_HEALTHY
    assert all(NOW - f.at_ms >= policy.healthy_for_ms for f in view.flips if f.moved)
