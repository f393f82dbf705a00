"""No loop of ours can spend past the budget, kill -9 included."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prober_values import STEADY

from prober.budget import BASE_SHARE, BLOCKS_A_DAY, Budget
from prober.pace import Purpose

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400.0


def spend(budget: Budget, usd: float, purpose: Purpose, now: float = NOON) -> int:
    """Reserves until it is refused; gives how often it was not."""
    count = 0
    while budget.reserve("a", usd, now, purpose):
        count += 1
        assert count < 10_000
    return count


def test_base_canaries_may_use_seven_tenths_and_suspicion_the_rest() -> None:
    budget = Budget({"a": 1.0})
    assert spend(budget, 0.01, Purpose.BASE) == 70
    assert not budget.exhausted("a", 0.01, NOON)
    assert spend(budget, 0.01, Purpose.PROOF) == 30
    assert budget.exhausted("a", 0.01, NOON)
    assert not budget.reserve("a", 0.01, NOON, Purpose.SUSPICION)
    assert budget.spent("a", NOON) == pytest.approx(1.0)


def test_the_budget_is_low_when_nine_tenths_of_the_base_share_are_gone() -> None:
    budget = Budget({"a": 1.0})
    budget.reserve("a", 0.62, NOON, Purpose.BASE)
    assert not budget.low("a", NOON)
    budget.reserve("a", 0.01, NOON, Purpose.BASE)
    assert budget.low("a", NOON)


def test_what_costs_nothing_is_always_allowed() -> None:
    budget = Budget({"a": 0.01})
    spend(budget, 0.001, Purpose.PROOF)
    assert budget.reserve("a", 0.0, NOON, Purpose.BASE)
    assert not budget.exhausted("a", 0.0, NOON)


def test_what_was_not_needed_goes_back() -> None:
    budget = Budget({"a": 1.0})
    budget.reserve("a", 0.5, NOON, Purpose.BASE)
    budget.settle("a", 0.5, 0.1, NOON)
    assert budget.spent("a", NOON) == pytest.approx(0.1)
    budget.settle("a", 0.5, 0.9, NOON)
    assert budget.spent("a", NOON) == pytest.approx(0.5), "what cost more counts in full"
    budget.settle("a", 5, 0, NOON)
    assert budget.spent("a", NOON) == 0


def test_each_day_has_its_own_budget_but_a_clock_set_back_gives_none() -> None:
    budget = Budget({"a": 1.0})
    spend(budget, 0.1, Purpose.PROOF)
    assert budget.spent("a", NOON - DAY_S) == pytest.approx(1.0)
    assert not budget.reserve("a", 0.1, NOON - DAY_S, Purpose.PROOF)
    assert budget.reserve("a", 0.1, NOON + DAY_S, Purpose.PROOF)
    assert budget.spent("a", NOON + DAY_S) == pytest.approx(0.1)


def test_a_canary_over_midnight_is_settled_to_nothing() -> None:
    budget = Budget({"a": 1.0})
    budget.reserve("a", 0.5, NOON, Purpose.BASE)
    budget.settle("a", 0.5, 0.1, NOON + DAY_S)
    assert budget.spent("a", NOON + DAY_S) == 0


def test_after_a_kill_the_block_begun_counts_as_spent(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    Budget({"a": 1.0}, path).reserve("a", 0.001, NOON, Purpose.BASE)
    again = Budget({"a": 1.0}, path)
    assert again.spent("a", NOON) == pytest.approx(1.0 / BLOCKS_A_DAY)
    assert again.spent("a", NOON + DAY_S) == 0


def test_the_file_is_written_once_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    real = os.fsync

    def fsync(file: int) -> None:
        nonlocal written
        written += 1
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    budget = Budget({"a": 1.0}, tmp_path / "budget.json")
    for _ in range(50):
        budget.reserve("a", 0.001, NOON, Purpose.BASE)
    assert written in (10, 11)


def test_a_disk_that_refuses_stops_no_canary(tmp_path: Path) -> None:
    budget = Budget({"a": 1.0}, tmp_path / "not-there" / "budget.json")
    assert spend(budget, 0.01, Purpose.PROOF) == 100


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"a": 1}',
        '{"a": {"day": "2026-03-01"}}',
        '{"a": {"day": "2026-03-01", "reserved": "x"}}',
        '{"a": {"day": "2026-03-01", "reserved": NaN}}',
        '{"a": {"day": "2026-03-01", "reserved": -5}}',
    ],
)
def test_an_unreadable_file_counts_as_the_base_share_spent(tmp_path: Path, text: str) -> None:
    path = tmp_path / "budget.json"
    path.write_text(text)
    now = datetime.now(UTC).timestamp()
    budget = Budget({"a": 1.0, "b": 2.0}, path)
    for name, limit in (("a", 1.0), ("b", 2.0)):
        assert budget.spent(name, now) >= BASE_SHARE * limit


def test_the_file_names_the_day_and_what_is_reserved(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    Budget({"a": 1.0}, path).reserve("a", 0.02, NOON, Purpose.BASE)
    assert json.loads(path.read_text()) == {"a": {"day": "2026-03-01", "reserved": 0.02}}


STEPS = st.lists(
    st.tuples(
        st.sampled_from([Purpose.BASE, Purpose.SUSPICION, Purpose.PROOF]),
        st.floats(0.001, 0.3),
        st.floats(0, 1),
        st.booleans(),
    ),
    max_size=40,
)


@STEADY
@given(STEPS)
def test_no_order_of_canaries_and_kills_spends_past_the_day(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Purpose, float, float, bool]]
) -> None:
    path = tmp_path_factory.mktemp("budget") / "budget.json"
    budget, truly = Budget({"a": 1.0}, path), 0.0
    for purpose, worst, share, killed in steps:
        if budget.reserve("a", worst, NOON, purpose):
            truly += worst * share
            if not killed:
                budget.settle("a", worst, worst * share, NOON)
        if killed:
            budget = Budget({"a": 1.0}, path)
        assert truly <= 1.0 + 1e-9
        assert budget.spent("a", NOON) >= truly - 1e-9
