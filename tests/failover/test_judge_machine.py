"""Any order of canaries, operators, mishaps and reloads: what a flip rests on always holds.

The invariants are `World.check`: they stand against a second book of the canaries, not against
the trackers that decided.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from prober.sample import Outcome
from tests.support.judge_book import NAMES, Setting
from tests.support.judge_world import World

PROVIDERS = st.sampled_from(NAMES)
CANDIDATES = st.sampled_from(
    [("a", "b", "c"), ("a", "b"), ("b", "a", "c"), ("a", "b", "c", "d"), ("c", "d"), ("a",)]
)
RESIDENCIES = st.sampled_from([(), (), (), ("eu", "us"), ("eu", "us"), ("us",), ("eu",)])
OUTCOMES = st.sampled_from([*Outcome])
DOWN = st.sampled_from([Outcome.OVERLOADED, Outcome.SERVER_ERROR, Outcome.AUTH, Outcome.CONNECT])
SHARES = st.sampled_from([1.0, 1.0, 0.5, 0.3, 0.1])
# Most troubles end by themselves, or all of them together would leave nothing to flip.
LASTS = st.sampled_from([False, False, False, True])
KINDS = st.sampled_from(["normal", "normal", "consecutive", "eager"])
FAILBACKS = st.sampled_from(["auto", "auto", "manual"])
MODES = st.sampled_from(["auto", "auto", "auto", "auto", "auto", "propose", "observe"])


MISHAPS: list[tuple[str, Any]] = [
    ("readable", False),
    ("leader", False),
    ("paused", True),
    ("blind", True),
    ("sql_up", False),
    ("spent", frozenset({"a"})),
    ("spent", frozenset({"a", "b"})),
    ("shut", {"b": "no key"}),
]


class AnyOrder(RuleBasedStateMachine):
    """One route, some providers, hours and days of trouble."""

    world: World

    @initialize(
        names=CANDIDATES, residency=RESIDENCIES, mode=MODES,
        failback=FAILBACKS, prefer=st.sampled_from(["order", "cost"]),
        kind=KINDS, seed=st.integers(0, 2**32),
    )  # fmt: skip
    def begin(self, seed: int, **said: Any) -> None:
        self.world = World(Setting(**said), seed)
        self.world.passes(20)

    # -- providers and time ----------------------------------------------------------------

    @rule(name=PROVIDERS, outcome=OUTCOMES, share=SHARES, seconds=st.integers(1, 90), lasts=LASTS)
    def a_provider_changes(
        self, name: str, outcome: Outcome, share: float, seconds: int, lasts: bool
    ) -> None:
        before = self.world.regime[name]
        self.world.regime[name] = (outcome, share)
        self.world.passes(seconds)
        if not lasts:
            self.world.regime[name] = before

    @rule(outcome=DOWN, seconds=st.integers(80, 140), share=SHARES, lasts=LASTS)
    def the_primary_goes_down(
        self, outcome: Outcome, seconds: int, share: float, lasts: bool
    ) -> None:
        regime = self.world.regime
        for name in NAMES:
            if name == self.world.state.primary:
                regime[name] = (outcome, share)
            elif not lasts:
                regime[name] = (Outcome.OK, 1.0)
        self.world.passes(seconds)

    @rule(minutes=st.integers(18, 30))
    def an_outage_is_left_and_goes_by(self, minutes: int) -> None:
        self.everything_of_ours_works_again()
        self.the_primary_goes_down(Outcome.OVERLOADED, 85, 1.0, lasts=False)
        self.world.regime = dict.fromkeys(NAMES, (Outcome.OK, 1.0))
        self.world.passes(minutes * 60, step_s=3)

    @rule(outcome=DOWN, spells=st.integers(2, 4))
    def outages_follow_the_flag(self, outcome: Outcome, spells: int) -> None:
        """Whoever serves goes down, and is well again as soon as it is left."""
        self.everything_of_ours_works_again()
        for _ in range(spells):
            self.the_primary_goes_down(outcome, 85, 1.0, lasts=False)

    @rule(outcome=st.sampled_from([Outcome.OVERLOADED, Outcome.CONNECT]), lasts=LASTS)
    def everything_goes_down(self, outcome: Outcome, lasts: bool) -> None:
        self.world.regime = dict.fromkeys(NAMES, (outcome, 1.0))
        self.world.passes(70)
        if not lasts:
            self.world.regime = dict.fromkeys(NAMES, (Outcome.OK, 1.0))

    @rule(seconds=st.integers(1, 60))
    def all_is_well_again(self, seconds: int) -> None:
        self.world.regime = dict.fromkeys(NAMES, (Outcome.OK, 1.0))
        self.world.passes(seconds)

    @rule(minutes=st.integers(5, 25))
    def time_passes(self, minutes: int) -> None:
        self.world.passes(minutes * 60, step_s=3)

    @rule(seconds=st.sampled_from([5, 14, 16, 109, 120, 3_700, 90_000, 400_000]))
    def no_canary_is_sent_for(self, seconds: int) -> None:
        self.world.at_s += seconds
        self.world.look()

    @rule(seconds=st.sampled_from([4, 60, 30_000]))
    def the_machine_sleeps(self, seconds: int) -> None:
        self.world.gap(seconds)
        self.world.look()

    @rule(name=PROVIDERS, outcomes=st.lists(OUTCOMES, min_size=2, max_size=4), base=st.booleans())
    def canaries_overlap_and_end_the_other_way_round(
        self, name: str, outcomes: list[Outcome], base: bool
    ) -> None:
        world = self.world
        if name not in world.state.trackers:
            return
        started = []
        for outcome in outcomes:
            world.at_s += 0.2
            made = replace(world.sample(name, outcome, world.at_s, base), id=world.begin())
            world.state.trackers[name].started(made.id)
            started.append(made)
        world.at_s += 0.7
        # Held back by the first, which ends last: then all count in the order of their starts.
        for made in started:
            if name not in world.state.maintained:
                world.books[name].note(made)
        booked = list(world.books[name].entries)
        for made in reversed(started):
            world.land(made)
            world.books[name].entries = list(booked)
            world.look()
            booked = list(world.books[name].entries)

    @rule()
    def a_control_answers(self) -> None:
        for name in NAMES:
            self.world.witness(name, self.world.at_s)
        self.world.look()

    # -- operators ---------------------------------------------------------------------------

    @rule(name=PROVIDERS, seconds=st.sampled_from([30, 90, 900]))
    def somebody_pins(self, name: str, seconds: int) -> None:
        world = self.world
        if name in world.setting.names and world.allowed(name):
            world.at_s += 1
            world.people(name, seconds)
            world.look()

    @rule(name=PROVIDERS)
    def a_pin_stands_without_its_flip(self, name: str) -> None:
        """Of an operator whose flip was lost, or a pin that a reload has made impossible."""
        world = self.world
        if world.flag:
            world.people(world.flag.provider, 600)
            assert world.pin is not None
            world.pin = replace(world.pin, provider=name)
        world.at_s += 1
        world.look()

    @rule()
    def somebody_unpins(self) -> None:
        self.world.pin = None
        self.world.look()

    @precondition(lambda self: self.world.live_pin is None)
    @rule(name=PROVIDERS)
    def somebody_fails_over(self, name: str) -> None:
        world = self.world
        proven = name in world.state.trackers and world.state.trackers[name].proven(world.at_s)
        if proven and world.allowed(name):
            world.at_s += 1
            world.people(name, None)
            world.look()

    @rule()
    def somebody_acknowledges(self) -> None:
        self.world.state.acknowledged_ms = self.world.now_ms
        self.world.look()

    # -- reloads -----------------------------------------------------------------------------

    @rule(names=CANDIDATES, residency=RESIDENCIES)
    def a_reload_changes_who_may_serve(
        self, names: tuple[str, ...], residency: tuple[str, ...]
    ) -> None:
        self.world.reload(replace(self.world.setting, names=names, residency=residency))
        self.world.passes(10)

    @rule(mode=MODES, failback=st.sampled_from(["auto", "manual"]), kind=KINDS)
    def a_reload_changes_how_to_decide(self, mode: str, failback: str, kind: str) -> None:
        self.world.reload(replace(self.world.setting, mode=mode, failback=failback, kind=kind))
        self.world.passes(10)

    @rule(
        name=PROVIDERS, ahead=st.integers(0, 400), length=st.integers(1, 900),
        action=st.sampled_from(["drain", "mute"]),
    )  # fmt: skip
    def maintenance_is_announced(self, name: str, ahead: int, length: int, action: str) -> None:
        start = int(self.world.at_s) + ahead
        windows = ((name, start, start + length, action),)
        self.world.reload(replace(self.world.setting, windows=windows))
        self.world.passes(15)

    @rule()
    def maintenance_is_called_off(self) -> None:
        self.world.reload(replace(self.world.setting, windows=()))
        self.world.look()

    # -- mishaps -----------------------------------------------------------------------------

    @rule(what=st.sampled_from(MISHAPS), lasts=LASTS)
    def something_of_ours_fails(self, what: tuple[str, Any], lasts: bool) -> None:
        name, value = what
        before = getattr(self.world, name)
        setattr(self.world, name, value)
        self.world.passes(10)
        if not lasts:
            setattr(self.world, name, before)
        self.world.look()

    @rule()
    def redis_is_emptied(self) -> None:
        self.world.flag, self.world.flips, self.world.pin = None, (), None
        self.world.passes(3)

    @rule()
    def everything_of_ours_works_again(self) -> None:
        world = self.world
        world.readable = world.leader = world.sql_up = True
        world.paused = world.blind = False
        world.spent, world.shut, world.pin = frozenset(), {}, None
        world.passes(5)


def hunt(examples: int, steps: int, *, steady: bool) -> None:
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=steady,
            deadline=None,
            database=None,
            print_blob=True,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(300)
def test_in_any_order_of_events_a_flip_is_right() -> None:
    hunt(30, 30, steady=True)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("part", range(4))
def test_in_very_many_orders_of_events_a_flip_is_right(part: int) -> None:
    hunt(400, 60, steady=False)
