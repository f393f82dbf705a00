"""No loop of ours can spend past the budget, kill -9 included."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prober.config.costs import BASE_SHARE
from prober.probing.budget import BLOCKS_A_DAY, Budget
from prober.probing.pacing import Purpose

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400.0


def spend(budget: Budget, usd: float, purpose: Purpose, now: float = NOON) -> int:
    """Reserves until it is refused; gives how often it was not."""
    count = 0
    while budget.reserve("a", usd, now, purpose):
        count += 1
        assert count < 10_000
    return count


def test_base_canaries_may_use_seven_tenths_suspicion_more_and_proofs_the_rest() -> None:
    budget = Budget({"a": 1.0})
    assert spend(budget, 0.01, Purpose.BASE) == 70
    assert spend(budget, 0.01, Purpose.SUSPICION) == 25
    assert not budget.exhausted("a", 0.01, NOON)
    assert spend(budget, 0.01, Purpose.PROOF) == 5
    assert budget.exhausted("a", 0.01, NOON)
    assert budget.spent("a", NOON) == pytest.approx(1.0)


def test_suspicion_pays_from_what_is_kept_for_it_before_it_costs_base_canaries() -> None:
    budget = Budget({"a": 1.0})
    for _ in range(30):
        assert budget.reserve("a", 0.01, NOON, Purpose.SUSPICION)
    assert spend(budget, 0.01, Purpose.BASE) == 65, "all of theirs, but for the proofs' five"


def test_what_costs_nothing_is_always_allowed() -> None:
    budget = Budget({"a": 0.01})
    spend(budget, 0.001, Purpose.PROOF)
    assert budget.reserve("a", 0.0, NOON, Purpose.BASE)
    assert not budget.exhausted("a", 0.0, NOON)


def test_what_was_not_needed_goes_back_and_what_cost_more_counts_in_full() -> None:
    budget = Budget({"a": 1.0})
    held = budget.reserve("a", 0.5, NOON, Purpose.BASE)
    assert held
    budget.settle(held, 0.1)
    assert budget.spent("a", NOON) == pytest.approx(0.1)
    held = budget.reserve("a", 0.5, NOON, Purpose.BASE)
    assert held
    budget.settle(held, 0.7)
    assert budget.spent("a", NOON) == pytest.approx(0.8)


def test_each_day_has_its_own_budget_but_a_clock_set_back_gives_none() -> None:
    budget = Budget({"a": 1.0})
    spend(budget, 0.1, Purpose.PROOF)
    assert budget.spent("a", NOON - DAY_S) == pytest.approx(1.0)
    assert not budget.reserve("a", 0.1, NOON - DAY_S, Purpose.PROOF)
    assert budget.reserve("a", 0.1, NOON + DAY_S, Purpose.PROOF)
    assert budget.spent("a", NOON + DAY_S) == pytest.approx(0.1)


def test_a_canary_over_midnight_gives_nothing_back_to_the_new_day() -> None:
    budget = Budget({"a": 1.0})
    held = budget.reserve("a", 0.5, NOON, Purpose.BASE)
    assert held
    assert budget.reserve("a", 0.6, NOON + DAY_S, Purpose.BASE)
    budget.settle(held, 0.1)
    assert budget.spent("a", NOON + DAY_S) == pytest.approx(0.6)


# -- on disk -----------------------------------------------------------------------------------


def test_after_a_kill_the_block_begun_counts_as_spent(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    Budget({"a": 1.0}, path).reserve("a", 0.001, NOON, Purpose.BASE)
    again = Budget({"a": 1.0}, path)
    assert again.spent("a", NOON) == pytest.approx(1.0 / BLOCKS_A_DAY)
    assert again.spent("a", NOON + DAY_S) == 0


def test_after_an_orderly_stop_only_what_was_spent_counts(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    for _ in range(BLOCKS_A_DAY):
        budget = Budget({"a": 1.0}, path)
        assert budget.reserve("a", 0.001, NOON, Purpose.BASE)
        budget.close()
    assert Budget({"a": 1.0}, path).spent("a", NOON) == pytest.approx(0.001 * BLOCKS_A_DAY)


def test_a_canary_that_cost_more_than_reserved_is_on_disk_at_once(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    budget = Budget({"a": 1.0}, path)
    held = budget.reserve("a", 0.001, NOON, Purpose.BASE)
    assert held
    budget.settle(held, 0.4)
    assert Budget({"a": 1.0}, path).spent("a", NOON) >= 0.4


def test_each_purse_comes_back_as_itself(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    budget = Budget({"a": 1.0}, path)
    spend(budget, 0.01, Purpose.BASE)
    budget.close()
    again = Budget({"a": 1.0}, path)
    assert not again.reserve("a", 0.01, NOON, Purpose.BASE)
    assert spend(again, 0.01, Purpose.PROOF) == 30


def test_the_file_is_written_once_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = 0
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        nonlocal written
        written += 1
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    budget = Budget({"a": 1.0}, tmp_path / "budget.json")
    for _ in range(50):
        says = budget.begins_block("a", 0.001, NOON, Purpose.BASE)
        before = written
        budget.reserve("a", 0.001, NOON, Purpose.BASE)
        assert (written > before) == says, "it is said beforehand, for the disk may be slow"
    assert written in (10, 11)


def test_file_and_folder_are_forced_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: forced.append(os.fstat(file).st_ino))
    path = tmp_path / "budget.json"
    Budget({"a": 1.0}, path).reserve("a", 0.001, NOON, Purpose.BASE)
    assert forced == [path.stat().st_ino, tmp_path.stat().st_ino]


def test_a_disk_that_refuses_stops_no_canary_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    budget = Budget({"a": 1.0}, tmp_path / "not-there" / "budget.json")
    assert spend(budget, 0.01, Purpose.PROOF) == 100
    told = [r for r in caplog.records if "a restart would not know what was spent" in r.message]
    assert len(told) == 1


def test_a_disk_that_takes_writes_again_learns_of_everything(tmp_path: Path) -> None:
    path = tmp_path / "later" / "budget.json"
    budget = Budget({"a": 1.0}, path)
    for _ in range(10):
        budget.reserve("a", 0.01, NOON, Purpose.PROOF)
    path.parent.mkdir()
    budget.reserve("a", 0.01, NOON, Purpose.BASE)
    assert Budget({"a": 1.0}, path).spent("a", NOON) >= 0.11 - 1e-9


def test_threads_that_begin_blocks_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    names = ("a", "b", "c")
    limits = dict.fromkeys(names, 1.0)
    budget = Budget(limits, path)

    def run(name: str) -> float:
        truly = 0.0
        for number in range(120):
            purpose = Purpose.BASE if number % 2 else Purpose.SUSPICION
            held = budget.reserve(name, 0.004, NOON, purpose)
            if held:
                budget.settle(held, 0.003)
                truly += 0.003
            assert Budget(limits, path).spent(name, NOON) >= truly - 1e-9
        return truly

    with ThreadPoolExecutor(6) as pool:
        truly = list(pool.map(run, [*names, *names]))
    for place, name in enumerate(names):
        both = truly[place] + truly[place + 3]
        assert budget.spent(name, NOON) == pytest.approx(both)
        assert Budget(limits, path).spent(name, NOON) >= both - 1e-9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"a": 1, "b": 1}',
        '{"a": {"day": "2026-03-01"}, "b": {}}',
        '{"a": {"day": "2026-03-01", "base": "x", "urgent": 0}, "b": null}',
        '{"a": {"day": "2026-03-01", "base": NaN, "urgent": 0}, "b": []}',
        '{"a": {"day": "2026-03-01", "base": 0, "urgent": -5}, "b": {"day": 5}}',
        '{"a": {"day": "", "base": 0, "urgent": 0}, "b": {"day": "soon", "base": 0, "urgent": 0}}',
    ],
)
def test_an_unreadable_file_counts_as_most_of_the_day_and_blinds_nobody(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "budget.json"
    path.write_text(text)
    budget = Budget({"a": 1.0, "b": 2.0}, path)
    for name, limit in (("a", 1.0), ("b", 2.0)):
        assert budget.spent(name, NOON) == pytest.approx(BASE_SHARE * limit)
        assert budget.reserve(name, 0.01, NOON, Purpose.BASE)
        assert budget.spent(name, NOON + DAY_S) == 0


def test_one_torn_row_costs_the_others_nothing(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    path.write_text('{"a": {}, "b": {"day": "2026-03-01", "base": 0.6, "urgent": 0.35}}')
    budget = Budget({"a": 1.0, "b": 1.0}, path)
    assert budget.spent("b", NOON) == pytest.approx(0.95)


def test_the_file_names_the_day_and_what_is_reserved(tmp_path: Path) -> None:
    path = tmp_path / "budget.json"
    Budget({"a": 1.0}, path).reserve("a", 0.02, NOON, Purpose.BASE)
    assert json.loads(path.read_text()) == {"a": {"day": "2026-03-01", "base": 0.02, "urgent": 0}}
