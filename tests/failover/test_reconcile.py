"""Recovery: what Redis shows against what is known, and what became of an open intent."""

from __future__ import annotations

from typing import Any

import pytest

from prober.failover.reconcile import KnownFlag, Repair, RepairVerdict, Settled, reconcile, settle
from switch.control.writer import Observed, PinChange
from switch.flag import Flag, Pin
from tests.support.values import flag, flip, observed, pin

BOTH = frozenset({"a", "b"})


def known(epoch: int = 5, to: str = "a", *, parent: str = "", held: Pin | None = None) -> KnownFlag:
    lineage = {f"d{number}": f"d{number - 1}" for number in range(2, epoch + 1)}
    return KnownFlag(flip(epoch, to, parent), held, lineage)


def repair(what: KnownFlag, seen: Observed, *, bad: bool = False) -> RepairVerdict:
    return reconcile(what, seen, may_serve=BOTH, known_is_bad=bad)


def test_an_empty_redis_and_no_memory_is_a_first_start() -> None:
    assert repair(KnownFlag(), observed()) == RepairVerdict(Repair.NOTHING, "no flag yet")


@pytest.mark.parametrize("bad", [False, True])
def test_an_empty_redis_gets_back_what_was_committed_last(bad: bool) -> None:
    verdict = repair(known(5, "b"), observed(), bad=bad)
    assert (verdict.repair, verdict.provider, verdict.floor) == (Repair.SEED, "b", 5)
    assert verdict.pin == PinChange(None), "an older pin must not come back with it"
    assert "came back empty" in verdict.reason


@pytest.mark.parametrize(("until_ms", "back"), [(10_001, True), (10_000, False), (1, False)])
def test_a_pin_comes_back_with_it_while_it_lives(until_ms: int, back: bool) -> None:
    held = pin(until_ms)
    assert repair(known(held=held), observed()).pin == PinChange(held if back else None)


def test_a_flag_that_nobody_here_knows_is_adopted() -> None:
    verdict = repair(KnownFlag(), observed(flag(7, "b")))
    assert (verdict.repair, verdict.reason) == (
        Repair.ADOPT,
        "the flag was there before this daemon",
    )


@pytest.mark.parametrize("bad", [False, True])
def test_a_newer_flag_is_adopted(bad: bool) -> None:
    assert repair(known(5), observed(flag(6, "b")), bad=bad).repair is Repair.ADOPT


@pytest.mark.parametrize("older", [4, 3, 1])
def test_an_older_flag_that_ours_came_from_is_repaired_to_ours(older: int) -> None:
    held = pin()
    verdict = repair(known(5, "b", held=held), observed(flag(older, "a")))
    assert (verdict.repair, verdict.provider, verdict.floor) == (Repair.REPAIR, "b", 5)
    assert verdict.pin == PinChange(held)
    assert "lost the last write" in verdict.reason


def test_unless_ours_is_in_breach_then_its_own_provider_stays_above_our_epoch() -> None:
    verdict = repair(known(5, "b", held=pin()), observed(flag(4, "a")), bad=True)
    assert (verdict.repair, verdict.provider, verdict.floor) == (Repair.REPAIR, "a", 5)
    assert verdict.pin is None


@pytest.mark.parametrize("shown", [flag(4, "a", decision_id="x"), flag(5, "a", decision_id="x")])
def test_an_older_or_equal_flag_of_another_line_keeps_its_own_provider(shown: Flag) -> None:
    verdict = repair(known(5, "b"), observed(shown))
    assert (verdict.repair, verdict.provider, verdict.floor) == (Repair.REPAIR, "a", 5)
    assert "older than the last one we know" in verdict.reason


def test_a_line_with_a_gap_or_a_ring_is_no_descent() -> None:
    gap = KnownFlag(flip(5, parent="d4"), None, {"d4": "lost"})
    ring = KnownFlag(flip(5, parent="d4"), None, {"d4": "d3", "d3": "d4"})
    assert not gap.descends_from("d2")
    assert not ring.descends_from("d2")
    assert not KnownFlag().descends_from("d2")
    assert known(5).descends_from("d1")
    assert not known(5).descends_from("d5")


def test_what_is_as_known_needs_nothing() -> None:
    assert repair(known(5, "a"), observed(flag(5, "a"))) == RepairVerdict(Repair.NOTHING)


@pytest.mark.parametrize(
    ("primary", "expected", "provider", "words"),
    [
        ("b", Repair.ADOPT_BY_HAND, "b", "somebody set the flag to b by hand"),
        ("zzz", Repair.PUT_BACK, "a", "the primary key names 'zzz', which may not serve here"),
        (None, Repair.PUT_BACK, "a", "the primary key was deleted"),
        ("", Repair.PUT_BACK, "a", "the primary key was deleted"),
    ],
)
def test_a_primary_key_that_differs_was_written_by_hand(
    primary: str | None, expected: Repair, provider: str, words: str
) -> None:
    verdict = repair(known(5, "a"), observed(flag(5, "a"), primary=primary))
    assert (verdict.repair, verdict.provider, verdict.reason) == (expected, provider, words)


# -- what became of an intent ----------------------------------------------------------------------

INTENT = {
    "decision_id": "mine",
    "expected_decision_id": "d4",
    "deadline_ms": 9_000,
    "replication_id": "r1",
}


def settled(seen: Observed, **changes: Any) -> Settled:
    return settle({**INTENT, **changes}, seen)


def test_an_intent_in_the_state_is_done() -> None:
    assert settled(observed(flag(5, decision_id="mine"), time_ms=1)) is Settled.DONE


def test_an_intent_in_the_stream_is_done_though_others_came_later() -> None:
    seen = observed(flag(6), flips=(flip(5, decision_id="mine"), flip(6)))
    assert settled(seen) is Settled.DONE


@pytest.mark.parametrize(
    ("time_ms", "found"), [(8_999, "wait"), (9_000, "wait"), (9_001, "abandoned")]
)
def test_absence_says_nothing_before_the_deadline(time_ms: int, found: str) -> None:
    assert settled(observed(flag(4), time_ms=time_ms)) is Settled(found)


@pytest.mark.parametrize(
    ("seen", "changes", "found"),
    [
        (observed(flag(4)), {}, Settled.ABANDONED),
        (observed(flag(6), flips=(flip(4), flip(6))), {}, Settled.ABANDONED),
        (observed(flag(6)), {}, Settled.UNRESOLVED),
        (observed(flag(4), replication_id="r2"), {}, Settled.UNRESOLVED),
        (observed(), {}, Settled.UNRESOLVED),
        (observed(), {"expected_decision_id": ""}, Settled.ABANDONED),
        (observed(replication_id="r2"), {"expected_decision_id": ""}, Settled.UNRESOLVED),
        (observed(replication_id="r2", time_ms=1), {}, Settled.WAIT),
    ],
)
def test_absence_is_proof_only_on_the_same_history_with_the_parent_still_there(
    seen: Observed, changes: dict[str, Any], found: Settled
) -> None:
    assert settled(seen, **changes) is found
