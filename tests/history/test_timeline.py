"""The story of an incident, from the records of the journal."""

from __future__ import annotations

from typing import Any

import pytest

from prober.history.journal import Record
from prober.history.records import to_record
from prober.history.timeline import EntryKind, Timeline, note_of
from switch.control.decide import Action, Alarm, Decision
from switch.flag import Op
from tests.support.values import flip, pin

PROOF = "4 of 4, slowest first text 0.9 s"


def incident(provider: str = "a", number: int = 1, **more: Any) -> Record:
    return {
        "kind": "incident",
        "id": f"i{number}",
        "number": number,
        "route": "chat",
        "provider": provider,
        "opened_at": 10.0,
        "breached_at": 53.0,
        "objectives": "availability",
        "summary": "9 of 24 canaries failed in 61 s (overloaded)",
        "closed_at": None,
        **more,
    }


def closed(number: int = 1, at: float = 90.0, **more: Any) -> Record:
    return {"kind": "incident_closed", "id": f"i{number}", "at": at, **more}


def done(at: float, origin: str, to: str, **more: Any) -> Record:
    one = flip(1, to, from_provider=origin, at_ms=round(at * 1000), decision_id=f"d{at}", **more)
    return {"kind": "done", **to_record(one)}


def letter(id: str = "l", number: int | None = 1, route: str = "chat") -> Record:
    return {"kind": "alert", "id": id, "incident": number, "route": route, "title": "chat moved"}


def sent(id: str = "l") -> Record:
    return {"kind": "sent", "id": id, "channel": "oncall", "at": 54.0}


def told(*records: Record) -> list[tuple[str, EntryKind, str]]:
    """(incident, kind, sentence) of all entries, in their order."""
    timeline = Timeline()
    entries = [entry for record in records for entry in timeline.take(record)]
    return [(entry.incident_id, entry.kind, entry.sentence) for entry in entries]


def kinds(*records: Record) -> list[EntryKind]:
    return [kind for _, kind, _ in told(*records)]


BEGIN = (EntryKind.SUSPECT, EntryKind.BREACHED)


def test_an_incident_begins_with_its_first_bad_canary_and_its_breach() -> None:
    entries = Timeline().take(incident())
    assert [(e.at, e.kind, e.sentence) for e in entries] == [
        (10.0, EntryKind.SUSPECT, "first bad canary of a"),
        (
            53.0,
            EntryKind.BREACHED,
            "a breached availability: 9 of 24 canaries failed in 61 s (overloaded)",
        ),
    ]


def test_from_failover_to_failback_it_is_one_story() -> None:
    story = told(
        incident(),
        done(53.1, "a", "b", evidence={"kind": "failover", "proof": PROOF}),
        letter(),
        sent(),
        closed(),
        done(700.0, "b", "a", evidence={"kind": "failback", "proof": PROOF}),
    )
    assert story[2:] == [
        ("i1", EntryKind.PROVEN, f"b proven: {PROOF}"),
        ("i1", EntryKind.FAILED_OVER, "chat failed over: a → b"),
        ("i1", EntryKind.ALERT, "told oncall: chat moved"),
        ("i1", EntryKind.RECOVERED, "a has recovered"),
        ("i1", EntryKind.PROVEN, f"a proven: {PROOF}"),
        ("i1", EntryKind.FAILED_BACK, "chat failed back: b → a"),
    ]


def test_records_read_again_add_nothing_new() -> None:
    """A restart reads the same journal; ids say that it is the same story."""
    records = [
        incident(),
        done(53.1, "a", "b"),
        {"kind": "incident_note", "incident": "i1", "what": "held", "sentence": "s", "at": 60.0},
        letter(),
        sent(),
        closed(),
    ]

    def ids(timeline: Timeline) -> list[str]:
        return [entry.id for record in records for entry in timeline.take(record)]

    once = Timeline()
    first = ids(once)
    assert ids(Timeline()) == first
    assert set(ids(once)) <= set(first)
    assert len(set(first)) == len(first) == 6


def test_a_clock_of_redis_that_is_behind_turns_no_story_round() -> None:
    timeline = Timeline()
    timeline.take(incident())
    (entry,) = timeline.take(done(51.0, "a", "b"))
    assert entry.at == 53.0


