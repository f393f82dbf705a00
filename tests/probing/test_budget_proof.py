"""The sum that was really sent never passes the day's limit, whatever happens between."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from prober.config.costs import BASE_SHARE
from prober.probing.budget import Budget, Reservation
from prober.probing.pacing import Pace, Purpose
from switch.flag import Health
from tests.support import spender
from tests.support.trackers import good, tracker

BASE, PROOF, SUSPICION = Purpose.BASE, Purpose.PROOF, Purpose.SUSPICION


# -- kill -9 -----------------------------------------------------------------------------------


def sent(folder: Path) -> dict[str, float]:
    """USD really sent, all in all and by base canaries."""
    path = folder / "sent"
    lines = path.read_text().splitlines() if path.exists() else []
    costs = [(purpose, float(cost)) for purpose, cost in (line.split() for line in lines)]
    return {
        "all": sum(cost for _, cost in costs),
        "base": sum(cost for purpose, cost in costs if purpose == BASE),
    }


def within_the_day(folder: Path) -> bool:
    usd = sent(folder)
    limit = spender.LIMIT + 1e-9
    return usd["all"] <= limit and usd["base"] <= BASE_SHARE * limit


def start(folder: Path, point: str, count: int, seed: int) -> subprocess.Popen[bytes]:
    words = [str(folder), point, str(count), str(seed)]
    return subprocess.Popen([sys.executable, spender.__file__, *words])


@pytest.mark.parametrize("point", spender.POINTS)
def test_killed_again_and_again_at_one_point_it_never_spends_past_the_day(
    tmp_path: Path, point: str
) -> None:
    kills = 0
    for seed in range(12):
        code = start(tmp_path, point, 1 + seed % 5, seed).wait(60)
        assert code in (0, -signal.SIGKILL)
        kills += code != 0
        assert within_the_day(tmp_path)
    assert kills >= 8, "it was killed, and not merely refused"
    assert start(tmp_path, "none", 0, 99).wait(60) == 0
    assert within_the_day(tmp_path)
    assert sent(tmp_path)["all"] > 0.3, "and what a kill costs the budget has bounds"


def test_killed_at_any_moment_it_never_spends_past_the_day(tmp_path: Path) -> None:
    chance = Random(4711)
    for seed in range(12):
        process = start(tmp_path, "none", 0, seed)
        before = sent(tmp_path)["all"]
        end = time.monotonic() + 20
        while sent(tmp_path)["all"] == before and process.poll() is None:
            assert time.monotonic() < end
        # The moment is chance; that it is well within the loop is not.
        while process.poll() is None and chance.random() > 0.02:
            sent(tmp_path)
        process.kill()
        process.wait()
        assert within_the_day(tmp_path)
    assert start(tmp_path, "none", 0, 99).wait(60) == 0
    assert within_the_day(tmp_path)
    assert sent(tmp_path)["all"] > 0.3


@pytest.mark.soak
def test_killed_hundreds_of_times_it_never_spends_past_the_day(tmp_path: Path) -> None:
    seed = time.time_ns() % 1_000_000  # any assertion names it
    chance = Random(seed)
    for day in range(20):
        folder = tmp_path / str(day)
        folder.mkdir()
        for _ in range(30):
            point = chance.choice(spender.POINTS)
            start(folder, point, chance.randint(1, 40), chance.randrange(10**9)).wait(60)
            assert within_the_day(folder), f"seed {seed}, day {day}"


# -- any order of events -----------------------------------------------------------------------


MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
LIMIT = 1.0


class Killed(BaseException):
    """kill -9, in the middle of a write."""


@dataclass
class Flight:
    held: Reservation
    cost: float


@dataclass
class Truth:
    """What the world knows: each canary costs what it costs once it is sent."""

    all: float = 0.0
    base: float = 0.0
    flying: list[Flight] = field(default_factory=list)


class AnyOrder(RuleBasedStateMachine):
    """One day of canaries, kills, orderly restarts, reloads and clocks that jump within it."""

    folder: Path

    @initialize()
    def begin(self) -> None:
        self.path = Path(mkdtemp(dir=self.folder)) / "budget.json"
        self.now = MIDNIGHT + 43_200
        self.truth = Truth()
        self.restart()

    def restart(self) -> None:
        self.budget = Budget({"a": LIMIT}, self.path)
        self.truth.flying.clear()

    @rule(
        purpose=st.sampled_from([*Purpose]),
        worst=st.floats(0.0005, 0.3),
        share=st.sampled_from([0.0, 0.2, 1.0]),
    )
    def send(self, purpose: Purpose, worst: float, share: float) -> None:
        held = self.budget.reserve("a", worst, self.now, purpose)
        if held is not None:
            cost = worst * share
            self.truth.all += cost
            self.truth.base += cost if purpose is BASE else 0.0
            self.truth.flying.append(Flight(held, cost))

    @rule(count=st.integers(1, 60), purpose=st.sampled_from([BASE, SUSPICION]))
    def send_many(self, count: int, purpose: Purpose) -> None:
        for _ in range(count):
            self.send(purpose, 0.01, 1.0)

    @rule(place=st.integers(0, 100))
    def settle(self, place: int) -> None:
        if self.truth.flying:
            flight = self.truth.flying.pop(place % len(self.truth.flying))
            self.budget.settle(flight.held, flight.cost)

    @rule()
    def kill(self) -> None:
        self.restart()

    @rule(worst=st.floats(0.0005, 0.3), moment=st.sampled_from(["open", "fsync", "replace"]))
    def kill_while_writing(self, worst: float, moment: str) -> None:
        """The canary being paid for was never sent."""

        def die(*args: object, **kwargs: object) -> None:
            raise Killed

        where = {"open": Path, "replace": Path}.get(moment, sys.modules["os"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, moment, die)
            try:
                held = self.budget.reserve("a", worst, self.now, PROOF)
            except Killed:
                held = None
        if held is not None:
            self.truth.all += worst
        self.restart()

    @rule()
    def stop_in_order(self) -> None:
        self.budget.close()
        self.restart()

    @rule(low=st.booleans())
    def reload(self, low: bool) -> None:
        """A smaller budget and back: what was spent stays spent."""
        if low:
            self.budget.configure({"a": LIMIT / 2})
            self.send(PROOF, 0.2, 1.0)
        self.budget.configure({"a": LIMIT})

    @rule(second=st.floats(0, 86_399))
    def clock_moves(self, second: float) -> None:
        self.now = MIDNIGHT + second

    @invariant()
    def never_past_the_limit(self) -> None:
        assert self.truth.all <= LIMIT + 1e-9
        assert self.truth.base <= BASE_SHARE * LIMIT + 1e-9

    @invariant()
    def the_budget_never_says_less_than_was_sent(self) -> None:
        assert self.budget.spent("a", self.now) >= self.truth.all - 1e-9
        assert Budget({"a": LIMIT}, self.path).spent("a", self.now) >= self.truth.all - 1e-9


def test_no_order_of_events_within_a_day_spends_past_it(tmp_path: Path) -> None:
    AnyOrder.folder = tmp_path
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            derandomize=True,
            deadline=None,
            database=None,
            max_examples=40,
            stateful_step_count=30,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


# -- slower, not blind -------------------------------------------------------------------------

# As `prober check` demands it at the least: seven tenths carry the base rate for a day.
INTERVAL_S = 30.0
WORST = LIMIT * BASE_SHARE / (86_400 / INTERVAL_S)


@dataclass
class Day:
    """A day of canaries, each at its worst cost, at the paces the budget affords."""

    sent_s: list[float] = field(default_factory=list)
    usd: float = 0.0
    base_usd: float = 0.0
    slowest_s: float = 0.0


def live(budget: Budget, wanted: Pace) -> Day:
    day, at_s = Day(), 0.0
    while at_s < 86_400:
        now = MIDNIGHT + at_s
        assert not budget.exhausted("a", WORST, now)
        pace = budget.afforded("a", WORST, now, wanted, INTERVAL_S)
        day.slowest_s = max(day.slowest_s, pace.interval_s)
        if budget.reserve("a", WORST, now, pace.purpose):
            day.sent_s.append(at_s)
            day.usd += WORST
            day.base_usd += WORST if pace.purpose is BASE else 0.0
        at_s += pace.interval_s
    return day


@pytest.mark.parametrize(
    ("wanted", "longest_s"),
    [
        (Pace(INTERVAL_S, BASE), 30),
        (Pace(15.0, Purpose.RECOVERY), 600),
        (Pace(3.0, SUSPICION), 600),
        (Pace(3.0, Purpose.WITNESS), 600),
    ],
)
def test_whatever_the_day_brings_somebody_looks_until_midnight(
    wanted: Pace, longest_s: float
) -> None:
    budget = Budget({"a": LIMIT})
    day = live(budget, wanted)
    gaps = [after - before for before, after in zip(day.sent_s, day.sent_s[1:], strict=False)]
    assert max([*gaps, 86_400 - day.sent_s[-1]]) <= longest_s
    assert day.usd <= LIMIT + 1e-9
    assert day.base_usd <= BASE_SHARE * LIMIT + 1e-9
    for _ in range(20 * 4):
        assert budget.reserve("a", WORST, MIDNIGHT + 86_399, PROOF), "twenty proofs can be paid"


def test_a_day_as_planned_is_never_slowed() -> None:
    assert live(Budget({"a": LIMIT}), Pace(INTERVAL_S, BASE)).slowest_s == INTERVAL_S


def test_near_its_end_the_budget_slows_all_but_proofs() -> None:
    budget = Budget({"a": LIMIT})
    noon = MIDNIGHT + 43_200
    base, fast = Pace(INTERVAL_S, BASE), Pace(3.0, SUSPICION)
    assert budget.afforded("a", WORST, noon, base, INTERVAL_S) == base
    budget.reserve("a", 0.65, noon, BASE)
    slow = budget.afforded("a", WORST, noon, base, INTERVAL_S)
    assert slow == Pace(210.0, BASE), "0.05 USD, 205 canaries, for twelve hours"
    assert budget.afforded("a", WORST, noon, fast, INTERVAL_S) == fast
    budget.reserve("a", 0.28, noon, SUSPICION)
    assert budget.afforded("a", WORST, noon, fast, INTERVAL_S).interval_s > 200
    proof = Pace(3.0, PROOF)
    assert budget.afforded("a", WORST, noon, proof, INTERVAL_S) == proof


def test_what_costs_nothing_is_never_slowed() -> None:
    budget = Budget({"a": LIMIT})
    budget.reserve("a", 1.0, MIDNIGHT, PROOF)
    base = Pace(INTERVAL_S, BASE)
    assert budget.afforded("a", 0.0, MIDNIGHT, base, INTERVAL_S) == base


def test_a_provider_that_is_probed_slowly_is_not_taken_for_silent() -> None:
    track = tracker()
    good(track, 4, 0)
    assert track.health(240)[0] is Health.UNKNOWN
    track.paced_s = 120.0
    assert track.health(240)[0] is Health.OK
    track.paced_s = 43_200.0
    assert track.health(3600)[0] is Health.UNKNOWN, "but hours without a canary are silence"
