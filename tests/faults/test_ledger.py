"""The check of the log finds each kind of lie; without that it would prove nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.ledger import Ledger, Line, faults, load


def line(kind: str, who: str = "eu-1", **fields: Any) -> Line:
    return {"who": who, "kind": kind, **fields}


def event(decision: str, epoch: int, provider: str = "b", **said: Any) -> Line:
    fields = {"epoch": epoch, "decision": decision, "provider": provider, "parent": "", "at_ms": 5}
    return line("event", **{"run": "r1", **fields, **said})


def read(epoch: int, provider: str = "b", *, confirmed: bool = True) -> Line:
    return line("read", "app", epoch=epoch, provider=provider, confirmed=confirmed)


GOOD = [
    line("ask", decision="d1", provider="b", deadline_ms=10),
    line("answer", decision="d1", status="committed", epoch=7, provider="b"),
    line("done", decision="d1", epoch=7, provider="b"),
    event("d1", 7),
    line("state", epoch=7, decision="d1", provider="b"),
    read(7),
]
SQL = [{"decision_id": "d1"}]


def test_a_log_in_order_has_no_faults() -> None:
    assert faults(GOOD, SQL) == []


@pytest.mark.parametrize(
    ("more", "rows", "why"),
    [
        ([event("d2", 7, "c")], SQL, "epoch 7 names"),
        ([event("d1", 8)], SQL, "was carried out at [7, 8]"),
        ([read(8), event("d2", 8), read(7)], SQL, "app went back from 8 to 7"),
        ([read(7, "c")], SQL, "app served c at epoch 7, which nobody wrote"),
        ([read(9)], SQL, "app served b at epoch 9"),
        ([event("d1", 7, at_ms=12)], SQL, "d1 landed 2 ms late"),
        ([event("d2", 8, parent="d1"), event("d3", 9, parent="d1")], SQL, "both follow d1"),
        ([], [], "d1 is not in SQL"),
        ([line("final", decision="d9")], SQL, "d9 is not in SQL"),
        ([], SQL * 2, "d1 is in SQL more than once"),
    ],
)
def test_each_lie_is_found(more: Sequence[Line], rows: Sequence[Line], why: str) -> None:
    (found,) = faults([*GOOD, *more], rows)
    assert why in found


def test_a_redis_that_forgot_may_see_two_children_of_one_decision() -> None:
    told = [event("d2", 8, parent="d1"), event("d3", 9, parent="d1", run="r2")]
    assert faults([*GOOD, *told], SQL) == []


def test_a_message_that_nobody_confirmed_may_name_another() -> None:
    assert faults([*GOOD, read(7, "c", confirmed=False)], SQL) == []


def test_whoever_wrote_may_have_died_before_it_could_say_so() -> None:
    asked = line("ask", decision="d2", provider="c", deadline_ms=10)
    assert faults([*GOOD, asked, read(9, "c")], SQL) == []
    assert faults([*GOOD, asked, read(9, "b")], SQL) != []
    assert faults([*GOOD, asked, read(7, "c")], SQL) != []


def test_two_hands_write_one_log_in_order(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    hands = Ledger(path, "one"), Ledger(path, "two")
    for number in range(4):
        hands[number % 2].note("mark", number=number)
        hands[0].note_new("state", epoch=number // 2)
    assert [(one["who"], one.get("number", one.get("epoch"))) for one in load(path)] == [
        ("one", 0), ("one", 0), ("two", 1), ("one", 2), ("one", 1), ("two", 3),
    ]  # fmt: skip
    for hand in hands:
        hand.close()