def test_moves_of_others_and_of_other_routes_are_not_its_story() -> None:
    assert kinds(incident(), done(60.0, "b", "c"), done(61.0, "a", "b", route="other")) == [*BEGIN]


def test_while_the_provider_is_left_every_move_belongs_to_it() -> None:
    story = kinds(incident(), done(60.0, "a", "b"), done(70.0, "b", "c"))
    assert story == [*BEGIN, EntryKind.FAILED_OVER, EntryKind.FAILED_OVER]


def test_two_incidents_tell_the_same_flip_each_in_its_own_words() -> None:
    story = told(
        incident(),
        done(60.0, "a", "b"),
        closed(),
        incident("b", 2),
        done(200.0, "b", "a"),
    )
    assert [(id, kind) for id, kind, _ in story[-2:]] == [
        ("i1", EntryKind.FAILED_BACK),
        ("i2", EntryKind.FAILED_OVER),
    ]


def test_after_the_recovery_only_going_home_still_belongs_to_it() -> None:
    story = kinds(
        incident(), done(60.0, "a", "b"), closed(), done(100.0, "b", "c"), done(110.0, "c", "a")
    )
    assert story == [*BEGIN, EntryKind.FAILED_OVER, EntryKind.RECOVERED, EntryKind.FAILED_BACK]
    home = kinds(
        incident(), done(60.0, "a", "b"), closed(), done(100.0, "b", "a"), done(110.0, "a", "b")
    )
    assert home[-1] is EntryKind.FAILED_BACK, "and once home the story is over"


def test_a_provider_that_breaks_again_before_the_flag_is_home_is_still_the_one_left() -> None:
    story = told(incident(), done(60.0, "a", "b"), closed(), incident(number=2), closed(2, 300.0),
                 done(400.0, "b", "a"))  # fmt: skip
    assert story[-1][:2] == ("i2", EntryKind.FAILED_BACK)


@pytest.mark.parametrize(
    ("record", "kind", "sentence"),
    [
        (
            done(60.0, "a", "b", op=Op.MANUAL, actor="ann", reason="too slow"),
            EntryKind.MOVED,
            "chat moved by ann: a → b: too slow",
        ),
        (
            done(60.0, "a", "a", op=Op.MANUAL, pin=pin(120_000, "a")),
            EntryKind.PINNED,
            "chat pinned to a by ann for 60 s: maintenance",
        ),
        (
            done(60.0, "a", "a", op=Op.MANUAL, actor="ann", pin_cleared=True),
            EntryKind.UNPINNED,
            "chat unpinned by ann",
        ),
        (
            done(60.0, "a", "b", op=Op.REPAIR, reason="Redis lost it"),
            EntryKind.MOVED,
            "chat: the flag was put right, a → b: Redis lost it",
        ),
        (closed(why="a is not watched"), EntryKind.ENDED, "a is not watched"),
        (
            done(60.0, "b", "a", op=Op.MANUAL, actor="drill of ann", reason="drill over",
                 evidence={"drill": "x", "phase": "back"}),
            EntryKind.DRILL,
            "chat: b → a (drill of ann): drill over",
        ),
    ],
)  # fmt: skip
def test_each_happening_has_its_sentence(record: Record, kind: EntryKind, sentence: str) -> None:
    assert told(incident(), record)[-1] == ("i1", kind, sentence)


def test_a_flip_that_redis_did_not_take_is_told_once_for_each_reason() -> None:
    def attempt(id: str, status: str, at: float) -> list[Record]:
        meant = {**done(at, "a", "b"), "kind": "intent", "decision_id": id}
        refused = {"kind": "refusal", "decision_id": id, "route": "chat", "status": status}
        return [meant, {**refused, "at": at}]

    timeline = Timeline()
    records = [incident(), *attempt("x", "not_leader", 60.0), *attempt("y", "not_leader", 61.0),
               *attempt("z", "error", 62.0)]  # fmt: skip
    entries = [entry for record in records for entry in timeline.take(record)][2:]
    assert [entry.sentence for entry in entries] == [
        "Redis did not take the flip to b (not leader)",
        "Redis did not take the flip to b (not leader)",
        "Redis did not take the flip to b (error)",
    ]
    assert entries[0].id == entries[1].id != entries[2].id


@pytest.mark.parametrize(
    "alert", [letter(number=None), letter(number=2), letter(route="other"), letter("another")]
)
def test_an_alert_of_something_else_is_not_its_story(alert: Record) -> None:
    assert kinds(incident(), alert, sent()) == [*BEGIN]


