"""Flips as records, and what a journal remembers of a route."""

from __future__ import annotations

import json

import pytest

from prober.failover.memory import DECIDED, LINEAGE, Memory, Placement, cause_of, joined, remember
from prober.history.journal import Record
from prober.history.records import from_record, rows, to_record
from switch.flag import Flip, Op, Origin, Pin
from tests.support.values import flip, pin


@pytest.mark.parametrize(
    "one",
    [
        flip(),
        flip(3, "b", evidence={"kind": "outage", "since": 1.5}, from_provider="a"),
        flip(1, pin=pin(), op=Op.MANUAL),
        flip(2, pin_cleared=True, op=Op.MANUAL),
    ],
)
def test_a_flip_comes_back_from_its_record_as_it_was(one: Flip) -> None:
    assert from_record(json.loads(json.dumps(to_record(one)))) == one


def test_sql_keeps_the_flip_and_the_pin_it_set() -> None:
    plain, pinned = rows(flip(4, "b")), rows(flip(4, "b", pin=pin(20_000, "b")))
    assert [row.table for row in plain] == ["flip"]
    assert [row.table for row in pinned] == ["flip", "pin"]
    assert plain[0].values["at"] == 4.0
    assert pinned[1].values["until"] == 20.0
    assert (pinned[1].values["set_at"], pinned[1].values["owner"]) == (4.0, "ann")
    assert pinned[1].values["decision_id"] == plain[0].values["decision_id"] == "d4"


def test_the_flip_of_highest_epoch_is_the_one_remembered() -> None:
    memory = Memory()
    for epoch in (2, 5, 3):
        memory.learn(flip(epoch))
    assert memory.flip == flip(5)
    assert memory.lineage == {"d2": "d1", "d5": "d4", "d3": "d2"}
    known = memory.known()
    assert (known.flip, known.pin) == (flip(5), None)


def test_a_pin_stays_until_a_later_flip_clears_it() -> None:
    memory = Memory()
    held = pin()
    memory.learn(flip(1, pin=held))
    memory.learn(flip(2))
    assert memory.pin == held
    memory.learn(flip(4, pin_cleared=True))
    memory.learn(flip(3, pin=held))
    assert memory.pin is None


def test_the_lineage_is_bounded() -> None:
    memory = Memory()
    for epoch in range(1, LINEAGE + 11):
        memory.learn(flip(epoch))
    assert len(memory.lineage) == LINEAGE
    assert "d10" not in memory.lineage


def done(one: Flip) -> Record:
    return {"kind": "done", **to_record(one)}


def intent(id: str, route: str = "chat") -> Record:
    return {"kind": "intent", "decision_id": id, "route": route}


def test_a_journal_gives_back_each_route_s_flips_in_order() -> None:
    found = remember([done(flip(1)), done(flip(2, "b")), done(flip(9, route="other"))])
    assert [one.epoch for one in found.flips] == [1, 2, 9]
    assert {name: memory.flip.epoch for name, memory in found.memories.items() if memory.flip} == {
        "chat": 2,
        "other": 9,
    }


@pytest.mark.parametrize("end", ["refusal", "abandoned", "unresolved", "done"])
def test_an_intent_is_open_until_its_end_is_known(end: str) -> None:
    ending = done(flip(1)) if end == "done" else {"kind": end, "decision_id": "d1"}
    assert remember([intent("d1"), ending]).open_intents == {}
    found = remember([intent("d1"), intent("d2"), intent("d3", "other"), ending])
    assert {
        route: [i["decision_id"] for i in some] for route, some in found.open_intents.items()
    } == {
        "chat": ["d2"],
        "other": ["d3"],
    }


def test_other_records_are_none_of_its_business() -> None:
    found = remember([{"kind": "alert", "id": "x"}, {"kind": "pause", "paused": True}])
    assert (found.flips, found.open_intents, found.memories) == ([], {}, {})


def test_what_was_decided_is_remembered_in_order_bounded_and_without_repairs() -> None:
    memory = Memory()
    for epoch in range(DECIDED + 10, 0, -1):
        memory.learn(flip(epoch))
    memory.learn(flip(900, op=Op.SEED, origin=Origin.REPAIR))
    memory.learn(flip(901, op=Op.REPAIR))
    assert [one.epoch for one in memory.decided] == list(range(11, DECIDED + 11))


LED = flip(2, "b", from_provider="a", reason="a breached availability")
BEFORE = flip(1, "a", op=Op.SEED)
AFTER = {
    "nothing": (),
    "pinned and unpinned": (
        flip(3, "b", from_provider="b", op=Op.MANUAL, pin=Pin("b", "ann", "", 9)),
        flip(4, "b", from_provider="b", op=Op.MANUAL, pin_cleared=True, reason="unpinned"),
    ),
    "emptied, and put back": (flip(3, "b", op=Op.SEED, origin=Origin.REPAIR),),
    "a lost write": (flip(3, "b", from_provider="a", op=Op.REPAIR),),
}


@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER)
def test_the_cause_of_a_flag_outlives_what_moved_nothing(after: tuple[Flip, ...]) -> None:
    assert cause_of((BEFORE, LED, *after), "b") == Placement(LED, after)


def test_the_cause_is_the_newest_flip_to_the_present_provider() -> None:
    home = flip(3, "a", from_provider="b", op=Op.MANUAL)
    again = flip(4, "b", from_provider="a")
    assert cause_of((BEFORE, LED, home, again), "b") == Placement(again, ())
    assert cause_of((BEFORE, LED, home), "a") == Placement(home, ())
    assert cause_of((BEFORE,), "a") == Placement(BEFORE, ())


def test_where_nothing_else_is_known_a_repair_is_the_cause_and_of_nobody_there_is_none() -> None:
    put_back = flip(3, "b", op=Op.SEED, origin=Origin.REPAIR)
    assert cause_of((put_back,), "b") == Placement(put_back, ())
    assert cause_of((LED,), "c") == Placement(None, (LED,))


def test_a_stream_that_lost_flips_is_read_with_those_that_are_remembered() -> None:
    shown = (flip(2), flip(5, op=Op.SEED))
    assert joined((flip(2),), shown) is shown
    assert [one.epoch for one in joined((flip(1), flip(2), flip(4)), shown)] == [1, 2, 4, 5]