def test_an_incident_of_whoever_serves_for_a_drill_says_so() -> None:
    out = done(5.0, "a", "b", op=Op.MANUAL, actor="drill of ann",
               evidence={"drill": "x", "phase": "out"})  # fmt: skip
    assert told(out, incident("b"))[-1] == (
        "i1", EntryKind.DRILL, "b served chat for a drill (drill of ann)",
    )  # fmt: skip
    home = done(6.0, "b", "a", op=Op.MANUAL, evidence={"drill": "x", "phase": "back"})
    assert kinds(out, home, incident("b")) == [*BEGIN]
    assert kinds(out, incident("c")) == [*BEGIN]


def test_an_incident_whose_first_bad_canary_ended_the_drill_says_so_too() -> None:
    """The breach needs more of them, and by then the flag is home."""
    out = done(5.0, "a", "b", op=Op.MANUAL, actor="drill of ann",
               evidence={"drill": "x", "phase": "out"})  # fmt: skip
    home = done(10.4, "b", "a", op=Op.MANUAL, evidence={"drill": "x", "phase": "back"})
    later = done(20.0, "a", "c", op=Op.MANUAL)
    assert told(out, home, incident("b"))[-1][2] == "b served chat for a drill (drill of ann)"
    assert kinds(out, home, later, incident("b"))[-1] is EntryKind.DRILL
    assert kinds(out, home, incident("b", opened_at=10.5)) == [*BEGIN]


def test_what_it_does_not_know_is_no_entry() -> None:
    assert kinds(
        {"kind": "pause", "paused": True, "at": 1.0},
        {"kind": "ack", "route": "chat", "at_ms": 1},
        closed(9),
        {"kind": "incident_note", "incident": "i9", "what": "held", "sentence": "s", "at": 1.0},
        sent("nobody"),
        {"kind": "refusal", "decision_id": "x", "route": "chat", "status": "error", "at": 1.0},
    ) == []  # fmt: skip


def test_away_is_whoever_the_flag_left_until_it_is_home() -> None:
    timeline = Timeline()
    timeline.take(incident())
    assert timeline.away("chat", "a") is None
    timeline.take(done(60.0, "a", "b"))
    timeline.take(closed())
    left = timeline.away("chat", "a")
    assert left is not None
    assert left.number == 1
    timeline.take(done(70.0, "b", "a"))
    assert timeline.away("chat", "a") is None


BAD = "a breached availability"


@pytest.mark.parametrize(
    ("decision", "kind", "words"),
    [
        (Decision(Action.HOLD, BAD, alarm=Alarm.NO_CANDIDATE), EntryKind.HELD, f"held: {BAD}"),
        (Decision(Action.HOLD, BAD, alarm=Alarm.FROZEN), EntryKind.HELD, f"held: {BAD}"),
        (Decision(Action.HOLD, BAD, alarm=Alarm.PINNED_WHILE_BAD), EntryKind.HELD, f"held: {BAD}"),
        (Decision(Action.HOLD, BAD, "b", alarm=Alarm.WOULD_FAIL_OVER), EntryKind.WOULD_FAIL_OVER,
         f"would fail over to b (mode propose): {BAD}"),
        (Decision(Action.PROVE, BAD, "b", kind="failover"), EntryKind.PROVING,
         "proving b before moving to it"),
        (Decision(Action.HOLD, "a is well", "a", alarm=Alarm.FAILBACK_READY), EntryKind.READY,
         "a is well"),
    ],
)  # fmt: skip
def test_a_decision_that_moves_nothing_is_worth_a_line(
    decision: Decision, kind: EntryKind, words: str
) -> None:
    note = note_of(decision, observing=False)
    assert note is not None
    assert (note.kind, note.sentence) == (kind, words)


def test_other_decisions_say_nothing() -> None:
    quiet = Decision(Action.HOLD, "a is ok")
    assert note_of(quiet, observing=False) is None
    assert note_of(Decision(Action.PROVE, "first", "a"), observing=False) is None
    over = Decision(Action.FLIP, BAD, "b", kind="failover")
    assert note_of(over, observing=False) is None, "the flip itself is told"
    observed = note_of(over, observing=True)
    assert observed is not None
    assert observed.kind is EntryKind.WOULD_FAIL_OVER
